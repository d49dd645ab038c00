/* SPDX-License-Identifier: BSD-2-Clause */
/* The configuration when memory runs out: every single allocation of ours fails once. Linked with --wrap. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/config.h"

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void *__real_reallocarray(void *p, size_t n, size_t size);
char *__real_strdup(const char *text);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);
void *__wrap_reallocarray(void *p, size_t n, size_t size);
char *__wrap_strdup(const char *text);

static long countdown = -1; /* allocations until the one that fails; below 0: none does */

static bool fails(void)
{
	return countdown >= 0 && countdown-- == 0;
}

void *__wrap_malloc(size_t size)
{
	return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t size)
{
	return fails() ? NULL : __real_realloc(p, size);
}

void *__wrap_reallocarray(void *p, size_t n, size_t size)
{
	return fails() ? NULL : __real_reallocarray(p, n, size);
}

char *__wrap_strdup(const char *text)
{
	return fails() ? NULL : __real_strdup(text);
}

static void count(const char *file, unsigned line, const char *message, void *context)
{
	(void)file;
	(void)line;
	assert_true(message[0] != '\0');
	++*(unsigned *)context;
}

static const char file_text[] =
	"poll-interval = 5 namespaces { names = { \"a\", \"b\" } } snat { addresses = 192.0.2.1 }\n"
	"agentx { socket = \"/x\" } snmp { include = \"/y\" }\n"
	"pool \"one\" { remote = { 192.0.2.0/24, \"2001:db8::/32\" } port = { 1, 2 } local = 10.0.0.1 namespace = \"\" }\n"
	"ignore { kind = bind namespace = \"n\" }\n";

static const char pool_text[] =
	"pool \"another one\" { remote = { 198.51.100.0/24, 203.0.113.0/24 } namespace = blue }\n";

/* Returns whether it was read; *failed tells whether there was an allocation n, which failed. */
static bool read_with_failure(const char *path, long n, bool *failed)
{
	unsigned reports = 0;
	struct pw_config *config;

	countdown = n;
	config = pw_config_read(path, count, &reports);
	*failed = countdown < 0;
	countdown = -1;
	assert_int_equal(config == NULL, reports > 0);
	pw_config_free(config);
	return config != NULL;
}

static void test_each_allocation_fails_once(void **state)
{
	char path[] = "/tmp/portwatch-memory-XXXXXX";
	int fd = mkstemp(path);
	long n = 0, survived = 0;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(write(fd, file_text, sizeof(file_text) - 1), sizeof(file_text) - 1);
	for (unsigned i = 0; i < 500; i++) /* memory comes in chunks: enough for several of them */
		assert_int_equal(write(fd, pool_text, sizeof(pool_text) - 1), sizeof(pool_text) - 1);
	close(fd);
	for (bool failed = true; failed; n++)
		survived += read_with_failure(path, n, &failed);
	unlink(path);
	print_message("%ld allocations\n", n - 1);
	assert_in_range(n, 15, 9999);
	assert_int_equal(survived, 1); /* when nothing failed */
}

static void test_defaults(void **state)
{
	(void)state;
	for (long n = 0; n < 2; n++) {
		countdown = n;
		assert_null(pw_config_defaults());
		countdown = -1;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_allocation_fails_once),
		cmocka_unit_test(test_defaults),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

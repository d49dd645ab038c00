/* SPDX-License-Identifier: BSD-2-Clause */
/* Captures: what was read comes back read for read; damaged files are refused, whatever the damage. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "kernel/capture.h"
#include "kernel_fake.h"
#include "random.h"

struct memory {
	char *data;
	size_t len;
};

static void read_dump(struct pw_input *input, int reads)
{
	char buf[64];
	uint32_t sender;

	assert_int_equal(pw_input_open(input, PW_STREAM_DUMP_TCP, "request", 7), 0);
	while (reads-- > 0)
		pw_input_read(input, buf, sizeof(buf), &sender);
	pw_input_close(input);
}

/* Two tries of a TCP dump, of which the first one failed and the second got a stranger's message too, and a setting in two pieces. */
static struct memory make_record(void)
{
	struct memory memory;
	FILE *file = open_memstream(&memory.data, &memory.len);
	struct fake *fake = fake_new();
	struct pw_input input = fake_input(fake);
	struct fake_open *open = fake_add(fake, PW_STREAM_RANGE);
	char buf[64];

	fake_read_data(open, "40000\t", 6, 0);
	fake_read_data(open, "40099\n", 6, 0);
	open = fake_add(fake, PW_STREAM_DUMP_TCP);
	fake_read_data(open, "first", 5, 0);
	fake_read_error(open, ENOBUFS);
	open = fake_add(fake, PW_STREAM_DUMP_TCP);
	fake_read_data(open, "stranger", 8, 7);
	fake_read_data(open, "second", 6, 0);
	fake_fail(fake, PW_STREAM_SOCKSTAT6, EACCES);
	assert_int_equal(pw_capture_start(&input, file), 0);
	assert_int_equal(pw_input_text(&input, PW_STREAM_RANGE, buf, sizeof(buf)), 12);
	read_dump(&input, 2);
	read_dump(&input, 2);
	assert_int_equal(pw_input_text(&input, PW_STREAM_SOCKSTAT6, buf, sizeof(buf)), -EACCES);
	pw_capture_end(&input);
	fclose(file);
	fake_free(fake);
	return memory;
}

static struct pw_input open_record(void)
{
	struct memory memory = make_record();
	struct pw_input input = {.ops = NULL};
	struct pw_error err;

	assert_int_equal(pw_capture_input(&input, memory.data, memory.len, &err), 0);
	return input;
}

static void check_read(struct pw_input *input, size_t size, const char *expected)
{
	char buf[64];
	uint32_t sender;

	assert_int_equal(pw_input_read(input, buf, size, &sender), strlen(expected));
	assert_memory_equal(buf, expected, strlen(expected));
	assert_int_equal(sender, 0);
}

static void check_failure(struct pw_input *input, size_t size, int error)
{
	char buf[64];
	uint32_t sender;

	assert_int_equal(pw_input_read(input, buf, size, &sender), -error);
}

static void texts_come_back(void **state)
{
	struct pw_input input = open_record();
	char text[64];

	(void)state;
	for (int i = 0; i < 3; i++) {
		assert_int_equal(pw_input_text(&input, PW_STREAM_RANGE, text, sizeof(text)), 12);
		assert_string_equal(text, "40000\t40099\n");
	}
	assert_int_equal(pw_input_text(&input, PW_STREAM_RANGE, text, 12), -ENOBUFS);
	assert_int_equal(pw_input_text(&input, PW_STREAM_RANGE, text, 13), 12);
	assert_int_equal(pw_input_text(&input, PW_STREAM_SOCKSTAT, text, sizeof(text)), -ENOENT);
	assert_int_equal(pw_input_text(&input, PW_STREAM_SOCKSTAT6, text, sizeof(text)), -EACCES);
	pw_input_free(&input);
}

static void dumps_come_back_in_order(void **state)
{
	struct pw_input input = open_record();

	(void)state;
	for (int round = 0; round < 2; round++) {
		assert_int_equal(pw_input_open(&input, PW_STREAM_DUMP_TCP, "request", 7), 0);
		check_read(&input, 64, "first");
		check_failure(&input, 64, ENOBUFS);
		pw_input_close(&input);
		assert_int_equal(pw_input_open(&input, PW_STREAM_DUMP_TCP, "request", 7), 0);
		check_read(&input, 64, "second");
		check_failure(&input, 64, ENODATA);
		check_failure(&input, 64, ENODATA);
		pw_input_close(&input);
	}
	assert_int_equal(pw_input_open(&input, PW_STREAM_DUMP_UDP, "request", 7), -ENOENT);
	pw_input_free(&input);
}

/* A datagram that does not fit is lost, as it is with netlink. */
static void large_datagrams_are_cut(void **state)
{
	struct pw_input input = open_record();

	(void)state;
	assert_int_equal(pw_input_open(&input, PW_STREAM_DUMP_TCP, "request", 7), 0);
	check_failure(&input, 3, EMSGSIZE);
	check_failure(&input, 3, ENOBUFS);
	pw_input_close(&input);
	pw_input_free(&input);
}

static int load(const void *data, size_t len, struct pw_error *err)
{
	struct pw_input input = {.ops = NULL};
	char *copy = malloc(len > 0 ? len : 1);
	int rc;

	memcpy(copy, data, len);
	rc = pw_capture_input(&input, copy, len, err);
	pw_input_free(&input);
	return rc;
}

static void cut_files_are_refused(void **state)
{
	struct memory memory = make_record();
	struct pw_error err;

	(void)state;
	for (size_t len = 0; len < memory.len; len++) {
		assert_int_equal(load(memory.data, len, &err), -1);
		assert_memory_equal(err.text, "offset ", 7);
	}
	assert_int_equal(load(memory.data, memory.len, &err), 0);
	memory.data = realloc(memory.data, memory.len + 1);
	memory.data[memory.len] = 0;
	assert_int_equal(load(memory.data, memory.len + 1, &err), -1);
	free(memory.data);
}

static void files_of_others_are_refused(void **state)
{
	static const struct {
		size_t offset;
		uint32_t value;
		const char *why;
	} cases[] = {
		{0, 0x12345678, "offset 0: not a portwatch record"},
		{8, 0x04030201, "offset 0: recorded on a machine of the other byte order"},
		{8, 0, "offset 0: not a portwatch record"},
		{12, 2, "offset 0: a version of the format that this program does not know"},
		{16, 5, "offset 16: no such type of entry"},
		{16, 2, "offset 16: data of no stream, or empty"},
		{16, 3, "offset 16: no error number"},
		{20, PW_STREAM_COUNT, "offset 16: no such stream"},
		{20, PW_STREAM_SOCKSTAT, "offset 200: the record has no port range"},
		{24, 1, "offset 16: no such stream"},
		{24, UINT32_MAX, "offset 16: the entry is longer than the file"},
		{16, 4, "offset 16: something follows the end"},
	};
	struct pw_error err;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct memory memory = make_record();

		memcpy(memory.data + cases[i].offset, &cases[i].value, 4);
		assert_int_equal(load(memory.data, memory.len, &err), -1);
		if (strstr(cases[i].why, "200") == NULL)
			assert_string_equal(err.text, cases[i].why);
		else
			assert_non_null(strstr(err.text, "the record has no port range"));
		free(memory.data);
	}
}

/* Random bytes changed: refused or readable to the end, never more. */
static void random_damage(void **state)
{
	char buf[64];
	uint32_t sender;

	(void)state;
	random_start();
	for (int round = 0; round < 20000; round++) {
		struct memory memory = make_record();
		struct pw_input input = {.ops = NULL};

		for (int changes = (int)pick(4) + 1; changes > 0; changes--)
			memory.data[pick((uint32_t)memory.len)] = (char)pick(256);
		if (pw_capture_input(&input, memory.data, memory.len, NULL) < 0)
			continue;
		for (int stream = 0; stream < PW_STREAM_COUNT; stream++) {
			if (pw_input_open(&input, (enum pw_stream)stream, "", 0) < 0)
				continue;
			for (int reads = 0; reads < 100 && pw_input_read(&input, buf, 5, &sender) > 0; reads++)
				;
			pw_input_close(&input);
		}
		pw_input_free(&input);
	}
}

static void files_are_named(void **state)
{
	char path[] = "/tmp/test_kernel_capture.XXXXXX", expected[128];
	int fd = mkstemp(path);
	struct pw_input input = {.ops = NULL};
	struct pw_error err = {""};

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(pw_capture_input_file(&input, path, &err), -1);
	snprintf(expected, sizeof(expected), "%s: offset 0: too short for a record", path);
	assert_string_equal(err.text, expected);
	close(fd);
	unlink(path);
	assert_int_equal(pw_capture_input_file(&input, path, &err), -1);
	snprintf(expected, sizeof(expected), "%s: No such file or directory", path);
	assert_string_equal(err.text, expected);
	assert_int_equal(pw_capture_input_file(&input, "/", &err), -1);
	assert_string_equal(err.text, "/: Is a directory");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(texts_come_back),
		cmocka_unit_test(dumps_come_back_in_order),
		cmocka_unit_test(large_datagrams_are_cut),
		cmocka_unit_test(cut_files_are_refused),
		cmocka_unit_test(files_of_others_are_refused),
		cmocka_unit_test(random_damage),
		cmocka_unit_test(files_are_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

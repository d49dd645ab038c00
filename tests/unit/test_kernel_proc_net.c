/* SPDX-License-Identifier: BSD-2-Clause */
/* The /proc fallback: lines as kernels print them, and texts that arrive in pieces or broken. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kernel/proc_net.h"
#include "kernel_fake.h"

#define HEADING "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"

/* Addresses are printed as numbers of the machine's byte order: made here by the same rule. */
static const char *hex_address(const char *text)
{
	static char buf[4][40];
	static unsigned next;
	char *out = buf[next++ % 4];
	uint32_t words[4];
	int n = inet_pton(AF_INET, text, words) == 1 ? 1 : 4;

	if (n == 4)
		assert_int_equal(inet_pton(AF_INET6, text, words), 1);
	for (int i = 0; i < n; i++)
		sprintf(out + (size_t)i * 8, "%08X", words[i]);
	return out;
}

static const char *make_line(const char *local, unsigned local_port, const char *remote, unsigned remote_port,
	unsigned state, const char *timer, unsigned uid, unsigned inode)
{
	static char line[300];

	snprintf(line, sizeof(line),
		"%4d: %s:%04X %s:%04X %02X 00000000:00000001 %s 00000000 %5u %8d %u 1 0000000000000000 20 4 30 10 -1",
		7, hex_address(local), local_port, hex_address(remote), remote_port, state, timer, uid, 0, inode);
	return line;
}

static void check_address(const uint8_t address[16], const char *text)
{
	uint8_t expected[16] = {0};

	if (inet_pton(AF_INET, text, expected) != 1)
		assert_int_equal(inet_pton(AF_INET6, text, expected), 1);
	assert_memory_equal(address, expected, 16);
}

static void established(void **state)
{
	struct pw_socket s;

	(void)state;
	assert_int_equal(pw_proc_net_parse(make_line("10.0.0.1", 40001, "10.0.0.9", 443, 1, "02:00000064", 1000, 4711),
				 AF_INET, IPPROTO_TCP, &s),
		0);
	check_address(s.local, "10.0.0.1");
	check_address(s.remote, "10.0.0.9");
	assert_int_equal(s.local_port, 40001);
	assert_int_equal(s.remote_port, 443);
	assert_int_equal(s.state, PW_ESTABLISHED);
	assert_int_equal(s.uid, 1000);
	assert_int_equal(s.flags, PW_SOCKET_HAS_OWNER);
	assert_int_equal(s.family, AF_INET);
	assert_int_equal(s.protocol, IPPROTO_TCP);
	assert_true(s.cookie == 0 && s.cgroup == 0 && s.ifindex == 0);
	assert_int_equal(s.expires_ms, 100 * 1000 / sysconf(_SC_CLK_TCK));
}

static void time_wait_and_half_open(void **state)
{
	struct pw_socket s;

	(void)state;
	assert_int_equal(pw_proc_net_parse(make_line("10.0.0.1", 40001, "10.0.0.9", 443, 6, "03:0000170C", 0, 0),
				 AF_INET, IPPROTO_TCP, &s),
		0);
	assert_int_equal(s.state, PW_TIME_WAIT);
	assert_int_equal(s.flags, 0);
	assert_int_equal(s.expires_ms, 5900 * 1000 / sysconf(_SC_CLK_TCK));
	assert_int_equal(pw_proc_net_parse(make_line("10.0.0.1", 80, "10.0.0.9", 443, 3, "01:00000064", 0, 0), AF_INET,
				 IPPROTO_TCP, &s),
		0);
	assert_int_equal(s.flags, PW_SOCKET_HALF_OPEN);
	/* a timer that overflowed is long, not short */
	assert_int_equal(pw_proc_net_parse(make_line("10.0.0.1", 80, "10.0.0.9", 443, 6, "03:FFFFFFFFFFFFFFFF", 0, 0),
				 AF_INET, IPPROTO_TCP, &s),
		0);
	assert_true(s.expires_ms == UINT32_MAX);
}

static void ipv6_and_mapped(void **state)
{
	struct pw_socket s;

	(void)state;
	assert_int_equal(pw_proc_net_parse(make_line("2001:db8::1", 40001, "2001:db8::2", 443, 1, "00:00000000", 0, 9),
				 AF_INET6, IPPROTO_TCP, &s),
		0);
	assert_int_equal(s.family, AF_INET6);
	check_address(s.local, "2001:db8::1");
	check_address(s.remote, "2001:db8::2");
	assert_int_equal(
		pw_proc_net_parse(make_line("::ffff:10.0.0.1", 40001, "::ffff:10.0.0.9", 443, 1, "00:00000000", 0, 9),
			AF_INET6, IPPROTO_TCP, &s),
		0);
	assert_int_equal(s.family, AF_INET);
	check_address(s.local, "10.0.0.1");
	check_address(s.remote, "10.0.0.9");
	assert_int_equal(pw_proc_net_parse(make_line("::ffff:10.0.0.1", 40001, "::", 0, 10, "00:00000000", 0, 9),
				 AF_INET6, IPPROTO_TCP, &s),
		0);
	assert_int_equal(s.family, AF_INET);
	check_address(s.remote, "0.0.0.0");
	assert_int_equal(
		pw_proc_net_parse(make_line("::", 40001, "::", 0, 10, "00:00000000", 0, 9), AF_INET6, IPPROTO_TCP, &s),
		0);
	assert_int_equal(s.family, AF_INET6);
}

/* A line cut anywhere in front of its inode, or with a letter where none belongs, is none. */
static void broken_lines_are_refused(void **state)
{
	char line[300], broken[300];
	struct pw_socket s;
	size_t inode;

	(void)state;
	strcpy(line, make_line("10.0.0.1", 40001, "10.0.0.9", 443, 1, "02:00000064", 1000, 4711));
	inode = (size_t)(strstr(line, " 4711 ") + 1 - line);
	for (size_t cut = 0; cut <= inode; cut++) {
		memcpy(broken, line, cut);
		broken[cut] = '\0';
		assert_int_equal(pw_proc_net_parse(broken, AF_INET, IPPROTO_TCP, &s), -1);
	}
	for (size_t pos = 0; pos <= inode; pos++) {
		strcpy(broken, line);
		broken[pos] = 'x';
		assert_int_equal(pw_proc_net_parse(broken, AF_INET, IPPROTO_TCP, &s), -1);
	}
	assert_int_equal(pw_proc_net_parse(line, AF_INET6, IPPROTO_TCP, &s), -1);
	assert_int_equal(pw_proc_net_parse(make_line("10.0.0.1", 1, "10.0.0.9", 2, 0, "00:00000000", 0, 0), AF_INET,
				 IPPROTO_TCP, &s),
		-1);
	assert_int_equal(pw_proc_net_parse(make_line("10.0.0.1", 1, "10.0.0.9", 2, 12, "00:00000000", 0, 0), AF_INET,
				 IPPROTO_TCP, &s),
		-1);
}

/* --- files --- */

static enum pw_dump_status read_file(struct reading *f, enum pw_stream stream)
{
	return pw_proc_net_read(&f->input, stream, 40000, 40099, &f->batch, &f->err);
}

/* n sockets on ports from 39990 on. The text is the caller's. */
static char *make_text(unsigned n)
{
	char *text = malloc(200 + (size_t)n * 300), *p = text;

	p += sprintf(p, "%s", HEADING);
	for (unsigned i = 0; i < n; i++)
		p += sprintf(p, "%s\n", make_line("10.0.0.1", 39990 + i, "10.0.0.9", 80, 1, "00:00000000", 0, 1));
	return text;
}

static void only_the_range_is_taken(void **state)
{
	struct reading *f = *state;
	char *text = make_text(130);

	fake_text(f->fake, PW_STREAM_PROC_TCP, text);
	free(text);
	assert_int_equal(read_file(f, PW_STREAM_PROC_TCP), PW_DUMP_OK);
	assert_int_equal(f->caught.n, 100);
	assert_int_equal(f->caught.sockets[0].local_port, 40000);
	assert_int_equal(f->caught.sockets[99].local_port, 40099);
}

/* The text is split at every place of two lines. */
static void pieces_are_put_together(void **state)
{
	char *text = make_text(12);
	size_t len = strlen(text);

	(void)state;
	for (size_t cut = 1; cut < len; cut++) {
		struct caught caught = {.n = 0};
		struct pw_batch batch = {.sink = catch_sockets, .context = &caught};
		struct fake *fake = fake_new();
		struct pw_input input = fake_input(fake);
		struct fake_open *open = fake_add(fake, PW_STREAM_PROC_UDP);

		fake_read_data(open, text, cut, 0);
		fake_read_data(open, text + cut, len - cut, 0);
		assert_int_equal(pw_proc_net_read(&input, PW_STREAM_PROC_UDP, 40000, 40099, &batch, NULL), PW_DUMP_OK);
		assert_int_equal(caught.n, 2);
		assert_int_equal(caught.sockets[1].protocol, IPPROTO_UDP);
		fake_free(fake);
	}
	free(text);
}

static void a_large_file_is_read_whole(void **state)
{
	struct reading *f = *state;
	char *text = make_text(2000);

	fake_text(f->fake, PW_STREAM_PROC_TCP, text);
	free(text);
	assert_int_equal(pw_proc_net_read(&f->input, PW_STREAM_PROC_TCP, 1, 65535, &f->batch, &f->err), PW_DUMP_OK);
	assert_int_equal(f->caught.n, 2000);
	assert_int_equal(f->caught.sockets[1999].local_port, 39990 + 1999);
}

static void missing_files(void **state)
{
	struct reading *f = *state;

	assert_int_equal(read_file(f, PW_STREAM_PROC_TCP6), PW_DUMP_OK); /* no IPv6 */
	assert_int_equal(read_file(f, PW_STREAM_PROC_UDP6), PW_DUMP_OK);
	assert_int_equal(read_file(f, PW_STREAM_PROC_TCP), PW_DUMP_FAILED);
	assert_string_equal(f->err.text, "/proc/net/tcp: No such file or directory");
}

static void broken_files(void **state)
{
	struct reading *f = *state;
	char *line = malloc(40000);

	fake_text(f->fake, PW_STREAM_PROC_TCP, HEADING "  0: nonsense\n");
	assert_int_equal(read_file(f, PW_STREAM_PROC_TCP), PW_DUMP_FAILED);
	assert_string_equal(f->err.text, "/proc/net/tcp: line 2: not understood");
	fake_text(f->fake, PW_STREAM_PROC_TCP, HEADING "  0: 0100007F:0016");
	assert_int_equal(read_file(f, PW_STREAM_PROC_TCP), PW_DUMP_FAILED);
	assert_string_equal(f->err.text, "/proc/net/tcp: line 2: the line has no end");
	memset(line, 'x', 39999);
	line[39999] = '\0';
	fake_text(f->fake, PW_STREAM_PROC_TCP, line);
	free(line);
	assert_int_equal(read_file(f, PW_STREAM_PROC_TCP), PW_DUMP_FAILED);
	fake_read_error(fake_add(f->fake, PW_STREAM_PROC_TCP), EIO);
	assert_int_equal(read_file(f, PW_STREAM_PROC_TCP), PW_DUMP_FAILED);
	assert_string_equal(f->err.text, "/proc/net/tcp: Input/output error");
}

static void out_of_memory(void **state)
{
	struct reading *f = *state;
	char *text = make_text(20);

	f->caught.result = -1;
	fake_text(f->fake, PW_STREAM_PROC_TCP, text);
	free(text);
	assert_int_equal(read_file(f, PW_STREAM_PROC_TCP), PW_DUMP_FAILED);
	assert_non_null(strstr(f->err.text, "out of memory"));
}

#define FILE_TEST(test) cmocka_unit_test_setup_teardown(test, reading_setup, reading_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(established),
		cmocka_unit_test(time_wait_and_half_open),
		cmocka_unit_test(ipv6_and_mapped),
		cmocka_unit_test(broken_lines_are_refused),
		FILE_TEST(only_the_range_is_taken),
		cmocka_unit_test(pieces_are_put_together),
		FILE_TEST(a_large_file_is_read_whole),
		FILE_TEST(missing_files),
		FILE_TEST(broken_files),
		FILE_TEST(out_of_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

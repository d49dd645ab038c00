/* SPDX-License-Identifier: BSD-2-Clause */
/* The settings: what the kernel prints is understood, the rest is refused, absent ones have their fixed value. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/sockstat.h"
#include "kernel/sysctl.h"
#include "kernel_fake.h"

/* --- parsers --- */

static void range_is_parsed(void **state)
{
	static const struct {
		const char *text;
		uint16_t low, high;
	} cases[] = {
		{"32768\t60999\n", 32768, 60999},
		{"1\t65535\n", 1, 65535},
		{"40000\t40000\n", 40000, 40000},
		{"40000 40001", 40000, 40001},
	};
	uint16_t low, high;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(pw_sysctl_parse_range(cases[i].text, &low, &high), 0);
		assert_int_equal(low, cases[i].low);
		assert_int_equal(high, cases[i].high);
	}
}

static void bad_range_is_refused(void **state)
{
	static const char *const cases[] = {"", "\n", "32768", "32768\n", "32768\t", "\t60999\n", "60999\t32768\n",
		"0\t60999\n", "32768\t65536\n", "65536\t65537\n", "-1\t60999\n", "32768\t60999\t7\n", "32768,60999\n",
		"32768\t60999x\n", "a\tb\n", "99999999999999999999\t60999\n", "32768\t60999\n\n", "0x10\t60999\n",
		"32768\n60999\n"};
	uint16_t low, high;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(pw_sysctl_parse_range(cases[i], &low, &high), -1);
}

static void ports_are_parsed(void **state)
{
	struct pw_portset ports;

	(void)state;
	memset(&ports, 0xff, sizeof(ports));
	assert_int_equal(pw_sysctl_parse_ports("\n", &ports), 0);
	assert_int_equal(pw_portset_count(&ports), 0);
	assert_int_equal(pw_sysctl_parse_ports("", &ports), 0);
	assert_int_equal(pw_sysctl_parse_ports("8080\n", &ports), 0);
	assert_int_equal(pw_portset_count(&ports), 1);
	assert_true(pw_portset_has(&ports, 8080));
	assert_int_equal(pw_sysctl_parse_ports("1,3-5,65535\n", &ports), 0);
	assert_int_equal(pw_portset_count(&ports), 5);
	assert_true(pw_portset_has(&ports, 1) && pw_portset_has(&ports, 3) && pw_portset_has(&ports, 4) &&
		pw_portset_has(&ports, 5) && pw_portset_has(&ports, 65535));
	assert_int_equal(pw_sysctl_parse_ports("0-65535\n", &ports), 0);
	assert_int_equal(pw_portset_count(&ports), 65536);
}

static void bad_ports_are_refused(void **state)
{
	static const char *const cases[] = {"80,", ",80", "80,,81", "80-", "-80", "80-79", "80-81-82", "65536",
		"1-65536", "80 81", "80;81", "80\n81", "a", "80,\n", "99999999999999999999"};
	struct pw_portset ports;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(pw_sysctl_parse_ports(cases[i], &ports), -1);
}

static void numbers_are_parsed(void **state)
{
	uint32_t number;

	(void)state;
	assert_int_equal(pw_sysctl_parse_number("2\n", 2, &number), 0);
	assert_int_equal(number, 2);
	assert_int_equal(pw_sysctl_parse_number("4294967295\n", UINT32_MAX, &number), 0);
	assert_int_equal(number, UINT32_MAX);
	assert_int_equal(pw_sysctl_parse_number("3\n", 2, &number), -1);
	assert_int_equal(pw_sysctl_parse_number("4294967296\n", UINT32_MAX, &number), -1);
	assert_int_equal(pw_sysctl_parse_number("-1\n", 2, &number), -1);
	assert_int_equal(pw_sysctl_parse_number("\n", 2, &number), -1);
	assert_int_equal(pw_sysctl_parse_number("1 1\n", 2, &number), -1);
}

static void sockstat_is_parsed(void **state)
{
	struct pw_sockstat out;

	(void)state;
	assert_int_equal(
		pw_sockstat_parse(
			"sockets: used 300\nTCP: inuse 100 orphan 5 tw 40 alloc 9 mem 1\nUDP: inuse 20 mem 0\n",
			"TCP6: inuse 50\nUDP6: inuse 10\n", &out),
		0);
	assert_int_equal(out.tcp, 150);
	assert_int_equal(out.tcp_time_wait, 40);
	assert_int_equal(out.udp, 30);
	assert_int_equal(out.tcp_ports_max, 150 + 40 + (300 - 150 - 30));
	/* no IPv6; lines in another order; more words than known */
	assert_int_equal(
		pw_sockstat_parse(
			"UDP: inuse 1 mem 0 new 3\nTCP: new 1 inuse 2 orphan 0 tw 3\nsockets: used 4\n", NULL, &out),
		0);
	assert_int_equal(out.tcp, 2);
	assert_int_equal(out.udp, 1);
	assert_int_equal(out.tcp_ports_max, 2 + 3 + 1);
}

static void sockstat_saturates(void **state)
{
	struct pw_sockstat out;

	(void)state;
	/* orphans are inuse without being used: no underflow */
	assert_int_equal(
		pw_sockstat_parse("sockets: used 1\nTCP: inuse 100 orphan 100 tw 7\nUDP: inuse 20\n", NULL, &out), 0);
	assert_int_equal(out.tcp_ports_max, 107);
	assert_int_equal(pw_sockstat_parse("sockets: used -1\nTCP: inuse 5 tw -3\nUDP: inuse 0\n", NULL, &out), 0);
	assert_int_equal(out.tcp_time_wait, 0);
	assert_int_equal(out.tcp_ports_max, 5);
	assert_int_equal(
		pw_sockstat_parse(
			"sockets: used 4294967295\nTCP: inuse 4294967295 tw 99999999999999999999\nUDP: inuse 0\n",
			"TCP6: inuse 4294967295\nUDP6: inuse 1\n", &out),
		0);
	assert_int_equal(out.tcp, UINT32_MAX);
	assert_int_equal(out.tcp_ports_max, UINT32_MAX);
}

static void bad_sockstat_is_refused(void **state)
{
	static const char *const cases[] = {"", "TCP: inuse 1 tw 2\nUDP: inuse 3\n",
		"sockets: used 1\nTCP: inuse 1\nUDP: inuse 1\n", "sockets: used 1\nTCP: inuse 1 tw 2\n",
		"sockets: used x\nTCP: inuse 1 tw 2\nUDP: inuse 3\n",
		"sockets: used 1\nTCP: inuse 1 tw \nUDP: inuse 3\n",
		"sockets: used 1\nTCP:inuse 1 tw 2\nUDP: inuse 3\n"};
	struct pw_sockstat out;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(pw_sockstat_parse(cases[i], NULL, &out), -1);
	assert_int_equal(
		pw_sockstat_parse("sockets: used 1\nTCP: inuse 1 tw 2\nUDP: inuse 3\n", "TCP6: inuse 1\n", &out), -1);
}

/* --- reading --- */

struct fixture {
	struct fake *fake;
	struct pw_input input;
	struct pw_range range;
	struct pw_error err;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->fake = fake_new();
	f->input = fake_input(f->fake);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(f->fake->closed, f->fake->total_opened);
	fake_free(f->fake);
	free(f);
	return 0;
}

static void settings_are_read(void **state)
{
	struct fixture *f = *state;

	fake_text(f->fake, PW_STREAM_RANGE, "40001\t40100\n");
	fake_text(f->fake, PW_STREAM_RESERVED, "40010-40012\n");
	fake_text(f->fake, PW_STREAM_TW_REUSE, "1\n");
	fake_text(f->fake, PW_STREAM_TW_REUSE_DELAY, "250\n");
	fake_text(f->fake, PW_STREAM_TIMESTAMPS, "0\n");
	assert_int_equal(pw_sysctl_read(&f->input, &f->range, &f->err), PW_READ_OK);
	assert_int_equal(f->range.low, 40001);
	assert_int_equal(f->range.high, 40100);
	assert_int_equal(pw_portset_count(&f->range.reserved), 3);
	assert_int_equal(f->range.tw_reuse, PW_TW_REUSE_ON);
	assert_int_equal(f->range.tw_reuse_delay_ms, 250);
	assert_false(f->range.timestamps);
}

static void absent_settings_have_their_fixed_value(void **state)
{
	struct fixture *f = *state;

	memset(&f->range, 0xff, sizeof(f->range));
	fake_text(f->fake, PW_STREAM_RANGE, "40000\t40099\n");
	assert_int_equal(pw_sysctl_read(&f->input, &f->range, &f->err), PW_READ_OK);
	assert_int_equal(pw_portset_count(&f->range.reserved), 0);
	assert_int_equal(f->range.tw_reuse, PW_TW_REUSE_OFF);
	assert_int_equal(f->range.tw_reuse_delay_ms, 1000);
	assert_true(f->range.timestamps);
}

static void missing_range_means_gone(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(pw_sysctl_read(&f->input, &f->range, &f->err), PW_READ_GONE);
	/* as it is with a descriptor that is kept open: opening works, reading does not */
	fake_read_error(fake_add(f->fake, PW_STREAM_RANGE), ENOENT);
	assert_int_equal(pw_sysctl_read(&f->input, &f->range, &f->err), PW_READ_GONE);
}

static void errors_are_told(void **state)
{
	struct fixture *f = *state;

	fake_fail(f->fake, PW_STREAM_RANGE, EACCES);
	assert_int_equal(pw_sysctl_read(&f->input, &f->range, &f->err), PW_READ_FAILED);
	assert_string_equal(f->err.text, "net.ipv4.ip_local_port_range: Permission denied");
	fake_text(f->fake, PW_STREAM_RANGE, "40000\t40099\n");
	fake_read_error(fake_add(f->fake, PW_STREAM_TIMESTAMPS), EIO);
	assert_int_equal(pw_sysctl_read(&f->input, &f->range, &f->err), PW_READ_FAILED);
	assert_string_equal(f->err.text, "net.ipv4.tcp_timestamps: Input/output error");
}

static void strange_content_is_an_error(void **state)
{
	static const struct {
		enum pw_stream stream;
		const char *text;
	} cases[] = {{PW_STREAM_RANGE, "0\t0\n"}, {PW_STREAM_RESERVED, "1,,2\n"}, {PW_STREAM_TW_REUSE, "3\n"},
		{PW_STREAM_TW_REUSE_DELAY, "2147483648\n"}, {PW_STREAM_TIMESTAMPS, "yes\n"}, {PW_STREAM_TW_REUSE, ""}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct fixture f = {.fake = fake_new()};

		f.input = fake_input(f.fake);
		if (cases[i].stream != PW_STREAM_RANGE)
			fake_text(f.fake, PW_STREAM_RANGE, "40000\t40099\n");
		fake_text(f.fake, cases[i].stream, cases[i].text);
		assert_int_equal(pw_sysctl_read(&f.input, &f.range, &f.err), PW_READ_FAILED);
		assert_non_null(strstr(f.err.text, "not understood"));
		fake_free(f.fake);
	}
}

/* A NUL in a text would hide what follows it. */
static void nul_is_an_error(void **state)
{
	struct fixture *f = *state;

	fake_read_data(fake_add(f->fake, PW_STREAM_RANGE), "40000\t40099\n\0x", 14, 0);
	assert_int_equal(pw_sysctl_read(&f->input, &f->range, &f->err), PW_READ_FAILED);
}

/* Every other port is reserved: far more than fits the first try. */
static void long_list_is_read_whole(void **state)
{
	struct fixture *f = *state;
	char *text = malloc(400000);
	size_t len = 0;

	for (unsigned port = 1; port < 65536; port += 2)
		len += (size_t)sprintf(text + len, "%s%u", port > 1 ? "," : "", port);
	strcpy(text + len, "\n");
	assert_true(len < 256 * 1024 && len > 100000);
	fake_text(f->fake, PW_STREAM_RANGE, "40000\t40099\n");
	fake_text(f->fake, PW_STREAM_RESERVED, text);
	free(text);
	assert_int_equal(pw_sysctl_read(&f->input, &f->range, &f->err), PW_READ_OK);
	assert_int_equal(pw_portset_count(&f->range.reserved), 32768);
	assert_int_equal(f->fake->opened[PW_STREAM_RESERVED], 2);
}

static void sockstat_is_read(void **state)
{
	struct fixture *f = *state;
	struct pw_sockstat out;

	fake_settings(f->fake);
	assert_int_equal(pw_sockstat_read(&f->input, &out, &f->err), PW_READ_OK);
	assert_int_equal(out.tcp, 11);
	assert_int_equal(out.udp, 3);
	assert_int_equal(out.tcp_ports_max, 11 + 3 + (20 - 11 - 3));
}

static void sockstat_errors_are_told(void **state)
{
	struct fixture *f = *state;
	struct pw_sockstat out;

	assert_int_equal(pw_sockstat_read(&f->input, &out, &f->err), PW_READ_FAILED);
	assert_string_equal(f->err.text, "/proc/net/sockstat: No such file or directory");
	fake_text(f->fake, PW_STREAM_SOCKSTAT, "sockets: used 1\n");
	assert_int_equal(pw_sockstat_read(&f->input, &out, &f->err), PW_READ_FAILED);
	assert_non_null(strstr(f->err.text, "not understood"));
	fake_fail(f->fake, PW_STREAM_SOCKSTAT6, EMFILE);
	assert_int_equal(pw_sockstat_read(&f->input, &out, &f->err), PW_READ_FAILED);
	assert_string_equal(f->err.text, "/proc/net/sockstat6: Too many open files");
}

#define WITH_FAKE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(range_is_parsed),
		cmocka_unit_test(bad_range_is_refused),
		cmocka_unit_test(ports_are_parsed),
		cmocka_unit_test(bad_ports_are_refused),
		cmocka_unit_test(numbers_are_parsed),
		cmocka_unit_test(sockstat_is_parsed),
		cmocka_unit_test(sockstat_saturates),
		cmocka_unit_test(bad_sockstat_is_refused),
		WITH_FAKE(settings_are_read),
		WITH_FAKE(absent_settings_have_their_fixed_value),
		WITH_FAKE(missing_range_means_gone),
		WITH_FAKE(errors_are_told),
		cmocka_unit_test(strange_content_is_an_error),
		WITH_FAKE(nul_is_an_error),
		WITH_FAKE(long_list_is_read_whole),
		WITH_FAKE(sockstat_is_read),
		WITH_FAKE(sockstat_errors_are_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

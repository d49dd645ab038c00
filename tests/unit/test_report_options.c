/* SPDX-License-Identifier: BSD-2-Clause */
/* The command line: what each option sets, which mistakes are told in which words, what is laid over the configuration. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "report/asked.h"

#define MAX_ARGUMENTS 24

/* Splits at blanks; no argument of these tests has one. */
static enum pw_command parse(struct pw_options *options, const char *line, struct pw_error *err)
{
	static char name[] = "portwatch", words[512];
	char *argv[MAX_ARGUMENTS + 1] = {name};
	int argc = 1;

	snprintf(words, sizeof(words), "%s", line);
	for (char *word = strtok(words, " "); word != NULL; word = strtok(NULL, " ")) {
		assert_true(argc < MAX_ARGUMENTS);
		argv[argc++] = word;
	}
	err->text[0] = '\0';
	return pw_options_parse(options, argc, argv, err);
}

static void expect_ok(struct pw_options *options, const char *line)
{
	struct pw_error err;

	if (parse(options, line, &err) != PW_COMMAND_REPORT)
		fail_msg("'%s': %s", line, err.text);
}

static void test_defaults(void **state)
{
	struct pw_options o;

	(void)state;
	expect_ok(&o, "");
	assert_int_equal(o.format, PW_FORMAT_TABLE);
	assert_int_equal(o.watch_ms, 0);
	assert_int_equal(o.top, 0);
	assert_false(o.all || o.explain || o.probe_given);
	assert_int_equal(o.timeout_s, 0);
	pw_options_clear(&o);
}

static void test_values(void **state)
{
	struct pw_options o;

	(void)state;
	expect_ok(&o,
		"--json --all --watch=0.25 --top 7 --color never --probe=off --config a --netns blue --netns /proc/1/ns/net");
	assert_int_equal(o.format, PW_FORMAT_json);
	assert_true(o.all);
	assert_int_equal(o.watch_ms, 250);
	assert_int_equal(o.top, 7);
	assert_int_equal(o.colour, PW_COLOUR_NEVER);
	assert_true(o.probe_given);
	assert_int_equal(o.probe, PW_PROBE_OFF);
	assert_string_equal(o.config, "a");
	assert_int_equal(o.n_netns, 2);
	assert_string_equal(o.netns[1], "/proc/1/ns/net");
	pw_options_clear(&o);

	expect_ok(&o, "--watch --explain");
	assert_int_equal(o.watch_ms, 2000);
	assert_true(o.explain);
	pw_options_clear(&o);

	expect_ok(&o, "--record x");
	assert_string_equal(o.record, "x");
	pw_options_clear(&o);

	expect_ok(&o, "--replay y");
	assert_string_equal(o.replay, "y");
	pw_options_clear(&o);
}

static void test_filters(void **state)
{
	struct pw_options o;

	(void)state;
	expect_ok(&o,
		"--kind connect,bind --protocol UDP --state warning,critical --state exhausted --port 443,8443 --port 1 "
		"--local 10.0.0.0/8 --remote 192.0.2.1,2001:db8::/32");
	assert_int_equal(o.match.kinds, 1u << PW_KIND_CONNECT | 1u << PW_KIND_BIND);
	assert_int_equal(o.match.protocols, PW_MATCH_UDP);
	assert_int_equal(o.states, 1u << PW_STATE_WARNING | 1u << PW_STATE_CRITICAL | 1u << PW_STATE_EXHAUSTED);
	assert_int_equal(o.match.n_ports, 3);
	assert_int_equal(o.match.ports[1], 8443);
	assert_int_equal(o.match.n_local, 1);
	assert_int_equal(o.match.local[0].prefix, 8);
	assert_int_equal(o.match.n_remote, 2);
	assert_int_equal(o.match.remote[1].prefix, 32);
	assert_null(o.match.ns);
	pw_options_clear(&o);
}

static void test_check(void **state)
{
	struct pw_options o;

	(void)state;
	expect_ok(&o, "--check -w 50% -c 80 --free-below 2000 -t 3");
	assert_int_equal(o.format, PW_FORMAT_CHECK);
	assert_int_equal(o.warning, 50);
	assert_int_equal(o.critical, 80);
	assert_int_equal(o.free_below, 2000);
	assert_int_equal(o.timeout_s, 3);
	pw_options_clear(&o);

	expect_ok(&o, "--check --warning 1 --critical 100");
	assert_int_equal(o.timeout_s, 10);
	pw_options_clear(&o);
}

static void test_commands(void **state)
{
	struct pw_options o;
	struct pw_error err;

	(void)state;
	assert_int_equal(parse(&o, "--help", &err), PW_COMMAND_HELP);
	pw_options_clear(&o);
	assert_int_equal(parse(&o, "-V", &err), PW_COMMAND_VERSION);
	pw_options_clear(&o);
	/* a mistake beside it still is one */
	assert_int_equal(parse(&o, "--help --nonsense", &err), PW_COMMAND_USAGE_ERROR);
	pw_options_clear(&o);
}

static void test_mistakes(void **state)
{
	static const struct {
		const char *line, *text;
	} cases[] = {
		{"--nonsense", "unknown or ambiguous option '--nonsense'"},
		{"--re x", "unknown or ambiguous option '--re'"},
		{"-x", "unknown option '-x'"},
		{"--top", "option '--top' needs a value"},
		{"--check -w", "option '-w' needs a value"},
		{"--all=yes", "option '--all' takes no value"},
		{"word", "unexpected argument 'word'"},
		{"--top 0", "--top: '0' is no number of pools, expected 1 to 1000000"},
		{"--top 5x", "--top: '5x' is no number of pools, expected 1 to 1000000"},
		{"--top -5", "--top: '-5' is no number of pools, expected 1 to 1000000"},
		{"--top 99999999999999999999",
			"--top: '99999999999999999999' is no number of pools, expected 1 to 1000000"},
		{"--kind socket", "--kind: unknown value 'socket', expected one of: connect, bind, snat"},
		{"--kind connect,", "--kind: unknown value '', expected one of: connect, bind, snat"},
		{"--protocol sctp", "--protocol: unknown value 'sctp', expected one of: tcp, udp"},
		{"--state bad", "--state: unknown value 'bad', expected one of: normal, warning, critical, exhausted"},
		{"--color blue", "--color: unknown value 'blue', expected one of: auto, always, never"},
		{"--backend ebpf", "--backend: unknown value 'ebpf', expected one of: auto, bpf, netlink"},
		{"--record a --backend=bpf", "--record excludes --backend=bpf: a record is made of netlink's answers"},
		{"--replay a --backend=netlink",
			"--replay excludes --netns, --backend and --probe: a record is all there is"},
		{"--probe maybe", "--probe: unknown value 'maybe', expected one of: auto, on, off"},
		{"--port 0", "--port: '0' is no port number, expected 1 to 65535"},
		{"--port 443,65536", "--port: '65536' is no port number, expected 1 to 65535"},
		{"--remote 10.0.0.1/8",
			"--remote: '10.0.0.1/8': bits are set right of the prefix length, expected an address or a "
			"network such as 192.0.2.0/24"},
		{"--local example.org",
			"--local: 'example.org': not an IPv4 or IPv6 address, expected an address or a network such as "
			"192.0.2.0/24"},
		{"--watch=0", "--watch: '0' is no interval, expected 0.1 to 86400 seconds"},
		{"--watch=nan", "--watch: 'nan' is no interval, expected 0.1 to 86400 seconds"},
		{"--watch=1s", "--watch: '1s' is no interval, expected 0.1 to 86400 seconds"},
		{"--check -w 0", "-w: '0' is no threshold, expected 1 to 100 percent"},
		{"--check -w 101", "-w: '101' is no threshold, expected 1 to 100 percent"},
		{"--check -c 80%%", "-c: '80%%' is no threshold, expected 1 to 100 percent"},
		{"--check -c 123456789", "-c: '123456789' is no threshold, expected 1 to 100 percent"},
		{"--check --free-below 0", "--free-below: '0' is no number of ports, expected 1 to 65536"},
		{"--check -t 0", "-t: '0' is no time, expected 1 to 3600 seconds"},
		{"--check -w 80 -c 50", "-w 80 is above -c 50"},
		{"-w 50", "-w, -c, -t and --free-below belong to --check"},
		{"--json --check", "--json and --check exclude each other"},
		{"--check --json", "--json and --check exclude each other"},
		{"--check --watch", "--check and --watch exclude each other"},
		{"--openmetrics --json", "--json and --openmetrics exclude each other"},
		{"--openmetrics --watch", "--openmetrics and --watch exclude each other"},
		{"--explain --json", "--explain excludes --json, --openmetrics and --check"},
		{"--alarms --events", "--alarms, --events, --explain, --watch and --check exclude each other"},
		{"--events --watch", "--alarms, --events, --explain, --watch and --check exclude each other"},
		{"--alarms --check", "--alarms, --events, --explain, --watch and --check exclude each other"},
		{"--explain --alarms", "--alarms, --events, --explain, --watch and --check exclude each other"},
		{"--events --json", "--alarms and --events exclude --json: --json tells both"},
		{"--alarms --all", "--all is not for what portwatchd tells"},
		{"--events --netns a", "--netns is not for --alarms and --events"},
		{"--netns * --socket a", "--netns '*' is not for what portwatchd tells"},
		{"--no-daemon --socket a", "--no-daemon is not for what portwatchd tells"},
		{"--record a --replay b", "--record and --replay exclude each other"},
		{"--watch --record a", "--watch excludes --record and --replay: a record holds one poll"},
		{"--replay a --netns b", "--replay excludes --netns, --backend and --probe: a record is all there is"},
		{"--record a --netns *", "--record takes one namespace at a time"},
		{"--netns a --netns *", "--netns '*' excludes other names"},
		{"--replay a --netns *", "--replay excludes --netns, --backend and --probe: a record is all there is"},
		{"--record a --netns b --netns c", "--record takes one namespace at a time"},
		/* the first of several is told */
		{"--top x --port y", "--top: 'x' is no number of pools, expected 1 to 1000000"},
	};
	struct pw_options o;
	struct pw_error err;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(parse(&o, cases[i].line, &err), PW_COMMAND_USAGE_ERROR);
		assert_string_equal(err.text, cases[i].text);
		/* whoever asked for a plugin gets a plugin's answer, wherever --check stands */
		assert_int_equal(o.format == PW_FORMAT_CHECK, strstr(cases[i].line, "--check") != NULL);
		pw_options_clear(&o);
	}
}

static void test_check_behind_mistake(void **state)
{
	struct pw_options o;
	struct pw_error err;

	(void)state;
	assert_int_equal(parse(&o, "--nonsense -w x --check", &err), PW_COMMAND_USAGE_ERROR);
	assert_int_equal(o.format, PW_FORMAT_CHECK);
	assert_string_equal(err.text, "unknown or ambiguous option '--nonsense'");
	pw_options_clear(&o);
}

/* A configuration file of this text; unlink it. */
static void write_config(char path[64], const char *text)
{
	int fd;

	snprintf(path, 64, "/tmp/portwatch-options-XXXXXX");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

static struct pw_config *configured(struct pw_options *o, const char *line, const char *text, struct pw_error *err)
{
	struct pw_config *config;
	char path[64];

	expect_ok(o, line);
	write_config(path, text);
	o->config = path;
	config = pw_asked_config(o, err);
	unlink(path);
	return config;
}

static void test_config_overrides(void **state)
{
	static const char text[] =
		"warning { rise = 40 }\ncritical { rise = 90 }\nnotify { for = 3 }\ntop = 4\nmax-alarms = 20\n"
		"pool \"p\" { port = { 443 } warning { rise = 20 } }\n";
	struct pw_options o;
	struct pw_error err;
	struct pw_config *config = configured(&o, "--check -w 60 --free-below 100 --probe on", text, &err);

	(void)state;
	assert_non_null(config);
	assert_int_equal(config->probe, PW_PROBE_ON);
	assert_int_equal(config->policy.defaults.warning.rise, 60);
	assert_int_equal(config->policy.defaults.critical.rise, 90);
	assert_int_equal(config->policy.rules[0].thresholds.warning.rise, 60);
	assert_int_equal(config->policy.rules[0].thresholds.free_below, 100);
	/* one poll can't hold for three */
	assert_int_equal(config->policy.defaults.for_polls, 1);
	assert_int_equal(config->policy.rules[0].thresholds.for_polls, 1);
	assert_int_equal(config->policy.max_alarms, UINT32_MAX);
	assert_int_equal(o.rows, PW_ROWS_ALL);
	assert_int_equal(o.top, 4);
	assert_true(o.ranked);
	pw_config_free(config);
	pw_options_clear(&o);
}

static void test_config_watching(void **state)
{
	struct pw_options o;
	struct pw_error err;
	struct pw_config *config = configured(&o, "--watch", "notify { for = 3 }\nmin-used = 5\n", &err);

	(void)state;
	assert_non_null(config);
	assert_int_equal(config->policy.defaults.for_polls, 3);
	assert_int_equal(config->policy.min_used, 5);
	assert_int_equal(o.rows, PW_ROWS_LISTED);
	pw_config_free(config);
	pw_options_clear(&o);
}

static void test_config_mistakes(void **state)
{
	struct pw_options o;
	struct pw_error err;

	(void)state;
	assert_null(configured(&o, "", "\nmin-used = x\ntop = y\n", &err));
	assert_non_null(strstr(err.text, ":2: "));
	assert_non_null(strstr(err.text, ":3: "));
	pw_options_clear(&o);
	assert_null(configured(&o, "--check -w 85", "", &err));
	assert_string_equal(err.text, "-w 85 is above the critical threshold of 80: give -c too");
	pw_options_clear(&o);
}

static void test_limits(void **state)
{
	static const struct {
		const char *line;
		enum pw_rows_wanted rows;
		uint32_t top;
		bool ranked;
	} cases[] = {
		{"", PW_ROWS_LISTED, 10, true},
		{"--all", PW_ROWS_ALL, UINT32_MAX, true},
		{"--all --top 3", PW_ROWS_ALL, 3, true},
		{"--top 30", PW_ROWS_LISTED, 30, true},
		{"--port 443", PW_ROWS_OMITTED, 10, true},
		{"--json", PW_ROWS_LISTED, UINT32_MAX, false},
		{"--json --all", PW_ROWS_ALL, UINT32_MAX, false},
		{"--json --top 3", PW_ROWS_LISTED, 3, true},
		{"--json --state critical", PW_ROWS_OMITTED, UINT32_MAX, false},
		{"--check", PW_ROWS_ALL, 10, true},
		{"--explain", PW_ROWS_ALL, 10, true},
	};
	struct pw_options o;
	struct pw_error err;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct pw_config *config;

		expect_ok(&o, cases[i].line);
		config = pw_asked_config(&o, &err);
		assert_non_null(config);
		assert_int_equal(o.rows, cases[i].rows);
		assert_int_equal(o.top, cases[i].top);
		assert_int_equal(o.ranked, cases[i].ranked);
		pw_config_free(config);
		pw_options_clear(&o);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_filters),
		cmocka_unit_test(test_check),
		cmocka_unit_test(test_commands),
		cmocka_unit_test(test_mistakes),
		cmocka_unit_test(test_check_behind_mistake),
		cmocka_unit_test(test_config_overrides),
		cmocka_unit_test(test_config_watching),
		cmocka_unit_test(test_config_mistakes),
		cmocka_unit_test(test_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

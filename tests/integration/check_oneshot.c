/* SPDX-License-Identifier: BSD-2-Clause */
/* One look of the command, without a daemon: which backend it takes, and how many ports in doubt it asks about. The clock and the number of sockets
 * are ours, all else is the kernel's. Needs root. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <config.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/probe.h"
#include "kernel/sockstat.h"
#include "kernel/walk.h"
#include "netns.h"
#include "report/asked.h"
#include "report/poll.h"

#define CONNECTIONS 900
#define BUDGET_MS 100
#define WALK_PAYS 100000
#define PART 256 /* ports that are asked about before time is looked at */

/* --- what is ours --- */

static uint64_t now_us, step_us;
static uint32_t sockets, time_wait; /* to be told; 0: as it is */
static bool refuses_to_walk;

uint64_t __wrap_pw_clock_boot_us(void);
enum pw_read_status __real_pw_sockstat_read(struct pw_input *input, struct pw_sockstat *out, struct pw_error *err);
enum pw_read_status __wrap_pw_sockstat_read(struct pw_input *input, struct pw_sockstat *out, struct pw_error *err);

uint64_t __wrap_pw_clock_boot_us(void)
{
	return now_us += step_us;
}

enum pw_read_status __wrap_pw_sockstat_read(struct pw_input *input, struct pw_sockstat *out, struct pw_error *err)
{
	const enum pw_read_status status = __real_pw_sockstat_read(input, out, err);

	if (sockets != 0) {
		out->tcp = sockets;
		out->tcp_time_wait = time_wait;
		out->tcp_ports_max = sockets + time_wait;
	}
	return status;
}

#ifdef HAVE_BPF
struct bpf_test_run_opts;
int __real_bpf_prog_test_run_opts(int fd, struct bpf_test_run_opts *options);
int __wrap_bpf_prog_test_run_opts(int fd, struct bpf_test_run_opts *options);

int __wrap_bpf_prog_test_run_opts(int fd, struct bpf_test_run_opts *options)
{
	return refuses_to_walk ? -EIO : __real_bpf_prog_test_run_opts(fd, options);
}
#endif

/* --- a look --- */

struct look {
	enum pw_basis basis;
	uint32_t blocked, ambiguous;
	bool no_time;
	char why[160]; /* not read by BPF */
};

static bool take_look(char *const extra, struct look *out)
{
	char *argv[] = {(char[]){"portwatch"}, (char[]){"--no-daemon"}, (char[]){"--all"}, extra, NULL};
	struct pw_error err = {""};
	struct pw_report report = {.watching = false};
	struct pw_options options;
	const struct pw_snapshot *snapshot;
	struct pw_config *config;
	struct pw_poller *poller;

	assert_int_equal(pw_options_parse(&options, extra != NULL ? 4 : 3, argv, &err), PW_COMMAND_REPORT);
	config = pw_asked_config(&options, &err);
	assert_non_null(config);
	poller = pw_poller_new(&options, config, &err);
	if (poller == NULL) {
		print_message("%s\n", err.text);
		pw_config_free(config);
		pw_options_clear(&options);
		return false;
	}
	snapshot = pw_poller_poll(poller, &report, &err);
	if (snapshot == NULL) {
		print_message("%s\n", err.text);
		pw_poller_free(poller);
		pw_config_free(config);
		pw_options_clear(&options);
		return false;
	}
	*out = (struct look){.basis = snapshot->namespaces[0].basis,
		.blocked = snapshot->namespaces[0].blocked,
		.ambiguous = report.notes[0].ambiguous,
		.no_time = report.notes[0].unprobed != NULL};
	snprintf(out->why, sizeof(out->why), "%s", snapshot->namespaces[0].basis_reason);
	pw_snapshot_unref(snapshot);
	pw_poller_free(poller);
	pw_config_free(config);
	pw_options_clear(&options);
	return true;
}

/* --- tests --- */

static int setup(void **state)
{
	(void)state;
	now_us = 1000000;
	step_us = 0;
	sockets = time_wait = 0;
	refuses_to_walk = false;
	netns_enter();
	netns_loopback(true);
	netns_sysctl("ipv4/ip_local_port_range", "40000 42999");
	socket_listening("127.0.0.2", 80, 0);
	return 0;
}

/* Nothing tells at the first look whether a connection got its port from connect(). */
static void connect_many(void)
{
	for (int i = 0; i < CONNECTIONS; i++)
		socket_connected(SOCK_STREAM, NULL, 0, "127.0.0.2", 80, 0);
}

static void skip_without_probes(void)
{
	struct pw_probe *probe = pw_probe_open();

	if (probe == NULL) {
		print_message("no probes: %s\n", strerror(errno));
		skip();
	}
	pw_probe_close(probe);
}

static void skip_without_walk(void)
{
	struct pw_error err;
	struct pw_backend *walk = pw_walk_backend(&err);

	if (walk == NULL) {
		print_message("%s\n", err.text);
		skip();
	}
	walk->free(walk);
}

static void all_ports_in_doubt_are_asked_about_at_once(void **state)
{
	struct look look;

	(void)state;
	skip_without_probes();
	connect_many();
	for (int i = 0; i < 3; i++)
		socket_connected(SOCK_STREAM, "127.0.0.1", 0, "127.0.0.2", 80, 0);
	assert_true(take_look((char[]){"--backend=netlink"}, &look));
	assert_int_equal(look.basis, PW_BASIS_PROBED);
	assert_int_equal(look.ambiguous, 0);
	assert_int_equal(look.blocked, 3);
	assert_false(look.no_time);
}

/* Time is looked at once before each part. */
static void it_takes_no_more_than_its_time(void **state)
{
	const uint64_t steps_ms[] = {30, 49, 50, BUDGET_MS};
	struct look look;

	(void)state;
	skip_without_probes();
	connect_many();
	for (size_t i = 0; i < sizeof(steps_ms) / sizeof(steps_ms[0]); i++) {
		const uint32_t parts = (uint32_t)((BUDGET_MS - 1) / steps_ms[i]);

		step_us = steps_ms[i] * 1000;
		assert_true(take_look((char[]){"--backend=netlink"}, &look));
		assert_int_equal(look.ambiguous, CONNECTIONS - parts * PART);
		assert_int_equal(look.basis, PW_BASIS_INFERRED);
		assert_true(look.no_time);
	}
	/* who insists gets all answers */
	assert_true(take_look((char[]){"--probe=on"}, &look));
	assert_int_equal(look.ambiguous, 0);
}

static void the_walk_is_taken_where_loading_pays(void **state)
{
	struct look look;

	(void)state;
	skip_without_walk();
	assert_true(take_look(NULL, &look));
	assert_int_not_equal(look.basis, PW_BASIS_READ);
	assert_string_equal(look.why, ""); /* nothing went wrong */
	sockets = WALK_PAYS - 1;
	assert_true(take_look(NULL, &look));
	assert_int_not_equal(look.basis, PW_BASIS_READ);
	time_wait = 1; /* which is walked over as well */
	assert_true(take_look(NULL, &look));
	assert_int_equal(look.basis, PW_BASIS_READ);
	assert_true(take_look((char[]){"--backend=netlink"}, &look));
	assert_int_not_equal(look.basis, PW_BASIS_READ);
	sockets = time_wait = 0;
	/* by netlink each would be a walk over the table of all */
	assert_true(take_look((char[]){"--netns=*"}, &look));
	assert_int_equal(look.basis, PW_BASIS_READ);
	assert_true(take_look((char[]){"--backend=bpf"}, &look));
	assert_int_equal(look.basis, PW_BASIS_READ);
}

/* There is no next look that could have the numbers. */
static void a_walk_that_fails_is_made_good_at_once(void **state)
{
	struct look look;

	(void)state;
	skip_without_walk();
	for (int i = 0; i < 3; i++)
		socket_connected(SOCK_STREAM, "127.0.0.1", 0, "127.0.0.2", 80, 0);
	refuses_to_walk = true;
	sockets = WALK_PAYS;
	assert_true(take_look(NULL, &look));
	assert_int_not_equal(look.basis, PW_BASIS_READ);
	assert_int_equal(look.blocked, 3);
	assert_non_null(strstr(look.why, "Input/output error"));
	assert_false(take_look((char[]){"--backend=bpf"}, &look));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(all_ports_in_doubt_are_asked_about_at_once, setup),
		cmocka_unit_test_setup(it_takes_no_more_than_its_time, setup),
		cmocka_unit_test_setup(the_walk_is_taken_where_loading_pays, setup),
		cmocka_unit_test_setup(a_walk_that_fails_is_made_good_at_once, setup),
	};

	if (!netns_possible())
		return EXIT_SKIPPED;
	return cmocka_run_group_tests(tests, NULL, NULL);
}

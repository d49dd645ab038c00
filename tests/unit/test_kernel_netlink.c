/* SPDX-License-Identifier: BSD-2-Clause */
/* A whole take over scripted input: retries, fallbacks, failures of one protocol, captures. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kernel/capture.h"
#include "kernel/namespace.h"
#include "kernel/sysctl.h"
#include "kernel_fake.h"

#define HEADING "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
/* port 40000 */
#define PROC_LINE "  0: 0100007F:9C40 0100007F:0050 01 00000000:00000000 00:00000000 00000000  0  0 12345 1\n"

struct fixture {
	struct fake *fake;
	struct pw_namespace *ns;
	char log[4096];
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->fake = fake_new();
	f->ns = pw_namespace_new(1, "", NULL);
	f->ns->input = fake_input(f->fake);
	fake_settings(f->fake);
	assert_int_equal(pw_sysctl_read(&f->ns->input, &f->ns->range, &f->ns->err), PW_READ_OK);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(f->fake->closed, f->fake->total_opened);
	pw_namespace_free(f->ns);
	fake_free(f->fake);
	free(f);
	return 0;
}

/* One poll; what it logs is kept. */
static int poll_sockets(struct fixture *f)
{
	FILE *catcher = tmpfile();
	int saved = dup(STDERR_FILENO);
	int status;
	size_t n;

	fflush(stderr);
	dup2(fileno(catcher), STDERR_FILENO);
	f->ns->err.text[0] = '\0';
	status = pw_netlink_take(f->ns);
	fflush(stderr);
	dup2(saved, STDERR_FILENO);
	close(saved);
	rewind(catcher);
	n = fread(f->log, 1, sizeof(f->log) - 1, catcher);
	f->log[n] = '\0';
	fclose(catcher);
	return status;
}

/* n connected sockets on the ports from 40000 on, every second one, as connect() hands them out. */
static struct datagram sockets(uint16_t type, unsigned n)
{
	struct datagram d = {.len = 0};

	for (unsigned i = 0; i < n; i++) {
		const struct message message = {.local = "10.0.0.1",
			.remote = type == TCPDIAG_GETSOCK ? "10.0.0.9" : NULL,
			.local_port = (uint16_t)(40000 + 2 * i),
			.remote_port = type == TCPDIAG_GETSOCK ? 80 : 0,
			.state = type == TCPDIAG_GETSOCK ? PW_ESTABLISHED : PW_CLOSE,
			.inode = 5,
			.cookie = i + 1};

		datagram_socket(&d, type, &message);
	}
	return d;
}

static void script_dump(struct fixture *f, enum pw_stream stream, unsigned n)
{
	const bool udp = stream == PW_STREAM_DUMP_UDP || stream == PW_STREAM_DUMP_UDP6;
	struct datagram d = sockets(udp ? SOCK_DIAG_BY_FAMILY : TCPDIAG_GETSOCK, n);

	fake_dump(f->fake, stream, &d);
}

/* A dump that gives some sockets and then breaks. */
static void script_broken(struct fixture *f, enum pw_stream stream, unsigned n, int error)
{
	const bool udp = stream == PW_STREAM_DUMP_UDP || stream == PW_STREAM_DUMP_UDP6;
	struct datagram d = sockets(udp ? SOCK_DIAG_BY_FAMILY : TCPDIAG_GETSOCK, n);
	struct fake_open *open = fake_add(f->fake, stream);

	fake_read_data(open, d.bytes, d.len, 0);
	fake_read_error(open, error);
}

static void check_counts(const struct fixture *f, uint32_t tcp, uint32_t udp)
{
	const struct pw_census_totals *totals = pw_census_totals(f->ns->census);

	assert_int_equal(totals->tcp, tcp);
	assert_int_equal(totals->udp, udp);
}

static void all_dumps_are_added(void **state)
{
	struct fixture *f = *state;

	script_dump(f, PW_STREAM_DUMP_TCP, 10);
	script_dump(f, PW_STREAM_DUMP_UDP, 3);
	script_dump(f, PW_STREAM_DUMP_UDP6, 0);
	script_dump(f, PW_STREAM_DUMP_BOUND, 0);
	assert_int_equal(poll_sockets(f), 0);
	assert_false(f->ns->udp_failed);
	check_counts(f, 10, 3);
	assert_int_equal(f->ns->stats.retries, 0);
	assert_string_equal(f->log, "");
	assert_string_equal(f->ns->err.text, "");
}

static void broken_dumps_are_done_again(void **state)
{
	struct fixture *f = *state;

	script_broken(f, PW_STREAM_DUMP_TCP, 7, ENOBUFS);
	script_broken(f, PW_STREAM_DUMP_TCP, 8, EMSGSIZE);
	script_broken(f, PW_STREAM_DUMP_TCP, 9, ENOBUFS);
	script_dump(f, PW_STREAM_DUMP_TCP, 10);
	script_broken(f, PW_STREAM_DUMP_UDP, 1, ENOBUFS);
	script_dump(f, PW_STREAM_DUMP_UDP, 2);
	script_dump(f, PW_STREAM_DUMP_UDP6, 0);
	script_dump(f, PW_STREAM_DUMP_BOUND, 0);
	assert_int_equal(poll_sockets(f), 0);
	check_counts(f, 10, 2); /* and not those of the broken ones as well */
	assert_int_equal(f->ns->stats.retries, 4);
}

static void retries_are_bounded(void **state)
{
	struct fixture *f = *state;

	script_broken(f, PW_STREAM_DUMP_TCP, 7, ENOBUFS);
	script_dump(f, PW_STREAM_DUMP_UDP, 0);
	script_dump(f, PW_STREAM_DUMP_UDP6, 0);
	assert_int_equal(poll_sockets(f), -1);
	assert_int_equal(f->fake->opened[PW_STREAM_DUMP_TCP], 4);
	assert_string_equal(f->ns->err.text, "dump of the TCP sockets: No buffer space available");
}

static void udp_can_fail_alone(void **state)
{
	struct fixture *f = *state;

	script_dump(f, PW_STREAM_DUMP_TCP, 10);
	script_dump(f, PW_STREAM_DUMP_UDP, 3);
	script_broken(f, PW_STREAM_DUMP_UDP6, 2, EIO);
	script_dump(f, PW_STREAM_DUMP_BOUND, 0);
	assert_int_equal(poll_sockets(f), 0);
	assert_true(f->ns->udp_failed);
	check_counts(f, 10, 0);
	assert_string_equal(f->ns->err.text, "dump of the UDP over IPv6 sockets: Input/output error");
	assert_int_equal(f->fake->opened[PW_STREAM_DUMP_TCP], 1);
	assert_int_equal(f->fake->opened[PW_STREAM_DUMP_UDP], 1);
}

static void tcp_trouble_does_not_hide_the_udp_error(void **state)
{
	struct fixture *f = *state;

	script_broken(f, PW_STREAM_DUMP_TCP, 1, ENOBUFS);
	script_dump(f, PW_STREAM_DUMP_TCP, 10);
	fake_fail(f->fake, PW_STREAM_DUMP_UDP, EIO);
	script_dump(f, PW_STREAM_DUMP_BOUND, 0);
	assert_int_equal(poll_sockets(f), 0);
	assert_true(f->ns->udp_failed);
	assert_string_equal(f->ns->err.text, "dump of the UDP sockets: Input/output error");
}

static void tcp_failing_fails_the_poll(void **state)
{
	struct fixture *f = *state;

	script_dump(f, PW_STREAM_DUMP_UDP, 0);
	script_dump(f, PW_STREAM_DUMP_UDP6, 0);
	fake_fail(f->fake, PW_STREAM_DUMP_TCP, EMFILE);
	assert_int_equal(poll_sockets(f), -1);
	assert_string_equal(f->ns->err.text, "dump of the TCP sockets: Too many open files");
}

static void proc_is_read_where_inet_diag_is_not(void **state)
{
	struct fixture *f = *state;

	fake_text(f->fake, PW_STREAM_PROC_TCP, HEADING PROC_LINE PROC_LINE);
	fake_text(f->fake, PW_STREAM_PROC_UDP, HEADING PROC_LINE);
	assert_int_equal(poll_sockets(f), 0);
	assert_false(f->ns->udp_failed);
	check_counts(f, 2, 1);
	assert_non_null(strstr(f->log, "warning: no inet_diag for TCP"));
	assert_non_null(strstr(f->log, "warning: no inet_diag for UDP"));
	assert_int_equal(f->fake->opened[PW_STREAM_DUMP_BOUND], 0);
	/* said once */
	assert_int_equal(poll_sockets(f), 0);
	check_counts(f, 2, 1);
	assert_string_equal(f->log, "");
	/* and once when it is over */
	script_dump(f, PW_STREAM_DUMP_TCP, 10);
	script_dump(f, PW_STREAM_DUMP_UDP, 3);
	script_dump(f, PW_STREAM_DUMP_UDP6, 0);
	script_dump(f, PW_STREAM_DUMP_BOUND, 0);
	assert_int_equal(poll_sockets(f), 0);
	check_counts(f, 10, 3);
	assert_non_null(strstr(f->log, "notice: inet_diag for TCP is back"));
	assert_non_null(strstr(f->log, "notice: inet_diag for UDP is back"));
	assert_int_equal(poll_sockets(f), 0);
	assert_string_equal(f->log, "");
}

static void each_protocol_falls_back_alone(void **state)
{
	struct fixture *f = *state;

	script_dump(f, PW_STREAM_DUMP_UDP, 3);
	script_dump(f, PW_STREAM_DUMP_UDP6, 1);
	fake_text(f->fake, PW_STREAM_PROC_TCP, HEADING PROC_LINE);
	assert_int_equal(poll_sockets(f), 0);
	check_counts(f, 1, 4);
	assert_non_null(strstr(f->log, "no inet_diag for TCP"));
	assert_null(strstr(f->log, "UDP"));
}

static void too_many_udp_sockets_for_proc(void **state)
{
	struct fixture *f = *state;

	f->fake->n[PW_STREAM_SOCKSTAT] = 0;
	f->fake->opened[PW_STREAM_SOCKSTAT] = 0;
	free(f->fake->opens[PW_STREAM_SOCKSTAT][0].reads[0].data);
	f->fake->opens[PW_STREAM_SOCKSTAT][0] = (struct fake_open){.n = 0};
	fake_text(
		f->fake, PW_STREAM_SOCKSTAT, "sockets: used 20\nTCP: inuse 7 orphan 0 tw 3\nUDP: inuse 10000 mem 0\n");
	script_dump(f, PW_STREAM_DUMP_TCP, 10);
	script_dump(f, PW_STREAM_DUMP_BOUND, 0);
	assert_int_equal(poll_sockets(f), 0);
	assert_true(f->ns->udp_failed);
	check_counts(f, 10, 0);
	assert_string_equal(
		f->ns->err.text, "no inet_diag for UDP, and 10001 sockets are too many to read from /proc/net/udp");
	assert_int_equal(f->fake->opened[PW_STREAM_PROC_UDP], 0);
}

static void nothing_works(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(poll_sockets(f), -1);
	assert_string_equal(f->ns->err.text, "/proc/net/tcp: No such file or directory");
}

static const struct message ambiguous = {.local = "10.0.0.1",
	.remote = "10.0.0.9",
	.local_port = 40001,
	.remote_port = 80,
	.state = PW_ESTABLISHED,
	.inode = 5,
	.cookie = 99};

/* A port of the parity that connect() tries last is in doubt: it is asked which sockets are bound to explicit ports. */
static void bound_pass_finds_bound_ports(void **state)
{
	struct fixture *f = *state;
	struct datagram d = {.len = 0};

	datagram_socket(&d, TCPDIAG_GETSOCK, &ambiguous);
	fake_dump(f->fake, PW_STREAM_DUMP_TCP, &d);
	script_broken(f, PW_STREAM_DUMP_BOUND, 1, ENOBUFS);
	fake_dump(f->fake, PW_STREAM_DUMP_BOUND, &d);
	script_dump(f, PW_STREAM_DUMP_UDP, 0);
	script_dump(f, PW_STREAM_DUMP_UDP6, 0);
	assert_int_equal(poll_sockets(f), 0);
	check_counts(f, 1, 0);
	assert_true(pw_portset_has(pw_census_blocked(f->ns->census), 40001));
	assert_int_equal(f->ns->stats.bound_dumps, 2);
	assert_int_equal(f->ns->stats.retries, 1);
}

static void failing_bound_pass_fails_the_poll(void **state)
{
	struct fixture *f = *state;
	struct datagram d = {.len = 0};

	datagram_socket(&d, TCPDIAG_GETSOCK, &ambiguous);
	fake_dump(f->fake, PW_STREAM_DUMP_TCP, &d);
	fake_fail(f->fake, PW_STREAM_DUMP_BOUND, ENOMEM);
	script_dump(f, PW_STREAM_DUMP_UDP, 0);
	script_dump(f, PW_STREAM_DUMP_UDP6, 0);
	assert_int_equal(poll_sockets(f), -1);
	assert_string_equal(f->ns->err.text, "dump of the bound TCP sockets: Cannot allocate memory");
}

/* --- captures --- */

static int add_pool(const struct pw_pool_key *key, const struct pw_pool_counts *counts, void *context)
{
	char name[PW_POOL_NAME_MAX];

	fprintf(context, "%s %u %u\n", pw_pool_name(key, NULL, NULL, name), counts->used, counts->free);
	return 0;
}

static void check_replay(struct pw_namespace *ns, const struct fixture *f)
{
	const struct pw_range *range = &ns->range, *live_range = &f->ns->range;
	char *live, *replayed;
	size_t len;
	FILE *out = open_memstream(&live, &len);

	pw_source_each(pw_census_source(f->ns->census), 1, add_pool, out);
	fclose(out);
	for (int poll = 0; poll < 3; poll++) {
		assert_int_equal(pw_namespace_read(ns), PW_READ_OK);
		assert_true(range->low == live_range->low && range->high == live_range->high &&
			range->tw_reuse == live_range->tw_reuse);
		assert_int_equal(pw_netlink_take(ns), 0);
		assert_false(ns->udp_failed);
		assert_true(ns->stats.bytes > 0 && ns->stats.retries == 0);
		out = open_memstream(&replayed, &len);
		pw_source_each(pw_census_source(ns->census), 1, add_pool, out);
		fclose(out);
		assert_true(len > 0);
		assert_string_equal(replayed, live);
		free(replayed);
	}
	free(live);
}

static void a_capture_replays_the_poll(void **state)
{
	struct fixture *f = *state;
	struct pw_namespace *replay = pw_namespace_new(1, "", NULL);
	char path[] = "/tmp/test_kernel_netlink.XXXXXX";
	struct pw_range range;
	FILE *file;

	script_dump(f, PW_STREAM_DUMP_TCP, 10);
	script_dump(f, PW_STREAM_DUMP_UDP, 3);
	script_dump(f, PW_STREAM_DUMP_UDP6, 0);
	script_dump(f, PW_STREAM_DUMP_BOUND, 0);
	f->ns->capture = file = fdopen(mkstemp(path), "w+");
	assert_int_equal(pw_capture_start(&f->ns->input, file), 0);
	assert_int_equal(pw_namespace_read(f->ns), PW_READ_OK);
	assert_int_equal(poll_sockets(f), 0);
	assert_int_equal(f->ns->stats.bound_dumps, 1);
	pw_capture_end(&f->ns->input);
	/* behind the end: not written down */
	assert_int_equal(pw_sysctl_read(&f->ns->input, &range, &f->ns->err), PW_READ_OK);
	fclose(file);
	assert_int_equal(pw_capture_input_file(&replay->input, path, &f->ns->err), 0);
	unlink(path);
	assert_int_equal(pw_namespace_read(replay), PW_READ_OK);
	assert_memory_equal(&f->ns->counts, &replay->counts, sizeof(replay->counts));
	check_replay(replay, f);
	pw_namespace_free(replay);
}

#define POLL_TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		POLL_TEST(all_dumps_are_added),
		POLL_TEST(broken_dumps_are_done_again),
		POLL_TEST(retries_are_bounded),
		POLL_TEST(udp_can_fail_alone),
		POLL_TEST(tcp_trouble_does_not_hide_the_udp_error),
		POLL_TEST(tcp_failing_fails_the_poll),
		POLL_TEST(proc_is_read_where_inet_diag_is_not),
		POLL_TEST(each_protocol_falls_back_alone),
		POLL_TEST(too_many_udp_sockets_for_proc),
		POLL_TEST(nothing_works),
		POLL_TEST(bound_pass_finds_bound_ports),
		POLL_TEST(failing_bound_pass_fails_the_poll),
		POLL_TEST(a_capture_replays_the_poll),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

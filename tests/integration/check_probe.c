/* SPDX-License-Identifier: BSD-2-Clause */
/* The probes against the kernel: their answers are compared with real connects, and no packet may leave. Needs root. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "kernel/inet_diag.h"
#include "kernel/probe.h"
#include "kernel/namespace.h"
#include "kernel_fake.h"
#include "netns.h"
#include "random.h"

#define LOW 40000
#define WIDTH 20
#define HIGH (LOW + WIDTH - 1)
#define MAX_FDS 512

struct fixture {
	int fds[MAX_FDS];
	size_t n;
};

static int setup(void **state)
{
	netns_enter();
	netns_loopback(true);
	netns_sysctl("ipv4/ip_local_port_range", "40000 40019");
	*state = calloc(1, sizeof(struct fixture));
	return 0;
}

static void reset_all(struct fixture *f)
{
	while (f->n > 0)
		socket_reset(f->fds[--f->n]);
}

static int teardown(void **state)
{
	reset_all(*state);
	free(*state);
	return 0;
}

static int keep(struct fixture *f, int fd)
{
	assert_true(f->n < MAX_FDS);
	f->fds[f->n++] = fd;
	return fd;
}

/* Whether connect() gets this port for a destination that nobody uses. */
static bool really_blocked(uint16_t port)
{
	int listening = socket_listening("127.77.0.1", 7, 0);
	int fd = socket_try_connect("127.77.0.1", "127.77.0.1", 7, port);
	const bool blocked = fd < 0;

	assert_true(fd >= 0 || errno == EADDRNOTAVAIL);
	if (fd >= 0)
		socket_reset(fd);
	close(listening);
	return blocked;
}

static struct pw_probe *open_probe(void)
{
	struct pw_probe *probe = pw_probe_open();

	assert_non_null(probe);
	return probe;
}

static void check_all_ports(void)
{
	bool expected[WIDTH];
	struct pw_probe *probe;

	for (uint16_t i = 0; i < WIDTH; i++)
		expected[i] = really_blocked((uint16_t)(LOW + i));
	probe = open_probe();
	for (uint16_t i = 0; i < WIDTH; i++)
		assert_int_equal(
			pw_probe_port(probe, (uint16_t)(LOW + i)), expected[i] ? PW_PROBE_BLOCKED : PW_PROBE_FREE);
	pw_probe_close(probe);
}

/* A child of a listener that is gone, and its TIME_WAIT: nothing in a dump tells them from a client. */
static void leave_orphans(struct fixture *f, uint16_t port, uint16_t time_wait_port)
{
	int listening = socket_listening("127.0.0.1", port, 0);
	int client = socket_connected(SOCK_STREAM, "127.0.0.9", 1000, "127.0.0.1", port, 0), child;

	keep(f, socket_accept(listening));
	keep(f, client);
	close(listening);
	listening = socket_listening("127.0.0.1", time_wait_port, 0);
	client = socket_connected(SOCK_STREAM, "127.0.0.9", 1001, "127.0.0.1", time_wait_port, 0);
	child = socket_accept(listening);
	close(child);
	close(client);
	close(listening);
}

static void answers_are_those_of_connect(void **state)
{
	struct fixture *f = *state;

	check_all_ports();
	keep(f, socket_listening("127.0.0.1", 80, 0));
	keep(f, socket_listening("127.0.0.1", LOW + 1, 0));
	keep(f, socket_listening("::1", LOW + 3, OPT_V6ONLY));
	keep(f, socket_bound(SOCK_STREAM, "127.0.0.3", LOW + 5, 0));
	keep(f, socket_bound(SOCK_STREAM, "127.0.0.5", 0, 0));
	keep(f, socket_connected(SOCK_STREAM, "127.0.0.3", LOW + 7, "127.0.0.1", 80, 0));
	keep(f, socket_connected(SOCK_STREAM, "127.0.0.4", 0, "127.0.0.1", 80, 0)); /* bind() chose the port */
	keep(f, socket_connected(SOCK_STREAM, "127.0.0.4", 0, "127.0.0.1", 80, OPT_NO_PORT));
	keep(f, socket_connected(SOCK_STREAM, NULL, 0, "127.0.0.1", 80, 0));
	leave_orphans(f, LOW + 9, LOW + 11);
	close(socket_connected(SOCK_STREAM, NULL, 0, "127.0.0.1", 80, 0));
	check_all_ports();
}

/* A repair socket that sits on a tuple: it stands for a stranger with the same destination. */
static int occupy(const char *destination, uint16_t port, uint16_t source_port)
{
	const struct sockaddr_in to = {
		.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = inet_addr(destination)};
	const struct sockaddr_in from = {
		.sin_family = AF_INET, .sin_port = htons(source_port), .sin_addr.s_addr = htonl(0x7f000001)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	assert_int_equal(setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &one, sizeof(one)), 0);
	if (source_port != 0)
		assert_int_equal(bind(fd, (const struct sockaddr *)&from, sizeof(from)), 0);
	assert_int_equal(connect(fd, (const struct sockaddr *)&to, sizeof(to)), 0);
	return fd;
}

/* Whole tuples may be full: the ports are not blocked for that. */
static void full_tuples_are_not_blocked_ports(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < WIDTH; i++)
		keep(f, occupy("127.255.255.254", 1, 0));
	for (int i = 0; i < WIDTH; i++)
		keep(f, occupy("127.100.1.1", 80, 0));
	check_all_ports();
}

static void a_port_outside_the_range_is_unknown(void **state)
{
	struct pw_probe *probe = open_probe();

	(void)state;
	assert_int_equal(pw_probe_port(probe, LOW - 1), PW_PROBE_UNKNOWN);
	assert_int_equal(pw_probe_port(probe, HIGH + 1), PW_PROBE_UNKNOWN);
	assert_int_equal(pw_probe_port(probe, LOW), PW_PROBE_FREE);
	pw_probe_close(probe);
}

/* A new namespace has no address until its loopback interface comes up. */
static void without_loopback_there_is_no_answer(void **state)
{
	const char *reason = NULL;

	(void)state;
	netns_enter();
	netns_sysctl("ipv4/ip_local_port_range", "40000 40019");
	assert_true(pw_probe_available(&reason));
	assert_null(pw_probe_open());
	netns_sysctl("ipv4/ip_nonlocal_bind", "1"); /* any address, but no route to anywhere */
	assert_null(pw_probe_open());
	netns_loopback(true);
	check_all_ports();
}

static void ipv6_alone_will_do(void **state)
{
	struct fixture *f = *state;
	struct pw_probe *probe;

	netns_without_ipv4();
	keep(f, socket_listening("::1", LOW + 1, 0));
	keep(f, socket_bound(SOCK_STREAM, "::1", LOW + 2, 0));
	probe = open_probe();
	assert_int_equal(pw_probe_port(probe, LOW), PW_PROBE_FREE);
	assert_int_equal(pw_probe_port(probe, LOW + 1), PW_PROBE_BLOCKED);
	assert_int_equal(pw_probe_port(probe, LOW + 2), PW_PROBE_BLOCKED);
	assert_int_equal(pw_probe_port(probe, LOW + 3), PW_PROBE_FREE);
	pw_probe_close(probe);
}

/* --- nothing is left, nothing is sent --- */

static size_t count_sockets(void)
{
	struct caught *caught = calloc(1, sizeof(*caught));
	struct pw_batch batch = {.sink = catch_sockets, .context = caught};
	struct pw_take_stats stats = {0};
	struct pw_input input;
	const char *path;
	size_t n;

	assert_int_equal(pw_input_kernel(&input, &path), 0);
	assert_int_equal(pw_inet_diag_dump(&input, PW_STREAM_DUMP_TCP, LOW, HIGH, &batch, &stats, NULL), PW_DUMP_OK);
	n = caught->n;
	pw_input_free(&input);
	free(caught);
	return n;
}

static struct pw_pool_key make_key(const char *local, const char *remote, uint16_t port, uint32_t zone)
{
	struct pw_pool_key key;

	memset(&key, 0, sizeof(key));
	assert_int_equal(pw_address_parse(&key.local, local), 0);
	assert_int_equal(pw_address_parse(&key.remote, remote), 0);
	key.local.zone = zone;
	key.ns = 1;
	key.port = port;
	key.kind = PW_KIND_CONNECT;
	key.protocol = IPPROTO_TCP;
	return key;
}

/* What IPv6 sends on its own when an interface comes up; a question for the neighbour fe80::78 would be ours. */
static bool is_chatter(const uint8_t *packet, size_t len)
{
	const bool neighbour = len >= 78 && packet[20] == IPPROTO_ICMPV6 && packet[54] == 135 && packet[77] == 0x78;

	return len >= 54 && packet[12] == 0x86 && packet[13] == 0xdd && packet[20] != IPPROTO_TCP && !neighbour;
}

static void no_packet_leaves(void **state)
{
	struct pw_pool_key keys[] = {make_key("127.0.0.1", "127.0.0.1", 80, 0), make_key("::1", "::1", 80, 0),
		make_key("127.0.0.1", "127.0.0.2", 80, 1), make_key("10.77.0.1", "10.77.0.2", 80, 0),
		make_key("fe80::77", "fe80::78", 80, 0)};
	int capture = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, htons(ETH_P_ALL));
	bool other =
		system("ip link add collect0 type veth peer name collect1 && ip addr add 10.77.0.1/24 dev collect0 && "
		       "ip addr add fe80::77/64 dev collect0 nodad && ip link set collect0 up && ip link set collect1 "
		       "up") == 0;
	struct pw_probe *probe;
	uint8_t packet[2048];
	bool exhausted;
	int sender;
	ssize_t n;

	(void)state;
	assert_true(capture >= 0);
	while (recv(capture, packet, sizeof(packet), 0) > 0)
		; /* the interfaces have just come up, and said so */
	probe = open_probe();
	for (uint16_t port = LOW; port <= HIGH; port++)
		assert_int_equal(pw_probe_port(probe, port), PW_PROBE_FREE);
	pw_probe_close(probe);
	keys[4].local.zone = if_nametoindex("collect0");
	for (size_t i = 0; i < (other ? 5 : 3); i++)
		assert_true(pw_probe_alloc(&keys[i], &exhausted) > 0);
	if (!other)
		print_message("no veth interfaces here: only loopback was watched\n");
	while ((n = recv(capture, packet, sizeof(packet), 0)) > 0)
		assert_true(is_chatter(packet, (size_t)n));
	assert_int_equal(count_sockets(), 0);
	/* the watching works: what is really sent is seen */
	sender = socket_connected(SOCK_DGRAM, NULL, 0, "127.0.0.1", 9, 0);
	assert_int_equal(send(sender, "x", 1, 0), 1);
	assert_true(recv(capture, packet, sizeof(packet), 0) > 0);
	close(sender);
	close(capture);
}

/* --- latency --- */

static void latency_of_pools(void **state)
{
	struct fixture *f = *state;
	const struct pw_pool_key v4 = make_key("127.0.0.1", "127.0.0.1", 80, 0), v6 = make_key("::1", "::1", 80, 0);
	const struct pw_pool_key zone = make_key("127.0.0.1", "127.0.0.1", 80, 1),
				 away = make_key("192.0.2.1", "127.0.0.1", 80, 0);
	const struct pw_pool_key no_zone = make_key("127.0.0.1", "127.0.0.1", 80, 4711);
	const struct pw_pool_key no_route = make_key("127.0.0.1", "192.0.2.1", 80, 0);
	struct pw_pool_key bind_pool = v4;
	bool exhausted = true;

	assert_true(pw_probe_alloc(&v4, &exhausted) > 0);
	assert_false(exhausted);
	assert_true(pw_probe_alloc(&v6, &exhausted) > 0);
	assert_true(pw_probe_alloc(&zone, &exhausted) > 0);
	bind_pool.kind = PW_KIND_BIND;
	assert_int_equal(pw_probe_alloc(&bind_pool, &exhausted), 0);
	assert_int_equal(pw_probe_alloc(&away, &exhausted), 0);
	assert_int_equal(pw_probe_alloc(&no_zone, &exhausted), 0);
	assert_int_equal(pw_probe_alloc(&no_route, &exhausted), 0);
	assert_false(exhausted);
	keep(f, socket_listening("127.0.0.1", 80, 0));
	for (int i = 0; i < WIDTH; i++)
		keep(f, socket_connected(SOCK_STREAM, NULL, 0, "127.0.0.1", 80, 0));
	assert_true(pw_probe_alloc(&v4, &exhausted) > 0);
	assert_true(exhausted);
	assert_true(pw_probe_alloc(&v6, &exhausted) > 0);
	assert_false(exhausted);
	/* sockets without a device are in the way of those with one, not the other way round (inet_bound_dev_eq()) */
	assert_true(pw_probe_alloc(&zone, &exhausted) > 0);
	assert_true(exhausted);
	assert_int_equal(count_sockets(), 20);
}

/* --- privilege --- */

static void without_privilege(void **state)
{
	const char *reason = "";
	int status;
	pid_t child;

	(void)state;
	child = fork();
	if (child == 0) {
		if (setgid(65534) < 0 || setuid(65534) < 0)
			_exit(9);
		if (pw_probe_available(&reason) || strstr(reason, "CAP_NET_ADMIN") == NULL)
			_exit(1);
		_exit(pw_probe_open() == NULL && errno == EPERM ? 0 : 2);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

/* --- polls --- */

static void poll_once(struct pw_namespace *ns)
{
	assert_int_equal(pw_namespace_read(ns), PW_READ_OK);
	assert_int_equal(pw_netlink_take(ns), 0);
	assert_false(ns->udp_failed);
}

/* The first port on which poll and kernel differ, 0 when there is none. */
static uint16_t first_difference(const struct pw_census *census)
{
	for (uint16_t port = LOW; port <= HIGH; port++)
		if (pw_portset_has(pw_census_blocked(census), port) != really_blocked(port))
			return port;
	return 0;
}

/* A poll knows what the kernel says, of every port. On a busy machine a closed connection may move on while they are asked: again then. */
static void check_blocked(struct pw_namespace *ns)
{
	const struct pw_census_totals *totals = pw_census_totals(ns->census);
	const struct timespec pause = {.tv_nsec = 5000000};
	uint16_t port = 0;

	for (int i = 0; i < 20; i++) {
		poll_once(ns);
		port = first_difference(ns->census);
		if (port == 0 && totals->ambiguous == 0 && totals->basis == PW_BASIS_PROBED)
			return;
		nanosleep(&pause, NULL);
	}
	fail_msg("poll and kernel differ on port %u, %u are in doubt", port, totals->ambiguous);
}

/* Sockets of every origin on random ports; some go away again. */
static void random_population(struct fixture *f)
{
	static const char *const addresses[] = {"127.0.0.1", "127.0.0.2", "::1", "::ffff:127.0.0.3"};
	const char *address = addresses[pick(4)];
	uint16_t port = (uint16_t)(LOW + pick(WIDTH));
	int fd = -1;

	switch (pick(5)) {
	case 0: fd = socket_try_listening(address, port, 0); break;
	case 1: fd = socket_bound(SOCK_STREAM, "127.0.0.6", 0, 0); break;
	case 2: fd = socket_connected(SOCK_STREAM, NULL, 0, "127.0.0.1", 80, 0); break;
	case 3: fd = socket_connected(SOCK_STREAM, "127.0.0.7", 0, "127.0.0.1", 80, chance(2) ? OPT_NO_PORT : 0); break;
	default:
		if (f->n > 1)
			close(f->fds[--f->n]);
	}
	if (fd >= 0)
		keep(f, fd);
}

/* Once the last connection is closed and nothing changes any more, every result of a probe is known. */
static bool settles(struct pw_namespace *ns)
{
	const uint64_t deadline = pw_clock_boot_ms() + 20000;
	const struct timespec pause = {.tv_nsec = 5000000};

	do {
		poll_once(ns);
		if (ns->stats.probes == 0)
			return true;
		nanosleep(&pause, NULL);
	} while (pw_clock_boot_ms() < deadline);
	return false;
}

static void polls_with_probes_know_every_blocked_port(void **state)
{
	struct pw_namespace *ns = pw_namespace_new(1, "", NULL);
	struct fixture *f = *state;

	ns->probe = true;
	random_start();
	for (int round = 0; round < 60; round++) {
		if (round % 10 == 0) {
			reset_all(f);
			keep(f, socket_listening("127.0.0.1", 80, 0));
		}
		random_population(f);
		check_blocked(ns);
	}
	assert_true(settles(ns));
	pw_namespace_free(ns);
}

static void polls_without_probes_go_on(void **state)
{
	struct pw_namespace *ns = pw_namespace_new(1, "", NULL);
	const struct pw_census_totals *totals = pw_census_totals(ns->census);
	struct fixture *f = *state;

	ns->probe = true;
	keep(f, socket_listening("127.0.0.1", 80, 0));
	keep(f, socket_connected(SOCK_STREAM, NULL, 0, "127.0.0.1", 80, 0));
	netns_without_ipv4();
	netns_sysctl("ipv6/conf/lo/disable_ipv6", "1");
	poll_once(ns);
	assert_int_equal(ns->stats.probes, 0);
	assert_int_equal(totals->tcp, 1);
	assert_int_equal(totals->blocked, 0);
	assert_int_equal(totals->basis, PW_BASIS_INFERRED);
	netns_sysctl("ipv6/conf/lo/disable_ipv6", "0");
	/* on a busy machine the time for probes may be over before the first */
	for (int tries = 0; tries < 100 && ns->stats.probes == 0; tries++)
		poll_once(ns);
	assert_int_equal(ns->stats.probes, 1);
	assert_int_equal(totals->basis, PW_BASIS_PROBED);
	pw_namespace_free(ns);
}

/* --- TIME_WAIT --- */

/* Connections of one pool that this side closed first. */
static void leave_time_wait(int listening, int n)
{
	for (int i = 0; i < n; i++) {
		int client = socket_connected(SOCK_STREAM, "127.0.0.1", 0, "127.0.0.8", 80, OPT_NO_PORT);
		int peer = socket_accept(listening);

		shutdown(client, SHUT_WR);
		close(peer);
		close(client);
	}
}

static struct pw_pool_counts poll_time_wait(struct pw_namespace *ns)
{
	const struct pw_pool_key key = make_key("127.0.0.1", "127.0.0.8", 80, 0);
	struct pw_pool_counts counts;

	poll_once(ns);
	pw_source_pool(pw_census_source(ns->census), &key, &counts);
	return counts;
}

/* Until all of the pool's sockets are in TIME_WAIT and old enough to be taken over. */
static void wait_for_time_wait(struct pw_namespace *ns, uint32_t n)
{
	const uint64_t deadline = pw_clock_boot_ms() + 20000;
	const struct timespec pause = {.tv_nsec = 20000000};

	while (poll_time_wait(ns).reusable != n && pw_clock_boot_ms() < deadline)
		nanosleep(&pause, NULL);
}

/* connect() takes over TIME_WAIT sockets where both ends used timestamps, which shows nowhere: whether they are used now says nothing. */
static void time_wait_is_free_where_the_allocator_says_so(void **state)
{
	struct fixture *f = *state;

	for (int stamped = 0; stamped < 2; stamped++) {
		struct pw_namespace *ns = pw_namespace_new(1, "", NULL);
		struct pw_pool_counts counts;
		int listening, left;

		netns_enter();
		netns_loopback(true);
		netns_sysctl("ipv4/ip_local_port_range", "40000 40063");
		netns_sysctl("ipv4/tcp_tw_reuse", "1");
		netns_sysctl("ipv4/tcp_timestamps", stamped ? "1" : "0");
		listening = keep(f, socket_listening("127.0.0.8", 80, 0));
		leave_time_wait(listening, 64);
		netns_sysctl("ipv4/tcp_timestamps", "1");
		wait_for_time_wait(ns, 64);
		counts = poll_time_wait(ns); /* nobody is asked */
		assert_int_equal(counts.free, 64);
		assert_int_equal(counts.doubt, 64);
		ns->probe = true;
		counts = poll_time_wait(ns);
		assert_int_equal(counts.doubt, 0);
		assert_int_equal(counts.free, stamped ? 64 : 0);
		assert_int_equal(counts.utilization, stamped ? 0 : 100);
		left = socket_try_connect("127.0.0.1", "127.0.0.8", 80, 0);
		assert_int_equal(left >= 0, stamped);
		if (left >= 0)
			keep(f, left);
		pw_namespace_free(ns);
		reset_all(f);
	}
}

/* --- parity --- */

/* Nothing is asked, since nothing may be: clients that call bind(addr, 0) are known by the parity of their ports, and those of connect() are
 * left alone. */
static void parity_tells_binds_ports(void **state)
{
	struct fixture *f = *state;
	struct pw_namespace *ns = pw_namespace_new(1, "", NULL);
	const struct pw_census_totals *totals = pw_census_totals(ns->census);

	netns_sysctl("ipv4/ip_local_port_range", "40000 40199");
	for (uint16_t port = 80; port < 84; port++)
		keep(f, socket_listening("127.0.0.8", port, 0));
	for (int i = 0; i < 60; i++)
		keep(f,
			socket_connected(
				SOCK_STREAM, "127.0.0.1", 0, "127.0.0.8", (uint16_t)(80 + i % 4), OPT_NO_PORT));
	for (int i = 0; i < 60; i++)
		keep(f, socket_connected(SOCK_STREAM, NULL, 0, "127.0.0.8", (uint16_t)(80 + i % 4), 0));
	poll_once(ns);
	assert_int_equal(totals->blocked, 0);
	assert_int_equal(totals->suspect, 0);
	for (int i = 0; i < 60; i++)
		keep(f, socket_connected(SOCK_STREAM, "127.0.0.2", 0, "127.0.0.8", (uint16_t)(80 + i % 4), 0));
	poll_once(ns);
	assert_int_equal(totals->blocked, 60);
	for (uint16_t port = 40000; port < 40200; port++)
		assert_int_equal(pw_portset_has(pw_census_blocked(ns->census), port), really_blocked(port));
	pw_namespace_free(ns);
}

#define IN_NETNS(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_NETNS(answers_are_those_of_connect),
		IN_NETNS(full_tuples_are_not_blocked_ports),
		IN_NETNS(a_port_outside_the_range_is_unknown),
		IN_NETNS(without_loopback_there_is_no_answer),
		IN_NETNS(ipv6_alone_will_do),
		IN_NETNS(no_packet_leaves),
		IN_NETNS(latency_of_pools),
		IN_NETNS(without_privilege),
		IN_NETNS(polls_with_probes_know_every_blocked_port),
		IN_NETNS(polls_without_probes_go_on),
		IN_NETNS(time_wait_is_free_where_the_allocator_says_so),
		IN_NETNS(parity_tells_binds_ports),
	};
	const char *reason;

	if (!netns_possible())
		return EXIT_SKIPPED;
	if (!pw_probe_available(&reason)) {
		printf("skipped: %s\n", reason);
		return EXIT_SKIPPED;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}

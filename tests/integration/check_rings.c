/* SPDX-License-Identifier: BSD-2-Clause */
/* Thresholds that ring, against the kernel: real connections in a network namespace of their own. Needs root. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernel/connect_events.h"
#include "netns.h"

#define MOST 400
#define PATIENCE_MS 20000

static struct pw_connect_events *events;
static struct pw_rings *rings;
static uint64_t own_netns;
static int sockets[MOST];
static size_t n_sockets;

static uint64_t netns_inode(void)
{
	struct stat st;

	assert_int_equal(stat("/proc/self/ns/net", &st), 0);
	return st.st_ino;
}

static struct pw_pool_key pool_of(const char *local, const char *remote, uint16_t port)
{
	struct pw_pool_key key = {.kind = PW_KIND_CONNECT, .protocol = IPPROTO_TCP, .port = port};

	assert_int_equal(pw_address_parse(&key.local, local), 0);
	assert_int_equal(pw_address_parse(&key.remote, remote), 0);
	return key;
}

/* A look that finds nothing to raise: every pool may take `least` ports, and this one so many. Returns as pw_rings_arm(). */
static bool look(const struct pw_pool_key *key, uint32_t ports, uint32_t least)
{
	const struct pw_ring *rung;

	pw_rings_look(rings, &rung);
	pw_rings_mark(rings);
	pw_rings_start(rings);
	if (key != NULL)
		pw_rings_limit(rings, own_netns, key, ports, UINT32_MAX);
	return pw_rings_arm(rings, least);
}

/* How often a pool has rung since the last look, which this is the end of. Others of the host may ring as well. */
static unsigned times_rung(const struct pw_pool_key *key)
{
	const struct pw_ring *rung;
	size_t n = pw_rings_look(rings, &rung);
	unsigned times = 0;

	for (size_t i = 0; i < n; i++)
		times += rung[i].netns == own_netns &&
			(key != NULL ? pw_pool_key_compare(&rung[i].key, key) == 0 : rung[i].key.kind == 0);
	return times;
}

static struct pw_pool_since since(const struct pw_pool_key *key)
{
	struct pw_pool_since out;

	pw_rings_since(rings, own_netns, key, &out);
	return out;
}

static void open_some(size_t n, const char *destination, unsigned options)
{
	while (n-- > 0)
		sockets[n_sockets++] = socket_connected(SOCK_STREAM, NULL, 0, destination, 80, options);
}

static void reset_some(size_t n)
{
	while (n-- > 0)
		socket_reset(sockets[--n_sockets]);
}

static int setup(void **state)
{
	struct pw_connect_events_poll found;
	const char *reason;

	(void)state;
	pw_connect_events_poll(events, PW_EVENTS_RINGS, &found);
	rings = pw_connect_events_rings(events, &reason);
	assert_non_null(rings);
	return 0;
}

static int teardown(void **state)
{
	struct pw_connect_events_poll found;

	(void)state;
	reset_some(n_sockets);
	pw_connect_events_poll(events, 0, &found);
	return 0;
}

struct destination {
	const char *name, *address, *local;
	unsigned options;
	uint32_t zone;
};

static const struct destination destinations[] = {
	{"it_rings_at_the_limit", "127.0.0.1", "127.0.0.1", 0, 0},
	{"ipv6", "::1", "::1", 0, 0},
	{"mapped", "::ffff:127.0.0.1", "127.0.0.1", 0, 0},
	{"on_an_interface", "127.0.0.1", "127.0.0.1", OPT_ON_LOOPBACK, 1},
};

/* Not before, at once, and once. */
static void at_the_limit(void **state)
{
	const struct destination *d = *state;
	struct pw_pool_key key = pool_of(d->local, d->local, 80);
	struct pollfd fd = {.fd = pw_rings_fd(rings), .events = POLLIN};

	key.local.zone = d->zone;
	assert_true(look(&key, 50, 1000000));
	open_some(49, d->address, d->options);
	assert_int_equal(times_rung(&key), 0);
	assert_true(look(&key, 50, 1000000));
	open_some(50, d->address, d->options);
	assert_int_equal(poll(&fd, 1, PATIENCE_MS), 1);
	open_some(20, d->address, d->options);
	assert_int_equal(times_rung(&key), 1);
	assert_true(since(&key).told);
}

/* The destination was in no look. */
static void an_unknown_pool_rings(void **state)
{
	const struct pw_pool_key key = pool_of("127.0.0.1", "127.0.0.1", 80);

	(void)state;
	look(NULL, 0, 40);
	open_some(39, "127.0.0.1", 0);
	assert_int_equal(times_rung(&key), 0);
	look(NULL, 0, 40);
	open_some(40, "127.0.0.1", 0);
	assert_int_equal(times_rung(&key), 1);
}

static void a_limit_that_is_met_during_the_look(void **state)
{
	const struct pw_pool_key key = pool_of("127.0.0.1", "127.0.0.1", 80);
	const struct pw_ring *rung;

	(void)state;
	look(&key, 50, 1000000);
	pw_rings_look(rings, &rung);
	open_some(10, "127.0.0.1", 0);
	pw_rings_mark(rings);
	pw_rings_start(rings);
	pw_rings_limit(rings, own_netns, &key, 10, UINT32_MAX);
	assert_false(pw_rings_arm(rings, 1000000));
	pw_rings_look(rings, &rung);
	assert_true(since(&key).told);
}

/* 20 up, 5 down, 3 up: 20 at the highest. */
static void how_high_it_was(void **state)
{
	const struct pw_pool_key key = pool_of("127.0.0.1", "127.0.0.1", 80);
	struct pw_pool_since found;

	(void)state;
	open_some(30, "127.0.0.1", 0);
	look(&key, 1000, 1000000);
	reset_some(10);
	open_some(30, "127.0.0.1", 0);
	reset_some(5);
	open_some(3, "127.0.0.1", 0);
	times_rung(&key);
	found = since(&key);
	assert_true(found.known && found.sure && !found.told);
	assert_int_equal(found.allocations, 33);
	assert_int_equal(found.least, 20);
	assert_int_equal(found.most, 20);
}

/* What finds no port takes none. */
static void refusals_do_not_ring(void **state)
{
	const struct pw_pool_key key = pool_of("127.0.0.1", "127.0.0.1", 80);
	const struct sockaddr_in to = {
		.sin_family = AF_INET, .sin_port = htons(80), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

	(void)state;
	netns_sysctl("ipv4/ip_local_port_range", "40000 40019");
	look(&key, 30, 1000000);
	open_some(20, "127.0.0.1", 0);
	for (int i = 0; i < 50; i++) {
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

		assert_int_equal(connect(fd, (const struct sockaddr *)&to, sizeof(to)), -1);
		close(fd);
	}
	netns_sysctl("ipv4/ip_local_port_range", "32768 60999");
	assert_int_equal(times_rung(&key), 0);
	assert_int_equal(since(&key).allocations, 20);
	assert_int_equal(since(&key).most, 21);
}

/* Closed in order: the port stays taken, for how long the program does not see. */
static void time_wait_is_no_end(void **state)
{
	const struct pw_pool_key key = pool_of("127.0.0.1", "127.0.0.1", 81);
	int listener = socket_listening("127.0.0.1", 81, 0);
	struct pw_pool_since found;

	(void)state;
	look(&key, 1000, 1000000);
	for (int i = 0; i < 10; i++) {
		int fd = socket_connected(SOCK_STREAM, NULL, 0, "127.0.0.1", 81, 0), peer = socket_accept(listener);

		close(fd);
		close(peer);
	}
	times_rung(&key);
	found = since(&key);
	assert_true(found.sure);
	assert_int_equal(found.most, 10);
	assert_int_equal(found.least, 1);
	close(listener);
}

/* Whichever it is, what is said of the doubt holds. */
static void what_happens_during_the_look_is_in_doubt(void **state)
{
	const struct pw_pool_key key = pool_of("127.0.0.1", "127.0.0.1", 80);
	const struct pw_ring *rung;

	(void)state;
	open_some(20, "127.0.0.1", 0);
	look(&key, 1000, 1000000);
	pw_rings_look(rings, &rung);
	open_some(10, "127.0.0.1", 0); /* 30, or 20 for who looked before ... */
	reset_some(5);                 /* ... or 25 */
	pw_rings_mark(rings);
	open_some(4, "127.0.0.1", 0); /* whoever has seen it has not seen these */
	pw_rings_start(rings);
	pw_rings_limit(rings, own_netns, &key, 1000, UINT32_MAX);
	pw_rings_arm(rings, 1000000);
	open_some(2, "127.0.0.1", 0);
	times_rung(&key);
	for (int seen = 20; seen <= 30; seen += 5) {
		assert_true(seen + since(&key).least <= 31);
		assert_true(seen + since(&key).most >= 31);
	}
	assert_int_equal(since(&key).least, 1);
}

/* One that grew too much while it was looked at is to be looked at again. */
static void a_pool_that_drifts(void **state)
{
	const struct pw_pool_key key = pool_of("127.0.0.1", "127.0.0.1", 80);
	const struct pw_ring *rung;

	(void)state;
	for (uint32_t drift = 8; drift <= 9; drift++) {
		look(&key, 1000, 1000000);
		pw_rings_look(rings, &rung);
		open_some(10, "127.0.0.1", 0);
		reset_some(1);
		pw_rings_mark(rings);
		open_some(20, "127.0.0.1", 0);
		pw_rings_start(rings);
		pw_rings_limit(rings, own_netns, &key, 1000, drift);
		assert_int_equal(pw_rings_arm(rings, 1000000), drift == 9);
	}
}

static void binds_ring_for_the_namespace(void **state)
{
	const struct pw_pool_key key = pool_of("127.0.0.1", "127.0.0.1", 80);
	int first, second;

	(void)state;
	look(&key, 100, 1000000);
	first = socket_listening("127.0.0.1", 5000, 0);
	assert_int_equal(times_rung(NULL), 0);
	look(&key, 100, 1000000);
	second = socket_listening("127.0.0.1", 5001, 0);
	sockets[n_sockets++] = socket_connected(SOCK_STREAM, "127.0.0.1", 5002, "127.0.0.1", 80, 0);
	assert_int_equal(times_rung(NULL), 1);
	assert_true(since(&key).told);
	close(first);
	close(second);
}

/* What connects from an address takes from what bind() has there, and from what bind() has on the wildcards, whatever the
 * destination. What finds no port does not. */
static void pools_of_bind_ring(void **state)
{
	static const char *const locals[] = {"127.0.0.1", "0.0.0.0", "::"};
	const struct sockaddr_in to = {
		.sin_family = AF_INET, .sin_port = htons(80), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	const int listener = socket_listening("127.0.0.2", 80, 0);

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct pw_pool_key key = {.kind = PW_KIND_BIND, .protocol = IPPROTO_TCP};

		assert_int_equal(pw_address_parse(&key.local, locals[i]), 0);
		look(NULL, 0, 1000000);
		assert_false(look(&key, 100, 1000000)); /* nothing was counted for it until now */
		assert_true(look(&key, 100, 1000000));
		netns_sysctl("ipv4/ip_local_port_range", "40000 40049");
		open_some(50, "127.0.0.1", 0);
		for (int j = 0; j < 100; j++) {
			int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

			assert_int_equal(connect(fd, (const struct sockaddr *)&to, sizeof(to)), -1);
			close(fd);
		}
		netns_sysctl("ipv4/ip_local_port_range", "32768 60999");
		open_some(40, "127.0.0.2", 0);
		assert_int_equal(times_rung(&key), 0);
		assert_true(look(&key, 100, 1000000));
		open_some(60, "127.0.0.1", 0);
		open_some(60, "127.0.0.2", 0);
		assert_int_equal(times_rung(&key), 1);
		reset_some(210);
	}
	close(listener);
}

/* The same addresses and ports, elsewhere. */
static void another_namespace_has_other_slots(void **state)
{
	const struct pw_pool_key key = pool_of("127.0.0.1", "127.0.0.1", 80);
	pid_t child;
	int status;

	(void)state;
	look(&key, 10, 1000000);
	child = fork();
	if (child == 0) {
		netns_enter();
		netns_loopback(true);
		socket_listening("127.0.0.1", 80, 0);
		for (int i = 0; i < 50; i++)
			socket_connected(SOCK_STREAM, NULL, 0, "127.0.0.1", 80, 0);
		_exit(0);
	}
	waitpid(child, &status, 0);
	assert_int_equal(status, 0);
	assert_int_equal(times_rung(&key), 0);
	assert_int_equal(since(&key).allocations, 0);
}

/* On several processors at the same time, as quickly as they can: what is counted is what was done, but for events that are known to be lost. */
static void a_storm_is_counted(void **state)
{
	const struct pw_pool_key key = pool_of("127.0.0.1", "127.0.0.1", 82);
	int listener = socket_listening("127.0.0.1", 82, 0), status;
	struct pw_pool_since found;
	pid_t children[4];

	(void)state;
	look(&key, 100, 1000000);
	for (int i = 0; i < 4; i++) {
		children[i] = fork();
		if (children[i] != 0)
			continue;
		for (int j = 0; j < 1000; j++) {
			int fd = socket_connected(SOCK_STREAM, NULL, 0, "127.0.0.1", 82, 0);

			close(socket_accept(listener));
			socket_reset(fd);
		}
		_exit(0);
	}
	for (int i = 0; i < 4; i++) {
		waitpid(children[i], &status, 0);
		assert_int_equal(status, 0);
	}
	assert_int_equal(times_rung(&key), 1);
	found = since(&key);
	if (found.sure) { /* else others of the host may have been in the slot as well */
		assert_in_range(found.allocations, found.lost < 4000 ? 4000 - found.lost : 0, 4000);
		assert_true(found.most >= 1 && found.least <= 4);
	} else {
		assert_true(found.allocations >= 3900);
	}
	close(listener);
}

static void nothing_is_known_when_it_was_off(void **state)
{
	const struct pw_pool_key key = pool_of("127.0.0.1", "127.0.0.1", 80);
	struct pw_connect_events_poll found;
	const char *reason;

	(void)state;
	look(&key, 10, 1000000);
	assert_true(pw_rings_quiet(rings));
	pw_connect_events_poll(events, PW_EVENTS_FAILURES, &found);
	assert_null(pw_connect_events_rings(events, &reason));
	open_some(20, "127.0.0.1", 0);
	setup(state);
	assert_false(pw_rings_quiet(rings));
	assert_int_equal(times_rung(&key), 0);
	assert_false(since(&key).known);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
#define DESTINATIONS (sizeof(destinations) / sizeof(destinations[0]))

static int run_destinations(void)
{
	struct CMUnitTest tests[DESTINATIONS];

	for (size_t i = 0; i < DESTINATIONS; i++)
		tests[i] = (struct CMUnitTest){.name = destinations[i].name,
			.test_func = at_the_limit,
			.setup_func = setup,
			.teardown_func = teardown,
			.initial_state = (void *)&destinations[i]};
	return cmocka_run_group_tests_name("limits", tests, NULL, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_unknown_pool_rings),
		TEST(a_limit_that_is_met_during_the_look),
		TEST(how_high_it_was),
		TEST(refusals_do_not_ring),
		TEST(time_wait_is_no_end),
		TEST(what_happens_during_the_look_is_in_doubt),
		TEST(a_pool_that_drifts),
		TEST(binds_ring_for_the_namespace),
		TEST(pools_of_bind_ring),
		TEST(another_namespace_has_other_slots),
		TEST(a_storm_is_counted),
		TEST(nothing_is_known_when_it_was_off),
	};
	struct pw_connect_events_poll found;
	const char *reason;

	if (!netns_possible())
		return EXIT_SKIPPED;
	events = pw_connect_events_new(PW_EVENTS_BPF);
	if (events == NULL)
		return EXIT_FAILURE;
	pw_connect_events_poll(events, PW_EVENTS_RINGS, &found);
	if (pw_connect_events_rings(events, &reason) == NULL) {
		printf("skipped: %s\n", reason);
		return EXIT_SKIPPED;
	}
	netns_enter();
	netns_loopback(true);
	own_netns = netns_inode();
	socket_listening("127.0.0.1", 80, 0);
	socket_listening("::1", 80, 0);
	return run_destinations() + cmocka_run_group_tests_name("rings", tests, NULL, NULL);
}

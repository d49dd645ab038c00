/* SPDX-License-Identifier: BSD-2-Clause */
/* The BPF walk against netlink and the allocator: what both see of real sockets in namespaces of our own. Needs root. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "kernel/namespace.h"
#include "kernel/walk.h"
#include "netns.h"

#define LOW 40000
#define HIGH 40999

static struct pw_backend *walk;

/* --- takes --- */

static struct pw_namespace *take_by_walk(void)
{
	struct pw_namespace *ns = pw_namespace_new(1, "", NULL);

	assert_int_equal(pw_namespace_read(ns), PW_READ_OK);
	walk->take(walk, &ns, 1);
	if (!ns->taken)
		fail_msg("%s", ns->err.text);
	assert_int_equal(pw_census_totals(ns->census)->basis, PW_BASIS_READ);
	return ns;
}

/* As exact as netlink can be: every ambiguous port is probed. */
static struct pw_namespace *take_by_netlink(void)
{
	struct pw_namespace *ns = pw_namespace_new(1, "", NULL);

	ns->probe = true;
	ns->probe_ms = UINT32_MAX;
	assert_int_equal(pw_namespace_read(ns), PW_READ_OK);
	assert_int_equal(pw_netlink_take(ns), 0);
	return ns;
}

static struct pw_pool_counts counts_of(struct pw_namespace *ns, const struct pw_pool_key *key)
{
	struct pw_pool_counts counts;

	pw_source_pool(pw_census_source(ns->census), key, &counts);
	return counts;
}

static struct pw_pool_key connect_key(const char *local, const char *remote, uint16_t port)
{
	struct pw_pool_key key = {.kind = PW_KIND_CONNECT, .protocol = IPPROTO_TCP, .ns = 1, .port = port};

	assert_int_equal(pw_address_parse(&key.local, local), 0);
	assert_int_equal(pw_address_parse(&key.remote, remote), 0);
	return key;
}

/* --- sockets --- */

/* The client closes first. Returns the port that stays in TIME_WAIT. */
static uint16_t leave_time_wait(
	int listening, const char *source, uint16_t source_port, const char *destination, uint16_t port)
{
	int client = socket_connected(SOCK_STREAM, source, source_port, destination, port, 0),
	    server = socket_accept(listening);
	uint16_t local = socket_port(client);
	char octet;

	close(client);
	assert_int_equal(recv(server, &octet, 1, 0), 0);
	close(server);
	return local;
}

/* Something of every sort. */
static void populate(void)
{
	int web = socket_listening("127.0.0.4", 80, 0), web6 = socket_listening("::1", 83, 0),
	    inside = socket_listening("127.0.0.1", 40100, 0);

	socket_listening("127.0.0.2", 80, 0);
	socket_listening("127.0.0.3", 80, 0);
	socket_listening("::1", 81, 0);
	/* ports of one's own choice first, while they are free */
	for (int i = 0; i < 20; i++)
		socket_connected(SOCK_STREAM, "127.0.0.1", (uint16_t)(40200 + i), "127.0.0.3", 80, 0);
	for (int i = 0; i < 10; i++)
		leave_time_wait(web, "127.0.0.1", (uint16_t)(40400 + i), "127.0.0.4", 80);
	socket_listening("0.0.0.0", 40300, 0);
	socket_listening("::", 40301, 0);
	socket_listening("::", 40302, OPT_V6ONLY);
	socket_listening("127.0.0.9", 40303, 0);
	socket_bound(SOCK_STREAM, "127.0.0.1", 40304, 0);
	socket_bound(SOCK_STREAM, "0.0.0.0", 40305, 0);
	socket_bound(SOCK_STREAM, "::", 40306, 0);
	socket_bound(SOCK_STREAM, "::", 40307, OPT_V6ONLY);
	socket_bound(SOCK_STREAM, "::ffff:127.0.0.1", 40308, 0);
	socket_bound(SOCK_DGRAM, "::", 0, 0);
	socket_bound(SOCK_DGRAM, "::", 0, OPT_V6ONLY);
	for (int i = 0; i < 40; i++)
		socket_connected(SOCK_STREAM, NULL, 0, "127.0.0.2", 80, 0);
	for (int i = 0; i < 20; i++) {
		socket_connected(SOCK_STREAM, "127.0.0.1", 0, "127.0.0.3", 80, OPT_NO_PORT);
		socket_connected(SOCK_STREAM, "127.0.0.1", 0, "127.0.0.3", 80, 0);
		socket_connected(SOCK_STREAM, NULL, 0, "::ffff:127.0.0.2", 80, 0);
		socket_connected(SOCK_STREAM, NULL, 0, "::1", 81, 0);
		socket_connected(SOCK_STREAM, "::1", 0, "::1", 81, 0);
		socket_connected(SOCK_STREAM, NULL, 0, "127.0.0.2", 80, OPT_ON_LOOPBACK);
		socket_connected(SOCK_STREAM, NULL, 0, "127.0.0.1", 40100, 0);
		socket_accept(inside);
		socket_bound(SOCK_DGRAM, "127.0.0.1", 0, 0);
		socket_connected(SOCK_DGRAM, NULL, 0, "127.0.0.1", 53, 0);
		socket_connected(SOCK_DGRAM, NULL, 0, "::1", 53, 0);
	}
	for (int i = 0; i < 10; i++) {
		leave_time_wait(web, NULL, 0, "127.0.0.4", 80);
		leave_time_wait(web6, NULL, 0, "::1", 83);
	}
}

/* --- tests --- */

struct comparison {
	struct pw_namespace *other;
	unsigned pools;
};

static int compare_pool(const struct pw_pool_key *key, const struct pw_pool_counts *counts, void *context)
{
	struct comparison *comparison = context;
	struct pw_pool_counts other = counts_of(comparison->other, key);
	char name[PW_POOL_NAME_MAX];

	pw_pool_name(key, "lo", "", name);
	comparison->pools++;
	/* wildcard bind pools beside IPv6 are where netlink has to guess */
	if (key->kind == PW_KIND_BIND && pw_address_is_any(&key->local))
		return 0;
	if (counts->used != other.used || counts->time_wait != other.time_wait || counts->blocked != other.blocked ||
		counts->free != other.free || counts->fast_free != other.fast_free ||
		counts->reusable != other.reusable)
		fail_msg(
			"%s: used %u, %u; timeWait %u, %u; blocked %u, %u; free %u, %u; fastFree %u, %u; reusable %u, %u",
			name, counts->used, other.used, counts->time_wait, other.time_wait, counts->blocked,
			other.blocked, counts->free, other.free, counts->fast_free, other.fast_free, counts->reusable,
			other.reusable);
	return 0;
}

/* Each pool of one is a pool of the other, with the same numbers. */
static void the_same_as_netlink(void **state)
{
	struct pw_namespace *read, *dumped;
	struct comparison comparison = {0};

	(void)state;
	/* or what is reusable changes between the two */
	netns_sysctl("ipv4/tcp_tw_reuse", "0");
	populate();
	read = take_by_walk();
	dumped = take_by_netlink();
	/* before 6.8 netlink does not show what is bound and no more, and is no judge of the ports */
	if (pw_census_totals(dumped->census)->tcp_bound == 0) {
		assert_int_equal(pw_census_totals(read->census)->tcp,
			pw_census_totals(dumped->census)->tcp + pw_census_totals(read->census)->tcp_bound);
		pw_namespace_free(read);
		pw_namespace_free(dumped);
		skip();
	}
	assert_int_equal(pw_census_totals(read->census)->tcp, pw_census_totals(dumped->census)->tcp);
	assert_int_equal(pw_census_totals(read->census)->udp, pw_census_totals(dumped->census)->udp);
	assert_int_equal(pw_census_totals(read->census)->tcp_bound, pw_census_totals(dumped->census)->tcp_bound);
	assert_int_equal(pw_census_totals(read->census)->blocked, pw_census_totals(dumped->census)->blocked);
	assert_int_equal(pw_census_totals(read->census)->ambiguous, 0);
	assert_int_equal(pw_census_totals(read->census)->pools, pw_census_totals(dumped->census)->pools);
	comparison.other = dumped;
	assert_int_equal(pw_source_each(pw_census_source(read->census), 1, compare_pool, &comparison), 0);
	assert_true(comparison.pools >= pw_census_totals(read->census)->pools);
	assert_true(comparison.pools >= 10);
	pw_namespace_free(read);
	pw_namespace_free(dumped);
}

/* Whose control group and user they are. */
static void owners_are_known(void **state)
{
	struct pw_pool_key key = connect_key("127.0.0.1", "127.0.0.5", 80);
	struct pw_owners read, dumped;
	struct pw_namespace *ns;

	(void)state;
	socket_listening("127.0.0.5", 80, 0);
	for (int i = 0; i < 5; i++)
		socket_connected(SOCK_STREAM, NULL, 0, "127.0.0.5", 80, 0);
	ns = take_by_walk();
	pw_source_owners(pw_census_source(ns->census), &key, &read);
	pw_namespace_free(ns);
	ns = take_by_netlink();
	pw_source_owners(pw_census_source(ns->census), &key, &dumped);
	pw_namespace_free(ns);
	assert_memory_equal(&read, &dumped, sizeof(read));
}

/* The same in parts: each socket is in one of them. */
static void owners_are_read_in_parts(void **state)
{
	struct pw_pool_key key = {.kind = PW_KIND_BIND, .protocol = IPPROTO_TCP, .ns = 1};
	struct pw_owners whole, some, parts = {0};
	struct pw_namespace *ns = NULL;
	unsigned n = 0;

	(void)state;
	assert_int_equal(pw_address_parse(&key.local, "127.0.0.1"), 0);
	for (uint16_t port = 80; port < 110; port++) { /* each in another place of the table */
		socket_listening("127.0.0.5", port, 0);
		for (int i = 0; i < 3; i++)
			socket_connected(SOCK_STREAM, "127.0.0.1", 0, "127.0.0.5", port, 0);
	}
	for (uint32_t part = 0; part <= PW_OWNER_PARTS; part++) {
		walk->unowned = part == PW_OWNER_PARTS ? 0 : PW_OWNER_ALL_PARTS & ~(1u << part);
		pw_namespace_free(ns);
		ns = take_by_walk();
		assert_int_equal(ns->unowned, walk->unowned);
		pw_source_owners(pw_census_source(ns->census), &key, part == PW_OWNER_PARTS ? &whole : &some);
		if (part < PW_OWNER_PARTS)
			pw_owners_merge(&parts, &some);
		n += some.owned > 0 && some.owned < 45;
	}
	pw_namespace_free(ns);
	assert_true(n >= 3);
	assert_int_equal(whole.owned, 90);
	assert_memory_equal(&whole, &parts, sizeof(whole));
}

/* Peers that send no timestamps: such a TIME_WAIT is not reused, whatever tcp_tw_reuse says. The kernel is the judge. */
static void time_wait_without_timestamps_is_not_reusable(void **state)
{
	struct pw_pool_key key = connect_key("127.0.0.1", "127.0.0.6", 80);
	struct pw_pool_counts counts;
	struct pw_namespace *ns;
	int listening = socket_listening("127.0.0.6", 80, OPT_REUSEADDR);
	unsigned more = 0;

	(void)state;
	netns_sysctl("ipv4/tcp_tw_reuse", "1");
	netns_sysctl("ipv4/tcp_timestamps", "0");
	for (int i = 0; i < 30; i++)
		leave_time_wait(listening, NULL, 0, "127.0.0.6", 80);
	netns_sysctl("ipv4/tcp_timestamps", "1");
	for (int i = 0; i < 20; i++)
		leave_time_wait(listening, NULL, 0, "127.0.0.6", 80);
	/* the stamped ones are reusable a second later; the others never are */
	for (int tries = 0; tries < 100; tries++) {
		ns = take_by_walk();
		counts = counts_of(ns, &key);
		pw_namespace_free(ns);
		if (counts.reusable == 20)
			break;
		usleep(50000);
	}
	assert_int_equal(counts.time_wait, 50);
	assert_int_equal(counts.reusable, 20);
	for (; more <= counts.capacity && socket_try_connect("127.0.0.1", "127.0.0.6", 80, 0) >= 0; more++)
		;
	assert_int_equal(more, counts.free);
	ns = take_by_walk();
	assert_int_equal(counts_of(ns, &key).free, 0);
	pw_namespace_free(ns);
}

/* Two seconds of the clock by which the kernel tells the age of TIME_WAIT: after that all that there was is old enough. */
static void let_time_wait_age(void)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += 2;
	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR)
		;
}

/* Orphans in FIN_WAIT2 beside TIME_WAIT. Some kernels give the ports of both away, others those of TIME_WAIT: what is said to be free is
 * what this one gives. */
static void orphans_count_as_the_kernel_has_it(void **state)
{
	struct pw_pool_key key = connect_key("127.0.0.1", "127.0.0.14", 80);
	int listening = socket_listening("127.0.0.14", 80, OPT_REUSEADDR), servers[12];
	struct pw_pool_counts counts;
	struct pw_namespace *ns;
	unsigned more = 0;

	(void)state;
	netns_sysctl("ipv4/ip_local_port_range", "40000 40031");
	netns_sysctl("ipv4/tcp_tw_reuse", "1");
	for (unsigned i = 0; i < 12; i++) {
		int client = socket_connected(SOCK_STREAM, NULL, 0, "127.0.0.14", 80, 0);

		servers[i] = socket_accept(listening);
		close(client);
	}
	for (unsigned i = 0; i < 8; i++)
		leave_time_wait(listening, NULL, 0, "127.0.0.14", 80);
	let_time_wait_age();
	ns = take_by_walk();
	counts = counts_of(ns, &key);
	pw_namespace_free(ns);
	assert_int_equal(counts.used, 20);
	for (; more <= counts.capacity && socket_try_connect("127.0.0.1", "127.0.0.14", 80, 0) >= 0; more++)
		;
	print_message("%u of 12 orphans are taken over\n", more - 20);
	assert_in_range(more, 20, 32);
	assert_int_equal(counts.free, more);
	for (unsigned i = 0; i < 12; i++)
		socket_reset(servers[i]);
}

/* Two namespaces in one walk, each with its own range; a third one is not asked for. */
static void namespaces_are_told_apart(void **state)
{
	struct pw_namespace *wanted[2] = {pw_namespace_new(1, "", NULL), pw_namespace_new(2, "other", NULL)};
	struct pw_pool_key key = connect_key("127.0.0.1", "127.0.0.7", 80);
	int original = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);

	(void)state;
	assert_int_equal(pw_namespace_read(wanted[0]), PW_READ_OK);
	for (int i = 0; i < 2; i++) {
		netns_enter();
		netns_loopback(true);
		netns_sysctl("ipv4/ip_local_port_range", i == 0 ? "50000 50099" : "40000 40999");
		socket_listening("127.0.0.7", 80, 0);
		for (int k = 0; k < 33; k++)
			socket_connected(SOCK_STREAM, NULL, 0, "127.0.0.7", 80, 0);
		if (i == 0)
			assert_int_equal(pw_namespace_read(wanted[1]), PW_READ_OK);
	}
	assert_int_equal(setns(original, CLONE_NEWNET), 0);
	close(original);
	walk->take(walk, wanted, 2);
	assert_true(wanted[0]->taken && wanted[1]->taken);
	assert_int_equal(counts_of(wanted[0], &key).used, 0);
	assert_int_equal(counts_of(wanted[1], &key).used, 33);
	assert_int_equal(counts_of(wanted[1], &key).capacity, 100);
	pw_namespace_free(wanted[0]);
	pw_namespace_free(wanted[1]);
}

/* What is kept: nothing, before Linux 5.19 CAP_BPF. */
static cap_t capabilities_to_look(void)
{
	const cap_value_t bpf = CAP_BPF;
	cap_t kept = cap_init();

	if (pw_walk_needs_privilege()) {
		assert_int_equal(cap_set_flag(kept, CAP_PERMITTED, 1, &bpf, CAP_SET), 0);
		assert_int_equal(cap_set_flag(kept, CAP_EFFECTIVE, 1, &bpf, CAP_SET), 0);
	}
	return kept;
}

/* Loaded as root; then nobody, without any capability and with no_new_privs, goes on looking (before Linux 5.19 with CAP_BPF). */
static void no_privilege_is_needed_to_look(void **state)
{
	int status;
	pid_t child;

	(void)state;
	socket_listening("127.0.0.8", 80, 0);
	for (int i = 0; i < 150; i++)
		socket_connected(SOCK_STREAM, NULL, 0, "127.0.0.8", 80, 0);
	fflush(stdout);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		struct pw_namespace *ns = pw_namespace_new(1, "", NULL);
		bool ready = setgid(65534) == 0 && prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) == 0 && setuid(65534) == 0 &&
			cap_set_proc(capabilities_to_look()) == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
			pw_namespace_read(ns) == PW_READ_OK;

		if (!ready)
			_exit(2);
		walk->take(walk, &ns, 1);
		if (!ns->taken)
			printf("%s\n", ns->err.text);
		fflush(stdout);
		_exit(ns->taken && pw_census_totals(ns->census)->tcp == 150 ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

/* --- limits --- */

#define CROWD 6000 /* more than the walk looks at behind one port and address */

/* A server inside the range: all of its connections are owners of its port, and must not make the walk of that port fail. */
static void a_port_may_have_many_sockets(void **state)
{
	struct rlimit files;
	int listening = socket_listening("127.0.0.12", 40000, 0);
	static int clients[CROWD], servers[CROWD];
	struct pw_namespace *ns;

	(void)state;
	netns_sysctl("ipv4/ip_local_port_range", "20000 39999");
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &files), 0);
	files.rlim_cur = files.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &files), 0);
	if (files.rlim_cur < 2 * CROWD + 100)
		skip();
	for (int i = 0; i < CROWD; i++) {
		clients[i] = socket_connected(SOCK_STREAM, NULL, 0, "127.0.0.12", 40000, 0);
		servers[i] = socket_accept(listening);
	}
	netns_sysctl("ipv4/ip_local_port_range", "40000 40009");
	ns = take_by_walk();
	assert_int_equal(pw_census_totals(ns->census)->blocked, 1);
	assert_int_equal(pw_census_totals(ns->census)->tcp, CROWD + 1);
	/* inbound: no pool but that of the address */
	assert_int_equal(pw_census_totals(ns->census)->pools, 1);
	pw_namespace_free(ns);
	for (int i = 0; i < CROWD; i++) {
		socket_reset(clients[i]);
		socket_reset(servers[i]);
	}
	socket_reset(listening);
}

/* Whoever may make a namespace may give it a table of few buckets: what does not fit into the buffer in one go is read in smaller parts. */
static void a_table_may_be_small(void **state)
{
	struct pw_pool_key key = connect_key("127.0.0.1", "127.0.0.13", 80);
	static int clients[CROWD];
	struct pw_namespace *ns;

	(void)state;
	if (access("/proc/sys/net/ipv4/tcp_child_ehash_entries", F_OK) < 0)
		skip(); /* before Linux 6.1 all namespaces share one */
	netns_sysctl("ipv4/tcp_child_ehash_entries", "16");
	netns_enter();
	netns_loopback(true);
	netns_sysctl("ipv4/ip_local_port_range", "20000 60999");
	netns_sysctl("core/somaxconn", "65535");
	socket_listening("127.0.0.13", 80, 0);
	for (int i = 0; i < CROWD; i++)
		clients[i] = socket_connected(SOCK_STREAM, NULL, 0, "127.0.0.13", 80, 0);
	ns = take_by_walk();
	assert_int_equal(counts_of(ns, &key).used, CROWD);
	pw_namespace_free(ns);
	for (int i = 0; i < CROWD; i++)
		socket_reset(clients[i]);
}

static int setup(void **state)
{
	(void)state;
	netns_enter();
	netns_loopback(true);
	netns_sysctl("ipv4/ip_local_port_range", "40000 40999");
	netns_sysctl("core/somaxconn", "65535");
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(the_same_as_netlink, setup),
		cmocka_unit_test_setup(owners_are_known, setup),
		cmocka_unit_test_setup(owners_are_read_in_parts, setup),
		cmocka_unit_test_setup(time_wait_without_timestamps_is_not_reusable, setup),
		cmocka_unit_test_setup(orphans_count_as_the_kernel_has_it, setup),
		cmocka_unit_test_setup(namespaces_are_told_apart, setup),
		cmocka_unit_test_setup(no_privilege_is_needed_to_look, setup),
		cmocka_unit_test_setup(a_port_may_have_many_sockets, setup),
		cmocka_unit_test_setup(a_table_may_be_small, setup),
	};
	int failed;

	if (!netns_possible())
		return EXIT_SKIPPED;
	walk = netns_walk();
	if (walk == NULL)
		return EXIT_SKIPPED;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	walk->free(walk);
	walk = pw_walk_backend_by_helper(NULL);
	failed += walk == NULL || cmocka_run_group_tests_name("by helper", tests, NULL, NULL) != 0;
	if (walk != NULL)
		walk->free(walk);
	return failed != 0;
}

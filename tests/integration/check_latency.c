/* SPDX-License-Identifier: BSD-2-Clause */
/* What connect() is measured to take, against a clock around it: in a network namespace of its own, with a pool that is nearly full. Needs root, and
 * a kernel that lets BPF programs follow its functions. Prints the figures. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "kernel/latency.h"
#include "kernel/latency_record.h"
#include "kernel/namespace.h"
#include "kernel/probe.h"
#include "netns.h"

/* All but one are taken: a connect() searches through half of them. */
#define PORTS 4000
#define TIMES 300
#define MARK_MS 10000

static struct pw_latency *latency;
static struct pw_namespace *ns;
static struct pw_ns_poll ns_poll;
static uint64_t now_ms = 1000000;

static struct pw_pool_key pool_of(const char *address)
{
	struct pw_pool_key key = {.kind = PW_KIND_CONNECT, .protocol = IPPROTO_TCP, .ns = 1, .port = 80};

	pw_address_parse(&key.local, address);
	pw_address_parse(&key.remote, address);
	return key;
}

/* One poll that asks for this pool; NULL: for none. */
static struct pw_question ask(const char *address)
{
	struct pw_question question = {.ns = &ns_poll, .wants_measured = true};

	if (address != NULL)
		question.key = pool_of(address);
	pw_latency_answer(latency, &question, address != NULL, now_ms);
	return question;
}

static uint64_t clock_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static int by_value(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* Connects, and lets each port go at once. Returns the median of what they took by the clock, in us. */
static uint64_t connect_often(const char *address)
{
	uint64_t took[TIMES];

	for (int i = 0; i < TIMES; i++) {
		union {
			struct sockaddr any;
			struct sockaddr_in v4;
			struct sockaddr_in6 v6;
		} to = {.v6 = {.sin6_family = AF_INET6, .sin6_port = htons(80), .sin6_addr = IN6ADDR_LOOPBACK_INIT}};
		int fd;

		if (strchr(address, ':') == NULL)
			to.v4 = (struct sockaddr_in){.sin_family = AF_INET,
				.sin_port = htons(80),
				.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
		fd = socket(to.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
		took[i] = clock_ns();
		assert_int_equal(connect(fd, &to.any, sizeof(to)), 0);
		took[i] = clock_ns() - took[i];
		socket_reset(fd);
	}
	qsort(took, TIMES, sizeof(*took), by_value);
	return took[TIMES / 2] / 1000;
}

static uint64_t probe_often(const char *address)
{
	const struct pw_pool_key key = pool_of(address);
	uint64_t took[TIMES];
	bool exhausted;

	for (int i = 0; i < TIMES; i++)
		took[i] = pw_probe_alloc(&key, &exhausted);
	qsort(took, TIMES, sizeof(*took), by_value);
	return took[TIMES / 2];
}

static int setup(void **state)
{
	struct stat st;

	(void)state;
	assert_int_equal(stat("/proc/self/ns/net", &st), 0);
	ns = pw_namespace_new(1, "", NULL);
	assert_non_null(ns);
	ns->entered = st.st_ino;
	ns_poll.context = ns;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	pw_namespace_free(ns);
	pw_latency_free(latency);
	return 0;
}

/* Buckets go on without a gap, and each value is in one whose middle is near. */
static void buckets(void **state)
{
	uint32_t last = 0;

	(void)state;
	for (uint64_t ns_ = 0; ns_ < UINT64_C(1) << 33; ns_ += ns_ / 64 + 1) {
		uint32_t bucket = latency_bucket(ns_);
		int64_t off = (int64_t)latency_middle(bucket) - (int64_t)ns_;

		assert_true(bucket == last || bucket == last + 1);
		last = bucket;
		if (bucket < LATENCY_BUCKETS - 1)
			assert_true((uint64_t)llabs(off) <= ns_ / 8);
	}
	assert_int_equal(last, LATENCY_BUCKETS - 1);
	assert_int_equal(latency_bucket(UINT64_MAX), LATENCY_BUCKETS - 1);
}

/* The search is most of a connect() here: the median by the clock around it is an upper bound that is not far off. */
static void measured(const char *address)
{
	struct pw_question first = ask(address), second;
	uint64_t by_clock, by_probe;

	assert_int_equal(first.latency_us, 0);
	by_clock = connect_often(address);
	by_probe = probe_often(address);
	second = ask(address);
	printf("%s, %u of %u ports taken: measured p50 %u us, p99 %u us; by a clock around connect() p50 %llu us; by probes p50 %llu us\n",
		address, PORTS - 1, PORTS, second.latency_us, second.latency_p99_us, (unsigned long long)by_clock,
		(unsigned long long)by_probe);
	assert_true(second.latency_us > 0);
	assert_true(second.latency_p99_us >= second.latency_us);
	assert_true(second.latency_us <= by_clock + by_clock / 8 + 1);
	assert_true(second.latency_us >= by_clock / 4);
}

static void v4(void **state)
{
	(void)state;
	measured("127.0.0.1");
}

static void v6(void **state)
{
	(void)state;
	measured("::1");
}

/* What is old is forgotten, what is not asked for is not measured, and what is asked for again begins anew. */
static void windows(void **state)
{
	(void)state;
	ask(NULL);
	connect_often("127.0.0.1");
	assert_int_equal(ask("127.0.0.1").latency_us, 0);
	connect_often("127.0.0.1");
	assert_true(ask("127.0.0.1").latency_us > 0);
	now_ms += MARK_MS;
	assert_true(ask("127.0.0.1").latency_us > 0);
	now_ms += MARK_MS;
	assert_true(ask("127.0.0.1").latency_us > 0);
	assert_int_equal(ask("127.0.0.1").latency_us, 0);
	connect_often("::1");
	assert_int_equal(ask("127.0.0.1").latency_us, 0);
	connect_often("127.0.0.1");
	assert_true(ask("127.0.0.1").latency_us > 0);
}

static void prepare(void)
{
	const struct rlimit files = {.rlim_cur = 2 * PORTS + 1000, .rlim_max = 2 * PORTS + 1000};

	assert_int_equal(setrlimit(RLIMIT_NOFILE, &files), 0);
	netns_enter();
	netns_loopback(true);
	netns_sysctl("ipv4/ip_local_port_range", "40000 43999");
	netns_sysctl("core/somaxconn", "65535");
	socket_listening("127.0.0.1", 80, 0);
	socket_listening("::1", 80, 0);
	for (int i = 0; i < PORTS - 1; i++) {
		socket_connected(SOCK_STREAM, NULL, 0, "127.0.0.1", 80, 0);
		socket_connected(SOCK_STREAM, NULL, 0, "::1", 80, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(buckets),
		cmocka_unit_test(v4),
		cmocka_unit_test(v6),
		cmocka_unit_test(windows),
	};

	if (!netns_possible())
		return EXIT_SKIPPED;
	latency = pw_latency_new();
	if (latency == NULL) {
		printf("skipped: no BPF program may follow a function of this kernel: %s\n", strerror(errno));
		return EXIT_SKIPPED;
	}
	prepare();
	return cmocka_run_group_tests_name("check_latency", tests, setup, teardown);
}

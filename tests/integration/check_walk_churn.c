/* SPDX-License-Identifier: BSD-2-Clause */
/* The BPF walk while processes open and close connections as fast as they can: what stays is found exactly once, and how
 * far off the rest can be. Needs root. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "kernel/namespace.h"
#include "kernel/walk.h"
#include "netns.h"

#define STABLE 4000
#define MOVING 8000 /* connections, all processes together */
#define PROCESSES 2
#define EACH (MOVING / PROCESSES)
#define WALKS 100
#define FILES (2 * EACH + STABLE + 100)

/* What may be counted wrong on average, of the connections that are replaced while a walk lasts. At most all of them:
 * each is in a bucket that has been passed or in one that has not, and is seen twice or not at all if it moves from one
 * kind to the other. That both errors are equally likely leaves a small part of it, but where the kernel puts
 * connections that follow each other side by side they err alike. */
#define SHARE 0.5

static struct pw_backend *walk;

/* --- connections that come and go --- */

/* What the processes share with the test. */
struct churn {
	atomic_uint ready;
	atomic_uint replaced;
	atomic_bool stop;
};

static struct sockaddr_in address_of(const char *text, uint16_t port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};

	assert_int_equal(inet_pton(AF_INET, text, &address.sin_addr), 1);
	return address;
}

static void die(const char *what)
{
	perror(what);
	_exit(1);
}

/* As socket_connected() and socket_accept() do it, in as few system calls as it takes. */
static void open_one(int listening, const struct sockaddr_in *to, int *client, int *server)
{
	const struct linger reset = {.l_onoff = 1};

	*client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (*client < 0 || setsockopt(*client, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)) < 0 ||
		connect(*client, (const struct sockaddr *)to, sizeof(*to)) < 0)
		die("connect");
	/* one that is reset in the listener's queue would stay there */
	*server = accept4(listening, NULL, NULL, SOCK_CLOEXEC);
	if (*server < 0)
		die("accept");
}

/* Has EACH connections, or one less while it replaces one. Each process has a destination of its own, so that it accepts
 * nobody else's. */
static void replace_without_end(struct churn *churn, const char *peer)
{
	static int clients[EACH], servers[EACH];
	const struct sockaddr_in to = address_of(peer, 80);
	const int listening = socket_listening(peer, 80, 0);

	for (unsigned i = 0; i < EACH; i++)
		open_one(listening, &to, &clients[i], &servers[i]);
	atomic_fetch_add(&churn->ready, 1);
	for (unsigned i = 0; !atomic_load(&churn->stop); i = (i + 1) % EACH) {
		close(clients[i]);
		close(servers[i]);
		open_one(listening, &to, &clients[i], &servers[i]);
		atomic_fetch_add(&churn->replaced, 1);
	}
	_exit(0);
}

static void peer_name(char name[INET_ADDRSTRLEN], unsigned process)
{
	snprintf(name, INET_ADDRSTRLEN, "127.0.0.%u", 10 + process);
}

static void start_process(struct churn *churn, unsigned number, pid_t *pid)
{
	char peer[INET_ADDRSTRLEN];

	peer_name(peer, number);
	fflush(stdout);
	*pid = fork();
	assert_true(*pid >= 0);
	if (*pid != 0)
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	replace_without_end(churn, peer);
}

static void await_ready(const struct churn *churn, const pid_t pids[PROCESSES])
{
	while (atomic_load(&churn->ready) < PROCESSES) {
		for (unsigned i = 0; i < PROCESSES; i++)
			assert_int_equal(waitpid(pids[i], NULL, WNOHANG), 0);
		usleep(1000);
	}
}

/* --- what a walk hands over --- */

/* How often it has handed over the connection with this port to the peer of those that stay. */
static uint8_t handed_over[65536];
static struct sockaddr_in stable_peer;

int __real_pw_census_add(struct pw_census *census, const struct pw_socket *sockets, size_t n);
int __wrap_pw_census_add(struct pw_census *census, const struct pw_socket *sockets, size_t n);

int __wrap_pw_census_add(struct pw_census *census, const struct pw_socket *sockets, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (memcmp(sockets[i].remote, &stable_peer.sin_addr, 4) == 0 && sockets[i].remote_port == 80 &&
			sockets[i].protocol == IPPROTO_TCP)
			handed_over[sockets[i].local_port]++;
	return __real_pw_census_add(census, sockets, n);
}

static uint32_t used(struct pw_namespace *ns, const char *peer)
{
	struct pw_pool_key key = {.kind = PW_KIND_CONNECT, .protocol = IPPROTO_TCP, .ns = 1, .port = 80};
	struct pw_pool_counts counts;

	assert_int_equal(pw_address_parse(&key.local, "127.0.0.1"), 0);
	assert_int_equal(pw_address_parse(&key.remote, peer), 0);
	pw_source_pool(pw_census_source(ns->census), &key, &counts);
	assert_int_equal(counts.used + counts.free, counts.capacity);
	return counts.used;
}

static uint32_t used_by_moving(struct pw_namespace *ns)
{
	char peer[INET_ADDRSTRLEN];
	uint32_t sum = 0;

	for (unsigned i = 0; i < PROCESSES; i++) {
		peer_name(peer, i);
		sum += used(ns, peer);
	}
	return sum;
}

static uint64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* --- the test --- */

struct sums {
	unsigned walks, redone, twice, worst;
	uint64_t walks_us, run_ns;
	double replaced, wrong;
};

/* One walk. Those that stay, of which `ports` has the local ports, are counted once each. One is handed over twice if the
 * memory of another one that the walk was at comes back at the head of the same chain (walk.bpf.c): once in thousands of
 * walks. */
static void walk_once(struct churn *churn, struct pw_namespace *ns, const uint16_t ports[STABLE], struct sums *sums)
{
	struct pw_walk_stats stats;
	unsigned before, during, wrong;
	uint64_t start_us;

	memset(handed_over, 0, sizeof(handed_over));
	ns->taken = false;
	before = atomic_load(&churn->replaced);
	start_us = now_us();
	walk->take(walk, &ns, 1);
	sums->walks_us += now_us() - start_us;
	/* and the one that each process is about to have replaced */
	during = atomic_load(&churn->replaced) - before + PROCESSES;
	if (!ns->taken)
		fail_msg("%s", ns->err.text);
	assert_int_equal(used(ns, "127.0.0.2"), STABLE);
	for (unsigned i = 0; i < STABLE; i++) {
		assert_in_range(handed_over[ports[i]], 1, 2);
		sums->twice += handed_over[ports[i]] - 1;
	}
	wrong = (unsigned)abs((int)used_by_moving(ns) - MOVING);
	assert_in_range(wrong, 0, during);
	pw_walk_stats(walk, &stats);
	sums->walks++;
	sums->run_ns += stats.run_ns;
	sums->redone += stats.redone;
	sums->worst = wrong > sums->worst ? wrong : sums->worst;
	sums->replaced += during;
	sums->wrong += wrong;
}

static void what_stays_is_found_exactly_once(void **state)
{
	struct pw_namespace *ns = pw_namespace_new(1, "", NULL);
	struct churn *churn = mmap(NULL, sizeof(*churn), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	static int stable[STABLE];
	static uint16_t ports[STABLE];
	struct sums sums = {0};
	pid_t pids[PROCESSES];
	uint64_t took_us;
	double rate;

	(void)state;
	assert_ptr_not_equal(churn, MAP_FAILED);
	stable_peer = address_of("127.0.0.2", 80);
	socket_listening("127.0.0.2", 80, 0);
	for (unsigned i = 0; i < STABLE; i++) {
		stable[i] = socket_connected(SOCK_STREAM, NULL, 0, "127.0.0.2", 80, 0);
		ports[i] = socket_port(stable[i]);
	}
	for (unsigned i = 0; i < PROCESSES; i++)
		start_process(churn, i, &pids[i]);
	await_ready(churn, pids);
	assert_int_equal(pw_namespace_read(ns), PW_READ_OK);
	took_us = now_us();
	/* each connection that moves is replaced at least once */
	while (sums.walks < WALKS || (atomic_load(&churn->replaced) < MOVING && sums.walks < 20 * WALKS))
		walk_once(churn, ns, ports, &sums);
	took_us = now_us() - took_us;
	rate = 2e6 * atomic_load(&churn->replaced) / (double)took_us;
	atomic_store(&churn->stop, true);
	for (unsigned i = 0; i < PROCESSES; i++) {
		int status;

		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		assert_int_equal(status, 0);
	}
	print_message(
		"%u walks of %.1f ms (%.1f ms of CPU time in the kernel) beside %.0f opens and closes a second: %.1f replaced during a walk, %.1f counted "
		"wrong on average (%.2f %% of %d), %u at most; %u batches were read again, %u that stay were handed over twice\n",
		sums.walks, (double)sums.walks_us / sums.walks / 1000, (double)sums.run_ns / sums.walks / 1e6, rate,
		sums.replaced / sums.walks, sums.wrong / sums.walks, 100 * sums.wrong / sums.walks / MOVING, MOVING,
		sums.worst, sums.redone, sums.twice);
	assert_in_range(sums.twice, 0, WALKS);
	/* so 2 % of them, unless more than 4 % are replaced in the time of a walk: at 20,000 opens and closes a second
	 * that takes 32 ms, the length of a walk on a machine that has something else to do */
	assert_true(sums.wrong <= SHARE * sums.replaced);
	for (unsigned i = 0; i < STABLE; i++)
		socket_reset(stable[i]);
	munmap(churn, sizeof(*churn));
	pw_namespace_free(ns);
}

static int setup(void **state)
{
	const struct rlimit files = {FILES, FILES};

	(void)state;
	if (setrlimit(RLIMIT_NOFILE, &files) < 0)
		return -1;
	netns_enter();
	netns_loopback(true);
	netns_sysctl("ipv4/ip_local_port_range", "20000 59999");
	netns_sysctl("core/somaxconn", "65535");
	netns_sysctl("ipv4/tcp_max_syn_backlog", "65535");
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test_setup(what_stays_is_found_exactly_once, setup)};
	struct pw_error err;
	int failed;

	if (!netns_possible())
		return EXIT_SKIPPED;
	walk = pw_walk_backend(&err);
	if (walk == NULL) {
		printf("skipped: the BPF programs are refused here: %s\n", err.text);
		return EXIT_SKIPPED;
	}
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	walk->free(walk);
	walk = pw_walk_backend_by_helper(&err);
	failed += walk == NULL || cmocka_run_group_tests_name("by helper", tests, NULL, NULL) != 0;
	if (walk != NULL)
		walk->free(walk);
	return failed != 0;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* What the kernel tells of allocations that fail, against the kernel: real calls of every kind, in a network namespace of their own. Needs
 * root. Every experiment is made twice: with BPF programs, and with perf events. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* after <sys/mount.h>: it has the names of mount flags as macros on Debian 11 */
#include <linux/io_uring.h>

#include "base/clock.h"
#include "kernel/connect_events.h"
#include "kernel/connect_perf.h"
#include "kernel/probe.h"
#include "netns.h"

/* All are taken to port 80 of 127.0.0.1 and ::1. */
#define LOW 40000
#define PORTS 30
#define TIMES 25
#define PATIENCE_MS 20000
#define NOBODY 65534

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

static enum pw_connect_events_use use;
static struct pw_connect_events *events;
static struct pw_connect_events_poll found;
static cpu_set_t allowed;
static uint64_t own_netns;

static uint64_t netns_inode(void)
{
	struct stat st;

	assert_int_equal(stat("/proc/self/ns/net", &st), 0);
	return st.st_ino;
}

static int setup(void **state)
{
	(void)state;
	events = pw_connect_events_new(use);
	assert_non_null(events);
	pw_connect_events_poll(events, true, &found);
	assert_true(found.counting);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	pw_connect_events_free(events);
	sched_setaffinity(0, sizeof(allowed), &allowed);
	return 0;
}

static void poll_now(void)
{
	pw_connect_events_poll(events, true, &found);
	assert_true(found.counting);
}

/* What was counted in a namespace since the last poll; no other process is in one of ours. `text` is the pool, "" for any. */
static uint64_t counted_in(uint64_t netns, const char *text)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < found.n; i++) {
		char name[PW_POOL_NAME_MAX];

		pw_pool_name(&found.pools[i].key, NULL, NULL, name);
		if (found.pools[i].netns == netns && (text[0] == '\0' || strcmp(name, text) == 0))
			sum += found.pools[i].count;
	}
	return sum;
}

/* --- ways to connect ------------------------------------------------------------------------------------------------ */

union name {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

static union name name_of(const char *address, uint16_t port)
{
	struct pw_address parsed;
	union name name = {.v4 = {.sin_family = AF_INET, .sin_port = htons(port)}};

	assert_int_equal(pw_address_parse(&parsed, address), 0);
	if (parsed.family == AF_INET && strchr(address, ':') == NULL) {
		memcpy(&name.v4.sin_addr, parsed.bytes, 4);
		return name;
	}
	name.v6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons(port)};
	if (parsed.family == AF_INET6) {
		memcpy(&name.v6.sin6_addr, parsed.bytes, 16);
	} else {
		name.v6.sin6_addr.s6_addr[10] = name.v6.sin6_addr.s6_addr[11] = 0xff;
		memcpy(name.v6.sin6_addr.s6_addr + 12, parsed.bytes, 4);
	}
	return name;
}

static int new_socket(const char *address, int type, int protocol)
{
	int fd = socket(strchr(address, ':') != NULL ? AF_INET6 : AF_INET, type | SOCK_CLOEXEC, protocol);

	assert_true(fd >= 0);
	return fd;
}

static void expect_connect(int fd, const char *address, uint16_t port, int error)
{
	const union name to = name_of(address, port);

	errno = 0;
	connect(fd, &to.any, sizeof(to));
	assert_int_equal(errno, error);
}

static void connect_to(const char *address, int type, int protocol)
{
	for (int i = 0; i < TIMES; i++) {
		int fd = new_socket(address, type, protocol);

		expect_connect(fd, address, 80, EADDRNOTAVAIL);
		close(fd);
	}
}

static void plain(void)
{
	connect_to("127.0.0.1", SOCK_STREAM, 0);
}

static void non_blocking(void)
{
	connect_to("127.0.0.1", SOCK_STREAM | SOCK_NONBLOCK, 0);
}

static void ipv6(void)
{
	connect_to("::1", SOCK_STREAM, 0);
}

static void mapped(void)
{
	connect_to("::ffff:127.0.0.1", SOCK_STREAM, 0);
}

static void mptcp(void)
{
	connect_to("127.0.0.1", SOCK_STREAM, IPPROTO_MPTCP);
}

static void fast_open_message(void)
{
	const union name to = name_of("127.0.0.1", 80);

	for (int i = 0; i < TIMES; i++) {
		int fd = new_socket("127.0.0.1", SOCK_STREAM, 0);

		assert_int_equal(sendto(fd, "x", 1, MSG_FASTOPEN, &to.any, sizeof(to)), -1);
		assert_int_equal(errno, EADDRNOTAVAIL);
		close(fd);
	}
}

static void fast_open_connect(void)
{
	for (int i = 0; i < TIMES; i++) {
		int fd = new_socket("127.0.0.1", SOCK_STREAM, 0), on = 1;

		assert_int_equal(setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &on, sizeof(on)), 0);
		expect_connect(fd, "127.0.0.1", 80, EADDRNOTAVAIL);
		close(fd);
	}
}

/* Its rings, mapped for good: the process is short-lived. */
struct uring {
	int fd;
	uint32_t *sq_tail, *sq_mask, *sq_array, *cq_head, *cq_tail, *cq_mask;
	struct io_uring_sqe *sqes;
	struct io_uring_cqe *cqes;
};

static void uring_open(struct uring *ring)
{
	struct io_uring_params p = {.flags = 0};
	uint8_t *sq, *cq;

	ring->fd = (int)syscall(SYS_io_uring_setup, 4, &p);
	if (ring->fd < 0)
		skip();
	sq = mmap(NULL, p.sq_off.array + p.sq_entries * 4, PROT_READ | PROT_WRITE, MAP_SHARED, ring->fd,
		IORING_OFF_SQ_RING);
	cq = mmap(NULL, p.cq_off.cqes + p.cq_entries * sizeof(struct io_uring_cqe), PROT_READ | PROT_WRITE, MAP_SHARED,
		ring->fd, IORING_OFF_CQ_RING);
	ring->sqes = mmap(NULL, p.sq_entries * sizeof(struct io_uring_sqe), PROT_READ | PROT_WRITE, MAP_SHARED,
		ring->fd, IORING_OFF_SQES);
	ring->sq_tail = (uint32_t *)(sq + p.sq_off.tail);
	ring->sq_mask = (uint32_t *)(sq + p.sq_off.ring_mask);
	ring->sq_array = (uint32_t *)(sq + p.sq_off.array);
	ring->cq_head = (uint32_t *)(cq + p.cq_off.head);
	ring->cq_tail = (uint32_t *)(cq + p.cq_off.tail);
	ring->cq_mask = (uint32_t *)(cq + p.cq_off.ring_mask);
	ring->cqes = (struct io_uring_cqe *)(cq + p.cq_off.cqes);
}

static int uring_connect(struct uring *ring, int fd, const union name *to)
{
	uint32_t tail = *ring->sq_tail, at = tail & *ring->sq_mask, head = *ring->cq_head;
	int result;

	ring->sqes[at] = (struct io_uring_sqe){
		.opcode = IORING_OP_CONNECT, .fd = fd, .addr = (uint64_t)(uintptr_t)to, .off = sizeof(*to)};
	ring->sq_array[at] = at;
	__atomic_store_n(ring->sq_tail, tail + 1, __ATOMIC_RELEASE);
	assert_int_equal(syscall(SYS_io_uring_enter, ring->fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0), 1);
	assert_true(__atomic_load_n(ring->cq_tail, __ATOMIC_ACQUIRE) != head);
	result = ring->cqes[head & *ring->cq_mask].res;
	__atomic_store_n(ring->cq_head, head + 1, __ATOMIC_RELEASE);
	return result;
}

static void io_uring(void)
{
	const union name to = name_of("127.0.0.1", 80);
	struct uring ring;

	uring_open(&ring);
	for (int i = 0; i < TIMES; i++) {
		int fd = new_socket("127.0.0.1", SOCK_STREAM, 0);

		assert_int_equal(uring_connect(&ring, fd, &to), -EADDRNOTAVAIL);
		close(fd);
	}
	close(ring.fd);
}

/* --- ways to fail otherwise ----------------------------------------------------------------------------------------- */

static void refused(void)
{
	for (int i = 0; i < TIMES; i++) {
		int fd = new_socket("127.0.0.1", SOCK_STREAM, 0);

		expect_connect(fd, "127.0.0.1", 79, ECONNREFUSED);
		close(fd);
	}
}

/* A listener that takes no more: SYNs get no answer. */
static int silent_listener(uint16_t port, int *held)
{
	int fd = new_socket("127.0.0.1", SOCK_STREAM, 0);
	const union name name = name_of("127.0.0.1", port);

	assert_int_equal(bind(fd, &name.any, sizeof(name)), 0);
	assert_int_equal(listen(fd, 0), 0);
	*held = socket_connected(SOCK_STREAM, NULL, 0, "127.0.0.1", port, 0);
	return fd;
}

static int connect_slowly(uint16_t port)
{
	int fd = new_socket("127.0.0.1", SOCK_STREAM | SOCK_NONBLOCK, 0), ms = 500, times = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof(ms));
	setsockopt(fd, IPPROTO_TCP, TCP_SYNCNT, &times, sizeof(times));
	expect_connect(fd, "127.0.0.1", port, EINPROGRESS);
	return fd;
}

static void timed_out(void)
{
	int held, listener = silent_listener(81, &held), error;
	socklen_t size = sizeof(error);
	struct pollfd fds[TIMES];

	for (int i = 0; i < TIMES; i++)
		fds[i] = (struct pollfd){.fd = connect_slowly(81), .events = POLLOUT};
	for (int i = 0; i < TIMES; i++) {
		assert_int_equal(poll(&fds[i], 1, PATIENCE_MS), 1);
		assert_int_equal(getsockopt(fds[i].fd, SOL_SOCKET, SO_ERROR, &error, &size), 0);
		assert_int_equal(error, ETIMEDOUT);
		close(fds[i].fd);
	}
	close(held);
	close(listener);
}

static void closed_while_connecting(void)
{
	int held, listener = silent_listener(82, &held);
	const struct sockaddr none = {.sa_family = AF_UNSPEC};

	for (int i = 0; i < TIMES; i++) {
		int fd = connect_slowly(82);

		if (i % 2 == 0)
			connect(fd, &none, sizeof(none));
		close(fd);
	}
	close(held);
	close(listener);
}

static void no_route(void)
{
	for (int i = 0; i < TIMES; i++) {
		int fd = new_socket("192.0.2.1", SOCK_STREAM, 0);

		expect_connect(fd, "192.0.2.1", 80, ENETUNREACH);
		close(fd);
	}
}

/* In a namespace of its own, whose ::1 is gone. */
static void ipv6_off(void)
{
	for (int i = 0; i < TIMES; i++) {
		int fd = new_socket("::1", SOCK_STREAM, 0);

		expect_connect(fd, "::1", 80, EADDRNOTAVAIL);
		close(fd);
	}
}

static void same_tuple(void)
{
	const union name from = name_of("127.0.0.1", 50000);
	int listener = socket_listening("127.0.0.1", 83, 0), on = 1;

	for (int i = 0; i < TIMES; i++) {
		int fd[2];

		for (int j = 0; j < 2; j++) {
			fd[j] = new_socket("127.0.0.1", SOCK_STREAM, 0);
			setsockopt(fd[j], SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
			assert_int_equal(bind(fd[j], &from.any, sizeof(from)), 0);
		}
		expect_connect(fd[0], "127.0.0.1", 83, 0);
		expect_connect(fd[1], "127.0.0.1", 83, EADDRNOTAVAIL);
		socket_reset(fd[0]);
		close(fd[1]);
		close(socket_accept(listener));
	}
	close(listener);
}

static struct pw_pool_key full_pool(void)
{
	struct pw_pool_key key = {.kind = PW_KIND_CONNECT, .protocol = IPPROTO_TCP, .ns = 1, .port = 80};

	pw_address_parse(&key.local, "127.0.0.1");
	pw_address_parse(&key.remote, "127.0.0.1");
	return key;
}

/* Perf events leave them out by the name of the process. */
static void own_probes(void)
{
	const struct pw_pool_key key = full_pool();
	struct pw_probe *probe = pw_probe_open();
	const char *reason;
	char name[16];
	bool exhausted;
	int bound;

	if (probe == NULL && !pw_probe_available(&reason))
		skip();
	bound = socket_bound(SOCK_STREAM, "127.0.0.3", LOW, 0);
	prctl(PR_GET_NAME, name);
	prctl(PR_SET_NAME, "portwatchd");
	for (int i = 0; i < TIMES; i++) {
		assert_true(pw_probe_alloc(&key, &exhausted) > 0);
		assert_true(exhausted);
		assert_int_equal(pw_probe_port(probe, LOW), PW_PROBE_BLOCKED);
	}
	prctl(PR_SET_NAME, name);
	pw_probe_close(probe);
	close(bound);
}

static void the_command_beside(void)
{
	const char *build = getenv("PW_BUILDDIR");
	char path[512];
	int status;
	pid_t child;

	snprintf(path, sizeof(path), "%s/portwatch", build != NULL ? build : ".");
	if (access(path, X_OK) != 0)
		skip();
	child = fork();
	if (child == 0) {
		int null = open("/dev/null", O_WRONLY);

		dup2(null, STDOUT_FILENO);
		dup2(null, STDERR_FILENO);
		execl(path, path, "--probe=on", (char *)NULL);
		_exit(1);
	}
	waitpid(child, &status, 0);
	assert_true(WIFEXITED(status));
}

/* --- bind() and UDP ------------------------------------------------------------------------------------------------- */

static void hold_all(int type, int fds[PORTS])
{
	for (int i = 0; i < PORTS; i++)
		fds[i] = socket_bound(type, "127.0.0.3", 0, 0);
}

static void let_go(const int fds[PORTS])
{
	for (int i = 0; i < PORTS; i++)
		close(fds[i]);
}

static void bind_refused(int type)
{
	const union name name = name_of("127.0.0.3", 0);
	int held[PORTS];

	hold_all(type, held);
	for (int i = 0; i < TIMES; i++) {
		int fd = new_socket("127.0.0.3", type, 0);

		assert_int_equal(bind(fd, &name.any, sizeof(name)), -1);
		assert_int_equal(errno, EADDRINUSE);
		close(fd);
	}
	let_go(held);
}

static void tcp_bind(void)
{
	bind_refused(SOCK_STREAM);
}

static void udp_bind(void)
{
	bind_refused(SOCK_DGRAM);
}

static void udp_connect(void)
{
	int held[PORTS];

	hold_all(SOCK_DGRAM, held);
	for (int i = 0; i < TIMES; i++) {
		int fd = new_socket("127.0.0.1", SOCK_DGRAM, 0);

		expect_connect(fd, "127.0.0.1", 53, EAGAIN);
		close(fd);
	}
	let_go(held);
}

/* --- what must be counted -------------------------------------------------------------------------------------------- */

/* The children of perf's experiments must live until the poll: their namespace and name are looked up there. */
static void in_child(unsigned flags, bool again, const char *pool)
{
	int go[2], done[2];
	uint64_t inode;
	pid_t child;
	int status;

	assert_int_equal(pipe(go), 0);
	assert_int_equal(pipe(done), 0);
	child = fork();
	if (child == 0) {
		char byte = 0;

		if (unshare((int)flags) < 0)
			_exit(EXIT_SKIPPED);
		if (again) {
			child = fork();
			if (child != 0) {
				waitpid(child, &status, 0);
				_exit(WEXITSTATUS(status));
			}
		}
		if ((flags & CLONE_NEWNET) != 0) {
			netns_loopback(true);
			netns_sysctl("ipv4/ip_local_port_range", "40000 40000");
			socket_listening("127.0.0.1", 80, 0);
			socket_connected(SOCK_STREAM, NULL, 0, "127.0.0.1", 80, 0);
		}
		plain();
		inode = netns_inode();
		_exit(write(done[1], &inode, sizeof(inode)) == sizeof(inode) && read(go[0], &byte, 1) == 1 ? 0 : 1);
	}
	close(done[1]);
	if (read(done[0], &inode, sizeof(inode)) != sizeof(inode)) {
		waitpid(child, &status, 0);
		assert_int_equal(WEXITSTATUS(status), EXIT_SKIPPED);
		skip();
	}
	poll_now();
	assert_int_equal(counted_in(inode, pool), TIMES);
	assert_int_equal(write(go[1], "", 1), 1);
	waitpid(child, &status, 0);
	close(go[0]);
	close(go[1]);
	close(done[0]);
}

static void in_another_namespace(void **state)
{
	(void)state;
	poll_now();
	in_child(CLONE_NEWNET, false, "tcp 127.0.0.1 -> 127.0.0.1:80");
	assert_int_equal(counted_in(own_netns, ""), 0);
}

static void in_a_pid_namespace(void **state)
{
	(void)state;
	poll_now();
	in_child(CLONE_NEWPID, true, "tcp 127.0.0.1 -> 127.0.0.1:80");
}

struct experiment {
	const char *name;
	void (*make)(void);
	const char *pool; /* TIMES of it, NULL: 0 of all */
	bool bind;
};

#define TCP_POOL "tcp 127.0.0.1 -> 127.0.0.1:80"
static struct experiment experiments[] = {
	{"plain", plain, TCP_POOL, false},
	{"non_blocking", non_blocking, TCP_POOL, false},
	{"io_uring", io_uring, TCP_POOL, false},
	{"fast_open_message", fast_open_message, TCP_POOL, false},
	{"fast_open_connect", fast_open_connect, TCP_POOL, false},
	{"mptcp", mptcp, TCP_POOL, false},
	{"ipv6", ipv6, "tcp [::1] -> [::1]:80", false},
	{"mapped", mapped, TCP_POOL, false},
	{"refused", refused, NULL, false},
	{"timed_out", timed_out, NULL, false},
	{"closed_while_connecting", closed_while_connecting, NULL, false},
	{"no_route", no_route, NULL, false},
	{"ipv6_off", ipv6_off, NULL, false},
	{"same_tuple", same_tuple, NULL, false},
	{"own_probes", own_probes, NULL, false},
	{"the_command_beside", the_command_beside, NULL, false},
	{"tcp_bind", tcp_bind, "tcp 127.0.0.3 bind", true},
	{"udp_bind", udp_bind, "udp 127.0.0.3 bind", true},
	{"udp_connect", udp_connect, "udp 0.0.0.0 bind", true},
};

#define EXPERIMENTS (sizeof(experiments) / sizeof(experiments[0]))

static void experiment(void **state)
{
	const struct experiment *e = *state;
	const bool off = e->make == ipv6_off;
	uint64_t total;

	if (e->bind && !found.binds)
		skip();
	if (e->make == mptcp) {
		int fd = socket(AF_INET, SOCK_STREAM, IPPROTO_MPTCP);

		if (fd < 0)
			skip();
		close(fd);
	}
	poll_now();
	total = found.total;
	if (off)
		netns_sysctl("ipv6/conf/all/disable_ipv6", "1");
	e->make();
	if (off)
		netns_sysctl("ipv6/conf/all/disable_ipv6", "0");
	poll_now();
	assert_int_equal(counted_in(own_netns, ""), e->pool != NULL ? TIMES : 0);
	if (e->pool == NULL)
		return;
	assert_int_equal(counted_in(own_netns, e->pool), TIMES);
	assert_true(found.total >= total + TIMES);
}

static void the_process_is_named(void **state)
{
	char name[16];

	(void)state;
	poll_now();
	plain();
	poll_now();
	assert_int_equal(prctl(PR_GET_NAME, name), 0);
	for (size_t i = 0; i < found.n; i++) {
		const struct pw_refusals *pool = &found.pools[i];

		if (pool->netns != own_netns)
			continue;
		assert_int_equal(pool->process.pid, getpid());
		assert_string_equal(pool->process.name, name);
		assert_true(pool->last_ms <= pw_clock_boot_ms() && pool->last_ms + PATIENCE_MS > pw_clock_boot_ms());
		for (size_t j = 0; j < found.processes.n; j++)
			if (found.processes.process[j].pid == (uint32_t)getpid()) {
				assert_string_equal(found.processes.process[j].name, name);
				assert_int_equal(found.processes.process[j].times, TIMES);
				return;
			}
	}
	fail_msg("this process is missing");
}

/* Whole rounds of it: none is lost, whatever the room for names. */
static void many_are_counted(void **state)
{
	uint64_t counted = 0, total;

	(void)state;
	poll_now();
	total = found.total;
	for (int round = 0; round < 200; round++) {
		plain();
		if (round % 50 == 49) {
			poll_now();
			counted += counted_in(own_netns, TCP_POOL);
		}
	}
	assert_true(found.total - total >= 200 * TIMES);
	if (use == PW_EVENTS_BPF)
		assert_int_equal(counted, 200 * TIMES);
	else
		assert_true(found.crowded > 0);
}

static void a_refusal_wakes(void **state)
{
	struct pollfd fd = {.events = POLLIN};
	uint64_t deadline = pw_clock_boot_ms() + PATIENCE_MS;

	(void)state;
	do {
		poll_now(); /* others of the host may wake as well */
		fd.fd = pw_connect_events_fd(events);
		assert_true(fd.fd >= 0);
	} while (poll(&fd, 1, 0) != 0 && pw_clock_boot_ms() < deadline);
	assert_true(pw_clock_boot_ms() < deadline);
	plain();
	assert_int_equal(poll(&fd, 1, PATIENCE_MS), 1);
	poll_now();
	assert_int_equal(counted_in(own_netns, ""), TIMES);
}

static void what_was_counted_stays_when_it_is_switched_off(void **state)
{
	uint64_t before;

	(void)state;
	poll_now();
	plain();
	poll_now();
	before = found.total;
	pw_connect_events_poll(events, false, &found);
	assert_false(found.counting);
	assert_string_equal(found.reason, "connect-failures = false");
	assert_true(found.total >= before);
	plain();
	poll_now();
	assert_int_equal(counted_in(own_netns, ""), 0);
	plain();
	poll_now();
	assert_int_equal(counted_in(own_netns, ""), TIMES);
	assert_true(found.total >= before);
}

/* In a process of its own, without any privilege. Returns its findings. */
static void without_privilege(void **state)
{
	int ends[2];

	(void)state;
	assert_int_equal(pipe(ends), 0);
	if (fork() == 0) {
		struct pw_connect_events *own;

		if (setresgid(NOBODY, NOBODY, NOBODY) < 0 || setresuid(NOBODY, NOBODY, NOBODY) < 0)
			_exit(1);
		own = pw_connect_events_new(use);
		pw_connect_events_poll(own, true, &found);
		_exit(write(ends[1], &found, sizeof(found)) == (ssize_t)sizeof(found) ? 0 : 1);
	}
	close(ends[1]);
	assert_int_equal(read(ends[0], &found, sizeof(found)), sizeof(found));
	close(ends[0]);
	wait(NULL);
	assert_false(found.counting);
	if (use == PW_EVENTS_BPF)
		assert_string_equal(
			found.reason, "BPF: Operation not permitted (it needs root, or CAP_BPF and CAP_PERFMON)");
	else
		assert_non_null(
			strstr(found.reason, "Permission denied (reading it needs root or CAP_DAC_READ_SEARCH)"));
}

/* Loaded by root; begun by nobody without a capability, as after a reload. */
static void privilege_given_up(void **state)
{
	int status;

	(void)state;
	if (use != PW_EVENTS_BPF || pw_connect_events_needs_bpf(events))
		skip();
	pw_connect_events_poll(events, false, &found);
	if (fork() == 0) {
		if (setresgid(NOBODY, NOBODY, NOBODY) < 0 || setresuid(NOBODY, NOBODY, NOBODY) < 0 ||
			prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
			_exit(1);
		pw_connect_events_poll(events, true, &found);
		plain();
		pw_connect_events_poll(events, true, &found);
		_exit(found.counting && counted_in(own_netns, TCP_POOL) == TIMES ? 0 : 2);
	}
	wait(&status);
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* --- the counters of perf events ------------------------------------------------------------------------------------- */

static uint64_t samples;

static void count_sample(const struct pw_refusals *refusal, void *context)
{
	(void)context;
	samples += refusal->netns == own_netns;
}

static void run_on(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	assert_int_equal(sched_setaffinity(0, sizeof(set), &set), 0);
}

/* Returns the total; `samples` are those of this namespace since the last time. */
static uint64_t poll_cpus(struct pw_connect_perf *perf, const char *online)
{
	struct pw_error err = {.text = ""};
	uint64_t total;

	samples = 0;
	pw_connect_perf_poll(perf, online, &total, &err);
	assert_string_equal(err.text, "");
	return total;
}

/* As when CPU 1 goes off and comes back: its counter ends and begins, and the total keeps what it had. */
static void cpus_come_and_go(void **state)
{
	struct pw_connect_perf *perf;
	uint64_t before;

	(void)state;
	if (!CPU_ISSET(0, &allowed) || !CPU_ISSET(1, &allowed))
		skip();
	perf = pw_connect_perf_new(count_sample, NULL);
	assert_non_null(perf);
	run_on(1);
	before = poll_cpus(perf, "0-1");
	plain();
	assert_true(poll_cpus(perf, "0") >= before + TIMES);
	assert_int_equal(samples, TIMES);
	plain();
	poll_cpus(perf, "0");
	assert_int_equal(samples, 0); /* nobody counts there now */
	before = poll_cpus(perf, "0-1");
	plain();
	assert_true(poll_cpus(perf, "0-1") >= before + TIMES);
	assert_int_equal(samples, TIMES);
	pw_connect_perf_free(perf);
}

/* The descriptors of the counters: those of perf events. */
static unsigned disable_counters(void)
{
	DIR *dir = opendir("/proc/self/fd");
	const struct dirent *d;
	unsigned n = 0;

	assert_non_null(dir);
	while ((d = readdir(dir)) != NULL) {
		char target[64] = "";

		if (readlinkat(dirfd(dir), d->d_name, target, sizeof(target) - 1) < 0 ||
			strcmp(target, "anon_inode:[perf_event]") != 0)
			continue;
		n++;
		assert_int_equal(ioctl(atoi(d->d_name), PERF_EVENT_IOC_DISABLE, 0), 0);
	}
	closedir(dir);
	return n;
}

/* When a CPU went off and was back before a poll could see it, its counter stands still: the kernel took it out. */
static void a_counter_that_stands_still_is_replaced(void **state)
{
	(void)state;
	poll_now();
	assert_true(disable_counters() > 0);
	poll_now(); /* the time until it was disabled */
	poll_now();
	plain();
	poll_now();
	assert_int_equal(counted_in(own_netns, ""), TIMES);
}

static void without_tracefs(void **state)
{
	const char *const roots[] = {"/sys/kernel/tracing", "/sys/kernel/debug"};

	(void)state;
	for (size_t i = 0; i < 2; i++)
		assert_true(mount("none", roots[i], "tmpfs", 0, NULL) == 0 || errno == ENOENT);
	pw_connect_events_free(events);
	events = pw_connect_events_new(PW_EVENTS_PERF);
	assert_non_null(events);
	pw_connect_events_poll(events, true, &found);
	assert_false(found.counting);
	assert_non_null(strstr(found.reason,
		"tracefs is not mounted at /sys/kernel/tracing, or the kernel has no tracepoint sock:inet_sock_set_state"));
	for (size_t i = 0; i < 2; i++)
		umount(roots[i]);
	poll_now(); /* it is looked for again */
}

/* --- all of it ------------------------------------------------------------------------------------------------------- */

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

/* What is left out elsewhere is a kernel or a container that refuses; anything else is a failure of the tests. */
static bool can_count(enum pw_connect_events_use which)
{
	struct pw_connect_events *first = pw_connect_events_new(which);
	struct pw_connect_events_poll poll;

	pw_connect_events_poll(first, true, &poll);
	printf("%s: %s\n", which == PW_EVENTS_BPF ? "BPF" : "perf events", poll.reason);
	pw_connect_events_free(first);
	use = which;
	return poll.counting;
}

/* A mount namespace with tracefs. */
static void enter_mounts(void)
{
	if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		fail_msg("mount namespace: %s", strerror(errno));
	if (access("/sys/kernel/tracing/events", F_OK) != 0 &&
		mount("tracefs", "/sys/kernel/tracing", "tracefs", 0, NULL) < 0)
		printf("tracefs cannot be mounted: %s\n", strerror(errno));
}

/* A namespace whose pools have no free port: a new one for each way to count, since before Linux 6.18 a port that was bound once stays blocked as
 * long as there is a connection on it. */
static void prepare(void)
{
	netns_enter();
	netns_loopback(true);
	netns_sysctl("ipv4/ip_local_port_range", "40000 40029");
	own_netns = netns_inode();
	socket_listening("127.0.0.1", 80, 0);
	socket_listening("::1", 80, 0);
	for (int i = 0; i < PORTS; i++) {
		socket_connected(SOCK_STREAM, NULL, 0, "127.0.0.1", 80, 0);
		socket_connected(SOCK_STREAM, NULL, 0, "::1", 80, 0);
	}
}

static int run_experiments(void)
{
	struct CMUnitTest tests[EXPERIMENTS];

	for (size_t i = 0; i < EXPERIMENTS; i++)
		tests[i] = (struct CMUnitTest){.name = experiments[i].name,
			.test_func = experiment,
			.setup_func = setup,
			.teardown_func = teardown,
			.initial_state = &experiments[i]};
	return cmocka_run_group_tests_name("experiments", tests, NULL, NULL);
}

static int run_all(void)
{
	const struct CMUnitTest tests[] = {
		TEST(in_another_namespace),
		TEST(in_a_pid_namespace),
		TEST(the_process_is_named),
		TEST(many_are_counted),
		TEST(a_refusal_wakes),
		TEST(what_was_counted_stays_when_it_is_switched_off),
		TEST(without_privilege),
		TEST(privilege_given_up),
	};

	return run_experiments() + cmocka_run_group_tests_name("others", tests, NULL, NULL);
}

int main(void)
{
	const struct CMUnitTest perf_tests[] = {
		TEST(cpus_come_and_go),
		TEST(a_counter_that_stands_still_is_replaced),
		TEST(without_tracefs),
	};
	int failed = 0, runs = 0;

	if (!netns_possible())
		return EXIT_SKIPPED;
	sched_getaffinity(0, sizeof(allowed), &allowed);
	enter_mounts();
	if (can_count(PW_EVENTS_BPF)) {
		prepare();
		failed += run_all();
		runs++;
	}
	if (can_count(PW_EVENTS_PERF)) {
		prepare();
		failed += run_all() + cmocka_run_group_tests_name("perf events", perf_tests, NULL, NULL);
		runs++;
	}
	if (runs == 0)
		printf("skipped: neither can be used here\n");
	return runs == 0 ? EXIT_SKIPPED : failed;
}

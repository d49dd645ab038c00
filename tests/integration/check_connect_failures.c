/* SPDX-License-Identifier: BSD-2-Clause */
/* The counter of failing connects against the kernel: real calls that fail, in a network namespace of their own. Needs root and a kernel
 * with system call tracepoints.
 *
 * The counter is one of the whole host. What others fail meanwhile counts too, so an experiment is made again until nobody
 * interfered; a count that is too low is never excused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <linux/perf_event.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "kernel/connect_failures.h"
#include "netns.h"

#define PORTS 10
#define PATIENCE_MS 20000
#define NOBODY 65534

static struct pw_connect_failures *failures;
static struct pw_connect_failures_poll found;
static int held[PORTS + 1];
static cpu_set_t allowed;

static int setup(void **state)
{
	(void)state;
	failures = pw_connect_failures_new();
	assert_non_null(failures);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	pw_connect_failures_free(failures);
	sched_setaffinity(0, sizeof(allowed), &allowed);
	return 0;
}

static void poll_now(void)
{
	pw_connect_failures_poll(failures, true, &found);
	assert_string_equal(found.reason, "");
	assert_true(found.counting);
}

/* connect() of a socket without a port: to 127.0.0.1:80 all ports are in use. Returns the errno. */
static int try_connect(int type, uint16_t port)
{
	struct sockaddr_in to = {
		.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0), error = 0;

	assert_true(fd >= 0);
	if (connect(fd, (const struct sockaddr *)&to, sizeof(to)) < 0)
		error = errno;
	close(fd);
	return error;
}

static void fail_connects(unsigned n)
{
	while (n-- > 0)
		assert_int_equal(try_connect(SOCK_STREAM, 80), EADDRNOTAVAIL);
}

/* Calls that fail for other reasons, and those of UDP, which say EAGAIN where no port is left. */
static void fail_otherwise(unsigned n)
{
	int udp[PORTS];

	for (int i = 0; i < PORTS; i++)
		udp[i] = socket_bound(SOCK_DGRAM, "127.0.0.1", 0, 0);
	while (n-- > 0) {
		assert_int_equal(try_connect(SOCK_STREAM, 79), ECONNREFUSED);
		assert_int_equal(try_connect(SOCK_DGRAM, 80), EAGAIN);
		assert_int_equal(connect(-1, NULL, 0), -1);
	}
	for (int i = 0; i < PORTS; i++)
		close(udp[i]);
}

/* The samples of this process, none at all if it is not among them. */
static struct pw_failing_process own_samples(void)
{
	for (size_t i = 0; i < found.processes.n; i++)
		if (found.processes.process[i].pid == (uint32_t)getpid())
			return found.processes.process[i];
	return (struct pw_failing_process){0};
}

/* Runs an experiment that adds n to the counter, until nobody else added to it. */
static void expect_counted(void (*experiment)(unsigned n), unsigned n, uint64_t counted)
{
	uint64_t before, deadline = pw_clock_boot_ms() + PATIENCE_MS;

	do {
		poll_now();
		before = found.total;
		experiment(n);
		poll_now();
		assert_true(found.total - before >= counted);
		if (found.total - before == counted)
			return;
	} while (pw_clock_boot_ms() < deadline);
	fail_msg("%llu failures were counted, %llu expected", (unsigned long long)(found.total - before),
		(unsigned long long)counted);
}

static void every_failure_is_counted(void **state)
{
	(void)state;
	expect_counted(fail_connects, 1000, 1000);
	expect_counted(fail_connects, 1, 1);
	expect_counted(fail_connects, 0, 0);
}

static void nothing_else_is_counted(void **state)
{
	(void)state;
	expect_counted(fail_otherwise, 100, 0);
}

static void the_process_is_named(void **state)
{
	struct pw_failing_process own;
	char name[16];

	(void)state;
	poll_now();
	fail_connects(100);
	poll_now();
	own = own_samples();
	assert_int_equal(prctl(PR_GET_NAME, name), 0);
	assert_string_equal(own.name, name);
	assert_int_equal(own.times, 100);
	/* a full buffer costs samples, and no count */
	expect_counted(fail_connects, 3000, 3000);
	own = own_samples();
	assert_in_range(own.times, 1, 2999);
	expect_counted(fail_connects, 10, 10);
	assert_true(own_samples().times > 0);
}

/* In a process of its own, which has ended when the poll looks for its name. */
static void a_process_that_ended_has_no_name(void **state)
{
	pid_t child;
	int status;

	(void)state;
	poll_now();
	child = fork();
	if (child == 0) {
		fail_connects(3);
		_exit(0);
	}
	waitpid(child, &status, 0);
	assert_int_equal(status, 0);
	poll_now();
	for (size_t i = 0; i < found.processes.n; i++)
		if (found.processes.process[i].pid == (uint32_t)child) {
			assert_string_equal(found.processes.process[i].name, "");
			assert_int_equal(found.processes.process[i].times, 3);
			return;
		}
	fail_msg("the process %d is missing", (int)child);
}

static void run_on(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	assert_int_equal(sched_setaffinity(0, sizeof(set), &set), 0);
}

static void poll_cpus(const char *online)
{
	pw_connect_failures_poll_cpus(failures, online, &found);
	assert_string_equal(found.reason, "");
}

/* As when CPU 1 goes off and comes back: its counter ends and begins, and the total keeps what it had. */
static void cpus_come_and_go(void **state)
{
	uint64_t before;

	(void)state;
	if (!CPU_ISSET(0, &allowed) || !CPU_ISSET(1, &allowed))
		skip();
	run_on(1);
	poll_cpus("0-1");
	before = found.total;
	fail_connects(100);
	poll_cpus("0");
	assert_true(found.total >= before + 100);
	fail_connects(20);
	poll_cpus("0");
	assert_int_equal(own_samples().times, 0); /* nobody counts there now */
	poll_cpus("0-1");
	before = found.total;
	fail_connects(30);
	poll_cpus("0-1");
	assert_true(found.total >= before + 30);
	assert_int_equal(own_samples().times, 30);
}

/* The descriptors of the counters: those of perf events. */
static unsigned for_each_counter(void (*act)(int fd))
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
		if (act != NULL)
			act(atoi(d->d_name));
	}
	closedir(dir);
	return n;
}

static void disable(int fd)
{
	assert_int_equal(ioctl(fd, PERF_EVENT_IOC_DISABLE, 0), 0);
}

/* When a CPU went off and was back before a poll could see it, its counter stands still: the kernel took it out. */
static void a_counter_that_stands_still_is_replaced(void **state)
{
	uint64_t before;

	(void)state;
	poll_now();
	fail_connects(10);
	poll_now();
	before = found.total;
	assert_true(for_each_counter(disable) > 0);
	poll_now(); /* the time until it was disabled */
	poll_now();
	fail_connects(10);
	poll_now();
	assert_true(found.total >= before + 10);
}

static void what_was_counted_stays_when_it_is_switched_off(void **state)
{
	uint64_t before;

	(void)state;
	poll_now();
	fail_connects(10);
	poll_now();
	before = found.total;
	pw_connect_failures_poll(failures, false, &found);
	assert_false(found.counting);
	assert_string_equal(found.reason, "connect-failures = false");
	assert_true(found.total >= before);
	assert_int_equal(for_each_counter(NULL), 0);
	poll_now();
	assert_true(found.total >= before);
}

/* In a process of its own, without any privilege. Returns its findings. */
static struct pw_connect_failures_poll poll_as_nobody(void)
{
	int ends[2];

	assert_int_equal(pipe(ends), 0);
	if (fork() == 0) {
		if (setresgid(NOBODY, NOBODY, NOBODY) < 0 || setresuid(NOBODY, NOBODY, NOBODY) < 0)
			_exit(1);
		pw_connect_failures_poll(failures, true, &found);
		_exit(write(ends[1], &found, sizeof(found)) == (ssize_t)sizeof(found) ? 0 : 1);
	}
	close(ends[1]);
	assert_int_equal(read(ends[0], &found, sizeof(found)), sizeof(found));
	close(ends[0]);
	wait(NULL);
	return found;
}

static void without_privilege(void **state)
{
	(void)state;
	assert_false(poll_as_nobody().counting);
	assert_string_equal(found.reason, "perf_event_open: Permission denied (it needs root or CAP_PERFMON)");
}

static void without_tracefs(void **state)
{
	const char *const roots[] = {"/sys/kernel/tracing", "/sys/kernel/debug"};

	(void)state;
	for (size_t i = 0; i < 2; i++)
		assert_true(mount("none", roots[i], "tmpfs", 0, NULL) == 0 || errno == ENOENT);
	pw_connect_failures_free(failures);
	failures = pw_connect_failures_new();
	assert_non_null(failures);
	pw_connect_failures_poll(failures, true, &found);
	assert_false(found.counting);
	assert_string_equal(found.reason,
		"tracefs is not mounted at /sys/kernel/tracing, or the kernel has no system call tracepoints");
	for (size_t i = 0; i < 2; i++)
		umount(roots[i]);
	poll_now(); /* it is looked for again */
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

/* A mount namespace with tracefs, and a tuple without a free port. */
static bool prepare(void)
{
	struct pw_connect_failures_poll first;

	netns_enter();
	netns_loopback(true);
	netns_sysctl("ipv4/ip_local_port_range", "40000 40009");
	held[PORTS] = socket_listening("127.0.0.1", 80, 0);
	for (int i = 0; i < PORTS; i++)
		held[i] = socket_connected(SOCK_STREAM, NULL, 0, "127.0.0.1", 80, 0);
	sched_getaffinity(0, sizeof(allowed), &allowed);
	if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		mount("tracefs", "/sys/kernel/tracing", "tracefs", 0, NULL) < 0) {
		printf("skipped: tracefs cannot be mounted: %s\n", strerror(errno));
		return false;
	}
	failures = pw_connect_failures_new();
	pw_connect_failures_poll(failures, true, &first);
	pw_connect_failures_free(failures);
	/* a kernel without the tracepoint, or a container that may not: all else is a failure of the tests */
	if (!first.counting)
		printf("skipped: %s\n", first.reason);
	return first.counting;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_failure_is_counted),
		TEST(nothing_else_is_counted),
		TEST(the_process_is_named),
		TEST(a_process_that_ended_has_no_name),
		TEST(cpus_come_and_go),
		TEST(a_counter_that_stands_still_is_replaced),
		TEST(what_was_counted_stays_when_it_is_switched_off),
		TEST(without_privilege),
		TEST(without_tracefs),
	};

	if (!netns_possible() || !prepare())
		return EXIT_SKIPPED;
	return cmocka_run_group_tests(tests, NULL, NULL);
}

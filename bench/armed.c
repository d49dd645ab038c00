/* SPDX-License-Identifier: BSD-2-Clause */
/* armed.c: what the counter of failing connects costs other system calls of the host
 *
 * Measures a few calls in turns, with the counters of kernel/connect_failures.h armed and not, in network and mount namespaces of its own.
 * Prints nanoseconds of CPU time a call (median of the rounds) and the ratio of the medians. Needs root. */
#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "kernel/connect_failures.h"

#define ROUNDS 41
#define PORT 8080

static int udp;
static struct sockaddr_in server;

static void call_getppid(void)
{
	getppid();
}

/* The whole path of a connect() that does nothing. */
static void call_connect(void)
{
	connect(-1, (const struct sockaddr *)&server, sizeof(server));
}

static void call_connect_udp(void)
{
	connect(udp, (const struct sockaddr *)&server, sizeof(server));
}

/* A connection that nobody answers: a port is found, a SYN goes out, and a reset comes back. */
static void call_connect_tcp(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	connect(fd, (const struct sockaddr *)&server, sizeof(server));
	close(fd);
}

static const struct subject {
	const char *name;
	void (*call)(void);
	unsigned times;
} subjects[] = {
	{"getppid()", call_getppid, 200000},
	{"connect() of a bad descriptor", call_connect, 200000},
	{"connect() of UDP", call_connect_udp, 50000},
	{"socket(), connect(), close() of TCP", call_connect_tcp, 5000},
};

#define SUBJECTS (sizeof(subjects) / sizeof(subjects[0]))

static double nanoseconds(const struct subject *subject)
{
	struct timespec start, end;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &start);
	for (unsigned i = 0; i < subject->times; i++)
		subject->call();
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &end);
	return ((double)(end.tv_sec - start.tv_sec) * 1e9 + (double)(end.tv_nsec - start.tv_nsec)) / subject->times;
}

static int by_value(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static double median(double values[ROUNDS])
{
	qsort(values, ROUNDS, sizeof(*values), by_value);
	return values[ROUNDS / 2];
}

static void fail(const char *what)
{
	perror(what);
	exit(EXIT_FAILURE);
}

static void enter_namespaces(void)
{
	struct ifreq lo = {.ifr_name = "lo", .ifr_flags = IFF_UP};

	if (unshare(CLONE_NEWNS | CLONE_NEWNET) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		fail("armed: namespaces");
	if (mount("tracefs", "/sys/kernel/tracing", "tracefs", 0, NULL) < 0)
		fail("armed: tracefs");
	udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	server = (struct sockaddr_in){
		.sin_family = AF_INET, .sin_port = htons(PORT), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	if (ioctl(udp, SIOCSIFFLAGS, &lo) < 0)
		fail("armed: loopback");
}

int main(void)
{
	static double off[SUBJECTS][ROUNDS], on[SUBJECTS][ROUNDS];
	struct pw_connect_failures *failures;
	struct pw_connect_failures_poll found;

	enter_namespaces();
	failures = pw_connect_failures_new();
	for (unsigned round = 0; failures != NULL && round < ROUNDS; round++) {
		pw_connect_failures_poll(failures, false, &found);
		for (size_t i = 0; i < SUBJECTS; i++)
			off[i][round] = nanoseconds(&subjects[i]);
		pw_connect_failures_poll(failures, true, &found);
		if (!found.counting) {
			fprintf(stderr, "armed: %s\n", found.reason);
			return EXIT_FAILURE;
		}
		for (size_t i = 0; i < SUBJECTS; i++)
			on[i][round] = nanoseconds(&subjects[i]);
	}
	for (size_t i = 0; i < SUBJECTS; i++) {
		double without = median(off[i]), with = median(on[i]);

		printf("%-36s %8.0f ns, armed %8.0f ns, ratio %.2f\n", subjects[i].name, without, with, with / without);
	}
	pw_connect_failures_free(failures);
	return EXIT_SUCCESS;
}

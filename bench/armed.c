/* SPDX-License-Identifier: BSD-2-Clause */
/* armed.c: what counting failed allocations costs the host
 *
 * Measures a few calls in turns, with kernel/connect_events.h counting and not, in network and mount namespaces of
 * its own. Prints nanoseconds of CPU time a call (median of the rounds) and the median of the rounds' ratios. Needs
 * root. `armed perf` measures perf events instead of BPF, `armed latency` what it costs that the searches of another pool
 * are timed beside it: that to which connects fail. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "kernel/connect_events.h"
#include "kernel/namespace.h"

#define ROUNDS 61
#define PORT 8080
#define FULL 8081 /* where all ports of the range are taken */

static int udp, listener, kept[2], zero;
static struct sockaddr_in server, full;

static void call_getppid(void)
{
	getppid();
}

static void call_read(void)
{
	char byte;

	if (read(zero, &byte, 1) != 1)
		exit(EXIT_FAILURE);
}

static void call_send_udp(void)
{
	sendto(udp, "x", 1, MSG_DONTWAIT, (const struct sockaddr *)&server, sizeof(server));
}

/* A request and its answer on a connection that stays. */
static void call_request(void)
{
	char byte = 'x';

	for (int i = 0; i < 2; i++)
		if (send(kept[i], &byte, 1, 0) != 1 || recv(kept[1 - i], &byte, 1, 0) != 1)
			exit(EXIT_FAILURE);
}

static void call_connection(void)
{
	const struct linger reset = {.l_onoff = 1};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), peer;

	if (connect(fd, (const struct sockaddr *)&server, sizeof(server)) < 0)
		exit(EXIT_FAILURE);
	peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	close(fd);
	close(peer);
}

static void call_failing(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (connect(fd, (const struct sockaddr *)&full, sizeof(full)) == 0)
		exit(EXIT_FAILURE);
	close(fd);
}

static const struct subject {
	const char *name;
	void (*call)(void);
	unsigned times;
} subjects[] = {
	{"getppid()", call_getppid, 100000},
	{"read() of a byte of /dev/zero", call_read, 50000},
	{"sendto() of UDP", call_send_udp, 10000},
	{"request and answer, kept alive", call_request, 5000},
	{"connect(), accept(), close()", call_connection, 2000},
	{"failing connect()", call_failing, 300},
};

#define SUBJECTS (sizeof(subjects) / sizeof(subjects[0]))

/* CPU time of the whole process: loopback does the peer's work in it as well. */
static double nanoseconds(const struct subject *subject)
{
	struct timespec start, end;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &start);
	for (unsigned i = 0; i < subject->times; i++)
		subject->call();
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &end);
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

static void write_file(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	if (file == NULL || fputs(text, file) < 0 || fclose(file) != 0)
		fail(path);
}

static void enter_namespaces(void)
{
	struct ifreq lo = {.ifr_name = "lo", .ifr_flags = IFF_UP};

	if (unshare(CLONE_NEWNS | CLONE_NEWNET) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		fail("armed: namespaces");
	mount("tracefs", "/sys/kernel/tracing", "tracefs", 0, NULL); /* it may be there already */
	udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (ioctl(udp, SIOCSIFFLAGS, &lo) < 0)
		fail("armed: loopback");
}

static int listen_on(struct sockaddr_in *name, uint16_t port)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	*name = (struct sockaddr_in){
		.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	if (bind(fd, (const struct sockaddr *)name, sizeof(*name)) < 0 || listen(fd, 4096) < 0)
		fail("armed: listener");
	return fd;
}

static int connected_to(const struct sockaddr_in *name)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return connect(fd, (const struct sockaddr *)name, sizeof(*name)) == 0 ? fd : -1;
}

/* One destination is full: the range has few ports. */
static void make_population(void)
{
	listener = listen_on(&server, PORT);
	kept[0] = connected_to(&server);
	kept[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	listen_on(&full, FULL);
	write_file("/proc/sys/net/ipv4/ip_local_port_range", "32768 33267");
	for (int i = 0; i < 500; i++)
		if (connected_to(&full) < 0)
			fail("armed: connect");
	if (connected_to(&full) >= 0 || kept[0] < 0 || kept[1] < 0)
		fail("armed: population");
}

/* As when the pool to which connects fail has an alarm, or has none. */
static void time_searches(struct pw_connect_events *events, bool wanted)
{
	static struct pw_namespace ns;
	const struct pw_ns_poll poll = {.context = &ns};
	struct pw_question question = {.ns = &poll,
		.wants_measured = true,
		.key = {.kind = PW_KIND_CONNECT, .protocol = IPPROTO_TCP, .port = FULL}};
	struct stat st;

	if (pw_connect_events_latency(events) == NULL || stat("/proc/self/ns/net", &st) < 0) {
		fputs("armed: this kernel lets no BPF program follow its functions\n", stderr);
		exit(EXIT_FAILURE);
	}
	ns.entered = st.st_ino;
	pw_address_parse(&question.key.local, "127.0.0.1");
	pw_address_parse(&question.key.remote, "127.0.0.1");
	pw_latency_answer(pw_connect_events_latency(events), &question, wanted, 1);
}

int main(int argc, char **argv)
{
	const bool latency = argc > 1 && strcmp(argv[1], "latency") == 0;
	static double off[SUBJECTS][ROUNDS], on[SUBJECTS][ROUNDS], ratio[SUBJECTS][ROUNDS];
	struct pw_connect_events_poll found;
	struct pw_connect_events *events;

	enter_namespaces();
	make_population();
	events = pw_connect_events_new(argc > 1 && strcmp(argv[1], "perf") == 0 ? PW_EVENTS_PERF : PW_EVENTS_BPF);
	for (unsigned round = 0; events != NULL && round < ROUNDS; round++) {
		for (unsigned half = 0; half < 2; half++) {
			const bool armed = half == round % 2;

			pw_connect_events_poll(events, armed ? PW_EVENTS_FAILURES | PW_EVENTS_RINGS : 0, &found);
			if (armed && !found.counting) {
				fprintf(stderr, "armed: %s\n", found.reason);
				return EXIT_FAILURE;
			}
			if (latency)
				time_searches(events, armed);
			for (size_t i = 0; i < SUBJECTS; i++)
				(armed ? on : off)[i][round] = nanoseconds(&subjects[i]);
		}
		for (size_t i = 0; i < SUBJECTS; i++)
			ratio[i][round] = on[i][round] / off[i][round];
	}
	pw_connect_events_free(events);
	for (size_t i = 0; i < SUBJECTS; i++)
		printf("%-32s %8.0f ns, armed %8.0f ns, ratio %.3f\n", subjects[i].name, median(off[i]), median(on[i]),
			median(ratio[i]));
	return EXIT_SUCCESS;
}

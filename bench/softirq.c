/* SPDX-License-Identifier: BSD-2-Clause */
/* softirq.c: how long the softirq that receives packets waits on a processor, while others do something or nothing there
 *
 *   softirq PORT      on the loopback, whose packets another processor takes in (rps_cpus)
 *
 * A number on standard input asks for so many milliseconds of datagrams, one after the other with a pause between them. The
 * answer is one line of "name=value" pairs: how many there were, on which processor the last one was taken in, and the times by the
 * clock from just before send() until the datagram is there. This process does not sleep meanwhile, so no wakeup is part of
 * them: they are that of send(), of the interrupt to the other processor, and what the softirq waits for.
 *
 * `softirq spin` keeps its processor busy outside the kernel instead, for as many milliseconds as a line says. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "usage.h"

#define TIMES_MAX 1000000
#define PAUSE_NS 20000  /* from one datagram to the next, at least */
#define SPREAD_NS 65536 /* and at most so much longer: never in step with what polls */

static uint32_t times[TIMES_MAX]; /* ns */

static void fail(const char *what)
{
	perror(what);
	exit(EXIT_FAILURE);
}

static void spin_until(uint64_t end)
{
	while (now_ns() < end)
		;
}

/* The time of one datagram from a socket to itself. */
static uint32_t send_once(int fd)
{
	uint64_t start = now_ns();
	ssize_t size;
	char byte = 0;

	if (send(fd, &byte, 1, 0) != 1)
		fail("softirq: send");
	do
		size = recv(fd, &byte, 1, MSG_DONTWAIT);
	while (size < 0 && errno == EAGAIN);
	if (size < 0)
		fail("softirq: recv");
	return (uint32_t)(now_ns() - start);
}

static int by_value(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static void measure(int fd, uint64_t ms)
{
	const uint64_t end = now_ns() + ms * 1000000;
	socklen_t size = sizeof(int);
	uint32_t dice = 1;
	int cpu = -1;
	size_t n = 0;

	while (n < TIMES_MAX && (n == 0 || now_ns() < end)) {
		times[n++] = send_once(fd);
		dice = dice * 1664525 + 1013904223;
		spin_until(now_ns() + PAUSE_NS + (dice >> 16) % SPREAD_NS);
	}
	getsockopt(fd, SOL_SOCKET, SO_INCOMING_CPU, &cpu, &size);
	qsort(times, n, sizeof(*times), by_value);
	printf("datagrams=%zu cpu=%d p50_ns=%u p99_ns=%u max_ns=%u\n", n, cpu, times[n / 2], times[n * 99 / 100],
		times[n - 1]);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	struct sockaddr_in self = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), spins = argc > 1 && strcmp(argv[1], "spin") == 0;
	char line[64];

	self.sin_port = htons((uint16_t)(argc > 1 && !spins ? atoi(argv[1]) : 0));
	if (bind(fd, (const struct sockaddr *)&self, sizeof(self)) < 0 ||
		(!spins && connect(fd, (const struct sockaddr *)&self, sizeof(self)) < 0))
		fail("softirq: socket");
	while (fgets(line, sizeof(line), stdin) != NULL) {
		const uint64_t ms = strtoull(line, NULL, 10);

		if (!spins) {
			measure(fd, ms);
			continue;
		}
		spin_until(now_ns() + ms * 1000000);
		puts("spun=1");
		fflush(stdout);
	}
	return EXIT_SUCCESS;
}

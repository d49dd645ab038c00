/* SPDX-License-Identifier: BSD-2-Clause */
/* connect.c: how long a connect() takes, while others do something or nothing
 *
 *   connect PORT      the server's, on the loopback; it listens by itself
 *
 * A number on standard input asks for so many milliseconds of connections, one after the other, each reset at once. The
 * answer is one line of "name=value" pairs: how many there were, and the times of connect() alone by the clock. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "usage.h"

#define TIMES_MAX 1000000

static uint32_t times[TIMES_MAX]; /* ns */

static void fail(const char *what)
{
	perror(what);
	exit(EXIT_FAILURE);
}

/* The time of one connect(). */
static uint32_t connect_once(int listener, const struct sockaddr_in *server)
{
	const struct linger reset = {.l_onoff = 1};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), peer;
	uint64_t start = now_ns(), took;

	if (connect(fd, (const struct sockaddr *)server, sizeof(*server)) < 0)
		fail("connect: connect");
	took = now_ns() - start;
	peer = accept(listener, NULL, NULL);
	if (peer < 0)
		fail("connect: accept");
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	close(fd);
	close(peer);
	return (uint32_t)took;
}

static int by_value(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

int main(int argc, char **argv)
{
	struct sockaddr_in server = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char line[64];

	server.sin_port = htons((uint16_t)(argc > 1 ? atoi(argv[1]) : 0));
	if (bind(listener, (const struct sockaddr *)&server, sizeof(server)) < 0 || listen(listener, 64) < 0)
		fail("connect: listener");
	while (fgets(line, sizeof(line), stdin) != NULL) {
		const uint64_t end = now_ns() + strtoull(line, NULL, 10) * 1000000;
		size_t n = 0;

		while (n < TIMES_MAX && (n == 0 || now_ns() < end))
			times[n++] = connect_once(listener, &server);
		qsort(times, n, sizeof(*times), by_value);
		printf("connects=%zu p50_ns=%u p99_ns=%u max_ns=%u\n", n, times[n / 2], times[n * 99 / 100],
			times[n - 1]);
		fflush(stdout);
	}
	return EXIT_SUCCESS;
}

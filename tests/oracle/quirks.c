/* SPDX-License-Identifier: BSD-2-Clause */
#include "quirks.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "space.h"

#define PORT 40000
#define SERVER 80
/* the kernel compares whole seconds */
#define OLD_ENOUGH_US 2100000

struct quirks quirks;

static int any_bound(int family, uint16_t port)
{
	struct sockaddr_in6 mapped = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	struct sockaddr_in plain = {.sin_family = AF_INET, .sin_port = htons(port)};
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

	memset(&mapped.sin6_addr.s6_addr[10], 0xff, 2);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, family == AF_INET ? (struct sockaddr *)&plain : (struct sockaddr *)&mapped,
		    family == AF_INET ? sizeof(plain) : sizeof(mapped)) == 0)
		return fd;
	perror("bind");
	close(fd);
	return -1;
}

/* Whether another socket gets the one port of the range beside a wildcard. 1, 0, or -1 when that can't be tried. */
static int mapped_is_special(void)
{
	const int any = any_bound(AF_INET6, PORT), fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_storage here;
	const socklen_t len = space_sockaddr(space_natural_source(&space_places[0]), true, 0, &here);
	const bool given = bind(fd, (struct sockaddr *)&here, len) == 0;
	const bool refused = errno == EADDRINUSE;

	close(fd);
	close(any);
	return any < 0 || (!given && !refused) ? -1 : given;
}

/* A connection from the one port of the range, not blocking: its errno, 0 when it got the port. */
static int try_connect(int *fd)
{
	struct sockaddr_in server = {
		.sin_family = AF_INET, .sin_port = htons(SERVER), .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};

	*fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	return connect(*fd, (struct sockaddr *)&server, sizeof(server)) == 0 || errno == EINPROGRESS ? 0 : errno;
}

static int takes_orphans(void)
{
	const int listener = any_bound(AF_INET, SERVER);
	int client, server, again, refusal;

	if (listener < 0 || listen(listener, 1) < 0 || try_connect(&client) != 0)
		return -1;
	server = accept(listener, NULL, NULL);
	close(client);
	space_sleep_us(OLD_ENOUGH_US);
	refusal = try_connect(&again);
	close(again);
	close(server);
	close(listener);
	return server < 0 || (refusal != 0 && refusal != EADDRNOTAVAIL) ? -1 : refusal == 0;
}

/* Returns the exit status of the child: 4 when something could not be tried, else a bit for each quirk. */
static int learn(void)
{
	int special, orphans;

	if (space_enter() < 0 || space_set("ipv4/ip_local_port_range", "%d %d", PORT, PORT) < 0 ||
		space_set("ipv4/tcp_tw_reuse", "1") < 0)
		return 4;
	special = mapped_is_special();
	orphans = takes_orphans();
	return special < 0 || orphans < 0 ? 4 : special | orphans << 1;
}

int quirks_learn(void)
{
	pid_t child = fork();
	int status;

	if (child == 0)
		_exit(learn());
	if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status) || WEXITSTATUS(status) >= 4)
		return fprintf(stderr, "oracle: what this kernel does could not be tried\n"), -1;
	quirks.mapped_is_special = WEXITSTATUS(status) & 1;
	quirks.takes_orphans = WEXITSTATUS(status) & 2;
	if (quirks.mapped_is_special || quirks.takes_orphans)
		printf("this kernel%s%s\n",
			quirks.mapped_is_special ? ": ::ffff:0.0.0.0 is no wildcard for ::ffff:a.b.c.d" : "",
			quirks.takes_orphans ? ": orphans in FIN_WAIT2 are taken over" : "");
	return 0;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* population.c: opens a given number of sockets and holds them, for the benchmarks
 *
 *   population [-t SECONDS] [-6] -l PORTS              listen, never accept: the kernel completes the connections
 *   population [-t SECONDS] [-6] -a PORTS              listen, and close every connection as soon as the client does
 *   population [-t SECONDS] [-6] -c N -d HOSTS -p PORTS [-s HOSTS] [-w]     connect N TCP sockets; -w: and leave them in TIME_WAIT
 *   population [-t SECONDS] [-6] -u N -s HOSTS                              bind N UDP sockets
 *
 * HOSTS is ADDRESS or ADDRESS+COUNT, PORTS is PORT or PORT+COUNT. Sockets go round the destinations (host by host, then
 * port by port), then round the sources. Without -s the kernel chooses the source.
 *
 * It prints "ready" when the last socket stands, and holds them until standard input ends or SECONDS (600) are
 * over, whichever comes first. The sockets are spread over as many processes as the limit of open files asks for. They are closed
 * by a reset: nothing stays behind but what -w makes. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define SPARE_FILES 16  /* of a worker: standard streams, pipes */
#define MIN_WORKERS 2   /* connecting takes CPU time: use both of a small machine */
#define BACKLOG 2000000 /* the kernel cuts it to net.core.somaxconn */

#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif

union endpoint {
	struct sockaddr any;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

struct hosts {
	union endpoint first;
	unsigned count; /* 0: none given */
};

struct ports {
	uint16_t first;
	unsigned count;
};

enum task { TASK_NONE, TASK_LISTEN, TASK_ACCEPT, TASK_CONNECT, TASK_UDP };

struct plan {
	enum task task;
	int family;
	bool time_wait;
	unsigned sockets, workers, seconds;
	struct hosts sources, destinations;
	struct ports ports;
};

static void fail(const char *what)
{
	fprintf(stderr, "population: %s: %s\n", what, strerror(errno));
	exit(EXIT_FAILURE);
}

static void usage(void)
{
	fputs("usage: population [-t SECONDS] [-6] {-l|-a} PORTS\n"
	      "       population [-t SECONDS] [-6] -c N -d HOSTS -p PORTS [-s HOSTS] [-w]\n"
	      "       population [-t SECONDS] [-6] -u N -s HOSTS\n",
		stderr);
	exit(EXIT_FAILURE);
}

/* --- addresses ------------------------------------------------------------------------------------------------------ */

static socklen_t endpoint_size(const union endpoint *e)
{
	return e->any.sa_family == AF_INET6 ? sizeof(e->in6) : sizeof(e->in);
}

/* The host `index` places behind the first, with a port. */
static union endpoint endpoint_at(const struct hosts *hosts, unsigned index, uint16_t port)
{
	union endpoint e = hosts->first;
	uint8_t *last = e.any.sa_family == AF_INET6 ? e.in6.sin6_addr.s6_addr + 12 : (uint8_t *)&e.in.sin_addr;
	uint32_t value;

	memcpy(&value, last, sizeof(value));
	value = htonl(ntohl(value) + index);
	memcpy(last, &value, sizeof(value));
	e.in.sin_port = htons(port); /* the same place in both families */
	return e;
}

/* Cuts "+COUNT" off the text; 1 where there is none. */
static unsigned take_count(char *text)
{
	char *plus = strchr(text, '+');

	if (plus == NULL)
		return 1;
	*plus = '\0';
	return (unsigned)strtoul(plus + 1, NULL, 10);
}

static struct hosts parse_hosts(char *text)
{
	struct hosts hosts = {.count = take_count(text)};

	if (inet_pton(AF_INET, text, &hosts.first.in.sin_addr) == 1)
		hosts.first.any.sa_family = AF_INET;
	else if (inet_pton(AF_INET6, text, &hosts.first.in6.sin6_addr) == 1)
		hosts.first.any.sa_family = AF_INET6;
	else
		usage();
	return hosts;
}

static struct ports parse_ports(char *text)
{
	struct ports ports = {.count = take_count(text)};

	ports.first = (uint16_t)strtoul(text, NULL, 10);
	return ports;
}

/* --- sockets -------------------------------------------------------------------------------------------------------- */

static int open_socket(int family, int type)
{
	int fd = socket(family, type | SOCK_CLOEXEC, 0);

	if (fd < 0)
		fail("socket");
	return fd;
}

static void set_option(int fd, int level, int option, const void *value, socklen_t size)
{
	if (setsockopt(fd, level, option, value, size) < 0)
		fail("setsockopt");
}

/* Closing then sends a reset, and no TIME_WAIT stays. */
static void set_reset_on_close(int fd)
{
	set_option(fd, SOL_SOCKET, SO_LINGER, &(struct linger){.l_onoff = 1}, sizeof(struct linger));
}

/* A source address without a port: connect() chooses it, as it does for a socket that was never bound. */
static void set_source(int fd, const struct hosts *sources, unsigned index)
{
	union endpoint source = endpoint_at(sources, index % sources->count, 0);

	set_option(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &(int){1}, sizeof(int));
	if (bind(fd, &source.any, endpoint_size(&source)) < 0)
		fail("bind");
}

static void open_connection(const struct plan *plan, unsigned index)
{
	unsigned n_destinations = plan->destinations.count * plan->ports.count, turn = index % n_destinations;
	union endpoint to = endpoint_at(&plan->destinations, turn % plan->destinations.count,
		(uint16_t)(plan->ports.first + turn / plan->destinations.count));
	int fd = open_socket(to.any.sa_family, SOCK_STREAM);

	if (plan->sources.count != 0)
		set_source(fd, &plan->sources, index / n_destinations);
	if (connect(fd, &to.any, endpoint_size(&to)) < 0)
		fail("connect");
	if (plan->time_wait)
		close(fd);
	else
		set_reset_on_close(fd);
}

static void open_datagram(const struct plan *plan, unsigned index)
{
	union endpoint from = endpoint_at(&plan->sources, index % plan->sources.count, 0);
	int fd = open_socket(from.any.sa_family, SOCK_DGRAM);

	if (bind(fd, &from.any, endpoint_size(&from)) < 0)
		fail("bind");
}

static int open_listener(int family, uint16_t port)
{
	struct hosts any = {.first.any.sa_family = (sa_family_t)family, .count = 1};
	union endpoint local = endpoint_at(&any, 0, port);
	int fd = open_socket(family, SOCK_STREAM);

	set_option(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
	if (bind(fd, &local.any, endpoint_size(&local)) < 0 || listen(fd, BACKLOG) < 0)
		fail("listen");
	return fd;
}

/* --- workers -------------------------------------------------------------------------------------------------------- */

/* A worker opens its part of the sockets. For -l and -a a worker has one port. */
static int open_part(const struct plan *plan, unsigned worker)
{
	unsigned first = (unsigned)((uint64_t)plan->sockets * worker / plan->workers);
	unsigned end = (unsigned)((uint64_t)plan->sockets * (worker + 1) / plan->workers);

	if (plan->task == TASK_LISTEN || plan->task == TASK_ACCEPT)
		return open_listener(plan->family, (uint16_t)(plan->ports.first + worker));
	for (unsigned i = first; i < end; i++) {
		if (plan->task == TASK_UDP)
			open_datagram(plan, i);
		else
			open_connection(plan, i);
	}
	return -1;
}

/* The client closes first, so the TIME_WAIT is on its side. */
static void accept_forever(int listener)
{
	char byte;
	int fd;

	while ((fd = accept(listener, NULL, NULL)) >= 0) {
		while (read(fd, &byte, 1) > 0)
			;
		close(fd);
	}
	fail("accept");
}

static void wait_for_end(int fd)
{
	ssize_t size;
	char byte;

	do {
		size = read(fd, &byte, 1);
	} while (size > 0 || (size < 0 && errno == EINTR));
}

/* `life` ends when the parent does; `ready` tells the parent. */
static void run_worker(const struct plan *plan, unsigned worker, int life, int ready)
{
	int listener;

	alarm(plan->seconds);
	listener = open_part(plan, worker);
	if (write(ready, "+", 1) != 1)
		fail("write");
	close(ready);
	if (plan->task == TASK_ACCEPT)
		accept_forever(listener);
	wait_for_end(life);
	_exit(EXIT_SUCCESS);
}

static pid_t *start_workers(const struct plan *plan, int life[2], int ready[2])
{
	pid_t *pids = calloc(plan->workers, sizeof(*pids));

	if (pids == NULL)
		fail("calloc");
	for (unsigned w = 0; w < plan->workers; w++) {
		pids[w] = fork();
		if (pids[w] < 0)
			fail("fork");
		if (pids[w] == 0) {
			close(life[1]);
			close(ready[0]);
			run_worker(plan, w, life[0], ready[1]);
		}
	}
	close(life[0]);
	close(ready[1]);
	return pids;
}

/* Each worker writes one byte and closes its end: fewer bytes than workers at the end of file mean that one failed. */
static bool all_ready(int fd, unsigned workers)
{
	unsigned n = 0;
	char byte;

	while (read(fd, &byte, 1) == 1)
		n++;
	return n == workers;
}

static void stop_workers(const struct plan *plan, const pid_t *pids, int life)
{
	close(life);
	for (unsigned w = 0; w < plan->workers; w++) {
		if (plan->task == TASK_ACCEPT)
			kill(pids[w], SIGTERM);
		waitpid(pids[w], NULL, 0);
	}
}

/* --- main ----------------------------------------------------------------------------------------------------------- */

static unsigned count_workers(const struct plan *plan)
{
	struct rlimit files;
	unsigned room;

	if (plan->task == TASK_LISTEN || plan->task == TASK_ACCEPT)
		return plan->ports.count;
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	room = (unsigned)files.rlim_max - SPARE_FILES;
	return plan->time_wait || plan->sockets <= room * MIN_WORKERS ? MIN_WORKERS : (plan->sockets + room - 1) / room;
}

static void set_task(struct plan *plan, enum task task)
{
	if (plan->task != TASK_NONE)
		usage();
	plan->task = task;
}

static void parse_option(struct plan *plan, int option, char *value)
{
	switch (option) {
	case 't': plan->seconds = (unsigned)strtoul(value, NULL, 10); break;
	case '6': plan->family = AF_INET6; break;
	case 'l':
		set_task(plan, TASK_LISTEN);
		plan->ports = parse_ports(value);
		break;
	case 'a':
		set_task(plan, TASK_ACCEPT);
		plan->ports = parse_ports(value);
		break;
	case 'c':
		set_task(plan, TASK_CONNECT);
		plan->sockets = (unsigned)strtoul(value, NULL, 10);
		break;
	case 'u':
		set_task(plan, TASK_UDP);
		plan->sockets = (unsigned)strtoul(value, NULL, 10);
		break;
	case 'd': plan->destinations = parse_hosts(value); break;
	case 's': plan->sources = parse_hosts(value); break;
	case 'p': plan->ports = parse_ports(value); break;
	case 'w': plan->time_wait = true; break;
	default: usage();
	}
}

static bool plan_is_complete(const struct plan *plan)
{
	switch (plan->task) {
	case TASK_LISTEN:
	case TASK_ACCEPT: return plan->ports.count > 0;
	case TASK_CONNECT: return plan->destinations.count > 0 && plan->ports.count > 0;
	case TASK_UDP: return plan->sources.count > 0;
	default: return false;
	}
}

int main(int argc, char **argv)
{
	struct plan plan = {.family = AF_INET, .seconds = 600};
	int option, life[2], ready[2];
	pid_t *pids;
	bool ok;

	while ((option = getopt(argc, argv, "t:6l:a:c:u:d:p:s:w")) != -1)
		parse_option(&plan, option, optarg);
	if (!plan_is_complete(&plan) || optind != argc)
		usage();
	plan.workers = count_workers(&plan);
	if (pipe(life) < 0 || pipe(ready) < 0)
		fail("pipe");
	pids = start_workers(&plan, life, ready);
	alarm(plan.seconds);
	ok = all_ready(ready[0], plan.workers);
	if (ok) {
		puts("ready");
		fflush(stdout);
		wait_for_end(STDIN_FILENO);
	}
	stop_workers(&plan, pids, life[1]);
	free(pids);
	return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}

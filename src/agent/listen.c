/* SPDX-License-Identifier: BSD-2-Clause */
#include "agent/listen.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/library.h"
#include "base/clock.h"
#include "base/log.h"

#define PREFIX "portwatch-listen"

/* Kinds of addresses of which connections can come (TCP over v4 and v6, TLS, Unix); how often the silent ones are
 * looked for, and how often it is said that some had to go; connections that may wait; octets that are read at a
 * time. */
enum { KINDS_MAX = 8, SWEEP_MS = 5000, COMPLAIN_MS = 60000, BACKLOG = 128, PIECE = 2048 };

struct connection {
	int fd;
	uint64_t heard_ms; /* CLOCK_BOOTTIME of the last answer, or of its start */
	bool answered;
	bool ended; /* shut down; the library closes it when it looks at it */
};

/* Of the agent thread. */
static struct {
	/* The library's functions for each kind of address, in whose place ours are. */
	struct {
		const oid *domain;
		int (*accept)(netsnmp_transport *t);
		int (*recv)(netsnmp_transport *t, void *buf, int size, void **opaque, int *opaque_len);
		int (*send)(netsnmp_transport *t, const void *buf, int size, void **opaque, int *opaque_len);
		int (*close)(netsnmp_transport *t);
	} kinds[KINDS_MAX];
	/* Twice as many as are open at a time: those that were ended a moment ago. */
	struct connection connections[2 * PW_LISTEN_CONNECTIONS];
	size_t n;
	int spare; /* closed to accept, and refuse, what comes when no descriptor is left */
	struct pw_timer sweep;
	uint64_t complained_ms;
} listening = {.spare = -1};

static size_t kind_of(const netsnmp_transport *t)
{
	size_t i = 0;

	while (i < KINDS_MAX && listening.kinds[i].domain != NULL && listening.kinds[i].domain != t->domain)
		i++;
	return i;
}

static void complain(const char *why)
{
	uint64_t now_ms = pw_clock_boot_ms();

	if (listening.complained_ms != 0 && now_ms - listening.complained_ms < COMPLAIN_MS)
		return;
	listening.complained_ms = now_ms;
	pw_log(LOG_WARNING, "connections of SNMP clients are refused or ended: %s", why);
}

/* --- connections ------------------------------------------------------------------------------------------------ */

static void end(struct connection *c)
{
	shutdown(c->fd, SHUT_RDWR); /* the library sees an end of the stream */
	c->ended = true;
}

static void sweep(void *unused)
{
	uint64_t now_ms = pw_clock_boot_ms();

	(void)unused;
	for (size_t i = 0; i < listening.n; i++) {
		struct connection *c = &listening.connections[i];

		if (!c->ended && now_ms - c->heard_ms >= (c->answered ? PW_LISTEN_IDLE_MS : PW_LISTEN_FIRST_MS))
			end(c);
	}
	if (listening.n > 0)
		pw_timer_start(&listening.sweep, SWEEP_MS, sweep, NULL);
}

/* Ends the most silent connection where there are as many as may be. */
static void make_room(void)
{
	struct connection *oldest = NULL;
	size_t open = 0;

	for (size_t i = 0; i < listening.n; i++) {
		struct connection *c = &listening.connections[i];

		open += !c->ended;
		if (!c->ended && (oldest == NULL || c->heard_ms < oldest->heard_ms))
			oldest = c;
	}
	if (open < PW_LISTEN_CONNECTIONS)
		return;
	complain("there are too many of them");
	end(oldest);
}

static int refuse(int fd, const char *why)
{
	complain(why);
	close(fd);
	errno = ECONNABORTED;
	return -1;
}

static int accept_bounded(netsnmp_transport *t)
{
	const struct timeval send_limit = {.tv_usec = PW_LISTEN_SEND_MS * 1000};
	int fd = listening.kinds[kind_of(t)].accept(t);
	struct rlimit limit;

	if (fd < 0 && errno != EMFILE && errno != ENFILE)
		return -1;
	if (fd < 0) {
		/* without a descriptor to accept it with it would stay ready, and the loop would never wait again */
		close(listening.spare);
		fd = listening.kinds[kind_of(t)].accept(t);
		if (fd >= 0)
			refuse(fd, "no descriptor is left");
		listening.spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
		return -1;
	}
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
		(rlim_t)fd + PW_LISTEN_SPARE >= limit.rlim_cur)
		return refuse(fd, "few descriptors are left");
	make_room();
	if (listening.n == 2 * PW_LISTEN_CONNECTIONS)
		return refuse(fd, "there are too many of them");
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &send_limit, sizeof(send_limit));
	listening.connections[listening.n++] = (struct connection){.fd = fd, .heard_ms = pw_clock_boot_ms()};
	if (!pw_timer_runs(&listening.sweep))
		pw_timer_start(&listening.sweep, SWEEP_MS, sweep, NULL);
	return fd;
}

static struct connection *connection_of(const netsnmp_transport *t)
{
	for (size_t i = 0; i < listening.n; i++)
		if (listening.connections[i].fd == t->sock)
			return &listening.connections[i];
	return NULL;
}

/* The library answers all that it has read before it looks at anybody else. */
static int recv_bounded(netsnmp_transport *t, void *buf, int size, void **opaque, int *opaque_len)
{
	const struct connection *c = connection_of(t);

	if (c != NULL && c->ended)
		return -1;
	return listening.kinds[kind_of(t)].recv(t, buf, size < PIECE ? size : PIECE, opaque, opaque_len);
}

static int send_bounded(netsnmp_transport *t, const void *buf, int size, void **opaque, int *opaque_len)
{
	struct connection *c = connection_of(t);
	int rc = listening.kinds[kind_of(t)].send(t, buf, size, opaque, opaque_len);

	if (c == NULL)
		return rc;
	if (rc < size) {
		end(c); /* a part of it may be gone */
		return -1;
	}
	c->answered = true;
	c->heard_ms = pw_clock_boot_ms();
	return rc;
}

static int close_bounded(netsnmp_transport *t)
{
	struct connection *c = connection_of(t);

	if (c != NULL)
		*c = listening.connections[--listening.n];
	return listening.kinds[kind_of(t)].close(t);
}

/* --- addresses -------------------------------------------------------------------------------------------------- */

static netsnmp_transport *create(const char *address, int local, const char *unused)
{
	netsnmp_transport *t;
	size_t kind;

	(void)unused;
	if (!local || address == NULL)
		return NULL;
	t = netsnmp_transport_open_server("snmp", address);
	kind = t != NULL ? kind_of(t) : 0;
	if (t == NULL || t->f_accept == NULL || kind == KINDS_MAX)
		return t;
	if (listening.kinds[kind].domain == NULL) {
		listening.kinds[kind].domain = t->domain;
		listening.kinds[kind].accept = t->f_accept;
		listening.kinds[kind].recv = t->f_recv;
		listening.kinds[kind].send = t->f_send;
		listening.kinds[kind].close = t->f_close;
	}
	listen(t->sock, BACKLOG); /* the library's is 5: a sixth client waits a second for its second SYN */
	t->f_accept = accept_bounded;
	t->f_recv = recv_bounded;
	t->f_send = send_bounded;
	t->f_close = close_bounded;
	return t;
}

char *pw_listen_addresses(const char *addresses)
{
	const char *separator = "";
	char *out = NULL;
	size_t size;
	FILE *f = open_memstream(&out, &size);

	if (f == NULL)
		return NULL;
	for (size_t len; *addresses != '\0'; addresses += len + (addresses[len] == ',')) {
		bool connections = strncasecmp(addresses, "tcp", 3) == 0 || strncasecmp(addresses, "tls", 3) == 0 ||
			strncasecmp(addresses, "unix", 4) == 0 || addresses[0] == '/';

		len = strcspn(addresses, ",");
		fprintf(f, "%s%s%.*s", separator, connections ? PREFIX ":" : "", (int)len, addresses);
		separator = ",";
	}
	if (fclose(f) == 0)
		return out;
	free(out);
	return NULL;
}

int pw_listen_register(void)
{
	static const oid name[] = {1, 3, 6, 1, 4, 1, 8072, 3, 3, 28233};
	static netsnmp_tdomain domain = {
		.name = name, .name_length = OID_LENGTH(name), .f_create_from_tstring_new = create};

	domain.prefix = calloc(2, sizeof(*domain.prefix)); /* the library frees it */
	listening.spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (domain.prefix == NULL || listening.spare < 0)
		return -1;
	domain.prefix[0] = PREFIX;
	netsnmp_tdomain_register(&domain);
	return 0;
}

void pw_listen_close(void)
{
	pw_timer_stop(&listening.sweep);
	if (listening.spare >= 0)
		close(listening.spare);
	listening.spare = -1;
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "agent/transport.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/library.h"
#include "base/clock.h"
#include "base/number.h"

/* How long a TCP connect, or a send into a full buffer, may take. */
enum { PATIENCE_MS = 3000 };

#define PREFIX "portwatch"
static const char default_port[] = "705"; /* RFC 2741 8.1.1 */
static const oid domain_oid[] = {1, 3, 6, 1, 4, 1, 8072, 3, 3, 28232};

/* The one connection. The descriptor is shared with the thread that calls pw_transport_cut(): it is closed under the
 * mutex, so that a number that something else has been given in the meantime is never shut down. */
static struct {
	pthread_mutex_t mutex;
	int fd;          /* -1 = none */
	bool shut;       /* no further connections */
	const char *cut; /* why it was cut by us, or NULL */
	/* of the agent thread */
	uint64_t heard_ms;
	char error[256];
	struct pw_stream stream;
} link_state = {.mutex = PTHREAD_MUTEX_INITIALIZER, .fd = -1};

const char *pw_transport_error(void)
{
	return link_state.error;
}

uint64_t pw_transport_heard_ms(void)
{
	return link_state.heard_ms;
}

static void say(const char *text)
{
	snprintf(link_state.error, sizeof(link_state.error), "%s", text);
}

static void cut(const char *why, bool for_good)
{
	pthread_mutex_lock(&link_state.mutex);
	link_state.shut |= for_good;
	link_state.cut = why;
	if (link_state.fd >= 0)
		shutdown(link_state.fd, SHUT_RDWR);
	pthread_mutex_unlock(&link_state.mutex);
}

void pw_transport_cut(const char *why)
{
	cut(why, false);
}

void pw_transport_shut(void)
{
	cut("portwatchd stops", true);
}

/* --- addresses -------------------------------------------------------------------------------------------------- */

static bool is_port(const char *text)
{
	uint64_t port;

	return strlen(text) <= 5 && pw_number(text, 1, 65535, &port);
}

/* "HOST:PORT", "[ADDRESS]:PORT", "PORT" or "HOST" into its parts; false when it is none of these. */
static bool split_host(const char *text, char host[256], char port[8])
{
	const char *colon = strrchr(text, ':');
	size_t len = colon != NULL ? (size_t)(colon - text) : strlen(text);

	if (colon == NULL && is_port(text)) {
		snprintf(host, 256, "localhost");
		snprintf(port, 8, "%s", text);
		return true;
	}
	if (len == 0 || len > 255 || (colon != NULL && !is_port(colon + 1)))
		return false;
	if (text[0] == '[' && text[len - 1] == ']') {
		text++;
		len -= 2;
	}
	snprintf(host, 256, "%.*s", (int)len, text);
	snprintf(port, 8, "%s", colon != NULL ? colon + 1 : default_port);
	return len > 0;
}

static bool is_tcp(const char *address)
{
	return strncmp(address, "tcp:", 4) == 0 || strncmp(address, "tcp6:", 5) == 0;
}

char *pw_transport_address(const char *address, struct pw_error *err)
{
	const char *path = strncmp(address, "unix:", 5) == 0 ? address + 5 : address;
	struct sockaddr_un sa;
	char host[256], port[8], *out = NULL;

	if (is_tcp(address)) {
		if (!split_host(strchr(address, ':') + 1, host, port)) {
			pw_error_set(err, "'%s' is no TCP address of the form tcp:HOST:PORT", address);
			return NULL;
		}
		path = address;
	} else if (path[0] != '/') {
		pw_error_set(err, "'%s' is no AgentX address: expected a path, unix:PATH or tcp:HOST:PORT", address);
		return NULL;
	} else if (strlen(path) >= sizeof(sa.sun_path)) {
		pw_error_set(err, "'%s' is longer than the %zu characters of a socket's path", path,
			sizeof(sa.sun_path) - 1);
		return NULL;
	}
	if (asprintf(&out, PREFIX ":%s", path) < 0) {
		pw_error_set(err, "out of memory");
		return NULL;
	}
	return out;
}

/* --- connect ---------------------------------------------------------------------------------------------------- */

/* Waits for a descriptor until the deadline; 0, or -1 with errno. */
static int wait_for(int fd, short events, uint64_t deadline_ms)
{
	struct pollfd p = {.fd = fd, .events = events};

	for (;;) {
		uint64_t now = pw_clock_boot_ms();
		int rc = poll(&p, 1, now < deadline_ms ? (int)(deadline_ms - now) : 0);

		if (rc > 0)
			return 0;
		if (rc == 0) {
			errno = ETIMEDOUT;
			return -1;
		}
		if (errno != EINTR)
			return -1;
	}
}

static int close_socket(int fd)
{
	int rc;

	pthread_mutex_lock(&link_state.mutex);
	link_state.fd = -1;
	rc = close(fd);
	pthread_mutex_unlock(&link_state.mutex);
	return rc;
}

/* A socket that pw_transport_cut() acts on, also while it connects; -1 when there should be no connection any more.
 * The connect does not block: of AF_UNIX it ends at once, with EAGAIN when the backlog is full. */
static int connect_to(const struct sockaddr *sa, socklen_t len, uint64_t deadline_ms)
{
	int fd = -1, error = 0;
	socklen_t size = sizeof(error);

	pthread_mutex_lock(&link_state.mutex);
	errno = ECANCELED;
	if (!link_state.shut)
		fd = socket(sa->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	link_state.fd = fd;
	link_state.cut = NULL;
	pthread_mutex_unlock(&link_state.mutex);
	if (fd < 0 || connect(fd, sa, len) == 0)
		return fd;
	if (errno != EINPROGRESS || wait_for(fd, POLLOUT, deadline_ms) < 0 ||
		getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
		error = errno;
	if (error == 0)
		return fd;
	close_socket(fd);
	errno = error;
	return -1;
}

static int connect_unix(const char *path)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	int fd;

	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", path);
	fd = connect_to((const struct sockaddr *)&sa, sizeof(sa), 0);
	if (fd < 0)
		say(errno == EAGAIN ? "it hangs: its backlog of connections is full" : strerror(errno));
	return fd;
}

static int connect_tcp(const char *address)
{
	static const int on = 1;
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV}, *list = NULL;
	uint64_t deadline_ms = pw_clock_boot_ms() + PATIENCE_MS;
	char host[256], port[8];
	int fd = -1, rc;

	if (!split_host(strchr(address, ':') + 1, host, port))
		return -1;
	if (strncmp(address, "tcp6:", 5) == 0)
		hints.ai_family = AF_INET6;
	rc = getaddrinfo(host, port, &hints, &list);
	if (rc != 0) {
		say(gai_strerror(rc));
		return -1;
	}
	for (const struct addrinfo *a = list; a != NULL && fd < 0; a = a->ai_next)
		fd = connect_to(a->ai_addr, a->ai_addrlen, deadline_ms);
	if (fd < 0) {
		say(strerror(errno));
	} else { /* a PDU goes out as it is made, and a master on another host that vanishes silently is noticed */
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	}
	freeaddrinfo(list);
	return fd;
}

/* --- the library's functions ------------------------------------------------------------------------------------ */

/* The end of the stream: because of the master, or of us. Returns -1. */
static int ended(const char *why)
{
	const char *ours;

	pthread_mutex_lock(&link_state.mutex);
	ours = link_state.cut;
	pthread_mutex_unlock(&link_state.mutex);
	say(ours != NULL ? ours : why);
	return -1;
}

/* Sends a PDU as a whole. When the buffer stays full for so long, the master hangs, and what has been sent of a PDU
 * can't be taken back: the connection ends. */
static int send_whole(int fd, const uint8_t *pdu, size_t left)
{
	uint64_t deadline_ms = pw_clock_boot_ms() + PATIENCE_MS;

	while (left > 0) {
		ssize_t n = send(fd, pdu, left, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n > 0) {
			pdu += n;
			left -= (size_t)n;
		} else if (errno == EAGAIN || errno == EWOULDBLOCK) {
			if (wait_for(fd, POLLOUT, deadline_ms) < 0) {
				pw_transport_cut("it does not take what is sent to it");
				return -1;
			}
		} else if (errno != EINTR) {
			return -1;
		}
	}
	return 0;
}

static int send_response(void *context, const uint8_t *pdu, size_t n)
{
	(void)context;
	return send_whole(link_state.fd, pdu, n);
}

static int transport_send(netsnmp_transport *t, const void *buf, int size, void **opaque, int *opaque_len)
{
	(void)opaque;
	(void)opaque_len;
	pw_stream_sent(&link_state.stream, buf, (size_t)size);
	return send_whole(t->sock, buf, (size_t)size) < 0 ? -1 : size;
}

/* The library gets Responses, as many as arrived at a time, or an "empty packet", which it ignores. */
static int transport_recv(netsnmp_transport *t, void *buf, int size, void **opaque, int *opaque_len)
{
	const char *why = NULL;
	uint8_t *room;
	size_t len = 0;
	ssize_t n;
	int used = 0;

	(void)size; /* 64 KiB, far more than the longest that there can be */
	*opaque = NULL;
	*opaque_len = 0;
	room = pw_stream_room(&link_state.stream, &len);
	do
		n = recv(t->sock, room, len, MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK))
		return ended(n == 0 ? "it closed the connection" : strerror(errno));
	len = 0;
	if (n > 0)
		used = pw_stream_received(&link_state.stream, (size_t)n, buf, &len, &why);
	if (used < 0)
		return ended(why);
	if (used > 0)
		link_state.heard_ms = pw_clock_boot_ms();
	if (len > 0)
		say("it refused the session"); /* if this answer does not open one */
	else
		t->flags |= NETSNMP_TRANSPORT_FLAG_EMPTY_PKT;
	return (int)len;
}

static int transport_close(netsnmp_transport *t)
{
	int rc = t->sock >= 0 ? close_socket(t->sock) : -1;

	t->sock = -1;
	return rc;
}

static char *transport_name(netsnmp_transport *t, const void *data, int len)
{
	(void)data;
	(void)len;
	return strdup(t->remote != NULL ? t->remote : PREFIX);
}

static netsnmp_transport *transport_create(const char *address, int local, const char *unused)
{
	netsnmp_transport *t;
	char *remote;
	int fd;

	(void)unused;
	if (local || address == NULL)
		return NULL;
	fd = is_tcp(address) ? connect_tcp(address) : connect_unix(address);
	if (fd < 0)
		return NULL;
	t = calloc(1, sizeof(*t));
	remote = strdup(address);
	if (t == NULL || remote == NULL) {
		free(t);
		free(remote);
		close_socket(fd);
		return NULL;
	}
	pw_stream_reset(&link_state.stream);
	link_state.heard_ms = pw_clock_boot_ms();
	say("it does not answer"); /* until it does */
	t->domain = domain_oid;
	t->domain_length = OID_LENGTH(domain_oid);
	t->sock = fd;
	t->flags = NETSNMP_TRANSPORT_FLAG_STREAM;
	t->remote = remote;
	t->remote_length = (int)strlen(remote) + 1;
	t->msgMaxSize = SNMP_MAX_PACKET_LEN;
	t->f_recv = transport_recv;
	t->f_send = transport_send;
	t->f_close = transport_close;
	t->f_fmtaddr = transport_name;
	return t;
}

int pw_transport_register(pw_stream_responder *respond, void *context)
{
	static netsnmp_tdomain domain = {
		.name = domain_oid,
		.name_length = OID_LENGTH(domain_oid),
		.f_create_from_tstring_new = transport_create,
	};

	link_state.stream.respond = respond;
	link_state.stream.respond_context = context;
	link_state.stream.send = send_response;
	domain.prefix = calloc(2, sizeof(*domain.prefix)); /* the library frees it */
	if (domain.prefix == NULL)
		return -1;
	domain.prefix[0] = PREFIX;
	netsnmp_tdomain_register(&domain);
	return 0;
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "making.h"

#include <errno.h>
#include <linux/filter.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "count/socket.h"

#ifndef IP_LOCAL_PORT_RANGE
#define IP_LOCAL_PORT_RANGE 51
#endif

#define HANDSHAKE_MS 300
#define BACKLOG 4096

static const char *const how_names[HOWS] = {
	"connect", "NO_PORT+connect", "bind(0)+connect", "bind(port)+connect", "PORT_RANGE+connect"};

static void set_flag(int fd, int level, int option, int value)
{
	if (setsockopt(fd, level, option, &value, sizeof(value)) < 0)
		fprintf(stderr, "setsockopt(%d, %d): %s\n", level, option, strerror(errno));
}

void close_reset(int fd)
{
	struct linger hard = {.l_onoff = 1, .l_linger = 0};

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
	close(fd);
}

/* From now on the socket hears nothing: its peer stays in the state that waits for an answer. */
static void deafen(int fd)
{
	struct sock_filter drop = {.code = BPF_RET | BPF_K, .k = 0};
	struct sock_fprog program = {.len = 1, .filter = &drop};

	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) < 0)
		fprintf(stderr, "SO_ATTACH_FILTER: %s\n", strerror(errno));
}

/* --- servers ------------------------------------------------------------------------------------------------------------ */

static int start_server(uint16_t port)
{
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons(port)};

	set_flag(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	if (bind(fd, (struct sockaddr *)&any, sizeof(any)) < 0 || listen(fd, BACKLOG) < 0) {
		fprintf(stderr, "server on port %u: %s\n", port, strerror(errno));
		return -1;
	}
	return fd;
}

int maker_start(struct maker *maker)
{
	for (unsigned i = 0; i < SPACE_SERVER_PORTS; i++) {
		maker->servers[i] = start_server(space_server_ports[i]);
		if (maker->servers[i] < 0)
			return -1;
	}
	maker->outside_port = 2000;
	return 0;
}

void maker_stop(struct maker *maker)
{
	for (size_t i = 0; i < maker->ledger.n; i++)
		if (maker->ledger.entries[i].fd >= 0)
			close_reset(maker->ledger.entries[i].fd);
	for (unsigned i = 0; i < SPACE_SERVER_PORTS; i++)
		close(maker->servers[i]);
	ledger_clear(&maker->ledger);
}

void maker_drain(struct maker *maker)
{
	for (unsigned i = 0; i < SPACE_SERVER_PORTS; i++)
		for (int fd; (fd = accept4(maker->servers[i], NULL, NULL, SOCK_CLOEXEC)) >= 0;)
			close_reset(fd);
}

static int server_of(const struct maker *maker, uint16_t port)
{
	for (unsigned i = 0; i < SPACE_SERVER_PORTS; i++)
		if (space_server_ports[i] == port)
			return maker->servers[i];
	return -1;
}

/* --- sockets -------------------------------------------------------------------------------------------------------------- */

static int family_of(const struct spec *spec)
{
	const struct place *place = spec->local != NULL ? spec->local : spec->remote;

	return spec->mapped ? AF_INET6 : place->family;
}

static int set_device(int fd, enum device device)
{
	const char *name = space_device_name(device);

	return device == DEVICE_NONE ? 0
				     : setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, (socklen_t)strlen(name) + 1);
}

static void set_options(int fd, const struct spec *spec)
{
	uint32_t range = (uint32_t)spec->range_high << 16 | spec->range_low;

	if (spec->reuseaddr)
		set_flag(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	if (spec->reuseport)
		set_flag(fd, SOL_SOCKET, SO_REUSEPORT, 1);
	if (family_of(spec) == AF_INET6)
		set_flag(fd, IPPROTO_IPV6, IPV6_V6ONLY, spec->v6only && !spec->mapped);
	if (spec->how == HOW_NO_PORT ||
		(spec->how == HOW_RANGE && spec->remote != NULL && spec->protocol == IPPROTO_TCP))
		set_flag(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
	if (spec->how == HOW_RANGE && space_since(6, 3))
		set_flag(fd, IPPROTO_IP, IP_LOCAL_PORT_RANGE, (int)range);
}

static int bind_socket(int fd, const struct spec *spec)
{
	struct sockaddr_storage address;
	socklen_t len;

	if (spec->local == NULL || spec->how == HOW_PLAIN)
		return 0;
	len = space_sockaddr(spec->local, spec->mapped, spec->how == HOW_BIND_PORT ? spec->port : 0, &address);
	return bind(fd, (struct sockaddr *)&address, len);
}

int make_socket(const struct spec *spec)
{
	int type = spec->protocol == IPPROTO_TCP ? SOCK_STREAM : SOCK_DGRAM;
	int fd = socket(family_of(spec), type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int cause;

	if (fd < 0)
		return -1;
	set_options(fd, spec);
	if (set_device(fd, spec->device) == 0 && bind_socket(fd, spec) == 0)
		return fd;
	cause = errno;
	close(fd);
	errno = cause;
	return -1;
}

int make_connect(int fd, const struct spec *spec)
{
	struct sockaddr_storage address;
	socklen_t len = space_sockaddr(spec->remote, spec->mapped, spec->remote_port, &address);

	return connect(fd, (struct sockaddr *)&address, len) == 0 || errno == EINPROGRESS ? 0 : -1;
}

static enum giver giver_of(enum how how)
{
	return how == HOW_BIND_AUTO || how == HOW_BIND_PORT ? GIVEN_BY_BIND : GIVEN_BY_CONNECT;
}

/* A socket to a link-local place is bound to that device by connect() itself. */
static uint32_t zone_of(const struct spec *spec)
{
	bool link_local = (spec->local != NULL && spec->local->link_local) ||
		(spec->remote != NULL && spec->remote->link_local);

	return space_ifindex(link_local ? DEVICE_D0 : spec->device);
}

static int add_client(struct maker *maker, int fd, const struct spec *spec, const char *what)
{
	int position = ledger_add(
		&maker->ledger, fd, (uint8_t)spec->protocol, giver_of(spec->how), zone_of(spec), what);
	struct entry *e = &maker->ledger.entries[position];

	e->explicit_port = spec->how == HOW_BIND_PORT;
	if (spec->remote != NULL && e->remote_port == 0) { /* getpeername() knows nothing of a connect under way */
		e->remote = space_address(spec->remote, DEVICE_NONE);
		e->remote.zone = 0;
		e->remote_port = spec->remote_port;
		ledger_taken(&maker->ledger, &e->local, e->port, &e->remote, e->remote_port, position);
	}
	return position;
}

/* Waits for the connection that came from `client`; others that waited are reset. */
static int accept_from(int listener, const struct entry *client)
{
	struct pollfd ready = {.fd = listener, .events = POLLIN};

	while (poll(&ready, 1, HANDSHAKE_MS) > 0) {
		struct sockaddr_storage peer;
		socklen_t len = sizeof(peer);
		int fd = accept4(listener, (struct sockaddr *)&peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
		uint16_t port = peer.ss_family == AF_INET ? ((struct sockaddr_in *)&peer)->sin_port
							  : ((struct sockaddr_in6 *)&peer)->sin6_port;

		if (fd < 0)
			return -1;
		if (ntohs(port) == client->port)
			return fd;
		close_reset(fd);
	}
	return -1;
}

static void add_child(struct maker *maker, int client, int listener_fd, uint32_t zone)
{
	int fd = accept_from(listener_fd, &maker->ledger.entries[client]);
	int child;

	if (fd < 0)
		return;
	child = ledger_add(&maker->ledger, fd, IPPROTO_TCP, GIVEN_BY_ACCEPT, zone, "accepted");
	maker->ledger.entries[child].peer = client;
	maker->ledger.entries[client].peer = child;
}

int make_connection(struct maker *maker, const struct spec *spec, int listener)
{
	const struct entry *own = listener >= 0 ? &maker->ledger.entries[listener] : NULL;
	int listener_fd = own != NULL ? own->fd : server_of(maker, spec->remote_port);
	uint32_t zone = own != NULL ? own->local.zone : 0;
	int fd = make_socket(spec);
	int client;

	if (fd < 0)
		return -1;
	if (make_connect(fd, spec) < 0) {
		close(fd);
		return -1;
	}
	client = add_client(maker, fd, spec, how_names[spec->how]);
	if (!spec->remote->far && listener_fd >= 0)
		add_child(maker, client, listener_fd, zone);
	return client;
}

/* The request socket at the listener that a client's SYN has left. */
static void add_half_open(struct maker *maker, int client, uint32_t zone)
{
	struct entry half = maker->ledger.entries[client];

	half.local = half.remote;
	half.local.zone = zone;
	half.remote = maker->ledger.entries[client].local;
	half.remote.zone = 0;
	half.port = half.remote_port;
	half.remote_port = maker->ledger.entries[client].port;
	half.giver = GIVEN_BY_ACCEPT;
	half.half_open = true;
	half.explicit_port = false;
	snprintf(half.story, sizeof(half.story), "half-open");
	ledger_orphan(&maker->ledger, ledger_copy(&maker->ledger, &half), PW_SYN_RECV, space_now_us());
}

int make_half_open(struct maker *maker, const struct spec *spec, int listener)
{
	uint32_t zone = maker->ledger.entries[listener].local.zone;
	int fd = make_socket(spec), client;

	if (fd < 0)
		return -1;
	deafen(fd);
	if (make_connect(fd, spec) < 0) {
		close(fd);
		return -1;
	}
	client = add_client(maker, fd, spec, "half-open client");
	add_half_open(maker, client, zone);
	return client;
}

int make_bound(struct maker *maker, const struct spec *spec)
{
	int fd = make_socket(spec);
	int position;

	if (fd < 0)
		return -1;
	if (spec->remote != NULL && make_connect(fd, spec) < 0) {
		close(fd);
		return -1;
	}
	position = add_client(maker, fd, spec, spec->remote != NULL ? how_names[spec->how] : "bound");
	if (spec->remote == NULL)
		maker->ledger.entries[position].connected = false;
	return position;
}

int make_connect_bound(struct maker *maker, int position, const struct place *remote, uint16_t remote_port)
{
	struct entry *e = &maker->ledger.entries[position];
	struct spec spec = {
		.remote = remote, .remote_port = remote_port, .mapped = e->v6_socket && remote->family == AF_INET};

	if (make_connect(e->fd, &spec) < 0)
		return -1;
	e->connected = true;
	e->remote = space_address(remote, DEVICE_NONE);
	e->remote.zone = 0;
	e->remote_port = remote_port;
	snprintf(e->story, sizeof(e->story), "bound, later connected");
	ledger_reread(&maker->ledger, position);
	if (!remote->far)
		add_child(maker, position, server_of(maker, remote_port), 0);
	return 0;
}

int make_listener(struct maker *maker, const struct spec *spec)
{
	int fd = make_socket(spec);
	int position;

	if (fd < 0)
		return -1;
	if (listen(fd, 16) < 0) {
		close(fd);
		return -1;
	}
	position = ledger_add(&maker->ledger, fd, IPPROTO_TCP, spec->how == HOW_PLAIN ? GIVEN_BY_LISTEN : GIVEN_BY_BIND,
		zone_of(spec), "listener");
	maker->ledger.entries[position].explicit_port = spec->how == HOW_BIND_PORT;
	return position;
}

/* --- endings --------------------------------------------------------------------------------------------------------------- */

void make_reset(struct maker *maker, int position)
{
	struct entry *e = &maker->ledger.entries[position];

	if (e->fd >= 0) {
		close_reset(e->fd);
		ledger_gone(&maker->ledger, position);
	}
}

/* close(), after which the kernel keeps the socket in `state`. */
static void close_into(struct maker *maker, int position, uint8_t state, uint64_t born_us)
{
	struct entry *e = &maker->ledger.entries[position];

	close(e->fd);
	ledger_orphan(&maker->ledger, position, state, born_us);
}

/* Until the other end has closed, for a second: on a busy machine its segment takes its time, and who closes before it comes closes at the same time,
 * which leaves a TIME_WAIT on either side. */
static void await_close(int fd)
{
	uint64_t end = space_now_us() + 1000000;

	while (ledger_tcp_state(fd) == PW_ESTABLISHED && space_now_us() < end)
		space_sleep_us(100);
}

/* One end closes, then the other: the first has the TIME_WAIT, the second is gone. */
static void end_time_wait(struct maker *maker, int first, int second)
{
	struct ledger *ledger = &maker->ledger;
	uint64_t born_us;

	close_into(maker, first, PW_FIN_WAIT2, space_now_us());
	await_close(ledger->entries[second].fd);
	born_us = space_now_us();
	close(ledger->entries[second].fd);
	ledger_gone(ledger, second);
	ledger_orphan(ledger, first, PW_TIME_WAIT, born_us);
}

/* connect(AF_UNSPEC): an automatic port is given back, whoever gave it. */
static void end_disconnect(struct maker *maker, int position)
{
	struct entry *e = &maker->ledger.entries[position];
	struct sockaddr nowhere = {.sa_family = AF_UNSPEC};

	if (connect(e->fd, &nowhere, sizeof(nowhere)) < 0)
		return;
	if (!e->explicit_port)
		e->giver = GIVEN_BY_CONNECT;
	snprintf(e->story, sizeof(e->story), "disconnected");
}

/* The same socket, with the same cookie, connects again: its port now comes from connect(). */
static void end_reconnect(struct maker *maker, int position)
{
	struct entry *e = &maker->ledger.entries[position];
	uint32_t zone = maker->ledger.entries[e->peer].local.zone;
	int server = server_of(maker, e->remote_port), far = e->peer;
	struct sockaddr_storage peer;
	socklen_t len = sizeof(peer);

	if (server < 0 || getpeername(e->fd, (struct sockaddr *)&peer, &len) < 0)
		return;
	end_disconnect(maker, position);
	make_reset(maker, far);
	if (connect(e->fd, (struct sockaddr *)&peer, len) < 0 && errno != EINPROGRESS)
		return;
	snprintf(e->story, sizeof(e->story), "reconnected");
	ledger_reread(&maker->ledger, position);
	ledger_taken(&maker->ledger, &e->local, e->port, &e->remote, e->remote_port, position);
	add_child(maker, position, server, zone);
}

static void end_by_shutdown(struct maker *maker, int near, int far, enum ending ending)
{
	const struct entry *entries = maker->ledger.entries;

	switch (ending) {
	case END_HALF_CLOSED: shutdown(entries[near].fd, SHUT_WR); break;
	case END_CLOSE_WAIT: shutdown(entries[far].fd, SHUT_WR); break;
	case END_FIN_WAIT1:
		deafen(entries[far].fd);
		close_into(maker, near, PW_FIN_WAIT1, space_now_us());
		break;
	case END_CLOSING:
		deafen(entries[far].fd);
		shutdown(entries[near].fd, SHUT_WR);
		shutdown(entries[far].fd, SHUT_WR);
		break;
	case END_LAST_ACK:
		shutdown(entries[far].fd, SHUT_WR);
		await_close(entries[near].fd);
		deafen(entries[far].fd);
		close_into(maker, near, PW_LAST_ACK, space_now_us());
		break;
	default: break;
	}
}

static bool established(const struct maker *maker, int position)
{
	return position >= 0 && maker->ledger.entries[position].fd >= 0 &&
		ledger_tcp_state(maker->ledger.entries[position].fd) == PW_ESTABLISHED;
}

static void end_quick(struct maker *maker, int near, int far)
{
	make_reset(maker, near);
	if (far >= 0)
		make_reset(maker, far);
}

void make_end(struct maker *maker, int near, enum ending ending)
{
	int far = maker->ledger.entries[near].peer;

	if (maker->ledger.entries[near].fd < 0 || ending == END_KEEP)
		return;
	if (!established(maker, near) || !established(maker, far) || ending == END_RESET)
		end_quick(maker, near, far);
	else if (ending == END_TIME_WAIT)
		end_time_wait(maker, near, far);
	else if (ending == END_FAR_FIRST)
		end_time_wait(maker, far, near);
	else if (ending == END_FIN_WAIT2)
		close_into(maker, near, PW_FIN_WAIT2, space_now_us());
	else if (ending == END_ABORTED)
		make_reset(maker, far);
	else if (ending == END_DISCONNECT)
		end_disconnect(maker, near);
	else if (ending == END_RECONNECT)
		end_reconnect(maker, near);
	else
		end_by_shutdown(maker, near, far, ending);
}

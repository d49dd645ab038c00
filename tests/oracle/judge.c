/* SPDX-License-Identifier: BSD-2-Clause */
#include "judge.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Nobody else connects to this place, so that only foreign sockets are in the way. */
static const struct place unused = {.text = "127.200.0.1", .family = AF_INET};

static bool is_connect(const struct question *q)
{
	return q->key.kind == PW_KIND_CONNECT;
}

/* One allocation. Returns the descriptor, or -1 with errno: that of a refusal, or ENOTSUP when the question itself is wrong. */
static int take_by(const struct spec *spec)
{
	int fd = make_socket(spec), cause;

	if (fd < 0 && (spec->remote != NULL || errno != EADDRINUSE))
		errno = ENOTSUP;
	if (fd < 0 || spec->remote == NULL)
		return fd;
	if (make_connect(fd, spec) == 0)
		return fd;
	cause = errno;
	close(fd);
	errno = cause;
	return -1;
}

static int take(const struct question *q)
{
	return take_by(&q->spec);
}

/* An allocation that may have one port only. Before 6.3 no socket has a range of its own: then the namespace's is changed
 * for the moment. */
static int take_only(const struct maker *maker, const struct question *q, uint16_t port)
{
	struct spec spec = q->spec;
	int fd, cause;

	if (space_since(6, 3)) {
		spec.local = spec.how == HOW_PLAIN ? NULL : spec.local;
		spec.how = HOW_RANGE;
		spec.range_low = spec.range_high = port;
		return take_by(&spec);
	}
	if (space_set("ipv4/ip_local_port_range", "%u %u", port, port) < 0)
		return -1;
	fd = take_by(&spec);
	cause = errno;
	space_set("ipv4/ip_local_port_range", "%u %u", maker->range.low, maker->range.high);
	errno = cause;
	return fd;
}

/* A plain connect has the address that the route gives it: it must be the one that the question is about. */
static bool from_elsewhere(const struct question *q, int fd)
{
	struct sockaddr_storage name;
	socklen_t len = sizeof(name);
	struct pw_address local;

	if (!is_connect(q) || getsockname(fd, (struct sockaddr *)&name, &len) < 0)
		return false;
	if (name.ss_family == AF_INET)
		local = pw_address_make(AF_INET, &((struct sockaddr_in *)&name)->sin_addr, q->key.local.zone);
	else
		local = pw_address_make(AF_INET6, &((struct sockaddr_in6 *)&name)->sin6_addr, q->key.local.zone);
	return !pw_address_equal(&local, &q->key.local);
}

static uint16_t port_of(int fd)
{
	struct sockaddr_storage name;
	socklen_t len = sizeof(name);

	if (getsockname(fd, (struct sockaddr *)&name, &len) < 0)
		return 0;
	return ntohs(name.ss_family == AF_INET ? ((struct sockaddr_in *)&name)->sin_port
					       : ((struct sockaddr_in6 *)&name)->sin6_port);
}

/* Each way of asking is refused by an error of its own. */
static bool is_refusal(const struct question *q, int cause)
{
	if (q->spec.remote == NULL)
		return cause == EADDRINUSE;
	return cause == (q->spec.protocol == IPPROTO_TCP ? EADDRNOTAVAIL : EAGAIN);
}

struct hand {
	int *fds;
	size_t n;
};

/* The parity that the kernel tries first: connect() that of the low end, bind() the other. UDP knows none. */
static bool first_parity(const struct maker *maker, const struct question *q, uint16_t port)
{
	unsigned odd = (port ^ maker->range.low) & 1;

	if (q->key.protocol == IPPROTO_UDP)
		return true;
	return is_connect(q) ? odd == 0 : odd == 1;
}

/* An end of an odd range is passed over by some searches and found by a later one. */
static bool odd_end(const struct maker *maker, uint16_t port)
{
	return pw_range_is_odd(&maker->range) && (port == maker->range.low || port == maker->range.high);
}

static void note_given(const struct maker *maker, const struct question *q, uint16_t port, struct verdict *out)
{
	bool first = first_parity(maker, q, port);

	pw_portset_add(&out->given, port);
	if (first && out->fast < out->n_given && !odd_end(maker, port))
		out->in_order = false;
	out->fast += first;
	out->n_given++;
}

/* Room for twice the range, in case that ports are shared, and for the rest. */
static size_t hand_size(const struct maker *maker)
{
	return 4 * ((size_t)maker->range.high - maker->range.low + 1);
}

static void fill(const struct maker *maker, const struct question *q, struct hand *hand, struct verdict *out)
{
	size_t most = hand_size(maker) / 2;
	int fd;

	while ((fd = take(q)) >= 0) {
		hand->fds[hand->n++] = fd;
		note_given(maker, q, port_of(fd), out);
		if (from_elsewhere(q, fd)) {
			out->refusal = EXDEV;
			return;
		}
		out->endless = hand->n == most;
		if (out->endless)
			return;
	}
	out->refusal = errno;
}

/* The ports that the search left out although they can be had. */
static void pick_rest(const struct maker *maker, const struct question *q, struct hand *hand, struct verdict *out)
{
	struct pw_portset rest;

	pw_range_capacity(&maker->range, &rest);
	pw_portset_subtract(&rest, &out->given);
	for (unsigned port = maker->range.low; port <= maker->range.high; port++) {
		int fd = pw_portset_has(&rest, (uint16_t)port) ? take_only(maker, q, (uint16_t)port) : -1;

		if (fd < 0)
			continue;
		hand->fds[hand->n++] = fd;
		pw_portset_add(&out->missed, (uint16_t)port);
		out->n_missed++;
	}
}

/* Takes everything back by resets. */
static void give_back(struct maker *maker, const struct hand *hand)
{
	for (size_t i = 0; i < hand->n; i++)
		close_reset(hand->fds[i]);
	maker_drain(maker);
}

int judge_pool(struct maker *maker, const struct question *q, struct verdict *out, FILE *log)
{
	struct hand hand = {.fds = calloc(hand_size(maker), sizeof(int))};

	if (hand.fds == NULL)
		return -1;
	memset(out, 0, sizeof(*out));
	out->in_order = true;
	out->window.from_us = space_now_us();
	fill(maker, q, &hand, out);
	if (!out->endless)
		pick_rest(maker, q, &hand, out);
	out->window.to_us = space_now_us();
	give_back(maker, &hand);
	free(hand.fds);
	if (out->endless || is_refusal(q, out->refusal))
		return 0;
	fprintf(log, "the judge could not ask: %s\n", strerror(out->refusal));
	return -1;
}

/* A socket of a device also takes over a TIME_WAIT without one. */
void judge_settle(struct maker *maker, const struct question *q, const struct verdict *verdict)
{
	struct pw_address local = q->key.local, plain = q->key.local;

	plain.zone = 0;
	for (unsigned port = maker->range.low; is_connect(q) && port <= maker->range.high; port++) {
		if (!pw_portset_has(&verdict->given, (uint16_t)port) &&
			!pw_portset_has(&verdict->missed, (uint16_t)port))
			continue;
		ledger_taken(&maker->ledger, &local, (uint16_t)port, &q->key.remote, q->key.port, -1);
		ledger_taken(&maker->ledger, &plain, (uint16_t)port, &q->key.remote, q->key.port, -1);
	}
}

int judge_blocked(struct maker *maker, struct pw_portset *out, FILE *log)
{
	struct question q = {.spec = {.protocol = IPPROTO_TCP,
				     .how = HOW_PLAIN,
				     .remote = &unused,
				     .remote_port = space_server_ports[0]}};

	pw_range_capacity(&maker->range, out);
	for (unsigned port = maker->range.low; port <= maker->range.high; port++) {
		int fd = pw_portset_has(out, (uint16_t)port) ? take_only(maker, &q, (uint16_t)port) : -1;

		if (fd >= 0) {
			pw_portset_remove(out, (uint16_t)port);
			close_reset(fd);
		} else if (pw_portset_has(out, (uint16_t)port) && !is_refusal(&q, errno)) {
			fprintf(log, "port %u: %s\n", port, strerror(errno));
			return -1;
		}
	}
	maker_drain(maker);
	return 0;
}

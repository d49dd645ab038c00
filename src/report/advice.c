/* SPDX-License-Identifier: BSD-2-Clause */
/* advice.c: what helps a pool, each chosen by a fact */
#include "report/explain.h"

#include <netinet/in.h>

/* A TIME_WAIT share, a live share, a share of blocked and of reserved ports from which they are worth a sentence
 * (percent). */
#define TIME_WAIT_SHARE 25
#define LIVE_SHARE 50
#define BLOCKED_SHARE 1
#define STATE_SHARE 25
#define RESERVED_SHARE 5

/* Seconds that a TIME_WAIT lasts (TCP_TIMEWAIT_LEN). */
#define TIME_WAIT_S 60

/* The kernel's default range and the widest one that leaves the privileged ports alone. */
#define DEFAULT_WIDTH (60999 - 32768 + 1)
#define WIDEST_LOW 1024
#define WIDEST_HIGH 65535

static uint32_t share(uint32_t part, uint32_t whole)
{
	return whole == 0 ? 0 : (uint32_t)((uint64_t)part * 100 / whole);
}

/* What tcp_tw_reuse does for this pool, or would do. */
static void tell_reuse(const struct pw_explanation *e)
{
	const bool loopback = pw_address_is_loopback(&e->row->key.local) || pw_address_is_loopback(&e->row->key.remote);

	if (!is_connect(e))
		pw_say(e,
			"A port in TIME_WAIT is refused to bind() for the whole %u s, whatever net.ipv4.tcp_tw_reuse "
			"says.",
			TIME_WAIT_S);
	else if (!e->ns->timestamps)
		pw_say(e,
			"net.ipv4.tcp_timestamps is 0, and without timestamps no port in TIME_WAIT is handed out "
			"again: with 1 (and net.ipv4.tcp_tw_reuse = 1) connect() could take these over after %u ms.",
			e->ns->tw_reuse_delay_ms);
	else if (e->ns->tw_reuse == PW_TW_REUSE_OFF)
		pw_say(e,
			"net.ipv4.tcp_tw_reuse is 0: with 1, connect() takes over a port in TIME_WAIT after %u ms, if "
			"the remote side uses TCP timestamps.",
			e->ns->tw_reuse_delay_ms);
	else if (e->ns->tw_reuse == PW_TW_REUSE_LOOPBACK && !loopback)
		pw_say(e,
			"net.ipv4.tcp_tw_reuse is 2, which helps loopback addresses only: with 1, connect() takes "
			"over a port in TIME_WAIT after %u ms here too, if the remote side uses TCP timestamps.",
			e->ns->tw_reuse_delay_ms);
	else
		pw_say(e,
			"%u of these %u can be taken over by connect() right now (net.ipv4.tcp_tw_reuse is %d) and "
			"count as free; of the others the remote side sends no TCP timestamps, or they are younger "
			"than %u ms.",
			e->counts->reusable, e->counts->time_wait, (int)e->ns->tw_reuse, e->ns->tw_reuse_delay_ms);
}

static void tell_time_wait(const struct pw_explanation *e)
{
	const struct pw_pool_counts *c = e->counts;

	if (!pw_kind_has_sockets(e->row->key.kind) || c->time_wait == 0 ||
		share(c->time_wait, c->used) < TIME_WAIT_SHARE)
		return;
	pw_say(e,
		"%u of the %u used ports (%u %%) are in TIME_WAIT: this side closes about %u connections a second and "
		"each holds its port for another %u s. Keep connections open (HTTP keep-alive, a connection pool), or "
		"let the peer close first.",
		c->time_wait, c->used, share(c->time_wait, c->used), (c->time_wait + TIME_WAIT_S - 1) / TIME_WAIT_S,
		TIME_WAIT_S);
	tell_reuse(e);
}

/* Each of these has somebody else to mend it, and none is mended by more ports. Returns whether one was told. */
static bool tell_states(const struct pw_explanation *e)
{
	const struct pw_pool_states *s = &e->row->states;
	bool syn = share(s->syn_sent, e->counts->used) >= STATE_SHARE;
	bool close = share(s->close_wait, e->counts->used) >= STATE_SHARE;
	bool fin = share(s->fin_wait, e->counts->used) >= STATE_SHARE;

	if (e->row->key.kind == PW_KIND_BIND)
		return false;
	if (syn)
		pw_say(e,
			"%u of its connections are in SYN_SENT: %s port %u does not answer (a dead server, or a "
			"firewall on the way). Each try holds its port until it is given up "
			"(net.ipv4.tcp_syn_retries: about two minutes). Mend the destination, or let the client give "
			"up sooner.",
			s->syn_sent, e->row->remote_text, e->row->key.port);
	if (close)
		pw_say(e,
			"%u of its connections are in CLOSE_WAIT: %s has closed them, and the program here has not. "
			"They stay until it calls close() or ends: it leaks sockets. More ports only put off the end.",
			s->close_wait, e->row->remote_text);
	if (fin)
		pw_say(e,
			"%u of its connections are in FIN_WAIT or LAST_ACK: the program here has closed them, and %s "
			"does not go along. A program that calls shutdown() and keeps the socket holds its port as "
			"long as the other side likes; after close() it is net.ipv4.tcp_fin_timeout (60 s).",
			s->fin_wait, e->row->remote_text);
	return syn || close || fin;
}

static void tell_destination(const struct pw_explanation *e)
{
	const struct pw_pool_counts *c = e->counts;
	const struct pw_snapshot *snapshot = e->report->selection.snapshot;
	const struct pw_pool_key *own = &e->row->key;
	uint32_t live = c->used - c->time_wait, others = 0;
	char more[96] = "";

	if (tell_states(e) || !is_connect(e) || share(live, c->used) < LIVE_SHARE)
		return;
	/* other local addresses that connect to the same address and port */
	for (size_t i = 0; i < snapshot->n_pools; i++) {
		const struct pw_pool_key *key = &snapshot->pools[i].key;

		others += &snapshot->pools[i] != e->row && key->ns == own->ns && key->kind == own->kind &&
			key->protocol == own->protocol && key->port == own->port &&
			pw_address_equal(&key->remote, &own->remote);
	}
	if (others > 0)
		snprintf(more, sizeof(more), " (%u other local address%s this destination already)", others,
			others == 1 ? " uses" : "es use");
	pw_say(e,
		"%u live connections go from one local address to one destination, %s port %u, and each needs a port "
		"of its own. A further local address%s, or a further address or port of the destination, gives %u "
		"more.",
		live, e->row->remote_text, e->row->key.port, more, c->capacity - (has_budget(e) ? 0 : e->ns->blocked));
}

static void tell_blocked(const struct pw_explanation *e)
{
	uint32_t blocked = e->ns->blocked, bound, others;

	if (!is_connect(e) || has_budget(e) || blocked == 0 || share(blocked, e->counts->capacity) < BLOCKED_SHARE)
		return;
	bound = e->ns->bound < blocked ? e->ns->bound : blocked;
	others = blocked - bound;
	pw_say(e,
		"%u ports of the range (%u %%) are closed to every connect(): %u by sockets that took their port by "
		"bind() (or outlived their listener), %u by listeners and the connections that they accepted.",
		blocked, share(blocked, e->counts->capacity), bound, others);
	if (bound > 0)
		pw_say(e,
			"If these are clients that bind() their local address with port 0 before connect(): with "
			"IP_BIND_ADDRESS_NO_PORT they take their ports per destination, and the %u open up again. "
			"Ports that a program chooses itself stay taken: let it choose outside of %u-%u.",
			bound, e->ns->low, e->ns->high);
	if (share(others, e->counts->capacity) >= BLOCKED_SHARE)
		pw_say(e, "Listen on ports outside %u-%u: %u ports of the range go to inbound connections.", e->ns->low,
			e->ns->high, others);
}

static void tell_range(const struct pw_explanation *e)
{
	uint32_t width = e->ns->high - e->ns->low + 1, widest = WIDEST_HIGH - WIDEST_LOW + 1;

	if (!pw_kind_has_sockets(e->row->key.kind) || has_budget(e))
		return;
	if (width < DEFAULT_WIDTH)
		pw_say(e,
			"The range %u-%u has only %u ports, the kernel's default has %u: widen "
			"net.ipv4.ip_local_port_range, up to %u-%u (%u ports).",
			e->ns->low, e->ns->high, width, DEFAULT_WIDTH, WIDEST_LOW, WIDEST_HIGH, widest);
	else if (width <= widest / 4 * 3)
		pw_say(e,
			"The range %u-%u has %u ports: net.ipv4.ip_local_port_range = %u %u would give %u. Reserve "
			"the ports that services listen on (net.ipv4.ip_local_reserved_ports) first.",
			e->ns->low, e->ns->high, width, WIDEST_LOW, WIDEST_HIGH, widest);
	if (share(e->ns->reserved, width) >= RESERVED_SHARE)
		pw_say(e, "%u ports of the range (%u %%) are reserved by net.ipv4.ip_local_reserved_ports.",
			e->ns->reserved, share(e->ns->reserved, width));
}

static void tell_tcp_bind(const struct pw_explanation *e)
{
	if (e->row->key.kind != PW_KIND_BIND || e->row->key.protocol != IPPROTO_TCP)
		return;
	pw_say(e,
		"bind() with port 0 draws from one pool for each local address, whatever the destination. %u of the "
		"%u used ports are known to come from bind().",
		e->counts->bound, e->counts->used);
	if (e->row->states.established + e->row->states.syn_sent == 0 && e->counts->time_wait == 0)
		pw_say(e,
			"None of its sockets is connected: listeners on port 0, or sockets that wait for their use. "
			"Close them sooner, or spread them over more local addresses.");
	else
		pw_say(e,
			"With IP_BIND_ADDRESS_NO_PORT the port of a client is chosen by connect() instead, per "
			"destination.");
	if (!pw_row_has_threshold(e->row))
		pw_say(e,
			"No threshold is in force here: clients that only connect() share ports between destinations "
			"and are not held up when this pool is full.");
}

static void tell_udp(const struct pw_explanation *e)
{
	if (e->row->key.kind != PW_KIND_BIND || e->row->key.protocol != IPPROTO_UDP)
		return;
	if (pw_address_is_any(&e->row->key.local))
		pw_say(e,
			"Each UDP socket that sends or connects without a port of its own takes one that is free on "
			"every address: %u are gone. A resolver that opens a socket for each query runs out so: let "
			"it use fewer upstream queries at a time, a local cache, or sockets bound to their local "
			"address.",
			e->counts->used);
	else
		pw_say(e,
			"%u UDP ports of this address are taken. One unconnected socket can serve many peers; sockets "
			"of a further local address have ports of their own.",
			e->counts->used);
}

void pw_advise(const struct pw_explanation *e)
{
	tell_time_wait(e);
	tell_destination(e);
	tell_blocked(e);
	tell_tcp_bind(e);
	tell_udp(e);
	tell_range(e);
}

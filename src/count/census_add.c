/* SPDX-License-Identifier: BSD-2-Clause */
/* census_add.c: files each socket under its local address or its tuple */
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "count/census_internal.h"

#define CACHE_LINE 64

static bool is_loopback(uint8_t family, const uint8_t address[16])
{
	static const uint8_t one[16] = {[15] = 1};

	return family == AF_INET ? address[0] == 127 : memcmp(address, one, sizeof(one)) == 0;
}

static uint32_t new_local(struct pw_census *c, const struct pw_socket *s, uint64_t hash)
{
	static const uint8_t any[16];
	struct pw_index *index = &c->local_index;
	struct local *local;

	if (!PW_ARRAY_ROOM(c->locals, c->size_locals, (size_t)c->n_locals + 1))
		return NONE;
	if (pw_index_full(index, c->n_locals)) {
		if (pw_index_reset(index, index->slot == NULL ? 64 : (index->mask + 1) * 2) < 0)
			return NONE;
		for (uint32_t i = 0; i < c->n_locals; i++) {
			local = &c->locals[i];
			pw_index_put(
				index, local_hash(c, local->address, local->zone, local->family, local->protocol), i);
		}
	}
	local = &c->locals[c->n_locals];
	*local = (struct local){.zone = s->ifindex, .family = s->family, .protocol = s->protocol, .first_tuple = NONE};
	memcpy(local->address, s->local, sizeof(local->address));
	local->any = memcmp(s->local, any, sizeof(any)) == 0;
	local->loopback = is_loopback(s->family, s->local);
	local->binds = pw_cookies_have(&c->binding, hash | 1);
	if (local->any || local->zone != 0) {
		if (!PW_ARRAY_ROOM(c->special, c->size_special, (size_t)c->n_special + 1))
			return NONE;
		c->special[c->n_special++] = c->n_locals;
	}
	pw_index_put(index, hash, c->n_locals);
	return c->n_locals++;
}

static uint32_t find_local(struct pw_census *c, const struct pw_socket *s)
{
	/* addresses of one host differ in their last octet, mostly */
	uint32_t *recent = &c->recent_locals[(s->local[3] ^ s->local[15]) % RECENT_LOCALS], found = *recent;
	uint64_t hash;

	if (found < c->n_locals && local_is(&c->locals[found], s->local, s->ifindex, s->family, s->protocol))
		return found;
	hash = local_hash(c, s->local, s->ifindex, s->family, s->protocol);
	found = lookup_local(c, s->local, s->ifindex, s->family, s->protocol, hash);
	return *recent = found != NONE ? found : new_local(c, s, hash);
}

/* As PW_ARRAY_ROOM(), but so that no tuple lies across two lines of the cache. */
static int grow_tuples(struct pw_census *c)
{
	uint32_t new_size = c->size_tuples == 0 ? 256 : c->size_tuples * 2;
	struct tuple *bigger;
	uint32_t *next;

	if (new_size < c->size_tuples)
		return -1;
	next = realloc(c->next_tuple, (size_t)new_size * sizeof(*next));
	if (next == NULL)
		return -1;
	c->next_tuple = next;
	bigger = aligned_alloc(CACHE_LINE, (size_t)new_size * sizeof(*bigger));
	if (bigger == NULL)
		return -1;
	if (c->n_tuples != 0)
		memcpy(bigger, c->tuples, (size_t)c->n_tuples * sizeof(*bigger));
	free(c->tuples);
	c->tuples = bigger;
	c->size_tuples = new_size;
	return 0;
}

static uint32_t new_tuple(struct pw_census *c, uint32_t local, const struct pw_socket *s, uint64_t hash)
{
	struct tuple tuple = {.local = local, .port = s->remote_port};
	struct pw_index *index = &c->tuple_index;
	uint8_t remote[16];

	if (c->n_tuples == c->size_tuples && grow_tuples(c) < 0)
		return NONE;
	if (pw_index_full(index, c->n_tuples)) {
		if (pw_index_reset(index, index->slot == NULL ? 1024 : (index->mask + 1) * 2) < 0)
			return NONE;
		for (uint32_t i = 0; i < c->n_tuples; i++) {
			tuple_remote(c, &c->tuples[i], remote);
			pw_index_put(index, tuple_hash(c, c->tuples[i].local, remote, c->tuples[i].port), i);
		}
	}
	if (s->family == AF_INET) {
		memcpy(&tuple.remote, s->remote, sizeof(tuple.remote));
	} else {
		if (!PW_ARRAY_ROOM(c->remotes6, c->size_remotes6, (size_t)c->n_remotes6 + 1))
			return NONE;
		memcpy(c->remotes6[c->n_remotes6].address, s->remote, 16);
		tuple.remote = c->n_remotes6++;
	}
	c->tuples[c->n_tuples] = tuple;
	c->next_tuple[c->n_tuples] = c->locals[local].first_tuple;
	pw_index_put(index, hash, c->n_tuples);
	c->locals[local].first_tuple = c->n_tuples;
	return c->n_tuples++;
}

/* tcp_twsk_unique(): which TIME_WAIT sockets connect() may take over. Its age is what has passed of TCP_TIMEWAIT_LEN.
 * Where it is not known whether both ends used timestamps, the sysctl stands for it. */
static bool reusable(const struct pw_census *c, const struct local *local, const struct pw_socket *s)
{
	const uint32_t timewait_len_ms = 60000;
	bool stamped = (s->flags & (PW_SOCKET_STAMPED | PW_SOCKET_UNSTAMPED)) == 0
		? c->range.timestamps
		: (s->flags & PW_SOCKET_STAMPED) != 0;

	if (c->range.tw_reuse == PW_TW_REUSE_OFF || !stamped || s->expires_ms >= timewait_len_ms ||
		timewait_len_ms - s->expires_ms <= c->range.tw_reuse_delay_ms)
		return false;
	return c->range.tw_reuse == PW_TW_REUSE_ON || s->ifindex == 1 || local->loopback ||
		is_loopback(s->family, s->remote);
}

static inline uint32_t kind_of(const struct pw_census *c, const struct local *local, const struct pw_socket *s)
{
	/* by the state; those that are not there are of kernels to come */
	static const uint8_t kinds[16] = {ENTRY_ESTABLISHED, ENTRY_ESTABLISHED, ENTRY_SYN_SENT, ENTRY_ESTABLISHED,
		ENTRY_FIN_WAIT, ENTRY_FIN_WAIT, ENTRY_TIME_WAIT, ENTRY_UNCONNECTED, ENTRY_CLOSE_WAIT, ENTRY_FIN_WAIT,
		ENTRY_UNCONNECTED, ENTRY_FIN_WAIT, ENTRY_ESTABLISHED, ENTRY_ESTABLISHED, ENTRY_ESTABLISHED,
		ENTRY_ESTABLISHED};
	uint32_t kind = s->protocol == IPPROTO_TCP ? kinds[s->state & 15] : (uint32_t)ENTRY_UNCONNECTED;

	if (kind == ENTRY_TIME_WAIT && reusable(c, local, s))
		return ENTRY_TIME_WAIT_REUSABLE;
	return s->flags & PW_SOCKET_HALF_OPEN ? (uint32_t)ENTRY_HALF_OPEN : kind;
}

static inline uint32_t make_entry(struct pw_census *c, const struct local *local, const struct pw_socket *s, bool bound)
{
	uint32_t entry = s->local_port | kind_of(c, local, s) << ENTRY_KIND_SHIFT;

	if (s->flags & PW_SOCKET_HAS_OWNER)
		entry |= (uint32_t)pw_owner_table_number(&c->owners, s->cgroup, s->uid) << ENTRY_OWNER_SHIFT;
	/* an explicit bind to a specific IPv6 address makes the socket v6only (__inet6_bind()), which diag does not
	 * show later on */
	if (s->flags & PW_SOCKET_V6ONLY ||
		(bound && s->family == AF_INET6 && s->state != PW_LISTEN && s->state != PW_CLOSE))
		entry |= ENTRY_V6ONLY;
	return entry;
}

/* What a bound socket is known by: it stays one as long as it has this port, but a socket that disconnects and
 * connects again gets another one from connect(). 0 where the cookie is unknown. */
static uint64_t origin(const struct pw_socket *s)
{
	return s->cookie == 0 ? 0 : s->cookie ^ (uint64_t)s->local_port << 48;
}

/* Files the port of a connected TCP socket by what is known about where it is from. Returns whether the socket is
 * known as bound. */
static inline bool note_origin(struct pw_census *c, const struct pw_socket *s)
{
	uint64_t id = s->cookie;

	if (s->flags & PW_SOCKET_HALF_OPEN)
		return false;
	if (id == 0)
		id = pw_hash_address(c->seed, s->remote, (uint64_t)s->remote_port << 32 | s->state);
	c->history.signature[s->local_port] += pw_fold(id ^ c->seed[0], c->seed[1]);
	if (pw_cookies_have(&c->bound_cookies, origin(s))) {
		pw_portset_add(&c->known, s->local_port);
		return true;
	}
	pw_portset_add(s->flags & PW_SOCKET_NO_PORT ? &c->no_port : &c->unknown, s->local_port);
	return false;
}

/* Where a socket belongs. */
struct place {
	uint32_t local; /* NONE: outside the range */
	uint32_t tuple; /* a guess, to be compared; NONE: there is none */
	uint64_t hash;  /* of the tuple */
};

static inline int add_tuple_socket(struct pw_census *c, const struct place *place, const struct pw_socket *s)
{
	uint32_t local = place->local, tuple = place->tuple;
	bool bound = !c->read && note_origin(c, s);
	struct tuple *t;

	if (tuple >= c->n_tuples || !tuple_is(c, &c->tuples[tuple], local, s->remote, s->remote_port))
		tuple = lookup_tuple(c, local, s->remote, s->remote_port, place->hash);

	if (bound && pw_cookies_add(&c->bound_cookies_next, origin(s)) < 0)
		return -1;
	/* by parity and state it may have come from bind(addr, 0) */
	if (!bound && c->locals[local].binds && ((s->local_port ^ c->range.low) & 1) != 0 && s->state != PW_TIME_WAIT &&
		(s->flags & (PW_SOCKET_HALF_OPEN | PW_SOCKET_NO_PORT)) == 0 &&
		pw_cookies_add(&c->parity_cookies, origin(s)) < 0)
		return -1;
	if (tuple == NONE && (tuple = new_tuple(c, local, s, place->hash)) == NONE)
		return -1;
	t = &c->tuples[tuple];
	if (pw_list_add(&c->entries, &t->entries, t->count, make_entry(c, &c->locals[local], s, bound)) < 0)
		return -1;
	t->count += t->count != UINT16_MAX;
	return 0;
}

/* A socket without tuple. */
static int add_local_socket(struct pw_census *c, uint32_t local, const struct pw_socket *s)
{
	struct local *l = &c->locals[local];

	if (pw_list_add(&c->entries, &l->entries, l->n_entries, make_entry(c, l, s, false)) < 0)
		return -1;
	l->n_entries++;
	return 0;
}

static uint64_t listener_id(uint32_t local, uint16_t port)
{
	return ((uint64_t)local + 1) << 16 | port;
}

static int add_listener(struct pw_census *c, uint32_t local, const struct pw_socket *s)
{
	pw_portset_add(&c->listening, s->local_port);
	if (!c->locals[local].any)
		return pw_cookies_add(&c->listeners, listener_id(local, s->local_port));
	if (s->family == AF_INET6)
		pw_portset_add(&c->listening_any6, s->local_port);
	if (s->family == AF_INET || (s->flags & PW_SOCKET_V6ONLY) == 0)
		pw_portset_add(&c->listening_any4, s->local_port);
	return 0;
}

/* Whether a socket on a listener's port came from a listener: then it counts as bound also when that is gone. A
 * connection of another address or family may have had the port before the listener, and owns it still. */
static bool accepted(const struct pw_census *c, uint32_t local, const struct pw_socket *s)
{
	const struct pw_portset *any = s->family == AF_INET ? &c->listening_any4 : &c->listening_any6;

	return (s->flags & PW_SOCKET_HALF_OPEN) == 0 &&
		(pw_portset_has(any, s->local_port) ||
			pw_cookies_have(&c->listeners, listener_id(local, s->local_port)));
}

static inline int add_tcp(struct pw_census *c, const struct place *place, const struct pw_socket *s)
{
	uint32_t local = place->local;

	c->totals.tcp++;
	c->totals.tcp_time_wait += s->state == PW_TIME_WAIT;
	if (s->state == PW_LISTEN) {
		if (add_listener(c, local, s) < 0)
			return -1;
	} else if (s->state == PW_CLOSE) {
		c->totals.tcp_bound++;
		pw_portset_add(&c->bound, s->local_port);
		if (pw_cookies_add(&c->bound_cookies_next, origin(s)) < 0)
			return -1;
	} else if (!pw_portset_has(&c->listening, s->local_port)) {
		return add_tuple_socket(c, place, s);
	} else if (!c->read && (accepted(c, local, s) || pw_cookies_have(&c->bound_cookies, origin(s))) &&
		pw_cookies_add(&c->bound_cookies_next, origin(s)) < 0) {
		return -1;
	}
	return add_local_socket(c, local, s);
}

#define AHEAD 64

/* Each socket would wait for memory three times: for the history of its port (ports come in no order, and the
 * kernel's dump has emptied the caches), and with many destinations for its slot of the index and for its tuple.
 * Asked for ahead, many come at once. It is only a hint: the index may grow before they are used. Inlined by force:
 * to gcc a function that only prefetches has no effect, and it drops the call. */
#define PREFETCHES static inline __attribute__((always_inline)) void

PREFETCHES fetch_slot(const struct pw_census *c, uint16_t port, uint64_t hash)
{
	if (!c->read)
		__builtin_prefetch(&c->history.signature[port], 1);
	if (c->tuple_index.slot != NULL)
		__builtin_prefetch(&c->tuple_index.slot[hash & c->tuple_index.mask]);
}

static int find_places(struct pw_census *c, const struct pw_socket *sockets, size_t n, struct place places[AHEAD])
{
	const uint16_t low = pw_range_look_low(&c->range), high = pw_range_look_high(&c->range);

	for (size_t i = 0; i < n; i++) {
		const struct pw_socket *s = &sockets[i];

		places[i] = (struct place){.local = NONE, .tuple = NONE};
		if (s->local_port < low || s->local_port > high)
			continue;
		if (s->flags & PW_SOCKET_IN_VRF) {
			if (pw_census_add_in_vrf(c, s) < 0)
				return -1;
			continue;
		}
		places[i].local = find_local(c, s);
		if (places[i].local == NONE)
			return -1;
		if (s->protocol == IPPROTO_TCP)
			places[i].hash = tuple_hash(c, places[i].local, s->remote, s->remote_port);
		fetch_slot(c, s->local_port, places[i].hash);
	}
	return 0;
}

PREFETCHES guess_tuples(const struct pw_census *c, struct place *places, size_t n)
{
	const struct pw_index *index = &c->tuple_index;

	for (size_t i = 0; i < n && c->n_tuples != 0; i++) {
		/* as far as the first two slots tell that it can be in. No branch: it would wait for each in turn */
		uint32_t at = pw_index_start(index, places[i].hash);
		uint32_t first = index->slot[at], second = index->slot[(at + 1) & index->mask];
		uint32_t slot = pw_index_tag_matches(index, first, places[i].hash) ? first : second;

		places[i].tuple = slot != 0 ? pw_index_position(index, slot) : 0;
		__builtin_prefetch(&c->tuples[places[i].tuple], 1);
	}
}

int pw_census_add(struct pw_census *c, const struct pw_socket *sockets, size_t n)
{
	struct place places[AHEAD];

	for (size_t done = 0, some; done < n; done += some) {
		some = n - done < AHEAD ? n - done : AHEAD;
		if (find_places(c, sockets + done, some, places) < 0)
			return -1;
		guess_tuples(c, places, some);
		for (size_t i = 0; i < some; i++) {
			const struct pw_socket *s = &sockets[done + i];
			const uint32_t local = places[i].local;

			if (local == NONE)
				continue;
			c->locals[local].count++;
			c->totals.udp += s->protocol != IPPROTO_TCP;
			if ((s->protocol == IPPROTO_TCP ? add_tcp(c, &places[i], s) : add_local_socket(c, local, s)) <
				0)
				return -1;
		}
	}
	return 0;
}

int pw_census_add_bound(struct pw_census *c, const struct pw_socket *sockets, size_t n)
{
	c->bound_pass = true;
	for (size_t i = 0; i < n; i++) {
		if (sockets[i].local_port < c->range.low || sockets[i].local_port > c->range.high)
			continue;
		pw_portset_add(&c->bound, sockets[i].local_port);
		if (sockets[i].state != PW_LISTEN && pw_cookies_add(&c->bound_cookies_next, origin(&sockets[i])) < 0)
			return -1;
	}
	return 0;
}

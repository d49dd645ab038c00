/* SPDX-License-Identifier: BSD-2-Clause */
/* The census against a slow and obvious reference: random sockets, every pool compared, the identity of the counts checked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "count/census.h"
#include "random.h"

#define MAX_SOCKETS 120

struct world {
	struct pw_range range;
	struct pw_socket sockets[MAX_SOCKETS];
	size_t n;
	struct pw_census *census;
};

static void random_address(uint8_t out[16], int family)
{
	static const uint8_t lo6[16] = {[15] = 1};

	memset(out, 0, 16);
	if (family == AF_INET6) {
		memcpy(out, lo6, 16);
		out[15] = (uint8_t)(1 + pick(2));
	} else {
		out[0] = pick(2) ? 127 : 10;
		out[3] = (uint8_t)(1 + pick(3));
	}
}

static struct pw_socket random_socket(const struct world *w, uint64_t cookie)
{
	static const uint8_t states[] = {
		PW_ESTABLISHED, PW_SYN_SENT, PW_TIME_WAIT, PW_TIME_WAIT, PW_FIN_WAIT2, PW_CLOSE, PW_LISTEN};
	struct pw_socket s = {.cookie = cookie,
		.family = pick(3) ? AF_INET : AF_INET6,
		.protocol = pick(5) ? IPPROTO_TCP : IPPROTO_UDP};
	static const uint8_t closing[] = {
		PW_FIN_WAIT1, PW_FIN_WAIT2, PW_CLOSING, PW_LAST_ACK, PW_CLOSE_WAIT, PW_SYN_RECV};
	unsigned width = (unsigned)w->range.high - w->range.low + 1;

	s.state = states[pick(pick(4) ? 5 : 7)];
	if (s.state == PW_FIN_WAIT2)
		s.state = closing[pick(sizeof(closing))];
	random_address(s.local, s.family);
	random_address(s.remote, s.family);
	s.remote_port = (uint16_t)(80 + pick(3));
	s.local_port = (uint16_t)(w->range.low - 2 + pick(width + 4));
	s.ifindex = pick(8) == 0 ? 1 + pick(3) : 0;
	s.expires_ms = s.state == PW_TIME_WAIT ? pick(60001) : 0;
	if (s.state == PW_LISTEN || s.state == PW_CLOSE || s.protocol == IPPROTO_UDP) {
		memset(s.remote, 0, 16);
		s.remote_port = 0;
		s.state = s.protocol == IPPROTO_UDP ? PW_CLOSE : s.state;
		if (pick(3) == 0)
			memset(s.local, 0, 16);
		s.flags = s.family == AF_INET6 && pick(2) ? PW_SOCKET_V6ONLY : 0;
	}
	if (s.state != PW_TIME_WAIT && pick(4) != 0) {
		s.flags |= PW_SOCKET_HAS_OWNER;
		s.cgroup = pick(2);
		s.uid = pick(3);
	}
	return s;
}

static void make_world(struct world *w)
{
	memset(&w->range, 0, sizeof(w->range));
	w->range.low = (uint16_t)(40000 + pick(2));
	w->range.high = (uint16_t)(w->range.low + pick(100));
	w->range.tw_reuse = (enum pw_tw_reuse)pick(3);
	w->range.tw_reuse_delay_ms = 1000;
	w->range.timestamps = pick(4) != 0;
	for (unsigned i = pick(10); i > 0; i--)
		pw_portset_add(&w->range.reserved, (uint16_t)(39990 + pick(200)));
	w->n = pick(MAX_SOCKETS);
	for (size_t i = 0; i < w->n; i++)
		w->sockets[i] = random_socket(w, i + 1);
}

/* --- the reference: one question per port, no state ----------------------------------------------------------------- */

static bool in_capacity(const struct world *w, unsigned port)
{
	return port >= w->range.low && port <= w->range.high && !pw_portset_has(&w->range.reserved, (uint16_t)port);
}

static bool has_listener(const struct world *w, unsigned port)
{
	for (size_t i = 0; i < w->n; i++)
		if (w->sockets[i].protocol == IPPROTO_TCP && w->sockets[i].state == PW_LISTEN &&
			w->sockets[i].local_port == port)
			return true;
	return false;
}

static bool is_blocked(const struct world *w, unsigned port)
{
	for (size_t i = 0; i < w->n; i++)
		if (w->sockets[i].protocol == IPPROTO_TCP && w->sockets[i].local_port == port &&
			(w->sockets[i].state == PW_LISTEN || w->sockets[i].state == PW_CLOSE))
			return true;
	return false;
}

static bool is_loopback(const struct pw_socket *s, const uint8_t a[16])
{
	return s->family == AF_INET ? a[0] == 127 : a[15] == 1;
}

static bool is_reusable(const struct world *w, const struct pw_socket *s)
{
	bool loopback = is_loopback(s, s->local) || is_loopback(s, s->remote) || s->ifindex == 1;

	return s->state == PW_TIME_WAIT && w->range.timestamps && 60000 - s->expires_ms > 1000 &&
		(w->range.tw_reuse == PW_TW_REUSE_ON || (w->range.tw_reuse == PW_TW_REUSE_LOOPBACK && loopback));
}

static bool in_tuple(const struct pw_pool_key *key, const struct pw_socket *s)
{
	return s->protocol == IPPROTO_TCP && s->state != PW_LISTEN && s->state != PW_CLOSE &&
		s->family == key->local.family && memcmp(s->local, key->local.bytes, 16) == 0 &&
		memcmp(s->remote, key->remote.bytes, 16) == 0 && s->remote_port == key->port &&
		(s->ifindex == 0 || s->ifindex == key->local.zone);
}

static void reference_connect(const struct world *w, const struct pw_pool_key *key, struct pw_pool_counts *out)
{
	bool edge = false;

	memset(out, 0, sizeof(*out));
	for (unsigned port = w->range.low; port <= w->range.high; port++) {
		bool used = false, hard = false, waits = true, foreign = is_blocked(w, port);

		if (!in_capacity(w, port))
			continue;
		for (size_t i = 0; i < w->n && !has_listener(w, port); i++) {
			if (w->sockets[i].local_port != port || !in_tuple(key, &w->sockets[i]))
				continue;
			used = true;
			hard |= !is_reusable(w, &w->sockets[i]);
			waits &= w->sockets[i].state == PW_TIME_WAIT;
		}
		out->capacity++;
		out->used += used;
		out->time_wait += used && waits;
		out->blocked += foreign && !used;
		out->reusable += used && !hard && !foreign;
		out->free += !hard && !foreign;
		out->fast_free += !hard && !foreign && (port - w->range.low) % 2 == 0;
		edge |= !hard && !foreign && (port == w->range.low || port == w->range.high);
	}
	if (edge && (w->range.high - w->range.low) % 2 == 0 && w->range.high != w->range.low) {
		out->free--;
		out->fast_free--;
	}
	out->utilization = pw_utilization(out->capacity, out->free);
}

static bool is_any(const uint8_t a[16])
{
	static const uint8_t zero[16];

	return memcmp(a, zero, 16) == 0;
}

static bool conflicts(const struct pw_pool_key *key, const struct pw_socket *s)
{
	bool any = is_any(key->local.bytes);

	if (s->protocol != key->protocol || (s->ifindex != 0 && key->local.zone != 0 && s->ifindex != key->local.zone))
		return false;
	if (s->family == key->local.family)
		return any || is_any(s->local) || memcmp(s->local, key->local.bytes, 16) == 0;
	if (s->family == AF_INET)
		return any;
	return (any || is_any(s->local)) && !(s->flags & PW_SOCKET_V6ONLY);
}

static void reference_bind(const struct world *w, const struct pw_pool_key *key, struct pw_pool_counts *out)
{
	memset(out, 0, sizeof(*out));
	for (unsigned port = w->range.low; port <= w->range.high; port++) {
		bool used = false, waits = true;

		if (!in_capacity(w, port))
			continue;
		for (size_t i = 0; i < w->n; i++)
			if (w->sockets[i].local_port == port && conflicts(key, &w->sockets[i])) {
				used = true;
				waits &= w->sockets[i].state == PW_TIME_WAIT;
			}
		out->capacity++;
		out->used += used;
		out->time_wait += used && waits;
		out->free += !used;
		out->fast_free += !used && (key->protocol == IPPROTO_UDP || (port - w->range.low) % 2 == 1);
		out->bound += used && key->protocol == IPPROTO_TCP && is_blocked(w, port) && !has_listener(w, port);
	}
	out->utilization = pw_utilization(out->capacity, out->free);
}

static uint32_t reference_owned(const struct world *w, const struct pw_pool_key *key, uint64_t cgroup, uint32_t uid)
{
	uint32_t n = 0;

	for (size_t i = 0; i < w->n; i++) {
		const struct pw_socket *s = &w->sockets[i];
		bool own = key->kind == PW_KIND_CONNECT ? in_tuple(key, s) && !has_listener(w, s->local_port)
							: conflicts(key, s);

		n += own && in_capacity(w, s->local_port) && (s->flags & PW_SOCKET_HAS_OWNER) != 0 &&
			s->cgroup == cgroup && s->uid == uid;
	}
	return n;
}

/* Connections of a pool in any of these states (bits). */
static uint32_t reference_states(const struct world *w, const struct pw_pool_key *key, unsigned states)
{
	uint32_t n = 0;

	for (size_t i = 0; i < w->n; i++) {
		const struct pw_socket *s = &w->sockets[i];
		bool own = key->kind == PW_KIND_CONNECT ? in_tuple(key, s) && !has_listener(w, s->local_port)
							: conflicts(key, s);

		n += own && in_capacity(w, s->local_port) && s->protocol == IPPROTO_TCP &&
			(s->flags & PW_SOCKET_HALF_OPEN) == 0 && (states >> s->state & 1) != 0;
	}
	return n;
}

static void compare_states(const struct world *w, const struct pw_pool_key *key, const struct pw_pool_states *states)
{
	assert_int_equal(states->syn_sent, reference_states(w, key, 1u << PW_SYN_SENT));
	assert_int_equal(states->established, reference_states(w, key, 1u << PW_ESTABLISHED | 1u << PW_SYN_RECV));
	assert_int_equal(states->close_wait, reference_states(w, key, 1u << PW_CLOSE_WAIT));
	assert_int_equal(states->fin_wait,
		reference_states(
			w, key, 1u << PW_FIN_WAIT1 | 1u << PW_FIN_WAIT2 | 1u << PW_CLOSING | 1u << PW_LAST_ACK));
}

static void compare_owners(const struct world *w, const struct pw_pool_key *key)
{
	uint32_t owned = 0, found = 0;
	struct pw_owners owners;

	pw_source_owners(pw_census_source(w->census), key, &owners);
	compare_states(w, key, &owners.states);
	for (uint32_t pair = 0; pair < 6; pair++)
		owned += reference_owned(w, key, pair % 2, pair / 2);
	assert_int_equal(owners.owned, owned);
	for (size_t i = 0; i < owners.n; i++) {
		const struct pw_owner *owner = &owners.owner[i];

		assert_int_equal(owner->sockets, reference_owned(w, key, owner->cgroup, owner->uid));
		assert_true(i == 0 || owners.owner[i - 1].sockets >= owner->sockets);
		found += owner->sockets;
	}
	assert_int_equal(found, owned);
}

static int compare_pool(const struct pw_pool_key *key, const struct pw_pool_counts *counts, void *context)
{
	const struct world *w = context;
	struct pw_pool_counts expected, again;
	uint32_t sum = counts->used + counts->blocked + counts->free - counts->reusable;
	char name[PW_POOL_NAME_MAX];

	if (key->kind == PW_KIND_CONNECT)
		reference_connect(w, key, &expected);
	else
		reference_bind(w, key, &expected);
	/* of what is in doubt the least is certain */
	assert_true(counts->doubt <= counts->free);
	assert_true(key->kind != PW_KIND_CONNECT ||
		counts->doubt >= (counts->reusable < counts->free ? counts->reusable : counts->free));
	expected.doubt = counts->doubt;
	if (memcmp(&expected, counts, sizeof(expected)) != 0)
		fail_msg(
			"%s: used %u/%u blocked %u/%u free %u/%u reusable %u/%u time_wait %u/%u fast %u/%u bound %u/%u (got/expected)",
			pw_pool_name(key, NULL, NULL, name), counts->used, expected.used, counts->blocked,
			expected.blocked, counts->free, expected.free, counts->reusable, expected.reusable,
			counts->time_wait, expected.time_wait, counts->fast_free, expected.fast_free, counts->bound,
			expected.bound);
	assert_true(sum == counts->capacity || sum + 1 == counts->capacity);
	assert_int_equal(counts->utilization == 100, counts->free == 0);
	pw_source_pool(pw_census_source(w->census), key, &again);
	assert_memory_equal(&again, counts, sizeof(again));
	compare_owners(w, key);
	return 0;
}

static void take_poll(struct world *w)
{
	pw_census_begin(w->census, &w->range);
	/* in two portions, as a dump arrives */
	assert_int_equal(pw_census_add(w->census, w->sockets, w->n / 2), 0);
	assert_int_equal(pw_census_add(w->census, w->sockets + w->n / 2, w->n - w->n / 2), 0);
	pw_census_finish(w->census);
}

static void random_worlds_match_the_reference(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	(void)state;
	random_start();
	for (int round = 0; round < 150; round++) {
		make_world(w);
		w->census = pw_census_new(1);
		take_poll(w);
		assert_int_equal(pw_source_each(pw_census_source(w->census), 1, compare_pool, w), 0);
		pw_census_free(w->census);
	}
	free(w);
}

/* --- what is known about a port from poll to poll ------------------------------------------------------------------------ */

static struct pw_socket connection(uint64_t cookie, uint16_t port, uint8_t state)
{
	struct pw_socket s = {.local = {10, 0, 0, 1},
		.remote = {10, 0, 0, 2},
		.cookie = cookie,
		.family = AF_INET,
		.protocol = IPPROTO_TCP,
		.local_port = port,
		.remote_port = 443,
		.state = state};

	return s;
}

static struct pw_range small_range(void)
{
	struct pw_range range = {.low = 40000,
		.high = 40009,
		.tw_reuse = PW_TW_REUSE_LOOPBACK,
		.tw_reuse_delay_ms = 1000,
		.timestamps = true};

	return range;
}

static void poll_sockets(struct pw_census *census, const struct pw_socket *sockets, size_t n)
{
	struct pw_range range = small_range();

	pw_census_begin(census, &range);
	assert_int_equal(pw_census_add(census, sockets, n), 0);
	pw_census_finish(census);
}

static void an_explicitly_bound_socket_blocks_until_its_time_wait_ends(void **state)
{
	struct pw_census *census = pw_census_new(1);
	struct pw_socket s = connection(7, 40004, PW_ESTABLISHED);

	(void)state;
	poll_sockets(census, &s, 1);
	assert_int_equal(pw_census_totals(census)->blocked, 0);
	assert_true(pw_census_wants_bound(census));
	assert_int_equal(pw_census_add_bound(census, &s, 1), 0);
	pw_census_finish(census);
	assert_int_equal(pw_census_totals(census)->blocked, 1);
	assert_int_equal(pw_census_totals(census)->ambiguous, 0);

	s.state = PW_TIME_WAIT; /* the cookie stays */
	s.expires_ms = 59000;
	poll_sockets(census, &s, 1);
	assert_int_equal(pw_census_totals(census)->blocked, 1);

	s.cookie = 8; /* another socket on the same port: nothing is known about it */
	poll_sockets(census, &s, 1);
	assert_int_equal(pw_census_totals(census)->blocked, 0);
	assert_int_equal(pw_census_totals(census)->ambiguous, 1);
	pw_census_free(census);
}

static void an_accepted_child_blocks_after_its_listener_closed(void **state)
{
	struct pw_census *census = pw_census_new(1);
	struct pw_socket sockets[2] = {
		{.cookie = 1, .family = AF_INET, .protocol = IPPROTO_TCP, .local_port = 40003, .state = PW_LISTEN},
		connection(2, 40003, PW_ESTABLISHED)};

	(void)state;
	poll_sockets(census, sockets, 2);
	poll_sockets(census, sockets + 1, 1);
	poll_sockets(census, sockets + 1, 1);
	assert_int_equal(pw_census_totals(census)->blocked, 1);
	pw_census_free(census);
}

/* What connect() gave out before a listener came, and what that listener cannot have accepted: nothing is blocked when it is gone. */
static void a_connection_is_not_accepted_by_a_listener_of_others(void **state)
{
	struct pw_socket listeners[3] = {
		{.family = AF_INET, .local_port = 40002},                             /* 0.0.0.0 */
		{.family = AF_INET6, .local_port = 40002, .flags = PW_SOCKET_V6ONLY}, /* :: */
		{.family = AF_INET, .local = {10, 0, 0, 1}, .local_port = 40004},     /* the address, another port */
	};
	struct pw_socket connections[2] = {connection(1, 40002, PW_ESTABLISHED), connection(2, 40002, PW_ESTABLISHED)};

	(void)state;
	connections[0].family = AF_INET6;
	for (int i = 0; i < 3; i++) {
		struct pw_census *census = pw_census_new(1);
		struct pw_socket sockets[3] = {listeners[i], connections[i > 0],
			{.family = AF_INET, .local = {10, 0, 0, 9}, .local_port = 40002}};

		for (int k = 0; k < 3; k += 2) {
			sockets[k].state = PW_LISTEN;
			sockets[k].protocol = IPPROTO_TCP;
		}
		poll_sockets(census, sockets, 3);
		assert_true(pw_portset_has(pw_census_blocked(census), 40002));
		poll_sockets(census, sockets + 1, 1);
		assert_int_equal(pw_census_totals(census)->blocked, 0);
		pw_census_free(census);
	}
}

static void an_answer_holds_until_the_sockets_of_its_port_change(void **state)
{
	struct pw_census *census = pw_census_new(1);
	struct pw_socket sockets[2] = {connection(1, 40005, PW_ESTABLISHED), connection(2, 40002, PW_ESTABLISHED)};
	uint16_t doubts[4];

	(void)state;
	pw_census_set_probing(census, true);
	poll_sockets(census, sockets, 2);
	assert_int_equal(pw_census_ambiguous(census, doubts, 4), 2);
	assert_int_equal(doubts[0], 40005); /* the parity that connect() tries last comes first */
	pw_census_set_probed(census, 40005, true);
	pw_census_set_probed(census, 40002, false);
	pw_census_finish(census);
	assert_int_equal(pw_census_totals(census)->blocked, 1);
	assert_int_equal(pw_census_totals(census)->basis, PW_BASIS_PROBED);

	poll_sockets(census, sockets, 2);
	assert_int_equal(pw_census_totals(census)->blocked, 1);
	assert_int_equal(pw_census_ambiguous(census, doubts, 4), 0);

	sockets[0].cookie = 3;
	poll_sockets(census, sockets, 2);
	assert_int_equal(pw_census_totals(census)->blocked, 0);
	assert_int_equal(pw_census_ambiguous(census, doubts, 4), 1);
	assert_int_equal(pw_census_totals(census)->basis, PW_BASIS_INFERRED);
	pw_census_free(census);
}

static void a_socket_with_no_port_set_is_proven_by_a_pass_without_it(void **state)
{
	struct pw_census *census = pw_census_new(1);
	struct pw_socket s = connection(5, 40001, PW_ESTABLISHED);

	(void)state;
	s.flags = PW_SOCKET_NO_PORT;
	poll_sockets(census, &s, 1);
	assert_int_equal(pw_census_totals(census)->ambiguous, 1);
	assert_int_equal(pw_census_add_bound(census, NULL, 0), 0);
	pw_census_finish(census);
	assert_int_equal(pw_census_totals(census)->ambiguous, 0);
	assert_int_equal(pw_census_totals(census)->blocked, 0);
	pw_census_free(census);
}

/* --- what the parity of ports tells ---------------------------------------------------------------------------------- */

#define WIDE_LOW 30000
#define WIDE 6000

/* Connections of 10.0.0.1 on every second port from `first` on, spread over so many destinations. */
static void add_connections(struct pw_census *census, uint16_t first, unsigned n, unsigned destinations, uint8_t state)
{
	for (unsigned i = 0; i < n; i++) {
		struct pw_socket s = connection(first + i * 2u, (uint16_t)(first + i * 2), state);

		s.remote[3] = (uint8_t)(1 + i % destinations);
		s.expires_ms = state == PW_TIME_WAIT ? 30000 : 0;
		assert_int_equal(pw_census_add(census, &s, 1), 0);
	}
}

static void begin_wide(struct pw_census *census)
{
	const struct pw_range range = {.low = WIDE_LOW,
		.high = WIDE_LOW + WIDE - 1,
		.tw_reuse = PW_TW_REUSE_ON,
		.tw_reuse_delay_ms = 1000,
		.timestamps = true};

	pw_census_begin(census, &range);
}

static struct pw_pool_counts pool_of(struct pw_census *census, uint8_t kind, uint8_t destination)
{
	struct pw_socket s = connection(1, 1, PW_ESTABLISHED);
	struct pw_pool_key key = {.ns = 1, .kind = kind, .protocol = IPPROTO_TCP};
	struct pw_pool_counts counts;

	s.remote[3] = destination;
	key.local = pw_address_make(AF_INET, s.local, 0);
	if (kind == PW_KIND_CONNECT) {
		key.remote = pw_address_make(AF_INET, s.remote, 0);
		key.port = 443;
	}
	pw_source_pool(pw_census_source(census), &key, &counts);
	return counts;
}

static void ports_of_binds_parity_are_blocked(void **state)
{
	struct pw_census *census = pw_census_new(1);

	(void)state;
	begin_wide(census);
	add_connections(census, WIDE_LOW + 1, 600, 10, PW_ESTABLISHED);
	pw_census_finish(census);
	assert_int_equal(pw_census_totals(census)->blocked, 600);
	assert_int_equal(pw_census_totals(census)->basis, PW_BASIS_INFERRED);
	assert_int_equal(pool_of(census, PW_KIND_BIND, 0).bound, 600);
	assert_int_equal(pool_of(census, PW_KIND_CONNECT, 1).free, WIDE - 600);
	/* once bind() has used up its parity it takes the other one too: which of these are its own is not known */
	begin_wide(census);
	add_connections(census, WIDE_LOW + 1, WIDE / 2, 10, PW_ESTABLISHED);
	add_connections(census, WIDE_LOW, 2000, 10, PW_ESTABLISHED);
	pw_census_finish(census);
	assert_int_equal(pw_census_totals(census)->blocked, WIDE / 2);
	assert_int_equal(pw_census_totals(census)->suspect, 2000);
	assert_int_equal(pool_of(census, PW_KIND_CONNECT, 1).free, WIDE / 2 - 200);
	assert_int_equal(pool_of(census, PW_KIND_CONNECT, 1).doubt, 2000 - 200);
	/* what was known stays known in TIME_WAIT, which shows nothing of itself */
	begin_wide(census);
	add_connections(census, WIDE_LOW + 1, 100, 10, PW_TIME_WAIT);
	pw_census_finish(census);
	assert_int_equal(pw_census_totals(census)->blocked, 100);
	pw_census_free(census);
}

static void connect_alone_is_never_suspected(void **state)
{
	struct pw_census *census = pw_census_new(1);

	(void)state;
	begin_wide(census);
	add_connections(census, WIDE_LOW, WIDE / 2, 3, PW_ESTABLISHED);
	pw_census_finish(census);
	assert_int_equal(pw_census_totals(census)->suspect, 0);
	/* a destination that has all of connect()'s parity gets the other one */
	begin_wide(census);
	add_connections(census, WIDE_LOW, WIDE / 2, 1, PW_ESTABLISHED);
	add_connections(census, WIDE_LOW + 1, 700, 1, PW_ESTABLISHED);
	pw_census_finish(census);
	assert_int_equal(pw_census_totals(census)->blocked, 0);
	assert_int_equal(pw_census_totals(census)->suspect, 0);
	assert_int_equal(pool_of(census, PW_KIND_CONNECT, 1).doubt, 0);
	/* IP_LOCAL_PORT_RANGE knows no parity: suspected, but not blocked */
	begin_wide(census);
	add_connections(census, WIDE_LOW, 300, 1, PW_ESTABLISHED);
	add_connections(census, WIDE_LOW + 1, 300, 1, PW_ESTABLISHED);
	pw_census_finish(census);
	assert_int_equal(pw_census_totals(census)->blocked, 0);
	assert_int_equal(pw_census_totals(census)->suspect, 300);
	assert_int_equal(pool_of(census, PW_KIND_CONNECT, 1).doubt, 0); /* its own: they are used in any case */
	assert_int_equal(pool_of(census, PW_KIND_CONNECT, 2).doubt, 300);
	/* nor where it gives each destination a part of the range */
	begin_wide(census);
	for (unsigned i = 0; i < WIDE; i++) {
		struct pw_socket s = connection(1 + i, (uint16_t)(WIDE_LOW + i), PW_ESTABLISHED);

		s.remote[3] = (uint8_t)(1 + i / 60);
		assert_int_equal(pw_census_add(census, &s, 1), 0);
	}
	pw_census_finish(census);
	assert_int_equal(pw_census_totals(census)->blocked, 0);
	/* nor where the oldest connections of one that had all of the range are gone */
	begin_wide(census);
	add_connections(census, WIDE_LOW + 2000, 2000, 1, PW_ESTABLISHED);
	add_connections(census, WIDE_LOW + 1, WIDE / 2, 1, PW_ESTABLISHED);
	pw_census_finish(census);
	assert_int_equal(pw_census_totals(census)->blocked, 0);
	/* nor what is left of a destination that had more than half of the range */
	begin_wide(census);
	add_connections(census, WIDE_LOW, 900, 1, PW_ESTABLISHED);
	add_connections(census, WIDE_LOW + 1, 600, 1, PW_ESTABLISHED);
	add_connections(census, WIDE_LOW + 1201, 600, 1, PW_TIME_WAIT);
	pw_census_finish(census);
	assert_int_equal(pw_census_totals(census)->blocked, 0);
	pw_census_free(census);
}

struct asked {
	struct pw_pool_key key;
	unsigned pools;
	size_t ports;
};

static void ask(const struct pw_pool_key *key, const uint16_t *ports, size_t n, void *context)
{
	struct asked *asked = context;

	for (size_t i = 0; i < n; i++)
		assert_in_range(ports[i], WIDE_LOW, WIDE_LOW + WIDE - 1);
	asked->key = *key;
	asked->pools++;
	asked->ports = n;
}

static void time_wait_of_unknown_peers_is_in_doubt(void **state)
{
	struct pw_census *census = pw_census_new(1);
	struct asked asked = {.pools = 0};

	(void)state;
	begin_wide(census);
	add_connections(census, WIDE_LOW, 2000, 1, PW_TIME_WAIT);
	pw_census_finish(census);
	assert_int_equal(pool_of(census, PW_KIND_CONNECT, 1).free, WIDE);
	assert_int_equal(pool_of(census, PW_KIND_CONNECT, 1).doubt, 2000);
	pw_census_each_reusable(census, 10, ask, &asked);
	assert_int_equal(asked.pools, 1);
	assert_int_equal(asked.ports, PW_REUSABLE_PORTS);
	assert_int_equal(pw_census_set_stamped(census, &asked.key, true), 0);
	assert_int_equal(pool_of(census, PW_KIND_CONNECT, 1).free, WIDE);
	assert_int_equal(pool_of(census, PW_KIND_CONNECT, 1).doubt, 0);
	begin_wide(census);
	add_connections(census, WIDE_LOW, 2000, 1, PW_TIME_WAIT);
	pw_census_finish(census);
	assert_int_equal(pw_census_set_stamped(census, &asked.key, false), 0);
	assert_int_equal(pool_of(census, PW_KIND_CONNECT, 1).free, WIDE - 2000);
	assert_int_equal(pool_of(census, PW_KIND_CONNECT, 1).reusable, 0);
	assert_int_equal(pool_of(census, PW_KIND_CONNECT, 1).doubt, 0);
	pw_census_free(census);
}

/* What a backend reads of the bind buckets is final, and TIME_WAIT is reusable where its peer sent timestamps, whatever the setting is now. */
static void ports_that_were_read_are_in_no_doubt(void **state)
{
	struct pw_census *census = pw_census_new(1);
	struct pw_socket sockets[4] = {connection(1, 40000, PW_ESTABLISHED), connection(2, 40002, PW_TIME_WAIT),
		connection(3, 40004, PW_TIME_WAIT), connection(4, 40005, PW_CLOSE)};
	struct pw_range range = small_range();
	struct pw_portset blocked = {{0}};
	struct pw_pool_key key = {.kind = PW_KIND_CONNECT, .protocol = IPPROTO_TCP, .port = 443, .ns = 1};
	struct pw_pool_counts counts;

	(void)state;
	range.tw_reuse = PW_TW_REUSE_ON;
	key.local = pw_address_make(AF_INET, sockets[0].local, 0);
	key.remote = pw_address_make(AF_INET, sockets[0].remote, 0);
	sockets[1].flags = PW_SOCKET_STAMPED;
	sockets[2].flags = PW_SOCKET_UNSTAMPED;
	pw_portset_add(&blocked, 40007);
	pw_portset_add(&blocked, 1);
	for (int poll = 0; poll < 2; poll++) {
		range.timestamps = poll == 0;
		pw_census_begin(census, &range);
		pw_census_set_blocked(census, &blocked);
		assert_int_equal(pw_census_add(census, sockets, 4), 0);
		pw_census_finish(census);
		assert_int_equal(pw_census_totals(census)->basis, PW_BASIS_READ);
		assert_int_equal(pw_census_totals(census)->ambiguous, 0);
		assert_int_equal(pw_census_totals(census)->blocked, 1);
		assert_false(pw_census_wants_bound(census));
		pw_source_pool(pw_census_source(census), &key, &counts);
		assert_int_equal(counts.used, 3);
		assert_int_equal(counts.reusable, 1);
		assert_int_equal(counts.free, 7);
	}
	poll_sockets(census, sockets, 1); /* the next poll may know less */
	assert_int_equal(pw_census_totals(census)->basis, PW_BASIS_INFERRED);
	assert_int_equal(pw_census_totals(census)->blocked, 0);
	pw_census_free(census);
}

static int visit_any(const struct pw_pool_key *key, const struct pw_pool_counts *counts, void *context)
{
	(void)key;
	(void)counts;
	++*(unsigned *)context;
	return 0;
}

static struct pw_pool_counts pool_on(struct pw_census *census, const struct pw_socket *s, uint32_t zone)
{
	struct pw_pool_key key = {.kind = PW_KIND_CONNECT, .protocol = IPPROTO_TCP, .port = 443, .ns = 1};
	struct pw_pool_counts counts;

	key.local = pw_address_make(AF_INET, s->local, zone);
	key.remote = pw_address_make(AF_INET, s->remote, 0);
	pw_source_pool(pw_census_source(census), &key, &counts);
	return counts;
}

/* VRF 7 has device 8 below it; device 9 is in none. */
static void a_vrf_has_ports_of_its_own(void **state)
{
	struct pw_census *census = pw_census_new(1);
	struct pw_socket sockets[6] = {connection(1, 40000, PW_ESTABLISHED), connection(2, 40001, PW_ESTABLISHED),
		connection(3, 40002, PW_ESTABLISHED), connection(4, 40004, PW_ESTABLISHED),
		connection(5, 40005, PW_LISTEN), connection(6, 40006, PW_ESTABLISHED)};
	const uint32_t devices[6] = {0, 7, 8, 7, 7, 9}, vrfs[6] = {0, 7, 7, 7, 7, 0};
	const struct pw_range range = small_range();
	struct pw_portset blocked = {{0}};
	unsigned pools = 0;

	(void)state;
	for (int i = 0; i < 6; i++) {
		sockets[i].ifindex = devices[i];
		sockets[i].vrf = vrfs[i];
		sockets[i].flags = vrfs[i] != 0 ? PW_SOCKET_IN_VRF : 0;
	}
	pw_portset_add(&blocked, 40009);
	for (int poll = 0; poll < 2; poll++) {
		pw_census_begin(census, &range);
		pw_census_set_blocked(census, &blocked);
		assert_int_equal(pw_census_add_blocked(census, 7, 40005), 0);
		assert_int_equal(pw_census_add_blocked(census, 7, 40008), 0);
		assert_int_equal(pw_census_add(census, sockets, 6), 0);
		pw_census_finish(census);
		assert_int_equal(pw_census_totals(census)->tcp, 6);
		assert_int_equal(pw_census_totals(census)->blocked, 1);
		/* of the rest; the VRF's own ones are 2 of 10, and so are those that collide with them */
		assert_int_equal(pool_on(census, &sockets[0], 0).free, 8);
		assert_int_equal(pool_on(census, &sockets[0], 9).free, 7);
		assert_int_equal(pool_on(census, &sockets[0], 7).used, 2);
		assert_int_equal(pool_on(census, &sockets[0], 7).free, 6);
		assert_int_equal(pool_on(census, &sockets[0], 8).used, 3);
		assert_int_equal(pool_on(census, &sockets[0], 8).free, 5);
	}
	assert_int_equal(pw_source_each(pw_census_source(census), 1, visit_any, &pools), 0);
	assert_int_equal(pools, 8);           /* connect and bind, of each device and of none */
	sockets[1].vrf = sockets[3].vrf = 70; /* another one, and its ports */
	pw_census_begin(census, &range);
	pw_census_set_blocked(census, &blocked);
	assert_int_equal(pw_census_add(census, sockets, 2), 0);
	pw_census_finish(census);
	assert_int_equal(pool_on(census, &sockets[0], 7).free, 9);
	pw_census_free(census);
}

static void an_aborted_dump_leaves_nothing_behind(void **state)
{
	struct pw_census *census = pw_census_new(1);
	struct pw_socket s = connection(5, 40001, PW_CLOSE);
	struct pw_range range = small_range();

	(void)state;
	pw_census_begin(census, &range);
	assert_int_equal(pw_census_add(census, &s, 1), 0);
	poll_sockets(census, NULL, 0);
	assert_int_equal(pw_census_totals(census)->sockets, 0);
	assert_int_equal(pw_census_totals(census)->blocked, 0);
	assert_int_equal(pw_census_totals(census)->pools, 0);
	pw_census_free(census);
}

static int count_pools(const struct pw_pool_key *key, const struct pw_pool_counts *counts, void *context)
{
	(void)key;
	assert_true(counts->used >= 64);
	++*(unsigned *)context;
	return 0;
}

/* 100,000 destinations with one port each, and one with 100: only what reaches the floor is visited. */
static void a_crawler_makes_no_pools_above_the_floor(void **state)
{
	struct pw_census *census = pw_census_new(1);
	struct pw_range range = {.low = 32768, .high = 60999};
	unsigned visited = 0;

	(void)state;
	pw_census_begin(census, &range);
	for (uint32_t i = 0; i < 100100; i++) {
		struct pw_socket s = connection(i + 1, (uint16_t)(32768 + i % 28232), PW_ESTABLISHED);

		if (i >= 100)
			memcpy(s.remote, &i, sizeof(i));
		assert_int_equal(pw_census_add(census, &s, 1), 0);
	}
	pw_census_finish(census);
	assert_int_equal(pw_source_each(pw_census_source(census), 64, count_pools, &visited), 0);
	assert_int_equal(visited, 2); /* the destination with 100, and the bind pool of the address */
	pw_census_free(census);
}

/* --- lists of ports ----------------------------------------------------------------------------------------------------- */

/* Pools of destination port 443 draw from a list. */
static const struct pw_portset *list_of(const struct pw_pool_key *key, void *context)
{
	return key->kind == PW_KIND_CONNECT && key->port == 443 ? context : NULL;
}

struct visited {
	struct pw_pool_counts of443, of80;
};

static int note_visit(const struct pw_pool_key *key, const struct pw_pool_counts *counts, void *context)
{
	struct visited *visited = context;

	if (key->kind == PW_KIND_CONNECT)
		*(key->port == 443 ? &visited->of443 : &visited->of80) = *counts;
	return 0;
}

static struct visited visit_with_list(const struct pw_socket *sockets, size_t n, uint16_t low, uint16_t high)
{
	struct pw_census *census = pw_census_new(1);
	struct pw_range range = small_range();
	struct pw_portset list;
	struct visited visited = {0};
	struct pw_pool_key key = {.kind = PW_KIND_CONNECT, .protocol = IPPROTO_TCP, .port = 443};
	struct pw_pool_counts again;

	pw_portset_clear(&list);
	pw_portset_add_range(&list, low, high);
	range.look_low = low;
	range.look_high = high;
	pw_census_source(census)->ports = list_of;
	pw_census_source(census)->ports_context = &list;
	pw_census_begin(census, &range);
	assert_int_equal(pw_census_add(census, sockets, n), 0);
	pw_census_finish(census);
	assert_int_equal(pw_source_each(pw_census_source(census), 1, note_visit, &visited), 0);
	key.local = pw_address_make(AF_INET, sockets[0].local, 0);
	key.remote = pw_address_make(AF_INET, sockets[0].remote, 0);
	pw_source_pool(pw_census_source(census), &key, &again);
	assert_memory_equal(&again, &visited.of443, sizeof(again));
	pw_census_free(census);
	return visited;
}

/* A proxy binds ports of its own list: listeners take them away, sockets of other destinations do not. */
static void a_list_outside_of_the_range_is_counted_for_itself(void **state)
{
	struct pw_socket sockets[] = {connection(1, 50000, PW_ESTABLISHED), connection(2, 50001, PW_TIME_WAIT),
		connection(3, 50002, PW_ESTABLISHED), connection(4, 50003, PW_LISTEN),
		connection(5, 40001, PW_ESTABLISHED), connection(6, 40002, PW_ESTABLISHED)};
	struct visited v;

	(void)state;
	sockets[1].expires_ms = 60000;
	sockets[2].remote_port = 80;
	sockets[3].remote_port = 0;
	memset(sockets[3].remote, 0, 16);
	sockets[5].remote_port = 80;
	v = visit_with_list(sockets, 6, 50000, 50009);
	assert_int_equal(v.of443.capacity, 10);
	assert_int_equal(v.of443.used, 2); /* 40001 is none of the list */
	assert_int_equal(v.of443.time_wait, 1);
	assert_int_equal(v.of443.blocked, 1);
	assert_int_equal(v.of443.free, 7);
	assert_int_equal(v.of443.fast_free, 7);
	assert_int_equal(v.of443.utilization, 30);
	assert_int_equal(v.of80.capacity, 10); /* that of the range */
	assert_int_equal(v.of80.used, 1);      /* 50002 is not in it */
	assert_int_equal(v.of80.free, 9);
}

/* A slice of the range that the kernel gives out: what blocks a port of the range blocks it there. */
static void a_slice_of_the_range_knows_what_is_blocked(void **state)
{
	struct pw_socket sockets[] = {connection(1, 40002, PW_ESTABLISHED), connection(2, 40003, PW_CLOSE),
		connection(3, 40004, PW_ESTABLISHED), connection(4, 40008, PW_ESTABLISHED)};
	struct visited v;

	(void)state;
	memset(sockets[1].remote, 0, 16);
	sockets[1].remote_port = 0;
	v = visit_with_list(sockets, 4, 40002, 40005);
	assert_int_equal(v.of443.capacity, 4);
	assert_int_equal(v.of443.used, 2);
	assert_int_equal(v.of443.blocked, 1);
	assert_int_equal(v.of443.free, 1); /* 40005 */
	assert_int_equal(v.of443.fast_free, 0);
	assert_int_equal(v.of443.utilization, 75);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_worlds_match_the_reference),
		cmocka_unit_test(a_list_outside_of_the_range_is_counted_for_itself),
		cmocka_unit_test(a_slice_of_the_range_knows_what_is_blocked),
		cmocka_unit_test(an_explicitly_bound_socket_blocks_until_its_time_wait_ends),
		cmocka_unit_test(an_accepted_child_blocks_after_its_listener_closed),
		cmocka_unit_test(a_connection_is_not_accepted_by_a_listener_of_others),
		cmocka_unit_test(an_answer_holds_until_the_sockets_of_its_port_change),
		cmocka_unit_test(a_socket_with_no_port_set_is_proven_by_a_pass_without_it),
		cmocka_unit_test(ports_of_binds_parity_are_blocked),
		cmocka_unit_test(connect_alone_is_never_suspected),
		cmocka_unit_test(time_wait_of_unknown_peers_is_in_doubt),
		cmocka_unit_test(ports_that_were_read_are_in_no_doubt),
		cmocka_unit_test(a_vrf_has_ports_of_its_own),
		cmocka_unit_test(an_aborted_dump_leaves_nothing_behind),
		cmocka_unit_test(a_crawler_makes_no_pools_above_the_floor),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

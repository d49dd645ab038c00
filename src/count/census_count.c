/* SPDX-License-Identifier: BSD-2-Clause */
/* census_count.c: adds up the ports of one pool, or who holds them */
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "count/census_internal.h"

#define SMALL_POOL 256 /* ports */

/* --- connect pools --- */

/* Ports of a connect pool. */
struct connect_tally {
	uint32_t used, not_time_wait;
	uint32_t blocked;    /* of the used ones */
	uint32_t taken;      /* that connect() could have but for this pool */
	uint32_t taken_fast; /* of these, with low's parity */
	uint32_t taken_suspect;
};

/* Each port counts once, whatever is on it. What sits on a listener's port is inbound, and no part of a connect pool.
 * No branches but the one that is nearly always the same: they would be taken at random. */
static void connect_tuple(struct pw_census *c, uint32_t tuple, struct connect_tally *tally)
{
	struct connect_tally sum = *tally;
	uint8_t refused = pw_cookies_have(&c->unstamped, (uint64_t)tuple + 1) ? PORT_HARD : 0;
	uint8_t *ports = c->ports;
	uint16_t low = c->view.low;

	for (struct pw_list_part part = tuple_entries(c, tuple); part.n != 0; part = pw_list_next(&c->entries, part))
		for (unsigned i = 0; i < part.n; i++) {
			uint16_t port = (uint16_t)part.values[i];
			uint8_t old = ports[port];
			uint8_t news = (entry_bits(part.values[i]) | PORT_USED | refused) & ~old;
			bool used = (news & PORT_USED) != 0, blocked = (old & PORT_BLOCKED) != 0;
			bool taken = (news & PORT_HARD) != 0 && !blocked;

			if (news == 0 || (old & (PORT_OUTSIDE | PORT_LISTENING)) != 0)
				continue;
			ports[port] = old | news;
			sum.used += used;
			sum.not_time_wait += (news & PORT_NOT_TIME_WAIT) != 0;
			sum.blocked += used & blocked;
			sum.taken += taken;
			sum.taken_fast += taken & ~(port ^ low) & 1;
			sum.taken_suspect += taken & ((old & PORT_SUSPECT) != 0);
		}
	*tally = sum;
}

/* Eight ports at a time: this is done once for each pool of some size. */
static void clear_ports(struct pw_census *c)
{
	const uint64_t keep = ~(UINT64_C(0x0101010101010101) * PORT_OF_POOL);
	uint64_t word;

	for (unsigned port = c->view.low & ~7u; port <= c->view.high; port += sizeof(word)) {
		memcpy(&word, c->ports + port, sizeof(word));
		word &= keep;
		memcpy(c->ports + port, &word, sizeof(word));
	}
}

/* After a small pool: most are, and clearing the whole range would cost more than their counting. */
static void clear_tuple(struct pw_census *c, uint32_t tuple)
{
	for (struct pw_list_part part = tuple_entries(c, tuple); part.n != 0; part = pw_list_next(&c->entries, part))
		for (unsigned i = 0; i < part.n; i++)
			c->ports[(uint16_t)part.values[i]] &= (uint8_t)~PORT_OF_POOL;
}

static bool port_is_free(const struct pw_census *c, uint16_t port)
{
	return (c->ports[port] & (PORT_OUTSIDE | PORT_BLOCKED | PORT_HARD)) == 0;
}

/* A range of odd width above 1 loses its low or high end in every search (__inet_hash_connect(): `remaining &= ~1U`);
 * both have the parity that is tried first. Counted when such a port is free: then it may be the one that is missed. */
static void lose_odd_end(const struct pw_census *c, struct pw_pool_counts *out)
{
	if (!c->view.odd || !(port_is_free(c, c->view.low) || port_is_free(c, c->view.high)))
		return;
	out->free--;
	out->fast_free--;
}

void pw_census_count_connect(struct pw_census *c, uint32_t tuple, uint32_t plain, struct pw_pool_counts *out)
{
	struct connect_tally tally = {0};

	connect_tuple(c, tuple, &tally);
	connect_tuple(c, plain, &tally);
	*out = (struct pw_pool_counts){.capacity = c->view.capacity,
		.used = tally.used,
		.time_wait = tally.used - tally.not_time_wait,
		.reusable = tally.used - tally.blocked - tally.taken,
		.blocked = c->view.blocked - tally.blocked,
		.free = c->view.free - tally.taken,
		.fast_free = c->view.free_fast - tally.taken_fast};
	if (!c->view.automatic)
		out->fast_free = out->free;
	if (!c->read && !pw_cookies_have(&c->stamped, (uint64_t)tuple + 1))
		out->doubt = out->reusable;
	out->doubt += c->view.suspect - tally.taken_suspect;
	lose_odd_end(c, out);
	out->doubt = out->doubt < out->free ? out->doubt : out->free;
	if (tally.used > SMALL_POOL) {
		clear_ports(c);
	} else {
		clear_tuple(c, tuple);
		clear_tuple(c, plain);
	}
	out->utilization = pw_utilization(out->capacity, out->free);
}

/* --- bind pools --- */

/* Who conflicts with bind(address, 0): inet_rcv_saddr_equal() and ipv6_rcv_saddr_equal(). Devices: one side without,
 * or the same. *unless says which entries do not, a mask of their flags. */
static bool bind_conflict(const struct local *pool, const struct local *other, uint32_t *unless)
{
	*unless = 0;
	if (pool->protocol != other->protocol || (pool->zone != 0 && other->zone != 0 && pool->zone != other->zone))
		return false;
	if (pool->family == other->family)
		return pool->any || other->any || memcmp(pool->address, other->address, sizeof(pool->address)) == 0;
	if (pool->family == AF_INET6) /* only the dual-stack wildcard reaches over to IPv4 */
		return pool->any;
	*unless = ENTRY_V6ONLY;
	return other->any || pool->any;
}

struct bind_tally {
	struct pw_census *census;
	const struct local *pool;
	bool owners;    /* are counted, not the ports */
	uint8_t wanted; /* ... of ports with one of these flags; 0: of all */
	uint32_t used, not_time_wait, bound;
	uint32_t used_first; /* used ports of the parity that bind() tries first */
};

/* As connect_tuple(). A half-open socket owns no bind bucket. */
static void bind_entries(struct bind_tally *tally, struct pw_list_part part, uint32_t unless)
{
	const struct pw_lists *entries = &tally->census->entries;
	uint8_t *ports = tally->census->ports;
	uint16_t low = tally->census->view.low;
	struct bind_tally sum = *tally;

	for (; part.n != 0; part = pw_list_next(entries, part))
		for (unsigned i = 0; i < part.n; i++) {
			uint32_t entry = part.values[i];
			uint16_t port = (uint16_t)entry;
			uint8_t old = ports[port];
			uint8_t news = ((entry_bits(entry) & PORT_NOT_TIME_WAIT) | PORT_USED) & ~old;
			bool used = (news & PORT_USED) != 0;

			if (news == 0 || (old & PORT_OUTSIDE) != 0 || (entry & unless) != 0 ||
				entry_kind(entry) == ENTRY_HALF_OPEN)
				continue;
			ports[port] = old | news;
			sum.used += used;
			sum.not_time_wait += (news & PORT_NOT_TIME_WAIT) != 0;
			sum.bound += used & ((old & (PORT_BLOCKED | PORT_LISTENING)) == PORT_BLOCKED);
			sum.used_first += used & (port ^ low) & 1;
		}
	*tally = sum;
}

static void count_owner(struct pw_census *c, uint32_t entry)
{
	if ((c->ports[(uint16_t)entry] & PORT_OUTSIDE) != 0)
		return;
	pw_owner_table_count(&c->owners, entry >> ENTRY_OWNER_SHIFT);
	c->kinds[entry_kind(entry)]++;
}

static void walk_entries(struct bind_tally *tally, struct pw_list_part part, uint32_t unless)
{
	struct pw_census *c = tally->census;

	if (!tally->owners) {
		bind_entries(tally, part, unless);
		return;
	}
	for (; part.n != 0; part = pw_list_next(&c->entries, part))
		for (unsigned i = 0; i < part.n; i++)
			if ((part.values[i] & unless) == 0 &&
				(tally->wanted == 0 || (c->ports[(uint16_t)part.values[i]] & tally->wanted) != 0))
				count_owner(c, part.values[i]);
}

static void walk_local(struct bind_tally *tally, uint32_t id)
{
	const struct pw_census *c = tally->census;
	const struct local *other = &c->locals[id];
	uint32_t unless;

	if (!bind_conflict(tally->pool, other, &unless))
		return;
	walk_entries(tally, pw_list_first(&c->entries, &other->entries, other->n_entries), unless);
	for (uint32_t t = other->first_tuple; t != NONE; t = c->next_tuple[t])
		walk_entries(tally, tuple_entries(c, t), unless);
}

/* Every entry that may conflict: a wildcard pool has to see all local addresses, another one only its own, the
 * wildcards, and its like bound to devices. */
static void walk_conflicts(struct bind_tally *tally)
{
	const struct pw_census *c = tally->census;
	uint32_t plain;

	if (tally->pool->any) {
		for (uint32_t i = 0; i < c->n_locals; i++)
			walk_local(tally, i);
		return;
	}
	for (uint32_t i = 0; i < c->n_special; i++)
		walk_local(tally, c->special[i]);
	plain = find_like(c, tally->pool, 0);
	if (plain != NONE)
		walk_local(tally, plain);
}

/* bind() of TCP tries the other parity than low's first (inet_csk_find_open_port()); UDP knows no parity. */
void pw_census_count_bind(struct pw_census *c, const struct local *pool, struct pw_pool_counts *out)
{
	struct bind_tally tally = {.census = c, .pool = pool};

	walk_conflicts(&tally);
	clear_ports(c);
	*out = (struct pw_pool_counts){.capacity = c->view.capacity,
		.used = tally.used,
		.time_wait = tally.used - tally.not_time_wait,
		.free = c->view.capacity - tally.used,
		.fast_free = c->view.capacity - tally.used};
	if (pool->protocol == IPPROTO_TCP) {
		out->bound = tally.bound;
		out->fast_free = c->view.automatic ? c->view.other - tally.used_first : out->free;
	}
	out->utilization = pw_utilization(out->capacity, out->free);
}

/* --- owners --- */

void pw_census_own_connect(struct pw_census *c, uint32_t tuple)
{
	for (struct pw_list_part part = tuple_entries(c, tuple); part.n != 0; part = pw_list_next(&c->entries, part))
		for (unsigned i = 0; i < part.n; i++)
			if ((c->ports[(uint16_t)part.values[i]] & PORT_LISTENING) == 0)
				count_owner(c, part.values[i]);
}

void pw_census_own_bind(struct pw_census *c, const struct local *pool, uint8_t wanted)
{
	struct bind_tally tally = {.census = c, .pool = pool, .owners = true, .wanted = wanted};

	walk_conflicts(&tally);
}

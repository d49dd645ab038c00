/* SPDX-License-Identifier: BSD-2-Clause */
/* census_pools.c: adds the sockets up into pools */
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

/* The counts of a connect pool from its tuple and, for a pool of a device, the tuple without device, either of which
 * may be NONE: a socket bound to a device collides with both (inet_match()), one without only with its like. */
static void count_connect(struct pw_census *c, uint32_t tuple, uint32_t plain, struct pw_pool_counts *out)
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

/* --- TIME_WAIT of unknown peers --- */

/* The answer decides something where so many ports would be reusable. */
#define REUSABLE_MIN 16
#define REUSABLE_SHARE 4 /* of the capacity: one part in this many; asking costs a pool some of its TIME_WAIT sockets */

/* Ports of a pool of which nothing is known but that they are in TIME_WAIT. */
static size_t reusable_ports(const struct pw_census *c, uint32_t tuple, uint16_t ports[PW_REUSABLE_PORTS])
{
	size_t found = 0;

	for (struct pw_list_part part = tuple_entries(c, tuple); part.n != 0; part = pw_list_next(&c->entries, part))
		for (unsigned i = 0; i < part.n; i++) {
			uint32_t entry = part.values[i];
			uint8_t notes = c->ports[(uint16_t)entry];

			if (entry_kind(entry) != ENTRY_TIME_WAIT_REUSABLE ||
				(notes & (PORT_OUTSIDE | PORT_LISTENING | PORT_BLOCKED | PORT_SUSPECT)) != 0)
				continue;
			if (found < PW_REUSABLE_PORTS)
				ports[found] = (uint16_t)entry;
			found++;
		}
	return found;
}

static struct pw_pool_key tuple_key(const struct pw_census *c, const struct tuple *t);

void pw_census_each_reusable(struct pw_census *c, size_t pools, pw_reusable_visit *visit, void *context)
{
	uint32_t least = c->totals.capacity / REUSABLE_SHARE;
	uint16_t ports[PW_REUSABLE_PORTS];
	size_t n;

	if (c->read || c->range.tw_reuse == PW_TW_REUSE_OFF)
		return;
	if (least < REUSABLE_MIN)
		least = REUSABLE_MIN;
	for (uint32_t i = 0; i < c->n_tuples && pools > 0; i++) {
		struct pw_pool_key key;

		if (c->tuples[i].count < least || (n = reusable_ports(c, i, ports)) < least)
			continue;
		key = tuple_key(c, &c->tuples[i]);
		visit(&key, ports, n < PW_REUSABLE_PORTS ? n : PW_REUSABLE_PORTS, context);
		pools--;
	}
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

/* The local of an address, of this device or (0) none; NONE when it has no sockets. */
static uint32_t find_local(const struct pw_census *c, const struct local *l, uint32_t zone)
{
	return lookup_local(
		c, l->address, zone, l->family, l->protocol, local_hash(c, l->address, zone, l->family, l->protocol));
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
	plain = find_local(c, tally->pool, 0);
	if (plain != NONE)
		walk_local(tally, plain);
}

/* bind() of TCP tries the other parity than low's first (inet_csk_find_open_port()); UDP knows no parity. */
static void count_bind(struct pw_census *c, const struct local *pool, struct pw_pool_counts *out)
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

/* --- walking the pools --- */

static struct pw_address local_address(const struct local *l)
{
	struct pw_address a = {.family = l->family, .zone = l->zone};

	memcpy(a.bytes, l->address, sizeof(a.bytes));
	return a;
}

/* The tuple of the same ends without device, in a VRF that of the VRF itself: NONE when there is none or this is it. */
static uint32_t plain_tuple(
	const struct pw_census *c, const struct local *local, const uint8_t remote[16], uint16_t port)
{
	uint32_t plain = local->zone != c->vrf ? find_local(c, local, c->vrf) : NONE;

	return plain == NONE ? NONE : lookup_tuple(c, plain, remote, port, tuple_hash(c, plain, remote, port));
}

/* Whether the sockets of a pool have chosen their ports of a list themselves: these are ports that connect() would
 * not give out. Without any, whether connect() could not give out one of the list. */
static bool chooses_itself(const struct pw_census *c, const struct pw_portset *list, uint32_t tuple, uint32_t plain)
{
	const uint32_t both[] = {tuple, plain};
	uint32_t chosen = 0, all = 0;
	struct pw_portset common = *list;

	for (size_t t = 0; t < 2; t++)
		for (struct pw_list_part part = tuple_entries(c, both[t]); part.n != 0;
			part = pw_list_next(&c->entries, part))
			for (unsigned i = 0; i < part.n; i++) {
				uint16_t port = (uint16_t)part.values[i];
				bool mine = pw_portset_has(list, port);

				all += mine;
				chosen += mine &&
					(!pw_portset_has(&c->capacity, port) || pw_portset_has(&c->blocked, port));
			}
	if (all != 0)
		return chosen * 2 >= all;
	pw_portset_intersect(&common, &c->capacity);
	return pw_portset_count(&common) == 0;
}

/* Has the census stand for the ports that a connect pool draws from. */
static void use_connect(struct pw_census *c, const struct pw_portset *list, uint32_t tuple, uint32_t plain)
{
	pw_census_use(c, list, list == NULL || !chooses_itself(c, list, tuple, plain));
}

/* A walk over all pools; those that draw from a list come in a second one, since the change from one set to another
 * costs as much as counting a pool of 10,000 ports. */
struct walk {
	uint32_t floor;
	bool lists;
	pw_pool_visit *visit;
	void *context;
};

static struct pw_pool_key tuple_key(const struct pw_census *c, const struct tuple *t)
{
	const struct local *local = &c->locals[t->local];
	struct pw_pool_key key = {.ns = c->ns, .kind = PW_KIND_CONNECT, .protocol = IPPROTO_TCP, .port = t->port};

	tuple_remote(c, t, key.remote.bytes);
	key.local = local_address(local);
	key.remote.family = local->family;
	return key;
}

static int visit_tuple(struct pw_census *c, uint32_t id, const struct walk *walk)
{
	const struct tuple *t = &c->tuples[id];
	const struct local *local = &c->locals[t->local];
	const struct pw_portset *list = NULL;
	struct pw_pool_counts counts;
	struct pw_pool_key key;
	uint32_t plain;

	if (local->zone == 0 && t->count < walk->floor)
		return 0;
	key = tuple_key(c, t);
	plain = plain_tuple(c, local, key.remote.bytes, t->port);
	if (t->count + (plain != NONE ? c->tuples[plain].count : 0u) < walk->floor)
		return 0;
	if (c->source.ports != NULL) {
		list = pw_source_ports(&c->source, &key);
		if ((list != NULL) != walk->lists)
			return 0;
		use_connect(c, list, id, plain);
	}
	count_connect(c, id, plain, &counts);
	return counts.used >= walk->floor ? walk->visit(&key, &counts, walk->context) : 0;
}

static int visit_bind(struct pw_census *c, const struct local *pool, const struct walk *walk)
{
	struct pw_pool_key key = {.ns = c->ns, .kind = PW_KIND_BIND, .protocol = pool->protocol};
	const struct pw_portset *list = NULL;
	struct pw_pool_counts counts;

	key.local = local_address(pool);
	if (c->source.ports != NULL) {
		list = pw_source_ports(&c->source, &key);
		if ((list != NULL) != walk->lists)
			return 0;
		pw_census_use(c, list, list == NULL);
	}
	count_bind(c, pool, &counts);
	return counts.used >= walk->floor ? walk->visit(&key, &counts, walk->context) : 0;
}

static int walk_pools(struct pw_census *c, const struct walk *walk)
{
	static const uint8_t families[] = {AF_INET, AF_INET6};
	uint32_t shared = 0; /* sockets that may conflict with any specific address */
	int status = 0;

	for (uint32_t i = 0; i < c->n_special; i++)
		shared += c->locals[c->special[i]].count;
	for (uint32_t i = 0; i < c->n_tuples && status == 0; i++)
		status = visit_tuple(c, i, walk);
	for (uint32_t i = 0; i < c->n_locals && status == 0; i++)
		if (c->locals[i].any || c->locals[i].count + shared >= walk->floor)
			status = visit_bind(c, &c->locals[i], walk);
	/* connect() and sendto() of an unbound UDP socket draw from the wildcard: these pools need no socket on them */
	for (size_t i = 0; c->totals.udp != 0 && i < sizeof(families) && status == 0; i++) {
		struct local pool = {.family = families[i], .protocol = IPPROTO_UDP, .any = 1};

		if (find_local(c, &pool, 0) == NONE)
			status = visit_bind(c, &pool, walk);
	}
	return status;
}

int pw_census_each(struct pw_census *c, uint32_t floor, pw_pool_visit *visit, void *context)
{
	struct walk walk = {floor, false, visit, context};
	int status;

	pw_census_use(c, NULL, true);
	status = walk_pools(c, &walk);
	walk.lists = true;
	if (status == 0 && c->source.ports != NULL)
		status = walk_pools(c, &walk);
	return status == 0 && c->vrf == 0 ? pw_census_each_in_vrfs(c, floor, visit, context) : status;
}

static struct local key_local(const struct pw_pool_key *key)
{
	struct local local = {.zone = key->local.zone,
		.family = (uint8_t)key->local.family,
		.protocol = key->protocol,
		.any = pw_address_is_any(&key->local)};

	memcpy(local.address, key->local.bytes, sizeof(local.address));
	return local;
}

/* The tuple of a connect pool, or NONE. */
static uint32_t key_tuple(const struct pw_census *c, const struct local *local, const struct pw_pool_key *key)
{
	uint32_t id = find_local(c, local, local->zone);

	return id == NONE
		? NONE
		: lookup_tuple(c, id, key->remote.bytes, key->port, tuple_hash(c, id, key->remote.bytes, key->port));
}

/* Has the census stand for the ports of a pool. Returns whether it is one of connect(), with its tuples. */
static bool use_pool(
	struct pw_census *c, const struct pw_pool_key *key, const struct local *local, uint32_t *tuple, uint32_t *plain)
{
	const struct pw_portset *list = pw_source_ports(&c->source, key);

	if (key->kind != PW_KIND_CONNECT) {
		pw_census_use(c, list, list == NULL);
		return false;
	}
	*tuple = key_tuple(c, local, key);
	*plain = plain_tuple(c, local, key->remote.bytes, key->port);
	use_connect(c, list, *tuple, *plain);
	return true;
}

int pw_census_set_stamped(struct pw_census *c, const struct pw_pool_key *key, bool stamped)
{
	struct local local = key_local(key);
	uint32_t tuple = key_tuple(c, &local, key);

	if (tuple == NONE)
		return 0;
	return pw_cookies_add(stamped ? &c->stamped : &c->unstamped, (uint64_t)tuple + 1);
}

void pw_census_pool(struct pw_census *c, const struct pw_pool_key *key, struct pw_pool_counts *out)
{
	struct local local = key_local(key);
	uint32_t tuple, plain;

	if (key->protocol == IPPROTO_TCP)
		c = pw_census_of_device(c, local.zone);
	if (use_pool(c, key, &local, &tuple, &plain))
		count_connect(c, tuple, plain, out);
	else
		count_bind(c, &local, out);
}

static void connect_owners(struct pw_census *c, uint32_t tuple)
{
	for (struct pw_list_part part = tuple_entries(c, tuple); part.n != 0; part = pw_list_next(&c->entries, part))
		for (unsigned i = 0; i < part.n; i++)
			if ((c->ports[(uint16_t)part.values[i]] & PORT_LISTENING) == 0)
				count_owner(c, part.values[i]);
}

void pw_census_owners(struct pw_census *c, const struct pw_pool_key *key, struct pw_owners *out)
{
	struct local local = key_local(key);
	struct bind_tally tally = {.pool = &local, .owners = true};
	uint32_t tuple, plain;

	if (key->protocol == IPPROTO_TCP)
		c = pw_census_of_device(c, local.zone);
	tally.census = c;
	pw_owner_table_start(&c->owners);
	memset(c->kinds, 0, sizeof(c->kinds));
	if (use_pool(c, key, &local, &tuple, &plain) && pw_pool_is_new_destination(key)) {
		local = (struct local){.family = AF_INET6, .protocol = key->protocol, .any = true};
		tally.wanted = PORT_BLOCKED | PORT_LISTENING;
		walk_conflicts(&tally);
	} else if (key->kind == PW_KIND_CONNECT) {
		connect_owners(c, tuple);
		connect_owners(c, plain);
	} else {
		walk_conflicts(&tally);
	}
	pw_owner_table_result(&c->owners, out);
	out->states = (struct pw_pool_states){.syn_sent = c->kinds[ENTRY_SYN_SENT],
		.established = c->kinds[ENTRY_ESTABLISHED],
		.close_wait = c->kinds[ENTRY_CLOSE_WAIT],
		.fin_wait = c->kinds[ENTRY_FIN_WAIT]};
}

/* --- as a source --- */

static struct pw_census *census_of(struct pw_source *source)
{
	return (struct pw_census *)source; /* its first member */
}

static int source_each(struct pw_source *source, uint32_t floor, pw_pool_visit *visit, void *context)
{
	return pw_census_each(census_of(source), floor, visit, context);
}

static void source_pool(struct pw_source *source, const struct pw_pool_key *key, struct pw_pool_counts *out)
{
	pw_census_pool(census_of(source), key, out);
}

static void source_owners(struct pw_source *source, const struct pw_pool_key *key, struct pw_owners *out)
{
	pw_census_owners(census_of(source), key, out);
}

const struct pw_source_ops pw_census_ops = {.each = source_each, .pool = source_pool, .owners = source_owners};

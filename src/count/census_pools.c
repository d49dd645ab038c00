/* SPDX-License-Identifier: BSD-2-Clause */
/* census_pools.c: which pools there are, as the census and its VRFs have them */
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "count/census_internal.h"

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
	uint32_t plain = local->zone != c->vrf ? find_like(c, local, c->vrf) : NONE;

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
	pw_census_count_connect(c, id, plain, &counts);
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
	pw_census_count_bind(c, pool, &counts);
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

		if (find_like(c, &pool, 0) == NONE)
			status = visit_bind(c, &pool, walk);
	}
	return status;
}

static int each(struct pw_source *source, uint32_t floor, pw_pool_visit *visit, void *context)
{
	struct pw_census *c = (struct pw_census *)source; /* its first member */
	struct walk walk = {floor, false, visit, context};
	int status;

	pw_census_use(c, NULL, true);
	status = walk_pools(c, &walk);
	walk.lists = true;
	if (status == 0 && source->ports != NULL)
		status = walk_pools(c, &walk);
	for (struct pw_census *vrf = c->vrf == 0 ? c->next : NULL; vrf != NULL && status == 0; vrf = vrf->next) {
		vrf->source.ports = source->ports;
		vrf->source.ports_context = source->ports_context;
		status = each(&vrf->source, floor, visit, context);
	}
	return status;
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
	uint32_t id = find_like(c, local, local->zone);

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

static void pool(struct pw_source *source, const struct pw_pool_key *key, struct pw_pool_counts *out)
{
	struct pw_census *c = (struct pw_census *)source;
	struct local local = key_local(key);
	uint32_t tuple, plain;

	if (key->protocol == IPPROTO_TCP)
		c = pw_census_of_device(c, local.zone);
	if (use_pool(c, key, &local, &tuple, &plain))
		pw_census_count_connect(c, tuple, plain, out);
	else
		pw_census_count_bind(c, &local, out);
}

static void owners(struct pw_source *source, const struct pw_pool_key *key, struct pw_owners *out)
{
	struct pw_census *c = (struct pw_census *)source;
	struct local local = key_local(key);
	uint32_t tuple, plain;

	if (key->protocol == IPPROTO_TCP)
		c = pw_census_of_device(c, local.zone);
	pw_owner_table_start(&c->owners);
	memset(c->kinds, 0, sizeof(c->kinds));
	if (use_pool(c, key, &local, &tuple, &plain) && pw_pool_is_new_destination(key)) {
		/* those of whatever is denied to it */
		local = (struct local){.family = AF_INET6, .protocol = key->protocol, .any = true};
		pw_census_own_bind(c, &local, PORT_BLOCKED | PORT_LISTENING);
	} else if (key->kind == PW_KIND_CONNECT) {
		pw_census_own_connect(c, tuple);
		pw_census_own_connect(c, plain);
	} else {
		pw_census_own_bind(c, &local, 0);
	}
	pw_owner_table_result(&c->owners, out);
	out->states = (struct pw_pool_states){.syn_sent = c->kinds[ENTRY_SYN_SENT],
		.established = c->kinds[ENTRY_ESTABLISHED],
		.close_wait = c->kinds[ENTRY_CLOSE_WAIT],
		.fin_wait = c->kinds[ENTRY_FIN_WAIT]};
}

const struct pw_source_ops pw_census_ops = {.each = each, .pool = pool, .owners = owners};

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

int pw_census_set_stamped(struct pw_census *c, const struct pw_pool_key *key, bool stamped)
{
	struct local local = key_local(key);
	uint32_t tuple = key_tuple(c, &local, key);

	if (tuple == NONE)
		return 0;
	return pw_cookies_add(stamped ? &c->stamped : &c->unstamped, (uint64_t)tuple + 1);
}

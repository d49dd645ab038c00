/* SPDX-License-Identifier: BSD-2-Clause */
#include "count/snat.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/array.h"
#include "count/index.h"

/* How the entries are kept: an address that is watched has pools, a pool has a list of 8-byte records, one an entry.
 * Lists are indexes into an array that only grows during a dump. */

#define NONE PW_INDEX_END
#define PORTS 65536

struct record {
	uint32_t next : 29;
	uint32_t state : 3; /* of PW_CONNTRACK_STATE */
	uint16_t port;
	uint16_t client; /* its number */
};

/* The end of a list of records. */
#define END ((UINT32_C(1) << 29) - 1)

/* Clients that are told apart; those beyond share the last number. */
#define CLIENTS_MAX 32767

/* An address whose ports are counted. */
struct local {
	struct pw_address address;
	uint16_t low, high;
	/* the dump that last saw it translated; those of a single address in the configuration are seen always */
	uint32_t seen;
};

struct pool {
	uint8_t remote[16];
	uint32_t local;
	uint32_t records, count;
	uint16_t port;
	uint8_t protocol;
	bool privileged; /* some of its ports are below 1024 */
};

/* A rule without ports keeps a client's port in its class, and so a client with a privileged port (NFS, rsh) has few
 * (nf_nat_l4proto_unique_tuple()). The first is what all others draw from. */
static const struct class
{
	uint16_t low, high;
} classes[] = {{PW_SNAT_LOW, PW_SNAT_HIGH}, {600, 1023}, {1, 511}};

enum scratch { SCRATCH_USED = 1, SCRATCH_NOT_TIME_WAIT = 2 };

struct pw_snat {
	struct pw_source source;
	uint32_t ns;
	const struct pw_snat_range *ranges;
	size_t n_ranges;
	uint32_t dump; /* number of this one */
	bool left_out; /* entries of addresses that may yet be seen translated */
	bool again;

	struct local *locals;
	struct pool *pools;
	struct record *records;
	struct pw_address *clients; /* by number, from 0 on */
	uint32_t n_locals, n_pools, n_records, n_clients;
	size_t size_locals, size_pools, size_records, size_clients;
	struct pw_index local_index, pool_index, client_index;
	uint64_t seed[3];
	uint8_t scratch[PORTS]; /* by port: enum scratch; all zero between two pools */
};

/* --- life --- */

static const struct pw_source_ops source_ops;

struct pw_snat *pw_snat_new(uint32_t ns)
{
	struct pw_snat *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	s->source.ops = &source_ops;
	s->ns = ns;
	pw_seed_fill(s->seed);
	return s;
}

void pw_snat_free(struct pw_snat *s)
{
	if (s == NULL)
		return;
	free(s->locals);
	free(s->pools);
	free(s->records);
	free(s->clients);
	free(s->client_index.slot);
	free(s->local_index.slot);
	free(s->pool_index.slot);
	free(s);
}

/* --- addresses --- */

static uint64_t local_hash(const struct pw_snat *s, const struct pw_address *address)
{
	return pw_hash_address(s->seed, address->bytes, address->family);
}

static uint32_t find_local(const struct pw_snat *s, const struct pw_address *address)
{
	const uint64_t hash = local_hash(s, address);
	uint32_t at = pw_index_start(&s->local_index, hash), found;

	do
		found = pw_index_next(&s->local_index, hash, &at);
	while (found != NONE && !pw_address_equal(&s->locals[found].address, address));
	return found;
}

static int index_locals(struct pw_snat *s, uint32_t slots)
{
	if (pw_index_reset(&s->local_index, slots) < 0)
		return -1;
	for (uint32_t i = 0; i < s->n_locals; i++)
		pw_index_put(&s->local_index, local_hash(s, &s->locals[i].address), i);
	return 0;
}

static const struct pw_snat_range *find_range(const struct pw_snat *s, const struct pw_address *address)
{
	for (size_t i = 0; i < s->n_ranges; i++)
		if (pw_cidr_contains(&s->ranges[i].addresses, address))
			return &s->ranges[i];
	return NULL;
}

/* The watched address of an entry. Returns 1 with *out; 0 when its address is not watched; -1 when out of memory. */
static int place(struct pw_snat *s, const struct pw_address *address, bool translated, uint32_t *out)
{
	struct pw_index *index = &s->local_index;
	const struct pw_snat_range *range;

	*out = find_local(s, address);
	if (*out != NONE) {
		s->locals[*out].seen = translated ? s->dump : s->locals[*out].seen;
		return 1;
	}
	range = find_range(s, address);
	if (range == NULL)
		return 0;
	if (!translated && !pw_cidr_is_host(&range->addresses)) {
		s->left_out = true;
		return 0;
	}
	s->again = s->again || (s->left_out && translated);
	if (!PW_ARRAY_ROOM(s->locals, s->size_locals, (size_t)s->n_locals + 1) ||
		(pw_index_full(index, s->n_locals) &&
			index_locals(s, index->slot == NULL ? 64 : (index->mask + 1) * 2) < 0))
		return -1;
	*out = s->n_locals++;
	s->locals[*out] = (struct local){.address = *address, .low = range->low, .high = range->high, .seen = s->dump};
	pw_index_put(index, local_hash(s, address), *out);
	return 1;
}

/* --- adding entries --- */

static uint64_t pool_hash(
	const struct pw_snat *s, uint32_t local, const uint8_t remote[16], uint16_t port, uint8_t protocol)
{
	return pw_hash_address(s->seed, remote, (uint64_t)local << 24 | (uint64_t)port << 8 | protocol);
}

static uint32_t find_pool(
	const struct pw_snat *s, uint32_t local, const uint8_t remote[16], uint16_t port, uint8_t protocol)
{
	const uint64_t hash = pool_hash(s, local, remote, port, protocol);
	uint32_t at = pw_index_start(&s->pool_index, hash), found;

	while ((found = pw_index_next(&s->pool_index, hash, &at)) != NONE) {
		const struct pool *pool = &s->pools[found];

		if (pool->local == local && pool->port == port && pool->protocol == protocol &&
			memcmp(pool->remote, remote, sizeof(pool->remote)) == 0)
			break;
	}
	return found;
}

static uint32_t add_pool(struct pw_snat *s, uint32_t local, const struct pw_conntrack_entry *entry)
{
	struct pw_index *index = &s->pool_index;
	struct pool *pool;

	if (!PW_ARRAY_ROOM(s->pools, s->size_pools, (size_t)s->n_pools + 1))
		return NONE;
	if (pw_index_full(index, s->n_pools)) {
		if (pw_index_reset(index, index->slot == NULL ? 1024 : (index->mask + 1) * 2) < 0)
			return NONE;
		for (uint32_t i = 0; i < s->n_pools; i++) {
			pool = &s->pools[i];
			pw_index_put(index, pool_hash(s, pool->local, pool->remote, pool->port, pool->protocol), i);
		}
	}
	pool = &s->pools[s->n_pools];
	*pool = (struct pool){.local = local, .records = END, .port = entry->remote_port, .protocol = entry->protocol};
	memcpy(pool->remote, entry->remote, sizeof(pool->remote));
	pw_index_put(index, pool_hash(s, local, pool->remote, pool->port, pool->protocol), s->n_pools);
	return s->n_pools++;
}

/* --- clients --- */

static uint64_t client_hash(const struct pw_snat *s, const struct pw_address *client)
{
	return pw_hash_address(s->seed, client->bytes, client->family);
}

/* The number of a client, CLIENTS_MAX of those that are too many; NONE when out of memory. */
static uint32_t find_client(struct pw_snat *s, const struct pw_conntrack_entry *entry)
{
	struct pw_index *index = &s->client_index;
	struct pw_address client = {.family = entry->family};
	uint32_t at, found;
	uint64_t hash;

	memcpy(client.bytes, entry->client, sizeof(client.bytes));
	hash = client_hash(s, &client);
	at = pw_index_start(index, hash);
	do
		found = pw_index_next(index, hash, &at);
	while (found != NONE && !pw_address_equal(&s->clients[found], &client));
	if (found != NONE)
		return found;
	if (s->n_clients == CLIENTS_MAX)
		return CLIENTS_MAX;
	if (!PW_ARRAY_ROOM(s->clients, s->size_clients, (size_t)s->n_clients + 1))
		return NONE;
	if (pw_index_full(index, s->n_clients)) {
		if (pw_index_reset(index, index->slot == NULL ? 64 : (index->mask + 1) * 2) < 0)
			return NONE;
		for (uint32_t i = 0; i < s->n_clients; i++)
			pw_index_put(index, client_hash(s, &s->clients[i]), i);
	}
	s->clients[s->n_clients] = client;
	pw_index_put(&s->client_index, hash, s->n_clients);
	return s->n_clients++;
}

static int add_record(struct pw_snat *s, uint32_t pool, const struct pw_conntrack_entry *entry)
{
	uint32_t client = find_client(s, entry);

	if (client == NONE || s->n_records == END ||
		!PW_ARRAY_ROOM(s->records, s->size_records, (size_t)s->n_records + 1))
		return -1;
	s->records[s->n_records] = (struct record){.next = s->pools[pool].records,
		.port = entry->local_port,
		.state = (entry->flags & PW_CONNTRACK_STATE) / PW_CONNTRACK_STATE_UNIT,
		.client = (uint16_t)client};
	s->pools[pool].records = s->n_records++;
	s->pools[pool].count++;
	return 0;
}

static bool has_classes(uint16_t low, uint16_t high)
{
	return low == PW_SNAT_LOW && high == PW_SNAT_HIGH;
}

int pw_snat_add(struct pw_snat *s, const struct pw_conntrack_entry *entry)
{
	struct pw_address address = {.family = entry->family};
	const uint16_t port = entry->local_port;
	const struct local *l;
	uint32_t local, pool;
	int watched;

	memcpy(address.bytes, entry->local, sizeof(address.bytes));
	watched = place(s, &address, (entry->flags & PW_CONNTRACK_SOURCE_TRANSLATED) != 0, &local);
	if (watched <= 0)
		return watched;
	l = &s->locals[local];
	if (s->source.ports == NULL && (port < l->low || port > l->high) &&
		(port >= PW_SNAT_LOW || !has_classes(l->low, l->high)))
		return 0;
	pool = find_pool(s, local, entry->remote, entry->remote_port, entry->protocol);
	if (pool == NONE && (pool = add_pool(s, local, entry)) == NONE)
		return -1;
	s->pools[pool].privileged = s->pools[pool].privileged || port < PW_SNAT_LOW;
	return add_record(s, pool, entry);
}

/* --- begin and end of a dump --- */

void pw_snat_begin(struct pw_snat *s, const struct pw_snat_range *ranges, size_t n)
{
	uint32_t kept = 0;

	s->ranges = ranges;
	s->n_ranges = n;
	s->dump++;
	s->left_out = s->again = false;
	/* memory goes back after a peak that has passed */
	if (s->size_records > PORTS && s->n_records < s->size_records / 16) {
		free(s->records);
		s->records = NULL;
		s->size_records = 0;
	}
	if (s->size_pools > PORTS && s->n_pools < s->size_pools / 16) {
		free(s->pools);
		free(s->pool_index.slot);
		s->pools = NULL;
		s->pool_index.slot = NULL;
		s->size_pools = 0;
	}
	if (s->n_pools != 0 && s->pool_index.slot != NULL)
		pw_index_reset(&s->pool_index, s->pool_index.mask + 1);
	if (s->n_clients != 0)
		pw_index_reset(&s->client_index, s->client_index.mask + 1);
	s->n_pools = s->n_records = s->n_clients = 0;
	/* addresses that the last dump saw translated are watched from the first entry on */
	for (uint32_t i = 0; i < s->n_locals; i++) {
		struct local *local = &s->locals[i];
		const struct pw_snat_range *range = find_range(s, &local->address);

		if (range == NULL || local->seen + 1 < s->dump)
			continue;
		local->low = range->low;
		local->high = range->high;
		s->locals[kept++] = *local;
	}
	s->n_locals = kept;
	if (s->local_index.slot != NULL)
		index_locals(s, s->local_index.mask + 1);
}

bool pw_snat_finish(struct pw_snat *s)
{
	s->source.pools = s->n_pools;
	s->source.capacity = pw_snat_least_capacity(s->ranges, s->n_ranges);
	return s->again;
}

/* --- counting --- */

/* `list`: the ports that the pool draws from; NULL: low..high. */
static void count_ports(struct pw_snat *s, uint32_t first, uint32_t low, uint32_t high, const struct pw_portset *list,
	struct pw_pool_counts *out)
{
	*out = (struct pw_pool_counts){.capacity = list != NULL ? pw_portset_count(list) : high - low + 1};
	for (uint32_t i = first; i != END; i = s->records[i].next) {
		uint16_t port = s->records[i].port;
		uint8_t old = s->scratch[port], flags = old | SCRATCH_USED;

		if (list != NULL ? !pw_portset_has(list, port) : port < low || port > high)
			continue;
		/* each port counts once: entries of different conntrack zones can have the same */
		if (s->records[i].state != PW_CONNTRACK_TIME_WAIT / PW_CONNTRACK_STATE_UNIT)
			flags |= SCRATCH_NOT_TIME_WAIT;
		s->scratch[port] = flags;
		out->used += old == 0;
		out->time_wait += old == 0;
		out->time_wait -= ((flags ^ old) & SCRATCH_NOT_TIME_WAIT) != 0;
	}
	for (uint32_t i = first; i != END; i = s->records[i].next)
		s->scratch[s->records[i].port] = 0;
	out->free = out->fast_free = out->capacity - out->used;
	out->utilization = pw_utilization(out->capacity, out->free);
}

/* Of several classes the pool has the numbers of the fullest: there the next connection fails first. `pool` may be
 * NULL. */
static void count(struct pw_snat *s, const struct pool *pool, uint16_t low, uint16_t high,
	const struct pw_portset *list, struct pw_pool_counts *out)
{
	const uint32_t first = pool != NULL ? pool->records : END;
	struct pw_pool_counts other;

	count_ports(s, first, low, high, list, out);
	if (pool == NULL || list != NULL || !pool->privileged || !has_classes(low, high))
		return;
	for (size_t i = 1; i < sizeof(classes) / sizeof(classes[0]); i++) {
		count_ports(s, first, classes[i].low, classes[i].high, NULL, &other);
		if (other.utilization > out->utilization || out->used == 0)
			*out = other;
	}
}

static int each_pool(struct pw_source *source, uint32_t floor, pw_pool_visit *visit, void *context)
{
	struct pw_snat *s = (struct pw_snat *)source;
	int status = 0;

	for (uint32_t i = 0; i < s->n_pools && status == 0; i++) {
		const struct pool *pool = &s->pools[i];
		const struct local *local = &s->locals[pool->local];
		struct pw_pool_key key = {.ns = s->ns,
			.kind = PW_KIND_SNAT,
			.protocol = pool->protocol,
			.port = pool->port,
			.local = local->address,
			.remote.family = local->address.family};
		struct pw_pool_counts counts;

		if (pool->count < floor)
			continue;
		memcpy(key.remote.bytes, pool->remote, sizeof(pool->remote));
		count(s, pool, local->low, local->high, pw_source_ports(source, &key), &counts);
		if (counts.used >= floor)
			status = visit(&key, &counts, context);
	}
	return status;
}

/* NULL when it has no entries. */
static const struct pool *pool_of(const struct pw_snat *s, const struct pw_pool_key *key)
{
	uint32_t local = find_local(s, &key->local), pool = NONE;

	if (local != NONE)
		pool = find_pool(s, local, key->remote.bytes, key->port, key->protocol);
	return pool != NONE ? &s->pools[pool] : NULL;
}

static void count_pool(struct pw_source *source, const struct pw_pool_key *key, struct pw_pool_counts *out)
{
	struct pw_snat *s = (struct pw_snat *)source;
	const struct pw_snat_range *range = find_range(s, &key->local);

	*out = (struct pw_pool_counts){0};
	if (range != NULL)
		count(s, pool_of(s, key), range->low, range->high, pw_source_ports(source, key), out);
}

static void find_owners(struct pw_source *source, const struct pw_pool_key *key, struct pw_owners *out)
{
	struct pw_snat *s = (struct pw_snat *)source;
	const struct pool *pool = pool_of(s, key);
	const uint32_t first = pool != NULL ? pool->records : END;
	uint32_t *held = first != END ? calloc((size_t)CLIENTS_MAX + 1, sizeof(*held)) : NULL;
	uint32_t states[8] = {0}; /* by r->state */

	*out = (struct pw_owners){0};
	if (held == NULL)
		return;
	for (uint32_t i = first; i != END; i = s->records[i].next) {
		held[s->records[i].client]++;
		states[s->records[i].state]++;
	}
	for (uint32_t i = 0; i < s->n_clients; i++)
		pw_owners_add(out, &(struct pw_owner){.cgroup = i, .sockets = held[i]});
	out->owned += held[CLIENTS_MAX];
	out->states = (struct pw_pool_states){.syn_sent = states[PW_CONNTRACK_SYN_SENT / PW_CONNTRACK_STATE_UNIT],
		.established = states[PW_CONNTRACK_ESTABLISHED / PW_CONNTRACK_STATE_UNIT],
		.close_wait = states[PW_CONNTRACK_CLOSE_WAIT / PW_CONNTRACK_STATE_UNIT],
		.fin_wait = states[PW_CONNTRACK_FIN_WAIT / PW_CONNTRACK_STATE_UNIT]};
	free(held);
}

static void name_client(uint64_t number, uint32_t uid, char *buf, size_t size, void *context)
{
	const struct pw_snat *s = context;
	const struct pw_address *client = &s->clients[number];
	char text[PW_ADDRESS_TEXT_MAX];

	(void)uid;
	if (find_local(s, client) != NONE)
		snprintf(buf, size, "this host");
	else
		snprintf(buf, size, "client %s", pw_address_text(client, NULL, text));
}

static const struct pw_source_ops source_ops = {
	.each = each_pool, .pool = count_pool, .owners = find_owners, .owner_name = name_client};

struct pw_source *pw_snat_source(struct pw_snat *s)
{
	return &s->source;
}

uint32_t pw_snat_least_capacity(const struct pw_snat_range *ranges, size_t n)
{
	uint32_t least = 0;

	for (size_t i = 0; i < n; i++) {
		const struct class *class = &classes[has_classes(ranges[i].low, ranges[i].high) ? 1 : 0];
		uint32_t ports = class != classes ? (uint32_t) class->high - class->low + 1
						  : (uint32_t)ranges[i].high - ranges[i].low + 1;

		least = i == 0 || ports < least ? ports : least;
	}
	return least;
}

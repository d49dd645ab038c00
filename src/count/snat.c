/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "count/snat_internal.h"

/* --- life --- */

struct pw_snat *pw_snat_new(uint32_t ns)
{
	struct pw_snat *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	s->source.ops = &pw_snat_ops;
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
	free(s->entries);
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

uint32_t pw_snat_find_local(const struct pw_snat *s, const struct pw_address *address)
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

const struct pw_snat_range *pw_snat_find_range(const struct pw_snat *s, const struct pw_address *address)
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

	*out = pw_snat_find_local(s, address);
	if (*out != NONE) {
		s->locals[*out].seen = translated ? s->dump : s->locals[*out].seen;
		return 1;
	}
	range = pw_snat_find_range(s, address);
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

uint32_t pw_snat_find_pool(
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
	*pool = (struct pool){.local = local, .entries = END, .port = entry->remote_port, .protocol = entry->protocol};
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

static int add_entry(struct pw_snat *s, uint32_t pool, const struct pw_conntrack_entry *entry)
{
	uint32_t client = find_client(s, entry);

	if (client == NONE || s->n_entries == END ||
		!PW_ARRAY_ROOM(s->entries, s->size_entries, (size_t)s->n_entries + 1))
		return -1;
	s->entries[s->n_entries] = (struct entry){.next = s->pools[pool].entries,
		.port = entry->local_port,
		.state = (entry->flags & PW_CONNTRACK_STATE) / PW_CONNTRACK_STATE_UNIT,
		.client = (uint16_t)client};
	s->pools[pool].entries = s->n_entries++;
	s->pools[pool].count++;
	return 0;
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
		(port >= PW_SNAT_LOW || !pw_snat_has_classes(l->low, l->high)))
		return 0;
	pool = pw_snat_find_pool(s, local, entry->remote, entry->remote_port, entry->protocol);
	if (pool == NONE && (pool = add_pool(s, local, entry)) == NONE)
		return -1;
	s->pools[pool].privileged = s->pools[pool].privileged || port < PW_SNAT_LOW;
	return add_entry(s, pool, entry);
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
	if (s->size_entries > PORTS && s->n_entries < s->size_entries / 16) {
		free(s->entries);
		s->entries = NULL;
		s->size_entries = 0;
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
	s->n_pools = s->n_entries = s->n_clients = 0;
	/* addresses that the last dump saw translated are watched from the first entry on */
	for (uint32_t i = 0; i < s->n_locals; i++) {
		struct local *local = &s->locals[i];
		const struct pw_snat_range *range = pw_snat_find_range(s, &local->address);

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

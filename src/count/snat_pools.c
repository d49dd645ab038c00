/* SPDX-License-Identifier: BSD-2-Clause */
/* snat_pools.c: the pools of a dump, as a source has them */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "count/snat_internal.h"

/* A rule without ports keeps a client's port in its class, and so a client with a privileged port (NFS, rsh) has few
 * (nf_nat_l4proto_unique_tuple()). The first is what all others draw from. */
static const struct class
{
	uint16_t low, high;
} classes[] = {{PW_SNAT_LOW, PW_SNAT_HIGH}, {600, 1023}, {1, 511}};

enum scratch { SCRATCH_USED = 1, SCRATCH_NOT_TIME_WAIT = 2 };

/* `list`: the ports that the pool draws from; NULL: low..high. */
static void count_ports(struct pw_snat *s, uint32_t first, uint32_t low, uint32_t high, const struct pw_portset *list,
	struct pw_pool_counts *out)
{
	*out = (struct pw_pool_counts){.capacity = list != NULL ? pw_portset_count(list) : high - low + 1};
	for (uint32_t i = first; i != END; i = s->entries[i].next) {
		uint16_t port = s->entries[i].port;
		uint8_t old = s->scratch[port], flags = old | SCRATCH_USED;

		if (list != NULL ? !pw_portset_has(list, port) : port < low || port > high)
			continue;
		/* each port counts once: entries of different conntrack zones can have the same */
		if (s->entries[i].state != PW_CONNTRACK_TIME_WAIT / PW_CONNTRACK_STATE_UNIT)
			flags |= SCRATCH_NOT_TIME_WAIT;
		s->scratch[port] = flags;
		out->used += old == 0;
		out->time_wait += old == 0;
		out->time_wait -= ((flags ^ old) & SCRATCH_NOT_TIME_WAIT) != 0;
	}
	for (uint32_t i = first; i != END; i = s->entries[i].next)
		s->scratch[s->entries[i].port] = 0;
	out->free = out->fast_free = out->capacity - out->used;
	out->utilization = pw_utilization(out->capacity, out->free);
}

/* Of several classes the pool has the numbers of the fullest: there the next connection fails first. `pool` may be
 * NULL. */
static void count(struct pw_snat *s, const struct pool *pool, uint16_t low, uint16_t high,
	const struct pw_portset *list, struct pw_pool_counts *out)
{
	const uint32_t first = pool != NULL ? pool->entries : END;
	struct pw_pool_counts other;

	count_ports(s, first, low, high, list, out);
	if (pool == NULL || list != NULL || !pool->privileged || !pw_snat_has_classes(low, high))
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
	uint32_t local = pw_snat_find_local(s, &key->local), pool = NONE;

	if (local != NONE)
		pool = pw_snat_find_pool(s, local, key->remote.bytes, key->port, key->protocol);
	return pool != NONE ? &s->pools[pool] : NULL;
}

static void count_pool(struct pw_source *source, const struct pw_pool_key *key, struct pw_pool_counts *out)
{
	struct pw_snat *s = (struct pw_snat *)source;
	const struct pw_snat_range *range = pw_snat_find_range(s, &key->local);

	*out = (struct pw_pool_counts){0};
	if (range != NULL)
		count(s, pool_of(s, key), range->low, range->high, pw_source_ports(source, key), out);
}

static void find_owners(struct pw_source *source, const struct pw_pool_key *key, struct pw_owners *out)
{
	struct pw_snat *s = (struct pw_snat *)source;
	const struct pool *pool = pool_of(s, key);
	const uint32_t first = pool != NULL ? pool->entries : END;
	uint32_t *held = first != END ? calloc((size_t)CLIENTS_MAX + 1, sizeof(*held)) : NULL;
	uint32_t states[8] = {0}; /* by r->state */

	*out = (struct pw_owners){0};
	if (held == NULL)
		return;
	for (uint32_t i = first; i != END; i = s->entries[i].next) {
		held[s->entries[i].client]++;
		states[s->entries[i].state]++;
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
	if (pw_snat_find_local(s, client) != NONE)
		snprintf(buf, size, "this host");
	else
		snprintf(buf, size, "client %s", pw_address_text(client, NULL, text));
}

const struct pw_source_ops pw_snat_ops = {
	.each = each_pool, .pool = count_pool, .owners = find_owners, .owner_name = name_client};

struct pw_source *pw_snat_source(struct pw_snat *s)
{
	return &s->source;
}

uint32_t pw_snat_least_capacity(const struct pw_snat_range *ranges, size_t n)
{
	uint32_t least = 0;

	for (size_t i = 0; i < n; i++) {
		const struct class *class = &classes[pw_snat_has_classes(ranges[i].low, ranges[i].high) ? 1 : 0];
		uint32_t ports = class != classes ? (uint32_t) class->high - class->low + 1
						  : (uint32_t)ranges[i].high - ranges[i].low + 1;

		least = i == 0 || ports < least ? ports : least;
	}
	return least;
}

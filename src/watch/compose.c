/* SPDX-License-Identifier: BSD-2-Clause */
#include "watch/compose.h"

#include <stdlib.h>
#include <string.h>

struct composer {
	struct pw_snapshot *snapshot;
	struct pw_arena *arena;
	const struct pw_listing *listing;
};

/* --- pools ------------------------------------------------------------------------------------------------------ */

static void compose_texts(struct composer *c, const struct pw_tracked *pool, struct pw_pool_row *row)
{
	char name[PW_POOL_NAME_MAX], address[PW_ADDRESS_TEXT_MAX];

	row->name = pw_arena_text(c->arena, pw_tracked_name(pool, name));
	row->local_text = pw_arena_text(c->arena, pw_address_text(&pool->key.local, pool->zone_name, address));
	row->remote_text = pw_arena_text(c->arena, pw_address_text(&pool->key.remote, NULL, address));
	row->owner = pw_arena_text(c->arena, pool->owner);
	row->label = pw_arena_text(c->arena, pw_tracked_label(pool));
}

static void compose_index(struct composer *c, const struct pw_tracked *pool, struct pw_pool_row *row)
{
	size_t size = pool->index_len * sizeof(*pool->index);
	uint32_t *index = pw_arena_alloc(c->arena, size);

	row->index = index;
	row->index_len = index != NULL ? pool->index_len : 0;
	if (index != NULL)
		memcpy(index, pool->index, size);
}

static void compose_pool(struct composer *c, struct pw_tracked *pool, struct pw_pool_row *row)
{
	const struct pw_thresholds *t = pool->thresholds;

	row->key = pool->key;
	row->counts = pool->counts;
	compose_texts(c, pool, row);
	compose_index(c, pool, row);
	row->peak = pool->peak;
	row->peak_ms = pool->peak_ms;
	row->growth = pw_tracked_trend(pool)->growth;
	row->time_to_exhaustion = pw_tracked_trend(pool)->time_to_exhaustion;
	row->alloc_latency_us = pool->latency_us;
	row->state = pool->result.state;
	row->state_ms = pool->state_ms;
	row->reason = pool->result.reason;
	row->basis = pool->ns->row.basis;
	row->warning_threshold = t != NULL ? t->warning.rise : 0;
	row->critical_threshold = t != NULL ? t->critical.rise : 0;
	row->free_threshold = t != NULL ? t->free_below : 0;
}

static void compose_pools(struct composer *c)
{
	size_t n = c->listing->n;
	struct pw_pool_row *rows = pw_arena_array(c->arena, n, sizeof(*rows));

	for (size_t i = 0; rows != NULL && i < n; i++)
		compose_pool(c, c->listing->pools[i], &rows[i]);
	c->snapshot->pools = rows;
	c->snapshot->n_pools = rows != NULL ? n : 0;
}

/* --- the worst of them ------------------------------------------------------------------------------------------ */

static bool is_worse(const struct pw_tracked *a, const struct pw_tracked *b)
{
	int order = pw_tracked_worse(a, b);

	return order != 0 ? order < 0 : a->position < b->position;
}

/* Sorts the pool at position `pool` into the ranks, of which there are n of at most max. Returns the new n. */
static size_t rank_pool(struct pw_tracked *const *pools, uint32_t pool, uint32_t *ranks, size_t n, size_t max)
{
	size_t at;

	if (n == max && !is_worse(pools[pool], pools[ranks[n - 1]]))
		return n;
	n += n < max;
	for (at = n - 1; at > 0 && is_worse(pools[pool], pools[ranks[at - 1]]); at--)
		ranks[at] = ranks[at - 1];
	ranks[at] = pool;
	return n;
}

static void compose_top(struct composer *c, uint32_t top)
{
	size_t n = 0, max = c->listing->n < top ? c->listing->n : top;
	uint32_t *ranks = pw_arena_array(c->arena, max, sizeof(*ranks));

	for (uint32_t i = 0; ranks != NULL && max != 0 && i < c->listing->n; i++)
		n = rank_pool(c->listing->pools, i, ranks, n, max);
	c->snapshot->top = ranks;
	c->snapshot->n_top = n;
	c->snapshot->top_ranks = top;
}

/* --- alarms, namespaces ----------------------------------------------------------------------------------------- */

static void compose_alarms(struct composer *c, const struct pw_event_ids *ids)
{
	size_t n = c->listing->n_alarms;
	struct pw_alarm_row *rows = pw_arena_array(c->arena, n, sizeof(*rows));

	for (size_t i = 0; rows != NULL && i < n; i++) {
		const struct pw_tracked *pool = c->listing->alarms[i];

		rows[i] = (struct pw_alarm_row){
			.index = pool->alarm_index,
			.pool = pool->position,
			.severity = pool->result.state,
			.since = pool->alarm_since,
			.event_id = ids->last_id != NULL ? ids->last_id(&pool->key, ids->context) : 0,
		};
	}
	c->snapshot->alarms = rows;
	c->snapshot->n_alarms = rows != NULL ? n : 0;
	c->snapshot->active_alarms = c->listing->active_alarms;
	c->snapshot->alarms_omitted = c->listing->active_alarms - (uint32_t)n;
}

static int by_ns_index(const void *a, const void *b)
{
	const struct pw_ns_row *x = a, *y = b;

	return (x->index > y->index) - (x->index < y->index);
}

static void compose_namespaces(struct composer *c, const struct pw_tracker *tracker)
{
	size_t n = 0;
	struct pw_ns_row *rows = pw_arena_array(c->arena, HASH_COUNT(tracker->namespaces), sizeof(*rows));

	for (const struct pw_tracked_ns *ns = tracker->namespaces; rows != NULL && ns != NULL; ns = ns->hh.next) {
		rows[n] = ns->row;
		rows[n].index = ns->index;
		rows[n].snat_reason = pw_arena_text(c->arena, ns->snat_reason);
		rows[n++].name = pw_arena_text(c->arena, ns->name);
		c->snapshot->sockets_seen += ns->sockets;
		c->snapshot->pools_seen += ns->pools + ns->snat_pools;
	}
	if (n != 0)
		qsort(rows, n, sizeof(*rows), by_ns_index);
	c->snapshot->namespaces = rows;
	c->snapshot->n_namespaces = n;
}

const struct pw_snapshot *pw_compose(const struct pw_snapshot *scalars, const struct pw_tracker *tracker,
	const struct pw_listing *listing, uint32_t top, const struct pw_event_ids *ids)
{
	struct composer c = {.listing = listing};

	c.snapshot = pw_snapshot_new(&c.arena);
	if (c.snapshot == NULL)
		return NULL;
	*c.snapshot = *scalars;
	c.snapshot->connect_failures_reason = pw_arena_text(c.arena, scalars->connect_failures_reason);
	compose_pools(&c);
	compose_top(&c, top);
	compose_alarms(&c, ids);
	compose_namespaces(&c, tracker);
	c.snapshot->pools_listed = (uint32_t)listing->n;
	if (!c.arena->failed)
		return c.snapshot;
	pw_snapshot_unref(c.snapshot);
	return NULL;
}

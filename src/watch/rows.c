/* SPDX-License-Identifier: BSD-2-Clause */
/* Which pools get a row, and the snapshot that is made of them */
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "watch/pools.h"

/* --- choosing ----------------------------------------------------------------------------------------------------- */

/* Alarms come first, the oldest of them in front, so that alarms that have a row keep it; then the pools that the
 * policy names exactly, then the worst; between equals rows stay where they are. */
static uint64_t candidate_rank(const struct pw_watched *pool, uint32_t epoch)
{
	if (pool->small)
		return 0;
	if (pw_watched_alarmed(pool))
		return UINT64_C(3) << 62 | (UINT32_MAX - pool->alarm_index);
	if (pool->exact_epoch == epoch)
		return UINT64_C(2) << 62;
	return pw_badness(&pool->counts, pool->thresholds != NULL) << 1 | (pool->position != PW_NO_POSITION);
}

static void list(struct pw_rows *rows, struct pw_watched *pool, bool room, uint64_t now_ms)
{
	pool->listed = room || rows->wanted != PW_ROWS_LISTED;
	if (pool->listed)
		rows->pools[rows->n++] = pool;
	rows->listed += room;
	rows->omitted += !room && (pw_watched_alarmed(pool) || pool->deserving_ms == now_ms);
}

int pw_rows_choose(
	struct pw_rows *rows, struct pw_pools *pools, const struct pw_policy *policy, uint32_t epoch, uint64_t now_ms)
{
	size_t n = 0, others = 0;
	struct pw_watched *pool, *next;

	rows->n = rows->n_alarms = rows->active_alarms = rows->listed = rows->omitted = 0;
	if (!PW_ARRAY_ROOM(rows->pools, rows->room, HASH_COUNT(pools->pools) + 1) ||
		!PW_ARRAY_ROOM(rows->candidates, rows->candidates_room, HASH_COUNT(pools->pools) + 1))
		return -1;
	HASH_ITER(hh, pools->pools, pool, next)
	rows->candidates[n++] = (struct pw_ranked){candidate_rank(pool, epoch), pool};
	qsort(rows->candidates, n, sizeof(*rows->candidates), pw_ranked_compare);
	for (size_t i = 0; i < n; i++) {
		pool = rows->candidates[i].pool;
		pool->position = PW_NO_POSITION;
		if (pw_watched_alarmed(pool))
			list(rows, pool, rows->active_alarms++ < policy->max_alarms, now_ms);
		else if (pool->exact_epoch == epoch)
			list(rows, pool, ++others > 0, now_ms);
		else
			list(rows, pool, !pool->small && others++ < policy->max_rows, now_ms);
	}
	rows->n_alarms = rows->active_alarms < policy->max_alarms ? rows->active_alarms : policy->max_alarms;
	qsort(rows->pools, rows->n, sizeof(struct pw_watched *), pw_watched_compare);
	for (size_t i = 0; i < rows->n; i++)
		rows->pools[i]->position = (uint32_t)i;
	return 0;
}

void pw_rows_clear(struct pw_rows *rows)
{
	free(rows->pools);
	free(rows->candidates);
	memset(rows, 0, sizeof(*rows));
}

/* --- building ----------------------------------------------------------------------------------------------------- */

static struct pw_series build_history(struct pw_arena *arena, const struct pw_watched *pool)
{
	uint32_t free[PW_HISTORY_STEPS];
	unsigned n = pw_history_steps(pool->history, free);
	uint16_t *numbers = n > 0 ? pw_arena_array(arena, n, sizeof(*numbers)) : NULL;

	if (numbers == NULL)
		return (struct pw_series){0};
	for (unsigned i = 1; i < n; i++)
		numbers[n - 1 - i] = (uint16_t)pw_utilization(
			pool->counts.capacity, free[i] < pool->counts.capacity ? free[i] : pool->counts.capacity);
	numbers[n - 1] = (uint16_t)pool->counts.utilization;
	return (struct pw_series){numbers, n};
}

static void build_pool(struct pw_arena *arena, struct pw_watched *pool, struct pw_pool_row *row)
{
	const struct pw_thresholds *t = pool->thresholds;
	const struct pw_trend *trend = pw_watched_trend(pool);
	char name[PW_POOL_NAME_MAX], address[PW_ADDRESS_TEXT_MAX];
	uint32_t *index = pw_arena_array(arena, pool->index_len, sizeof(*index));

	if (index != NULL)
		memcpy(index, pool->index, pool->index_len * sizeof(*index));
	*row = (struct pw_pool_row){
		.key = pool->key,
		.counts = pool->counts,
		.name = pw_arena_text(arena, pw_pool_name(&pool->key, pool->zone_name, pool->ns->name, name)),
		.local_text = pw_arena_text(arena, pw_address_text(&pool->key.local, pool->zone_name, address)),
		.owner = pw_arena_text(arena, pool->owner),
		.states = pool->states,
		.label = pw_arena_text(arena, pw_watched_label(pool)),
		.index = index,
		.index_len = index != NULL ? pool->index_len : 0,
		.peak = pool->peak,
		.peak_ms = pool->peak_ms,
		.peak_bound = pool->peak_bound,
		.growth = trend->growth,
		.time_to_exhaustion = trend->time_to_exhaustion,
		.recent_growth = trend->recent_growth,
		.recent_time_to_exhaustion = trend->recent_time_to_exhaustion,
		.alloc_latency_us = pool->latency_us,
		.alloc_latency_p99_us = pool->latency_p99_us,
		.state = pool->result.state,
		.state_ms = pool->state_ms,
		.reason = pool->result.reason,
		.basis = pool->ns->row.basis,
		.warning_threshold = t != NULL ? t->warning.rise : 0,
		.critical_threshold = t != NULL ? t->critical.rise : 0,
		.free_threshold = t != NULL ? t->free_below : 0,
		.failures = pool->failures,
		.failed_ms = pool->failed_ms,
		.history = build_history(arena, pool),
	};
	row->remote_text = pw_arena_text(arena, pw_address_text(&pool->key.remote, NULL, address));
}

static void build_top(struct pw_snapshot *s, struct pw_arena *arena, const struct pw_rows *rows, uint32_t top)
{
	size_t n = 0, max = rows->n < top ? rows->n : top;
	struct pw_ranked *worst = pw_arena_array(arena, max, sizeof(*worst));
	uint32_t *ranks = pw_arena_array(arena, max, sizeof(*ranks));

	for (size_t i = 0; worst != NULL && max != 0 && i < rows->n; i++) {
		struct pw_watched *pool = rows->pools[i];
		struct pw_ranked one = {pw_badness(&pool->counts, pool->thresholds != NULL), pool};

		n = pw_array_keep_first(worst, n, max, sizeof(one), &one, pw_ranked_compare);
	}
	for (size_t i = 0; ranks != NULL && i < n; i++)
		ranks[i] = worst[i].pool->position;
	s->top = ranks;
	s->n_top = ranks != NULL ? n : 0;
	s->top_ranks = top;
}

static int by_ns_index(const void *a, const void *b)
{
	const struct pw_ns_row *x = a, *y = b;

	return (x->index > y->index) - (x->index < y->index);
}

static void build_namespaces(struct pw_snapshot *s, struct pw_arena *arena, const struct pw_pools *pools)
{
	size_t n = 0;
	struct pw_ns_row *rows = pw_arena_array(arena, HASH_COUNT(pools->namespaces), sizeof(*rows));

	for (const struct pw_watched_ns *ns = pools->namespaces; rows != NULL && ns != NULL; ns = ns->hh.next) {
		rows[n] = ns->row;
		rows[n].index = ns->index;
		rows[n].failures = ns->failures;
		rows[n].name = pw_arena_text(arena, ns->name);
		rows[n].basis_reason = pw_arena_text(arena, ns->row.basis_reason);
		s->sockets_seen += ns->sockets;
		for (int i = 0; i < PW_SOURCES; i++) {
			rows[n].sources[i].reason = pw_arena_text(arena, ns->sources[i].reason);
			s->pools_seen += ns->sources[i].pools;
		}
		n++;
	}
	if (n != 0)
		qsort(rows, n, sizeof(*rows), by_ns_index);
	s->namespaces = rows;
	s->n_namespaces = n;
}

const struct pw_snapshot *pw_rows_build(const struct pw_rows *rows, const struct pw_pools *pools,
	const struct pw_labels *labels, const struct pw_snapshot *scalars, uint32_t top)
{
	struct pw_arena *arena;
	struct pw_snapshot *s = pw_snapshot_new(&arena);
	struct pw_pool_row *pool_rows;
	struct pw_alarm_row *alarms;

	if (s == NULL)
		return NULL;
	*s = *scalars;
	s->ringing_reason = pw_arena_text(arena, scalars->ringing_reason);
	s->connect_failures_reason = pw_arena_text(arena, scalars->connect_failures_reason);
	pool_rows = pw_arena_array(arena, rows->n, sizeof(*pool_rows));
	for (size_t i = 0; pool_rows != NULL && i < rows->n; i++)
		build_pool(arena, rows->pools[i], &pool_rows[i]);
	s->pools = pool_rows;
	s->n_pools = rows->n;
	s->pools_listed = rows->listed;
	build_top(s, arena, rows, top);
	alarms = pw_arena_array(arena, rows->n_alarms, sizeof(*alarms));
	for (size_t i = 0; alarms != NULL && i < rows->n_alarms; i++) {
		const struct pw_watched *pool = rows->candidates[i].pool;

		alarms[i] = (struct pw_alarm_row){
			.index = pool->alarm_index,
			.pool = pool->position,
			.severity = pool->result.state,
			.since = pool->alarm_since,
			.event_id = pool->event_id,
		};
	}
	s->alarms = alarms;
	s->n_alarms = rows->n_alarms;
	s->active_alarms = rows->active_alarms;
	s->alarms_omitted = rows->active_alarms - (uint32_t)rows->n_alarms;
	build_namespaces(s, arena, pools);
	pw_labels_build(labels, s, arena);
	if (!arena->failed)
		return s;
	pw_snapshot_unref(s);
	return NULL;
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "watch/tracker.h"

#include <stdlib.h>
#include <string.h>

/* --- namespaces ------------------------------------------------------------------------------------------------- */

struct pw_tracked_ns *pw_tracker_ns(const struct pw_tracker *tracker, uint32_t index)
{
	struct pw_tracked_ns *ns;

	HASH_FIND(hh, tracker->namespaces, &index, sizeof(index), ns);
	return ns;
}

/* Returns 0, or -1 when out of memory: the old name then stays. */
static int rename_ns(struct pw_tracked_ns *ns, const char *name)
{
	char *copy;

	if (ns->name != NULL && strcmp(ns->name, name) == 0)
		return 0;
	copy = strdup(name);
	if (copy == NULL)
		return -1;
	free(ns->name);
	ns->name = copy;
	return 0;
}

static void free_ns(struct pw_tracked_ns *ns)
{
	free(ns->name);
	free(ns);
}

struct pw_tracked_ns *pw_tracker_add_ns(struct pw_tracker *tracker, uint32_t index, const char *name)
{
	struct pw_tracked_ns *ns = pw_tracker_ns(tracker, index);

	if (ns != NULL) {
		rename_ns(ns, name);
		return ns;
	}
	ns = calloc(1, sizeof(*ns));
	if (ns == NULL)
		return NULL;
	ns->index = index;
	if (rename_ns(ns, name) == 0)
		HASH_ADD(hh, tracker->namespaces, index, sizeof(ns->index), ns);
	if (pw_tracker_ns(tracker, index) == NULL) {
		free_ns(ns);
		return NULL;
	}
	return ns;
}

void pw_tracker_remove_ns(struct pw_tracker *tracker, struct pw_tracked_ns *ns)
{
	HASH_DELETE(hh, tracker->namespaces,
		ns); /* NOLINT(clang-analyzer-unix.Malloc): uthash frees its table with the last item only */
	free_ns(ns);
}

/* --- pools ------------------------------------------------------------------------------------------------------ */

struct pw_tracked *pw_tracker_find(const struct pw_tracker *tracker, const struct pw_pool_key *key)
{
	struct pw_tracked *pool;

	HASH_FIND(hh, tracker->pools, key, sizeof(*key), pool);
	return pool;
}

/* The number of pools of its sort in its namespace. */
static size_t *tracked_of(struct pw_tracked *pool)
{
	return pool->key.kind == PW_KIND_SNAT ? &pool->ns->tracked_snat : &pool->ns->tracked;
}

struct pw_tracked *pw_tracker_add(struct pw_tracker *tracker, struct pw_tracked_ns *ns, const struct pw_pool_key *key)
{
	uint32_t index[PW_POOL_INDEX_MAX];
	size_t len = pw_pool_index(key, index);
	struct pw_tracked *pool;

	if (HASH_COUNT(tracker->pools) >= tracker->max)
		return NULL;
	pool = calloc(1, sizeof(*pool) + len * sizeof(*index));
	if (pool == NULL)
		return NULL;
	pool->key = *key;
	pool->ns = ns;
	pool->result.state = pool->previous = PW_STATE_NORMAL;
	pool->result.reason = PW_REASON_NONE;
	pool->trend.time_to_exhaustion = PW_NOT_IN_SIGHT;
	pool->position = PW_NO_POSITION;
	pool->index_len = len;
	memcpy(pool->index, index, len * sizeof(*index));
	HASH_ADD(hh, tracker->pools, key, sizeof(pool->key), pool);
	if (pw_tracker_find(tracker, key) == NULL) { /* the table could not grow */
		free(pool);
		return NULL;
	}
	*tracked_of(pool) += 1;
	return pool;
}

static void free_pool(struct pw_tracked *pool)
{
	pw_history_free(pool->history);
	free(pool);
}

void pw_tracker_remove(struct pw_tracker *tracker, struct pw_tracked *pool)
{
	HASH_DELETE(hh, tracker->pools, pool);
	*tracked_of(pool) -= 1;
	free_pool(pool);
}

/* Takes the tables away at once; the chains in order of insertion stay for a last walk. */
void pw_tracker_clear(struct pw_tracker *tracker)
{
	struct pw_tracked *pool = tracker->pools, *next_pool;
	struct pw_tracked_ns *ns = tracker->namespaces, *next_ns;

	HASH_CLEAR(hh, tracker->pools);
	HASH_CLEAR(hh, tracker->namespaces);
	for (; pool != NULL; pool = next_pool) {
		next_pool = pool->hh.next;
		free_pool(pool);
	}
	for (; ns != NULL; ns = next_ns) {
		next_ns = ns->hh.next;
		free_ns(ns);
	}
}

const struct pw_trend *pw_tracked_trend(struct pw_tracked *pool)
{
	if (pool->trend_poll == pool->poll)
		return &pool->trend;
	pool->trend = pool->history != NULL ? pw_history_trend(pool->history) : (struct pw_trend){0, PW_NOT_IN_SIGHT};
	pool->trend_poll = pool->poll;
	return &pool->trend;
}

/* --- orders ----------------------------------------------------------------------------------------------------- */

int pw_tracked_compare(const struct pw_tracked *a, const struct pw_tracked *b)
{
	for (size_t i = 0; i < a->index_len && i < b->index_len; i++)
		if (a->index[i] != b->index[i])
			return a->index[i] < b->index[i] ? -1 : 1;
	return (a->index_len > b->index_len) - (a->index_len < b->index_len);
}

static int more_first(uint32_t a, uint32_t b)
{
	return (a < b) - (a > b);
}

int pw_tracked_worse(const struct pw_tracked *a, const struct pw_tracked *b)
{
	int order = more_first(a->thresholds != NULL, b->thresholds != NULL);

	if (order == 0)
		order = more_first(a->counts.utilization, b->counts.utilization);
	if (order == 0)
		order = more_first(b->counts.free, a->counts.free);
	if (order == 0)
		order = more_first(a->counts.used, b->counts.used);
	return order;
}

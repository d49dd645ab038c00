/* SPDX-License-Identifier: BSD-2-Clause */
#include "watch/pools.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

/* pwNsIndex of the host's own namespace. */
#define OWN_NS 1

/* --- namespaces --------------------------------------------------------------------------------------------------- */

struct pw_watched_ns *pw_pools_ns(const struct pw_pools *pools, uint32_t index)
{
	struct pw_watched_ns *ns;

	HASH_FIND(hh, pools->namespaces, &index, sizeof(index), ns);
	return ns;
}

static void free_ns(struct pw_pools *pools, struct pw_watched_ns *ns)
{
	pw_share_forget(&pools->log, &ns->log);
	free(ns->name);
	free(ns);
}

struct pw_watched_ns *pw_pools_add_ns(struct pw_pools *pools, uint32_t index, const char *name)
{
	struct pw_watched_ns *ns = pw_pools_ns(pools, index);
	char *copy;

	if (ns != NULL && strcmp(ns->name, name) == 0)
		return ns;
	copy = strdup(name);
	if (ns != NULL) { /* without memory the old name stays */
		if (copy != NULL) {
			free(ns->name);
			ns->name = copy;
		}
		return ns;
	}
	ns = calloc(1, sizeof(*ns));
	if (ns == NULL || copy == NULL) {
		free(copy);
		free(ns);
		return NULL;
	}
	ns->index = index;
	ns->name = copy;
	ns->log.own = index == OWN_NS;
	HASH_ADD(hh, pools->namespaces, index, sizeof(ns->index), ns);
	if (pw_pools_ns(pools, index) == NULL) { /* the table could not grow */
		free_ns(pools, ns);
		return NULL;
	}
	return ns;
}

void pw_pools_remove_ns(struct pw_pools *pools, struct pw_watched_ns *ns)
{
	HASH_DELETE(hh, pools->namespaces, ns);
	LL_PREPEND2(pools->removed_ns, ns, next_removed);
}

/* --- pools -------------------------------------------------------------------------------------------------------- */

struct pw_watched *pw_pools_find(const struct pw_pools *pools, const struct pw_pool_key *key)
{
	struct pw_watched *pool;

	HASH_FIND(hh, pools->pools, key, sizeof(*key), pool);
	return pool;
}

/* The number of watched pools of its source in its namespace. */
static size_t *watched_of(struct pw_watched *pool)
{
	return &pool->ns->sources[pw_kind_source(pool->key.kind)].watched;
}

struct pw_watched *pw_pools_add(struct pw_pools *pools, struct pw_watched_ns *ns, const struct pw_pool_key *key)
{
	uint32_t index[PW_POOL_INDEX_MAX];
	size_t len = pw_pool_index(key, index), mine = 0;
	struct pw_watched *pool;

	for (int id = 0; id < PW_SOURCES; id++)
		mine += ns->sources[id].watched;
	/* pools of other namespaces have a quarter, divided between them */
	if (mine >= (ns->index == OWN_NS ? pools->max : pw_share_of(pools->max / 4, pools->others - mine)))
		return NULL;
	pool = calloc(1, sizeof(*pool) + len * sizeof(*index));
	if (pool == NULL)
		return NULL;
	pool->key = *key;
	pool->ns = ns;
	pool->result.state = pool->previous = pool->posted = PW_STATE_NORMAL;
	pool->result.reason = PW_REASON_NONE;
	pool->trend.time_to_exhaustion = PW_NOT_IN_SIGHT;
	pool->position = PW_NO_POSITION;
	pool->index_len = len;
	memcpy(pool->index, index, len * sizeof(*index));
	HASH_ADD(hh, pools->pools, key, sizeof(pool->key), pool);
	if (pw_pools_find(pools, key) == NULL) { /* the table could not grow */
		free(pool);
		return NULL;
	}
	*watched_of(pool) += 1;
	pools->others += ns->index != OWN_NS;
	return pool;
}

void pw_pools_remove(struct pw_pools *pools, struct pw_watched *pool)
{
	HASH_DELETE(hh, pools->pools, pool);
	*watched_of(pool) -= 1;
	pools->others -= pool->ns->index != OWN_NS;
	LL_PREPEND2(pools->removed, pool, next_removed);
}

static void free_pool(struct pw_watched *pool)
{
	pw_history_free(pool->history);
	free(pool);
}

void pw_pools_sweep(struct pw_pools *pools)
{
	struct pw_watched *pool, *next;
	struct pw_watched_ns *ns, *next_ns;

	LL_FOREACH_SAFE2(pools->removed, pool, next, next_removed)
	free_pool(pool);
	LL_FOREACH_SAFE2(pools->removed_ns, ns, next_ns, next_removed)
	free_ns(pools, ns);
	pools->removed = NULL;
	pools->removed_ns = NULL;
}

/* Takes the tables away at once; the chains in order of insertion stay for a last walk. */
void pw_pools_clear(struct pw_pools *pools)
{
	struct pw_watched *pool = pools->pools, *next_pool;
	struct pw_watched_ns *ns = pools->namespaces, *next_ns;

	pw_pools_sweep(pools);
	HASH_CLEAR(hh, pools->pools);
	HASH_CLEAR(hh, pools->namespaces);
	for (; pool != NULL; pool = next_pool) {
		next_pool = pool->hh.next;
		free_pool(pool);
	}
	for (; ns != NULL; ns = next_ns) {
		next_ns = ns->hh.next;
		free_ns(pools, ns);
	}
	pw_share_clear(&pools->log);
}

void pw_watched_apply_policy(const struct pw_monitor *m, struct pw_watched *pool)
{
	pool->rule = pw_policy_rule(m->policy, &pool->key, pool->ns->name);
	pool->ignored = pw_policy_ignores(m->policy, &pool->key, pool->ns->name);
}

const struct pw_trend *pw_watched_trend(struct pw_watched *pool)
{
	if (pool->trend_poll == pool->poll)
		return &pool->trend;
	pool->trend = pw_history_trend(pool->history);
	if (pool->counts.free == 0)
		pool->trend.time_to_exhaustion = 0;
	pool->trend_poll = pool->poll;
	return &pool->trend;
}

/* --- orders ------------------------------------------------------------------------------------------------------- */

int pw_watched_compare(const void *a, const void *b)
{
	const struct pw_watched *x = *(struct pw_watched *const *)a, *y = *(struct pw_watched *const *)b;

	return pw_index_compare(x->index, x->index_len, y->index, y->index_len);
}

int pw_ranked_compare(const void *a, const void *b)
{
	const struct pw_ranked *x = a, *y = b;

	if (x->rank != y->rank)
		return x->rank > y->rank ? -1 : 1;
	return pw_watched_compare(&x->pool, &y->pool);
}

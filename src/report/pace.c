/* SPDX-License-Identifier: BSD-2-Clause */
#include "report/pace.h"

#include <stdbool.h>
#include <stdlib.h>
#include <uthash.h>

/* How far back a comparison goes, and the least distance of two samples in the memory. */
#define WINDOW_MS 60000
#define SPACING_MS 1000
#define SAMPLES (WINDOW_MS / SPACING_MS + 2)

/* Below this distance nothing is said: a single connection would pass for hundreds a minute. */
#define MIN_MS 1000

struct sample {
	uint64_t ms;
	uint32_t free;
};

struct pool {
	struct pw_pool_key key;
	struct sample samples[SAMPLES]; /* a ring */
	unsigned newest, n;
	uint64_t seen_ms; /* the last poll that had it */
	struct sample now;
	UT_hash_handle hh;
};

struct pw_pace {
	struct pool *pools;
};

struct pw_pace *pw_pace_new(void)
{
	return calloc(1, sizeof(struct pw_pace));
}

static void forget(struct pw_pace *pace, uint64_t seen_before_ms)
{
	struct pool *next;

	for (struct pool *pool = pace->pools; pool != NULL; pool = next) {
		next = pool->hh.next;
		if (pool->seen_ms >= seen_before_ms)
			continue;
		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): uthash frees its table with the last item only */
		HASH_DEL(pace->pools, pool);
		free(pool);
	}
}

void pw_pace_free(struct pw_pace *pace)
{
	if (pace == NULL)
		return;
	forget(pace, UINT64_MAX);
	free(pace);
}

static struct pool *find(const struct pw_pace *pace, const struct pw_pool_key *key)
{
	struct pool *pool;

	HASH_FIND(hh, pace->pools, key, sizeof(*key), pool);
	return pool;
}

static struct pool *add_pool(struct pw_pace *pace, const struct pw_pool_key *key)
{
	struct pool *pool = calloc(1, sizeof(*pool));

	if (pool == NULL)
		return NULL;
	pool->key = *key;
	HASH_ADD(hh, pace->pools, key, sizeof(pool->key), pool);
	return pool;
}

static void add_sample(struct pool *pool, struct sample sample)
{
	pool->now = sample;
	pool->seen_ms = sample.ms;
	if (pool->n > 0 && sample.ms - pool->samples[pool->newest].ms < SPACING_MS)
		return;
	pool->newest = (pool->newest + 1) % SAMPLES;
	pool->samples[pool->newest] = sample;
	pool->n += pool->n < SAMPLES;
}

void pw_pace_add(struct pw_pace *pace, const struct pw_snapshot *snapshot, uint64_t now_ms)
{
	for (size_t i = 0; i < snapshot->n_pools; i++) {
		const struct pw_pool_row *row = &snapshot->pools[i];
		struct pool *pool = find(pace, &row->key);

		if (pool == NULL)
			pool = add_pool(pace, &row->key);
		if (pool != NULL)
			add_sample(pool, (struct sample){.ms = now_ms, .free = row->counts.free});
	}
	forget(pace, now_ms);
}

/* The oldest sample that is at most WINDOW_MS old, or the one before it where polls are further apart. */
static const struct sample *reference(const struct pool *pool)
{
	const struct sample *found = &pool->now;

	for (unsigned i = 0; i < pool->n; i++) {
		found = &pool->samples[(pool->newest + SAMPLES - i) % SAMPLES];
		if (pool->now.ms - found->ms >= WINDOW_MS)
			break;
	}
	return found;
}

static struct pw_growth pace_of(const struct pool *pool)
{
	const struct sample *then = reference(pool);
	int64_t span_ms = (int64_t)(pool->now.ms - then->ms), lost = (int64_t)then->free - pool->now.free;
	struct pw_growth growth = {.left_s = PW_NOT_IN_SIGHT};

	if (span_ms < MIN_MS)
		return growth;
	growth.per_minute = (int32_t)(lost * 60000 / span_ms);
	if (lost > 0)
		growth.left_s = (uint32_t)(pool->now.free * span_ms / lost / 1000);
	return growth;
}

struct pw_growth pw_pace_growth(const struct pw_pace *pace, const struct pw_pool_row *row)
{
	const struct pool *pool = pace != NULL && row->growth == 0 && row->counts.free > 0 ? find(pace, &row->key)
											   : NULL;

	if (pool != NULL)
		return pace_of(pool);
	return (struct pw_growth){.per_minute = row->growth, .left_s = row->time_to_exhaustion};
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "watch/listing.h"

#include <stdlib.h>
#include <string.h>

/* A list of candidates, while they are being chosen from. */
struct candidates {
	struct pw_tracked **pools;
	size_t n;
};

static int by_alarm_index(const void *a, const void *b)
{
	const struct pw_tracked *x = *(struct pw_tracked *const *)a, *y = *(struct pw_tracked *const *)b;

	return (x->alarm_index > y->alarm_index) - (x->alarm_index < y->alarm_index);
}

static int by_index(const void *a, const void *b)
{
	return pw_tracked_compare(*(struct pw_tracked *const *)a, *(struct pw_tracked *const *)b);
}

static int by_badness(const void *a, const void *b)
{
	const struct pw_tracked *x = *(struct pw_tracked *const *)a, *y = *(struct pw_tracked *const *)b;
	int order = pw_tracked_worse(x, y);

	/* between equals rows stay where they are */
	if (order == 0)
		order = (y->position != PW_NO_POSITION) - (x->position != PW_NO_POSITION);
	return order != 0 ? order : pw_tracked_compare(x, y);
}

static int reserve(struct pw_tracked ***array, size_t *size, size_t n)
{
	struct pw_tracked **bigger;

	if (n <= *size)
		return 0;
	n += n / 4 + 64;
	bigger = realloc(*array, n * sizeof(*bigger));
	if (bigger == NULL)
		return -1;
	*array = bigger;
	*size = n;
	return 0;
}

static void list(struct pw_listing *listing, struct candidates *from, size_t max)
{
	for (size_t i = 0; i < from->n && i < max; i++) {
		from->pools[i]->listed = true;
		listing->pools[listing->n++] = from->pools[i];
	}
}

/* Alarms that have a row keep it: the oldest come first. */
static void list_alarms(struct pw_listing *listing, struct candidates *alarms, uint32_t max_alarms)
{
	qsort(alarms->pools, alarms->n, sizeof(struct pw_tracked *), by_alarm_index);
	listing->active_alarms = (uint32_t)alarms->n;
	listing->n_alarms = alarms->n < max_alarms ? alarms->n : max_alarms;
	list(listing, alarms, max_alarms);
}

static void list_others(struct pw_listing *listing, struct candidates *others, size_t max_rows)
{
	if (others->n > max_rows)
		qsort(others->pools, others->n, sizeof(struct pw_tracked *), by_badness);
	list(listing, others, max_rows);
}

static void place(struct pw_listing *listing)
{
	qsort(listing->pools, listing->n, sizeof(struct pw_tracked *), by_index);
	for (size_t i = 0; i < listing->n; i++)
		listing->pools[i]->position = (uint32_t)i;
}

int pw_listing_choose(struct pw_listing *listing, struct pw_tracker *tracker, const struct pw_policy *policy,
	uint32_t epoch, uint64_t now_ms)
{
	size_t n = HASH_COUNT(tracker->pools), n_exact;
	struct candidates alarms = {0}, others = {0};
	struct pw_tracked *pool, *next;

	if (reserve(&listing->pools, &listing->size, 2 * n + 1) < 0 ||
		reserve(&listing->alarms, &listing->alarms_size, n + 1) < 0)
		return -1;
	listing->n = 0;
	listing->omitted = 0;
	alarms.pools = listing->alarms;
	others.pools = listing->pools + n; /* behind the room for all that can be chosen */
	HASH_ITER(hh, tracker->pools, pool, next)
	{
		pool->listed = false;
		if (pw_tracked_alarmed(pool))
			alarms.pools[alarms.n++] = pool;
		else if (pool->exact_epoch == epoch)
			list(listing, &(struct candidates){.pools = &pool, .n = 1}, 1);
		else
			others.pools[others.n++] = pool;
	}
	n_exact = listing->n;
	list_alarms(listing, &alarms, policy->max_alarms);
	list_others(listing, &others, policy->max_rows > n_exact ? policy->max_rows - n_exact : 0);
	HASH_ITER(hh, tracker->pools, pool, next)
	{
		pool->position = PW_NO_POSITION;
		listing->omitted += !pool->listed && (pw_tracked_alarmed(pool) || pool->worthy_ms == now_ms);
	}
	place(listing);
	return 0;
}

void pw_listing_clear(struct pw_listing *listing)
{
	free(listing->pools);
	free(listing->alarms);
	memset(listing, 0, sizeof(*listing));
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "watch/snapshot.h"

#include <netinet/in.h>
#include <stdatomic.h>
#include <stdlib.h>

struct shared {
	struct pw_snapshot snapshot; /* first: readers know nothing but this */
	atomic_uint references;
	struct pw_arena arena;
};

struct pw_snapshot *pw_snapshot_new(struct pw_arena **arena)
{
	struct shared *shared = calloc(1, sizeof(*shared));

	if (shared == NULL)
		return NULL;
	atomic_init(&shared->references, 1);
	*arena = &shared->arena;
	return &shared->snapshot;
}

/* Counting readers changes nothing that they can see, so a const snapshot allows it. */
static struct shared *shared_of(const struct pw_snapshot *snapshot)
{
	return (struct shared *)(uintptr_t)snapshot;
}

const struct pw_snapshot *pw_snapshot_ref(const struct pw_snapshot *snapshot)
{
	atomic_fetch_add_explicit(&shared_of(snapshot)->references, 1, memory_order_relaxed);
	return snapshot;
}

void pw_snapshot_unref(const struct pw_snapshot *snapshot)
{
	struct shared *shared = shared_of(snapshot);

	if (snapshot == NULL || atomic_fetch_sub_explicit(&shared->references, 1, memory_order_acq_rel) != 1)
		return;
	pw_arena_free(&shared->arena);
	free(shared);
}

const struct pw_pool_row *pw_snapshot_worst(const struct pw_snapshot *snapshot)
{
	const struct pw_pool_row *first = snapshot->n_top != 0 ? &snapshot->pools[snapshot->top[0]] : NULL;

	if (first != NULL && first->key.kind == PW_KIND_BIND && first->key.protocol == IPPROTO_TCP &&
		!pw_row_has_threshold(first) && first->state == PW_STATE_NORMAL)
		return NULL; /* it can't alarm */
	return first;
}

const struct pw_ns_row *pw_snapshot_ns(const struct pw_snapshot *snapshot, uint32_t index)
{
	for (size_t i = 0; i < snapshot->n_namespaces; i++)
		if (snapshot->namespaces[i].index == index)
			return &snapshot->namespaces[i];
	return NULL;
}

/* The first row whose index is not less than (or, with `after`, greater than) the given one. */
static size_t search(const struct pw_snapshot *snapshot, const uint32_t *index, size_t len, bool after)
{
	size_t low = 0, high = snapshot->n_pools;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct pw_pool_row *row = &snapshot->pools[middle];
		int order = pw_index_compare(row->index, row->index_len, index, len);

		if (order < 0 || (after && order == 0))
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

size_t pw_snapshot_pool_after(const struct pw_snapshot *snapshot, const uint32_t *index, size_t len)
{
	return search(snapshot, index, len, true);
}

const struct pw_pool_row *pw_snapshot_pool(const struct pw_snapshot *snapshot, const uint32_t *index, size_t len)
{
	size_t at = search(snapshot, index, len, false);
	const struct pw_pool_row *row;

	if (at == snapshot->n_pools)
		return NULL;
	row = &snapshot->pools[at];
	return pw_index_compare(row->index, row->index_len, index, len) == 0 ? row : NULL;
}

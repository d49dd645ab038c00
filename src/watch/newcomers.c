/* SPDX-License-Identifier: BSD-2-Clause */
#include "watch/newcomers.h"

#include <stdbool.h>
#include <stdlib.h>

int pw_newcomers_reset(struct pw_newcomers *newcomers, size_t max)
{
	newcomers->n = newcomers->max = 0;
	newcomers->refused = 0;
	if (max > newcomers->size) {
		pw_newcomers_clear(newcomers);
		newcomers->heap = calloc(max, sizeof(*newcomers->heap));
		if (newcomers->heap == NULL)
			return -1;
		newcomers->size = max;
	}
	newcomers->max = max;
	return 0;
}

/* The key decides between equals, so that the same pools win whatever their order. */
static bool is_smaller(const struct pw_newcomer *a, const struct pw_newcomer *b)
{
	if (a->counts.used != b->counts.used)
		return a->counts.used < b->counts.used;
	return pw_pool_key_compare(&a->key, &b->key) > 0;
}

static void sift_up(struct pw_newcomer *heap, size_t at, const struct pw_newcomer *one)
{
	for (; at > 0 && is_smaller(one, &heap[(at - 1) / 2]); at = (at - 1) / 2)
		heap[at] = heap[(at - 1) / 2];
	heap[at] = *one;
}

static void sift_down(struct pw_newcomer *heap, size_t n, const struct pw_newcomer *one)
{
	size_t at = 0, child;

	for (; (child = 2 * at + 1) < n; at = child) {
		child += child + 1 < n && is_smaller(&heap[child + 1], &heap[child]);
		if (!is_smaller(&heap[child], one))
			break;
		heap[at] = heap[child];
	}
	heap[at] = *one;
}

void pw_newcomers_add(
	struct pw_newcomers *newcomers, const struct pw_pool_key *key, const struct pw_pool_counts *counts)
{
	struct pw_newcomer one = {.key = *key, .counts = *counts};

	if (newcomers->n < newcomers->max) {
		sift_up(newcomers->heap, newcomers->n++, &one);
		return;
	}
	newcomers->refused++;
	if (newcomers->n != 0 && is_smaller(&newcomers->heap[0], &one))
		sift_down(newcomers->heap, newcomers->n, &one);
}

void pw_newcomers_clear(struct pw_newcomers *newcomers)
{
	free(newcomers->heap);
	*newcomers = (struct pw_newcomers){0};
}

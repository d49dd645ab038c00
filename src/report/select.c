/* SPDX-License-Identifier: BSD-2-Clause */
#include "report/select.h"

#include <stdlib.h>

/* The order of the daemon's ranks in one number: pools with a threshold in force first, then the most utilized, those
 * with the fewest free ports, with the most used ones. */
static uint64_t badness(bool has_threshold, const struct pw_pool_counts *counts)
{
	uint64_t used_up = counts->free < 65536 ? 65536 - counts->free : 0;

	return (uint64_t)has_threshold << 63 | (uint64_t)counts->utilization << 48 | used_up << 24 |
		(counts->used & 0xffffff);
}

static bool passes(const struct pw_pool_key *key, unsigned state, const struct pw_options *options)
{
	/* namespaces are chosen before the poll, so no name is compared here */
	return (options->states == 0 || (options->states & (1u << state)) != 0) &&
		pw_match_pool(&options->match, key, "");
}

static int by_badness(const void *a, const void *b)
{
	const struct pw_selected *x = a, *y = b;

	if (x->badness != y->badness)
		return x->badness > y->badness ? -1 : 1;
	return x->position < y->position ? -1 : 1;
}

static void select_listed(struct pw_selection *s, const struct pw_options *options)
{
	for (size_t i = 0; i < s->snapshot->n_pools; i++) {
		const struct pw_pool_row *row = &s->snapshot->pools[i];

		if (passes(&row->key, row->state, options))
			s->pools[s->matched++] = (struct pw_selected){
				.position = (uint32_t)i, .badness = badness(pw_row_has_threshold(row), &row->counts)};
	}
}

static void select_unlisted(struct pw_selection *s, const struct pw_options *options)
{
	for (size_t i = 0; s->unlisted != NULL && i < s->unlisted->n; i++) {
		const struct pw_unlisted *pool = &s->unlisted->pools[i];

		if (passes(&pool->key, pool->state, options))
			s->pools[s->matched++] = (struct pw_selected){.position = (uint32_t)(s->snapshot->n_pools + i),
				.badness = badness(pw_unlisted_thresholds(s->unlisted, pool) != NULL, &pool->counts)};
	}
}

int pw_selection_make(struct pw_selection *out, const struct pw_snapshot *snapshot,
	const struct pw_unlisted_list *unlisted, const struct pw_options *options)
{
	size_t most = snapshot->n_pools + (unlisted != NULL ? unlisted->n : 0);

	*out = (struct pw_selection){.snapshot = snapshot, .unlisted = unlisted};
	out->pools = malloc((most + 1) * sizeof(*out->pools));
	if (out->pools == NULL)
		return -1;
	select_listed(out, options);
	select_unlisted(out, options);
	if (options->ranked)
		qsort(out->pools, out->matched, sizeof(*out->pools), by_badness);
	out->n = out->matched < options->top ? out->matched : options->top;
	return 0;
}

void pw_selection_clear(struct pw_selection *selection)
{
	free(selection->pools);
	*selection = (struct pw_selection){0};
}

const struct pw_pool_row *pw_selection_row(const struct pw_selection *selection, size_t i, struct pw_row_buffer *buffer)
{
	const struct pw_snapshot *snapshot = selection->snapshot;
	uint32_t position = selection->pools[i].position;

	if (position < snapshot->n_pools)
		return &snapshot->pools[position];
	return pw_unlisted_row(selection->unlisted, position - snapshot->n_pools, snapshot->poll_ms, buffer);
}

enum pw_state pw_selection_state(const struct pw_selection *selection, size_t i)
{
	const struct pw_snapshot *snapshot = selection->snapshot;
	uint32_t position = selection->pools[i].position;

	if (position < snapshot->n_pools)
		return snapshot->pools[position].state;
	return (enum pw_state)selection->unlisted->pools[position - snapshot->n_pools].state;
}

bool pw_selection_has_threshold(const struct pw_selection *selection, size_t i)
{
	return selection->pools[i].badness >> 63 != 0;
}

const struct pw_ns_row *pw_selection_ns(const struct pw_selection *selection, const struct pw_pool_row *row)
{
	for (size_t i = 0; i < selection->snapshot->n_namespaces; i++)
		if (selection->snapshot->namespaces[i].index == row->key.ns)
			return &selection->snapshot->namespaces[i];
	return NULL;
}

bool pw_row_has_threshold(const struct pw_pool_row *row)
{
	return row->warning_threshold != 0 || row->critical_threshold != 0 || row->free_threshold != 0;
}

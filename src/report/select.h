/* SPDX-License-Identifier: BSD-2-Clause */
/* select.h: which pools are shown, and in which order */
#ifndef PW_REPORT_SELECT_H
#define PW_REPORT_SELECT_H

#include <stddef.h>

#include "watch/snapshot.h"
#include "report/options.h"
#include "report/unlisted.h"

/* A pool that passed the filters. */
struct pw_selected {
	uint64_t badness;  /* the rank is by this */
	uint32_t position; /* in snapshot->pools, and behind these in the unlisted ones */
};

/* The pools of one poll to be shown. Points into the snapshot and the list, of which it owns nothing. */
struct pw_selection {
	const struct pw_snapshot *snapshot;
	const struct pw_unlisted_list *unlisted; /* NULL = none */
	struct pw_selected *pools;               /* `matched` of them, of which the first n are to be shown */
	size_t n;
	size_t matched;
};

/* Chooses by the filters, options->top and options->ranked (the worst first, else the rows of the snapshot in index
 * order and then the unlisted ones). Returns 0, or -1 when out of memory. Release with pw_selection_clear(). */
int pw_selection_make(struct pw_selection *out, const struct pw_snapshot *snapshot,
	const struct pw_unlisted_list *unlisted, const struct pw_options *options);

void pw_selection_clear(struct pw_selection *selection);

/* The i-th pool as a row; it may stand in *buffer, and lives as long as that. */
const struct pw_pool_row *pw_selection_row(
	const struct pw_selection *selection, size_t i, struct pw_row_buffer *buffer);

/* Its state, and whether it has a threshold in force (only then can it alarm), without the cost of making a row. */
enum pw_state pw_selection_state(const struct pw_selection *selection, size_t i);
bool pw_selection_has_threshold(const struct pw_selection *selection, size_t i);

/* The row of pwNamespaceTable that a pool belongs to, or NULL. */
const struct pw_ns_row *pw_selection_ns(const struct pw_selection *selection, const struct pw_pool_row *row);

/* Whether a threshold is in force for the pool of a row. */
bool pw_row_has_threshold(const struct pw_pool_row *row);

#endif

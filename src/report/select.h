/* select.h: which rows of a snapshot are shown, and in which order */
#ifndef PW_REPORT_SELECT_H
#define PW_REPORT_SELECT_H

#include <stddef.h>

#include "model/snapshot.h"
#include "report/options.h"

/* The rows of one poll to be shown. Points into the snapshot, of which it holds no reference. */
struct pw_selection {
	const struct pw_snapshot *snapshot;
	const struct pw_pool_row **rows; /* the worst first (options->ranked), or in index order */
	size_t n;
	size_t matched;                  /* rows that pass the filters, shown or not */
};

/* Chooses by the filters, options->top and options->ranked. A ranked selection takes only rows that are in snapshot->top. Returns
 * 0, or -1 when out of memory. Release with pw_selection_clear(). */
int pw_selection_make(struct pw_selection *out, const struct pw_snapshot *snapshot, const struct pw_options *options);

void pw_selection_clear(struct pw_selection *selection);

/* The row of pwNamespaceTable that a pool belongs to, or NULL. */
const struct pw_ns_row *pw_selection_ns(const struct pw_selection *selection, const struct pw_pool_row *row);

/* Whether the pool has a threshold in force: only such a pool can alarm. */
bool pw_row_has_threshold(const struct pw_pool_row *row);

#endif

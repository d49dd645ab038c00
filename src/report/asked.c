/* SPDX-License-Identifier: BSD-2-Clause */
#include "report/asked.h"

#include "report/report.h"

static bool has_thresholds(const struct pw_options *o)
{
	return o->warning != 0 || o->critical != 0 || o->free_below != 0;
}

void pw_asked_judge(const struct pw_options *o, struct pw_pool_row *row)
{
	const struct pw_pool_counts *c = &row->counts;
	const bool other = row->reason == PW_REASON_FORECAST || row->reason == PW_REASON_FAST_FREE;

	if (!pw_row_has_threshold(row))
		return;
	row->warning_threshold = o->warning != 0 ? o->warning : row->warning_threshold;
	row->critical_threshold = o->critical != 0 ? o->critical : row->critical_threshold;
	row->free_threshold = o->free_below != 0 ? o->free_below : row->free_threshold;
	if (!other) {
		row->state = PW_STATE_NORMAL;
		row->reason = PW_REASON_NONE;
	}
	if (c->free == 0)
		row->state = PW_STATE_EXHAUSTED;
	else if (row->critical_threshold != 0 && c->utilization >= row->critical_threshold)
		row->state = PW_STATE_CRITICAL;
	else if (row->warning_threshold != 0 && c->utilization >= row->warning_threshold)
		row->state = PW_STATE_WARNING;
	else if (c->free < row->free_threshold) {
		row->state = PW_STATE_WARNING;
		row->reason = PW_REASON_FREE;
		return;
	} else
		return;
	row->reason = PW_REASON_UTILIZATION;
}

int pw_asked_read(const char *path, const struct pw_options *o, struct pw_answer *answer, struct pw_error *err)
{
	struct pw_pool_row *rows;

	if (pw_answer_read(path, o->netns, o->n_netns, answer, err) < 0)
		return -1;
	rows = (struct pw_pool_row *)(uintptr_t)answer->snapshot->pools; /* nobody else has it yet */
	for (size_t i = 0; i < answer->snapshot->n_pools && has_thresholds(o); i++)
		pw_asked_judge(o, &rows[i]);
	return 0;
}

/* Whether a pool that is not listed, and so has less than min-used ports, may be at a threshold. */
static bool below_list(const struct pw_snapshot *s, const struct pw_options *o)
{
	const uint32_t least = o->warning != 0 ? o->warning : o->critical;

	for (size_t i = 0; i < s->n_namespaces && s->pools_seen > s->n_pools; i++) {
		const uint32_t capacity = s->namespaces[i].capacity;

		if ((least != 0 && capacity * (uint64_t)least / 100 < s->min_used) ||
			(o->free_below != 0 && capacity < (uint64_t)o->free_below + s->min_used))
			return true;
	}
	return s->min_used == 0 && has_thresholds(o);
}

const char *pw_asked_beyond(const struct pw_answer *answer, const struct pw_options *o)
{
	const struct pw_snapshot *s = answer->snapshot;
	struct pw_selection selection;
	bool none;

	if (s->pools_omitted > 0 && pw_options_filtered(o))
		return "its max-rows leaves out pools";
	if (below_list(s, o))
		return "it does not list pools as small as that";
	if (!o->explain || pw_selection_make(&selection, s, o) < 0)
		return NULL;
	none = selection.matched == 0;
	pw_selection_clear(&selection);
	return none ? "it lists no such pool" : NULL;
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "report/report.h"

#include <stdlib.h>

#include "report/table.h"
#include "report/text.h"
#include "watch/alarm.h"

static int worst_first(const void *a, const void *b)
{
	const struct pw_pool_row *x = *(const struct pw_pool_row *const *)a;
	const struct pw_pool_row *y = *(const struct pw_pool_row *const *)b;
	uint64_t of_x = pw_badness(&x->counts, pw_row_has_threshold(x));
	uint64_t of_y = pw_badness(&y->counts, pw_row_has_threshold(y));

	if (of_x != of_y)
		return of_x > of_y ? -1 : 1;
	return (x > y) - (x < y); /* as the index has them */
}

int pw_selection_make(struct pw_selection *out, const struct pw_snapshot *snapshot, const struct pw_options *options)
{
	*out = (struct pw_selection){.snapshot = snapshot};
	out->rows = malloc((snapshot->n_pools + 1) * sizeof(*out->rows));
	if (out->rows == NULL)
		return -1;
	for (size_t i = 0; i < snapshot->n_pools; i++) {
		const struct pw_pool_row *row = &snapshot->pools[i];

		/* namespaces are chosen before the poll, so no name is compared here */
		if ((options->states == 0 || (options->states & (1u << row->state)) != 0) &&
			pw_match_pool(&options->match, &row->key, ""))
			out->rows[out->matched++] = row;
	}
	if (options->ranked)
		qsort(out->rows, out->matched, sizeof(struct pw_pool_row *), worst_first);
	out->n = out->matched < options->top ? out->matched : options->top;
	return 0;
}

void pw_selection_clear(struct pw_selection *selection)
{
	free(selection->rows);
	*selection = (struct pw_selection){0};
}

char *pw_report_failed_ago(const struct pw_report *report, const struct pw_pool_row *row, char buf[PW_TEXT_SHORT_MAX])
{
	uint64_t age = report->now_ms > row->failed_ms ? (report->now_ms - row->failed_ms) / 1000 : 0;

	return pw_text_duration(row->failed_ms != 0 && age < PW_NOT_IN_SIGHT ? (uint32_t)age : PW_NOT_IN_SIGHT, buf);
}

const struct pw_ns_notes *pw_report_notes(const struct pw_report *report, uint32_t ns)
{
	static const struct pw_ns_notes nothing = {.name = "", .error = ""};

	for (size_t i = 0; i < report->n_notes; i++)
		if (report->notes[i].ns == ns)
			return &report->notes[i];
	return &nothing;
}

char *pw_report_source(const struct pw_report *report, char *buf, size_t size)
{
	char age[PW_TEXT_SHORT_MAX];

	buf[0] = '\0';
	if (report->daemon != NULL)
		snprintf(buf, size, "from portwatchd, %s ago", pw_text_age(report->daemon->age_ms, age));
	else if (report->aside != NULL)
		snprintf(buf, size, "own look, not from portwatchd (%s)", report->aside);
	else if (report->unheard != NULL)
		snprintf(buf, size, "own look, not from portwatchd");
	return buf;
}

int pw_report_print(FILE *out, const struct pw_report *report, const struct pw_options *options,
	const struct pw_view *view, int *status)
{
#define PRINT(name, repeats, help) \
	case PW_FORMAT_##name: return pw_##name##_print(out, report);
	switch (options->format) {
		PW_FORMATS(PRINT)
	case PW_FORMAT_CHECK: *status = pw_check_print(out, report); break;
	case PW_FORMAT_TABLE:
		if (options->explain)
			pw_explain_print(out, report, view);
		else if (options->alarms)
			pw_alarms_print(out, report, view);
		else if (options->events)
			pw_events_print(out, report, options, view);
		else if (pw_table_print(out, report, view) < 0)
			return -1;
	}
	return fflush(out);
#undef PRINT
}

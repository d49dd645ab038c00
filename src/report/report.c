/* SPDX-License-Identifier: BSD-2-Clause */
#include "report/report.h"

#include "report/check.h"
#include "report/explain.h"
#include "report/json.h"
#include "report/openmetrics.h"
#include "report/table.h"

const struct pw_facts *pw_report_facts(const struct pw_report *report, uint32_t ns)
{
	static const struct pw_facts nothing = {.name = "", .error = "", .timestamps = true};

	for (size_t i = 0; i < report->n_facts; i++)
		if (report->facts[i].ns == ns)
			return &report->facts[i];
	return &nothing;
}

int pw_report_print(FILE *out, const struct pw_report *report, const struct pw_options *options,
	const struct pw_view *view, int *status)
{
	if (options->format == PW_FORMAT_JSON)
		return pw_json_print(out, &report->selection, report->now_ms, report->wall);
	if (options->format == PW_FORMAT_OPENMETRICS) {
		const struct pw_context context = {
			.snapshot = report->selection.snapshot, .now_ms = report->now_ms, .wall = report->wall};

		return pw_openmetrics_print(out, &report->selection, &context, false);
	}
	if (options->format == PW_FORMAT_CHECK) {
		*status = pw_check_print(out, &report->selection);
		return fflush(out);
	}
	if (options->explain) {
		pw_explain_print(out, report, view);
		return fflush(out);
	}
	if (pw_table_print(out, report, view) < 0)
		return -1;
	return fflush(out);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* Fuzzes what is read at the socket of portwatchd, and what a restart reads of its events: whoever answers there, the command must neither
 * crash nor print rows that point nowhere. Input: a byte that says whether one namespace is asked for, then the document. */
#include <stdio.h>
#include <stdlib.h>

#include "report/asked.h"
#include "report/report.h"
#include "report/table.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int condition)
{
	if (!condition)
		abort();
}

static void check_texts(const struct pw_answer *answer)
{
	const struct pw_snapshot *s = answer->snapshot;

	for (size_t i = 0; i < s->n_pools; i++) {
		const struct pw_pool_row *row = &s->pools[i];

		must(row->name != NULL && row->owner != NULL && row->label != NULL && row->local_text != NULL &&
			row->remote_text != NULL);
		must(row->history.n == 0 || row->history.numbers != NULL);
	}
	for (size_t i = 0; i < s->n_alarms; i++)
		must(s->alarms[i].pool < s->n_pools);
	for (size_t i = 0; i < s->n_top; i++)
		must(s->top[i] < s->n_pools);
}

/* Everything that is printed of an answer. */
static void print_all(const struct pw_answer *answer)
{
	struct pw_options o = {.top = 100, .ranked = true, .watch_ms = 1000};
	struct pw_report report = {.daemon = answer, .beside = answer, .watching = true};
	const struct pw_view view = {.width = 80, .height = 24, .unicode = true, .fine_bars = true};
	FILE *out = fopen("/dev/null", "w");
	int status;

	must(out != NULL && pw_selection_make(&report.selection, answer->snapshot, &o) == 0);
	report.wall = answer->context.wall;
	report.now_ms = answer->context.now_ms;
	pw_report_print(out, &report, &o, &view, &status);
	for (o.format = PW_FORMAT_json; o.format <= PW_FORMAT_CHECK; o.format++)
		pw_report_print(out, &report, &o, &view, &status);
	o.format = PW_FORMAT_TABLE;
	o.explain = true;
	pw_asked_beyond(answer, &o);
	pw_report_print(out, &report, &o, &view, &status);
	o.explain = false;
	o.alarms = true;
	pw_report_print(out, &report, &o, &view, &status);
	o.alarms = false;
	o.events = true;
	pw_report_print(out, &report, &o, &view, &status);
	pw_selection_clear(&report.selection);
	fclose(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const names[] = {"blue"};
	struct pw_answer answer;
	struct pw_error err = {.text = ""};

	if (size < 1)
		return 0;
	if (pw_answer_parse((const char *)data + 1, size - 1, names, data[0] & 1, &answer, &err) < 0) {
		must(err.text[0] != '\0' && answer.snapshot == NULL && answer.events == NULL);
		return 0;
	}
	check_texts(&answer);
	print_all(&answer);
	pw_snapshot_unref(answer.snapshot);
	free(answer.events);
	return 0;
}

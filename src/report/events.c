/* SPDX-License-Identifier: BSD-2-Clause */
#include "report/report.h"

#include <string.h>

#include "report/text.h"

static void print_line(FILE *out, const struct pw_view *view, struct timespec time, const char *text)
{
	char stamp[32], safe[PW_EVENT_TEXT_MAX], line[PW_EVENT_TEXT_MAX + 64];
	struct tm tm;

	localtime_r(&time.tv_sec, &tm);
	strftime(stamp, sizeof(stamp), "%Y-%m-%d %H:%M:%S", &tm);
	snprintf(line, sizeof(line), "%s %s", stamp, pw_text_safe(text, view->unicode, safe, sizeof(safe)));
	pw_text_wrap(out, line, view->width, "", "    ");
}

void pw_alarms_print(FILE *out, const struct pw_report *report, const struct pw_view *view)
{
	const struct pw_snapshot *snapshot = report->selection.snapshot;
	char text[PW_EVENT_TEXT_MAX];
	size_t printed = 0;

	for (size_t i = 0; i < snapshot->n_alarms; i++) {
		const struct pw_alarm_row *alarm = &snapshot->alarms[i];
		const struct pw_pool_row *pool = &snapshot->pools[alarm->pool];
		const char *label = pool->label;
		size_t at = 0;

		while (at < report->selection.matched && report->selection.rows[at] != pool)
			at++;
		if (at == report->selection.matched)
			continue;
		snprintf(text, sizeof(text), "%s %u%% %s%s%s%s, %u of %u ports free%s%s",
			pw_state_name(alarm->severity), pool->counts.utilization, pool->name,
			label[0] != '\0' ? " (" : "", label, label[0] != '\0' ? ")" : "", pool->counts.free,
			pool->counts.capacity, pool->owner[0] != '\0' ? ", owner " : "", pool->owner);
		print_line(out, view, alarm->since, text);
		printed++;
	}
	if (printed == 0)
		fprintf(out, "%sNo alarm is active.\n", view->width == 0 ? "# " : "");
}

void pw_events_print(
	FILE *out, const struct pw_report *report, const struct pw_options *options, const struct pw_view *view)
{
	const struct pw_match *match = &options->match;
	bool filtered = match->kinds != 0 || match->protocols != 0 || match->n_local != 0 || match->n_remote != 0 ||
		match->n_ports != 0;
	char text[PW_EVENT_TEXT_MAX];
	size_t printed = 0;

	for (size_t i = 0; i < report->daemon->n_events; i++) {
		const struct pw_event *event = &report->daemon->events[i];

		if ((filtered && (event->key.kind == 0 || !pw_match_pool(match, &event->key, ""))) ||
			(options->states != 0 && (options->states & (1u << event->state)) == 0))
			continue;
		print_line(out, view, event->time, pw_event_text(event, text, sizeof(text)));
		printed++;
	}
	if (printed == 0)
		fprintf(out, "%sNo event %s.\n", view->width == 0 ? "# " : "",
			report->daemon->n_events > 0 ? "passes the filters" : "is known");
}

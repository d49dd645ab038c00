/* SPDX-License-Identifier: BSD-2-Clause */
#include "report/table.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "report/text.h"

/* Namespaces of which it is said what is not known. */
#define MAX_NOTES 4

/* Namespaces with a line of their own above the table on a terminal. */
#define MAX_NAMESPACES 3

/* A line of the summary is put together from parts, which are never broken. */
struct parts {
	char text[6][160];
	size_t n;
};

static void add_part(struct parts *parts, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void add_part(struct parts *parts, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(parts->text[parts->n], sizeof(parts->text[0]), format, args);
	va_end(args);
	parts->n++;
}

static void print_parts(FILE *out, const struct pw_layout *l, const struct parts *parts)
{
	const char *between = l->plain ? "; " : l->view->unicode ? " · " : " | ";
	size_t column = 0;

	for (size_t i = 0; i < parts->n; i++) {
		size_t width = pw_text_width(parts->text[i]);

		if (i > 0 && !l->plain && column + 3 + width > l->view->width) {
			fputc('\n', out);
			column = 0;
		} else if (i > 0) {
			fputs(between, out);
			column += 3;
		}
		fprintf(out, "%s%s", i == 0 && l->plain ? "# " : "", parts->text[i]);
		column += width;
	}
	fputc('\n', out);
}

/* Those that could not be read have a note instead. On a terminal 50 containers leave room for the table. */
static void print_namespaces(FILE *out, const struct pw_layout *l)
{
	const struct pw_snapshot *snapshot = l->report->selection.snapshot;
	size_t readable = 0;
	char name[64];

	for (size_t i = 0; i < snapshot->n_namespaces; i++) {
		const struct pw_ns_row *ns = &snapshot->namespaces[i];
		struct parts parts = {.n = 0};

		if (ns->high == 0 || (readable++ >= MAX_NAMESPACES && !l->plain))
			continue;
		if (ns->name[0] != '\0')
			add_part(&parts, "namespace %s", pw_text_safe(ns->name, l->view->unicode, name, sizeof(name)));
		add_part(&parts, "ports %u-%u", ns->low, ns->high);
		if (ns->reserved > 0)
			add_part(
				&parts, "%u usable (%u reserved, %u blocked)", ns->capacity, ns->reserved, ns->blocked);
		else
			add_part(&parts, "%u usable (%u blocked)", ns->capacity, ns->blocked);
		add_part(&parts, "TCP %u (%u closed)", ns->tcp + ns->tcp_time_wait, ns->tcp_time_wait);
		add_part(&parts, "UDP %u", ns->udp);
		print_parts(out, l, &parts);
	}
	if (readable > MAX_NAMESPACES && !l->plain)
		fprintf(out, "and %zu more namespaces\n", readable - MAX_NAMESPACES);
}

static void print_clock(FILE *out, const struct pw_layout *l)
{
	const struct pw_snapshot *snapshot = l->report->selection.snapshot;
	struct parts parts = {.n = 0};
	char stamp[32], source[128];
	struct tm tm;

	localtime_r(&l->report->wall.tv_sec, &tm);
	strftime(stamp, sizeof(stamp), "%Y-%m-%d %H:%M:%S", &tm);
	if (pw_report_source(l->report, source, sizeof(source))[0] != '\0')
		add_part(&parts, "%s", source);
	add_part(&parts, "%s", stamp);
	add_part(&parts, "every %g s", snapshot->poll_interval_ms / 1000.0);
	/* there is no room for both in 80 columns */
	if (source[0] == '\0' || l->plain || l->view->width >= 100)
		add_part(&parts, "poll took %.1f ms", snapshot->poll_duration_us / 1000.0);
	if (l->view->height > 0)
		add_part(&parts, "q quits");
	print_parts(out, l, &parts);
}

/* Of labels with several pools: that of one is in its row. A small screen is the table's. */
static void print_labels(FILE *out, const struct pw_layout *l)
{
	const struct pw_snapshot *snapshot = l->report->selection.snapshot;
	size_t room = l->plain ? SIZE_MAX : l->view->height == 0 || l->view->height >= 24 ? MAX_NAMESPACES : 0;
	char name[64];

	for (size_t i = 0; i < snapshot->n_labels && room > 0; i++) {
		const struct pw_label_row *row = &snapshot->labels[i];
		struct parts parts = {.n = 0};

		if (row->pools < 2)
			continue;
		room--;
		add_part(&parts, "label %s", pw_text_safe(row->name, l->view->unicode, name, sizeof(name)));
		add_part(&parts, "%u pools", row->pools);
		add_part(&parts, "%llu of %llu ports free", (unsigned long long)row->free,
			(unsigned long long)row->capacity);
		add_part(&parts, "worst %u%%", row->worst_utilization);
		print_parts(out, l, &parts);
	}
}

void pw_print_summary(FILE *out, const struct pw_layout *l)
{
	const struct pw_selection *selection = &l->report->selection;
	char name[PW_CELL_MAX], text[PW_CELL_MAX + 64];

	if (l->report->watching || l->report->daemon != NULL || l->report->aside != NULL || l->report->unheard != NULL)
		print_clock(out, l);
	print_namespaces(out, l);
	print_labels(out, l);
	if (selection->n == 0)
		return;
	pw_table_name(l, selection->rows[0], name, sizeof(name));
	snprintf(text, sizeof(text), "worst %u%% (%s): %s", selection->rows[0]->counts.utilization,
		pw_state_name(selection->rows[0]->state), name);
	pw_text_wrap(out, text, l->view->width, l->plain ? "# " : "", l->plain ? "# " : "  ");
}

static void note(FILE *out, const struct pw_layout *l, const char *format, ...) __attribute__((format(printf, 3, 4)));

static void note(FILE *out, const struct pw_layout *l, const char *format, ...)
{
	char text[1024], safe[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	pw_text_wrap(out, pw_text_safe(text, l->view->unicode, safe, sizeof(safe)), l->view->width,
		l->plain ? "# " : "", l->plain ? "# " : "  ");
}

static void note_rows(FILE *out, const struct pw_layout *l, size_t shown)
{
	const struct pw_selection *selection = &l->report->selection;
	const struct pw_snapshot *snapshot = selection->snapshot;
	const size_t known = snapshot->n_pools;
	const size_t missing = snapshot->pools_seen > known ? snapshot->pools_seen - known : 0;
	char why[96] = "for too few ports";

	if (selection->matched > shown)
		note(out, l, "%zu of %zu pools shown.", shown, selection->matched);
	else if (selection->matched == 0 && known > 0)
		note(out, l, "No pool matches the filters.");
	if (missing == 0) {
		if (known == 0)
			note(out, l, "No pool holds a port.");
		return;
	}
	if (l->report->everything) {
		note(out, l, "Not listed: %zu of %u pools, which hold reserved ports only.", missing,
			snapshot->pools_seen);
		return;
	}
	if (snapshot->pools_omitted >= missing)
		snprintf(why, sizeof(why), "since max-rows is reached");
	else if (snapshot->pools_omitted > 0)
		snprintf(why, sizeof(why), "%u since max-rows is reached, the others for too few ports",
			snapshot->pools_omitted);
	note(out, l, "Not listed: %zu of %u pools, %s. --all shows them.", missing, snapshot->pools_seen, why);
}

void pw_print_notes(FILE *out, const struct pw_layout *l, size_t shown)
{
	const struct pw_snapshot *snapshot = l->report->selection.snapshot;
	size_t notable = 0;

	note_rows(out, l, shown);
	if (l->report->unheard != NULL)
		note(out, l,
			l->report->daemon != NULL ? "portwatchd does not answer: %s."
						  : "portwatchd would tell more: %s.",
			l->report->unheard);
	if (snapshot->n_namespaces != 0 && snapshot->namespaces[0].basis_reason[0] != '\0')
		note(out, l, "Sockets are read by netlink: %s.", snapshot->namespaces[0].basis_reason);
	for (size_t i = 0; i < l->report->n_notes; i++) {
		const struct pw_ns_notes *notes = &l->report->notes[i];
		const bool doubt = notes->unprobed != NULL && notes->ambiguous > 0;
		char of[96] = "";

		bool unknown = false;

		for (int id = 0; id < PW_SOURCES; id++)
			unknown = unknown || notes->unknown[id] != NULL;
		if ((!unknown && notes->error[0] == '\0' && !doubt) || notable++ >= MAX_NOTES)
			continue;
		if (notes->name[0] != '\0')
			snprintf(of, sizeof(of), "Namespace %.64s: ", notes->name);
		if (notes->error[0] != '\0')
			note(out, l, "%s%s", of, notes->error);
		for (int id = 0; id < PW_SOURCES; id++)
			if (notes->unknown[id] != NULL)
				note(out, l, "%sNo %spools: %s.", of, pw_source_traits[id].title, notes->unknown[id]);
		if (doubt)
			note(out, l,
				"%s%u %s in doubt (%s): free can be too high by those that a pool does not use itself.",
				of, notes->ambiguous, notes->ambiguous == 1 ? "port is" : "ports are", notes->unprobed);
	}
	if (notable > MAX_NOTES)
		note(out, l, "And %zu more namespaces with notes like these.", notable - MAX_NOTES);
}

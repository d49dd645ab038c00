#include "report/table.h"

#include <libsmartcols.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "report/text.h"

#define CELL_MAX 512

/* From this width on there is room for the blocked and the fast free ports. */
#define WIDE 110

/* Names below their row are indented by this much. */
#define INDENT "      "

struct layout {
	const struct pw_report *report;
	const struct pw_view *view;
	bool plain;           /* not on a terminal */
	bool wide;
	bool owner;           /* some row has an owner, and all of it fits */
	unsigned bar;         /* width of the bar, 0 = none */
	unsigned name_width;  /* columns for the name within its row */
};

struct column {
	const char *header;
	unsigned width;       /* 0 = as wide as its text */
	int flags;
	bool coloured;        /* by the state */
	bool (*wanted)(const struct layout *layout);
	void (*format)(const struct layout *layout, const struct pw_pool_row *row, char *buf, size_t size);
};

static bool always(const struct layout *l)
{
	(void)l;
	return true;
}

static bool with_bar(const struct layout *l)
{
	return l->bar > 0;
}

static bool when_wide(const struct layout *l)
{
	return l->wide;
}

static bool when_watching(const struct layout *l)
{
	return l->report->watching;
}

static bool with_owner(const struct layout *l)
{
	return l->owner;
}

static void format_utilization(const struct layout *l, const struct pw_pool_row *row, char *buf, size_t size)
{
	(void)l;
	snprintf(buf, size, "%3u%%", row->counts.utilization);
}

/* Only an exhausted pool has a full bar, and only an empty one has none. */
static unsigned bar_units(unsigned utilization, unsigned units)
{
	unsigned filled = utilization * units / 100;

	return utilization > 0 && filled == 0 ? 1 : filled;
}

static void format_bar(const struct layout *l, const struct pw_pool_row *row, char *buf, size_t size)
{
	static const char *const eighths[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
	unsigned steps = l->view->fine_bars ? 8 : l->view->unicode ? 2 : 1;
	unsigned filled = bar_units(row->counts.utilization, l->bar * steps), at = 0;
	size_t len = 0;

	for (; at < filled / steps; at++)
		len += (size_t)snprintf(buf + len, size - len, "%s", l->view->unicode ? "█" : "#");
	if (filled % steps != 0) {
		len += (size_t)snprintf(buf + len, size - len, "%s", eighths[filled % steps * (8 / steps)]);
		at++;
	}
	for (; at < l->bar; at++)
		len += (size_t)snprintf(buf + len, size - len, "%s", l->view->unicode ? " " : ".");
}

static void format_used(const struct layout *l, const struct pw_pool_row *row, char *buf, size_t size)
{
	(void)l;
	snprintf(buf, size, "%5u", row->counts.used);
}

static void format_free(const struct layout *l, const struct pw_pool_row *row, char *buf, size_t size)
{
	(void)l;
	snprintf(buf, size, "%5u", row->counts.free);
}

static void format_time_wait(const struct layout *l, const struct pw_pool_row *row, char *buf, size_t size)
{
	(void)l;
	snprintf(buf, size, "%5u", row->counts.time_wait);
}

static void format_blocked(const struct layout *l, const struct pw_pool_row *row, char *buf, size_t size)
{
	(void)l;
	snprintf(buf, size, "%7u", row->counts.blocked);
}

static void format_fast(const struct layout *l, const struct pw_pool_row *row, char *buf, size_t size)
{
	(void)l;
	snprintf(buf, size, "%5u", row->counts.fast_free);
}

static void format_growth(const struct layout *l, const struct pw_pool_row *row, char *buf, size_t size)
{
	(void)l;
	snprintf(buf, size, row->growth > 0 ? "%+6d" : "%6d", row->growth);
}

static void format_left(const struct layout *l, const struct pw_pool_row *row, char *buf, size_t size)
{
	char text[PW_TEXT_SHORT_MAX];

	(void)l;
	snprintf(buf, size, "%4s", pw_text_duration(row->time_to_exhaustion, text));
}

static void format_state(const struct layout *l, const struct pw_pool_row *row, char *buf, size_t size)
{
	(void)l;
	snprintf(buf, size, "%-9s", pw_state_name(row->state));
}

static void format_owner(const struct layout *l, const struct pw_pool_row *row, char *buf, size_t size)
{
	pw_text_safe(row->owner, l->view->unicode, buf, size);
}

/* The name, and the label that a `pool` section gives it. */
static void full_name(const struct layout *l, const struct pw_pool_row *row, char *buf, size_t size)
{
	size_t len;

	pw_text_safe(row->name, l->view->unicode, buf, size);
	len = strlen(buf);
	if (row->label[0] == '\0' || len + 4 > size)
		return;
	memcpy(buf + len, " (", 2);
	pw_text_safe(row->label, l->view->unicode, buf + len + 2, size - len - 3);
	strcat(buf, ")");
}

static void format_name(const struct layout *l, const struct pw_pool_row *row, char *buf, size_t size)
{
	full_name(l, row, buf, size);
	if (!l->plain && pw_text_width(buf) > l->name_width)
		buf[0] = '\0';
}

static const struct column columns[] = {
	{"UTIL", 4, SCOLS_FL_RIGHT, true, always, format_utilization},
	{"", 0, 0, true, with_bar, format_bar},
	{"USED", 5, SCOLS_FL_RIGHT, false, always, format_used},
	{"FREE", 5, SCOLS_FL_RIGHT, false, always, format_free},
	{"TWAIT", 5, SCOLS_FL_RIGHT, false, always, format_time_wait},
	{"BLOCKED", 7, SCOLS_FL_RIGHT, false, when_wide, format_blocked},
	{"FAST", 5, SCOLS_FL_RIGHT, false, when_wide, format_fast},
	{"+/MIN", 6, SCOLS_FL_RIGHT, false, when_watching, format_growth},
	{"LEFT", 4, SCOLS_FL_RIGHT, false, when_watching, format_left},
	{"STATE", 9, 0, true, always, format_state},
	{"POOL", 0, 0, false, always, format_name},
	{"OWNER", 0, 0, false, with_owner, format_owner},
};
#define N_COLUMNS (sizeof(columns) / sizeof(columns[0]))

/* Columns that the cells of fixed width take, with the blank behind each. */
static unsigned fixed_width(const struct layout *l)
{
	unsigned width = l->bar > 0 ? l->bar + 1 : 0;

	for (size_t i = 0; i < N_COLUMNS; i++)
		if (columns[i].width > 0 && columns[i].wanted(l))
			width += columns[i].width + 1;
	return width;
}

/* The greatest width of a text column among the rows. */
static unsigned longest(const struct layout *l, void (*format)(const struct layout *, const struct pw_pool_row *, char *, size_t))
{
	const struct pw_selection *selection = &l->report->selection;
	char text[CELL_MAX];
	size_t max = 0;

	for (size_t i = 0; i < selection->n; i++) {
		format(l, selection->rows[i], text, sizeof(text));
		max = pw_text_width(text) > max ? pw_text_width(text) : max;
	}
	return (unsigned)max;
}

/* The bar depends on the terminal alone, so that nothing jumps from poll to poll. */
static void lay_out(struct layout *l, const struct pw_report *report, const struct pw_view *view)
{
	unsigned fixed, owner;

	*l = (struct layout){.report = report, .view = view, .plain = view->width == 0};
	l->wide = l->plain || view->width >= WIDE;
	if (l->plain)
		return;
	l->bar = view->width < 60 ? 0 : view->width < 100 ? 8 : view->width < 160 ? 16 : 24;
	fixed = fixed_width(l);
	l->name_width = view->width > fixed ? view->width - fixed : 0;
	if (!l->wide)
		return;
	owner = longest(l, format_owner);
	l->owner = owner > 0 && longest(l, full_name) + 1 + owner <= l->name_width;
	l->name_width -= l->owner ? owner + 1 : 0;
}

static const char *state_colour(enum pw_state state)
{
	switch (state) {
	case PW_STATE_NORMAL:
		return "\033[32m";
	case PW_STATE_WARNING:
		return "\033[33m";
	case PW_STATE_CRITICAL:
		return "\033[31m";
	case PW_STATE_EXHAUSTED:
		break;
	}
	return "\033[1;31m";
}

static int add_row(struct libscols_table *table, const struct layout *l, const struct pw_pool_row *row)
{
	struct libscols_line *line = scols_table_new_line(table, NULL);
	char cell[CELL_MAX];
	size_t at = 0;

	if (line == NULL)
		return -1;
	for (size_t i = 0; i < N_COLUMNS; i++) {
		if (!columns[i].wanted(l))
			continue;
		columns[i].format(l, row, cell, sizeof(cell));
		if (scols_line_set_data(line, at, cell) < 0)
			return -1;
		if (l->view->colour && columns[i].coloured)
			scols_cell_set_color(scols_line_get_cell(line, at), state_colour(row->state));
		at++;
	}
	return 0;
}

/* The table without the names below; one line for each row behind that of the headers. NULL when out of memory. */
static char *table_text(const struct layout *l, size_t rows)
{
	struct libscols_table *table = scols_new_table();
	char *text = NULL;
	int failed = table == NULL;

	if (failed)
		return NULL;
	scols_table_set_termforce(table, SCOLS_TERMFORCE_NEVER);
	scols_table_enable_colors(table, l->view->colour);
	for (size_t i = 0; i < N_COLUMNS && !failed; i++)
		if (columns[i].wanted(l))
			failed = scols_table_new_column(table, columns[i].header, 0, columns[i].flags) == NULL;
	for (size_t i = 0; i < rows && !failed; i++)
		failed = add_row(table, l, l->report->selection.rows[i]) < 0;
	if (failed || scols_print_table_to_string(table, &text) != 0)
		text = NULL;
	scols_unref_table(table);
	return text;
}

/* Whether a row's name stands below it; if so it is written to buf. */
static bool name_below(const struct layout *l, const struct pw_pool_row *row, char *buf, size_t size)
{
	full_name(l, row, buf, size);
	return !l->plain && pw_text_width(buf) > l->name_width;
}

static unsigned count_lines(const char *text)
{
	unsigned lines = 0;

	for (; *text != '\0'; text++)
		lines += *text == '\n';
	return lines;
}

/* In one line where it fits, else broken before the arrow, so that each address stays in one piece. */
static void print_name_below(FILE *out, const struct layout *l, char *name)
{
	char *arrow = strstr(name, " -> ");

	if (arrow != NULL && pw_text_width(INDENT) + pw_text_width(name) > l->view->width) {
		*arrow = '\0';
		pw_text_wrap(out, name, l->view->width, INDENT, INDENT "  ");
		pw_text_wrap(out, arrow + 1, l->view->width, INDENT "  ", INDENT "  ");
		return;
	}
	pw_text_wrap(out, name, l->view->width, INDENT, INDENT "  ");
}

/* How many rows fit into so many lines. */
static size_t rows_that_fit(const struct layout *l, unsigned lines)
{
	const struct pw_selection *selection = &l->report->selection;
	char name[CELL_MAX], *below;
	size_t row, len;
	unsigned used = 0;

	for (row = 0; row < selection->n; row++) {
		used++;
		if (name_below(l, selection->rows[row], name, sizeof(name))) {
			FILE *out = open_memstream(&below, &len);

			if (out == NULL)
				return row;
			print_name_below(out, l, name);
			fclose(out);
			used += count_lines(below);
			free(below);
		}
		if (used > lines)
			break;
	}
	return row;
}

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

static void print_parts(FILE *out, const struct layout *l, const struct parts *parts)
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

static void print_namespace(FILE *out, const struct layout *l, const struct pw_ns_row *ns)
{
	struct parts parts = {.n = 0};
	char name[64];

	if (ns->name[0] != '\0')
		add_part(&parts, "namespace %s", pw_text_safe(ns->name, l->view->unicode, name, sizeof(name)));
	add_part(&parts, "ports %u-%u", ns->low, ns->high);
	if (ns->reserved > 0)
		add_part(&parts, "%u usable (%u reserved, %u blocked)", ns->capacity, ns->reserved, ns->blocked);
	else
		add_part(&parts, "%u usable (%u blocked)", ns->capacity, ns->blocked);
	add_part(&parts, "TCP %u (%u TIME_WAIT)", ns->tcp + ns->tcp_time_wait, ns->tcp_time_wait);
	add_part(&parts, "UDP %u", ns->udp);
	print_parts(out, l, &parts);
}

static void print_clock(FILE *out, const struct layout *l)
{
	const struct pw_snapshot *snapshot = l->report->selection.snapshot;
	struct parts parts = {.n = 0};
	char stamp[32];
	struct tm tm;

	localtime_r(&l->report->wall.tv_sec, &tm);
	strftime(stamp, sizeof(stamp), "%Y-%m-%d %H:%M:%S", &tm);
	add_part(&parts, "%s", stamp);
	add_part(&parts, "every %g s", snapshot->poll_interval_ms / 1000.0);
	add_part(&parts, "poll took %.1f ms", snapshot->poll_duration_us / 1000.0);
	if (l->view->height > 0)
		add_part(&parts, "q quits");
	print_parts(out, l, &parts);
}

static void print_worst(FILE *out, const struct layout *l)
{
	const struct pw_selection *selection = &l->report->selection;
	const struct pw_pool_row *worst = selection->rows[0];
	char name[CELL_MAX], text[CELL_MAX + 64];

	if (selection->n == 0)
		return;
	full_name(l, worst, name, sizeof(name));
	snprintf(text, sizeof(text), "worst %u%% (%s): %s", worst->counts.utilization, pw_state_name(worst->state), name);
	pw_text_wrap(out, text, l->view->width, l->plain ? "# " : "", l->plain ? "# " : "  ");
}

static void print_summary(FILE *out, const struct layout *l)
{
	const struct pw_snapshot *snapshot = l->report->selection.snapshot;

	if (l->report->watching)
		print_clock(out, l);
	for (size_t i = 0; i < snapshot->n_namespaces; i++)
		print_namespace(out, l, &snapshot->namespaces[i]);
	print_worst(out, l);
}

static void note(FILE *out, const struct layout *l, const char *format, ...) __attribute__((format(printf, 3, 4)));

static void note(FILE *out, const struct layout *l, const char *format, ...)
{
	char text[1024], safe[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	pw_text_wrap(out, pw_text_safe(text, l->view->unicode, safe, sizeof(safe)), l->view->width, l->plain ? "# " : "",
		l->plain ? "# " : "  ");
}

static void note_rows(FILE *out, const struct layout *l, size_t shown)
{
	const struct pw_selection *selection = &l->report->selection;
	const struct pw_snapshot *snapshot = selection->snapshot;

	if (selection->matched > shown)
		note(out, l, "%zu of %zu pools shown.", shown, selection->matched);
	else if (selection->matched == 0 && snapshot->n_pools > 0)
		note(out, l, "No pool matches the filters.");
	if (snapshot->pools_seen > snapshot->n_pools)
		note(out, l, "%u pools hold too few ports to be listed: --all shows them.",
			snapshot->pools_seen - (uint32_t)snapshot->n_pools);
	else if (snapshot->n_pools == 0)
		note(out, l, "No pool holds a port.");
}

static void note_facts(FILE *out, const struct layout *l, const struct pw_facts *facts)
{
	char of[96] = "";

	if (facts->name[0] != '\0')
		snprintf(of, sizeof(of), "Namespace %.64s: ", facts->name);
	if (facts->error[0] != '\0')
		note(out, l, "%s%s", of, facts->error);
	if (facts->unprobed != NULL && facts->doubtful > 0)
		note(out, l, "%s%u ports are in doubt and the allocator was not asked (%s): free can be too high by as many.", of,
			facts->doubtful, facts->unprobed);
}

static void print_notes(FILE *out, const struct layout *l, size_t shown)
{
	note_rows(out, l, shown);
	for (size_t i = 0; i < l->report->n_facts; i++)
		note_facts(out, l, &l->report->facts[i]);
}

/* How many rows go on the screen: the summary, an empty line, the headers and the notes need their lines too. */
static size_t rows_shown(const struct layout *l)
{
	char *text = NULL;
	size_t len;
	FILE *out;
	unsigned taken = 0;

	if (l->view->height == 0)
		return l->report->selection.n;
	out = open_memstream(&text, &len);
	if (out == NULL)
		return 0;
	print_summary(out, l);
	print_notes(out, l, 0);
	fclose(out);
	taken = count_lines(text) + 2;
	free(text);
	return rows_that_fit(l, l->view->height > taken ? l->view->height - taken : 0);
}

static void print_rows(FILE *out, const struct layout *l, const char *table, size_t rows)
{
	const char *line = table;
	char name[CELL_MAX];

	for (size_t i = 0; i <= rows; i++) {
		size_t len = strcspn(line, "\n"), visible = len;

		while (visible > 0 && line[visible - 1] == ' ')
			visible--;
		fprintf(out, "%.*s\n", (int)visible, line);
		line += len + (line[len] == '\n');
		if (i > 0 && name_below(l, l->report->selection.rows[i - 1], name, sizeof(name)))
			print_name_below(out, l, name);
	}
}

int pw_table_print(FILE *out, const struct pw_report *report, const struct pw_view *view)
{
	struct layout layout;
	size_t rows;
	char *table;

	lay_out(&layout, report, view);
	rows = rows_shown(&layout);
	print_summary(out, &layout);
	if (rows > 0) {
		table = table_text(&layout, rows);
		if (table == NULL)
			return -1;
		if (!layout.plain)
			fputc('\n', out);
		print_rows(out, &layout, table, rows);
		free(table);
	}
	print_notes(out, &layout, rows);
	return ferror(out) ? -1 : 0;
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "report/table.h"

#include <stdlib.h>
#include <string.h>

#include "report/text.h"
#include "watch/fields.h"
#include "watch/history.h"

/* From this width on there is room for the blocked and the fast free ports. */
#define WIDE 110

/* Owners are measured for a column of their own only among so few rows: the first of 100,000 need not wait for the
 * last. */
#define MEASURED_ROWS 500

/* Names below their row are indented by this much. */
#define INDENT "      "

/* --- columns --- */

/* Only an exhausted pool has a full bar, and only an empty one has none. */
static void format_bar(const struct pw_layout *l, const struct pw_pool_row *row, char *buf, size_t size)
{
	static const char *const eighths[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
	unsigned steps = l->view->fine_bars ? 8 : l->view->unicode ? 2 : 1;
	unsigned filled = row->counts.utilization * l->bar * steps / 100, at = 0;
	size_t len = 0;

	if (row->counts.utilization > 0 && filled == 0)
		filled = 1;
	for (; at < filled / steps; at++)
		len += (size_t)snprintf(buf + len, size - len, "%s", l->view->unicode ? "█" : "#");
	if (filled % steps != 0) {
		len += (size_t)snprintf(buf + len, size - len, "%s", eighths[filled % steps * (8 / steps)]);
		at++;
	}
	for (; at < l->bar; at++)
		len += (size_t)snprintf(buf + len, size - len, "%s", l->view->unicode ? " " : ".");
}

/* "S12,E600,C3,F1": SYN_SENT, ESTABLISHED, CLOSE_WAIT and FIN_WAIT, those that there are. */
static void format_states(const struct pw_pool_row *row, char *buf, size_t size)
{
	const uint32_t counts[] = {
		row->states.syn_sent, row->states.established, row->states.close_wait, row->states.fin_wait};
	int len = 0;

	for (size_t i = 0; i < 4; i++)
		if (counts[i] != 0)
			len += snprintf(
				buf + len, size - (size_t)len, "%s%c%u", len > 0 ? "," : "", "SECF"[i], counts[i]);
	if (len == 0)
		snprintf(buf, size, "-");
}

void pw_table_name(const struct pw_layout *l, const struct pw_pool_row *row, char *buf, size_t size)
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

/* Whether a row's name stands below it; it is written to buf in any case. */
static bool name_below(const struct pw_layout *l, const struct pw_pool_row *row, char *buf, size_t size)
{
	pw_table_name(l, row, buf, size);
	return !l->plain && pw_text_width(buf) > l->name_width;
}

enum wanted { ALWAYS, WITH_BAR, WITH_SPARK, WHEN_WIDE, WITH_HISTORY, WHEN_FAILED, WITH_OWNER };

enum cell { FIELD, UTILIZATION, BAR, SPARK, STATES, GROWTH, LEFT, FAILURES, FAILED_AGO, NAME, OWNER };

struct column {
	const char *header; /* of SPARK NULL: it says how long that is */
	unsigned width;     /* 0 = as wide as its text */
	bool right;         /* aligned */
	bool coloured;      /* by the state */
	enum wanted wanted;
	enum cell cell;
	const char *field; /* whose text it is */
};

static const struct column columns[] = {
	{"UTIL", 4, true, true, ALWAYS, UTILIZATION, NULL},
	{"", 0, false, true, WITH_BAR, BAR, NULL},
	{NULL, 0, false, true, WITH_SPARK, SPARK, NULL},
	{"USED", 5, true, false, ALWAYS, FIELD, "used"},
	{"FREE", 5, true, false, ALWAYS, FIELD, "free"},
	{"TWAIT", 5, true, false, ALWAYS, FIELD, "timeWait"},
	{"BLOCKED", 7, true, false, WHEN_WIDE, FIELD, "blocked"},
	{"FAST", 5, true, false, WHEN_WIDE, FIELD, "fastFree"},
	{"SOCKETS", 12, true, false, WHEN_WIDE, STATES, NULL},
	{"+/MIN", 6, true, false, WITH_HISTORY, GROWTH, NULL},
	{"LEFT", 4, true, false, WITH_HISTORY, LEFT, NULL},
	{"FAILED", 6, true, false, WHEN_FAILED, FAILURES, NULL},
	{"AGO", 4, true, false, WHEN_FAILED, FAILED_AGO, NULL},
	{"STATE", 9, false, true, ALWAYS, FIELD, "state"},
	{"POOL", 0, false, false, ALWAYS, NAME, NULL},
	{"OWNER", 0, false, false, WITH_OWNER, OWNER, NULL},
};
#define N_COLUMNS (sizeof(columns) / sizeof(columns[0]))

static bool is_wanted(const struct pw_layout *l, const struct column *column)
{
	switch (column->wanted) {
	case WITH_BAR: return l->bar > 0;
	case WITH_SPARK: return l->spark > 0;
	case WHEN_WIDE: return l->wide;
	case WITH_HISTORY: return l->report->watching || l->report->daemon != NULL;
	case WHEN_FAILED: return l->failed;
	case WITH_OWNER: return l->owner > 0;
	case ALWAYS: break;
	}
	return true;
}

/* --- layout --- */

/* The bar depends on the terminal alone, so that nothing jumps from poll to poll. Only what fails takes its room. */
static void lay_out(struct pw_layout *l, const struct pw_report *report, const struct pw_view *view)
{
	const struct pw_selection *selection = &report->selection;
	unsigned fixed, owner = 0, name = 0;
	char text[PW_CELL_MAX];

	*l = (struct pw_layout){.report = report, .view = view, .plain = view->width == 0};
	l->wide = l->plain || view->width >= WIDE;
	l->failed = l->plain && report->daemon != NULL;
	for (size_t i = 0; i < selection->n && !l->failed; i++)
		l->failed = selection->rows[i]->failures != 0;
	if (l->plain)
		return;
	l->bar = view->width < 60 ? 0 : view->width < 100 ? 8 : view->width < 160 ? 16 : 24;
	/* two, three or five minutes; a single look has no past, and a daemon's is for those who watch */
	if (report->watching && view->width >= 72)
		l->spark = view->width < 100 ? 12 : view->width < 160 ? 18 : PW_HISTORY_STEPS;
	if (l->spark > 0 && view->width < 130)
		l->bar = view->width < 100 ? 0 : 8; /* names need the room, and the past ends in the present */
	/* columns that the cells of fixed width take, with the blank behind each */
	fixed = (l->bar > 0 ? l->bar + 1 : 0) + (l->spark > 0 ? l->spark + 1 : 0);
	for (size_t i = 0; i < N_COLUMNS; i++)
		if (columns[i].width > 0 && is_wanted(l, &columns[i]))
			fixed += columns[i].width + 1;
	l->name_width = view->width > fixed ? view->width - fixed : 0;
	if (!l->wide || selection->n > MEASURED_ROWS)
		return;
	for (size_t i = 0; i < selection->n; i++) {
		const struct pw_pool_row *row = selection->rows[i];
		unsigned width;

		pw_text_safe(row->owner, l->view->unicode, text, sizeof(text));
		width = (unsigned)pw_text_width(text);
		owner = width > owner ? width : owner;
		pw_table_name(l, row, text, sizeof(text));
		width = (unsigned)pw_text_width(text);
		name = width > name ? width : name;
	}
	if (owner == 0 || name + 1 + owner > l->name_width)
		return;
	l->owner = owner;
	l->name_width = name;
}

/* --- rows --- */

static bool is_harmless(const struct pw_pool_row *row)
{
	return row->state == PW_STATE_NORMAL && !pw_row_has_threshold(row);
}

/* No red against green, which one man in twelve cannot tell apart: cyan, yellow, magenta, bold. A pool that cannot
 * alarm is dim, however full: it does no harm. */
static const char *row_colour(const struct pw_pool_row *row)
{
	if (is_harmless(row))
		return "\033[2m";
	switch (row->state) {
	case PW_STATE_NORMAL: return "\033[36m";
	case PW_STATE_WARNING: return "\033[33m";
	case PW_STATE_CRITICAL: return "\033[35m";
	case PW_STATE_EXHAUSTED: break;
	}
	return "\033[1;35m";
}

/* The text of a cell; of the headers' row where there is no other. */
static void format_cell(
	const struct pw_layout *l, const struct column *column, const struct pw_pool_row *row, char *buf, size_t size)
{
	const struct pw_field *field;
	struct pw_field_value value;
	char text[PW_TEXT_SHORT_MAX];

	if (row == NULL && column->header != NULL)
		snprintf(buf, size, "%s", column->header);
	if (row == NULL && column->header == NULL)
		snprintf(buf, size, "LAST %u MIN", l->spark * PW_HISTORY_STEP_MS / 60000);
	if (row == NULL)
		return;
	switch (column->cell) {
	case FIELD:
		field = pw_field_by_name(&pw_pool_fields, column->field);
		pw_field_read(field, NULL, row, &value);
		if (field->word != NULL)
			snprintf(buf, size, "%s", field->word((unsigned)value.number));
		else
			snprintf(buf, size, "%lld", (long long)value.number);
		break;
	case UTILIZATION: snprintf(buf, size, "%u%%", row->counts.utilization); break;
	case BAR: format_bar(l, row, buf, size); break;
	case SPARK:
		pw_text_sparkline(row->history.numbers, row->history.n, l->spark, l->view->fine_bars, buf, size);
		break;
	case STATES: format_states(row, buf, size); break;
	case GROWTH: snprintf(buf, size, row->recent_growth > 0 ? "%+d" : "%d", row->recent_growth); break;
	case LEFT: snprintf(buf, size, "%s", pw_text_duration(row->recent_time_to_exhaustion, text)); break;
	case FAILURES:
		snprintf(buf, size, row->failures < 1000000 ? "%llu" : "%lluM",
			(unsigned long long)(row->failures < 1000000 ? row->failures : row->failures / 1000000));
		break;
	case FAILED_AGO: snprintf(buf, size, "%s", pw_report_failed_ago(l->report, row, text)); break;
	case NAME:
		if (name_below(l, row, buf, size))
			buf[0] = '\0';
		break;
	case OWNER: pw_text_safe(row->owner, l->view->unicode, buf, size); break;
	}
}

/* Prints a row, or (NULL) the headers, without blanks at the end. */
static void print_row(FILE *out, const struct pw_layout *l, const struct pw_pool_row *row)
{
	char line[2 * PW_CELL_MAX + 512], cell[PW_CELL_MAX];
	size_t len = 0;

	for (size_t i = 0; i < N_COLUMNS; i++) {
		const struct column *column = &columns[i];
		bool coloured = l->view->colour && row != NULL && (column->coloured || is_harmless(row));
		size_t width = column->width, blanks;

		if (!is_wanted(l, column))
			continue;
		if (column->wanted == WITH_BAR || column->wanted == WITH_SPARK)
			width = column->wanted == WITH_BAR ? l->bar : l->spark;
		else if (column->cell == NAME && l->owner > 0)
			width = l->name_width;
		format_cell(l, column, row, cell, sizeof(cell));
		blanks = pw_text_width(cell) < width ? width - pw_text_width(cell) : 0;
		len += (size_t)snprintf(line + len, sizeof(line) - len, "%s%s%*s%s%*s%s", len > 0 ? " " : "",
			coloured ? row_colour(row) : "", column->right ? (int)blanks : 0, "", cell,
			column->right ? 0 : (int)blanks, "", coloured ? "\033[0m" : "");
	}
	while (len > 0 && line[len - 1] == ' ')
		len--;
	fprintf(out, "%.*s\n", (int)len, line);
}

/* The i-th row, with its name below it where that does not fit: in one line, else broken before the arrow, so that each
 * address stays in one piece. */
static void print_pool(FILE *out, const struct pw_layout *l, size_t i)
{
	const struct pw_pool_row *row = l->report->selection.rows[i];
	char name[PW_CELL_MAX], *arrow;

	print_row(out, l, row);
	if (!name_below(l, row, name, sizeof(name)))
		return;
	arrow = strstr(name, " -> ");
	if (arrow != NULL && pw_text_width(INDENT) + pw_text_width(name) <= l->view->width)
		arrow = NULL;
	if (arrow != NULL)
		*arrow = '\0';
	pw_text_wrap(out, name, l->view->width, INDENT, INDENT "  ");
	if (arrow != NULL)
		pw_text_wrap(out, arrow + 1, l->view->width, INDENT "  ", INDENT "  ");
}

/* How many rows go on the screen, of which the summary, an empty line, the headers and the notes take their part. */
static size_t rows_that_fit(const struct pw_layout *l)
{
	size_t n = l->report->selection.n, len, seen = 0, rows = 0;
	unsigned lines = 2;
	char *text = NULL;
	FILE *out;

	if (l->view->height == 0)
		return n;
	out = open_memstream(&text, &len);
	if (out == NULL)
		return 0;
	pw_print_summary(out, l);
	pw_print_notes(out, l, 0);
	while (rows < n) {
		print_pool(out, l, rows);
		if (fflush(out) != 0)
			break;
		for (; seen < len; seen++)
			lines += text[seen] == '\n';
		if (lines > l->view->height)
			break;
		rows++;
	}
	fclose(out);
	free(text);
	return rows;
}

int pw_table_print(FILE *out, const struct pw_report *report, const struct pw_view *view)
{
	struct pw_layout layout;
	size_t rows;

	lay_out(&layout, report, view);
	rows = rows_that_fit(&layout);
	pw_print_summary(out, &layout);
	if (rows > 0) {
		if (!layout.plain)
			fputc('\n', out);
		print_row(out, &layout, NULL);
	}
	for (size_t i = 0; i < rows; i++)
		print_pool(out, &layout, i);
	pw_print_notes(out, &layout, rows);
	return ferror(out) ? -1 : 0;
}

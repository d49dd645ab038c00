/* SPDX-License-Identifier: BSD-2-Clause */
#include "report/table.h"

#include <libsmartcols.h>
#include <stdlib.h>
#include <string.h>

#include "report/columns.h"
#include "report/summary.h"
#include "report/text.h"

/* From this width on there is room for the blocked and the fast free ports. */
#define WIDE 110

/* Rows that are laid out at once. All columns but the last have fixed widths, so that the parts of a long table line up,
 * and the first of 100,000 rows need not wait for the last. */
#define ROWS_AT_ONCE 500

/* Names below their row are indented by this much. */
#define INDENT "      "

/* Columns that the cells of fixed width take, with the blank behind each. */
static unsigned fixed_width(const struct pw_layout *l)
{
	unsigned width = l->bar > 0 ? l->bar + 1 : 0;

	for (size_t i = 0; pw_columns[i].header != NULL; i++)
		if (pw_columns[i].width > 0 && pw_columns[i].wanted(l))
			width += pw_columns[i].width + 1;
	return width;
}

/* The greatest width of a text column among the rows. */
static unsigned longest(const struct pw_layout *l, pw_format_cell *format)
{
	const struct pw_selection *selection = &l->report->selection;
	struct pw_row_buffer buffer;
	char text[PW_CELL_MAX];
	size_t max = 0;

	for (size_t i = 0; i < selection->n; i++) {
		format(l, pw_selection_row(selection, i, &buffer), text, sizeof(text));
		max = pw_text_width(text) > max ? pw_text_width(text) : max;
	}
	return (unsigned)max;
}

/* The bar depends on the terminal alone, so that nothing jumps from poll to poll. */
static void lay_out(struct pw_layout *l, const struct pw_report *report, const struct pw_view *view)
{
	unsigned fixed, owner;

	*l = (struct pw_layout){.report = report, .view = view, .plain = view->width == 0};
	l->wide = l->plain || view->width >= WIDE;
	if (l->plain)
		return;
	l->bar = view->width < 60 ? 0 : view->width < 100 ? 8 : view->width < 160 ? 16 : 24;
	fixed = fixed_width(l);
	l->name_width = view->width > fixed ? view->width - fixed : 0;
	if (!l->wide || report->selection.n > ROWS_AT_ONCE)
		return;
	owner = longest(l, pw_format_owner);
	l->owner = owner > 0 && longest(l, pw_format_full_name) + 1 + owner <= l->name_width;
	l->name_width -= l->owner ? owner + 1 : 0;
}

static const char *state_colour(enum pw_state state)
{
	switch (state) {
	case PW_STATE_NORMAL: return "\033[32m";
	case PW_STATE_WARNING: return "\033[33m";
	case PW_STATE_CRITICAL: return "\033[31m";
	case PW_STATE_EXHAUSTED: break;
	}
	return "\033[1;31m";
}

static int add_row(struct libscols_table *table, const struct pw_layout *l, const struct pw_pool_row *row)
{
	struct libscols_line *line = scols_table_new_line(table, NULL);
	char cell[PW_CELL_MAX];
	size_t at = 0;

	if (line == NULL)
		return -1;
	for (size_t i = 0; pw_columns[i].header != NULL; i++) {
		if (!pw_columns[i].wanted(l))
			continue;
		pw_columns[i].format(l, row, cell, sizeof(cell));
		if (scols_line_set_data(line, at, cell) < 0)
			return -1;
		if (l->view->colour && pw_columns[i].coloured)
			scols_cell_set_color(scols_line_get_cell(line, at), state_colour(row->state));
		at++;
	}
	return 0;
}

/* Rows that are laid out together. */
struct part {
	size_t first, n;
};

/* A part of the table without the names below: a line of headers if it is the first part, and one for each row. NULL when out of
 * memory. */
static char *part_text(const struct pw_layout *l, const struct part *part)
{
	const struct pw_selection *selection = &l->report->selection;
	struct libscols_table *table = scols_new_table();
	struct pw_row_buffer buffer;
	char *text = NULL;
	int failed = table == NULL;

	if (failed)
		return NULL;
	scols_table_set_termforce(table, SCOLS_TERMFORCE_NEVER);
	scols_table_enable_colors(table, l->view->colour);
	scols_table_enable_noheadings(table, part->first > 0);
	for (size_t i = 0; pw_columns[i].header != NULL && !failed; i++)
		if (pw_columns[i].wanted(l))
			failed = scols_table_new_column(table, pw_columns[i].header, 0,
					 pw_columns[i].right ? SCOLS_FL_RIGHT : 0) == NULL;
	for (size_t i = 0; i < part->n && !failed; i++)
		failed = add_row(table, l, pw_selection_row(selection, part->first + i, &buffer)) < 0;
	if (failed || scols_print_table_to_string(table, &text) != 0)
		text = NULL;
	scols_unref_table(table);
	return text;
}

/* Whether a row's name stands below it; if so it is written to buf. */
static bool name_below(const struct pw_layout *l, const struct pw_pool_row *row, char *buf, size_t size)
{
	pw_format_full_name(l, row, buf, size);
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
static void print_name_below(FILE *out, const struct pw_layout *l, char *name)
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
static size_t rows_that_fit(const struct pw_layout *l, unsigned lines)
{
	const struct pw_selection *selection = &l->report->selection;
	struct pw_row_buffer buffer;
	char name[PW_CELL_MAX], *below;
	size_t row, len;
	unsigned used = 0;

	for (row = 0; row < selection->n; row++) {
		used++;
		if (name_below(l, pw_selection_row(selection, row, &buffer), name, sizeof(name))) {
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

/* How many rows go on the screen: the summary, an empty line, the headers and the notes need their lines too. */
static size_t rows_shown(const struct pw_layout *l)
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
	pw_print_summary(out, l);
	pw_print_notes(out, l, 0);
	fclose(out);
	taken = count_lines(text) + 2;
	free(text);
	return rows_that_fit(l, l->view->height > taken ? l->view->height - taken : 0);
}

/* Prints the next line of a text without the blanks at its end, and returns what follows it. */
static const char *print_line(FILE *out, const char *text)
{
	size_t len = strcspn(text, "\n"), visible = len;

	while (visible > 0 && text[visible - 1] == ' ')
		visible--;
	fprintf(out, "%.*s\n", (int)visible, text);
	return text + len + (text[len] == '\n');
}

static int print_part(FILE *out, const struct pw_layout *l, const struct part *part)
{
	struct pw_row_buffer buffer;
	char *text = part_text(l, part), name[PW_CELL_MAX];
	const char *line = text;

	if (text == NULL)
		return -1;
	if (part->first == 0)
		line = print_line(out, line);
	for (size_t i = 0; i < part->n; i++) {
		line = print_line(out, line);
		if (name_below(
			    l, pw_selection_row(&l->report->selection, part->first + i, &buffer), name, sizeof(name)))
			print_name_below(out, l, name);
	}
	free(text);
	return 0;
}

int pw_table_print(FILE *out, const struct pw_report *report, const struct pw_view *view)
{
	struct pw_layout layout;
	struct part part = {0};
	size_t rows;

	lay_out(&layout, report, view);
	rows = rows_shown(&layout);
	pw_print_summary(out, &layout);
	if (rows > 0 && !layout.plain)
		fputc('\n', out);
	for (; part.first < rows; part.first += part.n) {
		part.n = rows - part.first < ROWS_AT_ONCE ? rows - part.first : ROWS_AT_ONCE;
		if (print_part(out, &layout, &part) < 0)
			return -1;
	}
	pw_print_notes(out, &layout, rows);
	return ferror(out) ? -1 : 0;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* table.h: the table of the worst pools with its summary */
#ifndef PW_REPORT_TABLE_H
#define PW_REPORT_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "report/report.h"

/* The longest text of a cell, with the final NUL. */
#define PW_CELL_MAX 512

/* How a table is drawn this time. */
struct pw_layout {
	const struct pw_report *report;
	const struct pw_view *view;
	bool plain; /* not on a terminal */
	bool wide;
	bool failed;         /* a pool has failed, or may have had its failures counted */
	unsigned bar;        /* width of the bar, 0 = none */
	unsigned spark;      /* width of the last minutes, 0 = none; a character is PW_HISTORY_STEP_MS */
	unsigned name_width; /* columns for the name within its row */
	unsigned owner;      /* width of the column of owners, 0 = none: no row has one, or not all of it fits */
};

/* The name of a pool with the label that a `pool` section gives it, safe to print. */
void pw_table_name(const struct pw_layout *layout, const struct pw_pool_row *row, char *buf, size_t size);

/* Prints summary, table and notes. With a width every line fits into it: names that are too long go below their row.
 * With a height as many rows are shown as fit. Without a width: plain columns, one pool a line, every other line begins
 * with '#'. Returns 0, or -1 when memory ran out or writing failed. */
int pw_table_print(FILE *out, const struct pw_report *report, const struct pw_view *view);

/* --- for table.c: what stands above and below the table (summary.c) --- */

/* When watching: the time and the interval. Then for each namespace range, capacity and sockets, and the worst pool of
 * all. */
void pw_print_summary(FILE *out, const struct pw_layout *layout);

/* How many pools are not shown, and what is not known. `shown` is the number of rows in the table. */
void pw_print_notes(FILE *out, const struct pw_layout *layout, size_t shown);

#endif

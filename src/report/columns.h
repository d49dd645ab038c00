/* SPDX-License-Identifier: BSD-2-Clause */
/* columns.h: the columns of the table */
#ifndef PW_REPORT_COLUMNS_H
#define PW_REPORT_COLUMNS_H

#include <stdbool.h>
#include <stddef.h>

#include "report/report.h"

/* The longest text of a cell, with the final NUL. */
#define PW_CELL_MAX 512

/* How a table is drawn this time. */
struct pw_layout {
	const struct pw_report *report;
	const struct pw_view *view;
	bool plain; /* not on a terminal */
	bool wide;
	bool owner;          /* some row has an owner, and all of it fits */
	unsigned bar;        /* width of the bar, 0 = none */
	unsigned name_width; /* columns for the name within its row */
};

/* Writes the text of a cell. */
typedef void pw_format_cell(const struct pw_layout *layout, const struct pw_pool_row *row, char *buf, size_t size);

struct pw_column {
	const char *header;
	unsigned width; /* 0 = as wide as its text */
	bool right;     /* aligned */
	bool coloured;  /* by the state */
	bool (*wanted)(const struct pw_layout *layout);
	pw_format_cell *format;
};

/* In the order of the table; those that are not wanted are left out. The last one has no header. */
extern const struct pw_column pw_columns[];

/* The name of a pool with the label that a `pool` section gives it, safe to print. */
pw_format_cell pw_format_full_name;
pw_format_cell pw_format_owner;

#endif

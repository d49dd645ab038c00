/* SPDX-License-Identifier: BSD-2-Clause */
/* table.h: the table of the worst pools with its summary */
#ifndef PW_REPORT_TABLE_H
#define PW_REPORT_TABLE_H

#include <stdio.h>

#include "report/report.h"

/* Prints summary, table and notes. With a width every line fits into it: names that are too long go below their row. With a
 * height as many rows are shown as fit. Without a width: plain columns, one pool a line, every other line begins with '#'.
 * Returns 0, or -1 when out of memory. */
int pw_table_print(FILE *out, const struct pw_report *report, const struct pw_view *view);

#endif

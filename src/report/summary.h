/* SPDX-License-Identifier: BSD-2-Clause */
/* summary.h: what stands above and below the table */
#ifndef PW_REPORT_SUMMARY_H
#define PW_REPORT_SUMMARY_H

#include <stdio.h>

#include "report/table.h"

/* When watching: the time and the interval. Then for each namespace range, capacity and sockets, and the worst pool of
 * all. */
void pw_print_summary(FILE *out, const struct pw_layout *layout);

/* How many pools are not shown, and what is not known. `shown` is the number of rows in the table. */
void pw_print_notes(FILE *out, const struct pw_layout *layout, size_t shown);

#endif

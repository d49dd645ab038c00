/* SPDX-License-Identifier: BSD-2-Clause */
/* explain.h: why the worst pool is where it is, and what helps */
#ifndef PW_REPORT_EXPLAIN_H
#define PW_REPORT_EXPLAIN_H

#include <stdio.h>

#include "report/report.h"

/* Prints a few sentences about the first row of the selection, each chosen by a fact and with the numbers of it. */
void pw_explain_print(FILE *out, const struct pw_report *report, const struct pw_view *view);

#endif

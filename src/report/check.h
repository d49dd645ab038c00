/* SPDX-License-Identifier: BSD-2-Clause */
/* check.h: the answer of a monitoring plugin (Monitoring Plugins Development Guidelines) */
#ifndef PW_REPORT_CHECK_H
#define PW_REPORT_CHECK_H

#include <stdio.h>

#include "report/report.h"

/* Exit statuses of a plugin. */
enum pw_check_status { PW_CHECK_OK = 0, PW_CHECK_WARNING = 1, PW_CHECK_CRITICAL = 2, PW_CHECK_UNKNOWN = 3 };

/* Prints one line, "PORTWATCH STATUS - text | performance data", and for further pools in trouble one line each (at
 * most 10). The selection must be ranked; all rows that match count, but pools without a threshold in force do not. A
 * state that is known outranks a namespace whose sockets, or SNAT pools that were asked for, could not be read, and that
 * outranks OK. Returns the exit status. */
enum pw_check_status pw_check_print(FILE *out, const struct pw_report *report);

/* Prints "PORTWATCH UNKNOWN - text". Returns PW_CHECK_UNKNOWN. */
enum pw_check_status pw_check_unknown(FILE *out, const char *text);

#endif

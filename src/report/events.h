/* SPDX-License-Identifier: BSD-2-Clause */
/* events.h: the alarms and the last events that portwatchd knows of, for people */
#ifndef PW_REPORT_EVENTS_H
#define PW_REPORT_EVENTS_H

#include <stdio.h>

#include "report/report.h"

/* Prints a line for each active alarm whose pool is selected, the oldest first, with the time when it began. */
void pw_alarms_print(FILE *out, const struct pw_report *report, const struct pw_view *view);

/* Prints what the log said of each event that passes the filters, the oldest first, with its time. */
void pw_events_print(
	FILE *out, const struct pw_report *report, const struct pw_options *options, const struct pw_view *view);

#endif

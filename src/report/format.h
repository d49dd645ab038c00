/* SPDX-License-Identifier: BSD-2-Clause */
/* format.h: what programs read: the output formats of portwatch besides its table and the plugin's line
 *
 * Each has a line here and a function pw_NAME_print() in a file of its own. */
#ifndef PW_REPORT_FORMAT_H
#define PW_REPORT_FORMAT_H

#include <stdio.h>

struct pw_report;

/* The name, also of its option; whether --watch may repeat it; its lines in --help. */
#define PW_FORMATS(FORMAT) \
	FORMAT(json, true, "      --json              one JSON document; with --watch one line a poll\n") \
	FORMAT(openmetrics, false, "      --openmetrics       metrics for Prometheus\n")

#define PW_FORMAT_ENUM(name, repeats, help) PW_FORMAT_##name,
#define PW_FORMAT_PRINT(name, repeats, help) int pw_##name##_print(FILE *out, const struct pw_report *report);

/* The plugin is the last: of two formats it stays, since its errors have an exit status of their own. */
enum pw_format { PW_FORMAT_TABLE, PW_FORMATS(PW_FORMAT_ENUM) PW_FORMAT_CHECK };

/* Print a poll. Return 0, or -1 with errno when writing failed. */
PW_FORMATS(PW_FORMAT_PRINT)

#endif

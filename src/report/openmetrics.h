/* SPDX-License-Identifier: BSD-2-Clause */
/* openmetrics.h: a poll as metrics, for Prometheus and what reads its formats
 *
 * Names come from the fields: portwatch_pool_free_ports is pwPoolFree in ports. Units are base units: percents become
 * ratios, milliseconds and microseconds seconds. An enumeration is its number, which the HELP line explains. */
#ifndef PW_REPORT_OPENMETRICS_H
#define PW_REPORT_OPENMETRICS_H

#include <stdbool.h>
#include <stdio.h>

#include "report/report.h"
#include "watch/fields.h"

/* Writes the metrics of the pools in `selection` and of all namespaces, for pw_openmetrics_print() and the daemon. Without `counters` there are no counters, and
 * nothing else that only a running daemon knows: the text of a single look is then valid in the format of
 * OpenMetrics 1.0 and in that of Prometheus (0.0.4), whichever its reader knows (node_exporter's textfile collector
 * knows the latter only). With `counters` it is OpenMetrics. Returns 0, or -1 with errno when writing failed. */
int pw_openmetrics_write(
	FILE *out, const struct pw_selection *selection, const struct pw_context *context, bool counters);

#endif

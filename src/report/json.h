/* SPDX-License-Identifier: BSD-2-Clause */
/* json.h: a poll as one JSON document (RFC 8259), in one line: docs/json.md and docs/portwatch.schema.json
 *
 * The keys are the column names of PORTWATCH-MIB without their prefix. They are a contract: keys may be added, none is
 * renamed or removed, none changes its type. Texts that are not UTF-8 get U+FFFD for each byte that is none. */
#ifndef PW_REPORT_JSON_H
#define PW_REPORT_JSON_H

#include <stdio.h>

#include "report/report.h"
#include "watch/fields.h"

/* Events for a document, the oldest first. */
struct pw_events {
	const struct pw_event *events;
	size_t n;
};

/* Writes the document, for pw_json_print() and the daemon. The context's now_ms gives the ages, its wall time is that of
 * the poll. With `events` (not NULL) it is what the daemon says, with its counters, alarms and these events. Returns 0,
 * or -1 with errno when writing failed. */
int pw_json_write(FILE *out, const struct pw_selection *selection, const struct pw_context *context,
	const struct pw_events *events);

#endif

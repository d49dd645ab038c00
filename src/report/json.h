/* SPDX-License-Identifier: BSD-2-Clause */
/* json.h: a poll as one JSON document (RFC 8259), described in docs/json.md and docs/portwatch.schema.json
 *
 * The keys are the column names of PORTWATCH-MIB without their prefix. They are a contract: keys may be added, none is
 * renamed or removed, none changes its type. */
#ifndef PW_REPORT_JSON_H
#define PW_REPORT_JSON_H

#include <stdint.h>
#include <stdio.h>

#include "report/report.h"

/* Writes one document in one line with a final newline. now_ms (CLOCK_BOOTTIME) gives the ages, `wall` the time of the
 * poll. Texts that are not UTF-8 get U+FFFD for each byte that is none. Returns 0, or -1 with errno when writing
 * failed. */
int pw_json_print(FILE *out, const struct pw_selection *selection, uint64_t now_ms, struct timespec wall);

#endif

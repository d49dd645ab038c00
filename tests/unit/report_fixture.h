/* SPDX-License-Identifier: BSD-2-Clause */
/* report_fixture.h: polls built by hand, and golden texts, for the tests of what portwatch prints */
#ifndef REPORT_FIXTURE_H
#define REPORT_FIXTURE_H

#include <stdio.h>

#include "report/report.h"

#define FIXTURE_MAX 16

/* A poll with everything that a report points to. */
struct fixture {
	struct pw_report report;
	struct pw_snapshot snapshot;
	struct pw_ns_row ns[2];
	struct pw_ns_notes notes[2];
	struct pw_pool_row pools[FIXTURE_MAX];
	char names[FIXTURE_MAX][PW_POOL_NAME_MAX];
	char locals[FIXTURE_MAX][PW_ADDRESS_TEXT_MAX], remotes[FIXTURE_MAX][PW_ADDRESS_TEXT_MAX];
};

/* One quiet namespace: the default range, nothing blocked, no pools; probed. */
void fixture_init(struct fixture *f);

/* Adds a pool with so many used ports; `local` and `remote` as in pw_address_parse(), remote NULL for a bind pool. State and
 * utilization follow from the counts and the default thresholds. The counts may be changed before fixture_close(). */
struct pw_pool_row *fixture_pool(struct fixture *f, int protocol, const char *local, const char *remote, uint16_t port,
	uint32_t used, uint32_t time_wait);

/* Selects by the options (NULL: all of them, the worst first). */
void fixture_close(struct fixture *f, const struct pw_options *options);

void fixture_free(struct fixture *f);

/* The poll that most golden texts show: IPv4 and long IPv6, every state, a label, owners, a TCP bind pool without thresholds. */
void fixture_busy(struct fixture *f);

/* What `print` writes; free it. */
char *fixture_capture(void (*print)(FILE *out, void *context), void *context);

/* Compares with tests/expected/NAME; with PW_UPDATE=1 in the environment the file is written instead. */
void expect_golden(const char *name, const char *text);

#endif

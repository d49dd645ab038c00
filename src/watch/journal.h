/* SPDX-License-Identifier: BSD-2-Clause */
/* journal.h: the last events with their times: what happened at night?
 *
 * Written by the collector, read by whoever serves them; one short lock. */
#ifndef PW_WATCH_JOURNAL_H
#define PW_WATCH_JOURNAL_H

#include <stddef.h>

#include "watch/event.h"

/* How many are kept. */
#define PW_JOURNAL_MAX 1000

struct pw_journal;

/* NULL when out of memory. */
struct pw_journal *pw_journal_new(void);

/* NULL is allowed. */
void pw_journal_free(struct pw_journal *journal);

/* Copies the event; the oldest one goes when there are PW_JOURNAL_MAX. */
void pw_journal_add(struct pw_journal *journal, const struct pw_event *event);

/* A copy of all of them, the oldest first, which the caller frees: *events is NULL without any. Returns how many; 0
 * also when out of memory. */
size_t pw_journal_copy(struct pw_journal *journal, struct pw_event **events);

#endif

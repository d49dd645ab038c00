/* SPDX-License-Identifier: BSD-2-Clause */
/* outbox.h: which notifications are still owed, and in which order they go out
 *
 * Per pool it keeps the current state and the last one that the receiver (the master agent) acknowledged, and owes
 * one notification as long as they differ. The collector posts; the agent takes, sends, and reports what became of
 * it. Not thread-safe by itself: watch/handover.h wraps it.
 *
 * Rules (each is a property test):
 *  - one notification per pool is under way at a time; newer states wait behind it and only the newest is kept;
 *  - what was under way when the connection was lost is sent again first, the same id, time and values;
 *  - a rise and fall of which nothing was under way or acknowledged sends nothing;
 *  - a falling notification goes out only after an acknowledged rising one;
 *  - its `previous` state is the last acknowledged one, so that a receiver can chain them;
 *  - the worst go first: exhausted, critical, warning, falling, and last what the receiver knows already (renotify);
 *    within a state the higher utilization, then the older;
 *  - at most max_per_minute are taken in any minute (0: no limit); what is held back stays owed. A collector
 *    failure is an entry of its own and goes before all pools. */
#ifndef PW_WATCH_OUTBOX_H
#define PW_WATCH_OUTBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "watch/event.h"

struct pw_outbox;

struct pw_outbox_stats {
	uint64_t acknowledged; /* pwNotificationsSent */
	uint64_t suppressed;   /* pwNotificationsSuppressed: times that the rate limit held one back */
	size_t owed;           /* entries that still owe one, under way included */
	size_t in_flight;
};

/* max_entries bounds the memory: entries beyond it are refused (the alarm stays in the tables). NULL when out of
 * memory. */
struct pw_outbox *pw_outbox_new(size_t max_entries);
void pw_outbox_free(struct pw_outbox *outbox);

void pw_outbox_set_rate(struct pw_outbox *outbox, uint32_t max_per_minute);

/* A state changed (or is repeated by `renotify`, then event->state == event->previous). The event is copied.
 * Returns 0, or -1 when the entry could not be stored. */
int pw_outbox_post(struct pw_outbox *outbox, const struct pw_event *event);

/* Takes the next one to send, marks it as under way and copies it to *out. Returns false when none may go now;
 * *wait_ms (if not NULL) then says in how many milliseconds the rate limit lets the next one go, UINT32_MAX when
 * nothing waits for it. */
bool pw_outbox_take(struct pw_outbox *outbox, uint64_t now_ms, struct pw_event *out, uint32_t *wait_ms);

/* The receiver took the notification with this id. */
void pw_outbox_acknowledge(struct pw_outbox *outbox, uint32_t id);

/* The notification could not be handed over: it is owed again, unchanged. */
void pw_outbox_return(struct pw_outbox *outbox, uint32_t id);

/* The connection is gone: everything under way is owed again, unchanged. */
void pw_outbox_return_all(struct pw_outbox *outbox);

void pw_outbox_stats(const struct pw_outbox *outbox, struct pw_outbox_stats *out);

/* The id of the last acknowledged or under-way notification of a pool, 0 when none (pwAlarmEventId). */
uint32_t pw_outbox_last_id(const struct pw_outbox *outbox, const struct pw_pool_key *key);

#endif

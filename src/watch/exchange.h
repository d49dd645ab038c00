/* SPDX-License-Identifier: BSD-2-Clause */
/* exchange.h: what passes between the collector thread and the agent thread: the latest snapshot, and notifications
 *
 * One lock over all of it, an eventfd that wakes the agent, and nothing that waits: whatever a master does to the
 * agent, the collector goes on.
 *
 * What is owed, and in which order it goes out, says owed.h.
 */
#ifndef PW_WATCH_EXCHANGE_H
#define PW_WATCH_EXCHANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "watch/event.h"
#include "watch/snapshot.h"

struct pw_exchange;

struct pw_exchange_stats {
	uint64_t acknowledged; /* pwNotificationsSent */
	uint64_t suppressed; /* pwNotificationsSuppressed: notifications that the rate limit held back for some time */
	size_t owed;         /* pools and others that still owe one, under way included */
	size_t in_flight;
	uint64_t changes; /* of all this, and of what the receiver was told; another number says that there were some */
};

/* NULL when out of memory or descriptors. */
struct pw_exchange *pw_exchange_new(size_t max_entries);
void pw_exchange_free(struct pw_exchange *exchange);

/* Readable (an eventfd) when something was published or posted since it was last cleared. Owned by the exchange. */
int pw_exchange_fd(const struct pw_exchange *exchange);
void pw_exchange_clear(struct pw_exchange *exchange);

/* --- of the collector --------------------------------------------------------------------------------------------- */

/* Replaces the latest snapshot; takes over the caller's reference. */
void pw_exchange_publish(struct pw_exchange *exchange, const struct pw_snapshot *snapshot);

/* The limit of notifications a minute, 0 = none. */
void pw_exchange_set_rate(struct pw_exchange *exchange, uint32_t max_per_minute);

enum pw_posted {
	PW_POSTED,
	PW_POSTED_INSTEAD, /* and another one, less urgent, was given up for it, before anybody was told */
	PW_NOT_POSTED      /* no room, or no memory */
};

/* A state changed (or is repeated by `renotify`, then event->state == event->previous). The event is copied.
 * *given_up is set with PW_POSTED_INSTEAD. */
enum pw_posted pw_exchange_post(
	struct pw_exchange *exchange, const struct pw_event *event, struct pw_pool_key *given_up);

/* What is posted may go only when the state file says that it may have gone, or else a process that is killed in
 * between does not know: nothing is taken until the release of this number or a greater one, or until_ms. A hold that
 * nobody has released by then holds no more, nor do others before it is released. */
void pw_exchange_hold(struct pw_exchange *exchange, uint64_t number, uint64_t until_ms);
void pw_exchange_release(struct pw_exchange *exchange, uint64_t number);

/* Kinds of what has a state and is no pool. */
enum { PW_TOLD_COLLECTOR = 0, PW_TOLD_OTHERS = 128, PW_TOLD_CONNTRACK = PW_TOLD_OTHERS + PW_EVENT_CONNTRACK_RISING };

static inline bool pw_told_is_pool(const struct pw_pool_key *key)
{
	return key->kind != PW_TOLD_COLLECTOR && key->kind < PW_TOLD_OTHERS;
}

/* What the receiver knows of a pool, a collector or a connection tracking table that is not normal. */
struct pw_told {
	struct pw_pool_key key;
	enum pw_state state; /* acknowledged */
	enum pw_state maybe; /* another one where that is not certain: it was under way; else the same */
	uint32_t event_id;   /* of the notification */
	char name[PW_POOL_NAME_MAX];
};

/* All of these, in no order, in an array that the caller frees. What waits may be sent at any moment, unless the
 * agent has ended. Returns 0, or -1 when out of memory. */
int pw_exchange_told(struct pw_exchange *exchange, bool agent_ended, struct pw_told **told, size_t *n);

/* The receiver was told this by an earlier process; where `maybe` differs it is told the next state in any case.
 * Returns -1 when out of memory. */
int pw_exchange_learn(struct pw_exchange *exchange, const struct pw_told *told);

/* The id of the last acknowledged or under-way notification of a pool, 0 when none (pwAlarmEventId). */
uint32_t pw_exchange_last_id(struct pw_exchange *exchange, const struct pw_pool_key *key);

/* --- of the agent ------------------------------------------------------------------------------------------------- */

/* The latest snapshot with a reference for the caller, or NULL before the first. */
const struct pw_snapshot *pw_exchange_snapshot(struct pw_exchange *exchange);

/* Takes the next one to send, marks it as under way and copies it to *out. Returns false when none may go now;
 * *wait_ms (if not NULL) then says in how many milliseconds it is worth asking again, UINT32_MAX when nothing waits
 * for time to pass. */
bool pw_exchange_take(struct pw_exchange *exchange, uint64_t now_ms, struct pw_event *out, uint32_t *wait_ms);

/* The receiver took the notification with this id. */
void pw_exchange_acknowledge(struct pw_exchange *exchange, uint32_t id);

/* The notification could not be handed over: it is owed again, unchanged. */
void pw_exchange_return(struct pw_exchange *exchange, uint32_t id);

/* The connection is gone: everything under way is owed again, unchanged. */
void pw_exchange_return_all(struct pw_exchange *exchange);

void pw_exchange_stats(struct pw_exchange *exchange, struct pw_exchange_stats *out);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* handover.h: what passes between the collector thread and the agent thread
 *
 * The latest snapshot (one pointer under a mutex) and the outbox of notifications, with an eventfd that wakes the
 * agent. All functions are thread-safe, and none waits for anything but a short mutex: nothing that the agent does,
 * or that a master does to it, holds the collector up. */
#ifndef PW_WATCH_HANDOVER_H
#define PW_WATCH_HANDOVER_H

#include "watch/outbox.h"
#include "watch/snapshot.h"

struct pw_handover;

/* Takes ownership of nothing; NULL when out of memory or descriptors. max_entries: see pw_outbox_new(). */
struct pw_handover *pw_handover_new(size_t max_entries);
void pw_handover_free(struct pw_handover *handover);

/* Readable (an eventfd) when something was published or posted since it was last read. Owned by the handover. */
int pw_handover_fd(const struct pw_handover *handover);

/* Makes the wake-up descriptor unreadable again. */
void pw_handover_clear(struct pw_handover *handover);

/* Replaces the latest snapshot; takes over the caller's reference. */
void pw_handover_publish(struct pw_handover *handover, const struct pw_snapshot *snapshot);

/* The latest snapshot with a reference for the caller, or NULL before the first. */
const struct pw_snapshot *pw_handover_snapshot(struct pw_handover *handover);

/* The functions of outbox.h under the mutex. post wakes the agent. */
int pw_handover_post(struct pw_handover *handover, const struct pw_event *event);
void pw_handover_set_rate(struct pw_handover *handover, uint32_t max_per_minute);
bool pw_handover_take(struct pw_handover *handover, uint64_t now_ms, struct pw_event *out, uint32_t *wait_ms);
void pw_handover_acknowledge(struct pw_handover *handover, uint32_t id);
void pw_handover_return(struct pw_handover *handover, uint32_t id);
void pw_handover_return_all(struct pw_handover *handover);
void pw_handover_stats(struct pw_handover *handover, struct pw_outbox_stats *out);
uint32_t pw_handover_last_id(struct pw_handover *handover, const struct pw_pool_key *key);

#endif

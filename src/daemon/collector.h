/* SPDX-License-Identifier: BSD-2-Clause */
/* collector.h: one poll after the other: kernel -> census -> monitor -> snapshot and notifications */
#ifndef PW_DAEMON_COLLECTOR_H
#define PW_DAEMON_COLLECTOR_H

#include <stdbool.h>

#include "base/error.h"
#include "kernel/connect_events.h"
#include "config/config.h"
#include "daemon/ringing.h"
#include "kernel/backend.h"
#include "watch/exchange.h"
#include "watch/journal.h"

struct pw_collector;

/* Prepares the polls of the daemon's own network namespace. `walk` is the BPF backend, and taken over; NULL when
 * there is none, for the reason in *why, which becomes that for which it is not used. Everything else is borrowed. NULL with an error. */
struct pw_collector *pw_collector_new(const struct pw_config *config, struct pw_exchange *exchange,
	struct pw_connect_events *events, struct pw_backend *walk, struct pw_error *why, struct pw_error *err);
void pw_collector_free(struct pw_collector *collector);

/* Whether sockets are read by BPF. */
bool pw_collector_walks(const struct pw_collector *collector);

/* Another configuration from the next poll on; borrowed until the next call. States and history stay. */
void pw_collector_set_config(struct pw_collector *collector, const struct pw_config *config);

/* Whether the last reload was refused: the snapshots say so. */
void pw_collector_set_config_failed(struct pw_collector *collector, bool failed);

/* What happens is written into this journal from now on; borrowed. */
void pw_collector_set_journal(struct pw_collector *collector, struct pw_journal *journal);

/* Asked between two namespaces: a poll of many of them is given up, and leaves nothing, once this says true. NULL, as
 * at the start: never. */
void pw_collector_set_stopping(struct pw_collector *collector, bool (*stopping)(void));

/* One poll: publishes a snapshot, posts and logs its events. A failure is logged and counted; the last good numbers
 * stay. */
void pw_collector_poll(struct pw_collector *collector);

/* What wakes: thresholds that ring. Valid until the next poll. */
const struct pw_ringing *pw_collector_ringing(const struct pw_collector *collector);

/* The last thing to do after the agent has ended: writes what a restart must know. */
void pw_collector_save(struct pw_collector *collector);

#endif

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

/* What a collector works with; all of it is borrowed but the backend, which is taken over. */
struct pw_collector_parts {
	const struct pw_config *config;
	struct pw_exchange *exchange;
	struct pw_connect_events *events;
	struct pw_backend *walk;    /* BPF, or NULL when there is none ... */
	const struct pw_error *why; /* ... for this reason */
	struct pw_journal *journal; /* gets what happens, and first what a file beside the state file has kept */
	/* asked between two namespaces: a poll of many of them is given up, and leaves nothing, once this says true */
	bool (*stopping)(void);
};

/* Prepares the polls of the daemon's own network namespace. NULL with an error. */
struct pw_collector *pw_collector_new(const struct pw_collector_parts *parts, struct pw_error *err);
void pw_collector_free(struct pw_collector *collector);

/* Whether sockets are read by BPF. */
bool pw_collector_walks(const struct pw_collector *collector);

/* After the first poll, which need not wait for it: compares what BPF sees with a dump by netlink. Where they deviate
 * that is logged, sockets are read by netlink from then on, and false is returned: a poll is due at once, whatever the
 * first one told. */
bool pw_collector_compare(struct pw_collector *collector);

/* After a poll: whether BPF has just been given up, since the kernel refused a walk at several polls in a row. As above
 * that is logged, sockets are read by netlink from then on, and a poll is due at once. */
bool pw_collector_give_up_walk(struct pw_collector *collector);

/* Another configuration from the next poll on; borrowed until the next call. States and history stay. */
void pw_collector_set_config(struct pw_collector *collector, const struct pw_config *config);

/* Whether the last reload was refused: the snapshots say so. */
void pw_collector_set_config_failed(struct pw_collector *collector, bool failed);

/* One poll: publishes a snapshot, posts and logs its events. A failure is logged and counted; the last good numbers
 * stay. */
void pw_collector_poll(struct pw_collector *collector);

/* What wakes: thresholds that ring. Valid until the next poll. */
struct pw_ringing *pw_collector_ringing(struct pw_collector *collector);

/* The last thing to do after the agent has ended: writes what a restart must know. */
void pw_collector_save(struct pw_collector *collector);

#endif

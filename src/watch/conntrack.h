/* SPDX-License-Identifier: BSD-2-Clause */
/* conntrack.h: what the connection tracking table of a namespace does to packets, and when that is worth a notification
 *
 * Its counters say that packets were dropped, not why. No entry can be made
 *  - when source NAT finds no port (nf_nat_l4proto_unique_tuple()): a pool is full, or nearly so;
 *  - when two packets chose the same port at the same moment and one of them came second (nf_ct_resolve_clash()): a
 *    race, at any use;
 *  - when the table itself is full (nf_conntrack_max), for whatever packet. The first two share a counter; the
 *    fullest pool tells them apart. */
#ifndef PW_WATCH_CONNTRACK_H
#define PW_WATCH_CONNTRACK_H

#include "count/source.h"
#include "watch/alarm.h"
#include "watch/event.h"

/* What the kernel says. The counters are those since the start of this program; 0 where they can't be read. */
struct pw_conntrack_counts {
	uint32_t entries, maximum; /* maximum 0: no limit, or no connection tracking */
	uint64_t failures;         /* packets that were dropped for want of a port, or in a race */
	uint64_t drops;            /* because the table was full */
};

/* What is shown of it. */
struct pw_conntrack_row {
	uint32_t entries, maximum;
	enum pw_state state; /* of the table */
	uint64_t races;      /* of the failures, those while no pool was full */
	uint64_t drops;
};

enum pw_conntrack_cause { PW_CAUSE_PORTS, PW_CAUSE_RACE, PW_CAUSES };

/* Of one namespace. Zeroed = nothing has been seen yet. */
struct pw_conntrack {
	struct pw_conntrack_row row;
	struct pw_alarm alarm;
	uint64_t failures;  /* of the last step */
	uint64_t undecided; /* failures whose cause the next dump of the table will show */
	uint64_t untold[PW_CAUSES];
	uint64_t told_ms[PW_CAUSES]; /* the last notification, 0 = none */
	bool uncertain;              /* whether the receiver knows row.state, since a restart: it is told the next */
};

/* Between two notifications of packets that are dropped for the same cause. */
#define PW_CONNTRACK_EVERY_MS 60000

/* Events that one step can make. */
#define PW_CONNTRACK_EVENTS (PW_CAUSES + 1)

/* Takes one poll into account. `source` counts the namespace's SNAT pools (NULL: none are watched), `ns` is its
 * pwNsIndex and ns_name its name ("" = the daemon's own). Returns how many events there are to be told: they are
 * complete but for id and time. */
size_t pw_conntrack_step(struct pw_conntrack *conntrack, const struct pw_conntrack_counts *counts,
	struct pw_source *source, const struct pw_thresholds *thresholds, uint32_t ns, const char *ns_name,
	uint64_t now_ms, struct pw_event events[PW_CONNTRACK_EVENTS]);

/* The receiver was told before a restart that the table is in one of these states: the same where that is certain.
 * Returns the one to go on from, the worse. */
enum pw_state pw_conntrack_learn(struct pw_conntrack *conntrack, enum pw_state told, enum pw_state maybe);

/* The namespace is not watched any more: an alarm of its table ends with it. Returns whether there is an event to be
 * told. */
bool pw_conntrack_end(struct pw_conntrack *conntrack, uint32_t ns, const char *ns_name, struct pw_event *event);

#endif

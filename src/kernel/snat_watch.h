/* SPDX-License-Identifier: BSD-2-Clause */
/* snat_watch.h: when the connection tracking table of a namespace is dumped, and what of it is known in between
 *
 * An entry costs some microseconds and a gateway can have millions, so the table is dumped on a period of its own.
 * In between two cheap numbers are looked at: that of the entries (nothing is dumped while they are too few for any
 * pool to be listed) and that of the packets for which no entry could be made (as soon as it moves, a pool may be
 * full). */
#ifndef PW_KERNEL_SNAT_WATCH_H
#define PW_KERNEL_SNAT_WATCH_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "kernel/backend.h"
#include "kernel/conntrack.h"
#include "kernel/input.h"
#include "count/snat.h"
#include "watch/conntrack.h"

/* A dump may take one part in this many of the time, whatever the interval is. */
#define PW_SNAT_SHARE 20

struct pw_snat_options {
	const struct pw_snat_range *ranges; /* borrowed */
	size_t n;                           /* 0: none are watched */
	bool size;                          /* also then the size of the table is read */
	uint32_t interval_ms;               /* between two dumps */
	pw_pool_ports *ports;               /* see struct pw_source */
	void *ports_context;
	uint32_t floor; /* with fewer entries no pool can be listed, and no dump is made; 0 or 1: with none */
};

/* Zeroed = nothing is known yet. */
struct pw_snat_watch {
	struct pw_snat *snat; /* NULL until the first numbers */
	uint64_t dumped_ms;   /* end of the last dump (or of what stood for it), 0 = none */
	uint32_t took_ms;
	bool failed;                       /* the last dump: what `snat` holds is incomplete */
	struct pw_conntrack_counts counts; /* of the last poll; the counters since the first one */
	struct pw_conntrack_stats last;    /* as the kernel counts them */
	bool has_stats;
	struct pw_error err;
};

/* One poll, in the namespace that the thread is in. Returns the source, valid until the next poll; NULL where
 * nothing is watched, or out of memory. `ns` is the pwNsIndex, now_ms CLOCK_BOOTTIME. A failure shows in the
 * source's status and reason, and keeps the numbers of the last good dump. stats may be NULL. */
struct pw_source *pw_snat_watch_poll(struct pw_snat_watch *watch, struct pw_input *input,
	const struct pw_snat_options *options, uint32_t ns, uint64_t now_ms, struct pw_take_stats *stats);

/* Frees what the watch holds, which is then as at the start. */
void pw_snat_watch_clear(struct pw_snat_watch *watch);

#endif

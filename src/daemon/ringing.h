/* SPDX-License-Identifier: BSD-2-Clause */
/* ringing.h: when all sockets are looked at, and what the kernel is to tell until then
 *
 * A look at all sockets tells every slot of kernel/rings.h how far its pools are from a threshold. Until one rings
 * nothing can have been reached, so that the polls in between need not look, for idle-interval at most. */
#ifndef PW_DAEMON_RINGING_H
#define PW_DAEMON_RINGING_H

#include <stdbool.h>
#include <stdint.h>

#include "config/config.h"
#include "kernel/connect_events.h"
#include "kernel/host.h"
#include "watch/monitor.h"

/* Zeroed = nothing rings. */
struct pw_ringing {
	struct pw_rings *rings;     /* of the last poll, NULL: none */
	char reason[256];           /* why not */
	const struct pw_host *host; /* borrowed */
	uint64_t rung;              /* polls that found that something had rung */
	uint64_t armed_ms;          /* the last look; 0: look at the next poll */
	bool looks;                 /* this poll does */
	bool wants_poll;            /* a limit was met while the sockets were read: another poll is wanted soon */
	uint32_t index;             /* the namespace that was asked for last ... */
	uint64_t inode;             /* ... and its inode */
	unsigned polls_left; /* that may follow each other because something rings: whoever makes one takes one ... */
	uint64_t left_ms;    /* ... as counted at this time */
};

/* The steps of a poll. First, after pw_connect_events_poll(): whether thresholds ring, which is logged when it
 * changes. */
void pw_ringing_follow(struct pw_ringing *ringing, struct pw_connect_events *events, enum pw_events_mode mode);

/* Then, before the host is polled: decides whether this poll is to look at all sockets, and tells the monitor which
 * pools rang. */
void pw_ringing_start(struct pw_ringing *ringing, const struct pw_config *config, struct pw_monitor *monitor);

/* Before the monitor takes the poll: completes it. */
void pw_ringing_tell(struct pw_ringing *ringing, struct pw_poll *poll);

/* After that: arms the slots. */
void pw_ringing_arm(struct pw_ringing *ringing, const struct pw_monitor *monitor);

/* How long the next poll that is rung for has to wait, in ms, after one that began at polled_ms and took poll_ms. */
uint64_t pw_ringing_rest_ms(struct pw_ringing *ringing, uint64_t polled_ms, uint64_t poll_ms);

/* Other thresholds than before may be in force: the next poll looks. */
void pw_ringing_forget(struct pw_ringing *ringing);

#endif

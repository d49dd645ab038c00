/* SPDX-License-Identifier: BSD-2-Clause */
/* remarks.h: what the log says of polls beside their events: once when something begins, and once when it ends */
#ifndef PW_DAEMON_REMARKS_H
#define PW_DAEMON_REMARKS_H

#include <stdbool.h>
#include <stdint.h>

#include "config/config.h"
#include "kernel/namespace.h"
#include "watch/snapshot.h"

/* What was said. Zeroed = nothing yet. */
struct pw_remarks {
	bool chosen, probing;             /* whether ports in doubt are probed */
	bool confined;                    /* other namespaces are wanted, and may not be entered */
	bool omitting;                    /* some active alarms have no row */
	uint64_t unlogged, unlogged_ms;   /* what the limit of the log left out, and when that was said */
	uint64_t dropped;                 /* of the monitor's losses */
	struct pw_portset told_listening; /* ports of services, and ... */
	uint64_t told_listening_ms;       /* ... when; 0: never */
};

/* Whether ports in doubt are probed from now on; the reason says why not. */
void pw_remark_probing(struct pw_remarks *remarks, enum pw_probe_mode mode, bool probing, const char *reason);

/* Whether only the own namespace is watched although others are wanted. */
void pw_remark_confined(struct pw_remarks *remarks, bool confined, const char *reason);

/* Whether polls of a namespace fail, and whether the ports of each source are watched. */
void pw_remark_namespace(struct pw_namespace *ns, bool failed);

/* Of a namespace whose sockets were counted: what that cost, and services that listen inside the ephemeral range, when
 * there is one that was not told of: while it restarts, connect() may take its port. Of the host alone: what others run
 * in namespaces of their own is theirs. */
void pw_remark_sockets(struct pw_remarks *remarks, const struct pw_namespace *ns);

/* When the limits of the tables or of the memory cost something. */
void pw_remark_limits(struct pw_remarks *remarks, const struct pw_snapshot *snapshot, uint32_t max_alarms);

#endif

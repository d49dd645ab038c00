/* SPDX-License-Identifier: BSD-2-Clause */
/* namespace.h: one network namespace that is polled
 *
 * A poll enters it, reads settings and socket counts, lets a backend take its sockets, reads the connection tracking
 * table, leaves it, and answers the monitor's questions about it (names of interfaces and owners, latency of an
 * allocation). Between two polls only descriptors of settings stay open. */
#ifndef PW_KERNEL_NAMESPACE_H
#define PW_KERNEL_NAMESPACE_H

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/error.h"
#include "kernel/backend.h"
#include "kernel/input.h"
#include "kernel/netlink.h"
#include "kernel/owner_names.h"
#include "kernel/conntrack.h"
#include "kernel/sockstat.h"
#include "watch/failure.h"
#include "watch/monitor.h"

struct pw_namespace {
	uint32_t index; /* pwNsIndex */
	char name[64];  /* "" = the own one */
	char path[300]; /* into it, for pw_netns_enter(); "" = the thread is in it already */
	struct pw_backend
		*outside; /* reads its settings, so that nobody has to enter it; borrowed; NULL: it is entered */

	uint64_t inode;   /* which one must be behind the path; 0 = any */
	uint64_t entered; /* the inode of the one that the last poll read */
	uint64_t cookie;  /* its SO_NETNS_COOKIE, which no other one ever gets; 0 before Linux 5.14 */

	/* how it is polled; may be set between two polls */
	bool probe;        /* ask the allocator about ports in doubt; see pw_probe_available() */
	uint32_t probe_ms; /* time for that at each poll; 0: 10 for those that are likely blocked, and 256 others */
	struct pw_snat_options snat;        /* translated source ports that are watched */
	const struct pw_policy *policy;     /* whose sections name the ports of their pools; borrowed; NULL: none */
	struct pw_owner_names *owner_names; /* borrowed */
	FILE *capture; /* where all that the first complete poll reads is written down; NULL after it */
	bool replayed; /* the input is a capture, of another host for all that is known */

	/* what is kept, or was read at the last poll */
	struct pw_input input;
	enum pw_read_status status;
	struct pw_range range;
	struct pw_sockstat counts;
	struct pw_census *census;
	bool taken, udp_failed; /* see struct pw_backend */
	uint32_t unowned;       /* see struct pw_backend: what the census does not know */
	bool empty;             /* the census has no sockets, since none were taken */
	bool counted_only;      /* from the outside: the walk is to say how many sockets it has, and no more */
	bool skipped;           /* the poll had no time for it: it keeps what it had */
	uint32_t spare;         /* other sockets than the counted ones at that poll: some may hold a port */
	uint64_t taken_ms;      /* CLOCK_BOOTTIME of the last poll that took sockets, 0 = none */
	struct pw_take_stats stats;
	struct pw_error err; /* why the last poll, or its UDP part, failed; "" when it did not */
	struct pw_netlink_memory netlink;
	struct pw_snat_watch snat_watch;
	struct pw_source *sources[PW_SOURCES]; /* of the last poll; NULL: nothing was watched */
	char ifname[IF_NAMESIZE];              /* what the monitor was told last */

	/* of the caller */
	struct pw_failure failure;
	bool failing;
	enum pw_source_status said[PW_SOURCES];
	struct pw_conntrack conntrack;
};

/* Zeroed but for name, path ("" or NULL: stays where the thread is) and an empty census. NULL when out of memory. */
struct pw_namespace *pw_namespace_new(uint32_t index, const char *name, const char *path);
void pw_namespace_free(struct pw_namespace *ns);

/* Enters and leaves it. */
enum pw_read_status pw_namespace_enter(const struct pw_namespace *ns, struct pw_error *err);
void pw_namespace_leave(const struct pw_namespace *ns);

/* Inside: reads settings and socket counts, after opening the input where that has not been done. Fills ns->err
 * unless PW_READ_OK. */
enum pw_read_status pw_namespace_read(struct pw_namespace *ns);

/* The same from the outside, by a backend that can. Socket counts come with the sockets. */
enum pw_read_status pw_namespace_read_outside(struct pw_namespace *ns);

/* When no sockets are to be taken: an empty census for the range that was read. */
void pw_namespace_make_empty(struct pw_namespace *ns);

/* Inside, after pw_namespace_read(): the connection tracking table, when it is due. */
void pw_namespace_read_snat(struct pw_namespace *ns);

/* Answers what a monitor wants to know of a pool, between its taking of this poll and the next poll. */
void pw_namespace_answer(struct pw_question *question);

/* After pw_namespace_result(): takes its connection tracking table into account, for poll->conntrack. Returns the
 * events (pw_conntrack_step()). */
size_t pw_namespace_follow_conntrack(struct pw_namespace *ns, const struct pw_thresholds *thresholds,
	struct pw_ns_poll *poll, struct pw_event events[PW_CONNTRACK_EVENTS]);

/* What the monitor is told of this poll. Valid until the next poll. */
void pw_namespace_result(struct pw_namespace *ns, struct pw_ns_poll *out);

#endif

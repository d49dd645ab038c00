/* SPDX-License-Identifier: BSD-2-Clause */
/* netlink.h: the backend that needs no privilege: inet_diag dumps, or /proc/net where there is no inet_diag
 *
 * One dump gives every TCP socket, of both families and all states, also those that are only bound, unless struct
 * pw_bind_table says that there are none; two give UDP. Where ports are in doubt it asks which sockets are bound to
 * explicit ports (the not-AUTO pass), and the allocator. A dump that was interrupted or inconsistent is done again, at
 * most 3 times. */
#ifndef PW_KERNEL_NETLINK_H
#define PW_KERNEL_NETLINK_H

#include "kernel/backend.h"
#include "count/range.h"

/* Whether a poll has to look for sockets that are bound but not connected.
 *
 * The kernel keeps them in no other place than the table of bound ports (bhash2), and to find them it walks every
 * socket in it: 15 % of a dump of clients, half of a dump of a server (tcp_diag_dump(), TCPF_BOUND_INACTIVE). A
 * socket becomes one of them by bind(), or when its connection is reset; either changes the number of sockets that
 * the namespace holds but no protocol counts as in use. So the walk is left out while that number stays what it was
 * when a walk found none. */
struct pw_bind_table {
	bool empty; /* the last walk found no such socket in low..high */
	uint16_t low, high;
	int64_t uncounted; /* sockets that no protocol counted, just before that walk */
	unsigned skipped;  /* polls without a walk since then */
	int64_t pending;   /* `uncounted` just before the dump that is being made */
	bool pending_known;
};

/* Whether the dump that is to be made now must include the walk. Reads the counts of the namespace; what can't be read
 * means yes. */
bool pw_bind_table_wanted(struct pw_bind_table *table, struct pw_input *input, const struct pw_range *range);

/* A dump with the walk, which was wanted, is complete: it found `n` such sockets. */
void pw_bind_table_walked(struct pw_bind_table *table, const struct pw_range *range, uint32_t n);

/* What is kept of a namespace from poll to poll. Zeroed = nothing yet. */
struct pw_netlink_memory {
	bool proc[2];      /* by protocol: /proc is read, since inet_diag does not exist */
	bool probe_silent; /* it is said already that probing does not work */
	struct pw_bind_table bind_table;
};

/* Takes the sockets of the namespace that the thread is in, as the backend's take() does; ns->range is read already.
 * Returns 0, or -1 with ns->err. */
int pw_netlink_take(struct pw_namespace *ns);

/* Never NULL; not to be freed. */
struct pw_backend *pw_netlink_backend(void);

#endif

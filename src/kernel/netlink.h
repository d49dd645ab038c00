/* SPDX-License-Identifier: BSD-2-Clause */
/* netlink.h: the backend that needs no privilege: inet_diag dumps, or /proc/net where there is no inet_diag
 *
 * One dump gives every TCP socket, of both families and all states, also those that are only bound, unless
 * bind_table.h says that there are none; two give UDP. Where ports are in doubt it asks which sockets are bound to
 * explicit ports (the not-AUTO pass), and the allocator. A dump that was interrupted or inconsistent is done again,
 * at most 3 times. */
#ifndef PW_KERNEL_NETLINK_H
#define PW_KERNEL_NETLINK_H

#include "kernel/backend.h"
#include "kernel/bind_table.h"

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

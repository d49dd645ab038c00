/* SPDX-License-Identifier: BSD-2-Clause */
/* netns.h: looks into another network namespace for the time of a poll
 *
 * The calling thread enters and leaves; between two polls nothing of the namespace is kept open, so that it can be
 * deleted. */
#ifndef PW_KERNEL_NETNS_H
#define PW_KERNEL_NETNS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

/* Enters a namespace: a name of ip-netns(8) (/run/netns/NAME), or a path such as /proc/PID/ns/net where it has a
 * slash. NULL stays in the own one. `inode` says which namespace must be behind it, 0 takes any. Needs
 * CAP_SYS_ADMIN. Returns 0, or -1 with an error; *gone tells that it does not exist. */
int pw_netns_enter(const char *name, uint64_t inode, bool *gone, struct pw_error *err);

/* Goes back to the namespace that the process was started in. */
void pw_netns_leave(void);

/* Whether this process may enter other network namespaces (setns(2) needs CAP_SYS_ADMIN); *reason says why not. */
bool pw_netns_available(const char **reason);

#endif

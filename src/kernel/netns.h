/* SPDX-License-Identifier: BSD-2-Clause */
/* netns.h: which other network namespaces there are to be watched, and a look into one of them
 *
 * Watched are named ones (ip-netns(8)), those of running processes (containers), and what else the kernel tells of. A
 * namespace keeps its number as long as it exists. The calling thread enters it for the time of a poll and leaves;
 * between two polls nothing of it is kept open, so that it can be deleted. */
#ifndef PW_KERNEL_NETNS_H
#define PW_KERNEL_NETNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct pw_netns_entry {
	uint32_t index; /* pwNsIndex, from 2; never used again for another one */
	char name[64];  /* as ip-netns(8) has it, or "net-INODE" of a namespace that has no name there */
	char path[300]; /* to enter it now; where no way is known, one that leads nowhere */
	uint64_t inode; /* which namespace it is; another one of the same name gets another index */
	bool present;   /* found by the last update */
};

struct pw_netns_list;

/* NULL when out of memory. */
struct pw_netns_list *pw_netns_list_new(void);
void pw_netns_list_free(struct pw_netns_list *list);

struct pw_netns_wanted {
	bool all; /* or those with these names (ip-netns(8)) */
	char *const *names;
	size_t n_names;
	const uint64_t *inodes; /* of all namespaces, where the kernel told them; or NULL */
	size_t n_inodes;
};

/* Looks for namespaces. The processes of the host are looked through at most every 30 s (and, where the kernel does not
 * tell, when a namespace that a process held is not to be found any more), the names each time. Entries that have
 * gone are removed. */
void pw_netns_list_update(struct pw_netns_list *list, const struct pw_netns_wanted *wanted, uint64_t now_ms);

/* The entries in the order in which they were found; valid until the next update. */
const struct pw_netns_entry *pw_netns_list_entries(const struct pw_netns_list *list, size_t *n);

/* Enters a namespace: a name of ip-netns(8) (/run/netns/NAME), or a path such as /proc/PID/ns/net where it has a
 * slash. NULL stays in the own one. `inode` says which namespace must be behind it, 0 takes any. Needs
 * CAP_SYS_ADMIN. Returns 0, or -1 with an error; *gone tells that it does not exist. */
int pw_netns_enter(const char *name, uint64_t inode, bool *gone, struct pw_error *err);

/* Goes back to the namespace that the process was started in. */
void pw_netns_leave(void);

/* Whether this process may enter other network namespaces (setns(2) needs CAP_SYS_ADMIN); *reason says why not. */
bool pw_netns_available(const char **reason);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* netns_list.h: which other network namespaces there are to be watched
 *
 * Named ones (ip-netns(8)), those of running processes (containers), and what else the kernel tells of. A namespace keeps its number as long as it
 * exists. Nothing of it is kept open, so that watching does not keep it alive. */
#ifndef PW_KERNEL_NETNS_LIST_H
#define PW_KERNEL_NETNS_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

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

size_t pw_netns_list_count(const struct pw_netns_list *list);

/* The i-th entry, in the order in which they were found; valid until the next update. */
const struct pw_netns_entry *pw_netns_list_entry(const struct pw_netns_list *list, size_t i);

#endif

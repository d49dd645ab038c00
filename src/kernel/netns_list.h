/* SPDX-License-Identifier: BSD-2-Clause */
/* netns_list.h: which other network namespaces there are to be watched
 *
 * Named ones (ip-netns(8)) and those of running processes (containers). A namespace keeps its number as long as it
 * exists. Nothing of it is kept open, so that watching does not keep it alive. */
#ifndef PW_KERNEL_NETNS_LIST_H
#define PW_KERNEL_NETNS_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pw_netns_entry {
	uint32_t index; /* pwNsIndex, from 2; never used again for another one */
	char name[64];  /* as ip-netns(8) has it, or "net-INODE" of a namespace that only processes hold */
	char path[300]; /* to enter it now */
	uint64_t inode; /* which namespace it is; another one of the same name gets another index */
	bool present;   /* found by the last update */
};

struct pw_netns_list;

/* NULL when out of memory. */
struct pw_netns_list *pw_netns_list_new(void);
void pw_netns_list_free(struct pw_netns_list *list);

/* Looks for namespaces: those with these names, or all when `all`. The processes of the host are looked through at
 * most every 30 s (and when a namespace that a process held is not to be found any more), the names each time.
 * Entries that have gone are removed. */
void pw_netns_list_update(struct pw_netns_list *list, bool all, char *const *names, size_t n_names, uint64_t now_ms);

size_t pw_netns_list_count(const struct pw_netns_list *list);

/* The i-th entry, in the order in which they were found; valid until the next update. */
const struct pw_netns_entry *pw_netns_list_entry(const struct pw_netns_list *list, size_t i);

#endif

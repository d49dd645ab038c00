/* SPDX-License-Identifier: BSD-2-Clause */
/* host.h: the network namespaces of this host, polled together
 *
 * Finds those that are wanted, enters each, reads settings and socket counts, leaves out what shows no need of more,
 * has a backend take the sockets, and looks at translated ports. What it found is for pw_monitor_take(). */
#ifndef PW_KERNEL_HOST_H
#define PW_KERNEL_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/error.h"
#include "kernel/namespace.h"
#include "watch/monitor.h"
#include "watch/policy.h"

/* pwNsIndex of the own namespace; those of the others follow. */
#define PW_OWN_INDEX 1

/* How the host is polled; what it points to is borrowed until other options are set. */
struct pw_host_options {
	/* other namespaces, which come and go: all, or those with these names (ip-netns(8)) */
	bool all;
	char *const *names;
	size_t n_names;
	uint32_t max_sockets; /* of all of them together; 0: any number */
	/* of each namespace; see struct pw_namespace and struct pw_snat_options */
	bool probe;
	uint32_t probe_ms;
	struct pw_snat_options snat; /* its ranges and interval */
	/* what the monitor needs decides what is read at a poll; NULL: everything, at each */
	const struct pw_monitor *monitor;
	const struct pw_policy *policy;
	/* far from every threshold sockets are taken on the second; other namespaces get the time of the first, and
	 * those that come to nothing have theirs at the next poll */
	uint32_t interval_ms, idle_interval_ms; /* 0: all the time that it takes */
	bool look;                              /* take them all the same, wherever something may be listed */
	/* in these parts who has the sockets need not be known (struct pw_backend); see pw_host_take_owners() */
	uint32_t unowned;
	bool silent; /* no connect pool has reached a threshold since they were taken: the kernel would have told */
	/* each may be NULL: asked between two namespaces, true gives the poll up; told before a namespace that has
	 * gone is forgotten */
	bool (*stopping)(void);
	void (*gone)(struct pw_namespace *ns, void *context);
	void *context;
};

struct pw_host {
	struct pw_namespace **namespaces; /* in the order of their indexes */
	struct pw_ns_poll *polls;         /* what the last poll found, one a namespace */
	struct pw_namespace **wanted;     /* whose sockets the last poll has taken at one go */
	size_t n_wanted, wanted_room;
	size_t n;
	size_t n_fixed; /* the first ones: those that were added before the first poll */
	size_t room, polls_room;
	size_t refused; /* namespaces that are wanted, and for which there are too few descriptors */
	uint32_t turn;  /* index of the namespace that is next, as the last poll had no time for it; 0: the first */
	bool slow;      /* that is so, and was said */
	uint64_t sockets, largest; /* of other namespaces: taken by this poll, and what one may have, by the last one */
	struct pw_host_options options; /* of the next polls, for the caller to set */
	struct pw_backend *backend;
	uint32_t failures;     /* polls in a row at which the backend was refused (struct pw_backend) */
	char why_netlink[128]; /* although another one was wanted; else empty */
	struct pw_netns_list *others;
	struct pw_owner_names *owner_names;
};

/* Without namespaces, and with zeroed options. NULL when out of memory. */
struct pw_host *pw_host_new(void);
void pw_host_free(struct pw_host *host);

/* Adds a namespace that is polled whether it is there or not, before the first poll; see pw_namespace_new().
 * Borrowed; NULL when out of memory. */
struct pw_namespace *pw_host_add(struct pw_host *host, uint32_t index, const char *name, const char *path);

/* Takes sockets from this backend from the next poll on, instead of netlink, and takes it over. */
void pw_host_set_backend(struct pw_host *host, struct pw_backend *backend);

/* Takes sockets by netlink from the next poll on, since what was wanted instead does not work. */
void pw_host_fall_back(struct pw_host *host, const struct pw_error *why);

/* Between two polls: compares a take of the first namespace, which has been added, with one of netlink. Returns 0, or
 * -1 with an error when they deviate: then the backend is gone, and the next poll goes by netlink. */
int pw_host_compare_backend(struct pw_host *host, struct pw_error *err);

/* After a poll: whether its backend has been refused at three polls in a row, with the reason of the last one. Then it
 * is gone, too, and the next poll goes by netlink. */
bool pw_host_give_up_backend(struct pw_host *host, struct pw_error *why);

/* For a poll: brings the namespaces in line with those that are there and wanted. */
void pw_host_find(struct pw_host *host);

/* One poll: fills host->polls, which is valid until the next. What fails, fails for its namespace. Returns 0, or -1
 * when the poll was given up, since half of the namespaces would look like the end of all alarms in the others. */
int pw_host_poll(struct pw_host *host);

/* After a poll without owners: takes the sockets of its censuses once more, with them. The numbers are those of now
 * then. */
void pw_host_take_owners(struct pw_host *host);

#endif

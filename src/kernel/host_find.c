/* SPDX-License-Identifier: BSD-2-Clause */
/* host_find.c: network namespaces that come and go */
#include <string.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "base/log.h"
#include "kernel/host.h"
#include "kernel/netns.h"

/* Descriptors that are not for namespaces. */
#define SPARED_DESCRIPTORS 128

/* Drops those from `first` on up to the one with this index, or all of them. */
static void drop_until(struct pw_host *host, size_t first, uint32_t index)
{
	size_t at = first;

	for (; at < host->n && host->namespaces[at]->index != index; at++) {
		struct pw_namespace *ns = host->namespaces[at];

		pw_log(LOG_INFO, "network namespace %s: gone", ns->name);
		if (host->options.gone != NULL)
			host->options.gone(ns, host->options.context);
		pw_namespace_free(ns);
	}
	memmove(&host->namespaces[first], &host->namespaces[at], (host->n - at) * sizeof(host->namespaces[0]));
	host->n -= at - first;
}

/* How many namespaces there may be, by the limit of descriptors: each that is entered keeps those of its settings. What
 * is spared is for the master agent, the backend, and what a poll opens. */
static size_t most_namespaces(bool outside, rlim_t *limit)
{
	struct rlimit files = {.rlim_cur = RLIM_INFINITY};

	getrlimit(RLIMIT_NOFILE, &files);
	*limit = files.rlim_cur;
	if (outside || files.rlim_cur == RLIM_INFINITY)
		return SIZE_MAX;
	return files.rlim_cur > SPARED_DESCRIPTORS ? (files.rlim_cur - SPARED_DESCRIPTORS) / PW_STREAM_SETTINGS : 0;
}

/* Which namespaces are wanted. Returns whether the backend knows of them from the outside, all there are. */
static bool want(struct pw_host *host, struct pw_netns_wanted *wanted)
{
	const struct pw_host_options *options = &host->options;
	struct pw_error err;

	*wanted = (struct pw_netns_wanted){.all = options->all, .names = options->names, .n_names = options->n_names};
	if (host->backend->list == NULL)
		return false;
	wanted->inodes = host->backend->list(host->backend, &wanted->n_inodes, &err);
	if (wanted->inodes == NULL)
		pw_log(LOG_ERR, "the list of network namespaces: %s", err.text);
	return wanted->inodes != NULL;
}

/* Both lists are in the order in which namespaces were found, so what stands between two that match has gone. */
void pw_host_find(struct pw_host *host)
{
	const struct pw_host_options *options = &host->options;
	size_t at, n, most, refused;
	const struct pw_netns_entry *entries;
	struct pw_netns_wanted wanted;
	bool outside;
	rlim_t limit;

	if (host->n_fixed == 0)
		host->n_fixed = host->n;
	at = host->n_fixed;
	if (!options->all && options->n_names == 0 && host->n == at)
		return;
	outside = want(host, &wanted);
	pw_netns_list_update(host->others, &wanted, pw_clock_boot_ms());
	entries = pw_netns_list_entries(host->others, &n);
	most = most_namespaces(outside, &limit);
	for (size_t i = 0; i < n; i++) {
		const struct pw_netns_entry *entry = &entries[i];

		/* the watched ones come before all that were refused */
		if (at == host->n && i >= most)
			break;
		drop_until(host, at, entry->index);
		if (at < host->n) {
			struct pw_namespace *ns = host->namespaces[at++];

			/* another way into it: the process that it was found by may have ended */
			snprintf(ns->path, sizeof(ns->path), "%s", entry->path);
		} else if (pw_host_add(host, entry->index, entry->name, entry->path) != NULL) {
			host->namespaces[at]->inode = entry->inode;
			host->namespaces[at]->outside = outside ? host->backend : NULL;
			pw_log(LOG_INFO, "network namespace %s: watched from now on", entry->name);
			at++;
		} else {
			pw_log(LOG_ERR, "network namespace %s: not watched: out of memory", entry->name);
		}
	}
	drop_until(host, at, 0);
	/* those that came first stay; the others follow when there is room again */
	refused = n - (at - host->n_fixed);
	if (refused != 0 && host->refused == 0)
		pw_log(LOG_ERR,
			"%zu network namespaces are not watched: %llu descriptors (RLIMIT_NOFILE) are too few for more "
			"than %zu",
			refused, (unsigned long long)limit, host->n - host->n_fixed);
	else if (refused == 0 && host->refused != 0)
		pw_log(LOG_NOTICE, "all network namespaces are watched again");
	host->refused = refused;
}

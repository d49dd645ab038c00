/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernel/netns.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "base/array.h"
#include "base/log.h"
#include "base/number.h"

/* Where ip-netns(8) keeps its names. */
#define NAMES_DIR "/run/netns"

#define PROCESS_SCAN_MS 30000

/* A host with more containers than this is watched in part. */
#define ENTRIES_MAX 4096

/* --- which there are --- */

struct pw_netns_list {
	struct pw_netns_entry *entries;
	size_t n, size;
	uint32_t last_index;
	uint64_t scanned_ms; /* when the processes were looked through; 0 = never */
	uint64_t own_inode;
	size_t at;       /* see find() */
	uint64_t wanted; /* hash of what was asked for: another configuration looks again at once */
	uint64_t *seen;  /* inodes of the whole list at the last update, where the kernel told it */
	size_t n_seen, seen_room;
};

struct pw_netns_list *pw_netns_list_new(void)
{
	struct pw_netns_list *list = calloc(1, sizeof(*list));

	if (list != NULL)
		list->last_index = 1; /* the daemon's own */
	return list;
}

void pw_netns_list_free(struct pw_netns_list *list)
{
	if (list == NULL)
		return;
	free(list->entries);
	free(list->seen);
	free(list);
}

/* The inode of a namespace file, 0 when there is none (or it may not be looked at). ip-netns(8) makes an empty file
 * first, and mounts the namespace over it a moment later. */
static uint64_t inode_of(const char *path)
{
	struct statfs fs;
	struct stat st;

	return statfs(path, &fs) == 0 && fs.f_type == NSFS_MAGIC && stat(path, &st) == 0 ? st.st_ino : 0;
}

/* What is looked for in the order of the entries is found at once. */
static struct pw_netns_entry *find(struct pw_netns_list *list, uint64_t inode)
{
	for (size_t i = 0; i < list->n; i++, list->at++) {
		if (list->at >= list->n)
			list->at = 0;
		if (list->entries[list->at].inode == inode)
			return &list->entries[list->at];
	}
	return NULL;
}

/* A namespace was found under a path. The first name that it was found by stays. */
static void found(struct pw_netns_list *list, uint64_t inode, const char *name, const char *path)
{
	struct pw_netns_entry *entry = find(list, inode);

	if (inode == 0 || inode == list->own_inode || (entry != NULL && entry->present))
		return;
	if (entry == NULL) {
		if (list->n == ENTRIES_MAX || !PW_ARRAY_ROOM(list->entries, list->size, list->n + 1))
			return;
		entry = &list->entries[list->n++];
		*entry = (struct pw_netns_entry){.index = ++list->last_index, .inode = inode};
		snprintf(entry->name, sizeof(entry->name), "%s", name);
	}
	snprintf(entry->path, sizeof(entry->path), "%s", path);
	entry->present = true;
}

static void find_named(struct pw_netns_list *list, const char *name)
{
	char path[sizeof(NAMES_DIR) + 256];

	snprintf(path, sizeof(path), NAMES_DIR "/%s", name);
	found(list, inode_of(path), name, path);
}

static void find_of_process(struct pw_netns_list *list, const char *pid)
{
	char path[300], name[32];
	uint64_t inode;

	if (!pw_is_digits(pid))
		return;
	snprintf(path, sizeof(path), "/proc/%s/ns/net", pid);
	inode = inode_of(path);
	snprintf(name, sizeof(name), "net-%llu", (unsigned long long)inode);
	found(list, inode, name, path);
}

/* Hands the names in a directory on, but for hidden ones. */
static void find_in(
	struct pw_netns_list *list, const char *directory, void (*take)(struct pw_netns_list *list, const char *name))
{
	DIR *dir = opendir(directory);
	const struct dirent *d;

	/* cppcheck-suppress readdirCalled */
	while (dir != NULL && (d = readdir(dir)) != NULL)
		if (d->d_name[0] != '.')
			take(list, d->d_name);
	if (dir != NULL)
		closedir(dir);
}

/* Those that the kernel tells of and nothing leads to: the path is a name that there is not. One that was not there at
 * the last update may be about to get its name, and waits for the next. */
static void find_of_kernel(struct pw_netns_list *list, const uint64_t *inodes, size_t n, bool first)
{
	for (size_t i = 0; i < n; i++) {
		struct pw_netns_entry *entry = find(list, inodes[i]);
		bool is_new = entry == NULL && !first;
		char name[32];

		for (size_t k = 0; k < list->n_seen && is_new; k++)
			is_new = list->seen[k] != inodes[i];
		if (entry != NULL)
			entry->present = true;
		if (entry != NULL || is_new)
			continue;
		snprintf(name, sizeof(name), "net-%llu", (unsigned long long)inodes[i]);
		found(list, inodes[i], name, name);
	}
	list->n_seen = 0;
	if (!PW_ARRAY_ROOM(list->seen, list->seen_room, n + 1))
		return;
	memcpy(list->seen, inodes, n * sizeof(*inodes));
	list->n_seen = n;
}

void pw_netns_list_update(struct pw_netns_list *list, const struct pw_netns_wanted *wanted, uint64_t now_ms)
{
	uint64_t hash = wanted->all ? 1 : 2;
	bool first, search = false;
	size_t kept = 0;

	for (size_t i = 0; i < wanted->n_names; i++)
		for (const char *p = wanted->names[i]; *p != '\0'; p++)
			hash = (hash ^ (uint8_t)*p) * UINT64_C(0x100000001b3);
	first = list->scanned_ms == 0 || hash != list->wanted;
	list->wanted = hash;
	list->own_inode = inode_of("/proc/thread-self/ns/net");
	/* entries whose path still leads to the same namespace need no search */
	for (size_t i = 0; i < list->n; i++) {
		const bool same = inode_of(list->entries[i].path) == list->entries[i].inode;

		list->entries[i].present = same && !first;
		search = search || (!same && wanted->inodes == NULL);
	}
	for (size_t i = 0; i < wanted->n_names; i++)
		find_named(list, wanted->names[i]);
	if (wanted->all)
		find_in(list, NAMES_DIR, find_named);
	if (wanted->all && (search || first || now_ms - list->scanned_ms >= PROCESS_SCAN_MS)) {
		find_in(list, "/proc", find_of_process);
		list->scanned_ms = now_ms;
	}
	if (wanted->all && wanted->inodes != NULL)
		find_of_kernel(list, wanted->inodes, wanted->n_inodes, first);
	for (size_t i = 0; i < list->n; i++)
		if (list->entries[i].present)
			list->entries[kept++] = list->entries[i];
	list->n = kept;
}

const struct pw_netns_entry *pw_netns_list_entries(const struct pw_netns_list *list, size_t *n)
{
	*n = list->n;
	return list->entries;
}

/* --- a look into one --- */

/* The own namespace, opened by the first enter; -1 before. */
static int own_fd = -1;

static int keep_own(void)
{
	if (own_fd < 0)
		own_fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	return own_fd;
}

int pw_netns_enter(const char *name, uint64_t inode, bool *gone, struct pw_error *err)
{
	char path[512];
	struct stat st;
	int fd = -1, result;

	*gone = false;
	if (name == NULL)
		return 0;
	snprintf(path, sizeof(path), "%s%s", strchr(name, '/') == NULL ? NAMES_DIR "/" : "", name);
	if (keep_own() >= 0)
		fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		*gone = errno == ENOENT;
		return pw_error_set(err, "network namespace %s: %s", name, strerror(errno));
	}
	/* of what was opened: since it was found, its process may have ended and its number be another's */
	if (inode != 0 && (fstat(fd, &st) < 0 || st.st_ino != inode)) {
		close(fd);
		*gone = true;
		return pw_error_set(err, "network namespace %s: another one has taken its place", name);
	}
	result = setns(fd, CLONE_NEWNET);
	if (result < 0)
		pw_error_set(err, "network namespace %s: %s", name,
			errno == EPERM ? "entering it needs CAP_SYS_ADMIN" : strerror(errno));
	close(fd);
	return result;
}

/* Entering the own namespace again asks for the same privilege as entering another one, and changes nothing. */
bool pw_netns_available(const char **reason)
{
	if (keep_own() < 0 || setns(own_fd, CLONE_NEWNET) < 0) {
		*reason = errno == EPERM ? "CAP_SYS_ADMIN is missing" : strerror(errno);
		return false;
	}
	return true;
}

void pw_netns_leave(void)
{
	if (own_fd >= 0 && setns(own_fd, CLONE_NEWNET) < 0) {
		/* it was ours, and with the same privilege: what follows would be told of the wrong namespace */
		pw_log(LOG_ERR, "cannot return to the own network namespace: %s", strerror(errno));
		abort();
	}
}

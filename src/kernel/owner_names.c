/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernel/owner_names.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/array.h"
#include "base/clock.h"
#include "base/utf8.h"
#include "count/owner.h"

/* More control groups, and deeper ones, are not looked at. A host with a thousand containers has a few thousand. */
#define GROUPS_MAX 16384
#define DEPTH_MAX 32

/* A walk is not repeated sooner than this, and not before a hundred times its own duration. */
#define WALK_EVERY_MS 1000
#define WALK_SHARE 100

/* Ids that a walk did not find. */
#define MISSING_MAX 64

/* Users that are remembered, and for how long. */
#define USERS_MAX 64
#define USERS_MS 60000

#define CONTAINER_ID 64 /* hexadecimal digits */
#define CONTAINER_ID_SHOWN 12

struct group {
	uint64_t id;
	char name[PW_OWNER_NAME_MAX];
};

struct user {
	uint32_t uid;
	char name[PW_OWNER_NAME_MAX];
};

struct pw_owner_names {
	struct group *groups; /* by id */
	size_t n, size;
	uint64_t root; /* id of the root of the file system as this process sees it */
	uint64_t walk_again_us;
	uint64_t missing[MISSING_MAX];
	size_t n_missing; /* ever; the newest ones are kept */
	struct user users[USERS_MAX];
	size_t n_users;
	uint64_t users_ms;
};

struct pw_owner_names *pw_owner_names_new(void)
{
	return calloc(1, sizeof(struct pw_owner_names));
}

void pw_owner_names_free(struct pw_owner_names *names)
{
	if (names == NULL)
		return;
	free(names->groups);
	free(names);
}

/* --- what a path is called --- */

static bool ends_with(const char *text, size_t len, const char *end)
{
	return len > strlen(end) && memcmp(text + len - strlen(end), end, strlen(end)) == 0;
}

/* The manager of a user's own units. */
static bool is_user_manager(const char *text, size_t len)
{
	return strncmp(text, "user@", 5) == 0 && ends_with(text, len, ".service");
}

/* By the container's id in a component such as docker-ID.scope, cri-containerd-ID.scope, kubepods-...:cri-containerd:ID
 * or ID, or by the name that LXC has for it. */
static bool name_container(const char *text, size_t len, char *buf, size_t size)
{
	static const char lxc[] = "lxc.payload.";
	size_t digits = 0;

	for (size_t i = 0; i <= len; i++) {
		if (i < len && isxdigit((unsigned char)text[i])) {
			digits++;
			continue;
		}
		if (digits == CONTAINER_ID) {
			snprintf(buf, size, "container %.*s", CONTAINER_ID_SHOWN, text + i - CONTAINER_ID);
			return true;
		}
		digits = 0;
	}
	if (len < sizeof(lxc) || memcmp(text, lxc, sizeof(lxc) - 1) != 0)
		return false;
	snprintf(buf, size, "container %.*s", (int)(len - (sizeof(lxc) - 1)), text + sizeof(lxc) - 1);
	return true;
}

/* What a part of a path is called: by the first container in it, else its first unit, of a user's manager the first
 * one below; *named says whether there was either. Without them it is the whole part, or the user's manager. */
static void name_part(const char *path, size_t len, char *buf, size_t size, bool *named)
{
	const char *unit = NULL, *at = path, *end = path + len;
	size_t unit_len = 0, n;

	*named = true;
	for (at += strspn(at, "/"); at < end; at += n, at += strspn(at, "/")) {
		n = strcspn(at, "/");
		if (name_container(at, n, buf, size))
			return;
		if ((ends_with(at, n, ".service") || ends_with(at, n, ".scope")) &&
			(unit == NULL || is_user_manager(unit, unit_len))) {
			unit = at;
			unit_len = n;
		}
	}
	*named = unit != NULL && !is_user_manager(unit, unit_len);
	n = strlen(path);
	if (unit != NULL)
		snprintf(buf, size, "%.*s", (int)unit_len, unit);
	else if (n < size)
		snprintf(buf, size, "%s", path);
	else /* the end of a path that does not fit says more than its beginning */
		snprintf(buf, size, "...%s", path + n - (size - 4));
}

void pw_cgroup_name(const char *path, size_t of_root, const char *user, char *buf, size_t size)
{
	bool named;
	int n;

	name_part(path, of_root, buf, size, &named);
	if (!named && of_root < strlen(path)) {
		n = snprintf(buf, size, "%s: ", user);
		path += of_root + 1;
		if ((size_t)n < size)
			name_part(path, strlen(path), buf + n, size - (size_t)n, &named);
	}
	pw_utf8_clean(buf, size, buf);
}

/* --- users --- */

static const char *find_user(struct pw_owner_names *names, uint32_t uid)
{
	struct user *user;
	uint64_t now_ms = pw_clock_boot_ms();
	const struct passwd *entry;
	FILE *file;

	if (now_ms - names->users_ms >= USERS_MS) {
		names->n_users = 0;
		names->users_ms = now_ms;
	}
	for (size_t i = 0; i < names->n_users; i++)
		if (names->users[i].uid == uid)
			return names->users[i].name;
	names->n_users -= names->n_users == USERS_MAX;
	user = &names->users[names->n_users++];
	user->uid = uid;
	snprintf(user->name, sizeof(user->name), "uid %u", uid);
	file = fopen("/etc/passwd", "re");
	if (file == NULL)
		return user->name;
	/* No other thread reads such a file, and musl has no fgetpwent_r(). */
	/* cppcheck-suppress fgetpwentCalled */
	while ((entry = fgetpwent(file)) != NULL) {
		if (entry->pw_uid != uid)
			continue;
		snprintf(user->name, sizeof(user->name), "user %s", entry->pw_name);
		pw_utf8_clean(user->name, sizeof(user->name), user->name);
		break;
	}
	fclose(file);
	return user->name;
}

/* --- the walk --- */

struct walk {
	struct pw_owner_names *names;
	char path[4096];
	size_t len;
	size_t of_root; /* of the path: as far as root alone chose the names */
	uint32_t uid;   /* who chose the rest */
};

static int walk_into(struct walk *walk, int parent, const char *name, unsigned depth);

/* One control group: notes it and looks below. What vanishes on the way is left out. */
static int walk_entry(struct walk *walk, int parent, const struct dirent *entry, unsigned depth)
{
	struct pw_owner_names *names = walk->names;
	size_t len = walk->len;
	struct group *group;
	int n, status;

	if (entry->d_type != DT_DIR || entry->d_name[0] == '.' || depth == DEPTH_MAX)
		return 0;
	n = snprintf(walk->path + len, sizeof(walk->path) - len, "/%s", entry->d_name);
	if (n < 0 || (size_t)n >= sizeof(walk->path) - len)
		return 0;
	if (names->n == GROUPS_MAX || !PW_ARRAY_ROOM(names->groups, names->size, names->n + 1))
		return -1;
	walk->len += (size_t)n;
	group = &names->groups[names->n++];
	group->id = entry->d_ino;
	if (walk->of_root >= walk->len)
		pw_cgroup_name(walk->path, walk->len, "", group->name, sizeof(group->name));
	else
		pw_cgroup_name(
			walk->path, walk->of_root, find_user(names, walk->uid), group->name, sizeof(group->name));
	status = walk_into(walk, parent, entry->d_name, depth + 1);
	walk->len = len;
	return status;
}

static int walk_into(struct walk *walk, int parent, const char *name, unsigned depth)
{
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), status = 0;
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	const size_t of_root = walk->of_root;
	const struct dirent *entry;
	struct stat st;

	if (dir == NULL) {
		if (fd >= 0)
			close(fd);
		return 0;
	}
	/* a group that was delegated: whom it belongs to makes others below it, and calls them what he likes */
	if (depth > 0 && of_root == SIZE_MAX && fstat(fd, &st) == 0 && st.st_uid != 0) {
		walk->of_root = walk->len;
		walk->uid = st.st_uid;
	}
	/* cppcheck-suppress readdirCalled */
	while (status == 0 && (entry = readdir(dir)) != NULL)
		status = walk_entry(walk, dirfd(dir), entry, depth);
	closedir(dir);
	walk->of_root = of_root;
	return status;
}

static int by_id(const void *a, const void *b)
{
	const struct group *x = a, *y = b;

	return (x->id > y->id) - (x->id < y->id);
}

static void walk_groups(struct pw_owner_names *names)
{
	/* where the cgroup2 file system is mounted: alone, or beside those of the first version */
	static const char *const mounts[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"};
	uint64_t start_us = pw_clock_boot_us(), end_us, pause_us;
	struct walk walk = {.names = names, .of_root = SIZE_MAX};
	const char *mount = NULL;
	struct statfs fs;
	struct stat st;

	for (size_t i = 0; i < sizeof(mounts) / sizeof(mounts[0]) && mount == NULL; i++)
		if (statfs(mounts[i], &fs) == 0 && fs.f_type == CGROUP2_SUPER_MAGIC)
			mount = mounts[i];
	names->n = 0;
	names->root = mount != NULL && stat(mount, &st) == 0 ? st.st_ino : 0;
	if (mount != NULL)
		walk_into(&walk, AT_FDCWD, mount, 0);
	if (names->n != 0)
		qsort(names->groups, names->n, sizeof(*names->groups), by_id);
	end_us = pw_clock_boot_us();
	pause_us = (end_us - start_us) * WALK_SHARE;
	names->walk_again_us = end_us + (pause_us > WALK_EVERY_MS * 1000 ? pause_us : WALK_EVERY_MS * 1000);
}

static const struct group *find_group(struct pw_owner_names *names, uint64_t id)
{
	const struct group key = {.id = id};
	const struct group *found;
	bool missing = false;

	found = names->n != 0 ? bsearch(&key, names->groups, names->n, sizeof(key), by_id) : NULL;
	for (size_t i = 0; found == NULL && i < names->n_missing && i < MISSING_MAX; i++)
		missing = missing || names->missing[i] == id;
	if (found != NULL || id == 0 || id == names->root || missing || pw_clock_boot_us() < names->walk_again_us)
		return found;
	walk_groups(names);
	found = names->n != 0 ? bsearch(&key, names->groups, names->n, sizeof(key), by_id) : NULL;
	if (found == NULL)
		names->missing[names->n_missing++ % MISSING_MAX] = id;
	return found;
}

/* --- both --- */

void pw_owner_names_find(struct pw_owner_names *names, uint64_t cgroup, uint32_t uid, char *buf, size_t size)
{
	const struct group *group = find_group(names, cgroup);

	snprintf(buf, size, "%s", group != NULL ? group->name : find_user(names, uid));
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* owner_names.h: names for the control groups and users that hold sockets
 *
 * The id of a control group is the inode number of its directory in the cgroup2 file system (cgroup_id(), kernfs): a
 * walk over the directories finds all names at once, needs no privilege, and is done again only when an id turns up
 * that it has not seen. Ids are never used twice. */
#ifndef PW_KERNEL_OWNER_NAMES_H
#define PW_KERNEL_OWNER_NAMES_H

#include <stddef.h>
#include <stdint.h>

struct pw_owner_names;

/* NULL when out of memory. */
struct pw_owner_names *pw_owner_names_new(void);
void pw_owner_names_free(struct pw_owner_names *names);

/* Names the holder of a socket: its control group as pw_cgroup_name() has it, or its user where there is none beside
 * the root, where it has gone or lies outside the cgroup namespace of this process: "user www-data" from /etc/passwd,
 * else "uid 33". Name services are not asked, since they can block. Takes at most one percent of the time for walks,
 * so a new name may be late. */
void pw_owner_names_find(struct pw_owner_names *names, uint64_t cgroup, uint32_t uid, char *buf, size_t size);

/* What a control group is called, by its path from the root: the container with the first 12 digits of its id
 * ("container 0123456789ab", docker, podman, containerd, CRI-O) or its LXC name; else the systemd unit
 * ("nginx.service"), below user@UID.service the unit of the user; else the path. The first `of_root` bytes of the
 * path are names that root chose. Where these name neither container nor unit, `user` comes first, who chose the rest
 * ("user alice: nginx.service"). The text is safe (pw_utf8_clean()). */
void pw_cgroup_name(const char *path, size_t of_root, const char *user, char *buf, size_t size);

#endif

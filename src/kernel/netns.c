/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernel/netns.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"

/* Where ip-netns(8) keeps its names. */
#define NETNS_DIR "/run/netns/"

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
	snprintf(path, sizeof(path), "%s%s", strchr(name, '/') == NULL ? NETNS_DIR : "", name);
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

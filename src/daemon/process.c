/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/process.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/sched.h>
#include <linux/sched/types.h>
#include <pwd.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/number.h"

/* --- background --- */

int pw_detach(struct pw_error *err)
{
	uint8_t status = 1; /* also when the child dies without a word */
	int fds[2];
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return pw_error_set(err, "pipe: %s", strerror(errno));
	pid = fork();
	if (pid < 0) {
		close(fds[0]);
		close(fds[1]);
		return pw_error_set(err, "fork: %s", strerror(errno));
	}
	if (pid > 0) {
		close(fds[1]);
		while (read(fds[0], &status, 1) < 0 && errno == EINTR)
			;
		_exit(status);
	}
	close(fds[0]);
	setsid();
	return fds[1];
}

void pw_detach_done(int fd, int status)
{
	uint8_t byte = (uint8_t)status;
	int null;

	if (status == 0 && chdir("/") == 0 && (null = open("/dev/null", O_RDWR | O_CLOEXEC)) >= 0) {
		for (int i = 0; i <= 2; i++)
			dup2(null, i);
		if (null > 2)
			close(null);
	}
	while (write(fd, &byte, 1) < 0 && errno == EINTR)
		;
	close(fd);
}

/* --- privileges --- */

/* Older headers lack it. */
#ifndef CAP_PERFMON
#define CAP_PERFMON 38
#endif
#ifndef CAP_BPF
#define CAP_BPF 39
#endif

static int keep_capabilities(const struct pw_privileges *keep)
{
	const struct {
		bool wanted;
		cap_value_t capability;
	} list[] = {
		{keep->net_admin, CAP_NET_ADMIN},
		{keep->low_port, CAP_NET_BIND_SERVICE},
		{keep->perfmon, CAP_PERFMON},
		{keep->bpf, CAP_BPF},
		{keep->namespaces, CAP_SYS_ADMIN},
		{keep->namespaces, CAP_SYS_PTRACE},
	};
	cap_t caps = cap_init() /* all flags cleared */, now = cap_get_proc();
	int status = caps != NULL && now != NULL ? 0 : -1;

	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]) && status == 0; i++) {
		const cap_value_t capability = list[i].capability;
		cap_flag_value_t permitted = CAP_CLEAR;

		/* what needs a capability that a process in a container may lack is reported as unavailable later, and
		 * no reason not to start */
		if (!list[i].wanted || cap_get_flag(now, capability, CAP_PERMITTED, &permitted) < 0 ||
			permitted == CAP_CLEAR)
			continue;
		if (cap_set_flag(caps, CAP_PERMITTED, 1, &capability, CAP_SET) < 0 ||
			cap_set_flag(caps, CAP_EFFECTIVE, 1, &capability, CAP_SET) < 0)
			status = -1;
	}
	if (status == 0)
		status = cap_set_proc(caps);
	cap_free(caps);
	cap_free(now);
	return status;
}

int pw_privileges_drop(const char *user, const struct pw_privileges *keep, struct pw_error *err)
{
	const struct passwd *pw;

	errno = 0;
	pw = getpwnam(user);
	if (pw == NULL)
		return pw_error_set(err, "user %s: %s", user,
			errno != 0 ? strerror(errno) : "unknown, expected the name of an account");
	if (geteuid() != 0)
		return pw_error_set(err, "-u %s: only root can become another user", user);
	if (initgroups(pw->pw_name, pw->pw_gid) < 0 || setgid(pw->pw_gid) < 0)
		return pw_error_set(err, "groups of user %s: %s", user, strerror(errno));
	if (prctl(PR_SET_KEEPCAPS, 1) < 0 || setuid(pw->pw_uid) < 0)
		return pw_error_set(err, "user %s: %s", user, strerror(errno));
	if (keep_capabilities(keep) < 0)
		return pw_error_set(err, "capabilities of user %s: %s", user, strerror(errno));
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return pw_error_set(err, "no_new_privs: %s", strerror(errno));
	return 0;
}

int pw_privileges_reduce(const struct pw_privileges *keep, struct pw_error *err)
{
	if (geteuid() == 0 || keep_capabilities(keep) == 0)
		return 0;
	return pw_error_set(err, "capabilities: %s", strerror(errno));
}

/* --- scheduling --- */

/* A running thread keeps the CPU from one that wakes up for the rest of its slice, unless the slice of the other is
 * shorter (kernel/sched/fair.c, PREEMPT_SHORT). This is the longest that can be asked for; the default is a few
 * milliseconds. */
#define LONGEST_SLICE_NS 100000000

void pw_schedule_as_batch(void)
{
	struct sched_attr attr = {.size = sizeof(attr)};

	/* the C library has no functions for these; 0 is the calling thread, and what is read first is its nice
	 * value */
	if (syscall(SYS_sched_getattr, 0, &attr, sizeof(attr), 0) == 0) {
		attr.sched_policy = SCHED_BATCH;
		attr.sched_runtime = LONGEST_SLICE_NS;
		if (syscall(SYS_sched_setattr, 0, &attr, 0) == 0)
			return;
	}
	pw_log(LOG_DEBUG, "polls compete for the CPU with everything else: %s", strerror(errno));
}

/* --- systemd --- */

bool pw_systemd_notify(const char *state)
{
	static int fd = -1; /* stays open: signs of life must not end where no descriptor is left */
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t len = path != NULL ? strlen(path) : 0;

	if (len < 2 || len > sizeof(address.sun_path))
		return true;
	memcpy(address.sun_path, path, len);
	if (path[0] == '@') /* an abstract address */
		address.sun_path[0] = '\0';
	len += offsetof(struct sockaddr_un, sun_path);
	if (fd < 0)
		fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	return fd >= 0 &&
		sendto(fd, state, strlen(state), MSG_NOSIGNAL, (const struct sockaddr *)&address, (socklen_t)len) >= 0;
}

/* Half of the time that systemd allows between two signs of life. */
int pw_systemd_beat_ms(void)
{
	const char *time = getenv("WATCHDOG_USEC"), *who = getenv("WATCHDOG_PID");
	uint64_t usec, pid;

	if (time == NULL || !pw_number(time, 1, (uint64_t)INT32_MAX * 1000, &usec))
		return -1;
	if (who != NULL && (!pw_number(who, 1, INT32_MAX, &pid) || pid != (uint64_t)getpid()))
		return -1;
	return (int)(usec / 2000);
}

void pw_systemd_beat(void)
{
	static uint64_t again_ms;
	int interval_ms = pw_systemd_beat_ms();
	uint64_t now_ms = pw_clock_boot_ms();

	if (interval_ms < 0 || now_ms < again_ms)
		return;
	if (pw_systemd_notify("WATCHDOG=1"))
		again_ms = now_ms + (uint64_t)interval_ms / 2;
}

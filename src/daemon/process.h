/* SPDX-License-Identifier: BSD-2-Clause */
/* process.h: what portwatchd is to the system that it runs on: background, privileges, scheduling, signs of life for
 * systemd */
#ifndef PW_DAEMON_PROCESS_H
#define PW_DAEMON_PROCESS_H

#include <stdbool.h>

#include "base/error.h"

/* Forks into a session of its own, as init scripts expect it. In the child it returns a descriptor for
 * pw_detach_done(); the parent waits for that and exits with its status, so that whoever started the daemon learns
 * whether it runs. Returns -1 with an error when it can't fork. */
int pw_detach(struct pw_error *err);

/* Tells the parent the exit status and, with status 0, detaches from the terminal. */
void pw_detach_done(int fd, int status);

/* What has to work after root is given up. */
struct pw_privileges {
	bool net_admin; /* CAP_NET_ADMIN: TCP_REPAIR probes, connection tracking */
	bool low_port;  /* CAP_NET_BIND_SERVICE: a listen address below port 1024 */
	bool perfmon;   /* CAP_PERFMON: counting failed connects by perf events */
	bool bpf;       /* CAP_BPF: running BPF programs before Linux 5.19 */
	/* CAP_SYS_ADMIN: entering other network namespaces; CAP_SYS_PTRACE: finding those of other users' processes */
	bool namespaces;
};

/* Becomes the user with its groups and no more than these capabilities, as far as the process has them (none is
 * inherited by other programs, none can be gained again). Call it before any thread is started. Returns 0, or -1 with
 * an error; the process then must end. */
int pw_privileges_drop(const char *user, const struct pw_privileges *keep, struct pw_error *err);

/* For a process that was not root from the start, as under systemd: gives up what the start alone needed, and keeps
 * no more than these. Root is left as it is. Returns 0, or -1 with an error. */
int pw_privileges_reduce(const struct pw_privileges *keep, struct pw_error *err);

/* Makes the calling thread one whose work may be interrupted at any time (SCHED_BATCH with the longest slice): it
 * takes no CPU from a running thread, and since Linux 6.12 whatever wakes up gets the CPU at once. Its share of the
 * time stays what it was, so that a busy host does not delay it for longer than anything else. Threads that it starts
 * later inherit this. Where the kernel or a sandbox refuses, nothing changes. */
void pw_schedule_as_batch(void);

/* Tells systemd a state ("READY=1", sd_notify(3)) without waiting for it. Does nothing where the daemon was not
 * started by systemd. Returns false when it did not get through and is to be tried again. */
bool pw_systemd_notify(const char *state);

/* A sign of life, at most as often as systemd wants one (WatchdogSec=). */
void pw_systemd_beat(void);

/* How often pw_systemd_beat() is to be called, in ms; -1 when systemd does not watch. */
int pw_systemd_beat_ms(void);

#endif

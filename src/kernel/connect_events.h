/* SPDX-License-Identifier: BSD-2-Clause */
/* connect_events.h: allocations of the whole host that failed for want of a port, as the kernel itself tells
 *
 * By a BPF program on the tracepoint sock:inet_sock_set_state (events.bpf.c) where one may be loaded, else by perf
 * events on the same tracepoint with a filter in the kernel. Neither makes other system calls slower: the tracepoint
 * fires when the state of a TCP connection changes. Counted is each TCP connect() that found no port: blocking or not,
 * by io_uring, MSG_FASTOPEN, TCP_FASTOPEN_CONNECT, MPTCP; IPv4, IPv6 and mapped; in every network namespace and
 * container. Not what is refused, times out, is closed while it connects, has no route, or connects twice between the
 * same addresses and ports; and no probe of portwatch. One gap: a socket that had a port before, and then was
 * disconnected, is taken for one that has it still.
 *
 * bind() to port 0 (EADDRINUSE) and UDP's automatic bind (EAGAIN) are counted where the kernel lets BPF programs follow
 * its functions (fexit). */
#ifndef PW_KERNEL_CONNECT_EVENTS_H
#define PW_KERNEL_CONNECT_EVENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "count/pool.h"
#include "kernel/latency.h"
#include "kernel/rings.h"
#include "watch/failure.h"

struct pw_connect_events;

/* A pool that refused. */
struct pw_refusals {
	struct pw_pool_key key;            /* ns is 0: netns says which */
	uint64_t netns;                    /* inode number of the namespace, 0 = not known: the process ended */
	uint64_t count;                    /* since the last poll */
	uint64_t last_ms;                  /* CLOCK_BOOTTIME */
	struct pw_failing_process process; /* the last one */
	uint64_t cgroup;                   /* its control group, 0 = not known */
};

/* What one poll found. */
struct pw_connect_events_poll {
	bool counting;
	bool binds;       /* bind() and UDP too */
	char reason[256]; /* what is not counted, and why; "" when all is counted */
	uint64_t total;   /* refusals since the first arming */
	uint64_t crowded; /* of these, those whose pool is not known: there were too many pools, or events were lost */
	struct pw_refusals *pools; /* borrowed until the next poll */
	size_t n;
	struct pw_failing_processes processes; /* since the last poll */
};

/* How it may be counted. */
enum pw_connect_events_use { PW_EVENTS_AUTO, PW_EVENTS_BPF, PW_EVENTS_PERF };

/* Loads the programs, which needs CAP_BPF and CAP_PERFMON (or root), or looks up the tracepoint, which needs root: call
 * it before root is given up. Counts nothing yet. NULL when out of memory. */
struct pw_connect_events *pw_connect_events_new(enum pw_connect_events_use use);
void pw_connect_events_free(struct pw_connect_events *events);

/* What is wanted, as bits. */
enum pw_connect_events_wanted { PW_EVENTS_FAILURES = 1, PW_EVENTS_RINGS = 2 };

/* One poll: begins to count where that was not done (perf events need CAP_PERFMON for it, and for each CPU that comes),
 * and takes what was counted. Without PW_EVENTS_FAILURES: ends the counting. The total stays whatever happens. */
void pw_connect_events_poll(struct pw_connect_events *events, unsigned wanted, struct pw_connect_events_poll *out);

/* After a poll that wanted them: the thresholds that ring, until the next poll. NULL, and *reason says why, where they
 * can't. */
struct pw_rings *pw_connect_events_rings(struct pw_connect_events *events, const char **reason);

/* What measures how long connect() searches for a port, borrowed; NULL where the kernel lets no program follow its
 * functions. */
struct pw_latency *pw_connect_events_latency(struct pw_connect_events *events);

/* Becomes readable (POLLIN) when an allocation fails, until the next poll; -1 = nothing of the kind. It may change at
 * each poll. */
int pw_connect_events_fd(const struct pw_connect_events *events);

/* Which capabilities the polls need: CAP_BPF and CAP_PERFMON with BPF before Linux 5.19, and none since; CAP_PERFMON
 * with perf events. */
bool pw_connect_events_needs_bpf(const struct pw_connect_events *events);
bool pw_connect_events_needs_perfmon(const struct pw_connect_events *events);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* connect_failures.h: counts the connect() calls of the host that failed with EADDRNOTAVAIL
 *
 * A perf counter on the tracepoint syscalls:sys_exit_connect, one a CPU, with the filter "ret == -99" in the kernel: what does not fail
 * wakes nobody. It counts all processes of the host, whatever their namespaces; not calls of 32-bit programs on a 64-bit kernel, nor those
 * by io_uring. EADDRNOTAVAIL also comes where no port is wanting: connect() to the port of an existing connection from a bound one,
 * or from an address that is not there. UDP's connect() and sendto() fail with EAGAIN, which has many other causes, and is left out.
 *
 * While it is armed every system call of the host takes the slow way through the kernel's entry code: docs/performance.md. */
#ifndef PW_KERNEL_CONNECT_FAILURES_H
#define PW_KERNEL_CONNECT_FAILURES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "watch/failure.h"

/* CPU numbers. */
#define PW_CPUS_MAX 8192
struct pw_cpus {
	uint64_t word[PW_CPUS_MAX / 64];
};

/* Reads a list such as "0-3,8" (/sys/devices/system/cpu/online). Returns 0, or -1 when it is none. */
int pw_cpus_parse(const char *list, struct pw_cpus *out);

struct pw_connect_failures;

/* What one poll found. */
struct pw_connect_failures_poll {
	bool counting;
	char reason[256]; /* why not; "" while counting */
	uint64_t total;   /* failed calls since the first arming */
	struct pw_failing_processes processes;
};

/* Looks up the tracepoint, which may need root: call it before root is given up. Arms nothing yet. NULL when out of memory. */
struct pw_connect_failures *pw_connect_failures_new(void);
void pw_connect_failures_free(struct pw_connect_failures *failures);

/* One poll: arms the counters that are missing (needs CAP_PERFMON, after a start, and for each CPU that has come), lets go of those of CPUs that
 * have gone, and reads them. Not `wanted`: lets go of all. The total stays whatever happens; only what fails on a CPU between
 * its coming and the next poll is not counted. Samples of the processes wait in a buffer of 256 a CPU: when it is full, the count
 * goes on without them. */
void pw_connect_failures_poll(struct pw_connect_failures *failures, bool wanted, struct pw_connect_failures_poll *out);

/* The same with this list of CPUs instead of those that are online, for tests. */
void pw_connect_failures_poll_cpus(
	struct pw_connect_failures *failures, const char *online, struct pw_connect_failures_poll *out);

#endif

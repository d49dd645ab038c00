/* SPDX-License-Identifier: BSD-2-Clause */
/* connect_perf.h: connect() calls that found no port, by perf events
 *
 * What connect_events.h uses where no BPF program may be loaded: a counter on the tracepoint sock:inet_sock_set_state,
 * one a CPU, with a filter in the kernel: what does not fail wakes nobody. Processes named portwatch and portwatchd are
 * left out, since their probes look the same. */
#ifndef PW_KERNEL_CONNECT_PERF_H
#define PW_KERNEL_CONNECT_PERF_H

#include <stdint.h>

#include "base/error.h"
#include "kernel/connect_events.h"

/* CPU numbers. */
#define PW_CPUS_MAX 8192
struct pw_cpus {
	uint64_t word[PW_CPUS_MAX / 64];
};

/* Reads a list such as "0-3,8" (/sys/devices/system/cpu/online). Returns 0, or -1 when it is none. */
int pw_cpus_parse(const char *list, struct pw_cpus *out);

struct pw_connect_perf;

/* Gets each sample: one refusal. The process has no name, and the pool no namespace, when the process has ended. */
typedef void pw_connect_perf_sample(const struct pw_refusals *refusal, void *context);

/* Looks up the tracepoint, which may need root: call it before root is given up. Arms nothing yet. NULL when out of
 * memory. */
struct pw_connect_perf *pw_connect_perf_new(pw_connect_perf_sample *sample, void *context);
void pw_connect_perf_free(struct pw_connect_perf *perf);

/* One poll: arms the counters that are missing (needs CAP_PERFMON, after a start, and for each CPU that has come), lets
 * go of those of CPUs that have gone, reads them and hands out their samples. *counted is what was counted since the
 * first arming, and stays whatever happens; only what fails on a CPU between its coming and the next poll is not
 * counted. Samples wait in a buffer of some 300 a CPU: when it is full, the count goes on without them. Returns 0, or
 * -1 with an error: then nothing is armed. `online` is a list of CPUs, NULL: those that are online. */
int pw_connect_perf_poll(struct pw_connect_perf *perf, const char *online, uint64_t *counted, struct pw_error *err);

/* Closes all counters. Returns what was counted. */
uint64_t pw_connect_perf_stop(struct pw_connect_perf *perf);

/* Becomes readable when a counter counts; -1 = never. */
int pw_connect_perf_fd(const struct pw_connect_perf *perf);

#endif

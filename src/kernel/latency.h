/* SPDX-License-Identifier: BSD-2-Clause */
/* latency.h: how long connect() searches for a port, as BPF programs around the kernel's own search measure it
 *
 * Only for pools that have an alarm, and nothing is attached while there are none. What others connect to costs them a
 * look into a table meanwhile. */
#ifndef PW_KERNEL_LATENCY_H
#define PW_KERNEL_LATENCY_H

#include <stddef.h>
#include <stdint.h>

#include "watch/monitor.h"

struct pw_latency;

/* Loads the programs, which needs CAP_BPF and CAP_PERFMON, and a kernel that lets programs follow its functions. NULL
 * when it can't be done: then errno says why. */
struct pw_latency *pw_latency_new(void);
void pw_latency_free(struct pw_latency *latency);

/* Answers the questions that want what was measured, by what the last 10 to 20 seconds had, and measures the pools of
 * these questions, and no others, from now on. */
void pw_latency_answer(struct pw_latency *latency, struct pw_question *questions, size_t n, uint64_t now_ms);

#endif

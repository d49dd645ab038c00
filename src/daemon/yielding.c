/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/yielding.h"

#include <errno.h>
#include <linux/sched.h>
#include <linux/sched/types.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"

/* A running thread keeps the CPU from one that wakes up for the rest of its slice, unless the slice of the other is shorter
 * (kernel/sched/fair.c, PREEMPT_SHORT). This is the longest that can be asked for; the default is a few milliseconds. */
#define LONGEST_SLICE_NS 100000000

void pw_yielding_enter(void)
{
	struct sched_attr attr = {.size = sizeof(attr)};

	/* the C library has no functions for these; 0 is the calling thread, and what is read first is its nice value */
	if (syscall(SYS_sched_getattr, 0, &attr, sizeof(attr), 0) == 0) {
		attr.sched_policy = SCHED_BATCH;
		attr.sched_runtime = LONGEST_SLICE_NS;
		if (syscall(SYS_sched_setattr, 0, &attr, 0) == 0)
			return;
	}
	pw_log(LOG_DEBUG, "polls compete for the CPU with everything else: %s", strerror(errno));
}

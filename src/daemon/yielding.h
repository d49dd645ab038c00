/* SPDX-License-Identifier: BSD-2-Clause */
/* yielding.h: a thread that leaves the CPU to whoever wakes up */
#ifndef PW_DAEMON_YIELDING_H
#define PW_DAEMON_YIELDING_H

/* Makes the calling thread one whose work may be interrupted at any time: it takes no CPU from a running thread, and since Linux 6.12
 * whatever wakes up gets the CPU at once. Its share of the time stays what it was, so that a busy host does not delay it for
 * longer than anything else. Threads that it starts later inherit this. Where the kernel or a sandbox refuses, nothing
 * changes. */
void pw_yielding_enter(void);

#endif

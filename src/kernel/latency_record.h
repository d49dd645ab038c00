/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* latency_record.h: what latency.bpf.c and latency.c tell each other */
#ifndef PW_KERNEL_LATENCY_RECORD_H
#define PW_KERNEL_LATENCY_RECORD_H

#include "events_record.h"

/* Pools that are measured at a time. */
#define LATENCY_POOLS 256

/* Searches that are under way at a time: those beyond are not measured. */
#define LATENCY_SEARCHES 1024

/* Four for each power of two of nanoseconds; what took longer than 8 s is in the last one. */
#define LATENCY_BUCKETS 128

struct latency_counts {
	__u32 bucket[LATENCY_BUCKETS];
};

static inline __u32 latency_bucket(__u64 ns)
{
	__u32 power = 2, bucket;

	if (ns < 4)
		return (__u32)ns;
	for (__u32 step = 32; step > 0; step /= 2)
		if (ns >> (power + step - 2) >= 4)
			power += step;
	bucket = (power - 1) * 4 + (__u32)(ns >> (power - 2) & 3);
	return bucket < LATENCY_BUCKETS ? bucket : LATENCY_BUCKETS - 1;
}

/* The middle of a bucket. */
static inline __u64 latency_middle(__u32 bucket)
{
	__u32 shift = bucket < 8 ? 0 : bucket / 4 - 1;

	return bucket < 8 ? bucket : ((__u64)(4 + bucket % 4) << shift) + ((__u64)1 << shift >> 1);
}

#endif

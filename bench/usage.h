/* SPDX-License-Identifier: BSD-2-Clause */
/* usage.h: what a piece of work cost this process */
#ifndef PW_BENCH_USAGE_H
#define PW_BENCH_USAGE_H

#include <stdint.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

/* Between two polls, as any poll interval: long enough for the caches to forget, and for what the last poll closed to be gone (RCU). */
#define PAUSE_US 50000

static inline void pause_between_polls(void)
{
	usleep(PAUSE_US);
}

/* By the clock. */
static inline uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

struct usage {
	uint64_t cpu_us; /* user and system time together: only the sum is exact, the kernel splits it by ticks */
	uint64_t wall_us;
};

static inline struct usage usage_now(void)
{
	struct rusage self;
	struct timespec now;

	getrusage(RUSAGE_SELF, &self);
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (struct usage){
		.cpu_us = (uint64_t)(self.ru_utime.tv_sec + self.ru_stime.tv_sec) * 1000000 +
			(uint64_t)(self.ru_utime.tv_usec + self.ru_stime.tv_usec),
		.wall_us = (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000,
	};
}

static inline struct usage usage_since(struct usage start)
{
	struct usage now = usage_now();

	return (struct usage){.cpu_us = now.cpu_us - start.cpu_us, .wall_us = now.wall_us - start.wall_us};
}

#endif

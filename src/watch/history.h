/* SPDX-License-Identifier: BSD-2-Clause */
/* history.h: growth of a pool and the time to its exhaustion, from its last polls
 *
 * Follows the free ports. Robust against single odd polls and against the waves that TIME_WAIT makes (60 s). */
#ifndef PW_WATCH_HISTORY_H
#define PW_WATCH_HISTORY_H

#include <stdint.h>

#include "count/pool.h"

struct pw_history;

/* NULL when out of memory. */
struct pw_history *pw_history_new(void);
void pw_history_free(struct pw_history *history);

/* Adds the free ports at one poll; now_ms is CLOCK_BOOTTIME and strictly increasing. */
void pw_history_add(struct pw_history *history, uint64_t now_ms, uint32_t free);

/* The capacity of the pool has changed by so many ports since the last poll: what was free before is seen as if it had
 * been so all along, since a range that is made larger or smaller is no growth. */
void pw_history_shift(struct pw_history *history, int32_t ports);

/* What is known of the past, the oldest first: free ports at some moments (the means of slots of 10 s). Adding these
 * to a new history makes one that tells the same. Returns how many were written. */
#define PW_HISTORY_POINTS 38
struct pw_history_point {
	uint64_t ms;
	uint32_t free;
};
unsigned pw_history_points(const struct pw_history *history, struct pw_history_point out[PW_HISTORY_POINTS]);

/* The last minutes in equal steps, for whoever draws them. */
#define PW_HISTORY_STEP_MS 10000
#define PW_HISTORY_STEPS 30

/* Free ports step by step, the newest first: those of the last poll, then what was known that many steps before it.
 * Where polls are further apart a value stands for all steps up to the next. Returns how many there are, no more than
 * PW_HISTORY_STEPS: what was before the first poll is not known. NULL has none. */
unsigned pw_history_steps(const struct pw_history *history, uint32_t out[PW_HISTORY_STEPS]);

struct pw_trend {
	int32_t growth; /* ports a minute by which it fills (positive) or drains; 0 while too little is known */
	uint32_t time_to_exhaustion; /* seconds until free is 0 at this growth; 0 when nothing is free; else
					PW_NOT_IN_SIGHT */
	/* the same where these are known; else by the plain difference to a minute ago, or to the first poll */
	int32_t recent_growth;
	uint32_t recent_time_to_exhaustion;
};

/* With NULL as history nothing is known. */
struct pw_trend pw_history_trend(const struct pw_history *history);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* alarm.h: the state of one pool: two severities with rising and falling threshold, and exhaustion
 *
 * Semantics of RFC 2819 (alarmRisingThreshold): a severity comes on at >= rise and re-arms only at <= fall; the
 * first poll may fire. Exhausted comes on when nothing is free and is left at exhausted_fall percent or less. */
#ifndef PW_WATCH_ALARM_H
#define PW_WATCH_ALARM_H

#include <stdbool.h>
#include <stdint.h>

#include "watch/policy.h"
#include "count/pool.h"

/* What can make the state of a pool abnormal, the most severe first. */
enum pw_alarm_level {
	PW_LEVEL_EXHAUSTED,
	PW_LEVEL_CRITICAL,
	PW_LEVEL_WARNING,
	PW_LEVEL_FREE,
	PW_LEVEL_FAST_FREE,
	PW_LEVEL_FORECAST,
	PW_LEVELS
};

/* Zeroed = normal, nothing seen yet. */
struct pw_alarm {
	bool on[PW_LEVELS];        /* between rising and falling threshold */
	uint16_t polls[PW_LEVELS]; /* in a row that wanted it on, towards for_polls */
};

/* One poll's input. No level is left that the doubt among the free ports would keep on. */
struct pw_alarm_input {
	struct pw_pool_counts counts; /* capacity, free, fast_free, doubt, utilization */
	uint32_t time_to_exhaustion;  /* seconds, PW_NOT_IN_SIGHT */
};

struct pw_alarm_result {
	enum pw_state state;
	enum pw_reason reason; /* why the state is not normal: the strongest reason; PW_REASON_NONE when normal */
	uint32_t rise; /* the percent (ports, seconds: see reason) at which this state comes on; 0 when normal */
	enum pw_reason fall_reason; /* what fall stands for */
	uint32_t fall;              /* the percent (ports, seconds) that is crossed to come down into this state */
};

/* Hysteresis of the levels that are no utilization:
 *  - exhausted is left only with 2 free ports or more (or at half of the capacity), so that a small range does not
 *    flap between 0 and 1 free port;
 *  - free_below comes on at free < free_below and re-arms a tenth above it (1 port at least), or when nothing is in use
 *    at all;
 *  - fast_free_below the same of the ports that are tried first;
 *  - the forecast comes on when exhaustion is nearer than forecast_within and re-arms beyond one and a half times
 *    of it. */

/* Whether a pool without any alarm would move towards one by a poll with these numbers: a rising condition holds. The
 * forecast is left out, and `thresholds` may be NULL. */
bool pw_alarm_wanted(const struct pw_thresholds *thresholds, const struct pw_pool_counts *counts);

/* How many more ports can be taken until a level comes on that is not on yet (`alarm` NULL: none is); a forecast is
 * left out. At least 1; 1 where a condition holds that has not made its level come on yet; UINT32_MAX when there is no
 * such level. */
uint32_t pw_alarm_reach(
	const struct pw_alarm *alarm, const struct pw_thresholds *thresholds, const struct pw_pool_counts *counts);

/* Whether a level is on, or on its way: it waits for more polls in a row (for_polls). */
bool pw_alarm_pending(const struct pw_alarm *alarm);

/* Takes one poll into account and returns the state after it. thresholds may be NULL: none are in force, the state
 * is normal. A severity that the thresholds switch off (rise = 0) goes off at once. */
struct pw_alarm_result pw_alarm_step(
	struct pw_alarm *alarm, const struct pw_thresholds *thresholds, const struct pw_alarm_input *input);

/* Flapping is damped as routes are in BGP (RFC 2439): each rise costs a penalty that halves every 5 minutes; above
 * max_flaps penalties the pool is held, below half of that it is free again, which takes 10 minutes at most. Zeroed =
 * steady. */
struct pw_flap {
	uint32_t penalty;
	uint64_t ms; /* at this time */
	bool held;
	uint32_t untold; /* changes while it was held; the caller's */
};

/* Takes one poll into account. max_flaps = 0: nothing is ever held. */
void pw_flap_step(struct pw_flap *flap, bool rose, uint64_t now_ms, uint32_t max_flaps);

/* How bad it is about a pool, as a number: the order of rows and ranks. Pools with thresholds in force come before
 * those without, then the higher utilization, the fewer free ports and the more used ones. Less than 2^57. */
uint64_t pw_badness(const struct pw_pool_counts *counts, bool in_force);

#endif

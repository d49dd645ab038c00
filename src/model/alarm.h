/* alarm.h: the state of one pool: two severities with rising and falling threshold, and exhaustion
 *
 * Semantics of RFC 2819 (alarmRisingThreshold): a severity comes on at >= rise and re-arms only at <= fall; the first poll
 * may fire. Exhausted comes on when nothing is free and is left at exhausted_fall percent or less. */
#ifndef PW_MODEL_ALARM_H
#define PW_MODEL_ALARM_H

#include <stdbool.h>
#include <stdint.h>

#include "model/policy.h"
#include "model/pool.h"

/* Zeroed = normal, nothing seen yet. */
struct pw_alarm {
	bool warning_on, critical_on, exhausted_on;  /* by utilization */
	bool free_on, forecast_on;                   /* warning by other reasons */
	uint16_t warning_polls, critical_polls, exhausted_polls, free_polls, forecast_polls; /* in a row, towards for_polls */
};

/* One poll's input. */
struct pw_alarm_input {
	uint32_t utilization;         /* percent */
	uint32_t free;                /* ports */
	uint32_t time_to_exhaustion;  /* seconds, PW_NOT_IN_SIGHT */
};

struct pw_alarm_result {
	enum pw_state state;
	enum pw_reason reason;   /* why the state is not normal: the strongest reason; PW_REASON_NONE when normal */
	uint32_t threshold;      /* the percent (or ports, or seconds) that was crossed to get into this state */
};

/* Takes one poll into account and returns the state after it. */
struct pw_alarm_result pw_alarm_step(struct pw_alarm *alarm, const struct pw_thresholds *thresholds,
	const struct pw_alarm_input *input);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
#include "watch/alarm.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

/* One level of one poll: whether its rising and its falling condition hold, and where these lie. */
struct condition {
	bool rises, falls;
	uint32_t rise, fall;
};

static uint32_t free_rearm(uint32_t free_below)
{
	uint32_t band = free_below >= 10 ? free_below / 10 : 1;

	return free_below < UINT32_MAX - band ? free_below + band : UINT32_MAX;
}

static const struct condition off = {.falls = true};

static struct condition condition_of(
	enum pw_alarm_level level, const struct pw_thresholds *t, const struct pw_alarm_input *in)
{
	const struct pw_threshold *percent = level == PW_LEVEL_CRITICAL ? &t->critical : &t->warning;
	const uint32_t below = level == PW_LEVEL_FREE ? t->free_below : t->fast_free_below;
	const uint32_t free = level == PW_LEVEL_FREE ? in->counts.free : in->counts.fast_free;
	struct condition c = off;

	switch (level) {
	case PW_LEVEL_EXHAUSTED:
		c.rise = 100;
		c.fall = t->exhausted_fall;
		c.rises = in->counts.free == 0;
		c.falls = (in->counts.free > 1 || (in->counts.free != 0 && in->counts.utilization <= 50)) &&
			in->counts.utilization <= c.fall;
		break;
	case PW_LEVEL_CRITICAL:
	case PW_LEVEL_WARNING:
		if (percent->rise != 0)
			c = (struct condition){in->counts.utilization >= percent->rise,
				in->counts.utilization <= percent->fall, percent->rise, percent->fall};
		break;
	case PW_LEVEL_FREE:
	case PW_LEVEL_FAST_FREE:
		if (below == 0)
			break;
		c.rise = below;
		c.fall = free_rearm(below);
		c.rises = free < below;
		c.falls = free >= c.fall || (free >= below && in->counts.utilization == 0);
		break;
	case PW_LEVEL_FORECAST:
		if (t->forecast_within == 0)
			break;
		c.rise = t->forecast_within;
		c.fall = c.rise < PW_NOT_IN_SIGHT / 3 * 2 ? c.rise + c.rise / 2 : PW_NOT_IN_SIGHT - 1;
		c.rises = in->time_to_exhaustion < c.rise;
		c.falls = in->time_to_exhaustion > c.fall;
		break;
	default: break;
	}
	return c;
}

static enum pw_state level_state(enum pw_alarm_level level)
{
	switch (level) {
	case PW_LEVEL_EXHAUSTED: return PW_STATE_EXHAUSTED;
	case PW_LEVEL_CRITICAL: return PW_STATE_CRITICAL;
	case PW_LEVELS: return PW_STATE_NORMAL;
	default: return PW_STATE_WARNING;
	}
}

static enum pw_reason level_reason(enum pw_alarm_level level)
{
	static const enum pw_reason reasons[] = {[PW_LEVEL_FREE] = PW_REASON_FREE,
		[PW_LEVEL_FAST_FREE] = PW_REASON_FAST_FREE,
		[PW_LEVEL_FORECAST] = PW_REASON_FORECAST,
		[PW_LEVELS] = PW_REASON_NONE};

	return level < PW_LEVEL_FREE ? PW_REASON_UTILIZATION : reasons[level];
}

bool pw_alarm_wanted(const struct pw_thresholds *thresholds, const struct pw_pool_counts *counts)
{
	const struct pw_alarm_input input = {*counts, PW_NOT_IN_SIGHT};

	for (enum pw_alarm_level level = PW_LEVEL_EXHAUSTED; thresholds != NULL && level < PW_LEVELS; level++)
		if (condition_of(level, thresholds, &input).rises)
			return true;
	return false;
}

/* The most free ports with which a level comes on; -1: none. */
static int64_t rises_at(enum pw_alarm_level level, const struct pw_thresholds *t, uint32_t capacity)
{
	const uint32_t rise = level == PW_LEVEL_CRITICAL ? t->critical.rise : t->warning.rise;

	switch (level) {
	case PW_LEVEL_EXHAUSTED: return 0;
	case PW_LEVEL_CRITICAL:
	case PW_LEVEL_WARNING: return rise == 0 ? -1 : (int64_t)((uint64_t)capacity * (100 - rise) / 100);
	case PW_LEVEL_FREE: return (int64_t)t->free_below - 1;
	case PW_LEVEL_FAST_FREE: return (int64_t)t->fast_free_below - 1;
	default: return -1;
	}
}

uint32_t pw_alarm_reach(
	const struct pw_alarm *alarm, const struct pw_thresholds *thresholds, const struct pw_pool_counts *counts)
{
	uint32_t reach = UINT32_MAX;

	for (enum pw_alarm_level level = PW_LEVEL_EXHAUSTED; level < PW_LEVELS; level++) {
		int64_t at = rises_at(level, thresholds, counts->capacity), left;

		if (at < 0 || (alarm != NULL && alarm->on[level]))
			continue;
		left = (level == PW_LEVEL_FAST_FREE ? counts->fast_free : counts->free) - at;
		if (left < reach)
			reach = left > 0 ? (uint32_t)left : 1;
	}
	return reach;
}

bool pw_alarm_pending(const struct pw_alarm *alarm)
{
	for (enum pw_alarm_level level = PW_LEVEL_EXHAUSTED; level < PW_LEVELS; level++)
		if (alarm->on[level] || alarm->polls[level] != 0)
			return true;
	return false;
}

/* The level whose falling threshold leads down into the state: the weakest more severe one that was on until now;
 * where none was, the weakest that is configured. PW_LEVELS when there is none. */
static enum pw_alarm_level level_above(
	enum pw_state state, const bool was_on[PW_LEVELS], const struct condition conditions[PW_LEVELS])
{
	enum pw_alarm_level configured = PW_LEVELS;

	for (int i = PW_LEVELS - 1; i >= 0; i--) {
		enum pw_alarm_level level = (enum pw_alarm_level)i;

		if (level_state(level) <= state)
			continue;
		if (was_on[level])
			return level;
		if (configured == PW_LEVELS && conditions[level].rise != 0)
			configured = level;
	}
	return configured;
}

struct pw_alarm_result pw_alarm_step(
	struct pw_alarm *alarm, const struct pw_thresholds *thresholds, const struct pw_alarm_input *input)
{
	struct condition conditions[PW_LEVELS + 1] = {0};
	struct pw_alarm_input worst = *input;
	struct pw_alarm_result result;
	enum pw_alarm_level level, above;
	bool was_on[PW_LEVELS];

	worst.counts.free -= worst.counts.doubt < worst.counts.free ? worst.counts.doubt : worst.counts.free;
	if (worst.counts.doubt != 0)
		worst.counts.utilization = pw_utilization(worst.counts.capacity, worst.counts.free);
	memcpy(was_on, alarm->on, sizeof(was_on));
	for (level = PW_LEVEL_EXHAUSTED; level < PW_LEVELS; level++) {
		struct condition *c = &conditions[level];
		uint16_t *polls = &alarm->polls[level];

		*c = thresholds != NULL ? condition_of(level, thresholds, input) : off;
		if (thresholds != NULL && input->counts.doubt != 0)
			c->falls = c->falls && condition_of(level, thresholds, &worst).falls;
		if (was_on[level]) {
			alarm->on[level] = !c->falls;
			*polls = 0;
		} else { /* for_polls counts only towards rising */
			*polls = c->rises ? *polls + (*polls < UINT16_MAX) : 0;
			alarm->on[level] = c->rises && *polls >= thresholds->for_polls;
		}
	}
	level = PW_LEVEL_EXHAUSTED;
	while (level < PW_LEVELS && !alarm->on[level]) /* the strongest that is on */
		level++;
	result.state = level_state(level);
	result.reason = level_reason(level);
	result.rise = conditions[level].rise;
	above = level_above(result.state, was_on, conditions);
	result.fall_reason = level_reason(above);
	result.fall = conditions[above].fall;
	return result;
}

#define FLAP_PENALTY 1000
#define FLAP_HALF_LIFE_MS 300000.0

void pw_flap_step(struct pw_flap *flap, bool rose, uint64_t now_ms, uint32_t max_flaps)
{
	uint32_t limit = max_flaps * FLAP_PENALTY;

	if (flap->penalty != 0)
		flap->penalty = (uint32_t)(flap->penalty * exp2(-(double)(now_ms - flap->ms) / FLAP_HALF_LIFE_MS));
	flap->ms = now_ms;
	if (rose)
		flap->penalty += FLAP_PENALTY;
	if (flap->penalty > 2 * limit)
		flap->penalty = 2 * limit;
	flap->held = flap->penalty > (flap->held ? limit / 2 : limit);
}

/* 24 bits: more ports than any pool has. */
#define BADNESS_MAX 0xffffffu

static uint64_t clamp(uint32_t ports)
{
	return ports < BADNESS_MAX ? ports : BADNESS_MAX;
}

uint64_t pw_badness(const struct pw_pool_counts *counts, bool in_force)
{
	return (uint64_t)in_force << 56 | (uint64_t)(counts->utilization & 0x7f) << 48 |
		(BADNESS_MAX - clamp(counts->free)) << 24 | clamp(counts->used);
}

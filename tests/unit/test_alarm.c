/* SPDX-License-Identifier: BSD-2-Clause */
/* The state machine of one pool: examples of each rule, then properties over random series. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "watch/alarm.h"
#include "random.h"

#define CAPACITY 1000

static const struct pw_thresholds usual = {
	.warning = {50, 45}, .critical = {80, 75}, .exhausted_fall = 98, .for_polls = 1};

static struct pw_alarm_result poll_free(
	struct pw_alarm *alarm, const struct pw_thresholds *t, uint32_t capacity, uint32_t free_ports)
{
	struct pw_alarm_input in = {.counts.utilization = pw_utilization(capacity, free_ports),
		.counts.free = free_ports,
		.counts.fast_free = free_ports,
		.time_to_exhaustion = PW_NOT_IN_SIGHT};

	return pw_alarm_step(alarm, t, &in);
}

/* Of a pool of 1000 ports. */
static struct pw_alarm_result poll_percent(struct pw_alarm *alarm, const struct pw_thresholds *t, uint32_t percent)
{
	return poll_free(alarm, t, CAPACITY, CAPACITY - percent * CAPACITY / 100);
}

static struct pw_alarm_result poll_forecast(struct pw_alarm *alarm, const struct pw_thresholds *t, uint32_t seconds)
{
	struct pw_alarm_input in = {
		.counts.utilization = 10, .counts.free = 900, .counts.fast_free = 400, .time_to_exhaustion = seconds};

	return pw_alarm_step(alarm, t, &in);
}

/* A pool of 1000 ports of which so many are free, some of these perhaps not. */
static struct pw_alarm_result poll_doubt(struct pw_alarm *alarm, uint32_t free_ports, uint32_t doubt)
{
	struct pw_alarm_input in = {.counts.utilization = pw_utilization(CAPACITY, free_ports),
		.counts.free = free_ports,
		.time_to_exhaustion = PW_NOT_IN_SIGHT,
		.counts.capacity = CAPACITY,
		.counts.doubt = doubt};

	return pw_alarm_step(alarm, &usual, &in);
}

/* What may not be free raises no alarm, and ends none. */
static void doubt_holds_the_falling_edge(void **unused)
{
	struct pw_alarm alarm = {0};

	(void)unused;
	assert_int_equal(poll_doubt(&alarm, 1000, 1000).state, PW_STATE_NORMAL);
	assert_int_equal(poll_doubt(&alarm, 0, 0).state, PW_STATE_EXHAUSTED);
	assert_int_equal(poll_doubt(&alarm, 1000, 1000).state, PW_STATE_EXHAUSTED);
	assert_int_equal(poll_doubt(&alarm, 1000, 850).state, PW_STATE_CRITICAL); /* 150 are free for certain */
	assert_int_equal(poll_doubt(&alarm, 1000, 600).state, PW_STATE_WARNING);
	assert_int_equal(poll_doubt(&alarm, 1000, 500).state, PW_STATE_WARNING);
	assert_int_equal(poll_doubt(&alarm, 1000, 400).state, PW_STATE_NORMAL);
	assert_int_equal(poll_doubt(&alarm, 1000, 1000).state, PW_STATE_NORMAL);
}

static void comes_on_at_rise_and_re_arms_at_fall(void **unused)
{
	static const struct {
		uint32_t percent;
		enum pw_state state;
	} steps[] = {{49, PW_STATE_NORMAL}, {50, PW_STATE_WARNING}, {46, PW_STATE_WARNING}, {79, PW_STATE_WARNING},
		{80, PW_STATE_CRITICAL}, {76, PW_STATE_CRITICAL}, {75, PW_STATE_WARNING}, {79, PW_STATE_WARNING},
		{45, PW_STATE_NORMAL}, {49, PW_STATE_NORMAL}};
	struct pw_alarm alarm = {0};

	(void)unused;
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
		assert_int_equal(poll_percent(&alarm, &usual, steps[i].percent).state, steps[i].state);
}

static void first_poll_may_fire_and_jump(void **unused)
{
	struct pw_alarm alarm = {0};
	struct pw_alarm_result r = poll_free(&alarm, &usual, CAPACITY, 0);

	(void)unused;
	assert_int_equal(r.state, PW_STATE_EXHAUSTED);
	assert_int_equal(r.reason, PW_REASON_UTILIZATION);
	assert_int_equal(r.rise, 100);
	r = poll_percent(&alarm, &usual, 10);
	assert_int_equal(r.state, PW_STATE_NORMAL);
	assert_int_equal(r.reason, PW_REASON_NONE);
	assert_int_equal(r.fall_reason, PW_REASON_UTILIZATION);
	assert_int_equal(r.fall, 45);
}

static void exhausted_is_left_at_its_fall(void **unused)
{
	struct pw_alarm alarm = {0};
	struct pw_alarm_result r;

	(void)unused;
	poll_free(&alarm, &usual, CAPACITY, 0);
	assert_int_equal(poll_free(&alarm, &usual, CAPACITY, 1).state, PW_STATE_EXHAUSTED);
	assert_int_equal(poll_free(&alarm, &usual, CAPACITY, 10).state, PW_STATE_EXHAUSTED); /* 99.0 % */
	r = poll_free(&alarm, &usual, CAPACITY, 11);                                         /* 98.9 %, rounded down */
	assert_int_equal(r.state, PW_STATE_CRITICAL);
	assert_int_equal(r.fall, 98);
}

/* Churn at the end of a range: 0 and 1 free in turn, on ranges of any size. */
static void exhausted_does_not_flap_between_none_and_one_free(void **unused)
{
	(void)unused;
	for (uint32_t capacity = 3; capacity <= 300; capacity++) {
		struct pw_alarm alarm = {0};

		poll_free(&alarm, &usual, capacity, 0);
		for (uint32_t i = 0; i < 20; i++)
			assert_int_equal(poll_free(&alarm, &usual, capacity, i % 2).state, PW_STATE_EXHAUSTED);
		assert_int_not_equal(poll_free(&alarm, &usual, capacity, capacity).state, PW_STATE_EXHAUSTED);
	}
}

static void exhausted_is_left_on_the_smallest_ranges(void **unused)
{
	(void)unused;
	for (uint32_t capacity = 1; capacity <= 3; capacity++) {
		struct pw_alarm alarm = {0};

		assert_int_equal(poll_free(&alarm, &usual, capacity, 0).state, PW_STATE_EXHAUSTED);
		assert_int_equal(poll_free(&alarm, &usual, capacity, capacity).state, PW_STATE_NORMAL);
	}
}

static void capacity_of_none_is_exhausted(void **unused)
{
	struct pw_alarm alarm = {0};

	(void)unused;
	assert_int_equal(poll_free(&alarm, &usual, 0, 0).state, PW_STATE_EXHAUSTED);
}

static void counts_polls_only_towards_rising(void **unused)
{
	struct pw_thresholds t = usual;
	struct pw_alarm alarm = {0};

	(void)unused;
	t.for_polls = 3;
	assert_int_equal(poll_percent(&alarm, &t, 90).state, PW_STATE_NORMAL);
	assert_int_equal(poll_percent(&alarm, &t, 90).state, PW_STATE_NORMAL);
	assert_int_equal(poll_percent(&alarm, &t, 49).state, PW_STATE_NORMAL); /* not in a row: from the beginning */
	assert_int_equal(poll_percent(&alarm, &t, 90).state, PW_STATE_NORMAL);
	assert_int_equal(poll_percent(&alarm, &t, 55).state, PW_STATE_NORMAL);
	assert_int_equal(poll_percent(&alarm, &t, 90).state, PW_STATE_WARNING); /* three over 50, one over 80 */
	assert_int_equal(poll_percent(&alarm, &t, 90).state, PW_STATE_WARNING);
	assert_int_equal(poll_percent(&alarm, &t, 90).state, PW_STATE_CRITICAL);
	assert_int_equal(poll_percent(&alarm, &t, 10).state, PW_STATE_NORMAL); /* at once */
}

static void free_below_has_a_band_of_its_own(void **unused)
{
	struct pw_thresholds t = {.exhausted_fall = 98, .free_below = 200, .for_polls = 1};
	struct pw_alarm alarm = {0};
	struct pw_alarm_result r;

	(void)unused;
	assert_int_equal(poll_free(&alarm, &t, CAPACITY, 200).state, PW_STATE_NORMAL);
	r = poll_free(&alarm, &t, CAPACITY, 199);
	assert_int_equal(r.state, PW_STATE_WARNING);
	assert_int_equal(r.reason, PW_REASON_FREE);
	assert_int_equal(r.rise, 200);
	assert_int_equal(poll_free(&alarm, &t, CAPACITY, 219).state, PW_STATE_WARNING);
	r = poll_free(&alarm, &t, CAPACITY, 220);
	assert_int_equal(r.state, PW_STATE_NORMAL);
	assert_int_equal(r.fall_reason, PW_REASON_FREE);
	assert_int_equal(r.fall, 220);
}

static void fast_free_below_looks_at_the_ports_that_are_tried_first(void **unused)
{
	struct pw_thresholds t = {.exhausted_fall = 98, .fast_free_below = 100, .for_polls = 1};
	struct pw_alarm_input in = {.counts.utilization = 40,
		.counts.free = 600,
		.counts.fast_free = 100,
		.time_to_exhaustion = PW_NOT_IN_SIGHT};
	struct pw_alarm alarm = {0};
	struct pw_alarm_result r;

	(void)unused;
	assert_int_equal(pw_alarm_step(&alarm, &t, &in).state, PW_STATE_NORMAL);
	in.counts.fast_free = 99;
	r = pw_alarm_step(&alarm, &t, &in);
	assert_int_equal(r.state, PW_STATE_WARNING);
	assert_int_equal(r.reason, PW_REASON_FAST_FREE);
	assert_int_equal(r.rise, 100);
	in.counts.fast_free = 109;
	assert_int_equal(pw_alarm_step(&alarm, &t, &in).state, PW_STATE_WARNING);
	in.counts.fast_free = 110;
	r = pw_alarm_step(&alarm, &t, &in);
	assert_int_equal(r.state, PW_STATE_NORMAL);
	assert_int_equal(r.fall_reason, PW_REASON_FAST_FREE);
	assert_int_equal(r.fall, 110);
}

static void free_below_re_arms_even_when_the_band_is_out_of_reach(void **unused)
{
	struct pw_thresholds t = {.exhausted_fall = 98, .free_below = 1000, .for_polls = 1};
	struct pw_alarm alarm = {0};

	(void)unused;
	assert_int_equal(poll_free(&alarm, &t, CAPACITY, 999).state, PW_STATE_WARNING);
	assert_int_equal(poll_free(&alarm, &t, CAPACITY, 1000).state, PW_STATE_NORMAL);
}

static void forecast_warns_and_re_arms(void **unused)
{
	struct pw_thresholds t = usual;
	struct pw_alarm alarm = {0};
	struct pw_alarm_result r;

	(void)unused;
	t.forecast_within = 600;
	assert_int_equal(poll_forecast(&alarm, &t, 600).state, PW_STATE_NORMAL);
	r = poll_forecast(&alarm, &t, 599);
	assert_int_equal(r.state, PW_STATE_WARNING);
	assert_int_equal(r.reason, PW_REASON_FORECAST);
	assert_int_equal(r.rise, 600);
	assert_int_equal(poll_forecast(&alarm, &t, 900).state, PW_STATE_WARNING);
	assert_int_equal(poll_forecast(&alarm, &t, 901).state, PW_STATE_NORMAL);
	poll_forecast(&alarm, &t, 10);
	assert_int_equal(poll_forecast(&alarm, &t, PW_NOT_IN_SIGHT).state, PW_STATE_NORMAL);
}

static void strongest_reason_wins(void **unused)
{
	struct pw_thresholds t = usual;
	struct pw_alarm alarm = {0};
	struct pw_alarm_input in = {.counts.utilization = 60, .counts.free = 400, .time_to_exhaustion = 100};

	(void)unused;
	t.free_below = 500;
	t.forecast_within = 600;
	assert_int_equal(pw_alarm_step(&alarm, &t, &in).reason, PW_REASON_UTILIZATION);
	in.counts.utilization = 40;
	assert_int_equal(pw_alarm_step(&alarm, &t, &in).reason, PW_REASON_FREE);
	in.counts.free = 600;
	t.fast_free_below = 100;
	assert_int_equal(pw_alarm_step(&alarm, &t, &in).reason, PW_REASON_FAST_FREE);
	in.counts.fast_free = 110;
	assert_int_equal(pw_alarm_step(&alarm, &t, &in).reason, PW_REASON_FORECAST);
	in.time_to_exhaustion = PW_NOT_IN_SIGHT;
	assert_int_equal(pw_alarm_step(&alarm, &t, &in).reason, PW_REASON_NONE);
}

static void no_thresholds_is_normal(void **unused)
{
	struct pw_alarm alarm = {0};

	(void)unused;
	poll_free(&alarm, &usual, CAPACITY, 0);
	assert_int_equal(poll_free(&alarm, NULL, CAPACITY, 0).state, PW_STATE_NORMAL);
	assert_int_equal(poll_free(&alarm, NULL, CAPACITY, 0).state, PW_STATE_NORMAL);
	assert_int_equal(poll_free(&alarm, &usual, CAPACITY, 0).state, PW_STATE_EXHAUSTED);
}

static void severity_that_is_switched_off_goes_off(void **unused)
{
	struct pw_thresholds t = usual;
	struct pw_alarm alarm = {0};

	(void)unused;
	poll_percent(&alarm, &t, 90);
	t.critical.rise = 0;
	assert_int_equal(poll_percent(&alarm, &t, 90).state, PW_STATE_WARNING);
	t.warning.rise = 0;
	assert_int_equal(poll_percent(&alarm, &t, 90).state, PW_STATE_NORMAL);
}

static void new_thresholds_apply_to_a_running_alarm(void **unused)
{
	struct pw_thresholds t = usual;
	struct pw_alarm alarm = {0};

	(void)unused;
	poll_percent(&alarm, &t, 60);
	t.warning = (struct pw_threshold){70, 55};
	assert_int_equal(poll_percent(&alarm, &t, 60).state, PW_STATE_WARNING); /* inside the new band */
	assert_int_equal(poll_percent(&alarm, &t, 55).state, PW_STATE_NORMAL);
}

/* --- properties ------------------------------------------------------------------------------------------------- */

static struct pw_thresholds random_thresholds(void)
{
	struct pw_thresholds t = {.for_polls = 1 + pick(3)};

	t.critical.rise = (uint8_t)(10 + pick(91));
	t.warning.rise = (uint8_t)(2 + pick(t.critical.rise - 2u));
	t.critical.fall = (uint8_t)pick(t.critical.rise);
	t.warning.fall = (uint8_t)pick(t.warning.rise);
	t.exhausted_fall = (uint8_t)(50 + pick(50));
	t.free_below = chance(2) ? 1 + pick(CAPACITY / 2) : 0;
	t.fast_free_below = chance(2) ? 1 + pick(CAPACITY / 4) : 0;
	t.forecast_within = chance(2) ? 1 + pick(1000) : 0;
	return t;
}

/* A walk with small and large steps, so that values linger around thresholds, and jump across several of them. */
static uint32_t walk(uint32_t free_ports)
{
	int64_t next = (int64_t)free_ports +
		(chance(5) ? (int64_t)pick(CAPACITY) - CAPACITY / 2 : (int64_t)pick(61) - 30);

	return next < 0 ? 0 : next > CAPACITY ? CAPACITY : (uint32_t)next;
}

/* Where these levels re-arm. */
static uint32_t free_rearm(uint32_t free_below)
{
	uint32_t band = free_below >= 10 ? free_below / 10 : 1;

	return free_below < UINT32_MAX - band ? free_below + band : UINT32_MAX;
}

static uint32_t forecast_rearm(uint32_t within)
{
	return within < PW_NOT_IN_SIGHT / 3 * 2 ? within + within / 2 : PW_NOT_IN_SIGHT - 1;
}

/* One level seen from outside: its value in a form where more is worse, and the two limits. */
struct view {
	bool configured, rises, falls;
};

static void view_levels(const struct pw_thresholds *t, const struct pw_alarm_input *in, struct view views[PW_LEVELS])
{
	uint32_t utilization = in->counts.utilization;

	views[PW_LEVEL_EXHAUSTED] = (struct view){
		true, in->counts.free == 0, in->counts.free >= 2 && utilization <= t->exhausted_fall};
	views[PW_LEVEL_CRITICAL] = (struct view){
		true, utilization >= t->critical.rise, utilization <= t->critical.fall};
	views[PW_LEVEL_WARNING] = (struct view){true, utilization >= t->warning.rise, utilization <= t->warning.fall};
	views[PW_LEVEL_FREE] = (struct view){
		t->free_below != 0, in->counts.free < t->free_below, in->counts.free >= free_rearm(t->free_below)};
	views[PW_LEVEL_FAST_FREE] = (struct view){t->fast_free_below != 0, in->counts.fast_free < t->fast_free_below,
		in->counts.fast_free >= free_rearm(t->fast_free_below)};
	views[PW_LEVEL_FORECAST] = (struct view){t->forecast_within != 0,
		in->time_to_exhaustion<t->forecast_within, in->time_to_exhaustion> forecast_rearm(t->forecast_within)};
}

/* Between two comings of a level lies a fall to its re-arming limit; it comes only after for_polls polls over its
 * rising limit, and then without fail; inside the band it never moves. */
static void check_level(const struct view *view, bool was_on, bool on, unsigned *in_a_row, uint32_t for_polls)
{
	*in_a_row = view->rises ? *in_a_row + 1 : 0;
	if (!view->configured)
		assert_false(on);
	else if (was_on)
		assert_int_equal(on, !view->falls);
	else
		assert_int_equal(on, *in_a_row >= for_polls);
}

static enum pw_state expected_state(const struct pw_alarm *alarm)
{
	if (alarm->on[PW_LEVEL_EXHAUSTED])
		return PW_STATE_EXHAUSTED;
	if (alarm->on[PW_LEVEL_CRITICAL])
		return PW_STATE_CRITICAL;
	return alarm->on[PW_LEVEL_WARNING] || alarm->on[PW_LEVEL_FREE] || alarm->on[PW_LEVEL_FAST_FREE] ||
			alarm->on[PW_LEVEL_FORECAST]
		? PW_STATE_WARNING
		: PW_STATE_NORMAL;
}

static bool crossed_down(enum pw_reason reason, uint32_t limit, const struct pw_alarm_input *in)
{
	if (reason == PW_REASON_UTILIZATION)
		return in->counts.utilization <= limit;
	if (reason == PW_REASON_FAST_FREE)
		return in->counts.fast_free >= limit;
	return reason == PW_REASON_FREE ? in->counts.free >= limit : in->time_to_exhaustion > limit;
}

static bool crossed_up(enum pw_reason reason, uint32_t limit, const struct pw_alarm_input *in)
{
	if (reason == PW_REASON_UTILIZATION)
		return in->counts.utilization >= limit;
	if (reason == PW_REASON_FAST_FREE)
		return in->counts.fast_free < limit;
	return reason == PW_REASON_FREE ? in->counts.free < limit : in->time_to_exhaustion < limit;
}

/* The thresholds that a result names are those that the values have really crossed. */
static void check_result(const struct pw_alarm_result *r, enum pw_state previous, const struct pw_alarm_input *in)
{
	assert_int_equal(r->reason == PW_REASON_NONE, r->state == PW_STATE_NORMAL);
	if (r->state > previous)
		assert_true(crossed_up(r->reason, r->rise, in));
	if (r->state < previous)
		assert_true(crossed_down(r->fall_reason, r->fall, in));
}

static void random_series(void)
{
	struct pw_thresholds t = random_thresholds();
	struct pw_alarm alarm = {0};
	unsigned in_a_row[PW_LEVELS] = {0};
	uint32_t free_ports = pick(CAPACITY + 1);
	enum pw_state previous = PW_STATE_NORMAL;

	for (int i = 0; i < 200; i++, free_ports = walk(free_ports)) {
		struct pw_alarm_input in = {.counts.utilization = pw_utilization(CAPACITY, free_ports),
			.counts.free = free_ports,
			.counts.fast_free = free_ports / 2,
			.time_to_exhaustion = chance(3) ? PW_NOT_IN_SIGHT : pick(2000)};
		struct pw_alarm before = alarm;
		struct view views[PW_LEVELS];
		struct pw_alarm_result r = pw_alarm_step(&alarm, &t, &in);

		view_levels(&t, &in, views);
		for (int level = 0; level < PW_LEVELS; level++)
			check_level(&views[level], before.on[level], alarm.on[level], &in_a_row[level], t.for_polls);
		assert_int_equal(r.state, expected_state(&alarm));
		check_result(&r, previous, &in);
		previous = r.state;
	}
}

static void any_series_keeps_the_rules(void **unused)
{
	(void)unused;
	random_start();
	for (int i = 0; i < 3000; i++)
		random_series();
}

static struct pw_pool_counts counts_of(uint32_t capacity, uint32_t free_ports)
{
	return (struct pw_pool_counts){.capacity = capacity, .free = free_ports, .fast_free = free_ports};
}

static uint32_t reach(const struct pw_alarm *alarm, const struct pw_thresholds *t, uint32_t free_ports)
{
	const struct pw_pool_counts counts = counts_of(CAPACITY, free_ports);

	return pw_alarm_reach(alarm, t, &counts);
}

static void reach_is_the_distance_to_the_next_level(void **unused)
{
	struct pw_thresholds t = usual;
	struct pw_alarm alarm = {0};

	(void)unused;
	assert_int_equal(reach(NULL, &t, 1000), 500);
	assert_int_equal(reach(&alarm, &t, 501), 1);
	poll_percent(&alarm, &t, 60);
	assert_int_equal(reach(&alarm, &t, 400), 200);
	poll_percent(&alarm, &t, 90);
	assert_int_equal(reach(&alarm, &t, 100), 100);
	poll_percent(&alarm, &t, 100);
	assert_int_equal(reach(&alarm, &t, 0), UINT32_MAX);
	assert_int_equal(reach(NULL, &t, 0), 1); /* it holds, and has not come on */
	t.warning.rise = 0;
	t.free_below = 300;
	assert_int_equal(reach(NULL, &t, 1000), 701);
	t.fast_free_below = 600;
	assert_int_equal(reach(NULL, &t, 1000), 401);
}

/* One port less than that raises nothing, that many do. */
static void no_level_comes_on_within_reach(void **unused)
{
	(void)unused;
	random_start();
	for (int i = 0; i < 20000; i++) {
		const uint32_t capacity = 1 + pick(3000), free_ports = pick(capacity + 1);
		const struct pw_thresholds t = {.warning = {(uint8_t)pick(101), 0},
			.critical = {(uint8_t)pick(101), 0},
			.free_below = pick(2) * pick(500),
			.for_polls = 1};
		const struct pw_pool_counts counts = counts_of(capacity, free_ports);
		const uint32_t ports = pw_alarm_reach(NULL, &t, &counts);
		struct pw_alarm before = {0}, at = {0};

		assert_true(ports >= 1 && ports <= (free_ports > 0 ? free_ports : 1));
		if (poll_free(&before, &t, capacity, free_ports).state != PW_STATE_NORMAL) {
			assert_int_equal(ports, 1);
			continue;
		}
		assert_int_equal(poll_free(&before, &t, capacity, free_ports - (ports - 1)).state, PW_STATE_NORMAL);
		assert_int_not_equal(poll_free(&at, &t, capacity, free_ports - ports).state, PW_STATE_NORMAL);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(comes_on_at_rise_and_re_arms_at_fall),
		cmocka_unit_test(doubt_holds_the_falling_edge),
		cmocka_unit_test(first_poll_may_fire_and_jump),
		cmocka_unit_test(exhausted_is_left_at_its_fall),
		cmocka_unit_test(exhausted_does_not_flap_between_none_and_one_free),
		cmocka_unit_test(exhausted_is_left_on_the_smallest_ranges),
		cmocka_unit_test(capacity_of_none_is_exhausted),
		cmocka_unit_test(counts_polls_only_towards_rising),
		cmocka_unit_test(free_below_has_a_band_of_its_own),
		cmocka_unit_test(fast_free_below_looks_at_the_ports_that_are_tried_first),
		cmocka_unit_test(free_below_re_arms_even_when_the_band_is_out_of_reach),
		cmocka_unit_test(forecast_warns_and_re_arms),
		cmocka_unit_test(strongest_reason_wins),
		cmocka_unit_test(no_thresholds_is_normal),
		cmocka_unit_test(severity_that_is_switched_off_goes_off),
		cmocka_unit_test(new_thresholds_apply_to_a_running_alarm),
		cmocka_unit_test(any_series_keeps_the_rules),
		cmocka_unit_test(reach_is_the_distance_to_the_next_level),
		cmocka_unit_test(no_level_comes_on_within_reach),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* Growth and forecast over made-up series: what they must find, and what they must not take for growth. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>

#include "watch/history.h"
#include "random.h"

/* Free ports at a time in seconds. */
typedef double series(double t);

static void run(struct pw_history *history, series *free_at, double from_s, double to_s, double interval_s)
{
	for (double t = from_s; t < to_s; t += interval_s)
		pw_history_add(history, (uint64_t)(t * 1000) + 1, (uint32_t)lround(free_at(t)));
}

static struct pw_trend trend_of(series *free_at, double seconds, double interval_s)
{
	struct pw_history *history = pw_history_new();
	struct pw_trend trend;

	run(history, free_at, 0, seconds, interval_s);
	trend = pw_history_trend(history);
	pw_history_free(history);
	return trend;
}

static double noise(double deviation)
{
	double sum = 0;

	for (int i = 0; i < 12; i++)
		sum += pick(1000000) / 1e6;
	return (sum - 6) * deviation;
}

static double leak_600(double t)
{
	return 20000 - 10 * t;
}
static double drain_600(double t)
{
	return 2000 + 10 * t;
}
static double level(double t)
{
	(void)t;
	return 12345;
}
static double leak_under_noise(double t)
{
	return leak_600(t) + noise(100);
}
static double level_under_noise(double t)
{
	return level(t) + noise(300);
}
static double time_wait_saw(double t)
{
	return 20000 - 100 * fmod(t, 60);
}
static double leak_under_saw(double t)
{
	return leak_600(t) - 50 * fmod(t + 17, 60);
}
static double nonsense_at_times(double t)
{
	(void)t;
	return chance(12) ? pick(28000) : 9000;
}
static double nothing_left(double t)
{
	(void)t;
	return 0;
}

static void leak_is_measured_at_any_interval(void **unused)
{
	static const double intervals[] = {0.2, 1, 2, 3, 5, 7, 10, 13, 17, 25, 30, 45, 60, 70};

	(void)unused;
	for (size_t i = 0; i < sizeof(intervals) / sizeof(intervals[0]); i++) {
		struct pw_trend trend = trend_of(leak_600, 1200, intervals[i]);
		double left = leak_600(1200) / 10; /* s */

		assert_in_range(trend.growth, 599, 601);
		assert_true(fabs(trend.time_to_exhaustion - left) <= intervals[i] + 12);
	}
}

static void leak_is_measured_at_long_intervals(void **unused)
{
	struct pw_trend trend;
	static const double intervals[] = {120, 300};

	(void)unused;
	for (size_t i = 0; i < 2; i++) {
		trend = trend_of(leak_600, 1990, intervals[i]);
		assert_in_range(trend.growth, 599, 601);
	}
}

static void draining_is_negative_and_out_of_sight(void **unused)
{
	struct pw_trend trend = trend_of(drain_600, 1200, 10);

	(void)unused;
	assert_int_equal(trend.growth, -600);
	assert_int_equal(trend.time_to_exhaustion, PW_NOT_IN_SIGHT);
}

static void level_does_not_grow(void **unused)
{
	struct pw_trend trend = trend_of(level, 1200, 10);

	(void)unused;
	assert_int_equal(trend.growth, 0);
	assert_int_equal(trend.time_to_exhaustion, PW_NOT_IN_SIGHT);
}

static void too_little_is_nothing(void **unused)
{
	struct pw_history *history = pw_history_new();

	(void)unused;
	assert_int_equal(pw_history_trend(history).growth, 0);
	assert_int_equal(pw_history_trend(history).time_to_exhaustion, PW_NOT_IN_SIGHT);
	run(history, leak_600, 0, 180, 10);
	assert_int_equal(pw_history_trend(history).growth, 0);
	run(history, leak_600, 180, 220, 10);
	assert_int_equal(pw_history_trend(history).growth, 600);
	pw_history_free(history);
}

static void exhausted_is_now(void **unused)
{
	(void)unused;
	assert_int_equal(trend_of(nothing_left, 20, 10).time_to_exhaustion, 0);
	assert_int_equal(trend_of(nothing_left, 2000, 10).time_to_exhaustion, 0);
}

static void noise_is_averaged_out(void **unused)
{
	(void)unused;
	random_start();
	for (int i = 0; i < 100; i++)
		assert_true(abs(trend_of(leak_under_noise, 1000, 10).growth - 600) < 120);
}

static void noise_alone_is_no_growth(void **unused)
{
	unsigned seen = 0;

	(void)unused;
	random_start();
	for (int i = 0; i < 400; i++)
		seen += trend_of(level_under_noise, 1000, 10).growth != 0;
	assert_in_range(seen, 0, 20);
}

/* Each sample of the wave has its like a period earlier, whatever the phase at which polls and wave meet. */
static void time_wait_waves_are_no_growth(void **unused)
{
	struct pw_history *history = pw_history_new();

	(void)unused;
	for (double t = 0; t < 2000; t += 10) {
		pw_history_add(history, (uint64_t)(t * 1000) + 1, (uint32_t)time_wait_saw(t + 3));
		assert_int_equal(pw_history_trend(history).growth, 0);
		assert_int_equal(pw_history_trend(history).time_to_exhaustion, PW_NOT_IN_SIGHT);
	}
	pw_history_free(history);
}

static void leak_shows_under_time_wait_waves(void **unused)
{
	(void)unused;
	for (int seconds = 700; seconds < 900; seconds += 10)
		assert_in_range(trend_of(leak_under_saw, seconds, 10).growth, 590, 610);
}

static void odd_polls_are_no_growth(void **unused)
{
	struct pw_history *history = pw_history_new();

	(void)unused;
	random_start();
	for (double t = 0; t < 20000; t += 10) {
		pw_history_add(history, (uint64_t)(t * 1000) + 1, (uint32_t)nonsense_at_times(t));
		assert_true(abs(pw_history_trend(history).growth) < 5);
	}
	pw_history_free(history);
}

/* One jump, however large and whenever it comes, is no slope: not then, nor on its whole way through the window. */
static void step_is_no_growth(void **unused)
{
	(void)unused;
	for (unsigned step = 10; step < 700; step += 10) {
		struct pw_history *history = pw_history_new();

		for (unsigned t = 0; t < step + 600; t += 10) {
			pw_history_add(history, t * 1000 + 1, t < step ? 25000 : 15000);
			assert_int_equal(pw_history_trend(history).growth, 0);
		}
		pw_history_free(history);
	}
}

/* A range that changes leaves the slope of what happens in it as it is. */
static void change_of_capacity_is_no_growth(void **unused)
{
	struct pw_history *history = pw_history_new();
	uint32_t capacity = 28232;

	(void)unused;
	for (unsigned t = 0; t < 1500; t += 5) {
		if (t % 100 == 95) { /* every second time in the middle of a slot; down to a tenth, and back */
			uint32_t next = capacity == 28232 ? 2823 : 28232;

			pw_history_shift(history, (int32_t)(next - capacity));
			capacity = next;
		}
		pw_history_add(history, t * 1000 + 1, capacity - 500 - t / 5);
		if (t >= 200)
			assert_int_equal(pw_history_trend(history).growth, 12);
	}
	pw_history_free(history);
}

static void growth_that_has_ended_is_forgotten(void **unused)
{
	struct pw_history *history = pw_history_new();

	(void)unused;
	run(history, leak_600, 0, 1000, 10);
	for (double t = 1000; t < 1300; t += 10)
		pw_history_add(history, (uint64_t)(t * 1000) + 1, 10000);
	assert_int_equal(pw_history_trend(history).growth, 0);
	pw_history_free(history);
}

static void polls_may_be_missing_and_late(void **unused)
{
	struct pw_history *history = pw_history_new();

	(void)unused;
	random_start();
	for (double t = 0; t < 1500; t += 10)
		if (!chance(4))
			pw_history_add(history, (uint64_t)((t + pick(900) / 1000.0) * 1000) + 1, (uint32_t)leak_600(t));
	assert_in_range(pw_history_trend(history).growth, 590, 610);
	pw_history_free(history);
}

/* Times of CLOCK_BOOTTIME after a year, and polls that bring no new time. */
static void time_may_be_large_and_may_stand(void **unused)
{
	struct pw_history *history = pw_history_new();
	uint64_t start = UINT64_C(366) * 86400 * 1000;

	(void)unused;
	pw_history_add(history, 5, 28000);
	for (uint64_t t = 0; t < 1000; t += 10) {
		pw_history_add(history, start + t * 1000, (uint32_t)(20000 - 10 * t));
		pw_history_add(history, start + t * 1000, 0);
		pw_history_add(history, start, 0);
	}
	assert_in_range(pw_history_trend(history).growth, 599, 601);
	pw_history_free(history);
}

/* --- the last minute, while the growth is not known ------------------------------------------------------------- */

static void expect_recent(struct pw_history *history, uint64_t ms, uint32_t free, int32_t growth, uint32_t left_s)
{
	struct pw_trend trend;

	pw_history_add(history, 1000000 + ms, free);
	trend = pw_history_trend(history);
	assert_int_equal(trend.recent_growth, growth);
	assert_int_equal(trend.recent_time_to_exhaustion, left_s);
}

/* One second is the least that says something. */
static void first_seconds_are_a_difference(void **unused)
{
	struct pw_history *history = pw_history_new();

	(void)unused;
	expect_recent(history, 0, 10000, 0, PW_NOT_IN_SIGHT);
	expect_recent(history, 999, 9000, 0, PW_NOT_IN_SIGHT);
	expect_recent(history, 2000, 9900, 3000, 198);
	expect_recent(history, 3000, 10100, -2000, PW_NOT_IN_SIGHT);
	expect_recent(history, 4000, 10000, 0, PW_NOT_IN_SIGHT);
	assert_int_equal(pw_history_trend(history).growth, 0);
	expect_recent(history, 5000, 0, 0, 0);
	pw_history_free(history);
}

/* What was more than a minute ago does not count, however often is polled. */
static void recent_growth_forgets_after_a_minute(void **unused)
{
	static const uint32_t intervals[] = {100, 1000, 2000, 7000};

	(void)unused;
	for (size_t i = 0; i < sizeof(intervals) / sizeof(intervals[0]); i++) {
		struct pw_history *history = pw_history_new();
		struct pw_trend trend;

		/* a fall of 10,000 at the start, then 10 a second */
		pw_history_add(history, 1000000, 28000);
		for (uint64_t ms = intervals[i]; ms < 150000; ms += intervals[i])
			pw_history_add(history, 1000000 + ms, (uint32_t)(18000 - ms / 100));
		trend = pw_history_trend(history);
		assert_int_equal(trend.growth, 0);
		assert_in_range(trend.recent_growth, 598, 602);
		assert_in_range(trend.recent_time_to_exhaustion, 1640, 1670);
		pw_history_free(history);
	}
}

/* Where polls are further apart than a minute, the last one is the reference. */
static void recent_growth_of_rare_polls(void **unused)
{
	struct pw_history *history = pw_history_new();

	(void)unused;
	pw_history_add(history, 1000000, 20000);
	pw_history_add(history, 1300000, 10000);
	expect_recent(history, 600000, 9000, 200, 2700);
	pw_history_free(history);
}

/* What is known is better, and a change of the capacity is none of the free ports. */
static void recent_growth_gives_way(void **unused)
{
	struct pw_history *history = pw_history_new();

	(void)unused;
	for (uint64_t ms = 0; ms <= 300000; ms += 10000) /* 600 a minute, and 6000 at last */
		pw_history_add(history, 1000000 + ms, (uint32_t)(20000 - ms / 100));
	pw_history_add(history, 1301000, 16000);
	assert_in_range(pw_history_trend(history).growth, 599, 601);
	assert_int_equal(pw_history_trend(history).recent_growth, pw_history_trend(history).growth);
	pw_history_free(history);
	history = pw_history_new();
	expect_recent(history, 0, 10000, 0, PW_NOT_IN_SIGHT);
	pw_history_shift(history, -5000);
	expect_recent(history, 2000, 4900, 3000, 98);
	pw_history_free(history);
}

/* Steps of 10 s, whatever the interval of the polls; none from before the first. */
static void steps_are_equal(void **state)
{
	struct pw_history *fast = pw_history_new(), *even = pw_history_new(), *slow = pw_history_new();
	uint32_t steps[PW_HISTORY_STEPS];

	(void)state;
	assert_int_equal(pw_history_steps(NULL, steps), 0);
	assert_int_equal(pw_history_steps(fast, steps), 0);
	for (uint32_t i = 0; i <= 12; i++)
		pw_history_add(fast, 1000000 + 2000 * i, 1000 - i);
	assert_int_equal(pw_history_steps(fast, steps), 3);
	assert_int_equal(steps[0], 988);
	assert_in_range(steps[2], 996, 1000);
	for (uint32_t i = 0; i < 50; i++)
		pw_history_add(even, 1000000 + 10000 * i + pick(400), 1000 - i);
	assert_int_equal(pw_history_steps(even, steps), PW_HISTORY_STEPS);
	for (uint32_t i = 0; i < PW_HISTORY_STEPS; i++)
		assert_int_equal(steps[i], 1000 - 49 + i);
	for (uint32_t i = 0; i < 3; i++)
		pw_history_add(slow, 1000000 + 60000 * i, 1000 - i);
	assert_int_equal(pw_history_steps(slow, steps), 13);
	assert_int_equal(steps[0], 998);
	for (uint32_t i = 1; i < 6; i++)
		assert_int_equal(steps[i], 999);
	assert_int_equal(steps[12], 1000);
	pw_history_free(fast);
	pw_history_free(even);
	pw_history_free(slow);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(leak_is_measured_at_any_interval),
		cmocka_unit_test(leak_is_measured_at_long_intervals),
		cmocka_unit_test(draining_is_negative_and_out_of_sight),
		cmocka_unit_test(level_does_not_grow),
		cmocka_unit_test(too_little_is_nothing),
		cmocka_unit_test(exhausted_is_now),
		cmocka_unit_test(noise_is_averaged_out),
		cmocka_unit_test(noise_alone_is_no_growth),
		cmocka_unit_test(time_wait_waves_are_no_growth),
		cmocka_unit_test(leak_shows_under_time_wait_waves),
		cmocka_unit_test(odd_polls_are_no_growth),
		cmocka_unit_test(step_is_no_growth),
		cmocka_unit_test(change_of_capacity_is_no_growth),
		cmocka_unit_test(growth_that_has_ended_is_forgotten),
		cmocka_unit_test(polls_may_be_missing_and_late),
		cmocka_unit_test(time_may_be_large_and_may_stand),
		cmocka_unit_test(first_seconds_are_a_difference),
		cmocka_unit_test(recent_growth_forgets_after_a_minute),
		cmocka_unit_test(recent_growth_of_rare_polls),
		cmocka_unit_test(recent_growth_gives_way),
		cmocka_unit_test(steps_are_equal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

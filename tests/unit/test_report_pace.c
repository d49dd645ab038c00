/* SPDX-License-Identifier: BSD-2-Clause */
/* The pace of a pool: the difference to a minute ago, or to the first poll. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <netinet/in.h>

#include "report/pace.h"
#include "report_fixture.h"

#define START_MS 1000000

struct watch {
	struct fixture f;
	struct pw_pace *pace;
	struct pw_pool_row *row;
};

static void start(struct watch *w)
{
	fixture_init(&w->f);
	w->row = fixture_pool(&w->f, IPPROTO_TCP, "10.0.0.1", "10.0.0.2", 80, 1000, 0);
	w->pace = pw_pace_new();
	assert_non_null(w->pace);
}

static struct pw_growth poll(struct watch *w, uint64_t after_ms, uint32_t free)
{
	w->row->counts.free = free;
	pw_pace_add(w->pace, &w->f.snapshot, START_MS + after_ms);
	return pw_pace_growth(w->pace, w->row);
}

static void expect(struct pw_growth growth, int32_t per_minute, uint32_t left_s)
{
	assert_int_equal(growth.per_minute, per_minute);
	assert_int_equal(growth.left_s, left_s);
}

/* One second is the least that says something. */
static void test_start(void **state)
{
	struct watch w;

	(void)state;
	start(&w);
	expect(poll(&w, 0, 10000), 0, PW_NOT_IN_SIGHT);
	expect(poll(&w, 999, 9000), 0, PW_NOT_IN_SIGHT);
	expect(poll(&w, 2000, 9900), 3000, 198);
	expect(poll(&w, 3000, 10100), -2000, PW_NOT_IN_SIGHT);
	expect(poll(&w, 4000, 10000), 0, PW_NOT_IN_SIGHT);
	pw_pace_free(w.pace);
}

/* What was more than a minute ago does not count, however often is polled. */
static void test_window(void **state)
{
	static const uint32_t intervals[] = {100, 1000, 2000, 7000};

	(void)state;
	for (size_t i = 0; i < sizeof(intervals) / sizeof(intervals[0]); i++) {
		struct watch w;
		struct pw_growth growth = {0};
		uint64_t ms = 0;

		start(&w);
		/* a fall of 10,000 at the start, then 10 a second */
		poll(&w, 0, 28000);
		for (ms = intervals[i]; ms < 200000; ms += intervals[i])
			growth = poll(&w, ms, (uint32_t)(18000 - ms / 100));
		assert_in_range(growth.per_minute, 598, 602);
		assert_in_range(growth.left_s, 1590, 1620);
		pw_pace_free(w.pace);
	}
}

/* Where polls are further apart than the window, the last one is the reference. */
static void test_rare_polls(void **state)
{
	struct watch w;

	(void)state;
	start(&w);
	poll(&w, 0, 20000);
	poll(&w, 300000, 10000);
	expect(poll(&w, 600000, 9000), 200, 2700);
	pw_pace_free(w.pace);
}

/* What the monitor knows is better. */
static void test_monitor_first(void **state)
{
	struct watch w;

	(void)state;
	start(&w);
	poll(&w, 0, 20000);
	poll(&w, 5000, 10000);
	w.row->growth = 7;
	w.row->time_to_exhaustion = 4000;
	expect(pw_pace_growth(w.pace, w.row), 7, 4000);
	expect(pw_pace_growth(NULL, w.row), 7, 4000);
	w.row->growth = 0;
	w.row->counts.free = 0;
	w.row->time_to_exhaustion = 0;
	expect(pw_pace_growth(w.pace, w.row), 0, 0);
	pw_pace_free(w.pace);
}

/* A pool that lost its row begins anew. */
static void test_forgotten(void **state)
{
	struct watch w;

	(void)state;
	start(&w);
	poll(&w, 0, 20000);
	w.f.snapshot.n_pools = 0;
	poll(&w, 5000, 15000);
	w.f.snapshot.n_pools = 1;
	expect(poll(&w, 10000, 10000), 0, PW_NOT_IN_SIGHT);
	expect(poll(&w, 12000, 9900), 3000, 198);
	pw_pace_free(w.pace);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_start),
		cmocka_unit_test(test_window),
		cmocka_unit_test(test_rare_polls),
		cmocka_unit_test(test_monitor_first),
		cmocka_unit_test(test_forgotten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* The monitoring plugin: status, text and performance data. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "report/report.h"
#include "report_fixture.h"

struct answer {
	const struct fixture *f;
	enum pw_check_status status;
};

static void print(FILE *out, void *context)
{
	struct answer *answer = context;

	answer->status = pw_check_print(out, &answer->f->report);
}

static void expect_answer(struct fixture *f, enum pw_check_status status, const char *golden)
{
	struct answer answer = {.f = f};
	char *text;

	fixture_close(f, NULL);
	text = fixture_capture(print, &answer);
	expect_golden(golden, text);
	assert_int_equal(answer.status, status);
	free(text);
	fixture_free(f);
}

static void test_ok(void **state)
{
	struct fixture f;

	(void)state;
	fixture_init(&f);
	fixture_pool(&f, IPPROTO_TCP, "10.0.0.1", "10.0.0.9", 443, 1000, 100);
	fixture_pool(&f, IPPROTO_TCP, "10.0.0.1", "10.0.0.8", 443, 10, 0);
	expect_answer(&f, PW_CHECK_OK, "check-ok.txt");
}

/* Most of it counts as free and may not be: that is no all-clear. */
static void test_doubt(void **state)
{
	struct fixture f;
	struct pw_pool_row *row;

	(void)state;
	fixture_init(&f);
	fixture_pool(&f, IPPROTO_TCP, "10.0.0.1", "10.0.0.8", 443, 1000, 0);
	row = fixture_pool(&f, IPPROTO_TCP, "10.0.0.1", "10.0.0.9", 443, 20000, 20000);
	row->counts.free = row->counts.capacity;
	row->counts.reusable = row->counts.doubt = 20000;
	row->counts.utilization = 0;
	row->state = PW_STATE_NORMAL;
	row->reason = PW_REASON_NONE;
	expect_answer(&f, PW_CHECK_UNKNOWN, "check-doubt.txt");
}

/* What was asked for and is not known is no all-clear either. */
static void test_unknown_snat(void **state)
{
	struct fixture f;

	(void)state;
	fixture_init(&f);
	fixture_pool(&f, IPPROTO_TCP, "10.0.0.1", "10.0.0.9", 443, 1000, 100);
	f.notes[0].unknown[PW_SOURCE_SNAT] = "not permitted: CAP_NET_ADMIN is missing";
	expect_answer(&f, PW_CHECK_UNKNOWN, "check-unknown-snat.txt");
}

static void test_critical(void **state)
{
	struct fixture f;

	(void)state;
	fixture_busy(&f);
	expect_answer(&f, PW_CHECK_CRITICAL, "check-critical.txt");
}

/* Nothing is left for a new destination: critical, also where no pool holds a port. */
static void test_blocked(void **state)
{
	struct fixture f;

	(void)state;
	fixture_init(&f);
	f.ns[0].blocked = f.ns[0].capacity;
	expect_answer(&f, PW_CHECK_CRITICAL, "check-blocked.txt");
}

/* A state outranks the utilization: the pool in warning by its free ports is named, not the fuller one. */
static void test_free_below(void **state)
{
	struct fixture f;
	struct pw_pool_row *row;

	(void)state;
	fixture_init(&f);
	fixture_pool(&f, IPPROTO_TCP, "10.0.0.1", "10.0.0.9", 443, 12000, 0);
	row = fixture_pool(&f, IPPROTO_TCP, "10.0.0.1", "10.0.0.8", 443, 9000, 0);
	row->state = PW_STATE_WARNING;
	row->reason = PW_REASON_FREE;
	row->free_threshold = 20000;
	expect_answer(&f, PW_CHECK_WARNING, "check-free.txt");
}

/* A TCP bind pool without thresholds in force is full all day on a healthy proxy. */
static void test_no_threshold(void **state)
{
	struct fixture f;
	struct pw_pool_row *row;

	(void)state;
	fixture_init(&f);
	row = fixture_pool(&f, IPPROTO_TCP, "10.0.0.1", NULL, 0, 28232, 0);
	row->state = PW_STATE_NORMAL;
	row->warning_threshold = row->critical_threshold = 0;
	expect_answer(&f, PW_CHECK_OK, "check-no-threshold.txt");
}

static void test_nothing(void **state)
{
	struct fixture f;

	(void)state;
	fixture_init(&f);
	f.ns[0].blocked = 32;
	expect_answer(&f, PW_CHECK_OK, "check-nothing.txt");
}

static void test_failing(void **state)
{
	struct fixture f;

	(void)state;
	fixture_init(&f);
	fixture_pool(&f, IPPROTO_TCP, "10.0.0.1", "10.0.0.9", 443, 1000, 100);
	f.ns[0].failing = true;
	expect_answer(&f, PW_CHECK_UNKNOWN, "check-failing.txt");
}

/* What is known to be critical is not hidden by what is unknown. */
static void test_failing_critical(void **state)
{
	struct fixture f;

	(void)state;
	fixture_init(&f);
	fixture_pool(&f, IPPROTO_TCP, "10.0.0.1", "10.0.0.9", 443, 27000, 100);
	f.ns[0].failing = true;
	f.ns[0].name = "blue|red";
	expect_answer(&f, PW_CHECK_CRITICAL, "check-failing-critical.txt");
}

/* '|' separates the performance data, a newline ends the line: neither may come from a name. */
static void test_hostile_names(void **state)
{
	struct fixture f;
	struct answer answer = {.f = &f};
	char *text, *newline;

	(void)state;
	fixture_init(&f);
	fixture_pool(&f, IPPROTO_TCP, "10.0.0.1", "10.0.0.9", 443, 27000, 0)->label = "a|b\nc\033[31m";
	fixture_close(&f, NULL);
	text = fixture_capture(print, &answer);
	newline = strchr(text, '\n');
	assert_non_null(newline);
	assert_int_equal(newline[1], '\0');
	assert_ptr_equal(strchr(text, '|'), strrchr(text, '|'));
	assert_non_null(strstr(text, "(a?b?c?[31m)"));
	free(text);
	fixture_free(&f);
}

/* Ten further pools are named, the others counted. */
static void test_many(void **state)
{
	struct fixture f;

	(void)state;
	fixture_init(&f);
	for (unsigned i = 0; i < FIXTURE_MAX; i++)
		fixture_pool(&f, IPPROTO_TCP, "10.0.0.1", "10.0.0.9", (uint16_t)(i + 1), 28000 - 1000 * i, 0);
	expect_answer(&f, PW_CHECK_CRITICAL, "check-many.txt");
}

static void print_unknown(FILE *out, void *context)
{
	assert_int_equal(pw_check_unknown(out, context), PW_CHECK_UNKNOWN);
}

static void test_unknown(void **state)
{
	char *text = fixture_capture(print_unknown, (void *)"no | such\nfile");

	(void)state;
	assert_string_equal(text, "PORTWATCH UNKNOWN - no ? such?file\n");
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ok),
		cmocka_unit_test(test_doubt),
		cmocka_unit_test(test_unknown_snat),
		cmocka_unit_test(test_critical),
		cmocka_unit_test(test_blocked),
		cmocka_unit_test(test_free_below),
		cmocka_unit_test(test_no_threshold),
		cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_failing),
		cmocka_unit_test(test_failing_critical),
		cmocka_unit_test(test_hostile_names),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_unknown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* Failing connects: when they are notified, which processes are named, and the list of CPUs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "kernel/connect_perf.h"
#include "watch/failure.h"

static struct pw_failing failing;
static struct pw_event event;

static int start(void **state)
{
	(void)state;
	failing = (struct pw_failing){0};
	return 0;
}

/* A poll that found this total and nobody. */
static bool step(uint64_t total, uint64_t now_ms)
{
	static const struct pw_failing_processes nobody;

	return pw_failing_step(&failing, total, &nobody, now_ms, &event);
}

static void a_counter_that_stands_still_says_nothing(void **state)
{
	(void)state;
	for (uint64_t now_ms = 1000; now_ms < 1000000; now_ms += 10000)
		assert_false(step(0, now_ms));
}

static void the_first_is_told_at_once_and_the_rest_once_a_minute(void **state)
{
	unsigned told = 0;

	(void)state;
	assert_true(step(3, 1000));
	assert_int_equal(event.type, PW_EVENT_CONNECT_FAILING);
	assert_int_equal(event.failures, 3);
	assert_string_equal(event.text, "");
	for (uint64_t i = 1; i <= 60; i++) /* ten minutes of polls, one failure each */
		if (step(3 + i, 1000 + i * 10000)) {
			assert_int_equal(event.failures, 6);
			told++;
		}
	assert_int_equal(told, 10);
}

static void what_failed_before_the_minute_was_over_is_told_then(void **state)
{
	(void)state;
	assert_true(step(1, 1000));
	assert_false(step(5, 11000));
	assert_false(step(5, 60999));
	assert_true(step(5, 61000));
	assert_int_equal(event.failures, 4);
	assert_false(step(5, 1000000));
	assert_true(step(6, 1000001)); /* at once again after a pause */
}

static void a_huge_count_is_cut(void **state)
{
	(void)state;
	assert_true(step(UINT64_C(1) << 40, 1000));
	assert_true(event.failures == UINT32_MAX);
	assert_int_equal(failing.total, UINT64_C(1) << 40);
}

static void expect_text(const struct pw_failing_processes *processes, const char *expected)
{
	failing = (struct pw_failing){0};
	assert_true(pw_failing_step(&failing, 1, processes, 1000, &event));
	assert_string_equal(event.text, expected);
}

static void who_failed_most_comes_first(void **state)
{
	struct pw_failing_processes processes = {0};

	(void)state;
	pw_failing_add(&processes, 7, "curl", 3);
	pw_failing_add(&processes, 9, "", 1);
	pw_failing_add(&processes, 8, "haproxy", 5);
	expect_text(&processes, "haproxy (pid 8), curl (pid 7), pid 9 (ended)");
	pw_failing_add(&processes, 9, "nginx", 9); /* a name that comes later */
	pw_failing_add(&processes, 0, "", 1);
	expect_text(&processes, "nginx (pid 9), haproxy (pid 8), curl (pid 7), a process of another pid namespace");
	processes.more = true;
	expect_text(&processes,
		"nginx (pid 9), haproxy (pid 8), curl (pid 7), a process of another pid namespace and others");
}

static void those_that_do_not_fit_are_others(void **state)
{
	struct pw_failing_processes processes = {0};
	char name[16];

	(void)state;
	for (unsigned i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "worker-number%02u", i);
		pw_failing_add(&processes, 4000000000u + i, name, 1);
	}
	assert_int_equal(processes.n, PW_FAILING_PROCESSES);
	assert_true(processes.more);
	assert_true(pw_failing_step(&failing, 100, &processes, 1000, &event));
	assert_in_range(strlen(event.text), 150, sizeof(event.text) - 1);
	assert_memory_equal(event.text, "worker-number00 (pid 4000000000), ", 34);
	assert_string_equal(event.text + strlen(event.text) - 12, ") and others");
}

static void processes_add_up_until_they_are_told(void **state)
{
	struct pw_failing_processes processes = {0};

	(void)state;
	assert_true(step(1, 1000));
	pw_failing_add(&processes, 7, "curl", 3);
	assert_false(pw_failing_step(&failing, 4, &processes, 11000, &event));
	processes = (struct pw_failing_processes){0};
	pw_failing_add(&processes, 8, "haproxy", 2);
	assert_false(pw_failing_step(&failing, 6, &processes, 21000, &event));
	assert_false(pw_failing_step(&failing, 8, &processes, 31000, &event));
	assert_true(step(8, 61000));
	assert_string_equal(event.text, "haproxy (pid 8), curl (pid 7)");
	assert_int_equal(event.failures, 7);
	assert_true(step(9, 200000));
	assert_string_equal(event.text, "");
}

/* --- CPUs ----------------------------------------------------------------------------------------------------------- */

static void lists_of_cpus(void **state)
{
	static const char *const wrong[] = {
		"", ",", "0,", "-1", "1-", "3-1", "0-8192", "8192", "a", "0 1", "0-1-2", "0\n"};
	struct pw_cpus cpus;

	(void)state;
	assert_int_equal(pw_cpus_parse("0", &cpus), 0);
	assert_int_equal(cpus.word[0], 1);
	assert_int_equal(pw_cpus_parse("0-3,8,62-65,8191", &cpus), 0);
	assert_true(cpus.word[0] == (UINT64_C(0xf) | UINT64_C(1) << 8 | UINT64_C(3) << 62));
	assert_true(cpus.word[1] == 3 && cpus.word[PW_CPUS_MAX / 64 - 1] == UINT64_C(1) << 63);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		if (pw_cpus_parse(wrong[i], &cpus) == 0)
			fail_msg("\"%s\" was taken for a list", wrong[i]);
}

#define TEST(test) cmocka_unit_test_setup(test, start)

static void the_pool_that_failed_most_is_named(void **state)
{
	struct pw_pool_key key = {.kind = PW_KIND_CONNECT, .protocol = IPPROTO_TCP, .ns = 2, .port = 80};
	char text[PW_EVENT_TEXT_MAX];

	(void)state;
	assert_int_equal(pw_address_parse(&key.local, "10.0.0.1"), 0);
	assert_int_equal(pw_address_parse(&key.remote, "10.0.0.9"), 0);
	pw_failing_pool(&failing, &key, "blue", 3);
	key.port = 443;
	pw_failing_pool(&failing, &key, "blue", 5);
	key.port = 8080;
	pw_failing_pool(&failing, &key, "blue", 4);
	assert_true(step(12, 1000));
	assert_string_equal(event.name, "tcp 10.0.0.1 -> 10.0.0.9:443@blue");
	assert_string_equal(event.local_text, "10.0.0.1");
	assert_string_equal(event.remote_text, "10.0.0.9");
	assert_int_equal(event.key.port, 443);
	pw_event_text(&event, text, sizeof(text));
	assert_non_null(strstr(text, "12 since the last notification, mostly of tcp 10.0.0.1 -> 10.0.0.9:443@blue"));
	assert_false(step(12, 2000));
	assert_true(step(13, 100000)); /* of which nothing is known */
	assert_string_equal(event.name, "");
	assert_int_equal(event.key.ns, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_counter_that_stands_still_says_nothing),
		TEST(the_first_is_told_at_once_and_the_rest_once_a_minute),
		TEST(what_failed_before_the_minute_was_over_is_told_then),
		TEST(a_huge_count_is_cut),
		TEST(who_failed_most_comes_first),
		TEST(those_that_do_not_fit_are_others),
		TEST(processes_add_up_until_they_are_told),
		TEST(the_pool_that_failed_most_is_named),
		TEST(lists_of_cpus),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

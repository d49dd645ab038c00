/* SPDX-License-Identifier: BSD-2-Clause */
/* What the log says of an event, the chain of states, and when failing polls are worth one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>
#include <syslog.h>

#include "watch/event.h"
#include "watch/failure.h"

static struct pw_event warning(void)
{
	return (struct pw_event){
		.id = 17,
		.name = "tcp 10.0.0.1 -> 10.0.0.9:443",
		.label = "payment gateway",
		.owner = "nginx.service",
		.counts = {.capacity = 1000, .used = 600, .time_wait = 20, .free = 400, .utilization = 60},
		.state = PW_STATE_WARNING,
		.rise = {PW_REASON_UTILIZATION, 50},
		.fall = {PW_REASON_UTILIZATION, 75},
		.time_to_exhaustion = 95,
	};
}

static const char *text_of(const struct pw_event *event)
{
	static char text[PW_EVENT_TEXT_MAX];

	return pw_event_text(event, text, sizeof(text));
}

static void rising_tells_all_facts(void **unused)
{
	struct pw_event event = warning();

	(void)unused;
	pw_event_set_previous(&event, PW_STATE_NORMAL);
	assert_int_equal(event.type, PW_EVENT_RISING);
	assert_int_equal(event.threshold, 50);
	assert_int_equal(pw_event_priority(&event), LOG_WARNING);
	assert_string_equal(text_of(&event),
		"tcp 10.0.0.1 -> 10.0.0.9:443: warning, was normal: utilization 60 %, threshold 50 %, "
		"used 600 of 1000 (20 in TIME_WAIT), free 400, exhausted in 95 s, owner nginx.service, "
		"label \"payment gateway\", event 17");
}

static void falling_names_the_falling_threshold(void **unused)
{
	struct pw_event event = warning();

	(void)unused;
	event.owner[0] = event.label[0] = '\0';
	event.time_to_exhaustion = PW_NOT_IN_SIGHT;
	pw_event_set_previous(&event, PW_STATE_CRITICAL);
	assert_int_equal(event.type, PW_EVENT_FALLING);
	assert_int_equal(event.threshold, 75);
	assert_int_equal(pw_event_priority(&event), LOG_NOTICE);
	assert_string_equal(text_of(&event),
		"tcp 10.0.0.1 -> 10.0.0.9:443: warning, was critical: utilization 60 %, threshold 75 %, "
		"used 600 of 1000 (20 in TIME_WAIT), free 400, event 17");
}

static void other_reasons_have_units_of_their_own(void **unused)
{
	struct pw_event event = warning();

	(void)unused;
	event.rise = (struct pw_crossing){PW_REASON_FREE, 500};
	pw_event_set_previous(&event, PW_STATE_NORMAL);
	assert_non_null(strstr(text_of(&event), "reached the limit of 500 free ports"));
	event.rise = (struct pw_crossing){PW_REASON_FORECAST, 600};
	pw_event_set_previous(&event, PW_STATE_NORMAL);
	assert_int_equal(event.reason, PW_REASON_FORECAST);
	assert_non_null(strstr(text_of(&event), "reached the forecast limit of 600 s"));
}

static void repetition_says_still(void **unused)
{
	struct pw_event event = warning();

	(void)unused;
	pw_event_set_previous(&event, PW_STATE_WARNING);
	assert_int_equal(event.type, PW_EVENT_RISING);
	assert_non_null(strstr(text_of(&event), ": still warning: "));
}

static void text_is_cut_to_its_room(void **unused)
{
	struct pw_event event = warning();
	char text[64];

	(void)unused;
	pw_event_set_previous(&event, PW_STATE_NORMAL);
	for (size_t size = 1; size <= sizeof(text); size++) {
		memset(text, 'x', sizeof(text));
		pw_event_text(&event, text, size);
		assert_int_equal(strlen(text), size - 1);
	}
}

static void failing_connects_are_counted(void **unused)
{
	struct pw_event event = {.id = 3, .type = PW_EVENT_CONNECT_FAILING, .failures = 12, .text = "nginx, curl"};

	(void)unused;
	assert_string_equal(text_of(&event),
		"connects fail for want of a port: 12 since the last notification, nginx, curl, event 3");
	assert_int_equal(pw_event_priority(&event), LOG_WARNING);
}

/* --- failing polls ---------------------------------------------------------------------------------------------- */

#define SECOND 1000

/* A poll at this time; error NULL: a good one. */
static bool step(struct pw_failure *failure, const char *error, uint64_t now_ms, struct pw_event *event)
{
	return pw_failure_step(failure, 4, "blue", error, now_ms, event);
}

static void third_failure_in_a_row_is_announced_once(void **unused)
{
	struct pw_failure failure = {0};
	struct pw_event event;

	(void)unused;
	assert_false(pw_failure_step(&failure, 1, "", "EPERM", 10 * SECOND, &event));
	assert_false(pw_failure_step(&failure, 1, "", "EPERM", 20 * SECOND, &event));
	assert_true(pw_failure_step(&failure, 1, "", "ENOBUFS", 30 * SECOND, &event));
	assert_int_equal(event.type, PW_EVENT_COLLECTOR_FAILED);
	assert_int_equal(event.key.ns, 1);
	assert_string_equal(event.text, "ENOBUFS");
	assert_int_equal(pw_event_priority(&event), LOG_ERR);
	for (int i = 4; i < 100000; i++)
		assert_false(pw_failure_step(&failure, 1, "", "ENOBUFS", (uint64_t)i * 10 * SECOND, &event));
	assert_true(pw_failure_step(&failure, 1, "", NULL, 1000000 * SECOND, &event));
	assert_int_equal(event.type, PW_EVENT_COLLECTOR_RECOVERED);
	assert_int_equal(pw_event_priority(&event), LOG_NOTICE);
	assert_false(pw_failure_step(&failure, 1, "", NULL, 1000001 * SECOND, &event));
}

/* However many polls there are in that time. */
static void what_passes_within_seconds_is_no_failure(void **unused)
{
	struct pw_failure failure = {0};
	struct pw_event event;

	(void)unused;
	for (uint64_t now_ms = SECOND; now_ms < SECOND + PW_FAILURE_MS; now_ms += 100)
		assert_false(step(&failure, "EPERM", now_ms, &event));
	assert_true(step(&failure, "EPERM", SECOND + PW_FAILURE_MS, &event));
}

/* As it is an hour of sleep later, which no poll has seen. */
static void two_failures_are_none_however_far_apart(void **unused)
{
	struct pw_failure failure = {0};
	struct pw_event event;

	(void)unused;
	assert_false(step(&failure, "EPERM", 1 * SECOND, &event));
	assert_false(step(&failure, "EPERM", 3600 * SECOND, &event));
	assert_true(step(&failure, "EPERM", 3601 * SECOND, &event));
}

static void good_poll_between_failures_starts_anew(void **unused)
{
	struct pw_failure failure = {0};
	struct pw_event event;

	(void)unused;
	for (uint64_t at = 1; at < 40; at += 4) {
		assert_false(step(&failure, "EPERM", at * 10 * SECOND, &event));
		assert_false(step(&failure, "EPERM", (at + 1) * 10 * SECOND, &event));
		assert_false(step(&failure, NULL, (at + 2) * 10 * SECOND, &event));
	}
}

static void namespace_is_named(void **unused)
{
	struct pw_failure failure = {0};
	struct pw_event event;

	(void)unused;
	step(&failure, "EPERM", 10 * SECOND, &event);
	step(&failure, "EPERM", 20 * SECOND, &event);
	assert_true(step(&failure, "EPERM", 30 * SECOND, &event));
	assert_int_equal(event.key.ns, 4);
	assert_string_equal(event.text, "blue: EPERM");
}

/* Nobody waits for the recovery of a namespace that is gone. */
static void announced_failure_ends_with_its_namespace(void **unused)
{
	struct pw_failure failure = {0};
	struct pw_event event;

	(void)unused;
	for (uint64_t at = 1; at <= 2; at++)
		step(&failure, "EPERM", at * 10 * SECOND, &event);
	assert_false(pw_failure_end(&failure, 4, "blue", &event));
	for (uint64_t at = 3; at <= 5; at++)
		step(&failure, "EPERM", at * 10 * SECOND, &event);
	assert_true(pw_failure_end(&failure, 4, "blue", &event));
	assert_int_equal(event.type, PW_EVENT_COLLECTOR_RECOVERED);
	assert_int_equal(event.key.ns, 4);
	assert_string_equal(event.text, "blue: the network namespace is not watched any more");
	assert_false(pw_failure_end(&failure, 4, "blue", &event));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rising_tells_all_facts),
		cmocka_unit_test(falling_names_the_falling_threshold),
		cmocka_unit_test(other_reasons_have_units_of_their_own),
		cmocka_unit_test(repetition_says_still),
		cmocka_unit_test(text_is_cut_to_its_room),
		cmocka_unit_test(failing_connects_are_counted),
		cmocka_unit_test(third_failure_in_a_row_is_announced_once),
		cmocka_unit_test(what_passes_within_seconds_is_no_failure),
		cmocka_unit_test(two_failures_are_none_however_far_apart),
		cmocka_unit_test(good_poll_between_failures_starts_anew),
		cmocka_unit_test(namespace_is_named),
		cmocka_unit_test(announced_failure_ends_with_its_namespace),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

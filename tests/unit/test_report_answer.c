/* SPDX-License-Identifier: BSD-2-Clause */
/* What portwatchd says, read again: the same document comes out; and what is no document of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "report/asked.h"
#include "report/report.h"
#include "report_fixture.h"

struct document {
	const struct pw_selection *selection;
	const struct pw_context *context;
	struct pw_events events;
};

static void print(FILE *out, void *context)
{
	const struct document *d = context;

	assert_int_equal(pw_json_write(out, d->selection, d->context, &d->events), 0);
}

static struct pw_event event_of(const struct pw_pool_row *row)
{
	struct pw_event event = {.id = 7,
		.type = PW_EVENT_FALLING,
		.time = {.tv_sec = 1767225599, .tv_nsec = 5000000},
		.key = row->key,
		.counts = row->counts,
		.state = PW_STATE_WARNING,
		.previous = PW_STATE_CRITICAL,
		.reason = PW_REASON_FREE,
		.threshold = 12,
		.time_to_exhaustion = PW_NOT_IN_SIGHT,
		.failures = 3};

	snprintf(event.name, sizeof(event.name), "%s", row->name);
	snprintf(event.label, sizeof(event.label), "%s", "a \"label\" \xc3\xa9");
	snprintf(event.text, sizeof(event.text), "%s", "and 5 more");
	return event;
}

static void same_again(void **unused)
{
	const struct pw_options all = {.top = UINT32_MAX};
	const uint32_t first = 0;
	struct pw_alarm_row alarm = {.index = 3, .pool = 1, .severity = PW_STATE_CRITICAL, .event_id = 7};
	struct pw_context context = {.exchange = {.acknowledged = 5, .suppressed = 6}};
	struct pw_event events[2] = {{.id = 8, .type = PW_EVENT_CONNECT_FAILING, .failures = 4}};
	struct document d = {.context = &context, .events = {events, 2}};
	struct pw_error err = {""};
	struct pw_answer answer;
	struct pw_selection read;
	struct fixture f;
	char *text, *again;

	(void)unused;
	fixture_busy(&f);
	f.snapshot.alarms = &alarm;
	f.snapshot.n_alarms = 1;
	f.snapshot.config_failed = true;
	f.snapshot.connect_failures_reason = "none";
	f.snapshot.connect_failures = INT64_MAX; /* more than that no JSON library has to read */
	fixture_close(&f, &all);
	f.snapshot.top = &first;
	f.snapshot.n_top = 1;
	for (size_t i = 0; i < f.snapshot.n_pools; i++) {
		f.pools[i].state_ms = f.snapshot.poll_ms - 1000 * i;
		f.pools[i].peak_ms = f.snapshot.poll_ms - 2000;
		f.pools[i].failed_ms = i > 0 ? f.snapshot.poll_ms : 0;
	}
	events[1] = event_of(&f.snapshot.pools[0]);
	context.snapshot = &f.snapshot;
	context.now_ms = f.snapshot.poll_ms;
	context.wall = (struct timespec){.tv_sec = pw_clock_wall().tv_sec - 1, .tv_nsec = 250000000};
	d.selection = &f.report.selection;
	text = fixture_capture(print, &d);
	assert_int_equal(pw_answer_parse(text, strlen(text), NULL, 0, &answer, &err), 0);
	assert_int_equal(answer.snapshot->n_alarms, 1);
	assert_string_equal(answer.snapshot->pools[answer.snapshot->alarms[0].pool].name, f.snapshot.pools[1].name);
	for (size_t i = 0; i < answer.snapshot->n_pools; i++) {
		const struct pw_pool_key *key = &answer.snapshot->pools[i].key;

		assert_int_equal(pw_pool_key_compare(key, &f.snapshot.pools[i].key), 0);
	}
	assert_int_equal(pw_selection_make(&read, answer.snapshot, &all), 0);
	d = (struct document){&read, &answer.context, {answer.events, answer.n_events}};
	again = fixture_capture(print, &d);
	assert_string_equal(again, text);
	pw_selection_clear(&read);
	pw_snapshot_unref(answer.snapshot);
	free(answer.events);
	free(text);
	free(again);
	fixture_free(&f);
}

static void not_understood(void **unused)
{
	static const char *const texts[] = {"", "{", "[]", "null", "{}", "{\"pools\":[]}",
		"{\"pools\":{},\"events\":[]}", "{\"pools\":[],\"events\":[]} x", "GET / HTTP/1.1\r\n\r\n",
		"{\"pools\":[],\"events\":[],\"pools\":[]}"};
	struct pw_error err = {""};
	struct pw_answer answer;

	(void)unused;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		assert_int_equal(pw_answer_parse(texts[i], strlen(texts[i]), NULL, 0, &answer, &err), -1);
		assert_non_null(strstr(err.text, "not understood"));
		assert_null(answer.snapshot);
	}
}

/* Members that are missing, unknown, or of another type, as of a daemon of another version. */
static void other_versions(void **unused)
{
	static const char text[] =
		"{\"pools\":[{\"name\":\"x\",\"used\":\"many\",\"state\":\"terrible\",\"local\":7},5,{}],\"events\":[{},null],"
		"\"alarms\":[{\"poolName\":\"y\"},{\"poolName\":\"x\",\"severity\":\"warning\"},{}],\"more\":true}";
	struct pw_error err = {""};
	struct pw_answer answer;

	(void)unused;
	assert_int_equal(pw_answer_parse(text, strlen(text), NULL, 0, &answer, &err), 0);
	assert_int_equal(answer.snapshot->n_pools, 3);
	assert_string_equal(answer.snapshot->pools[0].name, "x");
	assert_string_equal(answer.snapshot->pools[1].owner, "");
	assert_int_equal(answer.snapshot->pools[0].counts.used, 0);
	assert_int_equal(answer.snapshot->pools[0].state, 0);
	assert_int_equal(answer.snapshot->n_alarms, 1);
	assert_int_equal(answer.n_events, 2);
	assert_true(answer.age_ms > 0);
	pw_snapshot_unref(answer.snapshot);
	free(answer.events);
}

/* Of one namespace by its name, whatever else the daemon watches. */
static void narrowed(void **unused)
{
	static const char text[] =
		"{\"poolsSeen\":9,\"activeAlarms\":7,\"namespaces\":[{\"index\":1,\"name\":\"\"},{\"index\":2,\"name\":\"blue\"}],"
		"\"pools\":[{\"nsIndex\":1,\"name\":\"a\"},{\"nsIndex\":2,\"name\":\"b\"},{\"nsIndex\":2,\"name\":\"c\"}],"
		"\"labels\":[{\"name\":\"x\"}],\"alarms\":[{\"poolName\":\"a\"},{\"poolName\":\"c\"}],\"events\":[]}";
	static const char *const blue[] = {"blue"}, *const two[] = {"blue", "red"};
	struct pw_error err = {""};
	struct pw_answer answer;

	(void)unused;
	assert_int_equal(pw_answer_parse(text, strlen(text), blue, 1, &answer, &err), 0);
	assert_int_equal(answer.snapshot->n_namespaces, 1);
	assert_string_equal(answer.snapshot->namespaces[0].name, "blue");
	assert_int_equal(answer.snapshot->n_pools, 2);
	assert_string_equal(answer.snapshot->pools[0].name, "b");
	assert_int_equal(answer.snapshot->pools_seen, 2);
	assert_int_equal(answer.snapshot->n_labels, 0);
	assert_int_equal(answer.snapshot->n_alarms, 1);
	assert_int_equal(answer.snapshot->active_alarms, 1);
	assert_int_equal(answer.snapshot->alarms[0].pool, 1);
	pw_snapshot_unref(answer.snapshot);
	free(answer.events);
	assert_int_equal(pw_answer_parse(text, strlen(text), two, 2, &answer, &err), -1);
	assert_string_equal(err.text, "it does not watch a namespace red");
	assert_null(answer.snapshot);
}

/* Thresholds of the command line, over numbers of the daemon. */
static void judged(void **unused)
{
	static const struct {
		uint32_t utilization, free;
		enum pw_state before;
		enum pw_reason reason;
		uint32_t warning, critical, free_below; /* given */
		enum pw_state after;
		enum pw_reason now;
	} cases[] = {
		{60, 400, PW_STATE_WARNING, PW_REASON_UTILIZATION, 70, 90, 0, PW_STATE_NORMAL, PW_REASON_NONE},
		{60, 400, PW_STATE_WARNING, PW_REASON_UTILIZATION, 60, 90, 0, PW_STATE_WARNING, PW_REASON_UTILIZATION},
		{60, 400, PW_STATE_WARNING, PW_REASON_UTILIZATION, 0, 60, 0, PW_STATE_CRITICAL, PW_REASON_UTILIZATION},
		{10, 900, PW_STATE_NORMAL, PW_REASON_NONE, 0, 0, 901, PW_STATE_WARNING, PW_REASON_FREE},
		{10, 900, PW_STATE_NORMAL, PW_REASON_NONE, 0, 0, 900, PW_STATE_NORMAL, PW_REASON_NONE},
		{99, 1, PW_STATE_CRITICAL, PW_REASON_UTILIZATION, 100, 100, 0, PW_STATE_NORMAL, PW_REASON_NONE},
		{100, 0, PW_STATE_EXHAUSTED, PW_REASON_UTILIZATION, 100, 100, 0, PW_STATE_EXHAUSTED,
			PW_REASON_UTILIZATION},
		{45, 550, PW_STATE_WARNING, PW_REASON_FORECAST, 60, 90, 0, PW_STATE_WARNING, PW_REASON_FORECAST},
	};

	(void)unused;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct pw_options o = {
			.warning = cases[i].warning, .critical = cases[i].critical, .free_below = cases[i].free_below};
		struct pw_pool_row row = {.counts.utilization = cases[i].utilization,
			.counts.free = cases[i].free,
			.state = cases[i].before,
			.reason = cases[i].reason,
			.warning_threshold = 50,
			.critical_threshold = 80};
		struct pw_pool_row none = row;

		pw_asked_judge(&o, &row);
		assert_int_equal(row.state, cases[i].after);
		assert_int_equal(row.reason, cases[i].now);
		none.warning_threshold = none.critical_threshold = 0;
		none.state = PW_STATE_NORMAL;
		pw_asked_judge(&o, &none);
		assert_int_equal(none.state, PW_STATE_NORMAL);
	}
}

/* When the list of the daemon does not reach as far as what was asked for. */
static void beyond(void **unused)
{
	struct pw_options plain = {.format = PW_FORMAT_CHECK, .top = 10}, filtered = plain, low = plain, few = plain,
			  explain = {.explain = true, .top = 1, .states = 1u << PW_STATE_EXHAUSTED};
	struct pw_answer answer = {0};
	struct fixture f;

	(void)unused;
	fixture_init(&f);
	fixture_pool(&f, IPPROTO_TCP, "10.0.0.1", "10.0.0.9", 443, 20000, 0);
	fixture_close(&f, &plain);
	answer.snapshot = &f.snapshot;
	filtered.match.kinds = 1;
	low.warning = 1;
	few.free_below = 28000;
	f.snapshot.min_used = 300;
	assert_null(pw_asked_beyond(&answer, &plain));
	assert_null(pw_asked_beyond(&answer, &filtered));
	assert_null(pw_asked_beyond(&answer, &low));
	f.snapshot.pools_seen = 2;
	assert_non_null(pw_asked_beyond(&answer, &low));
	assert_non_null(pw_asked_beyond(&answer, &few));
	low.warning = 2;
	few.free_below = 27932;
	assert_null(pw_asked_beyond(&answer, &low));
	assert_null(pw_asked_beyond(&answer, &few));
	f.snapshot.pools_omitted = 1;
	assert_non_null(pw_asked_beyond(&answer, &filtered));
	assert_null(pw_asked_beyond(&answer, &plain));
	f.snapshot.pools_omitted = 0;
	assert_non_null(pw_asked_beyond(&answer, &explain));
	explain.states = 0;
	assert_null(pw_asked_beyond(&answer, &explain));
	fixture_free(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(same_again),
		cmocka_unit_test(not_understood),
		cmocka_unit_test(other_versions),
		cmocka_unit_test(narrowed),
		cmocka_unit_test(judged),
		cmocka_unit_test(beyond),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

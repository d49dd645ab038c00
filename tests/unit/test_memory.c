/* SPDX-License-Identifier: BSD-2-Clause */
/* Out of memory costs the work at hand and nothing else: every single allocation of monitor and exchange
 * fails once, and then they fail at random. Linked with --wrap, so that the allocations of both go through
 * here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "watch/exchange.h"
#include "watch_fixture.h"
#include "random.h"

/* --- the failing allocator -------------------------------------------------------------------------------------- */

static bool armed;            /* only while the code under test runs */
static unsigned long calls;   /* since it was last armed by fail_at() */
static unsigned long fail_at; /* the call that fails, from 1; 0 = none */
static unsigned fail_one_in;  /* any call fails once in so many; 0 = none */

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *old, size_t size);
char *__real_strdup(const char *text);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *old, size_t size);
char *__wrap_strdup(const char *text);

static bool fails(void)
{
	if (!armed)
		return false;
	return ++calls == fail_at || (fail_one_in != 0 && chance(fail_one_in));
}

void *__wrap_malloc(size_t size)
{
	return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *old, size_t size)
{
	return fails() ? NULL : __real_realloc(old, size);
}

char *__wrap_strdup(const char *text)
{
	return fails() ? NULL : __real_strdup(text);
}

/* --- what runs under it ----------------------------------------------------------------------------------------- */

static struct fixture f;
static struct pw_exchange *exchange;

static void post_events(void)
{
	struct pw_pool_key given_up;
	struct pw_event event;

	while (pw_monitor_event(f.monitor, &event)) {
		enum pw_posted posted = pw_exchange_post(exchange, &event, &given_up);

		if (posted != PW_POSTED)
			pw_monitor_repost(f.monitor, posted == PW_NOT_POSTED ? &event.key : &given_up);
	}
}

/* A receiver that takes and acknowledges all it can get. */
static void receive(void)
{
	struct pw_event event;

	while (pw_exchange_take(exchange, f.poll.now_ms, &event, NULL))
		pw_exchange_acknowledge(exchange, event.id);
}

/* One poll; the census, whose memory is not the matter here, is made before the allocator is armed. */
static void poll_once(void)
{
	const struct pw_snapshot *snapshot;

	pw_census_begin(f.census, &f.range);
	assert_int_equal(pw_census_add(f.census, f.sockets, f.n_sockets), 0);
	pw_census_finish(f.census);
	f.n_sockets = 0;
	f.poll.now_ms += 10000;
	armed = true;
	pw_monitor_take(f.monitor, &f.poll);
	fixture_answer(&f);
	post_events();
	snapshot = pw_monitor_build(f.monitor);
	if (snapshot != NULL)
		pw_exchange_publish(exchange, snapshot);
	receive();
	armed = false;
}

/* Pools that come, alarm, get worse, recover and go, some of them only because a section matches. */
static void add_sockets(unsigned poll)
{
	for (uint16_t i = 0; i < 30; i++)
		fixture_connects(&f, "10.0.0.1", "10.0.0.9", (uint16_t)(1000 + i),
			poll % 3 == 2 ? 1 : (poll * 37u + i * 41u) % 101);
}

static struct pw_rule rule;
static struct pw_cidr matched;

static void start(void)
{
	fixture_start(&f);
	fixture_range(&f, 40000, 40099);
	assert_int_equal(pw_cidr_parse(&matched, "10.0.0.0/24", NULL), 0);
	rule = (struct pw_rule){.match = {.remote = &matched, .n_remote = 1}, .thresholds = f.policy.defaults};
	f.policy.rules = &rule;
	f.policy.n_rules = 1;
	f.policy.linger_s = 20;
}

/* Returns false when not even the start succeeded. */
static bool make(void)
{
	armed = true;
	f.monitor = pw_monitor_new(&f.policy, f.poll.wall);
	exchange = pw_exchange_new(50);
	if (exchange != NULL)
		pw_exchange_set_rate(exchange, 100000);
	armed = false;
	return f.monitor != NULL && exchange != NULL;
}

/* A poll that has memory again makes good what an earlier one missed. */
static void check_recovered(void)
{
	const struct pw_snapshot *s;

	fail_at = fail_one_in = 0;
	for (uint16_t i = 0; i < 30; i++)
		fixture_connects(&f, "10.0.0.1", "10.0.0.9", (uint16_t)(1000 + i), 85);
	poll_once();
	s = pw_exchange_snapshot(exchange);
	assert_non_null(s);
	assert_int_equal(s->poll_ms, f.poll.now_ms);
	assert_int_equal(s->active_alarms, 30);
	assert_true(s->n_pools >= 30);
	for (size_t i = 0; i < s->n_alarms; i++) {
		assert_int_equal(s->alarms[i].severity, PW_STATE_CRITICAL);
		assert_non_null(s->pools[s->alarms[i].pool].name);
	}
	pw_snapshot_unref(s);
	for (int i = 0; i < 5; i++)
		poll_once();
	s = pw_exchange_snapshot(exchange);
	assert_int_equal(s->active_alarms, 0);
	pw_snapshot_unref(s);
}

static void run_polls(unsigned polls)
{
	for (unsigned poll = 0; poll < polls; poll++) {
		add_sockets(poll);
		poll_once();
	}
}

/* Returns whether that many calls were made at all. */
static bool survive_failure_of(unsigned long call)
{
	start();
	calls = 0;
	fail_at = call;
	if (make()) {
		run_polls(8);
		check_recovered();
	}
	pw_exchange_free(exchange);
	fixture_stop(&f);
	exchange = NULL;
	return calls >= call;
}

static void any_single_failure_is_survived(void **unused)
{
	unsigned long call = 1;

	(void)unused;
	while (survive_failure_of(call))
		call++;
	print_message("%lu allocations\n", call - 1);
	assert_true(call > 300);
}

static void many_failures_are_survived_and_counted(void **unused)
{
	(void)unused;
	random_start();
	for (int i = 0; i < 30; i++) {
		const struct pw_snapshot *s;

		start();
		fail_at = fail_one_in = 0;
		assert_true(make());
		fail_one_in = 2 + pick(10);
		run_polls(30);
		check_recovered();
		s = pw_exchange_snapshot(exchange);
		assert_true(s->dropped > 0);
		pw_snapshot_unref(s);
		pw_exchange_free(exchange);
		fixture_stop(&f);
	}
}

/* Notifications that could not be taken for want of memory are still owed. */
static void exchange_owes_what_it_could_not_copy(void **unused)
{
	struct pw_exchange *box = pw_exchange_new(4);
	struct pw_event event = {.id = 1,
				.type = PW_EVENT_RISING,
				.state = PW_STATE_WARNING,
				.key.kind = PW_KIND_CONNECT},
			out;
	uint32_t wait = 0;

	(void)unused;
	event.previous = PW_STATE_NORMAL;
	assert_int_equal(pw_exchange_post(box, &event, NULL), 0);
	for (unsigned long call = 1; call <= 2; call++) {
		armed = true;
		calls = 0;
		fail_at = call;
		assert_false(pw_exchange_take(box, 0, &out, &wait));
		armed = false;
		assert_in_range(wait, 1, 60000);
	}
	fail_at = 0;
	assert_true(pw_exchange_take(box, 0, &out, &wait));
	assert_int_equal(out.id, 1);
	pw_exchange_free(box);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_single_failure_is_survived),
		cmocka_unit_test(many_failures_are_survived_and_counted),
		cmocka_unit_test(exchange_owes_what_it_could_not_copy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* A restart: what the receiver was told before it is continued, and a broken file is no file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "random.h"
#include "watch/conntrack.h"
#include "watch/exchange.h"
#include "watch/state.h"
#include "watch_fixture.h"

static struct fixture f;
static struct pw_exchange *exchange;
static struct pw_event taken[64];
static size_t n_taken;

static int start(void **unused)
{
	(void)unused;
	fixture_start(&f);
	exchange = pw_exchange_new(1000);
	assert_non_null(exchange);
	return 0;
}

static int stop(void **unused)
{
	(void)unused;
	pw_exchange_free(exchange);
	fixture_stop(&f);
	return 0;
}

/* What the collector does with the events of a poll; a receiver then acknowledges all that there is. */
static void exchange_events(void)
{
	struct pw_told told;
	struct pw_pool_key given_up;

	while (pw_state_learned(f.monitor, &told))
		assert_int_equal(pw_exchange_learn(exchange, &told), 0);
	for (size_t i = 0; i < f.n_events; i++)
		assert_int_equal(pw_exchange_post(exchange, &f.events[i], &given_up), PW_POSTED);
	for (n_taken = 0; pw_exchange_take(exchange, f.poll.now_ms, &taken[n_taken], NULL); n_taken++)
		pw_exchange_acknowledge(exchange, taken[n_taken].id);
}

static void poll_connects(unsigned n)
{
	fixture_poll_connects(&f, n);
	exchange_events();
}

static char *save(size_t *len)
{
	char *text = pw_state_text(f.monitor, exchange, false, len);

	assert_non_null(text);
	return text;
}

/* Everything is new but the text; the host has been up for `up_ms` then. */
static void restart(uint64_t up_ms)
{
	struct pw_error err;
	size_t len;
	char *text = save(&len);

	pw_monitor_free(f.monitor);
	pw_exchange_free(exchange);
	exchange = pw_exchange_new(1000);
	f.poll.now_ms = up_ms;
	f.monitor = pw_monitor_new(&f.policy, f.poll.wall);
	assert_int_equal(pw_state_restore(f.monitor, text, len, f.poll.now_ms, f.poll.wall, &err), 0);
	free(text);
}

static void what_ended_meanwhile_falls(void **unused)
{
	uint32_t id;

	(void)unused;
	poll_connects(900);
	assert_int_equal(n_taken, 1);
	id = taken[0].id;
	restart(f.poll.now_ms + 20000);
	poll_connects(100);
	assert_int_equal(n_taken, 1);
	assert_int_equal(taken[0].type, PW_EVENT_FALLING);
	assert_int_equal(taken[0].previous, PW_STATE_CRITICAL);
	assert_int_equal(taken[0].state, PW_STATE_NORMAL);
	assert_string_equal(taken[0].name, FIXTURE_POOL);
	assert_true(taken[0].id > id); /* ids go on */
	restart(f.poll.now_ms + 20000);
	poll_connects(100);
	assert_int_equal(n_taken, 0);
}

static void what_goes_on_is_known(void **unused)
{
	struct pw_alarm_row alarm;
	uint64_t state_ms;

	(void)unused;
	poll_connects(950);
	poll_connects(900);
	alarm = f.snapshot->alarms[0];
	state_ms = fixture_row(&f, FIXTURE_POOL)->state_ms;
	restart(f.poll.now_ms);
	poll_connects(910);
	assert_int_equal(n_taken, 0);
	assert_int_equal(f.n_events, 0);
	assert_int_equal(f.snapshot->n_alarms, 1);
	assert_int_equal(f.snapshot->alarms[0].index, alarm.index);
	assert_int_equal(f.snapshot->alarms[0].since.tv_sec, alarm.since.tv_sec);
	assert_int_equal(fixture_row(&f, FIXTURE_POOL)->state_ms, state_ms);
	assert_int_equal(fixture_row(&f, FIXTURE_POOL)->peak, 950);
	assert_int_equal(pw_exchange_last_id(exchange, &fixture_row(&f, FIXTURE_POOL)->key), 1);
	poll_connects(1000); /* and what gets worse is told from there */
	assert_int_equal(n_taken, 1);
	assert_int_equal(taken[0].previous, PW_STATE_CRITICAL);
	assert_int_equal(taken[0].state, PW_STATE_EXHAUSTED);
}

/* The time between rise and fall is nothing to hysteresis. */
static void state_between_the_thresholds_stays(void **unused)
{
	(void)unused;
	poll_connects(550);
	restart(f.poll.now_ms);
	poll_connects(470);
	assert_int_equal(n_taken, 0);
	assert_int_equal(fixture_row(&f, FIXTURE_POOL)->state, PW_STATE_WARNING);
	poll_connects(440);
	assert_int_equal(n_taken, 1);
}

static void what_is_new_rises(void **unused)
{
	(void)unused;
	poll_connects(100);
	restart(f.poll.now_ms);
	poll_connects(600);
	assert_int_equal(n_taken, 1);
	assert_int_equal(taken[0].type, PW_EVENT_RISING);
	assert_int_equal(taken[0].previous, PW_STATE_NORMAL);
}

/* Posted, but nobody acknowledged it. */
static void what_was_not_acknowledged_is_told(void **unused)
{
	(void)unused;
	fixture_poll_connects(&f, 600);
	restart(f.poll.now_ms);
	poll_connects(600);
	assert_int_equal(n_taken, 1);
	assert_int_equal(taken[0].type, PW_EVENT_RISING);
}

/* It may have arrived: when it is over by now, that is said. */
static void what_was_under_way_is_told_to_be_over(void **unused)
{
	struct pw_event event;

	(void)unused;
	fixture_poll_connects(&f, 600);
	pw_exchange_post(exchange, &f.events[0], NULL);
	assert_true(pw_exchange_take(exchange, f.poll.now_ms, &event, NULL));
	restart(f.poll.now_ms);
	poll_connects(100);
	assert_int_equal(n_taken, 1);
	assert_int_equal(taken[0].type, PW_EVENT_FALLING);
	assert_int_equal(taken[0].previous, PW_STATE_WARNING);
	restart(f.poll.now_ms);
	poll_connects(100);
	assert_int_equal(n_taken, 0); /* that was acknowledged */
}

static void growth_goes_on(void **unused)
{
	unsigned n = 100;

	(void)unused;
	for (int i = 0; i < 40; i++)
		poll_connects(n += 5);
	assert_int_equal(fixture_row(&f, FIXTURE_POOL)->growth, 30);
	restart(f.poll.now_ms);
	poll_connects(n += 5);
	assert_in_range(fixture_row(&f, FIXTURE_POOL)->growth, 29, 31);
}

/* All that was before is older than the boot; of growth nothing is known then. */
/* What the exchange has of a table after one notification that was acknowledged or not, through a file and back. */
static struct pw_told table_after_restart(enum pw_state state, bool acknowledged, bool *found)
{
	const struct pw_event event = {
		.id = 7, .type = PW_EVENT_CONNTRACK_RISING, .key.ns = 1, .state = state, .previous = PW_STATE_NORMAL};
	struct pw_pool_key given_up;
	struct pw_told told = {.state = 0};

	poll_connects(10);
	assert_int_equal(pw_exchange_post(exchange, &event, &given_up), PW_POSTED);
	assert_true(pw_exchange_take(exchange, f.poll.now_ms, &taken[0], NULL));
	if (acknowledged)
		pw_exchange_acknowledge(exchange, 7);
	restart(f.poll.now_ms);
	*found = pw_state_learned_table(f.monitor, 1, "", &told);
	assert_false(pw_state_learned_table(f.monitor, 1, "", &told) && *found);
	return told;
}

static void table_is_remembered(void **unused)
{
	const struct pw_thresholds thresholds = {
		.warning = {.rise = 50, .fall = 45}, .critical = {.rise = 80, .fall = 75}};
	struct pw_conntrack_counts counts = {.entries = 85, .maximum = 100};
	struct pw_conntrack table = {.alarm.on = {false}};
	struct pw_event events[PW_CONNTRACK_EVENTS];
	struct pw_told told;
	bool found;

	(void)unused;
	told = table_after_restart(PW_STATE_CRITICAL, true, &found);
	assert_true(found);
	assert_int_equal(pw_conntrack_learn(&table, told.state, told.maybe), PW_STATE_CRITICAL);
	/* nothing for what goes on, by the hysteresis of before; falling for what ended */
	counts.entries = 78;
	assert_int_equal(pw_conntrack_step(&table, &counts, NULL, &thresholds, 1, "", 1000, events), 0);
	counts.entries = 0;
	assert_int_equal(pw_conntrack_step(&table, &counts, NULL, &thresholds, 1, "", 2000, events), 1);
	assert_int_equal(events[0].type, PW_EVENT_CONNTRACK_FALLING);
	assert_int_equal(events[0].previous, PW_STATE_CRITICAL);
}

static void table_under_way_is_told_again(void **unused)
{
	const struct pw_thresholds thresholds = {.warning = {.rise = 50, .fall = 45}};
	const struct pw_conntrack_counts counts = {.entries = 60, .maximum = 100}, none = {.maximum = 100};
	struct pw_conntrack table = {.alarm.on = {false}}, ended;
	struct pw_event events[PW_CONNTRACK_EVENTS];
	struct pw_told told;
	bool found;

	(void)unused;
	told = table_after_restart(PW_STATE_WARNING, false, &found);
	assert_true(found);
	assert_int_equal(told.state, PW_STATE_NORMAL);
	assert_int_equal(pw_conntrack_learn(&table, told.state, told.maybe), PW_STATE_WARNING);
	ended = table;
	assert_int_equal(pw_conntrack_step(&table, &counts, NULL, &thresholds, 1, "", 1000, events), 1);
	assert_int_equal(events[0].type, PW_EVENT_CONNTRACK_RISING);
	assert_int_equal(pw_conntrack_step(&table, &counts, NULL, &thresholds, 1, "", 2000, events), 0);
	assert_int_equal(pw_conntrack_step(&ended, &none, NULL, &thresholds, 1, "", 1000, events), 1);
	assert_int_equal(events[0].type, PW_EVENT_CONNTRACK_FALLING);
}

static void reboot_is_a_restart(void **unused)
{
	(void)unused;
	poll_connects(600);
	restart(5000);
	poll_connects(0);
	assert_int_equal(n_taken, 1);
	assert_int_equal(taken[0].type, PW_EVENT_FALLING);
	assert_int_equal(fixture_row(&f, FIXTURE_POOL)->growth, 0);
}

static void gone_namespace_ends_its_alarms(void **unused)
{
	unsigned polls = 0;

	(void)unused;
	f.ns.index = 7;
	f.ns.name = "a name, 100 % its own";
	poll_connects(600);
	assert_int_equal(n_taken, 1);
	restart(f.poll.now_ms);
	f.poll.n_ns = 0;
	do
		poll_connects(0);
	while (n_taken == 0 && ++polls < 10);
	assert_int_equal(n_taken, 1);
	assert_int_equal(taken[0].type, PW_EVENT_FALLING);
	assert_string_equal(taken[0].name, FIXTURE_POOL "@a name, 100 % its own");
	assert_string_equal(taken[0].text, "the network namespace is gone, or no longer watched");
	restart(f.poll.now_ms);
	for (polls = 0; polls < 10; polls++) {
		poll_connects(0);
		assert_int_equal(n_taken, 0);
	}
}

static void namespace_with_another_number_is_the_same(void **unused)
{
	struct pw_census *old = f.census;

	(void)unused;
	f.ns.index = 7;
	f.ns.name = "blue";
	poll_connects(600);
	restart(f.poll.now_ms);
	f.ns.index = 3;
	f.census = f.ns.census = pw_census_new(3);
	f.ns.sources[PW_SOURCE_SOCKETS] = pw_census_source(f.census);
	poll_connects(600);
	assert_int_equal(n_taken, 0);
	poll_connects(100);
	assert_int_equal(n_taken, 1);
	assert_int_equal(taken[0].type, PW_EVENT_FALLING);
	pw_census_free(old);
}

/* Cut anywhere, or with one bit changed, it is refused, and the monitor begins anew. */
static void broken_text_is_refused(void **unused)
{
	struct pw_monitor *m = pw_monitor_new(&f.policy, f.poll.wall);
	struct pw_error err;
	size_t len;
	char *text;

	(void)unused;
	poll_connects(600);
	text = save(&len);
	for (size_t cut = 0; cut < len; cut++)
		assert_int_equal(pw_state_restore(m, text, cut, 1000, f.poll.wall, &err), -1);
	for (size_t bit = 0; bit < 8 * len; bit++) {
		text[bit / 8] ^= (char)(1 << bit % 8);
		assert_int_equal(pw_state_restore(m, text, len, 1000, f.poll.wall, &err), -1);
		text[bit / 8] ^= (char)(1 << bit % 8);
	}
	assert_int_equal(pw_state_restore(m, text, len, 1000, f.poll.wall, &err), 0);
	free(text);
	pw_monitor_free(m);
}

/* --- random lives ------------------------------------------------------------------------------------------------- */

#define POOLS 8

/* A manager that believes what it was told: whatever crosses, is lost, or is restarted, in the end it believes the truth; it never
 * hears of a fall before a rise, nor the same twice. */
static void manager_survives_restarts(void **unused)
{
	enum pw_state believed[POOLS];
	bool uncertain[POOLS] = {false}; /* may have been under way at a restart */
	unsigned used[POOLS] = {0};

	(void)unused;
	random_start();
	for (int i = 0; i < POOLS; i++)
		believed[i] = PW_STATE_NORMAL;
	poll_connects(0);
	for (int round = 0; round < 2000; round++) {
		struct pw_told told;
		struct pw_pool_key given_up;
		struct pw_event event;
		const bool last = round >= 1990;

		if (chance(10) && !last) {
			memset(uncertain, 1, sizeof(uncertain));
			restart(chance(5) ? 1000 : f.poll.now_ms + pick(60000));
		}
		for (uint16_t i = 0; i < POOLS; i++) {
			used[i] = chance(4) && !last ? pick(1001) : used[i];
			fixture_connects(&f, "10.0.0.1", "10.0.0.9", (uint16_t)(1000 + i), used[i]);
		}
		fixture_poll(&f);
		while (pw_state_learned(f.monitor, &told))
			pw_exchange_learn(exchange, &told);
		for (size_t i = 0; i < f.n_events; i++)
			pw_exchange_post(exchange, &f.events[i], &given_up);
		while ((last || !chance(4)) && pw_exchange_take(exchange, f.poll.now_ms, &event, NULL)) {
			enum pw_state *state = &believed[event.key.port - 1000];

			if (chance(5) && !last) {
				*state = chance(2) ? event.state : *state; /* it arrived, the answer did not */
				uncertain[event.key.port - 1000] = true;
				pw_exchange_return(exchange, event.id);
				continue;
			}
			if (!uncertain[event.key.port - 1000]) {
				assert_int_equal(event.previous, *state);
				assert_int_not_equal(event.state, *state);
				assert_int_equal(event.type == PW_EVENT_FALLING, event.state < *state);
			}
			uncertain[event.key.port - 1000] = false;
			*state = event.state;
			pw_exchange_acknowledge(exchange, event.id);
		}
	}
	for (uint16_t i = 0; i < POOLS; i++) {
		char name[64];
		const struct pw_pool_row *row;

		snprintf(name, sizeof(name), "tcp 10.0.0.1 -> 10.0.0.9:%u", 1000u + i);
		row = fixture_row(&f, name);
		assert_int_equal(believed[i], row != NULL ? row->state : PW_STATE_NORMAL);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_ended_meanwhile_falls),
		TEST(what_goes_on_is_known),
		TEST(state_between_the_thresholds_stays),
		TEST(what_is_new_rises),
		TEST(what_was_not_acknowledged_is_told),
		TEST(what_was_under_way_is_told_to_be_over),
		TEST(growth_goes_on),
		TEST(reboot_is_a_restart),
		TEST(table_is_remembered),
		TEST(table_under_way_is_told_again),
		TEST(gone_namespace_ends_its_alarms),
		TEST(namespace_with_another_number_is_the_same),
		TEST(broken_text_is_refused),
		TEST(manager_survives_restarts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* The monitor, fed with hand-made sockets: states, rows, notifications, reloads, failures. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "heap.h"
#include "watch_fixture.h"
#include "random.h"

static struct fixture f;

static int start(void **unused)
{
	(void)unused;
	fixture_start(&f);
	return 0;
}

static int stop(void **unused)
{
	(void)unused;
	fixture_stop(&f);
	return 0;
}

static struct pw_cidr cidr(const char *text)
{
	struct pw_cidr net;

	assert_int_equal(pw_cidr_parse(&net, text, NULL), 0);
	return net;
}

static const struct pw_pool_row *row(const char *name)
{
	const struct pw_pool_row *found = fixture_row(&f, name);

	if (found == NULL)
		fail_msg("no row of %s", name);
	return found;
}

static enum pw_state state(void)
{
	return row(FIXTURE_POOL)->state;
}

/* --- states and events ------------------------------------------------------------------------------------------ */

static void crossing_is_one_event_with_the_values_of_its_poll(void **unused)
{
	const struct pw_pool_row *r;
	const struct pw_event *e = &f.events[0];

	(void)unused;
	fixture_poll_connects(&f, 499);
	assert_int_equal(f.n_events, 0);
	assert_int_equal(state(), PW_STATE_NORMAL);
	fixture_poll_connects(&f, 600);
	assert_int_equal(f.n_events, 1);
	assert_int_equal(e->type, PW_EVENT_RISING);
	assert_int_equal(e->previous, PW_STATE_NORMAL);
	assert_int_equal(e->state, PW_STATE_WARNING);
	assert_int_equal(e->reason, PW_REASON_UTILIZATION);
	assert_int_equal(e->threshold, 50);
	assert_int_equal(e->counts.used, 600);
	assert_int_equal(e->counts.free, 400);
	assert_string_equal(e->name, FIXTURE_POOL);
	assert_string_equal(e->local_text, "10.0.0.1");
	assert_string_equal(e->remote_text, "10.0.0.9");
	assert_int_equal(e->time.tv_sec, f.poll.wall.tv_sec);
	r = row(FIXTURE_POOL);
	assert_int_equal(r->state, PW_STATE_WARNING);
	assert_int_equal(r->state_ms, f.poll.now_ms);
	assert_int_equal(r->warning_threshold, 50);
	assert_int_equal(r->critical_threshold, 80);
	fixture_poll_connects(&f, 700);
	assert_int_equal(f.n_events, 0);
	assert_int_equal(row(FIXTURE_POOL)->state_ms, f.poll.now_ms - 10000);
}

static void jump_over_all_levels_is_one_event(void **unused)
{
	(void)unused;
	fixture_poll_connects(&f, 1000); /* the first poll may fire */
	assert_int_equal(f.n_events, 1);
	assert_int_equal(f.events[0].state, PW_STATE_EXHAUSTED);
	assert_int_equal(f.events[0].threshold, 100);
	fixture_poll(&f);
	assert_int_equal(f.n_events, 1);
	assert_int_equal(f.events[0].type, PW_EVENT_FALLING);
	assert_int_equal(f.events[0].previous, PW_STATE_EXHAUSTED);
	assert_int_equal(f.events[0].state, PW_STATE_NORMAL);
	assert_int_equal(f.events[0].threshold, 45);
	assert_int_equal(f.events[0].counts.used, 0);
	assert_int_equal(state(), PW_STATE_NORMAL);
}

static void exhausted_stays_under_churn(void **unused)
{
	(void)unused;
	fixture_poll_connects(&f, 1000);
	for (unsigned i = 0; i < 10; i++) {
		fixture_poll_connects(&f, 999 + i % 2);
		assert_int_equal(f.n_events, 0);
		assert_int_equal(state(), PW_STATE_EXHAUSTED);
	}
}

static void alarm_table_follows(void **unused)
{
	uint32_t first;

	(void)unused;
	fixture_poll_connects(&f, 100);
	assert_int_equal(f.snapshot->active_alarms, 0);
	assert_int_equal(f.snapshot->n_alarms, 0);
	assert_int_equal(f.snapshot->alarms_changed_ms, 0);
	fixture_poll_connects(&f, 600);
	assert_int_equal(f.snapshot->active_alarms, 1);
	assert_int_equal(f.snapshot->n_alarms, 1);
	assert_int_equal(f.snapshot->alarms_changed_ms, f.poll.now_ms);
	first = f.snapshot->alarms[0].index;
	assert_int_equal(f.snapshot->alarms[0].severity, PW_STATE_WARNING);
	assert_int_equal(f.snapshot->alarms[0].since.tv_sec, f.poll.wall.tv_sec);
	assert_string_equal(f.snapshot->pools[f.snapshot->alarms[0].pool].name, FIXTURE_POOL);
	fixture_poll_connects(&f, 900);
	assert_int_equal(f.snapshot->alarms[0].index, first);
	assert_int_equal(f.snapshot->alarms[0].severity, PW_STATE_CRITICAL);
	assert_int_equal(f.snapshot->alarms[0].since.tv_sec, f.poll.wall.tv_sec - 10);
	fixture_poll_connects(&f, 100);
	assert_int_equal(f.snapshot->n_alarms, 0);
	fixture_poll_connects(&f, 600);
	assert_true(f.snapshot->alarms[0].index > first); /* never used again */
}

static uint32_t id_of(const struct pw_pool_key *key)
{
	return 1000u + key->port;
}

static void alarm_table_names_the_last_notification(void **unused)
{
	(void)unused;
	fixture_poll_connects(&f, 600);
	assert_int_equal(f.snapshot->alarms[0].event_id, 0);
	f.last_id = id_of;
	fixture_poll_connects(&f, 600);
	assert_int_equal(f.snapshot->alarms[0].event_id, 1443);
}

static void peak_is_kept(void **unused)
{
	uint64_t when;

	(void)unused;
	fixture_poll_connects(&f, 300);
	fixture_poll_connects(&f, 400);
	when = f.poll.now_ms;
	fixture_poll_connects(&f, 200);
	assert_int_equal(row(FIXTURE_POOL)->peak, 400);
	assert_int_equal(row(FIXTURE_POOL)->peak_ms, when);
}

/* What the kernel told of the pool. */
static struct pw_pool_since told_since;

static void tell(const struct pw_pool_key *key, struct pw_pool_since *out, void *context)
{
	(void)context;
	*out = key->port == 443 ? told_since : (struct pw_pool_since){.known = false};
}

static void poll_told(unsigned connects, struct pw_pool_since since)
{
	told_since = since;
	f.poll.since = tell;
	f.poll.look = true;
	fixture_poll_connects(&f, connects);
}

/* Between two polls the pool was higher than at both: rise, peak and its bound go by that. */
static void what_the_kernel_told_counts(void **unused)
{
	(void)unused;
	poll_told(300, (struct pw_pool_since){.known = false});
	poll_told(200,
		(struct pw_pool_since){
			.known = true, .told = true, .sure = true, .allocations = 900, .least = 550, .most = 560});
	assert_int_equal(f.n_events, 1);
	assert_int_equal(f.events[0].state, PW_STATE_CRITICAL);
	assert_int_equal(f.events[0].counts.used, 850);
	assert_int_equal(row(FIXTURE_POOL)->counts.used, 200);
	assert_int_equal(row(FIXTURE_POOL)->peak, 850);
	assert_int_equal(row(FIXTURE_POOL)->peak_bound, 860);
	assert_int_equal(f.snapshot->rings_missed, 0);
	poll_told(200, (struct pw_pool_since){.known = true});
	assert_int_equal(f.n_events, 1);
	assert_int_equal(f.events[0].state, PW_STATE_NORMAL);
	assert_int_equal(row(FIXTURE_POOL)->peak, 850);
}

/* Of a slot with several pools only the bound is this pool's. */
static void what_is_not_sure_raises_nothing(void **unused)
{
	(void)unused;
	poll_told(300, (struct pw_pool_since){.known = false});
	poll_told(200,
		(struct pw_pool_since){.known = true, .told = true, .allocations = 600, .least = 550, .most = 560});
	assert_int_equal(f.n_events, 0);
	assert_int_equal(row(FIXTURE_POOL)->peak, 300);
	assert_int_equal(row(FIXTURE_POOL)->peak_bound, 900);
}

static void a_threshold_that_nothing_told_of_is_counted(void **unused)
{
	(void)unused;
	poll_told(300, (struct pw_pool_since){.known = false});
	poll_told(600, (struct pw_pool_since){.known = true, .told = true});
	assert_int_equal(f.snapshot->rings_missed, 0);
	poll_told(900, (struct pw_pool_since){.known = true});
	assert_int_equal(f.snapshot->rings_missed, 1);
}

static uint32_t reach_443, drift_443;

static void keep_reach(const struct pw_pool_key *key, uint32_t ports, uint32_t drift, void *context)
{
	(void)context;
	if (key->port != 443)
		return;
	reach_443 = ports;
	drift_443 = drift;
}

/* Small pools are not walked through: what they have is left out of what any pool can take. */
static void reach_of_pools(void **unused)
{
	uint32_t least;

	(void)unused;
	fixture_poll_connects(&f, 300);
	least = pw_monitor_reach(f.monitor, keep_reach, NULL);
	assert_int_equal(reach_443, 200);
	assert_int_equal(drift_443, UINT32_MAX);
	assert_true(least > 400 && least <= 500);
	fixture_connects(&f, "10.0.0.1", "10.0.0.9", 443, 300);
	fixture_binds(&f, "10.0.0.2", 100); /* these are gone for every pool */
	fixture_poll(&f);
	assert_true(pw_monitor_reach(f.monitor, keep_reach, NULL) <= least - 80);
	assert_int_equal(reach_443, 100);
	fixture_poll_connects(&f, 1000);
	pw_monitor_reach(f.monitor, keep_reach, NULL);
	assert_int_equal(reach_443, UINT32_MAX);
	assert_int_equal(drift_443, 10); /* it has an alarm: its peak is of interest */
}

static void for_polls_in_a_row(void **unused)
{
	(void)unused;
	f.policy.defaults.for_polls = 3;
	fixture_poll_connects(&f, 600);
	fixture_poll_connects(&f, 600);
	assert_int_equal(f.n_events, 0);
	fixture_poll_connects(&f, 600);
	assert_int_equal(f.n_events, 1);
	fixture_poll_connects(&f, 100);
	assert_int_equal(f.n_events, 1);
}

static void active_alarms_are_repeated(void **unused)
{
	(void)unused;
	fixture_poll_connects(&f, 600);
	pw_monitor_set_renotify(f.monitor, 60);
	for (int i = 1; i <= 18; i++) {
		fixture_poll_connects(&f, 610);
		assert_int_equal(f.n_events, i % 6 == 0);
	}
	assert_int_equal(f.events[0].type, PW_EVENT_RISING);
	assert_int_equal(f.events[0].state, PW_STATE_WARNING);
	assert_int_equal(f.events[0].previous, PW_STATE_WARNING);
	assert_int_equal(f.events[0].threshold, 50);
	assert_int_equal(f.events[0].counts.used, 610);
	fixture_poll_connects(&f, 900);
	assert_int_equal(f.n_events, 1); /* a change starts the time anew */
	for (int i = 1; i < 6; i++) {
		fixture_poll_connects(&f, 900);
		assert_int_equal(f.n_events, 0);
	}
	pw_monitor_set_renotify(f.monitor, 0);
	fixture_poll_connects(&f, 900);
	assert_int_equal(f.n_events, 0);
}

/* What could not be stored comes again, as long as it is true. */
static void refused_event_comes_again(void **unused)
{
	(void)unused;
	fixture_poll_connects(&f, 600);
	assert_int_equal(f.n_events, 1);
	assert_false(f.events[0].logged);
	pw_monitor_repost(f.monitor, &f.events[0].key);
	f.ns.status = PW_POLL_FAILED; /* a poll without numbers is one, too */
	fixture_poll(&f);
	assert_int_equal(f.n_events, 1);
	assert_true(f.events[0].logged);
	assert_int_equal(f.events[0].state, PW_STATE_WARNING);
	assert_int_equal(f.events[0].previous, PW_STATE_NORMAL);
	f.ns.status = PW_POLL_COUNTED;
	fixture_poll_connects(&f, 600);
	assert_int_equal(f.n_events, 0);
	pw_monitor_repost(f.monitor, &f.events[0].key);
	fixture_poll(&f);
	assert_int_equal(f.n_events, 0); /* over, and nobody has heard of it */
}

static void worst_events_come_first(void **unused)
{
	static const struct {
		uint16_t port;
		unsigned before, now;
	} pools[] = {{1, 600, 100}, {2, 100, 600}, {3, 100, 1000}, {4, 100, 850}, {5, 100, 950}, {6, 1000, 850}};
	static const uint16_t order[] = {3, 5, 4, 2, 6, 1};

	(void)unused;
	for (size_t i = 0; i < 6; i++)
		fixture_connects(&f, "10.0.0.1", "10.0.0.9", pools[i].port, pools[i].before);
	fixture_poll(&f);
	for (size_t i = 0; i < 6; i++)
		fixture_connects(&f, "10.0.0.1", "10.0.0.9", pools[i].port, pools[i].now);
	fixture_poll(&f);
	assert_int_equal(f.n_events, 6);
	for (size_t i = 0; i < 6; i++) {
		assert_int_equal(f.events[i].key.port, order[i]);
		assert_true(i == 0 || f.events[i].id == f.events[i - 1].id + 1);
	}
	assert_true(pw_monitor_next_event_id(f.monitor) > f.events[5].id);
}

/* --- what is not told -------------------------------------------------------------------------------------------- */

static void flapping_is_said_once_then_counted(void **unused)
{
	unsigned events = 0;
	char text[200];

	(void)unused;
	fixture_poll_connects(&f, 100);
	pw_monitor_set_max_flaps(f.monitor, 10);
	for (int i = 0; i < 100; i++) {
		fixture_poll_connects(&f, i % 2 == 0 ? 600 : 100);
		if (f.n_events == 0)
			continue;
		events++;
		snprintf(text, sizeof(text), "%s", f.events[0].text);
	}
	assert_int_equal(state(), PW_STATE_NORMAL); /* the table goes on */
	assert_in_range(events, 21, 29);            /* ten rises, and some more as penalties become less meanwhile */
	assert_string_equal(text, "it flaps: told again when it gets worse or has been steady");
	fixture_poll_connects(&f, 900);
	assert_int_equal(f.n_events, 1); /* that is worse than what was told */
	assert_int_equal(f.events[0].state, PW_STATE_CRITICAL);
	assert_int_equal(f.events[0].previous, PW_STATE_WARNING);
	fixture_poll_connects(&f, 100);
	assert_int_equal(f.n_events, 0);
	for (events = 0; events == 0;) {
		fixture_poll_connects(&f, 100);
		events += (unsigned)f.n_events;
	}
	assert_int_equal(f.events[0].type, PW_EVENT_FALLING); /* in the end the truth */
	assert_int_equal(f.events[0].state, PW_STATE_NORMAL);
	assert_int_equal(f.events[0].previous, PW_STATE_CRITICAL);
	assert_non_null(strstr(f.events[0].text, "changes were not told"));
}

/* Bound sockets take most of an address: that all of its destinations are short of ports is one alarm, of the address. */
static void one_cause_makes_one_alarm(void **unused)
{
	(void)unused;
	for (unsigned n = 100; n <= 900; n += 100) {
		unsigned told = 0;

		for (uint16_t i = 0; i < 10; i++)
			fixture_add(&f, "10.0.0.1", "10.0.0.9", (uint16_t)(1000 + i), 40000, 1, 5, PW_ESTABLISHED);
		fixture_binds(&f, "10.0.0.1", n);
		f.policy.min_used = 4;
		fixture_poll(&f);
		for (size_t i = 0; i < f.n_events; i++)
			told += f.events[i].key.kind == PW_KIND_CONNECT;
		assert_int_equal(told, 0);
		assert_int_equal(f.n_events, n == 500 || n == 800);
		assert_int_equal(
			f.snapshot->active_alarms, n < 500 ? 0 : 12); /* the tables show each, and any new one */
		if (f.n_events != 0)
			assert_string_equal(f.events[0].text, "10 more destinations share this shortage");
	}
	fixture_poll(&f);
	assert_int_equal(f.n_events, 1);
	assert_int_equal(f.events[0].type, PW_EVENT_FALLING);
	assert_string_equal(f.events[0].name, "tcp 10.0.0.1 bind");
}

/* What is left where nothing is connected: a pool without ports, that alarms as any other, and not too early. */
static void any_new_destination(void **unused)
{
	static const char name[] = "tcp any new destination";

	(void)unused;
	f.policy.defaults.for_polls = 3;
	for (unsigned poll = 1; poll <= 4; poll++) {
		const struct pw_pool_row *row;

		fixture_add(&f, "0.0.0.0", "0.0.0.0", 0, f.range.low, 1, 600, PW_LISTEN);
		fixture_poll(&f);
		assert_int_equal(f.n_events, poll == 3);
		row = fixture_row(&f, name);
		assert_non_null(row);
		assert_int_equal(row->state, poll < 3 ? PW_STATE_NORMAL : PW_STATE_WARNING);
		assert_int_equal(row->counts.blocked, 600);
		assert_int_equal(row->counts.used, 0);
		assert_int_equal(row->counts.free, row->counts.capacity - 600);
	}
	fixture_poll(&f);
	assert_int_equal(f.n_events, 1);
	assert_int_equal(f.events[0].type, PW_EVENT_FALLING);
	assert_string_equal(f.events[0].name, name);
}

/* It is one alarm also where the few ports of a destination itself make the difference. */
static void the_last_ports_of_a_shortage_make_no_alarm_of_their_own(void **unused)
{
	static const unsigned bound[] = {400, 470, 770, 960};

	(void)unused;
	for (size_t i = 0; i < sizeof(bound) / sizeof(bound[0]); i++) {
		for (uint16_t j = 0; j < 10; j++)
			fixture_add(
				&f, "10.0.0.1", "10.0.0.9", (uint16_t)(1000 + j), f.range.low, 1, 40, PW_ESTABLISHED);
		fixture_binds(&f, "10.0.0.1", bound[i]);
		f.policy.min_used = 4;
		fixture_poll(&f);
		assert_int_equal(f.n_events, i > 0);
		assert_int_equal(f.snapshot->active_alarms, i == 0 ? 0 : bound[i] < 500 ? 11 : 12);
		if (f.n_events != 0)
			assert_string_equal(f.events[0].name, "tcp 10.0.0.1 bind");
	}
	assert_int_equal(f.events[0].state, PW_STATE_EXHAUSTED);
}

/* A destination that takes its ports itself speaks for itself. */
static void own_doing_is_an_alarm_of_its_own(void **unused)
{
	(void)unused;
	fixture_binds(&f, "10.0.0.1", 300);
	fixture_connects(&f, "10.0.0.1", "10.0.0.9", 443, 300);
	fixture_connects(&f, "10.0.0.1", "10.0.0.9", 444, 310);
	fixture_poll(&f);
	assert_int_equal(f.n_events, 3); /* the two, and the bind pool, of which bind() holds a lot */
}

static void another_namespace_of_the_same_name_is_another(void **unused)
{
	(void)unused;
	f.ns.cookie = 1;
	fixture_poll_connects(&f, 600);
	f.ns.cookie = 2;
	fixture_poll_connects(&f, 600);
	assert_int_equal(f.n_events, 1);
	assert_int_equal(f.events[0].type, PW_EVENT_FALLING);
	assert_int_equal(f.events[0].counts.used, 0);
	assert_string_equal(f.events[0].text, "the network namespace is gone, or no longer watched");
	fixture_poll_connects(&f, 600);
	assert_int_equal(f.n_events, 1);
	assert_int_equal(f.events[0].type, PW_EVENT_RISING);
	assert_string_equal(f.events[0].text, "");
}

/* The log has a limit of lines, and what others do takes not all of it. */
static void log_has_a_limit(void **unused)
{
	unsigned lines = 0;
	char remote[32];

	(void)unused;
	fixture_range(&f, 40000, 40001);
	f.ns.index = 7;
	pw_census_free(f.census);
	f.ns.census = f.census = pw_census_new(7);
	f.ns.sources[PW_SOURCE_SOCKETS] = pw_census_source(f.census);
	for (unsigned poll = 0; poll < 6; poll++) {
		for (unsigned i = 0; poll % 2 == 0 && i < 600; i++) {
			snprintf(remote, sizeof(remote), "11.0.%u.%u", i / 256, i % 256);
			fixture_connects(&f, "10.0.0.1", remote, 443, 2);
		}
		fixture_poll(&f);
		assert_true(f.n_events >= 600);
		for (size_t i = 0; i < f.n_events; i++)
			lines += !f.events[i].logged;
	}
	assert_int_equal(lines, 250);
	assert_true(f.snapshot->unlogged >= 3350);
}

/* --- which pools alarm ------------------------------------------------------------------------------------------ */

static void small_range_alarms(void **unused)
{
	(void)unused;
	fixture_range(&f, 40000, 40099);
	fixture_poll_connects(&f, 60);
	assert_int_equal(f.n_events, 1);
	assert_int_equal(state(), PW_STATE_WARNING);
}

/* An odd range loses an end, and the utilization counts it: the floor must, too. */
static void small_odd_range_alarms_at_its_threshold(void **unused)
{
	(void)unused;
	for (uint16_t width = 3; width <= 31; width += 2) {
		unsigned used = 0;

		fixture_stop(&f);
		fixture_start(&f);
		fixture_range(&f, 40000, (uint16_t)(40000 + width - 1));
		do
			fixture_poll_connects(&f, ++used);
		while (f.n_events == 0);
		assert_int_equal(used, (width - 1) / 2); /* with the lost one: the least that is half of the range */
	}
}

static void blocked_ports_of_a_small_range_count(void **unused)
{
	(void)unused;
	fixture_range(&f, 40000, 40099);
	fixture_binds(&f, "10.0.0.7", 30);
	fixture_poll_connects(&f, 40);
	assert_int_equal(row(FIXTURE_POOL)->counts.blocked, 30);
	assert_int_equal(state(), PW_STATE_WARNING);
}

static void proxy_with_every_port_in_use_raises_nothing(void **unused)
{
	char backend[32];

	(void)unused;
	for (unsigned i = 0; i < 50; i++) {
		snprintf(backend, sizeof(backend), "10.0.1.%u", i + 1);
		fixture_add(&f, "10.0.0.1", backend, 80, (uint16_t)(40000 + i * 20), 1, 20, PW_ESTABLISHED);
		fixture_add(&f, "10.0.0.1", backend, 80, 40000, 10, 100, PW_ESTABLISHED);
	}
	fixture_poll(&f);
	assert_int_equal(f.n_events, 0);
	assert_int_equal(row("tcp 10.0.0.1 bind")->counts.utilization, 100);
	assert_int_equal(row("tcp 10.0.0.1 bind")->state, PW_STATE_NORMAL);
	assert_int_equal(row("tcp 10.0.0.1 bind")->warning_threshold, 0);
	assert_int_equal(row("tcp 10.0.0.1 bind")->critical_threshold, 0);
	assert_int_equal(f.snapshot->active_alarms, 0);
	assert_int_equal(f.snapshot->n_top, 10);
	for (size_t i = 0; i < f.snapshot->n_top; i++) /* 50 pools that could alarm come before it */
		assert_int_equal(f.snapshot->pools[f.snapshot->top[i]].key.kind, PW_KIND_CONNECT);
}

/* Though it has the only row. */
static void full_bind_pool_that_harms_nobody_is_not_the_worst(void **unused)
{
	char backend[32];

	(void)unused;
	for (unsigned i = 0; i < 50; i++) {
		snprintf(backend, sizeof(backend), "10.0.1.%u", i + 1);
		fixture_add(&f, "10.0.0.1", backend, 80, (uint16_t)(40000 + i * 20), 1, 20, PW_ESTABLISHED);
	}
	fixture_poll(&f);
	assert_int_equal(f.snapshot->n_top, 1);
	assert_int_equal(f.snapshot->pools[f.snapshot->top[0]].counts.utilization, 100);
	assert_null(pw_snapshot_worst(f.snapshot));
	fixture_poll_connects(&f, 64);
	assert_ptr_equal(pw_snapshot_worst(f.snapshot), fixture_row(&f, FIXTURE_POOL));
	fixture_binds(&f, "10.0.0.1", 900);
	fixture_poll(&f);
	assert_ptr_equal(pw_snapshot_worst(f.snapshot), fixture_row(&f, "tcp 10.0.0.1 bind"));
}

static void poll_with_binds(unsigned connects, unsigned binds)
{
	fixture_connects(&f, "10.0.0.1", "10.0.0.9", 443, connects);
	fixture_binds(&f, "10.0.0.1", binds);
	fixture_poll(&f);
}

static void bind_clients_near_the_end_alarm(void **unused)
{
	(void)unused;
	poll_with_binds(400, 63);
	assert_int_equal(row("tcp 10.0.0.1 bind")->warning_threshold, 0);
	assert_int_equal(f.n_events, 0);
	poll_with_binds(400, 450);
	assert_int_equal(row("tcp 10.0.0.1 bind")->counts.bound, 450);
	assert_int_equal(row("tcp 10.0.0.1 bind")->state, PW_STATE_CRITICAL);
	assert_int_equal(row("tcp 10.0.0.1 bind")->warning_threshold, 50);
}

/* 64 bound ports switch the thresholds on, less than 48 off: 60 in between does neither. */
static void bound_ports_have_a_band(void **unused)
{
	(void)unused;
	poll_with_binds(800, 60);
	assert_int_equal(row("tcp 10.0.0.1 bind")->state, PW_STATE_NORMAL);
	poll_with_binds(800, 64);
	assert_int_equal(row("tcp 10.0.0.1 bind")->state, PW_STATE_CRITICAL);
	poll_with_binds(800, 48);
	assert_int_equal(row("tcp 10.0.0.1 bind")->state, PW_STATE_CRITICAL);
	poll_with_binds(800, 47);
	assert_int_equal(row("tcp 10.0.0.1 bind")->state, PW_STATE_NORMAL);
	assert_int_equal(f.n_events, 1);
	assert_int_equal(f.events[0].type, PW_EVENT_FALLING);
}

static void section_of_kind_bind_puts_thresholds_in_force(void **unused)
{
	char label[] = "egress";
	struct pw_cidr local = cidr("10.0.0.1");
	struct pw_rule rule = {.match = {.kinds = 1u << PW_KIND_BIND, .local = &local, .n_local = 1},
		.label = label,
		.thresholds = f.policy.defaults};

	(void)unused;
	f.policy.rules = &rule;
	f.policy.n_rules = 1;
	fixture_poll_connects(&f, 600);
	assert_int_equal(row("tcp 10.0.0.1 bind")->state, PW_STATE_WARNING);
	assert_string_equal(row("tcp 10.0.0.1 bind")->label, "egress");
	rule.match.kinds = 0; /* meant for the destinations of this address, most likely */
	pw_monitor_set_policy(f.monitor, &f.policy);
	fixture_poll_connects(&f, 600);
	assert_int_equal(row("tcp 10.0.0.1 bind")->state, PW_STATE_NORMAL);
	assert_string_equal(row("tcp 10.0.0.1 bind")->label, "egress");
	assert_int_equal(state(), PW_STATE_WARNING);
}

/* Exhaustion is always in force where a section names bind pools, and makes the worst pool of it. */
static void bind_pool_without_percents_can_be_the_worst(void **unused)
{
	struct pw_rule rule = {.match = {.kinds = 1u << PW_KIND_BIND}, .thresholds = f.policy.defaults};

	(void)unused;
	rule.thresholds.warning = rule.thresholds.critical = (struct pw_threshold){0, 0};
	f.policy.rules = &rule;
	f.policy.n_rules = 1;
	fixture_add(&f, "10.0.0.1", "10.0.0.9", 443, 40000, 2, 500, PW_ESTABLISHED);
	fixture_add(&f, "10.0.0.1", "10.0.0.9", 444, 40001, 2, 500, PW_ESTABLISHED);
	fixture_poll(&f);
	assert_int_equal(row("tcp 10.0.0.1 bind")->state, PW_STATE_EXHAUSTED);
	assert_string_equal(pw_snapshot_worst(f.snapshot)->name, "tcp 10.0.0.1 bind");
}

static void udp_bind_pools_alarm(void **unused)
{
	(void)unused;
	fixture_udp(&f, "10.0.0.1", 600);
	fixture_poll(&f);
	assert_int_equal(row("udp 10.0.0.1 bind")->state, PW_STATE_WARNING);
	assert_int_equal(row("udp 0.0.0.0 bind")->state, PW_STATE_WARNING); /* what connect() and sendto() draw from */
}

static void free_ports_alarm(void **unused)
{
	struct pw_cidr remote = cidr("10.0.0.0/24");
	struct pw_rule rule = {.match = {.remote = &remote, .n_remote = 1}, .thresholds = f.policy.defaults};

	(void)unused;
	rule.thresholds.free_below = 700;
	f.policy.rules = &rule;
	f.policy.n_rules = 1;
	fixture_poll_connects(&f, 301);
	assert_int_equal(f.n_events, 1);
	assert_int_equal(f.events[0].reason, PW_REASON_FREE);
	assert_int_equal(f.events[0].threshold, 700);
	assert_int_equal(row(FIXTURE_POOL)->reason, PW_REASON_FREE);
	assert_int_equal(row(FIXTURE_POOL)->free_threshold, 700);
	fixture_poll_connects(&f, 231);
	assert_int_equal(f.n_events, 0);
	fixture_poll_connects(&f, 230);
	assert_int_equal(f.events[0].type, PW_EVENT_FALLING);
	assert_int_equal(f.events[0].threshold, 770);
}

/* A budget of 400 ports behind a NAT gateway. */
static void capacity_of_a_section_is_what_counts(void **unused)
{
	struct pw_cidr remote = cidr("10.0.0.0/24");
	struct pw_rule rule = {
		.match = {.remote = &remote, .n_remote = 1}, .thresholds = f.policy.defaults, .capacity = 400};
	const struct pw_pool_counts *counts;

	(void)unused;
	f.policy.rules = &rule;
	f.policy.n_rules = 1;
	fixture_poll_connects(&f, 199);
	assert_int_equal(row(FIXTURE_POOL)->state, PW_STATE_NORMAL);
	fixture_poll_connects(&f, 200);
	counts = &row(FIXTURE_POOL)->counts;
	assert_int_equal(counts->capacity, 400);
	assert_int_equal(counts->used, 200);
	assert_int_equal(counts->free, 200);
	assert_int_equal(counts->utilization, 50);
	assert_int_equal(row(FIXTURE_POOL)->state, PW_STATE_WARNING);
	fixture_poll_connects(&f, 400);
	counts = &row(FIXTURE_POOL)->counts;
	assert_int_equal(counts->free, 0);
	assert_int_equal(counts->fast_free, 0);
	assert_int_equal(counts->utilization, 100);
	assert_int_equal(row(FIXTURE_POOL)->state, PW_STATE_EXHAUSTED);
	assert_int_equal(row(FIXTURE_POOL)->time_to_exhaustion, 0);
	fixture_poll_connects(&f, 410); /* more than was granted, as far as is known */
	assert_int_equal(row(FIXTURE_POOL)->counts.free, 0);
	assert_int_equal(row(FIXTURE_POOL)->counts.blocked, 0);
	rule.capacity = 60000; /* more than there are */
	fixture_poll_connects(&f, 400);
	assert_int_equal(row(FIXTURE_POOL)->counts.capacity, 1000);
	assert_int_equal(row(FIXTURE_POOL)->counts.free, 600);
}

/* Two destinations of one label, one of another; the TCP bind pool that the sections match as well has no thresholds. */
static void labels_add_their_pools_up(void **unused)
{
	struct pw_cidr net = cidr("10.0.0.0/24");
	uint16_t ports[] = {80, 443, 81};
	char labels[][8] = {"web", "web", "other"};
	struct pw_rule rules[3];

	(void)unused;
	for (size_t i = 0; i < 3; i++)
		rules[i] = (struct pw_rule){.match = {.remote = &net, .n_remote = 1, .ports = &ports[i], .n_ports = 1},
			.label = labels[i],
			.thresholds = f.policy.defaults};
	f.policy.rules = rules;
	f.policy.n_rules = 3;
	fixture_connects(&f, "10.0.0.1", "10.0.0.2", 80, 600);
	fixture_connects(&f, "10.0.0.1", "10.0.0.2", 443, 10); /* too few for a row of its own */
	fixture_poll(&f);
	assert_int_equal(f.snapshot->n_labels, 2);
	assert_int_equal(f.snapshot->labels[0].index, 1);
	assert_string_equal(f.snapshot->labels[0].name, "web");
	assert_int_equal(f.snapshot->labels[0].pools, 2);
	assert_int_equal(f.snapshot->labels[0].capacity, 2000);
	assert_int_equal(f.snapshot->labels[0].used, 610);
	assert_int_equal(f.snapshot->labels[0].free, 1390);
	assert_int_equal(f.snapshot->labels[0].worst_utilization, 60);
	assert_int_equal(f.snapshot->labels[1].index, 3);
	assert_string_equal(f.snapshot->labels[1].name, "other");
	assert_int_equal(f.snapshot->labels[1].pools, 0);
	f.policy.max_rows = 0; /* what finds no place counts all the same */
	fixture_connects(&f, "10.0.0.1", "10.0.0.2", 80, 600);
	fixture_connects(&f, "10.0.0.1", "10.0.0.2", 443, 10);
	fixture_poll(&f);
	assert_int_equal(f.snapshot->labels[0].pools, 2);
	assert_int_equal(f.snapshot->labels[0].used, 610);
	assert_int_equal(f.snapshot->labels[0].failures, 0);
	for (size_t i = 0; i < 2; i++) { /* their failures too, and these stay */
		struct pw_pool_key key = {.kind = PW_KIND_CONNECT, .protocol = IPPROTO_TCP, .ns = 1, .port = ports[i]};

		pw_address_parse(&key.local, "10.0.0.1");
		pw_address_parse(&key.remote, "10.0.0.2");
		pw_monitor_failed(f.monitor, &key, 3, f.poll.now_ms);
	}
	pw_monitor_set_policy(f.monitor, &f.policy);
	fixture_poll(&f);
	assert_int_equal(f.snapshot->labels[0].failures, 6);
	assert_int_equal(f.snapshot->labels[1].failures, 0);
	f.policy.n_rules = 0;
	pw_monitor_set_policy(f.monitor, &f.policy);
	fixture_poll(&f);
	assert_int_equal(f.snapshot->n_labels, 0);
}

static void growth_outlives_a_change_of_the_range(void **unused)
{
	(void)unused;
	for (unsigned poll = 0; poll < 40; poll++) {
		fixture_range(&f, 40000, poll / 7 % 2 == 0 ? 42999 : 41999);
		fixture_poll_connects(&f, 100 + 2 * poll); /* 2 ports each 10 s */
		if (poll >= 20)
			assert_int_equal(row(FIXTURE_POOL)->growth, 12);
	}
}

static void forecast_alarms(void **unused)
{
	unsigned used = 100, polls = 0;

	(void)unused;
	f.policy.defaults.forecast_within = 600;
	f.policy.defaults.warning = f.policy.defaults.critical = (struct pw_threshold){0, 0};
	fixture_range(&f, 40000, 49999);
	do {
		fixture_poll_connects(&f, used += 50); /* 300 a minute */
	} while (f.n_events == 0 && ++polls < 200);
	assert_int_equal(f.events[0].reason, PW_REASON_FORECAST);
	assert_int_equal(f.events[0].threshold, 600);
	assert_in_range(f.events[0].time_to_exhaustion, 580, 599);
	assert_int_equal(row(FIXTURE_POOL)->reason, PW_REASON_FORECAST);
	assert_int_equal(row(FIXTURE_POOL)->growth, 300);
	assert_in_range(f.events[0].counts.free, 2900, 3000);
}

/* --- rows ------------------------------------------------------------------------------------------------------- */

static void rows_begin_at_min_used(void **unused)
{
	(void)unused;
	fixture_poll_connects(&f, 63);
	assert_null(fixture_row(&f, FIXTURE_POOL));
	fixture_poll_connects(&f, 64);
	assert_non_null(fixture_row(&f, FIXTURE_POOL));
}

static void rows_linger(void **unused)
{
	(void)unused;
	fixture_poll_connects(&f, 100);
	for (int i = 1; i < 60; i++) {
		fixture_poll(&f);
		assert_int_equal(row(FIXTURE_POOL)->counts.used, 0);
		assert_int_equal(row(FIXTURE_POOL)->counts.free, 1000);
		assert_int_equal(f.snapshot->pools_omitted, 0);
	}
	fixture_poll(&f);
	assert_null(fixture_row(&f, FIXTURE_POOL));
	assert_false(pw_monitor_needs(f.monitor, 1, PW_SOURCE_SOCKETS));
}

/* Ten pools of 100, 110 ... 190 ports. */
static void add_ten(void)
{
	for (uint16_t i = 0; i < 10; i++)
		fixture_connects(&f, "10.0.0.1", "10.0.0.9", (uint16_t)(1000 + i), 100 + 10u * i);
}

static bool listed(uint16_t port)
{
	char name[64];

	snprintf(name, sizeof(name), "tcp 10.0.0.1 -> 10.0.0.9:%u", port);
	return fixture_row(&f, name) != NULL;
}

static void most_utilized_get_the_rows(void **unused)
{
	(void)unused;
	f.policy.max_rows = 4;
	add_ten();
	fixture_connects(&f, "10.0.0.1", "10.0.0.9", 2000, 600);
	fixture_poll(&f);
	for (uint16_t i = 0; i < 10; i++)
		assert_int_equal(listed((uint16_t)(1000 + i)), i >= 6);
	assert_true(listed(2000)); /* an alarm, on top of the four */
	assert_int_equal(f.snapshot->pools_listed, 5);
	assert_int_equal(f.snapshot->pools_omitted, 7); /* six of them, and the bind pool, which comes last */
	assert_null(fixture_row(&f, "tcp 10.0.0.1 bind"));
}

/* Who asks for more gets rows of pools that the policy has no room for; they count as before. */
static void omitted_pools_get_rows_on_request(void **unused)
{
	(void)unused;
	f.policy.max_rows = 4;
	fixture_poll(&f);
	pw_monitor_set_rows(f.monitor, PW_ROWS_OMITTED);
	add_ten();
	fixture_connects(&f, "10.0.0.1", "10.0.0.9", 2000, 600);
	fixture_connects(&f, "10.0.0.1", "10.0.0.9", 2001, 63);
	fixture_poll(&f);
	for (uint16_t i = 0; i < 10; i++)
		assert_true(listed((uint16_t)(1000 + i)));
	assert_false(listed(2001));
	assert_int_equal(f.snapshot->n_pools, 12);
	assert_int_equal(f.snapshot->pools_listed, 5);
	assert_int_equal(f.snapshot->pools_omitted, 7);
	pw_monitor_set_rows(f.monitor, PW_ROWS_LISTED);
	add_ten();
	fixture_poll(&f);
	assert_int_equal(f.snapshot->n_pools, 4);
}

/* All pools get a row on request. One below the floor takes no place from others, and has no alarm, though blocked
 * ports make it look full; once it is large enough it is like any other. */
static void small_pools_get_rows_on_request(void **unused)
{
	(void)unused;
	f.policy.max_rows = 1;
	fixture_poll(&f);
	pw_monitor_set_rows(f.monitor, PW_ROWS_ALL);
	for (unsigned used = 5; used < 200; used += 100) {
		fixture_binds(&f, "10.0.0.2", 900);
		fixture_connects(&f, "10.0.0.1", "10.0.0.9", 443, used);
		fixture_poll(&f);
		assert_int_equal(f.snapshot->n_pools, 4); /* and those of both addresses, and of any new destination */
		assert_int_equal(f.snapshot->pools_listed, used < 64 ? 2 : 4);
		assert_int_equal(row(FIXTURE_POOL)->counts.used, used);
		assert_int_equal(row(FIXTURE_POOL)->counts.utilization, used < 100 ? 90 : 100);
		assert_int_equal(state(), used < 64 ? PW_STATE_NORMAL : PW_STATE_EXHAUSTED);
		assert_int_equal(row(FIXTURE_POOL)->warning_threshold, 50);
	}
	fixture_connects(&f, "10.0.0.1", "10.0.0.9", 80, 1);
	fixture_poll(&f);
	assert_true(listed(80) && listed(443));
	fixture_poll(&f); /* only what was large lingers */
	assert_true(!listed(80) && listed(443));
}

static void alarms_never_leave(void **unused)
{
	(void)unused;
	f.policy.max_rows = 0;
	f.policy.max_alarms = 3;
	for (uint16_t i = 0; i < 5; i++) {
		for (uint16_t j = 0; j <= i; j++)
			fixture_connects(&f, "10.0.0.1", "10.0.0.9", (uint16_t)(1000 - j), 600 + 50u * j);
		fixture_poll(&f);
		assert_int_equal(f.n_events, 1);
	}
	assert_int_equal(f.snapshot->n_alarms, 3);
	assert_int_equal(f.snapshot->active_alarms, 5);
	assert_int_equal(f.snapshot->alarms_omitted, 2);
	assert_int_equal(f.snapshot->n_pools, 3);
	assert_true(listed(1000) && listed(999) && listed(998)); /* the first three, though later ones are worse */
}

static void order_is_that_of_the_index(void **unused)
{
	const struct pw_snapshot *s;

	(void)unused;
	add_ten();
	fixture_connects(&f, "2001:db8::1", "2001:db8::9", 443, 100);
	fixture_connects(&f, "10.0.0.200", "10.0.0.9", 443, 100);
	fixture_connects(&f, "9.0.0.200", "10.0.0.9", 443, 100);
	fixture_udp(&f, "10.0.0.1", 100);
	fixture_poll(&f);
	s = f.snapshot;
	assert_int_equal(s->n_pools, s->pools_listed);
	for (size_t i = 0; i < s->n_pools; i++) {
		assert_ptr_equal(pw_snapshot_pool(s, s->pools[i].index, s->pools[i].index_len), &s->pools[i]);
		assert_int_equal(pw_snapshot_pool_after(s, s->pools[i].index, s->pools[i].index_len), i + 1);
		assert_true(i == 0 || pw_pool_key_compare(&s->pools[i - 1].key, &s->pools[i].key) < 0);
	}
}

static void top_is_ranked(void **unused)
{
	(void)unused;
	f.policy.top = 3;
	add_ten();
	fixture_poll(&f);
	assert_int_equal(f.snapshot->top_ranks, 3);
	assert_int_equal(f.snapshot->n_top, 3);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(f.snapshot->pools[f.snapshot->top[i]].key.port, 1009 - i);
	f.policy.top = 20;
	fixture_poll_connects(&f, 100);
	assert_int_equal(f.snapshot->top_ranks, 20);
	assert_int_equal(f.snapshot->n_top, f.snapshot->n_pools);
}

/* --- `pool` and `ignore` sections ------------------------------------------------------------------------------- */

static void exactly_named_pool_always_has_a_row(void **unused)
{
	char label[] = "payment gateway";
	struct pw_cidr local = cidr("10.0.0.1"), remote = cidr("10.0.0.9");
	uint16_t ports[] = {443, 8443};
	struct pw_rule rule = {
		.match =
			{.local = &local, .n_local = 1, .remote = &remote, .n_remote = 1, .ports = ports, .n_ports = 2},
		.label = label,
		.thresholds = f.policy.defaults};

	(void)unused;
	f.policy.rules = &rule;
	f.policy.n_rules = 1;
	f.policy.max_rows = 0;
	rule.thresholds.warning = (struct pw_threshold){30, 25};
	for (int i = 0; i < 100; i++)
		fixture_poll(&f);
	assert_int_equal(f.snapshot->n_pools, 2);
	assert_int_equal(row(FIXTURE_POOL)->counts.free, 1000);
	assert_string_equal(row(FIXTURE_POOL)->label, "payment gateway");
	assert_int_equal(row("tcp 10.0.0.1 -> 10.0.0.9:8443")->warning_threshold, 30);
	fixture_poll_connects(&f, 300);
	assert_int_equal(f.n_events, 1);
	assert_string_equal(f.events[0].label, "payment gateway");
	assert_int_equal(f.events[0].threshold, 30);
	f.policy.n_rules = 0;
	pw_monitor_set_policy(f.monitor, &f.policy);
	fixture_poll(&f);
	fixture_poll(&f);
	assert_int_equal(f.snapshot->n_pools, 0); /* max-rows is 0 */
}

static void matched_pool_has_a_row_while_it_has_a_port(void **unused)
{
	struct pw_cidr remote = cidr("10.0.0.0/24");
	struct pw_rule rule = {.match = {.remote = &remote, .n_remote = 1}, .thresholds = f.policy.defaults};

	(void)unused;
	f.policy.rules = &rule;
	f.policy.n_rules = 1;
	f.policy.linger_s = 30;
	fixture_poll_connects(&f, 1);
	assert_int_equal(row(FIXTURE_POOL)->counts.used, 1);
	assert_int_equal(f.snapshot->n_pools, 1);
	for (int i = 0; i < 2; i++) {
		fixture_poll(&f);
		assert_int_equal(row(FIXTURE_POOL)->counts.used, 0);
	}
	fixture_poll(&f);
	assert_null(fixture_row(&f, FIXTURE_POOL));
	assert_true(pw_monitor_needs(f.monitor, 1, PW_SOURCE_SOCKETS)); /* the next one must not be missed */
}

/* Thresholds of a section are watched below the floor, whether the table has room for the pool or not. */
static void matched_pool_alarms_without_a_place_in_the_table(void **unused)
{
	struct pw_cidr remote = cidr("10.0.0.0/24");
	struct pw_rule rule = {.match = {.remote = &remote, .n_remote = 1}, .thresholds = f.policy.defaults};

	(void)unused;
	rule.thresholds.warning = (struct pw_threshold){3, 1};
	rule.thresholds.for_polls = 3;
	f.policy.rules = &rule;
	f.policy.n_rules = 1;
	f.policy.max_rows = 0;
	for (int poll = 1; poll <= 3; poll++) {
		assert_int_equal(f.n_events, 0);
		fixture_poll_connects(&f, 30);
	}
	assert_int_equal(f.n_events, 1);
	assert_int_equal(state(), PW_STATE_WARNING);
	fixture_poll_connects(&f, 9);
	assert_int_equal(f.n_events, 1);
	assert_null(fixture_row(&f, FIXTURE_POOL));
}

static void ignored_pool_is_hidden_but_blocks(void **unused)
{
	struct pw_cidr local = cidr("10.0.0.7");
	struct pw_match ignore = {.local = &local, .n_local = 1};

	(void)unused;
	f.policy.ignore = &ignore;
	f.policy.n_ignore = 1;
	fixture_binds(&f, "10.0.0.7", 600);
	fixture_poll_connects(&f, 100);
	assert_null(fixture_row(&f, "tcp 10.0.0.7 bind"));
	assert_int_equal(row(FIXTURE_POOL)->counts.blocked, 600);
	assert_int_equal(state(), PW_STATE_WARNING);
}

static void ignoring_an_alarm_ends_it(void **unused)
{
	struct pw_cidr remote = cidr("10.0.0.9");
	struct pw_match ignore = {.remote = &remote, .n_remote = 1};

	(void)unused;
	fixture_poll_connects(&f, 600);
	f.policy.ignore = &ignore;
	f.policy.n_ignore = 1;
	pw_monitor_set_policy(f.monitor, &f.policy);
	fixture_poll_connects(&f, 600);
	assert_int_equal(f.n_events, 1);
	assert_int_equal(f.events[0].type, PW_EVENT_FALLING);
	assert_int_equal(f.events[0].state, PW_STATE_NORMAL);
	assert_null(fixture_row(&f, FIXTURE_POOL));
	assert_int_equal(f.snapshot->active_alarms, 0);
}

/* The old policy is freed before the next poll, as a reload does. */
static void reload_keeps_states_and_applies_thresholds(void **unused)
{
	struct pw_policy old;
	uint32_t index;

	(void)unused;
	pw_policy_defaults(&old);
	old.rules = calloc(1, sizeof(*old.rules));
	old.n_rules = 1;
	old.rules[0].label = strdup("old");
	old.rules[0].thresholds = old.defaults;
	f.monitor = pw_monitor_new(&old, f.poll.wall);
	fixture_poll_connects(&f, 600);
	assert_string_equal(row(FIXTURE_POOL)->label, "old");
	index = f.snapshot->alarms[0].index;
	pw_monitor_set_policy(f.monitor, &f.policy);
	free(old.rules[0].label);
	free(old.rules);
	f.ns.status = PW_POLL_FAILED;
	fixture_poll(&f);
	assert_string_equal(row(FIXTURE_POOL)->label, "");
	f.ns.status = PW_POLL_COUNTED;
	fixture_poll_connects(&f, 600);
	assert_int_equal(f.n_events, 0);
	assert_int_equal(f.snapshot->alarms[0].index, index);
	assert_int_equal(row(FIXTURE_POOL)->peak, 600);
	f.policy.defaults.critical = (struct pw_threshold){55, 50};
	fixture_poll_connects(&f, 600);
	assert_int_equal(f.n_events, 1);
	assert_int_equal(f.events[0].state, PW_STATE_CRITICAL);
}

static void failed_reload_shows(void **unused)
{
	(void)unused;
	fixture_poll(&f);
	assert_false(f.snapshot->config_failed);
	pw_monitor_set_config_failed(f.monitor, true);
	fixture_poll(&f);
	assert_true(f.snapshot->config_failed);
}

/* --- polls that tell less --------------------------------------------------------------------------------------- */

static void failed_poll_keeps_everything(void **unused)
{
	uint64_t good;

	(void)unused;
	fixture_poll_connects(&f, 600);
	good = f.poll.now_ms;
	f.ns.status = PW_POLL_FAILED;
	for (int i = 0; i < 100; i++)
		fixture_poll(&f);
	assert_int_equal(f.n_events, 0);
	assert_int_equal(row(FIXTURE_POOL)->counts.used, 600);
	assert_int_equal(state(), PW_STATE_WARNING);
	assert_int_equal(f.snapshot->poll_ms, good);
	assert_int_equal(f.snapshot->polls, 101);
	assert_int_equal(f.snapshot->poll_errors, 100);
	assert_true(f.snapshot->namespaces[0].failing);
	assert_int_equal(f.snapshot->namespaces[0].capacity, 1000);
	f.ns.status = PW_POLL_COUNTED;
	fixture_poll_connects(&f, 100);
	assert_int_equal(f.n_events, 1);
	assert_int_equal(f.snapshot->polls, 102);
	assert_false(f.snapshot->namespaces[0].failing);
}

static void first_poll_may_fail(void **unused)
{
	(void)unused;
	f.ns.status = PW_POLL_FAILED;
	fixture_poll(&f);
	assert_int_equal(f.snapshot->n_namespaces, 1);
	assert_true(f.snapshot->namespaces[0].failing);
	assert_int_equal(f.snapshot->poll_ms, 0);
}

static void failing_udp_keeps_its_pools(void **unused)
{
	(void)unused;
	fixture_udp(&f, "10.0.0.1", 600);
	fixture_poll_connects(&f, 100);
	pw_census_source(f.census)->stale_protocol = IPPROTO_UDP;
	fixture_poll_connects(&f, 600);
	assert_int_equal(f.n_events, 1);
	assert_int_equal(f.events[0].key.protocol, IPPROTO_TCP);
	assert_int_equal(row("udp 10.0.0.1 bind")->counts.used, 600);
	assert_int_equal(row("udp 10.0.0.1 bind")->state, PW_STATE_WARNING);
	assert_true(f.snapshot->namespaces[0].failing);
	pw_census_source(f.census)->stale_protocol = 0;
	fixture_poll_connects(&f, 600);
	assert_int_equal(
		f.n_events, 3); /* the UDP pools, that of the address and the wildcards, have fallen meanwhile */
}

static void quiet_poll_keeps_rows(void **unused)
{
	(void)unused;
	fixture_poll_connects(&f, 100);
	f.ns.status = PW_POLL_QUIET;
	fixture_poll(&f);
	assert_int_equal(row(FIXTURE_POOL)->counts.used, 100);
	assert_int_equal(f.snapshot->polls, 2);
	assert_int_equal(f.snapshot->poll_ms, f.poll.now_ms);
}

static void vanished_namespace_ends_its_alarms(void **unused)
{
	(void)unused;
	fixture_poll_connects(&f, 600);
	f.ns.status = PW_POLL_GONE;
	fixture_poll(&f);
	assert_int_equal(f.n_events, 1);
	assert_int_equal(f.events[0].type, PW_EVENT_FALLING);
	assert_int_equal(f.events[0].previous, PW_STATE_WARNING);
	assert_string_equal(f.events[0].name, FIXTURE_POOL);
	assert_int_equal(f.snapshot->n_namespaces, 0);
	assert_int_equal(f.snapshot->n_pools, 0);
	fixture_poll(&f);
	assert_int_equal(f.n_events, 0);
	assert_false(pw_monitor_needs(f.monitor, 1, PW_SOURCE_SOCKETS));
}

static void namespaces_are_apart(void **unused)
{
	struct pw_census *census = pw_census_new(7);
	struct pw_ns_poll both[2];

	(void)unused;
	both[0] = (struct pw_ns_poll){
		.index = 7, .name = "blue", .census = census, .sources = {pw_census_source(census)}};
	both[0].sources[PW_SOURCE_SOCKETS]->fresh = true;
	both[1] = f.ns;
	f.poll.ns = both;
	f.poll.n_ns = 2;
	fixture_connects(&f, "10.0.0.1", "10.0.0.9", 443, 600);
	pw_census_begin(census, &f.range);
	pw_census_add(census, f.sockets, f.n_sockets);
	pw_census_finish(census);
	f.n_sockets = 0;
	fixture_poll_connects(&f, 100);
	assert_int_equal(f.n_events, 1);
	assert_string_equal(f.events[0].name, FIXTURE_POOL "@blue");
	assert_int_equal(row(FIXTURE_POOL)->counts.used, 100);
	assert_int_equal(row(FIXTURE_POOL "@blue")->counts.used, 600);
	assert_int_equal(f.snapshot->n_namespaces, 2);
	assert_int_equal(f.snapshot->namespaces[0].index, 1);
	assert_string_equal(f.snapshot->namespaces[1].name, "blue");
	assert_int_equal(f.snapshot->sockets_seen, 700);
	f.poll.ns = &f.ns; /* not watched any more */
	f.poll.n_ns = 1;
	fixture_poll_connects(&f, 100);
	assert_int_equal(f.n_events, 1);
	assert_int_equal(f.events[0].type, PW_EVENT_FALLING);
	assert_int_equal(f.snapshot->n_namespaces, 1);
	pw_census_free(census);
}

static const char *lo_name(uint32_t ifindex)
{
	return ifindex == 1 ? "lo" : NULL;
}

static void zones_have_names(void **unused)
{
	(void)unused;
	f.ifname = lo_name;
	fixture_connects(&f, "10.0.0.1", "10.0.0.9", 443, 100);
	for (size_t i = 0; i < f.n_sockets; i++)
		f.sockets[i].ifindex = 1;
	fixture_poll(&f);
	assert_non_null(fixture_row(&f, "tcp 10.0.0.1%lo -> 10.0.0.9:443"));
	assert_string_equal(row("tcp 10.0.0.1%lo -> 10.0.0.9:443")->local_text, "10.0.0.1%lo");
}

/* Names owners by their user, and counts how often it is asked. */
static void name_owner(uint64_t cgroup, uint32_t uid, char *buf, size_t size, void *context)
{
	(void)cgroup;
	++*(unsigned *)context;
	snprintf(buf, size, "user %u", uid);
}

/* The first `n` sockets of the next poll belong to this user. */
static void own(size_t n, uint32_t uid)
{
	for (size_t i = 0; i < n; i++) {
		f.sockets[i].flags |= PW_SOCKET_HAS_OWNER;
		f.sockets[i].uid = uid;
	}
}

static void owners_are_named(void **unused)
{
	unsigned asked = 0;

	(void)unused;
	f.owner_name = name_owner;
	f.context = &asked;
	fixture_connects(&f, "10.0.0.1", "10.0.0.9", 443, 600);
	own(600, 8);
	own(100, 7);
	fixture_poll(&f);
	assert_string_equal(row(FIXTURE_POOL)->owner, "user 8 (83 %)");
	assert_int_equal(f.n_events, 1);
	assert_string_equal(f.events[0].owner, "user 8 (83 %)");
	assert_int_equal(asked, 4); /* two owners of two pools, once a poll whether notified, listed or both */

	f.ns.status = PW_POLL_FAILED;
	fixture_poll(&f);
	assert_string_equal(row(FIXTURE_POOL)->owner, "user 8 (83 %)");

	f.ns.status = PW_POLL_COUNTED;
	fixture_add(&f, "10.0.0.1", "10.0.0.9", 443, 40000, 1, 600, PW_TIME_WAIT);
	fixture_poll(&f);
	assert_string_equal(row(FIXTURE_POOL)->owner, ""); /* TIME_WAIT has none */
}

static bool wants_owners(unsigned used)
{
	fixture_connects(&f, "10.0.0.1", "10.0.0.9", 443, used);
	own(f.ns.unowned != 0 ? 0 : used, 8);
	fixture_poll(&f);
	return pw_monitor_wants_owners(f.monitor);
}

/* A poll that does not know them keeps what is known, and is told where that will not do. */
static void owners_are_kept(void **unused)
{
	unsigned asked = 0;

	(void)unused;
	f.owner_name = name_owner;
	f.context = &asked;
	f.ns.unowned = PW_OWNER_ALL_PARTS;
	assert_true(wants_owners(100)); /* whoever has them was never said */
	assert_string_equal(row(FIXTURE_POOL)->owner, "");
	f.ns.unowned = 0;
	wants_owners(100);
	assert_string_equal(row(FIXTURE_POOL)->owner, "user 8");
	f.ns.unowned = PW_OWNER_ALL_PARTS;
	assert_false(wants_owners(100));
	assert_false(wants_owners(116));
	assert_false(wants_owners(84));
	assert_string_equal(row(FIXTURE_POOL)->owner, "user 8");
	assert_int_equal(row(FIXTURE_POOL)->states.established, 84);
	assert_true(wants_owners(117));
	assert_true(wants_owners(83));
	wants_owners(600); /* an alarm */
	f.ns.unowned = 0;
	assert_int_equal(f.n_events, 1);
	assert_true(pw_monitor_wants_owners(f.monitor));
	wants_owners(600);
	f.ns.unowned = PW_OWNER_ALL_PARTS;
	assert_false(wants_owners(600));
}

/* A poll that read the owners of a tenth of the sockets. */
static void poll_part(unsigned part, unsigned mine, unsigned others)
{
	f.ns.unowned = PW_OWNER_ALL_PARTS & ~(1u << part);
	fixture_connects(&f, "10.0.0.1", "10.0.0.9", 443, 100);
	own(mine + others, 9);
	own(mine, 8);
	fixture_poll(&f);
	assert_false(pw_monitor_wants_owners(f.monitor));
}

/* Owners that are read in parts are told when all of them are known, and parts of two rounds are not mixed up. */
static void owners_come_in_parts(void **unused)
{
	unsigned asked = 0;

	(void)unused;
	f.owner_name = name_owner;
	f.context = &asked;
	wants_owners(100);
	assert_string_equal(row(FIXTURE_POOL)->owner, "user 8");
	f.poll.owner_round = 5;
	for (unsigned part = 0; part < 7; part++)
		poll_part(part, 0, 10);
	f.poll.owner_round = 6; /* the round before came to nothing */
	for (unsigned part = 0; part < PW_OWNER_PARTS; part++) {
		assert_string_equal(row(FIXTURE_POOL)->owner, "user 8");
		poll_part(part, part % 2, 2);
	}
	assert_string_equal(row(FIXTURE_POOL)->owner, "user 9 (80 %)");
	f.poll.owner_round = 7;
	f.ns.unowned = 0;
	wants_owners(100);
	assert_string_equal(row(FIXTURE_POOL)->owner, "user 8");
}

static void namespace_row_tells_the_range(void **unused)
{
	const struct pw_ns_row *ns;

	(void)unused;
	pw_portset_add_range(&f.range.reserved, 40990, 41010);
	f.ns.tcp = 12;
	f.ns.tcp_time_wait = 3;
	f.ns.udp = 4;
	fixture_binds(&f, "10.0.0.7", 20);
	fixture_poll(&f);
	ns = &f.snapshot->namespaces[0];
	assert_int_equal(ns->low, 40000);
	assert_int_equal(ns->high, 40999);
	assert_int_equal(ns->reserved, 10);
	assert_int_equal(ns->capacity, 990);
	assert_int_equal(ns->blocked, 10);
	assert_int_equal(ns->tcp, 12);
	assert_int_equal(ns->tcp_time_wait, 3);
	assert_int_equal(ns->udp, 4);
	assert_int_equal(ns->tw_reuse, PW_TW_REUSE_LOOPBACK);
}

/* So that idle-interval does not delay the end of an alarm. */
static void alarmed_namespace_is_known(void **unused)
{
	(void)unused;
	f.policy.defaults.for_polls = 2;
	fixture_poll_connects(&f, 100);
	assert_false(pw_monitor_alarmed(f.monitor, 1));
	fixture_poll_connects(&f, 600);
	assert_true(pw_monitor_alarmed(f.monitor, 1)); /* on its way */
	fixture_poll_connects(&f, 600);
	assert_true(pw_monitor_alarmed(f.monitor, 1));
	assert_false(pw_monitor_alarmed(f.monitor, 2));
	fixture_poll_connects(&f, 100);
	assert_false(pw_monitor_alarmed(f.monitor, 1));
}

/* --- latency ---------------------------------------------------------------------------------------------------- */

static uint16_t measured[100];
static size_t n_measured;

static uint32_t measure(const struct pw_pool_key *key)
{
	measured[n_measured++] = key->port;
	return 1000 + key->port;
}

static int by_port(const void *a, const void *b)
{
	return *(const uint16_t *)a - *(const uint16_t *)b;
}

static void latency_is_measured_where_it_hurts(void **unused)
{
	(void)unused;
	n_measured = 0;
	f.alloc_latency = measure;
	for (uint16_t i = 0; i < 40; i++)
		fixture_connects(&f, "10.0.0.1", "10.0.0.9", (uint16_t)(1000 + i), 400 + 10u * i);
	fixture_connects(&f, "10.0.0.1", "10.0.0.9", 2000, 998);
	fixture_udp(&f, "10.0.0.1", 900);
	fixture_poll(&f);
	assert_int_equal(n_measured, 16);
	qsort(measured, n_measured, sizeof(measured[0]), by_port); /* asked in the order of the rows */
	for (size_t i = 0; i < n_measured; i++)
		assert_int_equal(measured[i], 1024 + i);
	assert_int_equal(row("tcp 10.0.0.1 -> 10.0.0.9:1039")->alloc_latency_us, 2039);
	assert_int_equal(row("tcp 10.0.0.1 -> 10.0.0.9:1000")->alloc_latency_us, 0);
	f.alloc_latency = NULL;
	fixture_connects(&f, "10.0.0.1", "10.0.0.9", 1039, 790);
	fixture_poll(&f);
	assert_int_equal(row("tcp 10.0.0.1 -> 10.0.0.9:1039")->alloc_latency_us, 0); /* not just now */
}

static uint32_t median_of(const struct pw_pool_key *key)
{
	return key->port == 1039 ? 0 : key->port;
}

/* What connect() itself took is known of every pool that has an alarm; where it is not, a probe is asked. */
static void latency_of_connects_comes_before_that_of_probes(void **unused)
{
	(void)unused;
	n_measured = 0;
	f.alloc_latency = measure;
	f.median = median_of;
	for (uint16_t i = 0; i < 40; i++)
		fixture_connects(&f, "10.0.0.1", "10.0.0.9", (uint16_t)(1000 + i), 400 + 10u * i);
	fixture_connects(&f, "10.0.0.1", "10.0.0.9", 2000, 1000);
	fixture_udp(&f, "10.0.0.1", 900);
	fixture_poll(&f);
	assert_int_equal(n_measured, 1);
	assert_int_equal(row("tcp 10.0.0.1 -> 10.0.0.9:1039")->alloc_latency_us, 2039);
	assert_int_equal(row("tcp 10.0.0.1 -> 10.0.0.9:1039")->alloc_latency_p99_us, 0);
	assert_int_equal(row("tcp 10.0.0.1 -> 10.0.0.9:1010")->alloc_latency_us, 1010);
	assert_int_equal(row("tcp 10.0.0.1 -> 10.0.0.9:1010")->alloc_latency_p99_us, 10100);
	assert_int_equal(row("tcp 10.0.0.1 -> 10.0.0.9:2000")->alloc_latency_us, 2000); /* also when it is full */
	assert_int_equal(row("tcp 10.0.0.1 -> 10.0.0.9:1009")->alloc_latency_us, 0);    /* no alarm */
	assert_int_equal(row("udp 10.0.0.1 bind")->alloc_latency_us, 0);
}

/* --- many ------------------------------------------------------------------------------------------------------- */

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* 100,000 destinations over one port each. */
static void add_crawler(unsigned round)
{
	char remote[32];

	for (unsigned i = 0; i < 100000; i++) {
		snprintf(remote, sizeof(remote), "%u.%u.%u.%u", 11 + round, i / 65536, i / 256 % 256, i % 256);
		fixture_add(&f, "10.0.0.1", remote, 80, (uint16_t)(f.range.low + i % 20000), 1, 1, PW_ESTABLISHED);
	}
}

static void crawler_leaves_no_trace(void **unused)
{
	size_t before, after;

	(void)unused;
	fixture_range(&f, 32768, 60999);
	add_crawler(0);
	fixture_poll(&f);
	pw_snapshot_unref(f.snapshot);
	f.snapshot = NULL;
	before = heap_used();
	for (unsigned round = 0; round < 3; round++) {
		add_crawler(round);
		fixture_poll(&f);
		assert_int_equal(f.snapshot->n_pools, 1); /* the bind pool of 10.0.0.1 */
		assert_int_equal(f.snapshot->pools_omitted, 0);
		assert_int_equal(f.snapshot->pools_seen, 100001);
		assert_int_equal(f.n_events, 0);
	}
	after = heap_used();
	assert_true(after < before + 100000);
}

/* A section that matches everything must not change that: max-rows bounds what is remembered. */
static void crawler_is_bounded_under_a_catch_all_section(void **unused)
{
	struct pw_rule rule = {.thresholds = f.policy.defaults};
	size_t before, after;

	(void)unused;
	f.policy.rules = &rule;
	f.policy.n_rules = 1;
	fixture_range(&f, 32768, 60999);
	add_crawler(0);
	fixture_poll(&f);
	before = heap_used();
	for (unsigned round = 1; round < 5; round++) {
		add_crawler(round);
		fixture_connects(&f, "10.0.0.1", "10.0.0.9", 443, 2); /* holds more than the others, so it has a row */
		fixture_poll(&f);
		assert_int_equal(f.snapshot->n_pools, 500);
		assert_in_range(f.snapshot->pools_omitted, 99500, 100500);
		assert_non_null(fixture_row(&f, FIXTURE_POOL));
	}
	after = heap_used();
	assert_true(after < before + 1000000);
}

static void five_thousand_at_once(void **unused)
{
	double began, took;
	size_t rising = 0;
	char remote[32];

	(void)unused;
	fixture_range(&f, 40000, 40029); /* small, so that the test need not be large */
	for (unsigned i = 0; i < 5000; i++) {
		snprintf(remote, sizeof(remote), "11.0.%u.%u", i / 256, i % 256);
		fixture_connects(&f, "10.0.0.1", remote, 443, 15 + i % 16);
	}
	began = seconds();
	fixture_poll(&f);
	took = seconds() - began;
	for (size_t i = 0; i < f.n_events; i++) {
		rising += f.events[i].type == PW_EVENT_RISING;
		assert_true(i == 0 || f.events[i - 1].state > f.events[i].state ||
			(f.events[i - 1].state == f.events[i].state &&
				f.events[i - 1].counts.utilization >= f.events[i].counts.utilization));
	}
	assert_int_equal(rising, 5000);
	assert_int_equal(f.snapshot->active_alarms, 5000);
	assert_int_equal(f.snapshot->n_alarms, 5000);
	assert_true(f.snapshot->n_pools >= 5000);
	print_message("5,000 pools crossing at once: %.0f ms with the census\n", took * 1000);
	fixture_poll(&f);
	assert_int_equal(f.n_events, 5000);
	assert_int_equal(f.snapshot->active_alarms, 0);
}

/* --- random lives ----------------------------------------------------------------------------------------------- */

#define POOLS 20

struct belief {
	enum pw_state state[POOLS]; /* what a receiver of every event believes */
	uint32_t last_alarm;
};

static void check_events(struct belief *b)
{
	for (size_t i = 0; i < f.n_events; i++) {
		const struct pw_event *e = &f.events[i];
		enum pw_state *believed = &b->state[e->key.port - 1000];

		assert_int_equal(e->previous, *believed);
		assert_int_equal(e->type, e->state > e->previous ? PW_EVENT_RISING : PW_EVENT_FALLING);
		assert_int_not_equal(e->state, e->previous);
		*believed = e->state;
	}
}

static void check_tables(struct belief *b)
{
	const struct pw_snapshot *s = f.snapshot;
	size_t calm = 0, active = 0;

	for (size_t i = 0; i < POOLS; i++)
		active += b->state[i] != PW_STATE_NORMAL;
	assert_int_equal(s->active_alarms, active);
	assert_int_equal(s->n_alarms, active < f.policy.max_alarms ? active : f.policy.max_alarms);
	assert_int_equal(s->alarms_omitted, active - s->n_alarms);
	for (size_t i = 0; i < s->n_pools; i++) {
		if (s->pools[i].key.kind == PW_KIND_CONNECT)
			assert_int_equal(s->pools[i].state, b->state[s->pools[i].key.port - 1000]);
		calm += s->pools[i].state == PW_STATE_NORMAL;
	}
	assert_true(calm <= f.policy.max_rows);
	for (size_t i = 0; i < s->n_alarms; i++) {
		assert_true(i == 0 || s->alarms[i].index > s->alarms[i - 1].index);
		assert_int_equal(s->alarms[i].severity, s->pools[s->alarms[i].pool].state);
		if (s->alarms[i].index > b->last_alarm)
			b->last_alarm = s->alarms[i].index;
	}
}

static void random_policy(void)
{
	f.policy.max_rows = pick(10);
	f.policy.max_alarms = 1 + pick(POOLS);
	f.policy.linger_s = pick(60);
	f.policy.min_used = 1 + pick(100);
	f.policy.defaults.for_polls = 1 + pick(2);
	f.policy.defaults.free_below = pick(300);
	f.policy.defaults.critical.rise = (uint8_t)(60 + pick(40));
	f.policy.defaults.critical.fall = (uint8_t)pick(60);
}

static void random_life(void)
{
	static const enum pw_poll_status statuses[] = {PW_POLL_FAILED, PW_POLL_QUIET, PW_POLL_GONE};
	struct belief b = {.last_alarm = 0};
	unsigned used[POOLS] = {0};

	for (size_t i = 0; i < POOLS; i++)
		b.state[i] = PW_STATE_NORMAL;
	for (int poll = 0; poll < 120; poll++) {
		f.ns.status = chance(10) ? statuses[pick(3)] : PW_POLL_COUNTED;
		if (chance(30)) {
			random_policy();
			if (f.monitor != NULL)
				pw_monitor_set_policy(f.monitor, &f.policy);
		}
		for (uint16_t i = 0; i < POOLS; i++) {
			used[i] = chance(3) ? pick(201) : chance(10) ? 0 : used[i];
			fixture_connects(&f, "10.0.0.1", "10.0.0.9", (uint16_t)(1000 + i), used[i]);
		}
		fixture_poll(&f);
		check_events(&b);
		check_tables(&b);
	}
}

static void tables_and_events_agree(void **unused)
{
	(void)unused;
	random_start();
	for (int i = 0; i < 60; i++) {
		fixture_stop(&f);
		fixture_start(&f);
		fixture_range(&f, 40000, 40199);
		random_policy();
		random_life();
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

/* A pool that refused has a row at once, however small, and keeps its count. */
static void pools_that_refuse_are_shown(void **state)
{
	struct pw_pool_key key = {.kind = PW_KIND_CONNECT, .protocol = IPPROTO_TCP, .ns = 1, .port = 443};
	const struct pw_pool_row *row;

	(void)state;
	pw_address_parse(&key.local, "10.0.0.1");
	pw_address_parse(&key.remote, "10.0.0.9");
	fixture_poll_connects(&f, 3);
	assert_null(fixture_row(&f, FIXTURE_POOL));
	pw_monitor_failed(f.monitor, &key, 5, f.poll.now_ms + 500);
	assert_true(pw_monitor_needs(f.monitor, 1, PW_SOURCE_SOCKETS));
	fixture_poll_connects(&f, 3);
	row = fixture_row(&f, FIXTURE_POOL);
	assert_non_null(row);
	assert_int_equal(row->failures, 5);
	assert_int_equal(row->failed_ms + 9500, f.poll.now_ms);
	assert_int_equal(row->counts.used, 3);
	assert_int_equal(f.snapshot->namespaces[0].failures, 5);
	pw_monitor_failed(f.monitor, &key, 2, f.poll.now_ms);
	fixture_poll_connects(&f, 0);
	assert_int_equal(fixture_row(&f, FIXTURE_POOL)->failures, 7);
	key.ns = 7; /* one that is not watched */
	pw_monitor_failed(f.monitor, &key, 1, f.poll.now_ms);
	fixture_poll_connects(&f, 0);
	assert_int_equal(f.snapshot->namespaces[0].failures, 7);
	for (unsigned i = 0; i < 70; i++) /* linger is over */
		fixture_poll_connects(&f, 0);
	assert_null(fixture_row(&f, FIXTURE_POOL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(crossing_is_one_event_with_the_values_of_its_poll),
		TEST(jump_over_all_levels_is_one_event),
		TEST(exhausted_stays_under_churn),
		TEST(alarm_table_follows),
		TEST(alarm_table_names_the_last_notification),
		TEST(peak_is_kept),
		TEST(what_the_kernel_told_counts),
		TEST(what_is_not_sure_raises_nothing),
		TEST(a_threshold_that_nothing_told_of_is_counted),
		TEST(reach_of_pools),
		TEST(for_polls_in_a_row),
		TEST(active_alarms_are_repeated),
		TEST(refused_event_comes_again),
		TEST(worst_events_come_first),
		TEST(flapping_is_said_once_then_counted),
		TEST(one_cause_makes_one_alarm),
		TEST(any_new_destination),
		TEST(the_last_ports_of_a_shortage_make_no_alarm_of_their_own),
		TEST(own_doing_is_an_alarm_of_its_own),
		TEST(another_namespace_of_the_same_name_is_another),
		TEST(log_has_a_limit),
		TEST(small_range_alarms),
		TEST(small_odd_range_alarms_at_its_threshold),
		TEST(blocked_ports_of_a_small_range_count),
		TEST(proxy_with_every_port_in_use_raises_nothing),
		TEST(full_bind_pool_that_harms_nobody_is_not_the_worst),
		TEST(bind_clients_near_the_end_alarm),
		TEST(bound_ports_have_a_band),
		TEST(section_of_kind_bind_puts_thresholds_in_force),
		TEST(bind_pool_without_percents_can_be_the_worst),
		TEST(udp_bind_pools_alarm),
		TEST(free_ports_alarm),
		TEST(capacity_of_a_section_is_what_counts),
		TEST(labels_add_their_pools_up),
		TEST(growth_outlives_a_change_of_the_range),
		TEST(forecast_alarms),
		TEST(rows_begin_at_min_used),
		TEST(rows_linger),
		TEST(most_utilized_get_the_rows),
		TEST(omitted_pools_get_rows_on_request),
		TEST(small_pools_get_rows_on_request),
		TEST(alarms_never_leave),
		TEST(order_is_that_of_the_index),
		TEST(top_is_ranked),
		TEST(exactly_named_pool_always_has_a_row),
		TEST(matched_pool_has_a_row_while_it_has_a_port),
		TEST(matched_pool_alarms_without_a_place_in_the_table),
		TEST(ignored_pool_is_hidden_but_blocks),
		TEST(ignoring_an_alarm_ends_it),
		TEST(reload_keeps_states_and_applies_thresholds),
		TEST(failed_reload_shows),
		TEST(failed_poll_keeps_everything),
		TEST(first_poll_may_fail),
		TEST(failing_udp_keeps_its_pools),
		TEST(quiet_poll_keeps_rows),
		TEST(vanished_namespace_ends_its_alarms),
		TEST(namespaces_are_apart),
		TEST(zones_have_names),
		TEST(owners_are_named),
		TEST(owners_are_kept),
		TEST(owners_come_in_parts),
		TEST(namespace_row_tells_the_range),
		TEST(alarmed_namespace_is_known),
		TEST(latency_is_measured_where_it_hurts),
		TEST(latency_of_connects_comes_before_that_of_probes),
		TEST(crawler_leaves_no_trace),
		TEST(crawler_is_bounded_under_a_catch_all_section),
		TEST(five_thousand_at_once),
		TEST(tables_and_events_agree),
		TEST(pools_that_refuse_are_shown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* The exchange, seen by a manager: one that believes what was acknowledged, over random histories of states and
 * connections. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <netinet/in.h>
#include <string.h>
#include <time.h>

#include "watch/exchange.h"
#include "random.h"

static struct pw_pool_key pool_key(uint32_t number)
{
	return (struct pw_pool_key){.ns = 1,
		.kind = PW_KIND_CONNECT,
		.protocol = IPPROTO_TCP,
		.port = (uint16_t)number,
		.local.zone = number >> 16};
}

static struct pw_event pool_event(
	uint32_t id, uint32_t pool, enum pw_state previous, enum pw_state state, uint32_t utilization)
{
	struct pw_event event = {.id = id,
		.time.tv_sec = id,
		.key = pool_key(pool),
		.state = state,
		.counts.utilization = utilization,
		.rise = {PW_REASON_UTILIZATION, 10 * state},
		.fall = {PW_REASON_UTILIZATION, 10 * state + 5}};

	pw_event_set_previous(&event, previous);
	return event;
}

static struct pw_pool_key given_up;

static int post(struct pw_exchange *box, uint32_t id, uint32_t pool, enum pw_state previous, enum pw_state state,
	uint32_t utilization)
{
	struct pw_event event = pool_event(id, pool, previous, state, utilization);

	return pw_exchange_post(box, &event, &given_up);
}

/* Takes one and tells its id, 0 when there is none. */
static uint32_t take(struct pw_exchange *box, struct pw_event *out)
{
	return pw_exchange_take(box, 0, out, NULL) ? out->id : 0;
}

static void assert_owed(struct pw_exchange *box, size_t owed, size_t in_flight)
{
	struct pw_exchange_stats stats;

	pw_exchange_stats(box, &stats);
	assert_int_equal(stats.owed, owed);
	assert_int_equal(stats.in_flight, in_flight);
}

/* Newer states of a pool wait behind the one under way, and of these the newest is kept. Other pools don't wait. */
static void one_under_way(void **unused)
{
	struct pw_exchange *box = pw_exchange_new(10);
	struct pw_event event;

	(void)unused;
	post(box, 1, 7, PW_STATE_NORMAL, PW_STATE_WARNING, 60);
	assert_int_equal(take(box, &event), 1);
	post(box, 2, 7, PW_STATE_WARNING, PW_STATE_CRITICAL, 85);
	post(box, 3, 7, PW_STATE_CRITICAL, PW_STATE_EXHAUSTED, 100);
	assert_int_equal(take(box, &event), 0);
	assert_owed(box, 1, 1);
	post(box, 4, 8, PW_STATE_NORMAL, PW_STATE_WARNING, 60);
	assert_int_equal(take(box, &event), 4);
	pw_exchange_acknowledge(box, 1);
	assert_int_equal(take(box, &event), 3);
	assert_int_equal(take(box, &event), 0);
	pw_exchange_free(box);
}

/* However often the connection breaks, before or after the receiver saw it: owed until it is acknowledged, then no more. */
static void at_least_once(void **unused)
{
	struct pw_exchange *box = pw_exchange_new(10);
	struct pw_event event;

	(void)unused;
	post(box, 1, 7, PW_STATE_NORMAL, PW_STATE_WARNING, 60);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(take(box, &event), 1);
		assert_owed(box, 1, 1);
		if (i % 2 == 0)
			pw_exchange_return_all(box);
		else
			pw_exchange_return(box, 1);
		assert_owed(box, 1, 0);
	}
	assert_int_equal(take(box, &event), 1);
	pw_exchange_acknowledge(box, 1);
	assert_owed(box, 0, 0);
	pw_exchange_return_all(box);
	assert_int_equal(take(box, &event), 0);
	pw_exchange_free(box);
}

static void fall_after_rise(void **unused)
{
	struct pw_exchange *box = pw_exchange_new(10);
	struct pw_event event;

	(void)unused;
	post(box, 1, 7, PW_STATE_NORMAL, PW_STATE_WARNING, 60);
	assert_int_equal(take(box, &event), 1);
	post(box, 2, 7, PW_STATE_WARNING, PW_STATE_NORMAL, 10);
	assert_int_equal(take(box, &event), 0);
	assert_owed(box, 1, 1);
	pw_exchange_acknowledge(box, 1);
	assert_int_equal(take(box, &event), 2);
	assert_int_equal(event.type, PW_EVENT_FALLING);
	assert_int_equal(event.threshold, 10 * PW_STATE_NORMAL + 5);
	pw_exchange_acknowledge(box, 2);
	assert_owed(box, 0, 0);
	assert_int_equal(pw_exchange_last_id(box, &event.key), 0); /* nothing is kept of it */
	pw_exchange_free(box);
}

static void nothing_of_nothing(void **unused)
{
	struct pw_exchange *box = pw_exchange_new(10);
	struct pw_event event;

	(void)unused;
	post(box, 1, 7, PW_STATE_NORMAL, PW_STATE_EXHAUSTED, 100);
	post(box, 2, 7, PW_STATE_EXHAUSTED, PW_STATE_NORMAL, 10);
	assert_int_equal(take(box, &event), 0);
	assert_owed(box, 0, 0);
	pw_exchange_free(box);
}

static void again_unchanged(void **unused)
{
	struct pw_exchange *box = pw_exchange_new(10);
	struct pw_event first, again, event;

	(void)unused;
	post(box, 1, 7, PW_STATE_NORMAL, PW_STATE_WARNING, 60);
	assert_int_equal(take(box, &first), 1);
	post(box, 2, 7, PW_STATE_WARNING, PW_STATE_CRITICAL, 85);
	post(box, 3, 8, PW_STATE_NORMAL, PW_STATE_EXHAUSTED, 100);
	pw_exchange_return_all(box);
	assert_int_equal(take(box, &again), 1);
	assert_memory_equal(&again, &first, sizeof(first));
	assert_int_equal(take(box, &event), 3);
	assert_int_equal(take(box, &event), 0);
	pw_exchange_acknowledge(box, 1);
	assert_int_equal(take(box, &event), 2);
	assert_int_equal(event.previous, PW_STATE_WARNING);
	pw_exchange_free(box);
}

/* What the receiver has not heard of is no part of the chain: type and threshold follow from what it knows. */
static void chained(void **unused)
{
	struct pw_exchange *box = pw_exchange_new(10);
	struct pw_event event;

	(void)unused;
	post(box, 1, 7, PW_STATE_NORMAL, PW_STATE_WARNING, 60);
	take(box, &event);
	post(box, 2, 7, PW_STATE_WARNING, PW_STATE_EXHAUSTED, 100);
	post(box, 3, 7, PW_STATE_EXHAUSTED, PW_STATE_CRITICAL, 97);
	pw_exchange_acknowledge(box, 1);
	assert_int_equal(take(box, &event), 3);
	assert_int_equal(event.type, PW_EVENT_RISING);
	assert_int_equal(event.previous, PW_STATE_WARNING);
	assert_int_equal(event.threshold, 10 * PW_STATE_CRITICAL);
	pw_exchange_free(box);
}

static void most_urgent_first(void **unused)
{
	static const struct {
		enum pw_state state;
		uint32_t utilization;
	} posts[] = {{PW_STATE_WARNING, 60}, {PW_STATE_CRITICAL, 85}, {PW_STATE_EXHAUSTED, 100}, {PW_STATE_WARNING, 70},
		{PW_STATE_CRITICAL, 90}, {PW_STATE_WARNING, 70}};
	static const uint32_t order[] = {3, 5, 2, 4, 6, 1, 102};
	struct pw_exchange *box = pw_exchange_new(100);
	struct pw_event event;

	(void)unused;
	post(box, 101, 99, PW_STATE_NORMAL, PW_STATE_EXHAUSTED, 100);
	take(box, &event);
	pw_exchange_acknowledge(box, 101);
	post(box, 102, 99, PW_STATE_EXHAUSTED, PW_STATE_CRITICAL, 97); /* better than before: last */
	for (uint32_t i = 0; i < sizeof(posts) / sizeof(posts[0]); i++)
		post(box, i + 1, i, PW_STATE_NORMAL, posts[i].state, posts[i].utilization);
	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++)
		assert_int_equal(take(box, &event), order[i]);
	pw_exchange_free(box);
}

static void collector_failure_goes_before_all(void **unused)
{
	struct pw_exchange *box = pw_exchange_new(1);
	struct pw_event event, failed = {.id = 10, .type = PW_EVENT_COLLECTOR_FAILED, .key.ns = 1, .text = "EPERM"},
			       recovered = {.id = 11, .type = PW_EVENT_COLLECTOR_RECOVERED, .key.ns = 1};

	(void)unused;
	post(box, 1, 7, PW_STATE_NORMAL, PW_STATE_EXHAUSTED, 100);
	assert_int_equal(pw_exchange_post(box, &failed, NULL), 0); /* the exchange is full of pools */
	assert_int_equal(take(box, &event), 10);
	assert_int_equal(event.type, PW_EVENT_COLLECTOR_FAILED);
	assert_string_equal(event.text, "EPERM");
	assert_int_equal(pw_exchange_post(box, &recovered, NULL), 0);
	assert_int_equal(take(box, &event), 1);
	pw_exchange_acknowledge(box, 10);
	assert_int_equal(take(box, &event), 11);
	assert_int_equal(event.type, PW_EVENT_COLLECTOR_RECOVERED);
	pw_exchange_acknowledge(box, 11);
	assert_int_equal(pw_exchange_post(box, &recovered, NULL), 0); /* nobody has heard of a failure */
	assert_int_equal(take(box, &event), 0);
	pw_exchange_free(box);
}

static void failed_and_recovered_unsent_is_nothing(void **unused)
{
	struct pw_exchange *box = pw_exchange_new(1);
	struct pw_event event, failed = {.id = 10, .type = PW_EVENT_COLLECTOR_FAILED},
			       recovered = {.id = 11, .type = PW_EVENT_COLLECTOR_RECOVERED};

	(void)unused;
	pw_exchange_post(box, &failed, NULL);
	pw_exchange_post(box, &recovered, NULL);
	assert_int_equal(take(box, &event), 0);
	pw_exchange_free(box);
}

static void connect_failures_add_up_while_they_wait(void **unused)
{
	struct pw_exchange *box = pw_exchange_new(1);
	struct pw_event event, failing = {.id = 1, .type = PW_EVENT_CONNECT_FAILING, .failures = 5};

	(void)unused;
	pw_exchange_post(box, &failing, NULL);
	failing.id = 2;
	pw_exchange_post(box, &failing, NULL);
	assert_int_equal(take(box, &event), 2);
	assert_int_equal(event.failures, 10);
	failing.id = 3;
	pw_exchange_post(box, &failing, NULL);
	assert_int_equal(take(box, &event), 0); /* one is under way */
	pw_exchange_acknowledge(box, 2);
	assert_int_equal(take(box, &event), 3);
	assert_int_equal(event.failures, 5);
	pw_exchange_acknowledge(box, 3);
	assert_owed(box, 0, 0);
	pw_exchange_free(box);
}

static void repetition_tells_the_same_state_again(void **unused)
{
	struct pw_exchange *box = pw_exchange_new(10);
	struct pw_event event;

	(void)unused;
	post(box, 1, 7, PW_STATE_NORMAL, PW_STATE_WARNING, 60);
	post(box, 2, 7, PW_STATE_WARNING, PW_STATE_WARNING, 61); /* not even told once */
	assert_int_equal(take(box, &event), 1);
	post(box, 3, 7, PW_STATE_WARNING, PW_STATE_WARNING, 62); /* under way */
	pw_exchange_acknowledge(box, 1);
	assert_int_equal(take(box, &event), 0);
	post(box, 4, 7, PW_STATE_WARNING, PW_STATE_WARNING, 63);
	assert_int_equal(take(box, &event), 4);
	assert_int_equal(event.type, PW_EVENT_RISING);
	assert_int_equal(event.previous, PW_STATE_WARNING);
	pw_exchange_acknowledge(box, 4);
	post(box, 5, 7, PW_STATE_WARNING, PW_STATE_WARNING, 63);
	post(box, 6, 7, PW_STATE_WARNING, PW_STATE_NORMAL, 10); /* replaces the repetition */
	assert_int_equal(take(box, &event), 6);
	pw_exchange_free(box);
}

/* An alarm that was refused for want of room is told when it is repeated or gets worse. */
static void bounded(void **unused)
{
	struct pw_exchange *box = pw_exchange_new(2);
	struct pw_event event;

	(void)unused;
	assert_int_equal(post(box, 1, 1, PW_STATE_NORMAL, PW_STATE_WARNING, 60), 0);
	assert_int_equal(post(box, 2, 2, PW_STATE_NORMAL, PW_STATE_WARNING, 60), 0);
	assert_int_equal(post(box, 3, 3, PW_STATE_NORMAL, PW_STATE_WARNING, 60), PW_NOT_POSTED);
	assert_int_equal(post(box, 4, 3, PW_STATE_WARNING, PW_STATE_NORMAL, 10), 0);
	assert_int_equal(post(box, 5, 3, PW_STATE_NORMAL, PW_STATE_WARNING, 60), PW_NOT_POSTED);
	assert_int_equal(post(box, 6, 1, PW_STATE_WARNING, PW_STATE_NORMAL, 10), 0);
	assert_int_equal(post(box, 7, 3, PW_STATE_WARNING, PW_STATE_CRITICAL, 80), 0);
	assert_int_equal(take(box, &event), 7);
	assert_int_equal(event.previous, PW_STATE_NORMAL);
	pw_exchange_free(box);
}

/* What is worse takes the place of what nobody has heard of; what the receiver knows keeps its own. */
static void bounded_in_favour_of_the_worse(void **unused)
{
	struct pw_exchange *box = pw_exchange_new(2);
	struct pw_event event;

	(void)unused;
	post(box, 1, 1, PW_STATE_NORMAL, PW_STATE_WARNING, 60);
	take(box, &event);
	pw_exchange_acknowledge(box, 1);
	post(box, 2, 2, PW_STATE_NORMAL, PW_STATE_WARNING, 61);
	assert_int_equal(post(box, 3, 3, PW_STATE_NORMAL, PW_STATE_CRITICAL, 90), PW_POSTED_INSTEAD);
	assert_int_equal(given_up.port, 2);
	assert_int_equal(post(box, 4, 2, PW_STATE_NORMAL, PW_STATE_WARNING, 99), PW_NOT_POSTED);
	assert_int_equal(take(box, &event), 3);
	assert_int_equal(post(box, 5, 4, PW_STATE_NORMAL, PW_STATE_EXHAUSTED, 100), PW_NOT_POSTED);
	assert_owed(box, 1, 1);
	pw_exchange_free(box);
}

/* --- between namespaces ----------------------------------------------------------------------------------------- */

static enum pw_posted post_in(struct pw_exchange *box, uint32_t id, uint32_t ns, uint32_t pool, enum pw_state state,
	uint32_t used, uint32_t capacity)
{
	struct pw_event event = pool_event(id, pool, PW_STATE_NORMAL, state, used * 100 / capacity);

	event.key.ns = ns;
	event.counts.capacity = capacity;
	event.counts.used = used;
	event.counts.free = capacity - used;
	pw_pool_name(&event.key, NULL, ns == 1 ? "" : ns == 7 ? "blue" : "red", event.name);
	return pw_exchange_post(box, &event, &given_up);
}

/* A full pool of two ports is less than one of thousands that is nearly full. */
static void most_ports_at_stake_first(void **unused)
{
	struct pw_exchange *box = pw_exchange_new(100);
	struct pw_event event;

	(void)unused;
	post_in(box, 1, 1, 1, PW_STATE_EXHAUSTED, 2, 2);
	post_in(box, 2, 1, 2, PW_STATE_WARNING, 15000, 28000);
	post_in(box, 3, 1, 3, PW_STATE_CRITICAL, 24000, 28000);
	assert_int_equal(take(box, &event), 3);
	assert_int_equal(take(box, &event), 2);
	assert_int_equal(take(box, &event), 1);
	pw_exchange_free(box);
}

static void room_is_left_for_everybody(void **unused)
{
	struct pw_exchange *box = pw_exchange_new(1000);
	uint32_t id = 1, n[3] = {0};

	(void)unused;
	for (uint32_t ns = 7; ns <= 9; ns++)
		for (uint32_t pool = 0; pool < 1000; pool++)
			n[ns - 7] += post_in(box, id++, ns, pool, PW_STATE_EXHAUSTED, 2, 2) == PW_POSTED;
	assert_int_equal(n[0], 500);
	assert_int_equal(n[1], 250);
	assert_int_equal(n[2], 125);
	for (uint32_t pool = 0; pool < 1000; pool++)
		assert_int_equal(post_in(box, id++, 1, pool, PW_STATE_WARNING, 1, 2), PW_POSTED);
	pw_exchange_free(box);
}

/* However much crosses thresholds elsewhere: the host's own goes at once, and the others have their share. */
static void fair(void **unused)
{
	struct pw_exchange *box = pw_exchange_new(1000);
	uint32_t id = 1, n[3] = {0}, wait;
	struct pw_exchange_stats stats;
	struct pw_event event;

	(void)unused;
	pw_exchange_set_rate(box, 60);
	for (uint32_t pool = 0; pool < 300; pool++)
		post_in(box, id++, 7, pool, PW_STATE_EXHAUSTED, 2, 2);
	while (pw_exchange_take(box, 1000, &event, &wait))
		n[0]++;
	assert_int_equal(n[0], 15); /* half of the half that is not the host's */
	assert_int_equal(wait, 60000);
	pw_exchange_stats(box, &stats);
	assert_int_equal(stats.suppressed, 285);
	post_in(box, 1000, 8, 1, PW_STATE_WARNING, 1, 2);
	post_in(box, 1001, 1, 1, PW_STATE_CRITICAL, 24000, 28000);
	assert_true(pw_exchange_take(box, 2000, &event, &wait));
	assert_int_equal(event.id, 1001);
	assert_string_equal(event.text,
		"285 more notifications wait for max-per-minute, 285 of them of the network namespace blue");
	assert_true(pw_exchange_take(box, 2000, &event, &wait));
	assert_int_equal(event.id, 1000);
	for (uint32_t pool = 2; pool < 100; pool++)
		post_in(box, 1000 + pool, 1, pool, PW_STATE_CRITICAL, 24000, 28000);
	while (pw_exchange_take(box, 3000, &event, &wait))
		n[1]++;
	assert_int_equal(n[1], 60 - 17);
	while (pw_exchange_take(box, 61000, &event, &wait)) /* 15 have left the minute */
		n[event.key.ns == 1 ? 2 : 0]++;
	assert_int_equal(n[2], 15); /* the host's own first, all of it */
	assert_int_equal(n[0], 15);
	pw_exchange_free(box);
}

static void held_until_the_state_is_saved(void **unused)
{
	struct pw_event event = {
		.id = 1, .type = PW_EVENT_RISING, .key = {.kind = 1, .ns = 1, .port = 1}, .state = PW_STATE_WARNING};
	struct pw_exchange *x = pw_exchange_new(10);
	uint32_t wait;

	(void)unused;
	assert_int_equal(pw_exchange_post(x, &event, &given_up), PW_POSTED);
	pw_exchange_hold(x, 5, 2000);
	assert_false(pw_exchange_take(x, 1500, &event, &wait));
	assert_int_equal(wait, 500);
	pw_exchange_release(x, 4); /* of an earlier one */
	assert_false(pw_exchange_take(x, 1500, &event, &wait));
	pw_exchange_release(x, 5);
	assert_true(pw_exchange_take(x, 1500, &event, &wait));
	/* a disk that hangs holds once */
	event.id = 2;
	event.key.port = 2;
	assert_int_equal(pw_exchange_post(x, &event, &given_up), PW_POSTED);
	pw_exchange_hold(x, 6, 3000);
	pw_exchange_hold(x, 7, 4000);
	assert_false(pw_exchange_take(x, 2999, &event, &wait));
	assert_true(pw_exchange_take(x, 3000, &event, &wait));
	pw_exchange_free(x);
}

static void last_id_is_that_of_the_newest_sent(void **unused)
{
	struct pw_exchange *box = pw_exchange_new(2);
	struct pw_pool_key key = pool_key(7);
	struct pw_event event;

	(void)unused;
	post(box, 1, 7, PW_STATE_NORMAL, PW_STATE_WARNING, 60);
	assert_int_equal(pw_exchange_last_id(box, &key), 0);
	take(box, &event);
	assert_int_equal(pw_exchange_last_id(box, &key), 1);
	pw_exchange_acknowledge(box, 1);
	post(box, 2, 7, PW_STATE_WARNING, PW_STATE_CRITICAL, 80);
	assert_int_equal(pw_exchange_last_id(box, &key), 1);
	take(box, &event);
	assert_int_equal(pw_exchange_last_id(box, &key), 2);
	pw_exchange_free(box);
}

/* --- the rate limit --------------------------------------------------------------------------------------------- */

static void rate_limit_holds_in_any_minute(void **unused)
{
	struct pw_exchange *box = pw_exchange_new(100000);
	uint64_t times[4000], now = 1000;
	uint32_t n = 0, id = 0, wait, rate = 7;
	struct pw_event event;

	(void)unused;
	random_start();
	pw_exchange_set_rate(box, rate);
	while (n < 4000) {
		now += pick(5000);
		for (uint32_t i = pick(4); i > 0; i--, id++)
			post(box, id + 1, id, PW_STATE_NORMAL, PW_STATE_WARNING, 60);
		while (n < 4000 && pw_exchange_take(box, now, &event, &wait)) {
			pw_exchange_acknowledge(box, event.id);
			if (n >= rate)
				assert_true(now - times[n - rate] >= 60000);
			times[n++] = now;
		}
	}
	pw_exchange_free(box);
}

static void rate_limit_says_how_long_to_wait(void **unused)
{
	struct pw_exchange *box = pw_exchange_new(10);
	struct pw_exchange_stats stats;
	struct pw_event event;
	uint32_t wait;

	(void)unused;
	pw_exchange_set_rate(box, 1);
	assert_false(pw_exchange_take(box, 1000, &event, &wait));
	assert_int_equal(wait, UINT32_MAX);
	for (uint32_t i = 1; i <= 3; i++)
		post(box, i, i, PW_STATE_NORMAL, PW_STATE_WARNING, 60);
	assert_true(pw_exchange_take(box, 1000, &event, &wait));
	for (int i = 0; i < 5; i++) {
		assert_false(pw_exchange_take(box, 11000, &event, &wait));
		assert_int_equal(wait, 50000);
	}
	pw_exchange_stats(box, &stats);
	assert_int_equal(stats.suppressed, 2); /* however often somebody asks */
	assert_true(pw_exchange_take(box, 61000, &event, &wait));
	assert_false(pw_exchange_take(box, 61000, &event, &wait));
	post(box, 4, 4, PW_STATE_NORMAL, PW_STATE_WARNING, 60);
	assert_false(pw_exchange_take(box, 61000, &event, &wait));
	pw_exchange_stats(box, &stats);
	assert_int_equal(stats.suppressed, 3);
	pw_exchange_free(box);
}

static unsigned take_all(struct pw_exchange *box, uint64_t now)
{
	struct pw_event event;
	unsigned n = 0;

	while (pw_exchange_take(box, now, &event, NULL))
		n++;
	return n;
}

static void changed_rate_remembers_what_was_sent(void **unused)
{
	struct pw_exchange *box = pw_exchange_new(1000);

	(void)unused;
	for (uint32_t i = 1; i <= 500; i++)
		post(box, i, i, PW_STATE_NORMAL, PW_STATE_WARNING, 60);
	pw_exchange_set_rate(box, 10);
	assert_int_equal(take_all(box, 1000), 10);
	pw_exchange_set_rate(box, 15);
	assert_int_equal(take_all(box, 2000), 5);
	pw_exchange_set_rate(box, 5);
	assert_int_equal(take_all(box, 60999), 0);
	assert_int_equal(take_all(box, 61999), 0);
	assert_int_equal(take_all(box, 62000), 5);
	pw_exchange_set_rate(box, 0);
	assert_int_equal(take_all(box, 62000), 480);
	pw_exchange_free(box);
}

/* --- random histories ------------------------------------------------------------------------------------------- */

#define POOLS 12
#define FLIGHT 64

struct world {
	struct pw_exchange *box;
	enum pw_state now[POOLS];      /* what the collector knows */
	enum pw_state believed[POOLS]; /* what a manager derives from the acknowledged notifications */
	struct pw_event flying[FLIGHT];
	size_t n_flying;
	bool sent_before[20000]; /* by id */
	bool was_lost[20000];    /* was under way when a connection broke */
	uint32_t next_id;
};

static void change_some_pool(struct world *w)
{
	uint32_t pool = pick(POOLS);
	enum pw_state state = (enum pw_state)(PW_STATE_NORMAL + pick(4));

	if (state == w->now[pool] && state == PW_STATE_NORMAL)
		return;
	assert_int_equal(post(w->box, w->next_id++, pool, w->now[pool], state, pick(101)), 0);
	w->now[pool] = state;
}

static uint32_t pool_of(const struct pw_event *event)
{
	return event->key.port;
}

static int urgency(const struct pw_event *event)
{
	if (event->state == event->previous)
		return -1;
	return event->type == PW_EVENT_FALLING ? 0 : (int)event->state;
}

/* Each notification goes out while no other of its pool is under way, continues what the manager believes, and
 * comes twice only after a broken connection. */
static void check_taken(struct world *w, const struct pw_event *event)
{
	uint32_t pool = pool_of(event);

	for (size_t i = 0; i < w->n_flying; i++)
		assert_int_not_equal(pool_of(&w->flying[i]), pool);
	assert_int_equal(event->previous, w->believed[pool]);
	if (event->type == PW_EVENT_FALLING)
		assert_true(event->state < w->believed[pool]);
	else
		assert_true(event->state >= w->believed[pool] && event->state > PW_STATE_NORMAL);
	assert_true(!w->sent_before[event->id] || w->was_lost[event->id]);
	w->sent_before[event->id] = true;
}

/* Takes as many as there are; among those that were never lost, each is at least as urgent as the next. */
static void take_some(struct world *w)
{
	struct pw_event event;
	int last = INT32_MAX;

	while (w->n_flying < FLIGHT && !chance(6) && pw_exchange_take(w->box, 0, &event, NULL)) {
		if (!w->was_lost[event.id]) {
			assert_true(urgency(&event) <= last);
			last = urgency(&event);
		} else {
			assert_int_equal(last, INT32_MAX);
		}
		check_taken(w, &event);
		w->flying[w->n_flying++] = event;
	}
}

static void acknowledge_some(struct world *w)
{
	size_t i;

	if (w->n_flying == 0)
		return;
	i = pick((uint32_t)w->n_flying);
	w->believed[pool_of(&w->flying[i])] = w->flying[i].state;
	pw_exchange_acknowledge(w->box, w->flying[i].id);
	w->flying[i] = w->flying[--w->n_flying];
}

static void give_one_back(struct world *w)
{
	size_t i;

	if (w->n_flying == 0)
		return;
	i = pick((uint32_t)w->n_flying);
	w->was_lost[w->flying[i].id] = true;
	pw_exchange_return(w->box, w->flying[i].id);
	w->flying[i] = w->flying[--w->n_flying];
}

static void break_connection(struct world *w)
{
	for (size_t i = 0; i < w->n_flying; i++)
		w->was_lost[w->flying[i].id] = true;
	w->n_flying = 0;
	pw_exchange_return_all(w->box);
}

/* An answer to something that is not under way, from a connection that is gone. */
static void answer_nonsense(struct world *w)
{
	pw_exchange_acknowledge(w->box, w->next_id + 1000);
	pw_exchange_return(w->box, w->next_id + 1000);
}

static void settle(struct world *w)
{
	struct pw_event event;

	while (w->n_flying > 0)
		acknowledge_some(w);
	while (pw_exchange_take(w->box, 0, &event, NULL)) {
		check_taken(w, &event);
		w->believed[pool_of(&event)] = event.state;
		pw_exchange_acknowledge(w->box, event.id);
	}
	assert_owed(w->box, 0, 0);
	for (int i = 0; i < POOLS; i++)
		assert_int_equal(w->believed[i], w->now[i]);
}

static void random_history(void)
{
	static struct world w;

	memset(&w, 0, sizeof(w));
	w.box = pw_exchange_new(POOLS);
	w.next_id = 1;
	for (int i = 0; i < POOLS; i++)
		w.now[i] = w.believed[i] = PW_STATE_NORMAL;
	for (int i = 0; i < 1500; i++) {
		static void (*const acts[])(struct world *) = {change_some_pool, change_some_pool, change_some_pool,
			take_some, take_some, acknowledge_some, acknowledge_some, give_one_back};

		if (chance(60))
			break_connection(&w);
		else if (chance(60))
			answer_nonsense(&w);
		else if (chance(100))
			settle(&w);
		else
			acts[pick(8)](&w);
	}
	settle(&w);
	pw_exchange_free(w.box);
}

static void manager_ends_up_with_the_truth(void **unused)
{
	(void)unused;
	random_start();
	for (int i = 0; i < 200; i++)
		random_history();
}

/* --- many at once ----------------------------------------------------------------------------------------------- */

/* As many as may be owed by default, and more. */
static void many_at_once_go_in_order(void **unused)
{
	const uint32_t n = 40000;
	struct pw_exchange *box = pw_exchange_new(n);
	struct pw_event event;
	uint32_t last = 101;

	(void)unused;
	random_start();
	for (uint32_t i = 0; i < n; i++)
		assert_int_equal(post(box, i + 1, i, PW_STATE_NORMAL, PW_STATE_CRITICAL, pick(101)), 0);
	for (uint32_t i = 0; i < n; i++) {
		assert_true(pw_exchange_take(box, 0, &event, NULL));
		assert_true(event.counts.utilization <= last);
		last = event.counts.utilization;
	}
	for (uint32_t i = 0; i < n; i++)
		pw_exchange_acknowledge(box, i + 1);
	assert_owed(box, 0, 0);
	pw_exchange_free(box);
}

/* However bad the alarms are that renotify repeats, what is new is told before. */
static void news_go_before_repetitions(void **unused)
{
	struct pw_exchange *box = pw_exchange_new(10);
	struct pw_event event;

	(void)unused;
	for (uint32_t pool = 1; pool <= 2; pool++) {
		post(box, pool, pool, PW_STATE_NORMAL, PW_STATE_EXHAUSTED, 100);
		assert_int_equal(take(box, &event), pool);
		pw_exchange_acknowledge(box, pool);
	}
	post(box, 3, 1, PW_STATE_EXHAUSTED, PW_STATE_EXHAUSTED, 100);
	post(box, 4, 3, PW_STATE_NORMAL, PW_STATE_WARNING, 50);
	post(box, 5, 2, PW_STATE_EXHAUSTED, PW_STATE_NORMAL, 10);
	assert_int_equal(take(box, &event), 4);
	assert_int_equal(take(box, &event), 5);
	assert_int_equal(take(box, &event), 3);
	assert_int_equal(event.type, PW_EVENT_RISING);
	pw_exchange_free(box);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_under_way),
		cmocka_unit_test(at_least_once),
		cmocka_unit_test(fall_after_rise),
		cmocka_unit_test(nothing_of_nothing),
		cmocka_unit_test(again_unchanged),
		cmocka_unit_test(chained),
		cmocka_unit_test(most_urgent_first),
		cmocka_unit_test(collector_failure_goes_before_all),
		cmocka_unit_test(failed_and_recovered_unsent_is_nothing),
		cmocka_unit_test(connect_failures_add_up_while_they_wait),
		cmocka_unit_test(repetition_tells_the_same_state_again),
		cmocka_unit_test(bounded),
		cmocka_unit_test(bounded_in_favour_of_the_worse),
		cmocka_unit_test(most_ports_at_stake_first),
		cmocka_unit_test(room_is_left_for_everybody),
		cmocka_unit_test(fair),
		cmocka_unit_test(held_until_the_state_is_saved),
		cmocka_unit_test(last_id_is_that_of_the_newest_sent),
		cmocka_unit_test(rate_limit_holds_in_any_minute),
		cmocka_unit_test(rate_limit_says_how_long_to_wait),
		cmocka_unit_test(changed_rate_remembers_what_was_sent),
		cmocka_unit_test(manager_ends_up_with_the_truth),
		cmocka_unit_test(many_at_once_go_in_order),
		cmocka_unit_test(news_go_before_repetitions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* What passes between the two threads: snapshots never vanish under a reader, the wake-up is never lost, nobody
 * blocks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>

#include "watch/exchange.h"

#define ROUNDS 20000
#define POOLS 50

static bool is_readable(const struct pw_exchange *exchange, int timeout_ms)
{
	struct pollfd fd = {.fd = pw_exchange_fd(exchange), .events = POLLIN};

	return poll(&fd, 1, timeout_ms) == 1;
}

static const struct pw_snapshot *snapshot_of(uint32_t generation)
{
	struct pw_arena *arena;
	struct pw_snapshot *snapshot = pw_snapshot_new(&arena);

	assert_non_null(snapshot);
	snapshot->generation = generation;
	snapshot->connect_failures_reason = pw_arena_text(arena, "a text of its own");
	return snapshot;
}

static struct pw_event alarm_of(uint32_t id, uint16_t pool, enum pw_state previous, enum pw_state state)
{
	struct pw_event event = {.id = id,
		.key = {.ns = 1, .kind = PW_KIND_CONNECT, .protocol = IPPROTO_TCP, .port = pool},
		.state = state};

	pw_event_set_previous(&event, previous);
	return event;
}

static void snapshot_is_shared(void **unused)
{
	struct pw_exchange *h = pw_exchange_new(10);
	const struct pw_snapshot *seen;

	(void)unused;
	assert_null(pw_exchange_snapshot(h));
	pw_exchange_publish(h, snapshot_of(1));
	seen = pw_exchange_snapshot(h);
	pw_exchange_publish(h, snapshot_of(2));
	assert_int_equal(seen->generation, 1); /* still there */
	assert_string_equal(seen->connect_failures_reason, "a text of its own");
	pw_snapshot_unref(seen);
	seen = pw_exchange_snapshot(h);
	assert_int_equal(seen->generation, 2);
	pw_exchange_free(h);
	assert_int_equal(seen->generation, 2);
	pw_snapshot_unref(seen);
}

static void wake_up_lasts_until_it_is_cleared(void **unused)
{
	struct pw_exchange *h = pw_exchange_new(10);
	struct pw_event event = alarm_of(1, 443, PW_STATE_NORMAL, PW_STATE_WARNING);

	(void)unused;
	assert_false(is_readable(h, 0));
	pw_exchange_clear(h); /* does not block though there is nothing to clear */
	for (int i = 0; i < 3; i++)
		pw_exchange_publish(h, snapshot_of(1));
	assert_true(is_readable(h, 0));
	pw_exchange_clear(h);
	assert_false(is_readable(h, 0));
	assert_int_equal(pw_exchange_post(h, &event, NULL), 0);
	assert_true(is_readable(h, 0));
	pw_exchange_clear(h);
	pw_exchange_set_rate(h, 5); /* may let waiting ones go */
	assert_true(is_readable(h, 0));
	pw_exchange_free(h);
}

static void notifications_pass(void **unused)
{
	struct pw_exchange *h = pw_exchange_new(10);
	struct pw_event event = alarm_of(1, 443, PW_STATE_NORMAL, PW_STATE_WARNING), taken;
	struct pw_exchange_stats stats;
	uint32_t wait;

	(void)unused;
	pw_exchange_post(h, &event, NULL);
	assert_true(pw_exchange_take(h, 0, &taken, &wait));
	pw_exchange_return_all(h);
	assert_true(pw_exchange_take(h, 0, &taken, &wait));
	pw_exchange_return(h, 1);
	assert_true(pw_exchange_take(h, 0, &taken, &wait));
	assert_int_equal(taken.id, 1);
	assert_int_equal(pw_exchange_last_id(h, &event.key), 1);
	pw_exchange_acknowledge(h, 1);
	pw_exchange_stats(h, &stats);
	assert_int_equal(stats.acknowledged, 1);
	assert_int_equal(stats.owed, 0);
	pw_exchange_free(h);
}

/* --- both threads at work --------------------------------------------------------------------------------------- */

struct reader {
	struct pw_exchange *exchange;
	enum pw_state believed[POOLS];
	uint32_t generation; /* the newest seen */
	bool backwards;
};

static void read_snapshot(struct reader *r)
{
	const struct pw_snapshot *s = pw_exchange_snapshot(r->exchange);

	if (s == NULL)
		return;
	r->backwards = r->backwards || s->generation < r->generation ||
		strcmp(s->connect_failures_reason, "a text of its own") != 0;
	r->generation = s->generation;
	pw_snapshot_unref(s);
}

static void read_events(struct reader *r)
{
	struct pw_event event;

	while (pw_exchange_take(r->exchange, 0, &event, NULL)) {
		r->backwards = r->backwards || event.previous != r->believed[event.key.port];
		r->believed[event.key.port] = event.state;
		pw_exchange_acknowledge(r->exchange, event.id);
	}
}

/* As the agent does: waits for the descriptor alone, clears it, then looks. Ends with the last snapshot. */
static void *reader_main(void *context)
{
	struct reader *r = context;

	while (r->generation != ROUNDS && is_readable(r->exchange, 10000)) {
		pw_exchange_clear(r->exchange);
		read_snapshot(r);
		read_events(r);
	}
	return NULL;
}

static void threads_hand_over_everything(void **unused)
{
	struct reader r = {.exchange = pw_exchange_new(POOLS)};
	enum pw_state now[POOLS];
	pthread_t thread;
	uint32_t id = 0;

	(void)unused;
	for (int i = 0; i < POOLS; i++)
		now[i] = r.believed[i] = PW_STATE_NORMAL;
	assert_int_equal(pthread_create(&thread, NULL, reader_main, &r), 0);
	for (uint32_t round = 1; round <= ROUNDS; round++) {
		uint16_t pool = (uint16_t)(round * 7 % POOLS);
		enum pw_state state = (enum pw_state)(PW_STATE_NORMAL + round / POOLS % 4);

		if (state != now[pool]) {
			struct pw_event event = alarm_of(++id, pool, now[pool], state);

			assert_int_equal(pw_exchange_post(r.exchange, &event, NULL), 0);
			now[pool] = state;
		}
		pw_exchange_publish(r.exchange, snapshot_of(round));
	}
	pthread_join(thread, NULL);
	assert_int_equal(r.generation, ROUNDS);
	assert_false(r.backwards);
	read_events(&r);
	assert_memory_equal(r.believed, now, sizeof(now));
	pw_exchange_free(r.exchange);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(snapshot_is_shared),
		cmocka_unit_test(wake_up_lasts_until_it_is_cleared),
		cmocka_unit_test(notifications_pass),
		cmocka_unit_test(threads_hand_over_everything),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

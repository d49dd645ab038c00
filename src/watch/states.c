/* SPDX-License-Identifier: BSD-2-Clause */
/* The states of pools after a poll, and which of their changes are told */
#include <netinet/in.h>
#include <stdlib.h>

#include "base/array.h"
#include "watch/pools.h"

/* --- states ------------------------------------------------------------------------------------------------------- */

static bool is_tcp_bind(const struct pw_watched *pool)
{
	return pool->key.kind == PW_KIND_BIND && pool->key.protocol == IPPROTO_TCP;
}

/* Whether bind() holds enough of a TCP bind pool to make it alarm; once it does, until a quarter less is held. */
static bool bound_holds(const struct pw_monitor *m, const struct pw_watched *pool)
{
	uint32_t enough = pw_policy_pool_floor(m->policy, PW_SOURCE_SOCKETS, pool->counts.capacity, 0);

	return pool->counts.bound >= (pool->bound_holds ? enough - enough / 4 : enough);
}

/* Whether it deserves a row of itself, not only because it had one. */
static bool deserves_row(const struct pw_monitor *m, const struct pw_watched *pool)
{
	return pool->counts.used >= pw_watched_floor(m, pool->ns, &pool->key, &pool->counts) ||
		(pool->rule != NULL && pool->counts.used != 0) || pool->failed_poll == m->poll_number ||
		pool->exact_epoch == m->epoch || pw_watched_alarmed(pool);
}

/* Whether so many lost ports make an alarm, and none would not. */
static bool is_shortage(const struct pw_thresholds *t, uint32_t capacity, uint32_t lost)
{
	const uint32_t left = capacity > lost ? capacity - lost : 0;
	const struct pw_pool_counts all = {.free = capacity, .fast_free = UINT32_MAX};
	const struct pw_pool_counts rest = {
		.utilization = pw_utilization(capacity, left), .free = left, .fast_free = UINT32_MAX};

	return capacity != 0 && pw_alarm_wanted(t, &rest) && !pw_alarm_wanted(t, &all);
}

/* Whether its alarm comes of what sockets of others block: that alone makes one, or it is more than the pool's own
 * ports, and these make none. */
static bool is_shared(const struct pw_watched *pool)
{
	const struct pw_pool_counts *c = &pool->counts;

	return is_shortage(pool->thresholds, c->capacity, c->blocked) ||
		(c->blocked > c->used && is_shortage(pool->thresholds, c->capacity, c->blocked + c->used) &&
			!is_shortage(pool->thresholds, c->capacity, c->used));
}

static void step(struct pw_monitor *m, const struct pw_poll *poll, struct pw_watched *pool)
{
	const struct pw_thresholds *t = pool->thresholds;
	struct pw_alarm_input input = {pool->worst, PW_NOT_IN_SIGHT};

	if (t != NULL && t->forecast_within != 0)
		input.time_to_exhaustion = pw_watched_trend(pool)->time_to_exhaustion;
	pool->result = pw_alarm_step(&pool->alarm, t, &input);
	pool->latency_us = pool->latency_p99_us = 0;
	if (pool->result.state == pool->previous)
		return;
	pool->state_ms = poll->now_ms;
	if (pool->previous == PW_STATE_NORMAL) {
		pool->alarm_index = ++m->last_alarm_index;
		pool->alarm_since = poll->wall;
	}
	if (t != NULL && pool->unheard && pool->result.state > pool->previous && t->for_polls == 1 &&
		pool->result.reason != PW_REASON_FORECAST)
		m->scalars.rings_missed++;
	m->scalars.alarms_changed_ms = poll->now_ms;
}

/* Its namespace does not exist any more, or its kind is not watched any more. */
static bool is_gone(const struct pw_watched *pool)
{
	return pool->ns->poll == NULL || pool->ns->poll->sources[pw_kind_source(pool->key.kind)] == NULL;
}

static void move(struct pw_monitor *m, const struct pw_poll *poll, struct pw_watched *pool)
{
	pool->previous = pool->result.state;
	if (is_gone(pool) || pool->ignored) {
		if (is_gone(pool))
			pool->counts = pool->worst = (struct pw_pool_counts){0};
		pool->ended = true;
		pool->thresholds = NULL;
		step(m, poll, pool);
	} else if (pool->poll == m->poll_number) { /* else nothing new is known */
		pool->bound_holds = is_tcp_bind(pool) && bound_holds(m, pool);
		pool->thresholds = pw_watched_thresholds(m, pool);
		if (!pool->small)
			step(m, poll, pool);
		if (deserves_row(m, pool))
			pool->deserving_ms = poll->now_ms;
	}
	pool->shared = pw_watched_alarmed(pool) && pool->key.kind == PW_KIND_CONNECT && is_shared(pool);
	pool->sharing = 0;
	pw_flap_step(&pool->flap, pool->result.state > pool->previous, poll->now_ms, m->max_flaps);
}

/* --- what is told ------------------------------------------------------------------------------------------------- */

/* What is told is the state, not each change: whatever was not stored, for want of room or memory, is told at a later
 * poll. Of a pool that flaps only that it gets worse than it was ever told, until it has been steady. */
static void tell(struct pw_monitor *m, const struct pw_poll *poll, struct pw_watched *pool)
{
	struct pw_event event = {.counts = pool->worst, .state = pool->result.state};
	bool repeats;

	if (pool->maybe != 0 && pool->result.state == pool->posted)
		pool->posted = pool->maybe; /* what the receiver believes is not certain: it is told */
	pool->maybe = (enum pw_state)0;
	event.previous = pool->posted;
	repeats = pw_watched_alarmed(pool) && pool->posted != PW_STATE_NORMAL && m->renotify_s != 0 &&
		poll->now_ms - pool->notified_ms >= (uint64_t)m->renotify_s * 1000;

	if (pool->flap.held && !pool->ended && pool->result.state <= pool->posted) {
		pool->flap.untold += pool->result.state != pool->previous;
		return;
	}
	if (pool->result.state == pool->posted && !repeats)
		return;
	if (!PW_ARRAY_ROOM(m->events, m->events_room, m->n_events + 1)) {
		m->untold = true;
		return;
	}
	m->events[m->n_events++] = (struct pw_ranked){pw_event_urgency(&event), pool};
}

/* A shortage that several pools share: of an address, or of a whole namespace. */
struct cause {
	struct {
		struct pw_address local; /* zeroed = of the namespace */
		uint32_t ns;
	} key;
	enum pw_state told;        /* by one of the pools that it makes alarm */
	struct pw_watched *leader; /* that one */
	UT_hash_handle hh;
};

/* The cause of a pool's alarm; NULL when out of memory: it then speaks for itself. */
static struct cause *find_cause(struct cause **causes, const struct pw_watched *pool)
{
	struct cause *cause, *found, new = {.key = {.ns = pool->key.ns}};

	if (!is_shortage(pool->thresholds, pool->ns->row.capacity, pool->ns->row.blocked))
		new.key.local = pool->key.local;
	HASH_FIND(hh, *causes, &new.key, sizeof(new.key), found);
	if (found != NULL)
		return found;
	cause = calloc(1, sizeof(*cause));
	if (cause == NULL)
		return NULL;
	cause->key = new.key;
	cause->told = PW_STATE_NORMAL;
	HASH_ADD(hh, *causes, key, sizeof(cause->key), cause);
	HASH_FIND(hh, *causes, &new.key, sizeof(new.key), found);
	if (found == NULL)
		free(cause);
	return found;
}

static void lead(struct cause *cause, struct pw_watched *pool, enum pw_state state)
{
	if (cause == NULL || state <= cause->told)
		return;
	cause->told = state;
	cause->leader = pool;
}

/* One cause makes one alarm: of pools that share it the first that was told speaks for the others, as long as none is
 * worse. The pool of all bind() calls of the address speaks for its destinations. */
static void drop_followers(struct pw_monitor *m)
{
	struct cause *causes = NULL, *cause, *next_cause;
	struct pw_watched *pool, *next;
	size_t kept = 0;

	HASH_ITER(hh, m->pools.pools, pool, next)
	{
		if (pool->shared && pool->posted != PW_STATE_NORMAL)
			lead(find_cause(&causes, pool), pool, pool->posted);
		else if (is_tcp_bind(pool) && pw_watched_alarmed(pool) && !pool->flap.held)
			lead(find_cause(&causes, pool), pool, pool->result.state);
	}
	for (size_t i = 0; i < m->n_events; i++) {
		pool = m->events[i].pool;
		cause = pool->shared && pool->posted == PW_STATE_NORMAL ? find_cause(&causes, pool) : NULL;
		if (cause != NULL && cause->told >= pool->result.state) {
			cause->leader->sharing += !pw_pool_is_new_destination(&pool->key);
			continue;
		}
		lead(cause, pool, pool->result.state);
		m->events[kept++] = m->events[i];
	}
	m->n_events = kept;
	/* the table at once: the elements stay in a list, in the order in which they came */
	cause = causes;
	HASH_CLEAR(hh, causes);
	for (; cause != NULL; cause = next_cause) {
		next_cause = cause->hh.next;
		free(cause);
	}
}

void pw_monitor_evaluate(struct pw_monitor *m, const struct pw_poll *poll)
{
	struct pw_watched *pool, *next;
	struct pw_watched_ns *ns, *next_ns;
	bool shared = false;

	HASH_ITER(hh, m->pools.namespaces, ns, next_ns)
	ns->alarmed = false;
	HASH_ITER(hh, m->pools.pools, pool, next)
	{
		move(m, poll, pool);
		tell(m, poll, pool);
		shared = shared || pool->shared;
		pool->ns->alarmed = pool->ns->alarmed || pw_alarm_pending(&pool->alarm);
	}
	if (m->n_events != 0)
		qsort(m->events, m->n_events, sizeof(*m->events), pw_ranked_compare);
	if (shared)
		drop_followers(m);
	for (size_t i = 0; i < m->n_events; i++)
		m->events[i].pool->notified_ms = poll->now_ms;
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "watch/exchange.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "watch/owed.h"

#define RETRY_MS 1000 /* after want of memory */

struct pw_exchange *pw_exchange_new(size_t max_entries)
{
	struct pw_exchange *x = calloc(1, sizeof(*x));

	if (x == NULL)
		return NULL;
	pthread_mutex_init(&x->mutex, NULL);
	x->max_entries = max_entries;
	x->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (x->wake >= 0)
		return x;
	pw_exchange_free(x);
	return NULL;
}

void pw_exchange_free(struct pw_exchange *x)
{
	struct entry *e, *next;
	struct member *m, *next_m;

	if (x == NULL)
		return;
	HASH_ITER(by_key, x->by_key, e, next)
	pw_owed_remove(x, e);
	HASH_ITER(hh, x->members, m, next_m)
	pw_owed_remove_member(x, m);
	pw_share_clear(&x->rate);
	if (x->wake >= 0)
		close(x->wake);
	pw_snapshot_unref(x->snapshot);
	pthread_mutex_destroy(&x->mutex);
	free(x);
}

int pw_exchange_fd(const struct pw_exchange *x)
{
	return x->wake;
}

static void lock(struct pw_exchange *x)
{
	pthread_mutex_lock(&x->mutex);
}

static void unlock(struct pw_exchange *x)
{
	pthread_mutex_unlock(&x->mutex);
}

/* An eventfd that nobody reads never blocks the writer here: one count is enough. */
static void wake_and_unlock(struct pw_exchange *x)
{
	if (!x->awake)
		x->awake = eventfd_write(x->wake, 1) == 0;
	unlock(x);
}

void pw_exchange_clear(struct pw_exchange *x)
{
	eventfd_t count;

	lock(x);
	if (x->awake && eventfd_read(x->wake, &count) == 0)
		x->awake = false;
	unlock(x);
}

void pw_exchange_publish(struct pw_exchange *x, const struct pw_snapshot *snapshot)
{
	const struct pw_snapshot *old;

	lock(x);
	old = x->snapshot;
	x->snapshot = snapshot;
	wake_and_unlock(x);
	pw_snapshot_unref(old); /* may free thousands of rows: not under the lock */
}

const struct pw_snapshot *pw_exchange_snapshot(struct pw_exchange *x)
{
	const struct pw_snapshot *snapshot;

	lock(x);
	snapshot = x->snapshot != NULL ? pw_snapshot_ref(x->snapshot) : NULL;
	unlock(x);
	return snapshot;
}

/* --- posting --- */

static void put(struct pw_exchange *x, struct entry *e, const struct pw_event *event)
{
	const struct pw_event *latest = e->has_pending ? &e->pending : e->sent;
	uint32_t earlier = 0;

	if (pw_event_is_count(event))
		earlier = e->has_pending ? e->pending.failures : 0;
	else if (pw_owed_always(event) && latest != NULL && pw_owed_state(latest) == event->state)
		return; /* it will tell of this state anyway: a repetition adds nothing */
	e->pending = *event;
	e->pending.failures = earlier < UINT32_MAX - event->failures ? earlier + event->failures : UINT32_MAX;
	e->has_pending = true;
	x->changes++;
	e->repeat = pw_owed_always(event);
	if (e->sent == NULL)
		pw_owed_settle(x, e);
}

static enum pw_posted post(struct pw_exchange *x, const struct pw_event *event, struct pw_pool_key *given_up)
{
	struct pw_pool_key key = pw_owed_key(event);
	struct entry *e = pw_owed_find(x, &key), *less = NULL;
	struct member *m;
	size_t places;

	if (e == NULL && pw_owed_state(event) == PW_STATE_NORMAL && !pw_event_is_count(event))
		return PW_POSTED; /* of what ended here the receiver has never heard */
	if (e == NULL) {
		m = pw_owed_member(x, key.ns);
		if (m == NULL)
			return PW_NOT_POSTED;
		places = m->user.own ? x->max_entries : pw_share_of(x->max_entries, x->n_others - m->n_pools);
		if (pw_told_is_pool(&key) && m->n_pools >= places &&
			(less = pw_owed_least_urgent(m, pw_event_urgency(event))) == NULL)
			return PW_NOT_POSTED;
		e = pw_owed_add(x, m, &key);
		if (e == NULL)
			return PW_NOT_POSTED;
	}
	put(x, e, event);
	if (less == NULL)
		return PW_POSTED;
	*given_up = less->key;
	pw_owed_remove(x, less);
	return PW_POSTED_INSTEAD;
}

enum pw_posted pw_exchange_post(struct pw_exchange *x, const struct pw_event *event, struct pw_pool_key *given_up)
{
	enum pw_posted posted;

	lock(x);
	posted = post(x, event, given_up);
	wake_and_unlock(x);
	return posted;
}

void pw_exchange_set_rate(struct pw_exchange *x, uint32_t max_per_minute)
{
	lock(x);
	pw_share_set(&x->rate, max_per_minute);
	wake_and_unlock(x);
}

void pw_exchange_hold(struct pw_exchange *x, uint64_t number, uint64_t until_ms)
{
	lock(x);
	if (x->held == 0)
		x->held_until_ms = until_ms;
	x->held = number;
	unlock(x);
}

void pw_exchange_release(struct pw_exchange *x, uint64_t number)
{
	lock(x);
	if (number >= x->held)
		x->held = 0;
	wake_and_unlock(x);
}

/* --- sending --- */

/* Makes the pending event the one under way. Returns -1 when out of memory, and nothing has changed. */
static int send_pending(struct pw_exchange *x, struct entry *e)
{
	struct pw_event *copy = malloc(sizeof(*copy));
	struct entry *found;

	if (copy == NULL)
		return -1;
	*copy = e->pending;
	e->sent_id = copy->id;
	HASH_ADD(by_id, x->by_id, sent_id, sizeof(e->sent_id), e);
	HASH_FIND(by_id, x->by_id, &e->sent_id, sizeof(e->sent_id), found);
	if (found == NULL) {
		free(copy);
		return -1;
	}
	pw_owed_stop_waiting(x, e);
	if (pw_told_is_pool(&e->key))
		pw_owed_tell_held_back(x, copy);
	e->sent = copy;
	e->has_pending = false;
	return 0;
}

static bool take(struct pw_exchange *x, uint64_t now_ms, struct pw_event *out, uint32_t *wait_ms)
{
	struct member *m = pw_owed_next_member(x, now_ms);
	struct entry *e;

	*wait_ms = UINT32_MAX;
	if (m == NULL) {
		if (x->n_waiting != 0) {
			*wait_ms = pw_share_wait(&x->rate, now_ms);
			/* all that waits is held back by the limit; each notification is counted once */
			x->suppressed += x->fresh;
			x->fresh = 0;
			x->epoch++;
		}
		return false;
	}
	e = m->heap[0];
	if (e->sent == NULL && send_pending(x, e) < 0) {
		*wait_ms = RETRY_MS;
		return false;
	}
	pw_owed_stop_waiting(x, e);
	pw_share_take(&x->rate, &m->user, now_ms);
	e->in_flight = true;
	x->changes++;
	e->last_id = e->sent_id;
	x->n_in_flight++;
	*out = *e->sent;
	*wait_ms = 0;
	return true;
}

bool pw_exchange_take(struct pw_exchange *x, uint64_t now_ms, struct pw_event *out, uint32_t *wait_ms)
{
	uint32_t unused, *wait = wait_ms != NULL ? wait_ms : &unused;
	bool taken = false;

	lock(x);
	if (x->held != 0 && now_ms < x->held_until_ms)
		*wait = (uint32_t)(x->held_until_ms - now_ms);
	else
		taken = take(x, now_ms, out, wait);
	unlock(x);
	return taken;
}

static struct entry *find_sent(const struct pw_exchange *x, uint32_t id)
{
	struct entry *e;

	HASH_FIND(by_id, x->by_id, &id, sizeof(id), e);
	return e;
}

void pw_exchange_acknowledge(struct pw_exchange *x, uint32_t id)
{
	struct entry *e;

	lock(x);
	e = find_sent(x, id);
	if (e != NULL) {
		e->acknowledged = pw_owed_state(e->sent);
		e->uncertain = false;
		x->acknowledged++;
		x->changes++;
		pw_owed_stop_waiting(x, e);
		pw_owed_forget_sent(x, e);
		pw_owed_settle(x, e);
	}
	unlock(x);
}

static void send_again(struct pw_exchange *x, struct entry *e)
{
	if (!e->in_flight)
		return;
	e->in_flight = false;
	x->n_in_flight--;
	pw_owed_start_waiting(x, e);
}

void pw_exchange_return(struct pw_exchange *x, uint32_t id)
{
	struct entry *e;

	lock(x);
	e = find_sent(x, id);
	if (e != NULL)
		send_again(x, e);
	unlock(x);
}

/* The table of what is sent keeps the order of sending, so that it goes out again in the same order. */
void pw_exchange_return_all(struct pw_exchange *x)
{
	struct entry *e, *next;

	lock(x);
	HASH_ITER(by_id, x->by_id, e, next)
	send_again(x, e);
	unlock(x);
}

/* --- what was told --- */

void pw_exchange_stats(struct pw_exchange *x, struct pw_exchange_stats *out)
{
	lock(x);
	*out = (struct pw_exchange_stats){.acknowledged = x->acknowledged,
		.suppressed = x->suppressed,
		.owed = x->n_waiting + x->n_in_flight,
		.in_flight = x->n_in_flight,
		.changes = x->changes};
	unlock(x);
}

uint32_t pw_exchange_last_id(struct pw_exchange *x, const struct pw_pool_key *key)
{
	const struct entry *e;
	uint32_t id;

	lock(x);
	e = pw_owed_find(x, key);
	id = e != NULL ? e->last_id : 0;
	unlock(x);
	return id;
}

/* Another state than the acknowledged one that the receiver may know; the acknowledged one when that is certain. */
static enum pw_state maybe_told(const struct entry *e, bool agent_ended)
{
	if (e->sent != NULL && pw_owed_state(e->sent) != e->acknowledged)
		return pw_owed_state(e->sent);
	if (!agent_ended && e->has_pending && pw_owed_state(&e->pending) != e->acknowledged)
		return pw_owed_state(&e->pending);
	if (!e->uncertain)
		return e->acknowledged;
	return e->acknowledged != PW_STATE_NORMAL ? PW_STATE_NORMAL : PW_STATE_WARNING;
}

int pw_exchange_told(struct pw_exchange *x, bool agent_ended, struct pw_told **told, size_t *n)
{
	*n = 0;
	lock(x);
	*told = calloc(HASH_CNT(by_key, x->by_key) + 1, sizeof(**told));
	for (const struct entry *e = x->by_key; *told != NULL && e != NULL; e = e->by_key.next) {
		struct pw_told *one = &(*told)[*n];

		*one = (struct pw_told){e->key, e->acknowledged, maybe_told(e, agent_ended), e->last_id, ""};
		if (one->state == PW_STATE_NORMAL && one->maybe == PW_STATE_NORMAL)
			continue;
		snprintf(one->name, sizeof(one->name), "%s", e->sent != NULL ? e->sent->name : e->pending.name);
		++*n;
	}
	unlock(x);
	return *told != NULL ? 0 : -1;
}

int pw_exchange_learn(struct pw_exchange *x, const struct pw_told *told)
{
	struct member *m;
	struct entry *e;

	lock(x);
	e = pw_owed_find(x, &told->key);
	m = e == NULL ? pw_owed_member(x, told->key.ns) : NULL;
	if (m != NULL)
		e = pw_owed_add(x, m, &told->key);
	if (e != NULL) {
		e->acknowledged = told->state;
		e->uncertain = told->maybe != told->state;
		e->last_id = told->event_id;
		snprintf(e->pending.name, sizeof(e->pending.name), "%s", told->name);
	}
	unlock(x);
	return e != NULL ? 0 : -1;
}

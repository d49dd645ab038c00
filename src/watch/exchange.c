/* SPDX-License-Identifier: BSD-2-Clause */
#include "watch/exchange.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "watch/owed.h"

struct pw_exchange {
	pthread_mutex_t mutex; /* over everything below; nothing that can block is done under it */
	int wake;
	bool awake; /* the eventfd is readable */
	const struct pw_snapshot *snapshot;
	struct pw_owed *owed;
	uint64_t held, held_until_ms; /* the number that is waited for, 0 = none */
};

struct pw_exchange *pw_exchange_new(size_t max_entries)
{
	struct pw_exchange *x = calloc(1, sizeof(*x));

	if (x == NULL)
		return NULL;
	pthread_mutex_init(&x->mutex, NULL);
	x->owed = pw_owed_new(max_entries);
	x->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (x->wake >= 0 && x->owed != NULL)
		return x;
	pw_exchange_free(x);
	return NULL;
}

void pw_exchange_free(struct pw_exchange *x)
{
	if (x == NULL)
		return;
	pw_owed_free(x->owed);
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

void pw_exchange_set_rate(struct pw_exchange *x, uint32_t max_per_minute)
{
	lock(x);
	pw_owed_set_rate(x->owed, max_per_minute);
	wake_and_unlock(x);
}

enum pw_posted pw_exchange_post(struct pw_exchange *x, const struct pw_event *event, struct pw_pool_key *given_up)
{
	enum pw_posted posted;

	lock(x);
	posted = pw_owed_post(x->owed, event, given_up);
	wake_and_unlock(x);
	return posted;
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

bool pw_exchange_take(struct pw_exchange *x, uint64_t now_ms, struct pw_event *out, uint32_t *wait_ms)
{
	uint32_t unused, *wait = wait_ms != NULL ? wait_ms : &unused;
	bool taken = false;

	lock(x);
	if (x->held != 0 && now_ms < x->held_until_ms)
		*wait = (uint32_t)(x->held_until_ms - now_ms);
	else
		taken = pw_owed_take(x->owed, now_ms, out, wait);
	unlock(x);
	return taken;
}

void pw_exchange_acknowledge(struct pw_exchange *x, uint32_t id)
{
	lock(x);
	pw_owed_acknowledge(x->owed, id);
	unlock(x);
}

void pw_exchange_return(struct pw_exchange *x, uint32_t id)
{
	lock(x);
	pw_owed_return(x->owed, id);
	unlock(x);
}

void pw_exchange_return_all(struct pw_exchange *x)
{
	lock(x);
	pw_owed_return_all(x->owed);
	unlock(x);
}

void pw_exchange_stats(struct pw_exchange *x, struct pw_exchange_stats *out)
{
	lock(x);
	pw_owed_stats(x->owed, out);
	unlock(x);
}

uint32_t pw_exchange_last_id(struct pw_exchange *x, const struct pw_pool_key *key)
{
	uint32_t id;

	lock(x);
	id = pw_owed_last_id(x->owed, key);
	unlock(x);
	return id;
}

int pw_exchange_told(struct pw_exchange *x, bool agent_ended, struct pw_told **told, size_t *n)
{
	int result;

	lock(x);
	result = pw_owed_told(x->owed, agent_ended, told, n);
	unlock(x);
	return result;
}

int pw_exchange_learn(struct pw_exchange *x, const struct pw_told *told)
{
	int result;

	lock(x);
	result = pw_owed_learn(x->owed, told);
	unlock(x);
	return result;
}

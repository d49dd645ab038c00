/* SPDX-License-Identifier: BSD-2-Clause */
#include "watch/handover.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct pw_handover {
	pthread_mutex_t mutex; /* over everything below; nothing that can block is done under it */
	int wake;
	bool awake; /* the eventfd is readable */
	const struct pw_snapshot *snapshot;
	struct pw_outbox *outbox;
};

struct pw_handover *pw_handover_new(size_t max_entries)
{
	struct pw_handover *h = calloc(1, sizeof(*h));

	if (h == NULL)
		return NULL;
	h->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	h->outbox = pw_outbox_new(max_entries);
	pthread_mutex_init(&h->mutex, NULL);
	if (h->wake < 0 || h->outbox == NULL) {
		pw_handover_free(h);
		return NULL;
	}
	return h;
}

void pw_handover_free(struct pw_handover *h)
{
	if (h == NULL)
		return;
	if (h->wake >= 0)
		close(h->wake);
	pw_outbox_free(h->outbox);
	pw_snapshot_unref(h->snapshot);
	pthread_mutex_destroy(&h->mutex);
	free(h);
}

int pw_handover_fd(const struct pw_handover *h)
{
	return h->wake;
}

/* With the mutex held. An eventfd that nobody reads never blocks the writer here: one count is enough. */
static void wake(struct pw_handover *h)
{
	if (!h->awake)
		h->awake = eventfd_write(h->wake, 1) == 0;
}

void pw_handover_clear(struct pw_handover *h)
{
	eventfd_t count;

	pthread_mutex_lock(&h->mutex);
	if (h->awake && eventfd_read(h->wake, &count) == 0)
		h->awake = false;
	pthread_mutex_unlock(&h->mutex);
}

void pw_handover_publish(struct pw_handover *h, const struct pw_snapshot *snapshot)
{
	const struct pw_snapshot *old;

	pthread_mutex_lock(&h->mutex);
	old = h->snapshot;
	h->snapshot = snapshot;
	wake(h);
	pthread_mutex_unlock(&h->mutex);
	pw_snapshot_unref(old); /* may free thousands of rows: not under the mutex */
}

const struct pw_snapshot *pw_handover_snapshot(struct pw_handover *h)
{
	const struct pw_snapshot *snapshot;

	pthread_mutex_lock(&h->mutex);
	snapshot = h->snapshot != NULL ? pw_snapshot_ref(h->snapshot) : NULL;
	pthread_mutex_unlock(&h->mutex);
	return snapshot;
}

int pw_handover_post(struct pw_handover *h, const struct pw_event *event)
{
	int status;

	pthread_mutex_lock(&h->mutex);
	status = pw_outbox_post(h->outbox, event);
	wake(h);
	pthread_mutex_unlock(&h->mutex);
	return status;
}

void pw_handover_set_rate(struct pw_handover *h, uint32_t max_per_minute)
{
	pthread_mutex_lock(&h->mutex);
	pw_outbox_set_rate(h->outbox, max_per_minute);
	wake(h);
	pthread_mutex_unlock(&h->mutex);
}

bool pw_handover_take(struct pw_handover *h, uint64_t now_ms, struct pw_event *out, uint32_t *wait_ms)
{
	bool taken;

	pthread_mutex_lock(&h->mutex);
	taken = pw_outbox_take(h->outbox, now_ms, out, wait_ms);
	pthread_mutex_unlock(&h->mutex);
	return taken;
}

void pw_handover_acknowledge(struct pw_handover *h, uint32_t id)
{
	pthread_mutex_lock(&h->mutex);
	pw_outbox_acknowledge(h->outbox, id);
	pthread_mutex_unlock(&h->mutex);
}

void pw_handover_return(struct pw_handover *h, uint32_t id)
{
	pthread_mutex_lock(&h->mutex);
	pw_outbox_return(h->outbox, id);
	pthread_mutex_unlock(&h->mutex);
}

void pw_handover_return_all(struct pw_handover *h)
{
	pthread_mutex_lock(&h->mutex);
	pw_outbox_return_all(h->outbox);
	pthread_mutex_unlock(&h->mutex);
}

void pw_handover_stats(struct pw_handover *h, struct pw_outbox_stats *out)
{
	pthread_mutex_lock(&h->mutex);
	pw_outbox_stats(h->outbox, out);
	pthread_mutex_unlock(&h->mutex);
}

uint32_t pw_handover_last_id(struct pw_handover *h, const struct pw_pool_key *key)
{
	uint32_t id;

	pthread_mutex_lock(&h->mutex);
	id = pw_outbox_last_id(h->outbox, key);
	pthread_mutex_unlock(&h->mutex);
	return id;
}

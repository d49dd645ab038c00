/* SPDX-License-Identifier: BSD-2-Clause */
#include "watch/journal.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"

struct pw_journal {
	pthread_mutex_t mutex;
	struct pw_event *events; /* a ring once it is full */
	size_t n, room;
	size_t oldest;
};

struct pw_journal *pw_journal_new(void)
{
	struct pw_journal *journal = calloc(1, sizeof(*journal));

	if (journal != NULL)
		pthread_mutex_init(&journal->mutex, NULL);
	return journal;
}

void pw_journal_free(struct pw_journal *journal)
{
	if (journal == NULL)
		return;
	pthread_mutex_destroy(&journal->mutex);
	free(journal->events);
	free(journal);
}

void pw_journal_add(struct pw_journal *journal, const struct pw_event *event)
{
	pthread_mutex_lock(&journal->mutex);
	if (journal->oldest == 0 && journal->n < PW_JOURNAL_MAX &&
		PW_ARRAY_ROOM(journal->events, journal->room, journal->n + 1)) {
		journal->events[journal->n++] = *event;
	} else if (journal->n > 0) { /* also when there is no memory for one more */
		journal->events[journal->oldest] = *event;
		journal->oldest = (journal->oldest + 1) % journal->n;
	}
	pthread_mutex_unlock(&journal->mutex);
}

size_t pw_journal_copy(struct pw_journal *journal, struct pw_event **events)
{
	size_t n, behind;

	pthread_mutex_lock(&journal->mutex);
	n = journal->n;
	*events = n > 0 ? malloc(n * sizeof(**events)) : NULL;
	if (*events != NULL) {
		behind = n - journal->oldest;
		memcpy(*events, journal->events + journal->oldest, behind * sizeof(**events));
		memcpy(*events + behind, journal->events, journal->oldest * sizeof(**events));
	}
	pthread_mutex_unlock(&journal->mutex);
	return *events != NULL ? n : 0;
}

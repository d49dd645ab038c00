/* SPDX-License-Identifier: BSD-2-Clause */
/* What the monitor wants to know of the pools that have a row or an event, beside their numbers */
#include <stdio.h>

#include "base/array.h"
#include "watch/pools.h"

/* Allocations measured in one poll. */
#define LATENCIES 16

/* Who has the sockets of a pool is asked anew when their number has changed by more than so many, and by more than this
 * part of them. */
#define OWNED_MORE 4
#define OWNED_PART 8

static void ask(struct pw_monitor *m, struct pw_watched *pool)
{
	const bool fresh = pool->poll == m->poll_number && pool->ns->poll != NULL;
	struct pw_question question = {
		.key = pool->key,
		.ns = pool->ns->poll,
		.wants_zone = pool->key.local.zone != 0 && pool->zone_name[0] == '\0' && pool->ns->poll != NULL,
		.wants_owner = fresh,
		.wants_measured = pw_watched_alarmed(pool) && pool->ns->poll != NULL &&
			pool->key.kind == PW_KIND_CONNECT && !pw_pool_is_new_destination(&pool->key),
		.wants_event_id = pw_watched_alarmed(pool),
	};

	if (!question.wants_zone && !question.wants_owner && !question.wants_event_id)
		return;
	if (!PW_ARRAY_ROOM(m->questions, m->questions_room, m->n_questions + 1) ||
		!PW_ARRAY_ROOM(m->asked, m->asked_room, m->n_questions + 1)) {
		m->scalars.dropped++;
		return;
	}
	if (question.wants_owner && pw_kind_has_sockets(pool->key.kind) && question.ns->unowned != 0) {
		if (pool->parts_round != m->owner_round) {
			pool->parts = (struct pw_owners){0};
			pool->parts_known = 0;
		}
		pool->parts_round = m->owner_round;
		pool->parts_known |= PW_OWNER_ALL_PARTS & ~question.ns->unowned;
		question.parts = &pool->parts;
	}
	m->asked[m->n_questions] = pool;
	m->questions[m->n_questions++] = question;
}

/* The worst of the alarmed pools. */
static void ask_latencies(struct pw_monitor *m)
{
	struct pw_ranked worst[LATENCIES];
	size_t n = 0;

	for (size_t i = 0; i < m->rows.n_alarms; i++) {
		struct pw_watched *pool = m->rows.candidates[i].pool;
		struct pw_ranked one = {pw_badness(&pool->counts, pool->thresholds != NULL), pool};

		if (pool->poll == m->poll_number && pool->key.kind == PW_KIND_CONNECT && pool->counts.free > 2 &&
			!pw_pool_is_new_destination(&pool->key))
			n = pw_array_keep_first(worst, n, LATENCIES, sizeof(one), &one, pw_ranked_compare);
	}
	for (size_t i = 0; i < m->n_questions; i++)
		for (size_t j = 0; j < n; j++)
			if (m->asked[i] == worst[j].pool)
				m->questions[i].wants_latency = true;
}

size_t pw_monitor_questions(struct pw_monitor *m, struct pw_question **questions)
{
	if (m->n_questions == 0) {
		for (size_t i = 0; i < m->rows.n; i++)
			ask(m, m->rows.pools[i]);
		for (size_t i = 0; i < m->n_events; i++)
			if (!m->events[i].pool->listed)
				ask(m, m->events[i].pool);
		ask_latencies(m);
	}
	*questions = m->questions;
	return m->n_questions;
}

/* Those in TIME_WAIT have no owner. */
static uint32_t count_owned(const struct pw_watched *pool)
{
	return pool->counts.used - pool->counts.time_wait;
}

bool pw_monitor_wants_owners(const struct pw_monitor *m)
{
	for (size_t i = 0; i < m->n_events; i++)
		if (pw_kind_has_sockets(m->events[i].pool->key.kind))
			return true;
	for (size_t i = 0; i < m->rows.n; i++) {
		const struct pw_watched *pool = m->rows.pools[i];
		const uint32_t now = count_owned(pool), was = pool->owned;

		if (pw_kind_has_sockets(pool->key.kind) && pool->poll == m->poll_number &&
			(!pool->owner_told || (now > was ? now - was : was - now) > OWNED_MORE + was / OWNED_PART))
			return true;
	}
	return false;
}

void pw_monitor_take_answers(struct pw_monitor *m)
{
	for (size_t i = 0; i < m->n_questions; i++) {
		const struct pw_question *q = &m->questions[i];
		struct pw_watched *pool = m->asked[i];

		if (q->wants_zone)
			snprintf(pool->zone_name, sizeof(pool->zone_name), "%s", q->zone_name);
		if (q->wants_owner) { /* without new numbers it keeps the owner that it had */
			pool->states = q->states;
		}
		if (q->wants_owner && (q->parts == NULL || pool->parts_known == PW_OWNER_ALL_PARTS)) {
			snprintf(pool->owner, sizeof(pool->owner), "%s", q->owner);
			pool->owned = count_owned(pool);
			pool->owner_told = true;
		}
		if (q->wants_latency || q->latency_us != 0) {
			pool->latency_us = q->latency_us;
			pool->latency_p99_us = q->latency_p99_us;
		}
		pool->event_id = q->wants_event_id ? q->event_id : 0;
	}
}

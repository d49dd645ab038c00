/* SPDX-License-Identifier: BSD-2-Clause */
/* What was known before the start comes back: to the pools of each namespace, the first time that it is there */
#include <stdio.h>
#include <string.h>

#include "base/array.h"
#include "watch/pools.h"
#include "watch/state.h"

/* A namespace that is not there within so many polls after the start is gone. */
#define POLLS_TO_APPEAR 3

/* pwNsIndex that such a one gets, and downwards; those of real ones count from 1. */
#define GONE_NS 0x7fffffffu

static void adopt_pool(struct pw_monitor *m, struct pw_watched_ns *ns, const struct pw_saved *s)
{
	struct pw_watched *pool = pw_pools_find(&m->pools, &s->key);

	if (pool == NULL &&
		(s->told != PW_STATE_NORMAL || s->maybe != PW_STATE_NORMAL ||
			!pw_policy_ignores(m->policy, &s->key, ns->name)))
		pool = pw_pools_add(&m->pools, ns, &s->key);
	if (pool == NULL)
		return;
	pw_watched_apply_policy(m, pool);
	pool->result.state = s->state;
	pool->result.reason = s->reason;
	pool->posted = s->told;
	pool->maybe = s->maybe != s->told ? s->maybe : (enum pw_state)0;
	pool->alarm = s->alarm;
	pool->alarm_index = s->alarm_index;
	pool->alarm_since = s->since;
	pool->event_id = s->event_id;
	pool->state_ms = s->state_ms;
	pool->notified_ms = m->now_ms;
	pool->deserving_ms = m->now_ms;
	pool->listed = true;
	pool->peak = pool->peak_bound = s->peak;
	pool->peak_ms = s->peak_ms;
	pool->counts = pool->worst = s->counts;
	pool->history = s->n_points != 0 ? pw_history_new() : NULL;
	for (unsigned i = 0; pool->history != NULL && i < s->n_points; i++)
		pw_history_add(pool->history, s->points[i].ms, s->points[i].free);
}

static void set_told(struct pw_told *told, const struct pw_saved *s)
{
	*told = (struct pw_told){s->key, s->told, s->maybe, s->event_id, ""};
	if (pw_told_is_pool(&s->key))
		pw_pool_name(&s->key, NULL, s->ns, told->name);
	else
		snprintf(told->name, sizeof(told->name), "@%s", s->ns);
}

/* Gives a namespace its pools back, the first time that it is there. */
static void adopt(struct pw_monitor *m, struct pw_watched_ns *ns)
{
	size_t kept = 0;

	for (size_t i = 0; i < m->n_saved; i++) {
		struct pw_saved *s = &m->saved[i];

		if (strcmp(s->ns, ns->name) != 0) {
			m->saved[kept++] = *s;
			continue;
		}
		s->key.ns = ns->index;
		if (pw_told_is_pool(&s->key))
			adopt_pool(m, ns, s);
		if ((s->told != PW_STATE_NORMAL || s->maybe != PW_STATE_NORMAL) &&
			PW_ARRAY_ROOM(m->learned, m->learned_room, m->n_learned + 1)) {
			set_told(&m->learned[m->n_learned++], s);
		}
	}
	m->n_saved = kept;
}

void pw_state_adopt(struct pw_monitor *m)
{
	uint32_t index = GONE_NS;
	struct pw_watched_ns *ns, *next;

	HASH_ITER(hh, m->pools.namespaces, ns, next)
	if (ns->poll != NULL && m->n_saved != 0)
		adopt(m, ns);
	if (m->poll_number < POLLS_TO_APPEAR || m->n_saved == 0)
		return;
	while (m->n_saved != 0 && (ns = pw_pools_add_ns(&m->pools, index--, m->saved[0].ns)) != NULL)
		adopt(m, ns); /* without a poll it is gone: alarms that were told end */
}

bool pw_state_learned_table(struct pw_monitor *m, uint32_t ns, const char *ns_name, struct pw_told *told)
{
	for (size_t i = 0; i < m->n_saved; i++) {
		struct pw_saved *s = &m->saved[i];

		if (s->key.kind != PW_TOLD_CONNTRACK || strcmp(s->ns, ns_name) != 0)
			continue;
		s->key.ns = ns;
		set_told(told, s);
		*s = m->saved[--m->n_saved];
		return true;
	}
	return false;
}

bool pw_state_learned(struct pw_monitor *m, struct pw_told *told)
{
	const struct pw_watched *pool;
	enum pw_state now;

	if (m->n_learned == 0)
		return false;
	*told = m->learned[--m->n_learned];
	pool = pw_pools_find(&m->pools, &told->key);
	now = pool != NULL ? pool->result.state : PW_STATE_NORMAL;
	if (told->maybe != told->state && told->state == now) { /* as states.c decides for the event */
		told->state = told->maybe;
		told->maybe = now;
	}
	return true;
}

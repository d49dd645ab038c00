/* SPDX-License-Identifier: BSD-2-Clause */
#include "watch/monitor.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "watch/pools.h"

/* Changes of state that are logged in a minute, divided between namespaces as notifications are. */
#define LOG_LINES 1000

/* Pools that rose a few times of late are remembered though they have no row: else those that flap would be new each
 * time. One rise is no matter. */
#define FLAP_FORGOTTEN 1001

/* --- life and settings ------------------------------------------------------------------------------------------ */

/* Pools remembered at most, whatever the host does: all that can have rows, and as many again as fewer than four
 * million sockets can't have of 64 ports each. */
static size_t watched_max(const struct pw_monitor *m)
{
	uint64_t max = UINT64_C(65536) + m->policy->max_rows + m->policy->max_alarms;

	return m->rows.wanted != PW_ROWS_LISTED || max > SIZE_MAX ? SIZE_MAX : (size_t)max;
}

struct pw_monitor *pw_monitor_new(const struct pw_policy *policy, struct timespec start_time)
{
	struct pw_monitor *m = calloc(1, sizeof(*m));

	if (m == NULL)
		return NULL;
	m->policy = policy;
	m->epoch = 1;
	m->pools.max = watched_max(m);
	m->scalars.start_time = start_time;
	if (pw_labels_set(&m->labels, policy) < 0)
		m->scalars.dropped++;
	pw_share_set(&m->pools.log, LOG_LINES); /* without memory for it the log has no limit */
	return m;
}

void pw_monitor_free(struct pw_monitor *m)
{
	if (m == NULL)
		return;
	pw_pools_clear(&m->pools);
	pw_rows_clear(&m->rows);
	pw_labels_clear(&m->labels);
	free(m->events);
	free(m->questions);
	free(m->saved);
	free(m->learned);
	free(m->asked);
	free(m);
}

void pw_monitor_set_policy(struct pw_monitor *m, const struct pw_policy *policy)
{
	struct pw_watched *pool, *next;

	m->policy = policy;
	m->epoch++;
	m->pools.max = watched_max(m);
	if (pw_labels_set(&m->labels, policy) < 0)
		m->scalars.dropped++;
	HASH_ITER(hh, m->pools.pools, pool, next)
	{
		pw_watched_apply_policy(m, pool);
		pool->thresholds = pw_watched_thresholds(m, pool);
	}
}

void pw_monitor_set_renotify(struct pw_monitor *m, uint32_t seconds)
{
	m->renotify_s = seconds;
}

void pw_monitor_set_max_flaps(struct pw_monitor *m, uint32_t max_flaps)
{
	m->max_flaps = max_flaps;
}

void pw_monitor_set_rows(struct pw_monitor *m, enum pw_rows_wanted wanted)
{
	m->rows.wanted = wanted;
	m->pools.max = watched_max(m);
}

void pw_monitor_set_config_failed(struct pw_monitor *m, bool failed)
{
	m->scalars.config_failed = failed;
}

uint32_t pw_monitor_next_event_id(struct pw_monitor *m)
{
	m->last_event_id += m->last_event_id == UINT32_MAX ? 2 : 1; /* 0 means none */
	return m->last_event_id;
}

bool pw_monitor_alarmed(const struct pw_monitor *m, uint32_t index)
{
	const struct pw_watched_ns *ns = pw_pools_ns(&m->pools, index);

	return ns != NULL && ns->alarmed;
}

bool pw_monitor_needs(const struct pw_monitor *m, uint32_t index, enum pw_source_id source)
{
	const struct pw_watched_ns *ns = pw_pools_ns(&m->pools, index);

	return (ns != NULL && ns->sources[source].watched != 0) ||
		pw_policy_reaches(m->policy, ns != NULL ? ns->name : NULL, pw_source_traits[source].kinds);
}

/* --- step 1 ----------------------------------------------------------------------------------------------------- */

static void take_scalars(struct pw_monitor *m, const struct pw_poll *poll)
{
	struct pw_snapshot *s = &m->scalars;
	bool all_failed = poll->n_ns != 0;

	for (size_t i = 0; i < poll->n_ns; i++)
		all_failed = all_failed && poll->ns[i].status == PW_POLL_FAILED;
	m->wall = poll->wall;
	m->now_ms = poll->now_ms;
	s->generation++;
	s->poll_interval_ms = poll->interval_ms;
	s->connect_failures = poll->connect_failures;
	s->connect_failures_counting = poll->connect_failures_counting;
	s->connect_failures_reason = poll->connect_failures_reason != NULL ? poll->connect_failures_reason : "";
	s->ringing = poll->ringing;
	s->ringing_reason = poll->ringing_reason != NULL ? poll->ringing_reason : "";
	s->rings = poll->rings;
	s->polls++;
	if (all_failed) {
		s->poll_errors++;
		return;
	}
	s->poll_errors += poll->incomplete;
	s->poll_ms = poll->now_ms;
	s->poll_duration_us = poll->duration_us;
}

/* Forgets what has ended, and what was worth no row for so long that it need not linger any more. */
static void expire(struct pw_monitor *m, const struct pw_poll *poll)
{
	uint64_t linger_ms = (uint64_t)m->policy->linger_s * 1000;
	struct pw_watched_ns *ns, *next_ns;
	struct pw_watched *pool, *next;

	HASH_ITER(hh, m->pools.pools, pool, next)
	{
		bool wanted = m->rows.wanted == PW_ROWS_ALL && pool->counts.used != 0;
		bool idle = pool->poll == m->poll_number && pool->deserving_ms != poll->now_ms &&
			pool->flap.penalty < FLAP_FORGOTTEN && !wanted && !pw_alarm_pending(&pool->alarm);

		if (pool->ended || (idle && (!pool->listed || poll->now_ms - pool->deserving_ms >= linger_ms)))
			pw_pools_remove(&m->pools, pool);
	}
	HASH_ITER(hh, m->pools.namespaces, ns, next_ns)
	if (ns->poll == NULL)
		pw_pools_remove_ns(&m->pools, ns);
}

void pw_monitor_take(struct pw_monitor *m, const struct pw_poll *poll)
{
	struct pw_watched *pool, *next;
	pw_pools_sweep(&m->pools);
	m->poll_number++;
	m->owner_round = poll->owner_round;
	m->refused = 0;
	m->n_events = m->next_event = m->n_questions = 0;
	m->untold = false;
	take_scalars(m, poll);
	pw_labels_start(&m->labels);
	pw_monitor_take_numbers(m, poll);
	pw_monitor_evaluate(m, poll);
	if (poll->look)
		m->look_number = m->poll_number;
	HASH_ITER(hh, m->pools.pools, pool, next) /* without new numbers they count with their last ones */
	if (pool->rule != NULL && pool->thresholds != NULL && !pw_pool_is_new_destination(&pool->key))
		pw_labels_add(&m->labels, pool->rule, &pool->counts);
	if (!m->untold) /* what has ended must not be forgotten before it is told */
		expire(m, poll);
	m->chosen = pw_rows_choose(&m->rows, &m->pools, m->policy, m->epoch, poll->now_ms) == 0;
	if (m->chosen && !m->untold) {
		/* small pools that a `pool` section matches but that found no place in the table are forgotten */
		HASH_ITER(hh, m->pools.pools, pool, next)
		if (!pool->listed && pool->poll == m->poll_number && pool->flap.penalty < FLAP_FORGOTTEN &&
			!pw_alarm_pending(&pool->alarm) &&
			pool->counts.used < pw_watched_floor(m, pool->ns, &pool->key, &pool->counts))
			pw_pools_remove(&m->pools, pool);
	}
	m->scalars.pools_omitted = m->rows.omitted + m->refused;
	m->scalars.min_used = m->policy->min_used;
}

/* --- step 3 ----------------------------------------------------------------------------------------------------- */

/* What the reader of an event must know beside its numbers. */
static void add_text(struct pw_watched *pool, struct pw_event *event)
{
	if (pool->ended && pool->ns->poll == NULL)
		snprintf(event->text, sizeof(event->text), "the network namespace is gone, or no longer watched");
	else if (pool->flap.held)
		snprintf(
			event->text, sizeof(event->text), "it flaps: told again when it gets worse or has been steady");
	else if (pool->flap.untold != 0)
		snprintf(event->text, sizeof(event->text), "it flapped: %u changes were not told", pool->flap.untold);
	else if (pool->sharing == 0 && pw_pool_is_new_destination(&pool->key) && pw_watched_alarmed(pool))
		snprintf(event->text, sizeof(event->text), "%u ports are blocked by listeners and bound sockets",
			pool->counts.blocked);
	else if (pool->sharing != 0)
		snprintf(event->text, sizeof(event->text), "%u more destinations share this shortage", pool->sharing);
	if (!pool->flap.held)
		pool->flap.untold = 0;
}

/* Whether the log may have a line on this pool; it has none on what an earlier event said already. */
static bool may_log(struct pw_monitor *m, struct pw_watched *pool)
{
	if (pool->result.state == pool->previous && pool->posted != pool->result.state && pool->flap.untold == 0)
		return false;
	if (!pw_share_may(&m->pools.log, &pool->ns->log, m->now_ms)) {
		m->scalars.unlogged++;
		return false;
	}
	pw_share_take(&m->pools.log, &pool->ns->log, m->now_ms);
	return true;
}

bool pw_monitor_event(struct pw_monitor *m, struct pw_event *event)
{
	struct pw_watched *pool;

	if (m->next_event == 0)
		pw_monitor_take_answers(m);
	if (m->next_event == m->n_events)
		return false;
	pool = m->events[m->next_event++].pool;
	*event = (struct pw_event){
		.id = pw_monitor_next_event_id(m),
		.time = m->wall,
		.key = pool->key,
		.counts = pool->worst,
		.state = pool->result.state,
		.logged = !may_log(m, pool),
		.rise = {pool->result.reason, pool->result.rise},
		.fall = {pool->result.fall_reason, pool->result.fall},
		.time_to_exhaustion = pool->ended ? PW_NOT_IN_SIGHT : pw_watched_trend(pool)->time_to_exhaustion,
	};
	pw_event_set_previous(event, pool->posted);
	add_text(pool, event);
	pool->posted = pool->result.state;
	pw_pool_name(&pool->key, pool->zone_name, pool->ns->name, event->name);
	pw_address_text(&pool->key.local, pool->zone_name, event->local_text);
	pw_address_text(&pool->key.remote, NULL, event->remote_text);
	snprintf(event->label, sizeof(event->label), "%s", pw_watched_label(pool));
	snprintf(event->owner, sizeof(event->owner), "%s", pool->owner);
	return true;
}

void pw_monitor_repost(struct pw_monitor *m, const struct pw_pool_key *key)
{
	struct pw_watched *pool = pw_pools_find(&m->pools, key);

	if (pool != NULL)
		pool->posted = PW_STATE_NORMAL;
}

/* --- step 4 ----------------------------------------------------------------------------------------------------- */

const struct pw_snapshot *pw_monitor_build(struct pw_monitor *m)
{
	const struct pw_snapshot *snapshot = NULL;

	pw_monitor_take_answers(m);
	if (m->chosen)
		snapshot = pw_rows_build(&m->rows, &m->pools, &m->labels, &m->scalars, m->policy->top);
	if (snapshot == NULL)
		m->scalars.dropped++;
	return snapshot;
}

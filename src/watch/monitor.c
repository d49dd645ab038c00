/* SPDX-License-Identifier: BSD-2-Clause */
#include "watch/monitor.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "watch/compose.h"
#include "watch/listing.h"
#include "watch/newcomers.h"
#include "watch/tracker.h"

/* Pools that a policy can name exactly; the rest of an absurd list is matched like any other. */
#define EXACT_MAX 10000

/* Allocations measured in one poll. */
#define LATENCIES 16

struct pw_monitor {
	const struct pw_policy *policy;
	uint32_t epoch; /* of the policy */
	uint32_t renotify_s;
	struct pw_tracker tracker;
	struct pw_listing listing;
	struct pw_newcomers newcomers;
	struct pw_event_ids ids;
	struct pw_snapshot scalars; /* what the next snapshot says beside its tables */
	uint64_t poll_number;
	uint32_t last_event_id, last_alarm_index;
	uint32_t refused;          /* pools worth a row that are not even tracked, in this poll */
	struct pw_tracked *events; /* pools that this poll has an event of */
};

/* --- life and settings ------------------------------------------------------------------------------------------ */

/* Pools remembered at most, whatever the host does: all that can have rows, and as many again as fewer than four
 * million sockets can't have of 64 ports each. */
static size_t tracked_max(const struct pw_policy *policy)
{
	return 65536 + (size_t)policy->max_rows + policy->max_alarms;
}

struct pw_monitor *pw_monitor_new(const struct pw_policy *policy, struct timespec start_time)
{
	struct pw_monitor *m = calloc(1, sizeof(*m));

	if (m == NULL)
		return NULL;
	m->policy = policy;
	m->epoch = 1;
	m->tracker.max = tracked_max(policy);
	m->scalars.start_time = start_time;
	return m;
}

void pw_monitor_free(struct pw_monitor *m)
{
	if (m == NULL)
		return;
	pw_tracker_clear(&m->tracker);
	pw_listing_clear(&m->listing);
	pw_newcomers_clear(&m->newcomers);
	free(m);
}

/* What the policy says about a pool. */
static void apply_policy(const struct pw_monitor *m, struct pw_tracked *pool)
{
	pool->rule = pw_policy_rule(m->policy, &pool->key, pool->ns->name);
	pool->ignored = pw_policy_ignores(m->policy, &pool->key, pool->ns->name);
}

static bool is_tcp_bind(const struct pw_tracked *pool)
{
	return pool->key.kind == PW_KIND_BIND && pool->key.protocol == IPPROTO_TCP;
}

static bool is_snat(const struct pw_tracked *pool)
{
	return pool->key.kind == PW_KIND_SNAT;
}

/* The thresholds in force, or NULL. */
static const struct pw_thresholds *in_force(const struct pw_monitor *m, const struct pw_tracked *pool)
{
	return pool->ignored ? NULL : pw_policy_thresholds(m->policy, pool->rule, &pool->key, pool->bound_holds);
}

/* The ports from which a pool is worth a row of itself. */
static uint32_t floor_of(const struct pw_monitor *m, const struct pw_tracked_ns *ns, const struct pw_pool_key *key,
	const struct pw_pool_counts *counts)
{
	return key->kind == PW_KIND_SNAT ? pw_policy_snat_floor(m->policy, counts->capacity) : ns->floor;
}

void pw_monitor_set_policy(struct pw_monitor *m, const struct pw_policy *policy)
{
	struct pw_tracked *pool, *next;

	m->policy = policy;
	m->epoch++;
	m->tracker.max = tracked_max(policy);
	HASH_ITER(hh, m->tracker.pools, pool, next)
	{
		apply_policy(m, pool);
		pool->thresholds = in_force(m, pool);
	}
}

void pw_monitor_set_renotify(struct pw_monitor *m, uint32_t seconds)
{
	m->renotify_s = seconds;
}

void pw_monitor_set_config_failed(struct pw_monitor *m, bool failed)
{
	m->scalars.config_failed = failed;
}

void pw_monitor_set_event_ids(
	struct pw_monitor *m, uint32_t (*last_id)(const struct pw_pool_key *key, void *context), void *context)
{
	m->ids = (struct pw_event_ids){last_id, context};
}

uint32_t pw_monitor_next_event_id(struct pw_monitor *m)
{
	m->last_event_id += m->last_event_id == UINT32_MAX ? 2 : 1; /* 0 means none */
	return m->last_event_id;
}

#define SNAT_KINDS (1u << PW_KIND_SNAT)
#define SOCKET_KINDS (1u << PW_KIND_CONNECT | 1u << PW_KIND_BIND)

/* Whether a `pool` section may match a pool of one of these kinds in a namespace (NULL: whatever its name is). */
static bool rule_reaches(const struct pw_policy *policy, const char *ns_name, uint32_t kinds)
{
	for (size_t i = 0; i < policy->n_rules; i++) {
		const struct pw_match *match = &policy->rules[i].match;

		if ((ns_name == NULL || pw_match_ns(match, ns_name)) &&
			(match->kinds == 0 || (match->kinds & kinds) != 0))
			return true;
	}
	return false;
}

bool pw_monitor_needs(const struct pw_monitor *m, uint32_t index)
{
	const struct pw_tracked_ns *ns = pw_tracker_ns(&m->tracker, index);

	return (ns != NULL && ns->tracked != 0) || rule_reaches(m->policy, ns != NULL ? ns->name : NULL, SOCKET_KINDS);
}

bool pw_monitor_needs_snat(const struct pw_monitor *m, uint32_t index)
{
	const struct pw_tracked_ns *ns = pw_tracker_ns(&m->tracker, index);

	return (ns != NULL && ns->tracked_snat != 0) ||
		rule_reaches(m->policy, ns != NULL ? ns->name : NULL, SNAT_KINDS);
}

/* --- taking the numbers of a poll ------------------------------------------------------------------------------- */

struct intake {
	struct pw_monitor *monitor;
	const struct pw_poll *poll;
	struct pw_tracked_ns *ns;
	bool rules; /* a `pool` section may match in this namespace */
};

static void take_numbers(const struct intake *in, struct pw_tracked *pool, const struct pw_pool_counts *counts)
{
	if (pool->history != NULL && counts->capacity != pool->counts.capacity)
		pw_history_shift(pool->history, (int32_t)(counts->capacity - pool->counts.capacity));
	pool->counts = *counts;
	pool->poll = in->monitor->poll_number;
	if (pool->history == NULL)
		pool->history = pw_history_new();
	if (pool->history == NULL)
		in->monitor->scalars.dropped++;
	else
		pw_history_add(pool->history, in->poll->now_ms, counts->free);
	if (counts->used >= pool->peak) {
		pool->peak = counts->used;
		pool->peak_ms = in->poll->now_ms;
	}
}

static const char *zone_name(const struct pw_ns_poll *ns, uint32_t zone)
{
	const char *name = zone != 0 && ns->ifname != NULL ? ns->ifname(zone, ns->context) : NULL;

	return name != NULL ? name : "";
}

/* Starts to track a pool, unless it is ignored. */
static struct pw_tracked *track(const struct intake *in, const struct pw_pool_key *key)
{
	struct pw_monitor *m = in->monitor;
	struct pw_tracked *pool;

	if (pw_policy_ignores(m->policy, key, in->ns->name))
		return NULL;
	pool = pw_tracker_add(&m->tracker, in->ns, key);
	if (pool == NULL) {
		m->refused++;
		m->scalars.dropped++;
		return NULL;
	}
	apply_policy(m, pool);
	pool->state_ms = in->poll->now_ms;
	snprintf(pool->zone_name, sizeof(pool->zone_name), "%s", zone_name(in->ns->poll, key->local.zone));
	return pool;
}

/* A pool below the floor that a `pool` section may match: it is worth a row if there is room for one, and tracked in
 * any case when it crosses a threshold of its section. Returns it once it is tracked, else NULL. */
static struct pw_tracked *take_matched(
	const struct intake *in, const struct pw_pool_key *key, const struct pw_pool_counts *counts)
{
	struct pw_monitor *m = in->monitor;
	const struct pw_rule *rule = pw_policy_rule(m->policy, key, in->ns->name);
	const struct pw_thresholds *thresholds = pw_policy_thresholds(m->policy, rule, key, false);
	const struct pw_alarm_input input = {counts->utilization, counts->free, PW_NOT_IN_SIGHT};

	if (rule == NULL || pw_policy_ignores(m->policy, key, in->ns->name))
		return NULL;
	if (thresholds != NULL && pw_alarm_wanted(thresholds, &input))
		return track(in, key);
	pw_newcomers_add(&m->newcomers, key, counts);
	return NULL;
}

static int visit(const struct pw_pool_key *key, const struct pw_pool_counts *counts, void *context)
{
	const struct intake *in = context;
	struct pw_tracked *pool = pw_tracker_find(&in->monitor->tracker, key);

	if (pool == NULL && counts->used >= floor_of(in->monitor, in->ns, key, counts))
		pool = track(in, key);
	else if (pool == NULL && in->rules)
		pool = take_matched(in, key, counts);
	if (pool != NULL)
		take_numbers(in, pool, counts);
	return 0;
}

static void take_newcomers(const struct intake *in)
{
	struct pw_newcomers *newcomers = &in->monitor->newcomers;

	for (size_t i = 0; i < newcomers->n; i++) {
		struct pw_tracked *pool = track(in, &newcomers->heap[i].key);

		if (pool != NULL)
			take_numbers(in, pool, &newcomers->heap[i].counts);
	}
	in->monitor->refused += newcomers->refused;
}

static uint32_t least(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

/* A section without namespace names pools of the daemon's own. */
static bool names_in(const struct pw_match *match, const struct pw_tracked_ns *ns)
{
	return strcmp(match->ns != NULL ? match->ns : "", ns->name) == 0;
}

static void take_exact(const struct intake *in)
{
	const struct pw_policy *policy = in->monitor->policy;
	unsigned n = 0;

	for (size_t i = 0; i < policy->n_rules; i++) {
		struct pw_pool_key key;
		size_t position = 0;

		while (names_in(&policy->rules[i].match, in->ns) && n < EXACT_MAX &&
			pw_match_next_exact(&policy->rules[i].match, &position, &key)) {
			struct pw_tracked *pool;

			key.ns = in->ns->index;
			pool = pw_tracker_find(&in->monitor->tracker, &key);
			pool = pool != NULL ? pool : track(in, &key);
			if (pool != NULL)
				pool->exact_epoch = in->monitor->epoch;
			n++;
		}
	}
}

/* Whether this poll has new numbers of a pool's sort. */
static bool is_counted(const struct pw_tracked *pool)
{
	if (is_snat(pool))
		return pool->ns->snat_counted;
	return pool->ns->counted && (pool->key.protocol != IPPROTO_UDP || pool->ns->udp_counted);
}

/* Pools of this namespace that the walk did not meet hold fewer ports than it looked for; most of them none. */
static void take_unmet(const struct intake *in)
{
	struct pw_tracked *pool, *next;

	HASH_ITER(hh, in->monitor->tracker.pools, pool, next)
	{
		struct pw_pool_counts counts;

		if (pool->ns != in->ns || pool->poll == in->monitor->poll_number || !is_counted(pool))
			continue;
		if (is_snat(pool))
			pw_snat_pool(in->ns->poll->snat.pools, &pool->key, &counts);
		else
			pw_census_pool(in->ns->poll->census, &pool->key, &counts);
		take_numbers(in, pool, &counts);
	}
}

static void take_range(struct pw_tracked_ns *ns)
{
	const struct pw_ns_poll *poll = ns->poll;
	const struct pw_range *range = pw_census_range(poll->census);
	const struct pw_census_totals *totals = pw_census_totals(poll->census);

	ns->sockets = totals->sockets;
	ns->pools = totals->pools;
	ns->row = (struct pw_ns_row){
		.low = range->low,
		.high = range->high,
		.reserved = (uint32_t)range->high - range->low + 1 - totals->capacity,
		.capacity = totals->capacity,
		.tcp = poll->tcp,
		.tcp_time_wait = poll->tcp_time_wait,
		.udp = poll->udp,
		.tw_reuse = range->tw_reuse,
		.blocked = totals->blocked,
		.basis = totals->basis,
		.failing = poll->udp_status == PW_POLL_FAILED,
	};
}

/* Whatever became of the sockets. */
static void take_snat_row(struct pw_tracked_ns *ns)
{
	const struct pw_snat_poll *snat = &ns->poll->snat;

	ns->row.snat_failures = snat->failures;
	ns->row.snat_status = snat->status != 0 ? snat->status : PW_SNAT_OFF;
	snprintf(ns->snat_reason, sizeof(ns->snat_reason), "%s", snat->reason != NULL ? snat->reason : "");
}

/* Makes room for the small pools that a `pool` section may match. */
static void expect_newcomers(struct intake *in, uint32_t kinds, uint32_t pools)
{
	const struct pw_policy *policy = in->monitor->policy;

	in->rules = rule_reaches(policy, in->ns->name, kinds);
	if (pw_newcomers_reset(&in->monitor->newcomers, in->rules ? least(policy->max_rows, pools) : 0) < 0)
		in->monitor->scalars.dropped++;
}

static void take_census(struct intake *in)
{
	struct pw_tracked_ns *ns = in->ns;
	struct pw_census *census = ns->poll->census;
	const struct pw_census_totals *totals = pw_census_totals(census);
	const struct pw_policy *policy = in->monitor->policy;

	ns->counted = true;
	ns->udp_counted = ns->poll->udp_status == PW_POLL_COUNTED;
	/* an end of an odd range is as good as blocked: it counts towards the utilization */
	ns->floor = pw_policy_pool_floor(
		policy, totals->capacity, totals->blocked + pw_range_is_odd(pw_census_range(census)));
	expect_newcomers(in, SOCKET_KINDS, totals->pools);
	pw_census_each(census, in->rules ? 1 : ns->floor, visit, in);
	take_newcomers(in);
	take_exact(in);
}

static void take_snat(struct intake *in)
{
	const struct pw_snat_poll *snat = &in->ns->poll->snat;

	in->ns->snat_counted = true;
	in->ns->snat_pools = pw_snat_pools(snat->pools);
	expect_newcomers(in, SNAT_KINDS, in->ns->snat_pools);
	pw_snat_each(snat->pools,
		in->rules ? 1 : pw_policy_snat_floor(in->monitor->policy, pw_snat_smallest(snat->pools)), visit, in);
	take_newcomers(in);
}

static void take_ns(struct pw_monitor *m, const struct pw_poll *poll, struct pw_tracked_ns *ns)
{
	struct intake in = {.monitor = m, .poll = poll, .ns = ns};

	if (ns->poll->status == PW_POLL_FAILED) {
		ns->row.failing = true;
		ns->row.basis = ns->row.basis != 0 ? ns->row.basis : PW_BASIS_INFERRED;
	} else {
		take_range(ns);
	}
	take_snat_row(ns);
	ns->snat_pools = ns->poll->snat.pools != NULL ? ns->snat_pools : 0;
	if (ns->poll->status == PW_POLL_COUNTED)
		take_census(&in);
	if (ns->poll->snat.fresh)
		take_snat(&in);
	if (ns->counted || ns->snat_counted)
		take_unmet(&in);
}

static void take_poll(struct pw_monitor *m, const struct pw_poll *poll)
{
	struct pw_tracked_ns *ns, *next;

	HASH_ITER(hh, m->tracker.namespaces, ns, next)
	{
		ns->poll = NULL;
		ns->counted = ns->udp_counted = ns->snat_counted = false;
	}
	for (size_t i = 0; i < poll->n_ns; i++) {
		if (poll->ns[i].status == PW_POLL_GONE)
			continue;
		ns = pw_tracker_add_ns(&m->tracker, poll->ns[i].index, poll->ns[i].name);
		if (ns == NULL)
			m->scalars.dropped++;
		else
			ns->poll = &poll->ns[i];
	}
	HASH_ITER(hh, m->tracker.namespaces, ns, next)
	if (ns->poll != NULL)
		take_ns(m, poll, ns);
}

/* --- states ----------------------------------------------------------------------------------------------------- */

static void note_event(struct pw_monitor *m, const struct pw_poll *poll, struct pw_tracked *pool)
{
	pool->notified_ms = poll->now_ms;
	LL_PREPEND2(m->events, pool, next_event);
}

static void state_changed(struct pw_monitor *m, const struct pw_poll *poll, struct pw_tracked *pool)
{
	pool->state_ms = poll->now_ms;
	if (pool->previous == PW_STATE_NORMAL) {
		pool->alarm_index = ++m->last_alarm_index;
		pool->alarm_since = poll->wall;
	}
	m->scalars.alarms_changed_ms = poll->now_ms;
	note_event(m, poll, pool);
}

static void step(struct pw_monitor *m, const struct pw_poll *poll, struct pw_tracked *pool)
{
	const struct pw_thresholds *t = pool->thresholds;
	struct pw_alarm_input input = {.utilization = pool->counts.utilization,
		.free = pool->counts.free,
		.time_to_exhaustion = PW_NOT_IN_SIGHT};

	if (t != NULL && t->forecast_within != 0)
		input.time_to_exhaustion = pw_tracked_trend(pool)->time_to_exhaustion;
	pool->previous = pool->result.state;
	pool->result = pw_alarm_step(&pool->alarm, t, &input);
	if (pool->result.state != pool->previous)
		state_changed(m, poll, pool);
	else if (pw_tracked_alarmed(pool) && m->renotify_s != 0 &&
		poll->now_ms - pool->notified_ms >= (uint64_t)m->renotify_s * 1000)
		note_event(m, poll, pool);
	pool->latency_us = 0;
}

/* Whether bind() holds enough of a TCP bind pool to make it alarm; once it does, until a quarter less is held. */
static bool bound_holds(const struct pw_monitor *m, const struct pw_tracked *pool)
{
	uint32_t enough = pw_policy_pool_floor(m->policy, pool->counts.capacity, 0);

	return pool->counts.bound >= (pool->bound_holds ? enough - enough / 4 : enough);
}

/* Whether it deserves a row of itself, not only because it had one. */
static bool is_worthy(const struct pw_monitor *m, const struct pw_tracked *pool)
{
	return pool->counts.used >= floor_of(m, pool->ns, &pool->key, &pool->counts) ||
		(pool->rule != NULL && pool->counts.used != 0) || pool->exact_epoch == m->epoch ||
		pw_tracked_alarmed(pool);
}

/* Its namespace does not exist any more, or its kind is not watched any more. */
static bool is_gone(const struct pw_tracked *pool)
{
	return pool->ns->poll == NULL || (is_snat(pool) && pool->ns->poll->snat.pools == NULL);
}

static void end(struct pw_monitor *m, const struct pw_poll *poll, struct pw_tracked *pool)
{
	if (is_gone(pool))
		pool->counts = (struct pw_pool_counts){0};
	pool->ended = true;
	pool->thresholds = NULL;
	step(m, poll, pool);
}

static void evaluate(struct pw_monitor *m, const struct pw_poll *poll)
{
	struct pw_tracked *pool, *next;

	HASH_ITER(hh, m->tracker.pools, pool, next)
	{
		if (is_gone(pool) || pool->ignored) {
			end(m, poll, pool);
			continue;
		}
		if (pool->poll != m->poll_number)
			continue; /* nothing new is known */
		pool->bound_holds = is_tcp_bind(pool) && bound_holds(m, pool);
		pool->thresholds = in_force(m, pool);
		step(m, poll, pool);
		if (is_worthy(m, pool))
			pool->worthy_ms = poll->now_ms;
	}
}

/* --- events ----------------------------------------------------------------------------------------------------- */

static int by_urgency(const struct pw_tracked *a, const struct pw_tracked *b)
{
	int a_rank = a->result.state < a->previous ? 0 : (int)a->result.state;
	int b_rank = b->result.state < b->previous ? 0 : (int)b->result.state;

	if (a_rank != b_rank)
		return b_rank - a_rank;
	if (a->counts.utilization != b->counts.utilization)
		return a->counts.utilization < b->counts.utilization ? 1 : -1;
	return pw_tracked_compare(a, b);
}

/* Says who holds a pool, once a poll. One without new numbers keeps the owner that it had. */
static void find_owner(const struct pw_monitor *m, struct pw_tracked *pool)
{
	const struct pw_ns_poll *ns = pool->ns->poll;
	struct pw_owners owners;

	if (pool->owner_poll == m->poll_number || pool->poll != m->poll_number || ns == NULL ||
		ns->owner_name == NULL || pool->key.kind == PW_KIND_SNAT)
		return;
	pool->owner_poll = m->poll_number;
	pw_census_owners(ns->census, &pool->key, &owners);
	pw_owners_text(&owners, ns->owner_name, ns->context, pool->owner);
}

static void fill_event(
	struct pw_monitor *m, const struct pw_poll *poll, struct pw_tracked *pool, struct pw_event *event)
{
	find_owner(m, pool);
	*event = (struct pw_event){
		.id = pw_monitor_next_event_id(m),
		.time = poll->wall,
		.key = pool->key,
		.counts = pool->counts,
		.state = pool->result.state,
		.rise = {pool->result.reason, pool->result.rise},
		.fall = {pool->result.fall_reason, pool->result.fall},
		.time_to_exhaustion = pool->ended ? PW_NOT_IN_SIGHT : pw_tracked_trend(pool)->time_to_exhaustion,
	};
	pw_event_set_previous(event, pool->previous);
	pw_tracked_name(pool, event->name);
	pw_address_text(&pool->key.local, pool->zone_name, event->local_text);
	pw_address_text(&pool->key.remote, NULL, event->remote_text);
	snprintf(event->label, sizeof(event->label), "%s", pw_tracked_label(pool));
	snprintf(event->owner, sizeof(event->owner), "%s", pool->owner);
}

static void emit_events(struct pw_monitor *m, const struct pw_poll *poll, pw_monitor_event *emit, void *context)
{
	struct pw_tracked *pool;
	struct pw_event event;

	LL_SORT2(m->events, by_urgency, next_event);
	LL_FOREACH2(m->events, pool, next_event)
	{
		fill_event(m, poll, pool, &event);
		if (emit != NULL)
			emit(&event, context);
	}
	m->events = NULL;
}

/* --- rows ------------------------------------------------------------------------------------------------------- */

/* Forgets what has ended, and what was worth no row for so long that it need not linger any more. */
static void expire(struct pw_monitor *m, const struct pw_poll *poll)
{
	uint64_t linger_ms = (uint64_t)m->policy->linger_s * 1000;
	struct pw_tracked_ns *ns, *next_ns;
	struct pw_tracked *pool, *next;

	HASH_ITER(hh, m->tracker.pools, pool, next)
	{
		bool idle = pool->poll == m->poll_number && pool->worthy_ms != poll->now_ms;

		if (pool->ended || (idle && (!pool->listed || poll->now_ms - pool->worthy_ms >= linger_ms)))
			pw_tracker_remove(&m->tracker, pool);
	}
	HASH_ITER(hh, m->tracker.namespaces, ns, next_ns)
	if (ns->poll == NULL)
		pw_tracker_remove_ns(&m->tracker, ns);
}

/* Forgets small pools that a `pool` section matches but that found no place in the table. */
static void trim(struct pw_monitor *m)
{
	struct pw_tracked *pool, *next;

	HASH_ITER(hh, m->tracker.pools, pool, next)
	if (!pool->listed && pool->poll == m->poll_number && !pw_alarm_pending(&pool->alarm) &&
		pool->counts.used < floor_of(m, pool->ns, &pool->key, &pool->counts))
		pw_tracker_remove(&m->tracker, pool);
}

static bool is_measurable(const struct pw_monitor *m, const struct pw_tracked *pool)
{
	return pool->poll == m->poll_number && pool->key.kind == PW_KIND_CONNECT && pool->counts.free > 2 &&
		pool->ns->poll->alloc_latency != NULL;
}

/* Measures the worst of the alarmed pools. */
static void measure(struct pw_monitor *m)
{
	struct pw_tracked *worst[LATENCIES];
	size_t n = 0, at;

	for (size_t i = 0; i < m->listing.n_alarms; i++) {
		struct pw_tracked *pool = m->listing.alarms[i];

		if (!is_measurable(m, pool) || (n == LATENCIES && pw_tracked_worse(worst[n - 1], pool) <= 0))
			continue;
		n += n < LATENCIES;
		for (at = n - 1; at > 0 && pw_tracked_worse(worst[at - 1], pool) > 0; at--)
			worst[at] = worst[at - 1];
		worst[at] = pool;
	}
	for (size_t i = 0; i < n; i++)
		worst[i]->latency_us = worst[i]->ns->poll->alloc_latency(&worst[i]->key, worst[i]->ns->poll->context);
}

static bool all_failed(const struct pw_poll *poll)
{
	for (size_t i = 0; i < poll->n_ns; i++)
		if (poll->ns[i].status != PW_POLL_FAILED)
			return false;
	return poll->n_ns != 0;
}

static void take_scalars(struct pw_monitor *m, const struct pw_poll *poll)
{
	struct pw_snapshot *s = &m->scalars;

	s->generation++;
	s->poll_interval_ms = poll->interval_ms;
	s->connect_failures = poll->connect_failures;
	s->connect_failures_counting = poll->connect_failures_counting;
	s->connect_failures_reason = poll->connect_failures_reason != NULL ? poll->connect_failures_reason : "";
	s->polls++;
	if (all_failed(poll)) {
		s->poll_errors++;
		return;
	}
	s->poll_ms = poll->now_ms;
	s->poll_duration_us = poll->duration_us;
}

static const struct pw_snapshot *build(struct pw_monitor *m, const struct pw_poll *poll)
{
	const struct pw_snapshot *snapshot;

	if (pw_listing_choose(&m->listing, &m->tracker, m->policy, m->epoch, poll->now_ms) < 0)
		return NULL;
	measure(m);
	for (size_t i = 0; i < m->listing.n; i++)
		find_owner(m, m->listing.pools[i]);
	m->scalars.pools_omitted = m->listing.omitted + m->refused;
	snapshot = pw_compose(&m->scalars, &m->tracker, &m->listing, m->policy->top, &m->ids);
	trim(m);
	return snapshot;
}

const struct pw_snapshot *pw_monitor_update(
	struct pw_monitor *m, const struct pw_poll *poll, pw_monitor_event *emit, void *context)
{
	const struct pw_snapshot *snapshot;

	m->poll_number++;
	m->refused = 0;
	take_scalars(m, poll);
	take_poll(m, poll);
	evaluate(m, poll);
	emit_events(m, poll, emit, context);
	expire(m, poll);
	snapshot = build(m, poll);
	if (snapshot == NULL)
		m->scalars.dropped++;
	return snapshot;
}

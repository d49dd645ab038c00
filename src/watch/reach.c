/* SPDX-License-Identifier: BSD-2-Clause */
/* How far the pools are from their thresholds: what the kernel is asked to ring at */
#include <netinet/in.h>

#include "watch/pools.h"

/* Pools that have taken less than this part of what they could take are not walked through: what they have is left out
 * of what any pool can take. */
#define SMALL_PART 8

/* The part of its ports that the peak of a pool with an alarm may be wrong by. */
#define DRIFT_PART 100

struct reach {
	const struct pw_monitor *monitor;
	const struct pw_watched_ns *ns;
	pw_reach_visit *visit;
	void *context;
};

/* What a pool can take that has no alarm: it gets one of the defaults only when it is worth a row. */
static uint32_t reach_of(const struct pw_monitor *m, const struct pw_watched_ns *ns, const struct pw_rule *rule,
	const struct pw_pool_key *key, const struct pw_pool_counts *counted)
{
	const struct pw_thresholds *t = pw_policy_thresholds(m->policy, rule, key, false);
	struct pw_pool_counts counts = *counted;
	uint32_t floor, reach;

	pw_rule_limit(rule, &counts);
	reach = pw_alarm_reach(NULL, t, &counts);
	floor = rule == NULL ? pw_watched_floor(m, ns, key, &counts) : 1;
	return floor > counts.used && floor - counts.used > reach ? floor - counts.used : reach;
}

static int visit_pool(const struct pw_pool_key *key, const struct pw_pool_counts *counts, void *context)
{
	const struct reach *in = context;
	const struct pw_monitor *m = in->monitor;

	/* those that are watched come later */
	if (key->kind == PW_KIND_CONNECT && pw_pools_find(&m->pools, key) == NULL &&
		!pw_policy_ignores(m->policy, key, in->ns->name))
		in->visit(key, reach_of(m, in->ns, pw_policy_rule(m->policy, key, in->ns->name), key, counts),
			UINT32_MAX, in->context);
	return 0;
}

/* A bind pool of TCP only where that may alarm. */
static bool is_told_of(const struct pw_watched *pool)
{
	if (pool->key.kind == PW_KIND_CONNECT)
		return !pw_pool_is_new_destination(&pool->key);
	return pool->key.kind == PW_KIND_BIND && pool->key.protocol == IPPROTO_TCP && pool->thresholds != NULL;
}

/* What a pool without ports can take, whichever section matches it. */
static uint32_t reach_of_empty(const struct pw_monitor *m, const struct pw_watched_ns *ns, struct pw_source *sockets)
{
	const struct pw_pool_key key = {.kind = PW_KIND_CONNECT, .protocol = IPPROTO_TCP};
	struct pw_pool_counts empty, counts;
	struct pw_portset ports;
	uint32_t least, reach;

	pw_source_pool(sockets, &key, &empty);
	least = reach_of(m, ns, NULL, &key, &empty);
	for (size_t i = 0; i < m->policy->n_rules; i++) {
		const struct pw_rule *rule = &m->policy->rules[i];

		if (!pw_match_ns(&rule->match, ns->name) ||
			(rule->match.kinds != 0 && (rule->match.kinds & 1u << PW_KIND_CONNECT) == 0))
			continue;
		counts = empty;
		if (rule->ports != NULL) {
			ports = *rule->ports;
			counts = (struct pw_pool_counts){.capacity = pw_portset_count(&ports)};
			pw_portset_subtract(&ports, pw_census_blocked(ns->poll->census));
			counts.free = pw_portset_count(&ports);
			counts.fast_free = counts.free / 2;
		}
		reach = reach_of(m, ns, rule, &key, &counts);
		least = reach < least ? reach : least;
	}
	return least;
}

/* Of one namespace. */
static uint32_t reach_in(const struct reach *in)
{
	struct pw_source *sockets = in->ns->poll->sources[PW_SOURCE_SOCKETS];
	uint32_t least = reach_of_empty(in->monitor, in->ns, sockets), small;
	struct pw_watched *pool, *next;

	HASH_ITER(hh, in->monitor->pools.pools, pool, next)
	if (pool->ns == in->ns && is_told_of(pool))
		in->visit(&pool->key,
			pool->thresholds != NULL ? pw_alarm_reach(&pool->alarm, pool->thresholds, &pool->counts)
						 : UINT32_MAX,
			pw_watched_alarmed(pool) && pool->key.kind == PW_KIND_CONNECT
				? pool->counts.capacity / DRIFT_PART
				: UINT32_MAX,
			in->context);
	if (in->ns->poll->status == PW_POLL_COUNTED) {
		small = least / SMALL_PART + 1;
		pw_source_each(sockets, small, visit_pool, (void *)in);
	} else {
		small = pw_policy_floor(in->monitor->policy, in->ns->row.capacity);
	}
	return least > small ? least - (small - 1) : 1;
}

uint32_t pw_monitor_reach(const struct pw_monitor *m, pw_reach_visit *visit, void *context)
{
	struct reach in = {.monitor = m, .visit = visit, .context = context};
	struct pw_watched_ns *ns, *next;
	uint32_t least = UINT32_MAX, own;

	HASH_ITER(hh, m->pools.namespaces, ns, next)
	{
		in.ns = ns;
		if (ns->poll == NULL || ns->poll->status == PW_POLL_FAILED)
			continue;
		own = reach_in(&in);
		least = own < least ? own : least;
	}
	return least;
}

bool pw_monitor_reach_tells(const struct pw_monitor *m, uint32_t index)
{
	const struct pw_watched_ns *ns = pw_pools_ns(&m->pools, index);
	struct pw_watched *pool, *next;

	if (ns == NULL || m->policy->defaults.forecast_within != 0)
		return false;
	for (size_t i = 0; i < m->policy->n_rules; i++)
		if (pw_match_ns(&m->policy->rules[i].match, ns->name) &&
			m->policy->rules[i].thresholds.forecast_within != 0)
			return false;
	HASH_ITER(hh, m->pools.pools, pool, next)
	if (pool->ns == ns && pool->thresholds != NULL && pool->thresholds->forecast_within != 0)
		return false;
	return true;
}

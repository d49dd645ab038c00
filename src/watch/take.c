/* SPDX-License-Identifier: BSD-2-Clause */
/* The numbers of a poll: which pools are watched from it on, and what the sources say of them */
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "watch/pools.h"

/* Pools that a policy can name exactly; the rest of an absurd list is matched like any other. */
#define EXACT_MAX 10000

/* A pool that is not watched yet. */
struct small_pool {
	struct pw_pool_key key;
	struct pw_pool_counts counts;
};

struct taking {
	struct pw_monitor *monitor;
	const struct pw_poll *poll;
	struct pw_watched_ns *ns;
	bool rules; /* a `pool` section may match in this namespace */
	struct small_pool *
		small; /* pools below the floor that a section matches: of two times max_rows the larger half is kept */
	size_t n_small, small_room;
};

/* What happened since the last look. Ports in TIME_WAIT by then may have become free meanwhile, unseen. */
static void take_since(const struct taking *in, struct pw_watched *pool)
{
	const struct pw_poll *poll = in->poll;
	const bool based = pool->base_poll != 0 && pool->base_poll == in->monitor->look_number;
	const uint32_t used = pool->counts.used, base = based ? pool->base_used - pool->base_time_wait : 0;
	struct pw_pool_since since = {.known = false};
	uint32_t more, bound = used;

	pool->worst = pool->counts;
	if (poll->since != NULL && pool->key.kind == PW_KIND_CONNECT && !pw_pool_is_new_destination(&pool->key))
		poll->since(&pool->key, &since, poll->since_context);
	pool->unheard = since.known && !since.told;
	if (since.sure && since.least > 0 && base + (uint32_t)since.least > used) {
		more = base + (uint32_t)since.least - used;
		more = more < pool->counts.free ? more : pool->counts.free;
		pool->worst.used += more;
		pool->worst.free -= more;
		pool->worst.doubt = pool->worst.doubt < pool->worst.free ? pool->worst.doubt : pool->worst.free;
		pool->worst.utilization = pw_utilization(pool->worst.capacity, pool->worst.free);
	}
	if (since.known) {
		bound = based ? pool->base_used : in->ns->sources[PW_SOURCE_SOCKETS].floor; /* else it was small */
		bound += !since.sure ? since.allocations : since.most > 0 ? (uint32_t)since.most : 0;
	}
	bound = bound < pool->counts.capacity ? bound : pool->counts.capacity;
	if (pool->worst.used >= pool->peak) {
		pool->peak = pool->worst.used;
		pool->peak_ms = poll->now_ms;
	}
	bound = bound > pool->peak ? bound : pool->peak;
	pool->peak_bound = bound > pool->peak_bound ? bound : pool->peak_bound;
}

static void take_numbers(const struct taking *in, struct pw_watched *pool, const struct pw_pool_counts *counted)
{
	struct pw_pool_counts limited = *counted, *counts = &limited;

	pw_rule_limit(pool->rule, counts);
	if (pool->history != NULL && counts->capacity != pool->counts.capacity)
		pw_history_shift(pool->history, (int32_t)(counts->capacity - pool->counts.capacity));
	pool->counts = *counts;
	pool->poll = in->monitor->poll_number;
	if (pool->history == NULL && !pool->small && (pool->history = pw_history_new()) == NULL)
		in->monitor->scalars.dropped++;
	if (pool->history != NULL)
		pw_history_add(pool->history, in->poll->now_ms, counts->free);
	take_since(in, pool);
	if (in->poll->look) {
		pool->base_used = counts->used;
		pool->base_time_wait = counts->time_wait;
		pool->base_poll = in->monitor->poll_number;
	}
}

/* Starts to watch a pool, unless it is ignored. */
static struct pw_watched *watch(const struct taking *in, const struct pw_pool_key *key)
{
	struct pw_monitor *m = in->monitor;
	struct pw_watched *pool;

	if (pw_policy_ignores(m->policy, key, in->ns->name))
		return NULL;
	pool = pw_pools_add(&m->pools, in->ns, key);
	if (pool == NULL) {
		m->refused++;
		m->scalars.dropped++;
		return NULL;
	}
	pw_watched_apply_policy(m, pool);
	pool->state_ms = in->poll->now_ms;
	return pool;
}

void pw_monitor_failed(struct pw_monitor *m, const struct pw_pool_key *key, uint64_t count, uint64_t last_ms)
{
	const struct pw_poll poll = {.now_ms = last_ms};
	const struct taking in = {.monitor = m, .poll = &poll, .ns = pw_pools_ns(&m->pools, key->ns)};
	struct pw_watched *pool;

	if (in.ns == NULL)
		return;
	in.ns->failures += count;
	pool = pw_pools_find(&m->pools, key);
	if (pool == NULL)
		pool = watch(&in, key);
	if (pool == NULL)
		return;
	pool->failures += count;
	if (pool->rule != NULL)
		pw_labels_failed(&m->labels, pool->rule, count);
	pool->failed_ms = last_ms;
	pool->failed_poll = m->poll_number + 1;
}

void pw_monitor_rang(struct pw_monitor *m, const struct pw_pool_key *key)
{
	const struct pw_poll poll = {.now_ms = m->now_ms};
	const struct taking in = {.monitor = m, .poll = &poll, .ns = pw_pools_ns(&m->pools, key->ns)};

	if (in.ns != NULL && pw_pools_find(&m->pools, key) == NULL)
		watch(&in, key);
}

/* The key decides between equals, so that the same pools win whatever their order. */
static int larger_first(const void *a, const void *b)
{
	const struct small_pool *x = a, *y = b;

	if (x->counts.used != y->counts.used)
		return x->counts.used > y->counts.used ? -1 : 1;
	return pw_pool_key_compare(&x->key, &y->key);
}

/* Only max_rows of the small pools can get a row. */
static void cut_small(struct taking *in)
{
	struct pw_monitor *m = in->monitor;
	const size_t max = m->policy->max_rows;

	if (in->n_small <= max)
		return;
	qsort(in->small, in->n_small, sizeof(*in->small), larger_first);
	for (size_t i = max; i < in->n_small; i++) { /* the others are watched, and add_labels() counts them */
		struct small_pool *pool = &in->small[i];
		const struct pw_rule *rule = pw_policy_rule(m->policy, &pool->key, in->ns->name);

		pw_rule_limit(rule, &pool->counts);
		if (rule != NULL && pw_policy_thresholds(m->policy, rule, &pool->key, false) != NULL)
			pw_labels_add(&m->labels, rule, &pool->counts);
	}
	in->monitor->refused += (uint32_t)(in->n_small - max);
	in->n_small = max;
}

/* A pool below the floor that a `pool` section may match: it is worth a row if there is room for one, and watched in
 * any case when it crosses a threshold of its section. Returns it once it is watched, else NULL. */
static struct pw_watched *take_matched(
	struct taking *in, const struct pw_pool_key *key, const struct pw_pool_counts *counts)
{
	struct pw_monitor *m = in->monitor;
	const struct pw_rule *rule = pw_policy_rule(m->policy, key, in->ns->name);
	const struct pw_thresholds *thresholds = pw_policy_thresholds(m->policy, rule, key, false);
	struct pw_pool_counts limited = *counts;

	pw_rule_limit(rule, &limited);
	if (rule == NULL || pw_policy_ignores(m->policy, key, in->ns->name))
		return NULL;
	if (m->rows.wanted == PW_ROWS_ALL || pw_alarm_wanted(thresholds, &limited))
		return watch(in, key);
	if (!PW_ARRAY_ROOM(in->small, in->small_room, in->n_small + 1)) {
		m->refused++;
		m->scalars.dropped++;
		return NULL;
	}
	in->small[in->n_small++] = (struct small_pool){*key, *counts};
	if (in->n_small >= 2 * (size_t)m->policy->max_rows)
		cut_small(in);
	return NULL;
}

static int visit(const struct pw_pool_key *key, const struct pw_pool_counts *counts, void *context)
{
	struct taking *in = context;
	struct pw_watched *pool = pw_pools_find(&in->monitor->pools, key);
	const bool unseen = pool == NULL, large = counts->used >= pw_watched_floor(in->monitor, in->ns, key, counts);

	if (unseen && large)
		pool = watch(in, key);
	else if (unseen && in->rules)
		pool = take_matched(in, key, counts);
	if (pool == NULL && !large && in->monitor->rows.wanted == PW_ROWS_ALL && (pool = watch(in, key)) != NULL)
		pool->small = true;
	if (pool == NULL)
		return 0;
	pool->small = pool->small && !large;
	take_numbers(in, pool, counts);
	return 0;
}

/* The pool of any new destination holds no port, so no walk meets it. It is watched from where it has an alarm on;
 * then take_unmet() has its numbers. */
static void take_new_destination(const struct taking *in, struct pw_source *source)
{
	const struct pw_policy *policy = in->monitor->policy;
	const struct pw_pool_key key = {.ns = in->ns->index, .kind = PW_KIND_CONNECT, .protocol = IPPROTO_TCP};
	const struct pw_rule *rule = pw_policy_rule(policy, &key, in->ns->name);
	const struct pw_thresholds *thresholds = pw_policy_thresholds(policy, rule, &key, false);
	struct pw_pool_counts counts;

	if (thresholds == NULL || in->ns->row.blocked == 0 || pw_pools_find(&in->monitor->pools, &key) != NULL)
		return;
	pw_source_pool(source, &key, &counts);
	pw_rule_limit(rule, &counts);
	if (counts.blocked != 0 && pw_alarm_wanted(thresholds, &counts))
		watch(in, &key);
}

static void take_exact(const struct taking *in)
{
	const struct pw_policy *policy = in->monitor->policy;
	unsigned n = 0;

	for (size_t i = 0; i < policy->n_rules; i++) {
		const struct pw_match *match = &policy->rules[i].match;
		struct pw_pool_key key;
		size_t position = 0;

		if (strcmp(match->ns != NULL ? match->ns : "", in->ns->name) != 0)
			continue; /* without a namespace it names pools of the daemon's own */
		while (n < EXACT_MAX && pw_match_next_exact(match, &position, &key)) {
			struct pw_watched *pool;

			key.ns = in->ns->index;
			pool = pw_pools_find(&in->monitor->pools, &key);
			pool = pool != NULL ? pool : watch(in, &key);
			if (pool != NULL)
				pool->exact_epoch = in->monitor->epoch;
			n++;
		}
	}
}

/* Pools of this namespace that the walk did not meet hold fewer ports than it looked for; most of them none. */
static void take_unmet(const struct taking *in)
{
	struct pw_watched *pool, *next;

	HASH_ITER(hh, in->monitor->pools.pools, pool, next)
	{
		struct pw_source *source = in->ns->poll->sources[pw_kind_source(pool->key.kind)];
		struct pw_pool_counts counts;

		if (pool->ns != in->ns || pool->poll == in->monitor->poll_number || source == NULL ||
			!pw_source_has(source, &pool->key))
			continue;
		pw_source_pool(source, &pool->key, &counts);
		take_numbers(in, pool, &counts);
	}
}

/* The share of the ports (percent) from which on it matters who blocks them, and is worth the count. */
#define BLOCKED_SHARE 1

static void take_details(struct pw_ns_row *row, struct pw_census *census)
{
	static const uint8_t any[16];
	const struct pw_pool_key wildcard = {
		.kind = PW_KIND_BIND, .protocol = IPPROTO_TCP, .local = pw_address_make(AF_INET6, any, 0)};
	struct pw_pool_counts counts;
	struct pw_portset listening;

	row->ambiguous = pw_census_totals(census)->ambiguous;
	/* the dual-stack wildcard pool of TCP conflicts with every socket of the namespace */
	if (row->blocked > 0 && row->blocked >= row->capacity / 100 * BLOCKED_SHARE) {
		pw_source_pool(pw_census_source(census), &wildcard, &counts);
		row->bound = counts.bound;
	}
	pw_census_listening(census, &listening);
	row->listening = pw_portset_count(&listening);
	for (uint32_t port = row->low, n = 0; n < row->listening && n < PW_LISTENERS_SHOWN; port++)
		if (pw_portset_has(&listening, (uint16_t)port))
			row->listeners[n++] = (uint16_t)port;
}

static void take_source(struct taking *in, enum pw_source_id id)
{
	const struct pw_policy *policy = in->monitor->policy;
	struct pw_watched_source *watched = &in->ns->sources[id];
	struct pw_source *source = in->ns->poll->sources[id];

	in->ns->row.sources[id].failures = source != NULL ? source->failures : 0;
	in->ns->row.sources[id].status = source != NULL ? source->status : PW_SOURCE_OFF;
	snprintf(watched->reason, sizeof(watched->reason), "%s",
		source != NULL && source->reason != NULL ? source->reason : "");
	if (source == NULL)
		watched->pools = 0;
	if (source == NULL || !source->fresh)
		return;
	watched->pools = source->pools;
	watched->capacity = source->capacity;
	watched->gone = source->gone;
	watched->floor = pw_policy_pool_floor(policy, id, source->capacity, source->gone);
	in->rules = pw_policy_reaches(policy, in->ns->name, pw_source_traits[id].kinds);
	pw_source_each(source, in->rules || in->monitor->rows.wanted == PW_ROWS_ALL ? 1 : watched->floor, visit, in);
	cut_small(in);
	for (size_t i = 0; i < in->n_small; i++) {
		struct pw_watched *pool = watch(in, &in->small[i].key);

		if (pool != NULL)
			take_numbers(in, pool, &in->small[i].counts);
	}
	in->n_small = 0;
	if (id == PW_SOURCE_SOCKETS) {
		take_exact(in);
		take_new_destination(in, source);
	}
}

static void take_ns(struct pw_monitor *m, const struct pw_poll *poll, struct pw_watched_ns *ns)
{
	struct taking in = {.monitor = m, .poll = poll, .ns = ns};

	if (ns->poll->status == PW_POLL_FAILED) {
		ns->row.failing = true;
		ns->row.basis = ns->row.basis != 0 ? ns->row.basis : PW_BASIS_INFERRED;
	} else {
		const struct pw_range *range = pw_census_range(ns->poll->census);
		const struct pw_census_totals *totals = pw_census_totals(ns->poll->census);

		ns->sockets = totals->sockets;
		ns->row = (struct pw_ns_row){
			.low = range->low,
			.high = range->high,
			.reserved = (uint32_t)range->high - range->low + 1 - totals->capacity,
			.capacity = totals->capacity,
			.tcp = ns->poll->tcp,
			.tcp_time_wait = ns->poll->tcp_time_wait,
			.udp = ns->poll->udp,
			.tw_reuse = range->tw_reuse,
			.blocked = totals->blocked,
			.basis = totals->basis,
			.failing = ns->poll->status == PW_POLL_COUNTED &&
				ns->poll->sources[PW_SOURCE_SOCKETS]->stale_protocol != 0,
			.timestamps = range->timestamps,
			.tw_reuse_delay_ms = range->tw_reuse_delay_ms,
		};
		if (ns->poll->status == PW_POLL_COUNTED)
			take_details(&ns->row, ns->poll->census);
	}
	ns->row.basis_reason = ns->row.basis != PW_BASIS_READ && poll->basis_reason != NULL ? poll->basis_reason : "";
	/* whatever became of the sockets */
	ns->row.conntrack = ns->poll->conntrack;
	for (int id = 0; id < PW_SOURCES; id++)
		take_source(&in, (enum pw_source_id)id);
	take_unmet(&in);
	free(in.small);
}

void pw_monitor_take_numbers(struct pw_monitor *m, const struct pw_poll *poll)
{
	struct pw_watched_ns *ns, *next;

	HASH_ITER(hh, m->pools.namespaces, ns, next)
	ns->poll = NULL;
	for (size_t i = 0; i < poll->n_ns; i++) {
		if (poll->ns[i].status == PW_POLL_GONE)
			continue;
		ns = pw_pools_add_ns(&m->pools, poll->ns[i].index, poll->ns[i].name);
		if (ns == NULL) {
			m->scalars.dropped++;
			continue;
		}
		if (ns->cookie != 0 && poll->ns[i].cookie != 0 && ns->cookie != poll->ns[i].cookie)
			continue; /* another one of the same name: the old one ends now, that one begins later */
		if (poll->ns[i].cookie != 0)
			ns->cookie = poll->ns[i].cookie;
		ns->poll = &poll->ns[i];
	}
	if (m->n_saved != 0)
		pw_state_adopt(m);
	HASH_ITER(hh, m->pools.namespaces, ns, next)
	if (ns->poll != NULL)
		take_ns(m, poll, ns);
}

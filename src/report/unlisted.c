/* SPDX-License-Identifier: BSD-2-Clause */
#include "report/unlisted.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "watch/alarm.h"

/* Which keys have a row, roughly: a bit for each hash. Asking the snapshot means to encode an index, and of 100,000
 * keys a few hundred have a row. */
#define LISTED_BITS 65536

struct walk {
	struct pw_unlisted_list *list;
	const struct pw_unlisted_source *source;
	uint64_t listed[LISTED_BITS / 64];
};

static unsigned hash_key(const struct pw_pool_key *key)
{
	uint64_t words[sizeof(*key) / sizeof(uint64_t)], hash = 0;

	_Static_assert(sizeof(*key) % sizeof(uint64_t) == 0, "a key is a whole number of words");
	memcpy(words, key, sizeof(words));
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		hash = (hash ^ words[i]) * UINT64_C(0x9e3779b97f4a7c15);
	return (unsigned)(hash >> 48);
}

static void mark_listed(struct walk *walk)
{
	const struct pw_snapshot *snapshot = walk->source->snapshot;

	for (size_t i = 0; i < snapshot->n_pools; i++) {
		unsigned hash = hash_key(&snapshot->pools[i].key);

		walk->listed[hash / 64] |= UINT64_C(1) << (hash % 64);
	}
}

static bool is_listed(const struct walk *walk, const struct pw_pool_key *key)
{
	uint32_t index[PW_POOL_INDEX_MAX];
	unsigned hash = hash_key(key);

	if ((walk->listed[hash / 64] >> (hash % 64) & 1) == 0)
		return false;
	return pw_snapshot_pool(walk->source->snapshot, index, pw_pool_index(key, index)) != NULL;
}

static int reserve(struct pw_unlisted_list *list)
{
	size_t size = list->size == 0 ? 256 : list->size * 2;
	struct pw_unlisted *pools;

	if (list->n < list->size)
		return 0;
	pools = reallocarray(list->pools, size, sizeof(*pools));
	if (pools == NULL)
		return -1;
	list->pools = pools;
	list->size = size;
	return 0;
}

/* Where no `pool` section matches, a pool without a row is normal: it is below the number of ports from which pools
 * alarm. */
static void judge(struct pw_unlisted *pool, const struct pw_policy *policy)
{
	struct pw_alarm alarm = {0};
	struct pw_alarm_input input = {.utilization = pool->counts.utilization,
		.free = pool->counts.free,
		.fast_free = pool->counts.fast_free,
		.time_to_exhaustion = PW_NOT_IN_SIGHT};
	struct pw_alarm_result result;

	pool->state = PW_STATE_NORMAL;
	pool->reason = PW_REASON_NONE;
	if (pool->rule == NULL)
		return;
	result = pw_alarm_step(&alarm, pw_policy_thresholds(policy, pool->rule, &pool->key, false), &input);
	pool->state = (uint8_t)result.state;
	pool->reason = (uint8_t)result.reason;
}

static void set_zone(const struct walk *walk, struct pw_unlisted *pool)
{
	const struct pw_ns_poll *ns = walk->source->ns;
	const char *name = NULL;

	if (pool->key.local.zone != 0 && ns->ifname != NULL)
		name = ns->ifname(pool->key.local.zone, ns->context);
	if (name != NULL)
		snprintf(pool->zone_name, sizeof(pool->zone_name), "%s", name);
}

/* The section that matches, unless it must not speak for this pool. */
static const struct pw_rule *rule_of(const struct pw_unlisted_source *source, const struct pw_pool_key *key)
{
	if (source->policy->n_rules == 0)
		return NULL;
	return pw_policy_rule(source->policy, key, source->ns->name);
}

static int visit(const struct pw_pool_key *key, const struct pw_pool_counts *counts, void *context)
{
	struct walk *walk = context;
	const struct pw_unlisted_source *source = walk->source;
	struct pw_unlisted *pool;

	if (is_listed(walk, key) ||
		(source->policy->n_ignore > 0 && pw_policy_ignores(source->policy, key, source->ns->name)))
		return 0;
	if (reserve(walk->list) < 0)
		return -1;
	pool = &walk->list->pools[walk->list->n++];
	*pool = (struct pw_unlisted){.key = *key,
		.counts = *counts,
		.ns = source->ns,
		.rule = rule_of(source, key),
		.basis = (uint8_t)pw_census_totals(source->ns->census)->basis};
	set_zone(walk, pool);
	pw_rule_limit(pool->rule, &pool->counts);
	judge(pool, source->policy);
	return 0;
}

int pw_unlisted_add(struct pw_unlisted_list *list, const struct pw_unlisted_source *source)
{
	struct walk walk = {.list = list, .source = source};
	const struct pw_ns_poll *ns = source->ns;

	list->policy = source->policy;
	mark_listed(&walk);
	for (int id = 0; id < PW_SOURCES; id++) {
		struct pw_source *counted = ns->sources[id];
		uint32_t floor = 1;

		if (counted == NULL || counted->status != PW_SOURCE_COUNTING ||
			(id == PW_SOURCE_SOCKETS && !counted->fresh))
			continue;
		if (!source->all)
			floor = pw_policy_pool_floor(
				source->policy, (enum pw_source_id)id, counted->capacity, counted->gone);
		if (pw_source_each(counted, floor, visit, &walk) < 0)
			return -1;
	}
	return 0;
}

void pw_unlisted_clear(struct pw_unlisted_list *list)
{
	free(list->pools);
	*list = (struct pw_unlisted_list){0};
}

const struct pw_thresholds *pw_unlisted_thresholds(const struct pw_unlisted_list *list, const struct pw_unlisted *pool)
{
	return pw_policy_thresholds(list->policy, pool->rule, &pool->key, false);
}

static const char *owner_of(const struct pw_unlisted *pool, char buf[PW_OWNER_TEXT_MAX], struct pw_pool_states *states)
{
	struct pw_source *source = pool->ns->sources[pw_kind_source(pool->key.kind)];

	pw_source_owner_text(source, &pool->key, pool->ns->owner_name, pool->ns->context, states, buf);
	return buf;
}

const struct pw_pool_row *pw_unlisted_row(
	const struct pw_unlisted_list *list, size_t position, uint64_t poll_ms, struct pw_row_buffer *buffer)
{
	const struct pw_unlisted *pool = &list->pools[position];
	const struct pw_thresholds *thresholds = pw_unlisted_thresholds(list, pool);
	struct pw_pool_row *row = &buffer->row;

	*row = (struct pw_pool_row){.key = pool->key,
		.counts = pool->counts,
		.label = pool->rule != NULL ? pool->rule->label : "",
		.peak = pool->counts.used,
		.peak_ms = poll_ms,
		.time_to_exhaustion = pool->counts.free == 0 ? 0 : PW_NOT_IN_SIGHT,
		.state = (enum pw_state)pool->state,
		.state_ms = poll_ms,
		.reason = (enum pw_reason)pool->reason,
		.basis = (enum pw_basis)pool->basis};
	if (thresholds != NULL) {
		row->warning_threshold = thresholds->warning.rise;
		row->critical_threshold = thresholds->critical.rise;
		row->free_threshold = thresholds->free_below;
	}
	row->owner = owner_of(pool, buffer->owner, &row->states);
	row->name = pw_pool_name(&pool->key, pool->zone_name, pool->ns->name, buffer->name);
	row->local_text = pw_address_text(&pool->key.local, pool->zone_name, buffer->local);
	row->remote_text = pw_address_text(&pool->key.remote, NULL, buffer->remote);
	return row;
}

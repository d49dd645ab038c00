/* SPDX-License-Identifier: BSD-2-Clause */
#include "watch/conntrack.h"

#include <stdio.h>
#include <string.h>

/* A search for a port gives up after 248 tries, so that larger pools lose packets before they are full: measured from
 * 88 percent on. Smaller ones are searched to their end; some ports may have come back before the pool is counted. */
#define TRIES 248
#define FULL_PERCENT 85
#define FULL_SMALL_PERCENT 95

struct fullest {
	struct pw_pool_key key;
	uint32_t utilization; /* of the pool that has the least left; 0 without any */
	bool full;
};

static int look_at_pool(const struct pw_pool_key *key, const struct pw_pool_counts *counts, void *context)
{
	struct fullest *fullest = context;

	if (counts->utilization <= fullest->utilization)
		return 0;
	fullest->key = *key;
	fullest->utilization = counts->utilization;
	fullest->full = counts->utilization >= (counts->capacity > TRIES ? FULL_PERCENT : FULL_SMALL_PERCENT);
	return 0;
}

/* --- packets that are dropped --- */

static size_t follow_failures(struct pw_conntrack *c, struct pw_source *source, uint32_t ns, const char *ns_name,
	uint64_t now_ms, struct pw_event *event)
{
	struct fullest fullest = {.utilization = 0};
	enum pw_conntrack_cause cause;
	char name[PW_POOL_NAME_MAX];
	size_t used;

	if (c->undecided == 0 || source == NULL || !source->fresh)
		return 0;
	pw_source_each(source, 1, look_at_pool, &fullest);
	cause = fullest.full ? PW_CAUSE_PORTS : PW_CAUSE_RACE;
	c->row.races += fullest.full ? 0 : c->undecided;
	c->untold[cause] += c->undecided;
	c->undecided = 0;
	if (c->told_ms[cause] != 0 && now_ms - c->told_ms[cause] < PW_CONNTRACK_EVERY_MS)
		return 0;
	pw_event_of_ns(event, fullest.full ? PW_EVENT_SNAT_FAILING : PW_EVENT_SNAT_RACING, ns, ns_name, "");
	used = strlen(event->text);
	if (fullest.full)
		snprintf(event->text + used, sizeof(event->text) - used, "%s has no port left (%u %% used)",
			pw_pool_name(&fullest.key, NULL, NULL, name), fullest.utilization);
	else
		snprintf(event->text + used, sizeof(event->text) - used,
			"two packets chose one port at the same time, while the fullest pool is at %u %%: "
			"random-fully in the NAT rule helps, more ports do not",
			fullest.utilization);
	event->failures = c->untold[cause] < UINT32_MAX ? (uint32_t)c->untold[cause] : UINT32_MAX;
	c->untold[cause] = 0;
	c->told_ms[cause] = now_ms;
	return 1;
}

/* --- the table --- */

static size_t tell_state(struct pw_conntrack *c, const struct pw_alarm_result *result, uint32_t ns, const char *ns_name,
	struct pw_event *event)
{
	const enum pw_state state = result->state;
	const enum pw_state previous = c->row.state;
	size_t used;

	c->row.state = state;
	if ((state == previous && !c->uncertain) || (previous == 0 && state == PW_STATE_NORMAL))
		return 0;
	c->uncertain = false;
	pw_event_of_ns(
		event, state < previous ? PW_EVENT_CONNTRACK_FALLING : PW_EVENT_CONNTRACK_RISING, ns, ns_name, "");
	used = strlen(event->text);
	snprintf(event->text + used, sizeof(event->text) - used, "the connection tracking table has %u of %u entries%s",
		c->row.entries, c->row.maximum, state == PW_STATE_EXHAUSTED ? ": packets are dropped" : "");
	event->state = state;
	event->previous = previous != 0 ? previous : PW_STATE_NORMAL;
	event->counts.used = c->row.entries;
	event->counts.capacity = c->row.maximum;
	event->counts.free = c->row.maximum > c->row.entries ? c->row.maximum - c->row.entries : 0;
	event->counts.utilization = pw_utilization(event->counts.capacity, event->counts.free);
	event->threshold = state < previous ? result->fall : result->rise;
	return 1;
}

size_t pw_conntrack_step(struct pw_conntrack *conntrack, const struct pw_conntrack_counts *counts,
	struct pw_source *source, const struct pw_thresholds *thresholds, uint32_t ns, const char *ns_name,
	uint64_t now_ms, struct pw_event events[PW_CONNTRACK_EVENTS])
{
	uint32_t left = counts->maximum > counts->entries ? counts->maximum - counts->entries : 0;
	const struct pw_alarm_input input = {
		{.utilization = pw_utilization(counts->maximum, left), .free = left, .fast_free = left},
		PW_NOT_IN_SIGHT};
	struct pw_alarm_result result;
	size_t n;

	conntrack->row.entries = counts->entries;
	conntrack->row.maximum = counts->maximum;
	conntrack->row.drops = counts->drops;
	/* the counter begins anew where nothing is watched for a while */
	conntrack->undecided += counts->failures > conntrack->failures ? counts->failures - conntrack->failures : 0;
	conntrack->failures = counts->failures;
	result = pw_alarm_step(&conntrack->alarm, counts->maximum != 0 ? thresholds : NULL, &input);
	n = tell_state(conntrack, &result, ns, ns_name, events);
	return n + follow_failures(conntrack, source, ns, ns_name, now_ms, events + n);
}

enum pw_state pw_conntrack_learn(struct pw_conntrack *conntrack, enum pw_state told, enum pw_state maybe)
{
	enum pw_state state = told > maybe ? told : maybe;

	conntrack->row.state = state;
	conntrack->uncertain = told != maybe;
	conntrack->alarm.on[PW_LEVEL_EXHAUSTED] = state >= PW_STATE_EXHAUSTED;
	conntrack->alarm.on[PW_LEVEL_CRITICAL] = state >= PW_STATE_CRITICAL;
	conntrack->alarm.on[PW_LEVEL_WARNING] = state >= PW_STATE_WARNING;
	return state;
}

bool pw_conntrack_end(struct pw_conntrack *conntrack, uint32_t ns, const char *ns_name, struct pw_event *event)
{
	const struct pw_alarm_result normal = {.state = PW_STATE_NORMAL};

	return tell_state(conntrack, &normal, ns, ns_name, event) != 0;
}

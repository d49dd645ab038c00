/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/ringing.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"

/* A threshold that may have been reached has a poll at once. Where ports are given back as quickly as they are taken
 * that is so all the time: some polls may follow each other, with as much rest between two as RING_REST of them take,
 * and more of them come again one in RING_MS, or where polls are slow in the time that RING_SLOW of them take. */
#define RING_MS 1000
#define RINGS 10
#define RING_REST 5
#define RING_SLOW 20

uint64_t pw_ringing_rest_ms(struct pw_ringing *ringing, uint64_t polled_ms, uint64_t poll_ms)
{
	const uint64_t now_ms = pw_clock_boot_ms(), slow_ms = poll_ms * RING_SLOW;
	const uint64_t every_ms = slow_ms > RING_MS ? slow_ms : RING_MS, more = (now_ms - ringing->left_ms) / every_ms;
	const uint64_t again_ms = polled_ms + poll_ms * (RING_REST + 1);

	ringing->polls_left = ringing->polls_left + more < RINGS ? ringing->polls_left + (unsigned)more : RINGS;
	ringing->left_ms += more * every_ms;
	if (ringing->polls_left == 0)
		return ringing->left_ms + every_ms - now_ms;
	return again_ms > now_ms ? again_ms - now_ms : 0;
}

void pw_ringing_follow(struct pw_ringing *ringing, struct pw_connect_events *events, enum pw_events_mode mode)
{
	const bool rang = ringing->rings != NULL;
	const char *reason;

	ringing->rings = pw_connect_events_rings(events, &reason);
	if (mode == PW_EVENTS_MODE_OFF)
		reason = "events = off";
	if (ringing->rings != NULL)
		reason = "";
	if (ringing->rings != NULL && !rang)
		pw_log(LOG_INFO, "the kernel tells when a threshold may be reached");
	else if (strcmp(ringing->reason, reason) != 0 && ringing->rings == NULL)
		pw_log(mode == PW_EVENTS_MODE_ON ? LOG_WARNING : LOG_INFO,
			"the kernel does not tell when a threshold is reached: %s", reason);
	snprintf(ringing->reason, sizeof(ringing->reason), "%s", reason);
}

void pw_ringing_start(struct pw_ringing *ringing, const struct pw_config *config, struct pw_monitor *monitor)
{
	const struct pw_host *host = ringing->host;
	const struct pw_ring *rung;
	size_t n;

	/* what the kernel does not tell has not happened, as long as the rows are fresh enough */
	ringing->looks = ringing->rings != NULL &&
		(ringing->wants_poll || ringing->armed_ms == 0 ||
			config->idle_interval_ms <= config->poll_interval_ms ||
			pw_clock_boot_ms() - ringing->armed_ms >= config->idle_interval_ms ||
			!pw_rings_quiet(ringing->rings));
	if (!ringing->looks)
		return;
	n = pw_rings_look(ringing->rings, &rung);
	ringing->rung += n > 0;
	/* pools that rang are looked at in this poll */
	for (size_t i = 0; i < n; i++) {
		struct pw_pool_key key = rung[i].key;

		for (size_t j = 0; j < host->n && key.kind != 0 && key.ns == 0; j++)
			if (host->namespaces[j]->entered == rung[i].netns)
				key.ns = host->namespaces[j]->index;
		if (key.ns != 0)
			pw_monitor_rang(monitor, &key);
	}
}

/* Pools come by namespace, mostly. */
static uint64_t inode_of(struct pw_ringing *ringing, uint32_t index)
{
	const struct pw_host *host = ringing->host;

	for (size_t i = 0; i < host->n && ringing->index != index; i++)
		if (host->namespaces[i]->index == index) {
			ringing->index = index;
			ringing->inode = host->namespaces[i]->entered;
		}
	return ringing->inode;
}

static void tell_since(const struct pw_pool_key *key, struct pw_pool_since *out, void *context)
{
	struct pw_ringing *ringing = context;

	pw_rings_since(ringing->rings, inode_of(ringing, key->ns), key, out);
}

void pw_ringing_tell(struct pw_ringing *ringing, struct pw_poll *poll)
{
	ringing->index = 0;
	if (ringing->looks)
		pw_rings_mark(ringing->rings);
	poll->ringing = ringing->rings != NULL;
	poll->ringing_reason = ringing->reason;
	poll->rings = ringing->rung;
	poll->look = ringing->looks;
	poll->since = ringing->looks ? tell_since : NULL;
	poll->since_context = ringing;
}

static void set_limit(const struct pw_pool_key *key, uint32_t ports, uint32_t drift, void *context)
{
	struct pw_ringing *ringing = context;

	pw_rings_limit(ringing->rings, inode_of(ringing, key->ns), key, ports, drift);
}

/* A namespace that was not read has nothing to go by: the next poll looks again. */
void pw_ringing_arm(struct pw_ringing *ringing, const struct pw_monitor *monitor)
{
	const struct pw_host *host = ringing->host;
	uint32_t least;

	if (!ringing->looks)
		return;
	pw_rings_start(ringing->rings);
	least = pw_monitor_reach(monitor, set_limit, ringing);
	ringing->armed_ms = pw_clock_boot_ms();
	for (size_t i = 0; i < host->n; i++) {
		pw_rings_limit(ringing->rings, host->namespaces[i]->entered, NULL, least, UINT32_MAX);
		if (host->polls[i].status == PW_POLL_FAILED || host->namespaces[i]->skipped)
			ringing->armed_ms = 0;
	}
	ringing->wants_poll = !pw_rings_arm(ringing->rings, least);
}

void pw_ringing_forget(struct pw_ringing *ringing)
{
	ringing->armed_ms = 0;
	if (ringing->rings != NULL)
		pw_rings_disarm(ringing->rings);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* listing.h: which of the tracked pools get a row (internal to the monitor) */
#ifndef PW_WATCH_LISTING_H
#define PW_WATCH_LISTING_H

#include <stddef.h>
#include <stdint.h>

#include "watch/tracker.h"

/* Kept from poll to poll for its memory. Zeroed = empty. */
struct pw_listing {
	struct pw_tracked **pools; /* chosen ones, in the order of the index */
	size_t n, size;
	struct pw_tracked **alarms; /* of these the ones with an active alarm, in the order of their alarm index */
	size_t n_alarms, alarms_size;
	uint32_t active_alarms; /* whether listed or not */
	uint32_t omitted;       /* pools worth a row that got none */
};

/* Chooses: the active alarms, the oldest first, at most max_alarms; then without alarm those that the policy names
 * exactly (`epoch`), and the worst of the others up to max_rows. Sets `listed` and `position` of every tracked
 * pool. now_ms tells which pools only linger: these are not counted as omitted. Returns 0, or -1 when out of
 * memory. */
int pw_listing_choose(struct pw_listing *listing, struct pw_tracker *tracker, const struct pw_policy *policy,
	uint32_t epoch, uint64_t now_ms);

void pw_listing_clear(struct pw_listing *listing);

#endif

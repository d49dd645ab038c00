/* SPDX-License-Identifier: BSD-2-Clause */
/* compose.h: writes a snapshot of what the monitor knows (internal to the monitor) */
#ifndef PW_WATCH_COMPOSE_H
#define PW_WATCH_COMPOSE_H

#include <stdint.h>

#include "watch/listing.h"
#include "watch/snapshot.h"
#include "watch/tracker.h"

/* Where the id of a pool's last notification comes from; `last_id` may be NULL. */
struct pw_event_ids {
	uint32_t (*last_id)(const struct pw_pool_key *key, void *context);
	void *context;
};

/* A snapshot with the rows of the listing, the namespaces of the tracker, the first `top` ranks and the alarms; the
 * scalars that these don't give are copied from `scalars` (texts as well). One reference; NULL when out of memory. */
const struct pw_snapshot *pw_compose(const struct pw_snapshot *scalars, const struct pw_tracker *tracker,
	const struct pw_listing *listing, uint32_t top, const struct pw_event_ids *ids);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* tracker.h: the pools and namespaces that the monitor remembers from poll to poll (internal to the monitor)
 *
 * A pool is remembered while it is worth a row or an alarm, not because it has a socket: a host that talks to 100,000
 * destinations over one port each leaves nothing here. */
#ifndef PW_WATCH_TRACKER_H
#define PW_WATCH_TRACKER_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "watch/alarm.h"
#include "watch/history.h"
#include "watch/monitor.h"
#include "watch/policy.h"
#include "watch/snapshot.h"

#define PW_NO_POSITION UINT32_MAX

/* A namespace of the polls. */
struct pw_tracked_ns {
	uint32_t index;
	char *name;
	const struct pw_ns_poll *poll; /* its part of the poll that is being taken; NULL when it is gone */
	bool counted, udp_counted;     /* this poll has new numbers of its pools */
	uint32_t floor;                /* ports from which a pool is tracked without being asked for */
	uint64_t sockets;              /* totals of the last good poll */
	uint32_t pools, snat_pools;
	struct pw_ns_row row;
	size_t tracked; /* pools of this namespace, those of SNAT not included */
	size_t tracked_snat;
	bool snat_counted;     /* this poll has new numbers of its SNAT pools */
	char snat_reason[128]; /* why these are not known */
	UT_hash_handle hh;
};

struct pw_tracked {
	struct pw_pool_key key;
	struct pw_tracked_ns *ns;
	struct pw_pool_counts counts; /* of the last poll that had numbers */
	uint64_t poll;                /* the number of that poll */

	/* from the policy */
	const struct pw_rule *rule; /* the first that matches, or NULL */
	bool ignored;
	uint32_t exact_epoch;                   /* of the policy that names this pool exactly */
	bool bound_holds;                       /* TCP bind pool: bind() holds enough of it to alarm */
	const struct pw_thresholds *thresholds; /* in force, or NULL */

	struct pw_history *history; /* NULL until its first numbers, or for want of memory */
	struct pw_trend trend;      /* of trend_poll; see pw_tracked_trend() */
	uint64_t trend_poll;
	uint32_t peak;
	uint64_t peak_ms;
	uint64_t worthy_ms; /* when it last was worth a row of itself */
	uint32_t latency_us;

	struct pw_alarm alarm;
	struct pw_alarm_result result; /* after the last poll */
	enum pw_state previous;        /* before it */
	uint64_t state_ms;
	uint32_t alarm_index; /* while it has an active alarm, else 0 */
	struct timespec alarm_since;
	uint64_t notified_ms;

	bool ended;                    /* to be removed at the end of this poll */
	bool listed;                   /* has a row in the newest snapshot */
	uint32_t position;             /* of that row, or PW_NO_POSITION */
	struct pw_tracked *next_event; /* list of the pools that this poll has an event of */
	char zone_name[IF_NAMESIZE];
	char owner[PW_OWNER_TEXT_MAX];
	uint64_t owner_poll; /* the number of the poll that `owner` was found at */
	UT_hash_handle hh;
	size_t index_len;
	uint32_t index[]; /* encoded key: pw_pool_index() */
};

/* Zeroed = empty. */
struct pw_tracker {
	struct pw_tracked *pools;
	struct pw_tracked_ns *namespaces;
	size_t max; /* pools */
};

/* The namespace with this index, or NULL. */
struct pw_tracked_ns *pw_tracker_ns(const struct pw_tracker *tracker, uint32_t index);

/* The same; it is made if need be, and gets this name. NULL when out of memory. */
struct pw_tracked_ns *pw_tracker_add_ns(struct pw_tracker *tracker, uint32_t index, const char *name);

/* Forgets a namespace that has no pools left. */
void pw_tracker_remove_ns(struct pw_tracker *tracker, struct pw_tracked_ns *ns);

struct pw_tracked *pw_tracker_find(const struct pw_tracker *tracker, const struct pw_pool_key *key);

/* NULL when out of memory or when there are too many. */
struct pw_tracked *pw_tracker_add(struct pw_tracker *tracker, struct pw_tracked_ns *ns, const struct pw_pool_key *key);
void pw_tracker_remove(struct pw_tracker *tracker, struct pw_tracked *pool);

/* Empties it. */
void pw_tracker_clear(struct pw_tracker *tracker);

/* Total order of encoded indexes, for qsort() over pointers to pools. */
int pw_tracked_compare(const struct pw_tracked *a, const struct pw_tracked *b);

/* Worst first: pools with thresholds in force before those without, then utilization, fewer free ports, more used
 * ones. */
int pw_tracked_worse(const struct pw_tracked *a, const struct pw_tracked *b);

static inline bool pw_tracked_alarmed(const struct pw_tracked *pool)
{
	return pool->result.state > PW_STATE_NORMAL;
}

/* Its name for rows and events. Returns buf. */
static inline char *pw_tracked_name(const struct pw_tracked *pool, char buf[PW_POOL_NAME_MAX])
{
	return pw_pool_name(&pool->key, pool->zone_name, pool->ns->name, buf);
}

static inline const char *pw_tracked_label(const struct pw_tracked *pool)
{
	return pool->rule != NULL && pool->rule->label != NULL ? pool->rule->label : "";
}

/* Growth and forecast after the last poll that had numbers; worked out once a poll, and only where somebody asks. */
const struct pw_trend *pw_tracked_trend(struct pw_tracked *pool);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* pools.h: the pools and namespaces that the monitor remembers from poll to poll (internal to the monitor)
 *
 * A pool is remembered while it is worth a row or an alarm, not because it has a socket: a host that talks to 100,000
 * destinations over one port each leaves nothing here. */
#ifndef PW_WATCH_POOLS_H
#define PW_WATCH_POOLS_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "watch/alarm.h"
#include "watch/exchange.h"
#include "watch/history.h"
#include "watch/labels.h"
#include "watch/monitor.h"
#include "watch/policy.h"
#include "watch/share.h"
#include "watch/snapshot.h"

#define PW_NO_POSITION UINT32_MAX

/* What was known of a source of pools when it last counted. */
struct pw_watched_source {
	uint32_t pools;          /* with at least one port */
	uint32_t capacity, gone; /* of the smallest pool */
	uint32_t floor;          /* ports from which a pool of this capacity is watched without being asked for */
	size_t watched;          /* pools of it that are watched */
	char reason[128];        /* of its row */
};

/* A namespace of the polls. */
struct pw_watched_ns {
	uint32_t index;
	char *name;
	const struct pw_ns_poll *poll; /* its part of the poll that is being taken; NULL when it is gone */
	struct pw_watched_source sources[PW_SOURCES];
	uint64_t sockets; /* of the last good poll */
	bool alarmed;     /* a pool of it has an alarm, or is on its way to one */
	struct pw_ns_row row;
	uint64_t cookie; /* of the kernel, 0 = not known */
	struct pw_share_user log;
	uint64_t failures; /* allocations that failed, of all its pools */
	UT_hash_handle hh;
	struct pw_watched_ns *next_removed;
};

struct pw_watched {
	struct pw_pool_key key;
	struct pw_watched_ns *ns;
	struct pw_pool_counts counts; /* of the last poll that had numbers */
	uint64_t poll;                /* the number of that poll */

	/* from the policy */
	const struct pw_rule *rule; /* the first that matches, or NULL */
	bool ignored;
	uint32_t exact_epoch;                   /* of the policy that names this pool exactly */
	bool bound_holds;                       /* TCP bind pool: bind() holds enough of it to alarm */
	const struct pw_thresholds *thresholds; /* in force, or NULL */

	struct pw_history *history; /* NULL until its first numbers, or for want of memory */
	struct pw_trend trend;      /* of trend_poll; see pw_watched_trend() */
	uint64_t trend_poll;
	uint32_t peak, peak_bound; /* the highest use that is known; it was no higher than that */
	uint64_t peak_ms;
	/* what the kernel tells is over these, of the poll `base_poll` */
	uint32_t base_used, base_time_wait;
	uint64_t base_poll;
	struct pw_pool_counts worst; /* since the poll before: what the state goes by */
	bool unheard;                /* the kernel would have told of a threshold, and did not */
	uint64_t deserving_ms;       /* when it last deserved a row of itself */
	uint32_t latency_us, latency_p99_us;
	uint64_t failures, failed_ms; /* allocations that failed, and when the last did; 0 = never */
	uint64_t failed_poll;         /* the number of the poll after it */

	struct pw_alarm alarm;
	struct pw_alarm_result result; /* after the last poll */
	enum pw_state previous;        /* before it */
	enum pw_state posted;          /* what the last event said */
	enum pw_state maybe;           /* before the start, until something is told: what that may have been, else 0 */
	uint64_t state_ms;
	uint32_t alarm_index; /* while it has an active alarm, else 0 */
	struct timespec alarm_since;
	uint64_t notified_ms;
	uint32_t event_id; /* of its last notification, as the host said */
	struct pw_flap flap;
	bool shared;      /* what denies it ports to alarm is not its own doing */
	uint32_t sharing; /* other pools with the same cause, which this one speaks for */

	bool small;        /* below the floor, and matched by no section: watched since all pools are to have a row */
	bool ended;        /* it will have no more polls */
	bool listed;       /* has a row in the newest snapshot */
	uint32_t position; /* of that row, or PW_NO_POSITION */
	char zone_name[IF_NAMESIZE];
	char owner[PW_OWNER_TEXT_MAX];
	bool owner_told;        /* what that was found out with: */
	uint32_t owned;         /* sockets beside those in TIME_WAIT */
	struct pw_owners parts; /* the owners in some parts of its sockets ... */
	uint32_t parts_known;   /* ... in these, of ... */
	uint32_t parts_round;   /* ... this round */
	struct pw_pool_states states;
	UT_hash_handle hh;
	struct pw_watched *next_removed;
	size_t index_len;
	uint32_t index[]; /* encoded key: pw_pool_index() */
};

/* Zeroed = empty. */
struct pw_pools {
	struct pw_watched *pools;
	struct pw_watched_ns *namespaces;
	size_t max;    /* pools */
	size_t others; /* of other namespaces than the own */
	struct pw_share log;
	struct pw_watched *removed;
	struct pw_watched_ns *removed_ns;
};

/* The namespace with this index, or NULL. */
struct pw_watched_ns *pw_pools_ns(const struct pw_pools *pools, uint32_t index);

/* The same; it is made if need be, and gets this name. NULL when out of memory. */
struct pw_watched_ns *pw_pools_add_ns(struct pw_pools *pools, uint32_t index, const char *name);

struct pw_watched *pw_pools_find(const struct pw_pools *pools, const struct pw_pool_key *key);

/* NULL when out of memory or when there are too many. */
struct pw_watched *pw_pools_add(struct pw_pools *pools, struct pw_watched_ns *ns, const struct pw_pool_key *key);

/* Forget a pool, or a namespace that has none left. Events may still speak of them: the memory lasts until
 * pw_pools_sweep(). */
void pw_pools_remove(struct pw_pools *pools, struct pw_watched *pool);
void pw_pools_remove_ns(struct pw_pools *pools, struct pw_watched_ns *ns);
void pw_pools_sweep(struct pw_pools *pools);

/* Empties it. */
void pw_pools_clear(struct pw_pools *pools);

static inline bool pw_watched_alarmed(const struct pw_watched *pool)
{
	return pool->result.state > PW_STATE_NORMAL;
}

static inline const char *pw_watched_label(const struct pw_watched *pool)
{
	return pool->rule != NULL && pool->rule->label != NULL ? pool->rule->label : "";
}

/* Growth and forecast after the last poll that had numbers; worked out once a poll, and only where somebody asks. */
const struct pw_trend *pw_watched_trend(struct pw_watched *pool);

/* --- orders ------------------------------------------------------------------------------------------------------- */

/* A pool with the number that it is ordered by. */
struct pw_ranked {
	uint64_t rank;
	struct pw_watched *pool;
};

/* For qsort() over struct pw_ranked: the higher rank first, between equals the order of the index. */
int pw_ranked_compare(const void *a, const void *b);

/* For qsort() over pointers to pools: the order of the index. */
int pw_watched_compare(const void *a, const void *b);

/* --- rows (rows.c) ------------------------------------------------------------------------------------------------ */

/* Which pools have a row. Kept from poll to poll for its memory. Zeroed = empty. */
struct pw_rows {
	struct pw_watched **pools; /* in the order of the index */
	size_t n, room;
	struct pw_ranked
		*candidates; /* those with an active alarm and a row first, in the order of their alarm index */
	size_t n_alarms, candidates_room;
	enum pw_rows_wanted wanted;
	uint32_t active_alarms; /* whether listed or not */
	uint32_t listed;        /* rows that the policy has room for */
	uint32_t omitted;       /* pools worth a row that it has none for */
};

/* Chooses: the active alarms, the oldest first, at most max_alarms; then without alarm those that the policy names
 * exactly (`epoch`), and the worst of the others up to max_rows. Sets `listed` and `position` of every pool. now_ms
 * tells which pools only linger: these are not counted as omitted. Pools without room get their row all the same where
 * rows->wanted says so. Returns 0, or -1 when out of memory: there are no rows then. */
int pw_rows_choose(
	struct pw_rows *rows, struct pw_pools *pools, const struct pw_policy *policy, uint32_t epoch, uint64_t now_ms);
void pw_rows_clear(struct pw_rows *rows);

/* A snapshot with these rows, the namespaces, the labels, the first `top` ranks and the alarms; the scalars that these
 * don't give are copied from `scalars` (texts as well). One reference; NULL when out of memory. */
const struct pw_snapshot *pw_rows_build(const struct pw_rows *rows, const struct pw_pools *pools,
	const struct pw_labels *labels, const struct pw_snapshot *scalars, uint32_t top);

/* --- what survives a restart (state.c, adopt.c) ------------------------------------------------------------------- */

/* A pool (or with kind 0 a failing collector) of the time before the start. */
struct pw_saved {
	char ns[64];               /* name of its namespace */
	struct pw_pool_key key;    /* ns is 0 */
	enum pw_state told, maybe; /* see struct pw_told */
	uint32_t event_id;

	bool is_pool; /* what follows is known, too */
	enum pw_state state;
	enum pw_reason reason;
	struct pw_alarm alarm;
	struct timespec since;
	uint32_t alarm_index, peak;
	uint64_t state_ms, peak_ms; /* in this boot's CLOCK_BOOTTIME */
	struct pw_pool_counts counts;
	unsigned n_points;
	struct pw_history_point points[PW_HISTORY_POINTS];
};

/* Gives the namespaces of the poll that is being taken their pools back. */
void pw_state_adopt(struct pw_monitor *m);

/* --- states (states.c) -------------------------------------------------------------------------------------------- */

struct pw_monitor {
	const struct pw_policy *policy;
	uint32_t epoch; /* of the policy */
	uint32_t renotify_s, max_flaps;
	struct pw_pools pools;
	struct pw_rows rows;
	struct pw_labels labels;
	bool chosen;                /* the rows are those of the last poll */
	struct pw_snapshot scalars; /* what the next snapshot says beside its tables */
	uint64_t poll_number;
	uint64_t look_number; /* of the last one that looked at all sockets */
	uint32_t owner_round; /* of the last poll */
	struct timespec wall; /* of the last poll */
	uint64_t now_ms;
	uint32_t last_event_id, last_alarm_index;
	uint32_t refused; /* pools worth a row that are not even watched, in this poll */

	struct pw_ranked *events; /* pools that the last poll has an event of, the most urgent first */
	size_t n_events, next_event, events_room;
	bool untold;            /* there was no memory for some */
	struct pw_saved *saved; /* of before the start; their namespaces have not been there yet */
	size_t n_saved, saved_room;
	struct pw_told *learned; /* see pw_state_learned() */
	size_t n_learned, learned_room;
	struct pw_question *questions;
	struct pw_watched **asked; /* the pools that the questions are about */
	size_t n_questions, questions_room, asked_room;
};

/* The thresholds in force, or NULL. */
static inline const struct pw_thresholds *pw_watched_thresholds(
	const struct pw_monitor *m, const struct pw_watched *pool)
{
	return pool->ignored ? NULL : pw_policy_thresholds(m->policy, pool->rule, &pool->key, pool->bound_holds);
}

/* The ports from which a pool is worth a row of itself. */
static inline uint32_t pw_watched_floor(const struct pw_monitor *m, const struct pw_watched_ns *ns,
	const struct pw_pool_key *key, const struct pw_pool_counts *counts)
{
	enum pw_source_id id = pw_kind_source(key->kind);
	const struct pw_watched_source *source = &ns->sources[id];

	if (counts->capacity == source->capacity)
		return source->floor;
	return pw_policy_pool_floor(m->policy, id, counts->capacity, source->gone);
}

/* What the policy says about a pool. */
void pw_watched_apply_policy(const struct pw_monitor *m, struct pw_watched *pool);

/* Takes the numbers of a poll: watches the pools that are worth it, and fills in the counts of all that are watched
 * (take.c). */
void pw_monitor_take_numbers(struct pw_monitor *m, const struct pw_poll *poll);

/* Moves the state of every pool that the poll has numbers of, and gathers what is to be told: m->events. */
void pw_monitor_evaluate(struct pw_monitor *m, const struct pw_poll *poll);

/* Takes over what the host has answered (questions.c). */
void pw_monitor_take_answers(struct pw_monitor *m);

#endif

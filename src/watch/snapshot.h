/* SPDX-License-Identifier: BSD-2-Clause */
/* snapshot.h: everything that one poll has to say, immutable, sorted, shared by reference count
 *
 * The monitor builds it, the agent and the reports read it. All strings live in the snapshot's own memory. Times are
 * milliseconds of CLOCK_BOOTTIME, so that a reader computes ages when it answers. */
#ifndef PW_WATCH_SNAPSHOT_H
#define PW_WATCH_SNAPSHOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "base/arena.h"
#include "count/pool.h"
#include "watch/conntrack.h"
#include "count/range.h"
#include "count/snat.h"

/* Numbers in an order, such as the values of one thing over time. */
struct pw_series {
	const uint16_t *numbers;
	size_t n;
};

/* A row of pwPoolTable. */
struct pw_pool_row {
	struct pw_pool_key key;
	struct pw_pool_counts counts;
	struct pw_pool_states states;
	const char *name, *local_text, *remote_text, *owner, *label; /* never NULL */
	const uint32_t *index;                                       /* encoded, for binary search */
	size_t index_len;
	uint32_t peak;               /* highest used since start */
	uint64_t peak_ms;            /* when */
	uint32_t peak_bound;         /* it was no higher than this */
	int32_t growth;              /* ports a minute */
	uint32_t time_to_exhaustion; /* seconds */
	/* the same, while that is not known from the last minute alone (see pw_history_trend()) */
	int32_t recent_growth;
	uint32_t recent_time_to_exhaustion;
	uint32_t alloc_latency_us;     /* 0 = not measured */
	uint32_t alloc_latency_p99_us; /* 0 = not measured, or by a single probe */
	enum pw_state state;
	uint64_t state_ms; /* since when */
	enum pw_reason reason;
	enum pw_basis basis;
	uint32_t warning_threshold, critical_threshold; /* percent, 0 = none in force */
	uint32_t free_threshold;                        /* ports, 0 = none */
	uint64_t failures;        /* allocations that failed for want of a port since the pool is known */
	uint64_t failed_ms;       /* when the last did, 0 = never */
	struct pw_series history; /* utilization in steps of PW_HISTORY_STEP_MS, the newest last: that of now */
};

/* Ports with listeners that are named. */
#define PW_LISTENERS_SHOWN 8

/* A row of pwNamespaceTable. */
struct pw_ns_row {
	uint32_t index;
	const char *name; /* "" = the daemon's own */
	uint32_t low, high, reserved, capacity;
	uint32_t tcp, tcp_time_wait, udp;
	enum pw_tw_reuse tw_reuse;
	uint32_t blocked;
	enum pw_basis basis;
	const char *basis_reason; /* why they are not read, although that was wanted, else "" */
	bool failing;
	uint64_t failures; /* allocations that failed for want of a port, as far as their pools are known */
	struct {
		uint64_t failures;
		enum pw_source_status status;
		const char *reason; /* why its pools are not known, else "" */
	} sources[PW_SOURCES];      /* as they are at this poll; failures add up */
	struct pw_conntrack_row conntrack;
	/* for those who explain; of the last poll that counted */
	uint32_t ambiguous; /* ports of the capacity whose sockets may or may not block them */
	uint32_t bound;     /* blocked ports that bind() without a listener is known to hold; 0 where few are blocked */
	uint32_t listening; /* ports of the capacity with a listener: not reserved, so that connect() may take them */
	uint16_t listeners[PW_LISTENERS_SHOWN]; /* the lowest of them */
	uint32_t timestamps;                    /* whether net.ipv4.tcp_timestamps is on */
	uint32_t tw_reuse_delay_ms;             /* net.ipv4.tcp_tw_reuse_delay */
};

/* A row of pwAlarmTable. */
struct pw_alarm_row {
	uint32_t index; /* never reused while the daemon runs; rows are sorted by it */
	uint32_t pool;  /* position in pools[] */
	enum pw_state severity;
	struct timespec since; /* wall time */
	uint32_t event_id;     /* of its last notification */
};

/* A row of pwLabelTable: the pools added up that the `pool` sections of one title have thresholds for. */
struct pw_label_row {
	uint32_t index; /* place of the first of the sections in the file, from 1 */
	const char *name;
	uint32_t pools;
	uint64_t capacity, used, free;
	uint32_t worst_utilization; /* percent */
	uint64_t failures;          /* allocations that failed for want of a port */
};

struct pw_snapshot {
	uint64_t poll_ms;    /* end of the last complete poll; 0 before the first */
	uint32_t generation; /* pwGeneration: differs between two snapshots that follow each other */
	uint32_t poll_interval_ms;
	uint32_t poll_duration_us;
	uint64_t polls, poll_errors; /* all since start, and those of them that gave no numbers */
	uint64_t sockets_seen;
	uint32_t pools_seen, pools_listed, pools_omitted;
	uint32_t min_used;       /* ports from which a pool is listed */
	uint32_t active_alarms;  /* all of them, also those beyond max-alarms that have no row */
	uint32_t alarms_omitted; /* active alarms without a row */
	bool config_failed;      /* the last reload was refused */
	bool connect_failures_counting;
	bool ringing;               /* thresholds ring */
	uint64_t dropped;           /* pools, histories and snapshots not kept for want of memory, since start */
	uint64_t unlogged;          /* changes of state that the limit of the log left out, since start */
	uint64_t alarms_changed_ms; /* last change of the set of active alarms; 0 = never */
	uint64_t connect_failures;
	const char *connect_failures_reason;
	const char *ringing_reason;
	uint64_t rings;             /* polls that a ring started */
	uint64_t rings_missed;      /* thresholds reached that no ring had told of */
	struct timespec start_time; /* wall time */

	const struct pw_pool_row *pools; /* by index */
	size_t n_pools;
	const struct pw_ns_row *namespaces; /* by index */
	size_t n_namespaces;
	const uint32_t *top; /* positions in pools[], the worst first */
	size_t n_top;
	uint32_t top_ranks; /* ranks to show; those from n_top on are empty */
	const struct pw_alarm_row *alarms;
	size_t n_alarms;
	const struct pw_label_row *labels; /* by index */
	size_t n_labels;
};

/* A new, empty snapshot with one reference, for whoever builds one; NULL when out of memory. What it points to goes
 * into the arena that *arena is set to, and lives as long as the snapshot. Once it is shared nothing of it changes. */
struct pw_snapshot *pw_snapshot_new(struct pw_arena **arena);

/* Adds a reader; thread-safe. Returns the snapshot. */
const struct pw_snapshot *pw_snapshot_ref(const struct pw_snapshot *snapshot);

/* Removes a reader; the last one frees. NULL is allowed. Thread-safe. */
void pw_snapshot_unref(const struct pw_snapshot *snapshot);

/* The worst pool (pwWorstPoolName): the first of the ranks, or NULL when there is none or nothing but TCP bind pools
 * without thresholds in force, which may be full all day and harm nobody. */
const struct pw_pool_row *pw_snapshot_worst(const struct pw_snapshot *snapshot);

/* Whether a pool has a threshold in force. */
static inline bool pw_row_has_threshold(const struct pw_pool_row *row)
{
	return row->warning_threshold != 0 || row->critical_threshold != 0 || row->free_threshold != 0;
}

/* The row of a namespace, or NULL. */
const struct pw_ns_row *pw_snapshot_ns(const struct pw_snapshot *snapshot, uint32_t index);

/* The position of the first pool row whose index is greater than index[0..len); n_pools when there is none. */
size_t pw_snapshot_pool_after(const struct pw_snapshot *snapshot, const uint32_t *index, size_t len);

/* The pool row with exactly this index, or NULL. */
const struct pw_pool_row *pw_snapshot_pool(const struct pw_snapshot *snapshot, const uint32_t *index, size_t len);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* monitor.h: what lasts from poll to poll: alarm states, history, peaks, listed rows
 *
 * One thread, no I/O. A poll goes in steps: the host hands in the numbers (take), answers what the monitor wants to
 * know of some pools beside them (questions), fetches the events, and gets the snapshot (build). */
#ifndef PW_WATCH_MONITOR_H
#define PW_WATCH_MONITOR_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "count/census.h"
#include "watch/event.h"
#include "watch/policy.h"
#include "watch/snapshot.h"

struct pw_monitor;

/* What a poll knows of a namespace. QUIET: the pre-check showed that nothing can be above the floor. Pools that have a
 * row all the same (idle-interval) then keep their numbers and states. */
enum pw_poll_status {
	PW_POLL_COUNTED, /* the census is complete */
	PW_POLL_QUIET,   /* the census is empty, because no dump was needed */
	PW_POLL_FAILED,  /* no numbers: the pools keep those of the last good poll, and their states */
	PW_POLL_GONE     /* the namespace does not exist any more: its pools end, alarms fall */
};

/* One namespace's part of a poll. A namespace that a poll does not mention any more is gone. */
struct pw_ns_poll {
	uint32_t index;   /* pwNsIndex */
	const char *name; /* "" = the daemon's own */
	uint64_t cookie;  /* SO_NETNS_COOKIE: another one is another namespace, whatever its name; 0 = not known */
	enum pw_poll_status status;
	uint32_t unowned;                      /* of which parts it is not known who has the sockets: PW_OWNER_PARTS */
	struct pw_census *census;              /* its range and totals are valid with COUNTED and QUIET */
	uint32_t tcp, tcp_time_wait, udp;      /* sockets of the whole namespace (sockstat), not only of the range */
	struct pw_conntrack_row conntrack;     /* its connection tracking table */
	struct pw_source *sources[PW_SOURCES]; /* NULL: is not asked for; its pools, if there were any, end */
	void *context;                         /* of whoever answers questions about it */
};

/* What the kernel itself told of a pool between two looks at all sockets. */
struct pw_pool_since {
	bool known;           /* it was asked to tell; else nothing of the rest is */
	bool told;            /* it told that the pool may have reached a threshold, or has more to tell by now */
	bool sure;            /* the rest is of this pool alone */
	uint32_t allocations; /* that began and were counted */
	uint32_t lost;        /* events of the host that were not: least and most allow for them */
	int32_t least, most;  /* by so many ports its use was above that of the look before, at the highest */
};

/* One poll. */
struct pw_poll {
	uint64_t now_ms; /* CLOCK_BOOTTIME at its end */
	struct timespec wall;
	uint32_t interval_ms;
	uint32_t duration_us;
	const struct pw_ns_poll *ns;
	size_t n_ns;
	uint32_t owner_round; /* which round of parts it is that the owners were read in (struct pw_ns_poll.unowned) */
	bool incomplete;      /* namespaces are wanted that could not be watched: counts as a poll error */
	uint64_t connect_failures;
	bool connect_failures_counting;
	const char *connect_failures_reason;
	const char *basis_reason; /* why blocked ports are not read; NULL or empty where nobody wanted it */
	bool ringing;             /* thresholds ring */
	uint64_t rings;           /* polls that a ring has started */
	const char *ringing_reason;
	/* every namespace but those where nothing can be listed was looked at, and from then on the kernel tells */
	bool look;
	/* what it has told since the last such poll; NULL: nothing */
	void (*since)(const struct pw_pool_key *key, struct pw_pool_since *out, void *context);
	void *since_context;
};

/* What the monitor wants to know of a pool that it lists, or has an event of. */
struct pw_question {
	struct pw_pool_key key;
	const struct pw_ns_poll *ns; /* of the poll that was taken */
	bool wants_zone;             /* the name of the interface key.local.zone */
	bool wants_owner;            /* who holds most of it, and its sockets by state */
	bool wants_latency;          /* what one allocation takes, by a probe where it was not measured */
	bool wants_measured;         /* what connect() was measured to take */
	bool wants_event_id;         /* which notification of it was sent last */

	/* the answers: what is not known stays empty or 0 */
	char zone_name[IF_NAMESIZE];
	struct pw_owners *parts; /* NULL: this poll knows all owners; else those that were known, to be added to */
	char owner[PW_OWNER_TEXT_MAX];
	struct pw_pool_states states;
	uint32_t latency_us, latency_p99_us; /* the second only as measured */
	uint32_t event_id;
};

/* Which pools get a row: those that the policy has room for; also those above the floor that it has none for; or all
 * that hold a port. Pools that have a row for this reason only never alarm, and are not counted as listed. */
enum pw_rows_wanted { PW_ROWS_LISTED, PW_ROWS_OMITTED, PW_ROWS_ALL };

/* NULL when out of memory. The policy is borrowed and must live until another one is set. */
struct pw_monitor *pw_monitor_new(const struct pw_policy *policy, struct timespec start_time);
void pw_monitor_free(struct pw_monitor *monitor);

/* Another configuration: states, peaks and history stay; thresholds and labels apply from the next poll on. */
void pw_monitor_set_policy(struct pw_monitor *monitor, const struct pw_policy *policy);

/* Seconds after which an active alarm is notified again, 0 = never. */
void pw_monitor_set_renotify(struct pw_monitor *monitor, uint32_t seconds);

/* Rises of a pool within some minutes after which its changes are held (see struct pw_flap); 0, as at the start:
 * never. */
void pw_monitor_set_max_flaps(struct pw_monitor *monitor, uint32_t max_flaps);

/* From the next poll on; PW_ROWS_LISTED at the start. */
void pw_monitor_set_rows(struct pw_monitor *monitor, enum pw_rows_wanted wanted);

/* Shows in the snapshots from now on. */
void pw_monitor_set_config_failed(struct pw_monitor *monitor, bool failed);

/* Whether a pool of a namespace has an alarm, or is on its way to one: its end must not wait for idle-interval. */
bool pw_monitor_alarmed(const struct pw_monitor *monitor, uint32_t ns);

/* Before a poll is taken: `count` allocations of a pool failed for want of a port, the last at `last_ms`
 * (CLOCK_BOOTTIME). A pool of a namespace that is watched then gets numbers at that poll and a row, however small it
 * is. */
void pw_monitor_failed(struct pw_monitor *monitor, const struct pw_pool_key *key, uint64_t count, uint64_t last_ms);

/* Before a poll is taken: it may have reached a threshold since the last one, as the kernel told. It gets numbers at
 * that poll though it may have no port any more. */
void pw_monitor_rang(struct pw_monitor *monitor, const struct pw_pool_key *key);

/* Step 1: takes a poll into account; the states of pools move. What the poll points to must live until the next one
 * is taken. A poll of which every namespace FAILED counts as a poll error; poll_ms then stays that of the last good
 * one. */
void pw_monitor_take(struct pw_monitor *monitor, const struct pw_poll *poll);

/* Between step 1 and step 2: whether it matters that this poll knows who has all the sockets (struct
 * pw_ns_poll.unowned): of a pool that has an event, or a row that did not name anybody yet, or that has changed much
 * since it did. */
bool pw_monitor_wants_owners(const struct pw_monitor *monitor);

/* Step 2: what the host is to answer, in place, before it goes on. Returns how many there are; *questions is the
 * monitor's, and valid until the next poll is taken. Latency is wanted of at most 16 pools, the worst in warning or
 * worse with more than 2 free ports. */
size_t pw_monitor_questions(struct pw_monitor *monitor, struct pw_question **questions);

/* Step 3: the events of the poll, one a call, the most urgent first. Returns false at the end. A host that has no use
 * for them need not ask. */
bool pw_monitor_event(struct pw_monitor *monitor, struct pw_event *event);

/* An event of this pool could not be stored, or was given up again before anybody was told: it comes again after the
 * next poll. */
void pw_monitor_repost(struct pw_monitor *monitor, const struct pw_pool_key *key);

/* Step 4: a new snapshot with one reference, or NULL when out of memory. */
const struct pw_snapshot *pw_monitor_build(struct pw_monitor *monitor);

/* After a poll that looked at all sockets: calls `visit` for the connect pools, and bind pools of TCP, of which it
 * matters how many more ports they can take before a threshold is reached (UINT32_MAX: none is ahead), and returns how
 * many any other pool can take. `drift`: a pool that has an alarm is to be looked at again when it grew by more than
 * this meanwhile, for a peak that is near the truth (UINT32_MAX: it need not be). A namespace whose poll failed is left
 * out. */
typedef void pw_reach_visit(const struct pw_pool_key *key, uint32_t ports, uint32_t drift, void *context);
uint32_t pw_monitor_reach(const struct pw_monitor *monitor, pw_reach_visit *visit, void *context);

/* Whether the reach of the pools of a namespace is all that matters between two polls: no threshold in force is one of
 * a forecast. (Those of UDP are bounded by the number of its sockets.) */
bool pw_monitor_reach_tells(const struct pw_monitor *monitor, uint32_t ns);

/* An id for an event that the caller makes (a failing collector, failing connects): unique among all events of this
 * monitor. */
uint32_t pw_monitor_next_event_id(struct pw_monitor *monitor);

/* Whether a namespace has rows of a source's pools that need numbers (listed, configured, lingering or alarmed), or a
 * `pool` section may match something of it: if so it must count at each poll. */
bool pw_monitor_needs(const struct pw_monitor *monitor, uint32_t ns, enum pw_source_id source);

#endif

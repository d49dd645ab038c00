/* SPDX-License-Identifier: BSD-2-Clause */
/* owed.h: which notifications are owed (internal to the exchange: exchange.c says what may happen, owed.c keeps the
 * entries that wait or are under way; its lock is held over each call)
 *
 * What is owed is state, not a queue. Per pool the exchange keeps the newest state and the last one that the receiver
 * (the master agent) acknowledged, and owes one notification as long as they differ. The collector posts; the agent
 * takes, sends, and reports what became of it.
 *
 * Rules (tests/model/owed.pml proves the first six for every order of events, tests/unit/test_exchange.c tries
 * them all):
 *  - at_least_once: what was taken is owed until it is acknowledged; when nothing is owed the receiver knows the truth;
 *  - one_under_way: one notification per pool is under way at a time, newer states wait behind it, the newest is kept;
 *  - again_unchanged: what was under way when the connection was lost is sent again first, the same id and values;
 *  - nothing_of_nothing: a rise and fall of which nothing was under way or acknowledged sends nothing;
 *  - fall_after_rise: a falling notification goes out only after an acknowledged rising one;
 *  - chained: its previous state is the last acknowledged one;
 *  - most_urgent_first: collector failures, then what gets worse, what gets better, last what is known already
 *    (renotify); within each, pw_event_urgency();
 *  - fair: at most max_per_minute are taken in any minute (0: no limit), divided as share.h says; what is held
 *    back stays owed, and those that go meanwhile say in their text how many are held back;
 *  - bounded: pools of the own namespace take at most max_entries, those of all others as many again (share.h). When
 *    there is no room the less urgent one has to wait: whoever posts is told, and posts it again after the next
 * poll. */
#ifndef PW_WATCH_OWED_H
#define PW_WATCH_OWED_H

#include <pthread.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "watch/exchange.h"
#include "watch/share.h"

#define NOT_WAITING SIZE_MAX

/* What the receiver knows of one pool, and what it has still to learn. An entry waits (has a place in the heap of its
 * namespace), is in flight, or owes nothing; one that owes nothing is kept only while the receiver believes in an
 * alarm. */
struct entry {
	struct pw_pool_key key;
	struct member *member;
	enum pw_state acknowledged;
	uint32_t last_id;
	bool has_pending; /* `pending` is the newest state, not yet sent */
	bool repeat;      /* and is owed although the receiver knows this state */
	bool uncertain;   /* `acknowledged` is a guess, since a restart */
	bool in_flight;
	struct pw_event *sent; /* taken and not acknowledged: under way, or waiting to go again */
	struct pw_event pending;

	size_t place; /* in the heap, or NOT_WAITING */
	uint64_t urgency;
	uint64_t order;      /* older first */
	uint64_t held_epoch; /* see take() in exchange.c */
	uint32_t sent_id;    /* sent->id */
	UT_hash_handle by_key, by_id;
};

/* A namespace with its entries; kept while it has any, or has taken some in the last minute. */
struct member {
	uint32_t ns; /* pwNsIndex */
	struct pw_share_user user;
	size_t n_pools;      /* entries of pools, waiting or not */
	struct entry **heap; /* of the waiting entries; there is always room for all: waiting never fails */
	size_t n_heap, room, n_entries;
	uint64_t least_urgent; /* nothing that could be given up is less urgent; 0 = not known */
	UT_hash_handle hh;
};

struct pw_exchange {
	pthread_mutex_t mutex; /* over everything below; nothing that can block is done under it */
	int wake;
	bool awake; /* the eventfd is readable */
	const struct pw_snapshot *snapshot;
	uint64_t held, held_until_ms; /* the number that is waited for, 0 = none */

	size_t max_entries;
	struct entry *by_key, *by_id;
	struct member *members;
	size_t n_waiting, n_in_flight, n_others; /* the last: entries of pools of other namespaces than the own */
	uint64_t next_order;
	struct pw_share rate;
	uint64_t epoch; /* of the last time that the rate limit held something back */
	size_t fresh;   /* waiting entries that no such time has counted yet */
	uint64_t acknowledged, suppressed, changes;
};

/* Gives an entry the place in the heap of its namespace that its urgency has by now; takes it out, if it is there. */
void pw_owed_start_waiting(struct pw_exchange *x, struct entry *e);
void pw_owed_stop_waiting(struct pw_exchange *x, struct entry *e);

/* The entry of a pool, or NULL. A new one; NULL when out of memory. Frees one. */
struct entry *pw_owed_find(const struct pw_exchange *x, const struct pw_pool_key *key);
struct entry *pw_owed_add(struct pw_exchange *x, struct member *m, const struct pw_pool_key *key);
void pw_owed_remove(struct pw_exchange *x, struct entry *e);

/* Forgets the copy of what was sent. */
void pw_owed_forget_sent(struct pw_exchange *x, struct entry *e);

/* The namespace with this index, a new one if need be; NULL when out of memory. Frees one that has no entries. */
struct member *pw_owed_member(struct pw_exchange *x, uint32_t ns);
void pw_owed_remove_member(struct pw_exchange *x, struct member *m);

/* The least urgent entry of a namespace of which the receiver has heard nothing, if it is less urgent than this. */
struct entry *pw_owed_least_urgent(struct member *m, uint64_t urgency);

/* The state that an event tells of. A failing collector is an alarm like others; failing connects have no state, each
 * is owed. */
enum pw_state pw_owed_state(const struct pw_event *event);

/* The entry that an event belongs to, and whether it is owed whatever the receiver knows. */
struct pw_pool_key pw_owed_key(const struct pw_event *event);
bool pw_owed_always(const struct pw_event *event);

/* Compares what is to be told with what the receiver knows, when nothing is under way: queues the entry, or frees
 * it. */
void pw_owed_settle(struct pw_exchange *x, struct entry *e);

/* The namespace whose turn it is, or NULL; forgets those that have nothing left. */
struct member *pw_owed_next_member(struct pw_exchange *x, uint64_t now_ms);

/* Says in the text of an event how many others are held back, and where most of them are. */
void pw_owed_tell_held_back(const struct pw_exchange *x, struct pw_event *event);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* owed.h: which notifications are owed (internal to the exchange, which holds its lock over each call)
 *
 * What is owed is state, not a queue. Per pool the exchange keeps the newest state and the last one that the receiver
 * (the master agent) acknowledged, and owes one notification as long as they differ. The collector posts; the agent
 * takes, sends, and reports what became of it.
 *
 * Rules (tests/model/outbox.pml proves the first six for every order of events, tests/unit/test_exchange.c tries
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

#include "watch/exchange.h"

struct pw_owed;

/* NULL when out of memory. */
struct pw_owed *pw_owed_new(size_t max_entries);
void pw_owed_free(struct pw_owed *owed);

/* Each as the function of the exchange that has its name. */
void pw_owed_set_rate(struct pw_owed *owed, uint32_t max_per_minute);
enum pw_posted pw_owed_post(struct pw_owed *owed, const struct pw_event *event, struct pw_pool_key *given_up);
bool pw_owed_take(struct pw_owed *owed, uint64_t now_ms, struct pw_event *out, uint32_t *wait_ms);
void pw_owed_acknowledge(struct pw_owed *owed, uint32_t id);
void pw_owed_return(struct pw_owed *owed, uint32_t id);
void pw_owed_return_all(struct pw_owed *owed);
void pw_owed_stats(const struct pw_owed *owed, struct pw_exchange_stats *out);
uint32_t pw_owed_last_id(const struct pw_owed *owed, const struct pw_pool_key *key);
int pw_owed_told(struct pw_owed *owed, bool agent_ended, struct pw_told **told, size_t *n);
int pw_owed_learn(struct pw_owed *owed, const struct pw_told *told);

#endif

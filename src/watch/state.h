/* SPDX-License-Identifier: BSD-2-Clause */
/* state.h: what must survive a restart, as a text: what the receiver of notifications was told, and what the monitor
 * remembers
 *
 * Without it a manager would believe for ever in an alarm that ended while the daemon was not running, and would be
 * told again of those that go on. Lines of fields that blanks separate, the first with a version, the last with a
 * checksum. Times are ages, so that they outlive a change of the clocks, and a reboot. */
#ifndef PW_WATCH_STATE_H
#define PW_WATCH_STATE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "watch/exchange.h"
#include "watch/monitor.h"

/* The state after the last poll, as a text of *len bytes that the caller frees. NULL when out of memory. What is under
 * way, or may be before the next text, is told again after a restart. */
char *pw_state_text(const struct pw_monitor *monitor, struct pw_exchange *exchange, bool agent_ended, size_t *len);

/* Gives a new monitor what an earlier one had. Returns 0, or -1 with an error: the text is cut, changed, or of
 * another version; the monitor is as it was then. now_ms is CLOCK_BOOTTIME, wall the time of day. */
int pw_state_restore(struct pw_monitor *monitor, const char *text, size_t len, uint64_t now_ms, struct timespec wall,
	struct pw_error *err);

/* Before a poll is taken: what the receiver was told of the connection tracking table of a namespace that is there.
 * Returns false when that is nothing, or was asked for already. */
bool pw_state_learned_table(struct pw_monitor *monitor, uint32_t ns, const char *ns_name, struct pw_told *told);

/* After a poll was taken, and before its events are fetched: what the receiver was told before the restart of a pool
 * (or of what is none; its name then ends with '@' and that of the namespace), for pw_exchange_learn(); one a call.
 * Returns false at the end. */
bool pw_state_learned(struct pw_monitor *monitor, struct pw_told *told);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* kept.h: what survives a restart: alarms and event ids in the state file, the last events in a file beside it
 *
 * The latter is a document as portwatchd tells it, of nothing but events: PW_JOURNAL_MAX of them are some 600 KiB. */
#ifndef PW_DAEMON_KEPT_H
#define PW_DAEMON_KEPT_H

#include <stdbool.h>

#include "watch/exchange.h"
#include "watch/journal.h"
#include "watch/monitor.h"

struct pw_kept;

/* Reads what an earlier process kept into the monitor and the journal; what can't be read is ignored, and logged.
 * `path` is that of the state file, NULL: in the state directory of the systemd unit. Monitor, exchange and journal are
 * borrowed. NULL where there is neither, or, logged, no memory or no thread for it; the others then do nothing. */
struct pw_kept *pw_kept_open(
	const char *path, struct pw_monitor *monitor, struct pw_exchange *exchange, struct pw_journal *journal);

/* To be called before an event is posted: its notification waits, for a second, until a text that tells of it is on the
 * disk. */
void pw_kept_hold(struct pw_kept *kept);

/* After each good poll: writes, some time soon, what was told and owed, at most one a minute where nothing but peaks
 * and growth changed; and the last events where there is a new one. */
void pw_kept_write(struct pw_kept *kept, bool new_event);

/* Writes the state a last time, unless there was no poll: then the file knows more than the monitor. Waits for the
 * disk, less than a second. */
void pw_kept_close(struct pw_kept *kept);

#endif

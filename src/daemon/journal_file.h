/* SPDX-License-Identifier: BSD-2-Clause */
/* journal_file.h: the events of the journal beside the state file, so that a restart keeps them
 *
 * A document as portwatchd tells it, of nothing but events: PW_JOURNAL_MAX of them are some 600 KiB. */
#ifndef PW_DAEMON_JOURNAL_FILE_H
#define PW_DAEMON_JOURNAL_FILE_H

#include "watch/journal.h"

struct pw_journal_file;

/* Reads the events of an earlier process into the journal, which is borrowed. `path` is copied. NULL, and a line in the
 * log, when there is no memory or no thread for it; a file that can't be read is ignored, and the log says so. */
struct pw_journal_file *pw_journal_file_open(const char *path, struct pw_journal *journal);

/* Writes what the journal has now, some time soon. NULL is allowed. */
void pw_journal_file_write(struct pw_journal_file *file);

/* Waits at most timeout_ms for the last text to be written. NULL is allowed. */
void pw_journal_file_close(struct pw_journal_file *file, unsigned timeout_ms);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* log.h: one line per fact, to syslog or to standard error
 *
 * Thread-safe. Priorities are those of syslog(3): LOG_ERR something is lost or unavailable, LOG_WARNING an operator
 * should look, LOG_NOTICE alarms and state changes, LOG_INFO start, stop, reload, LOG_DEBUG (-d) the inner life.
 *
 * No call waits for whoever reads the log: a pipe into a program that stands still, the terminal, journald, syslogd.
 * Lines that can't leave wait in a buffer, 64 KiB of them; what is beyond is lost, and their number is the first line
 * once the log flows again. */
#ifndef PW_BASE_LOG_H
#define PW_BASE_LOG_H

#include <stdbool.h>
#include <syslog.h>

enum pw_log_target { PW_LOG_STDERR, PW_LOG_SYSLOG };

/* Chooses the target and the least important priority that is still written (LOG_INFO by default, to stderr). To be
 * called before root is given up, as the pipe behind stderr is opened a second time, and before any thread is
 * started. `ident` names the program and must outlive the logging. On stderr every line starts with wall time and
 * priority. */
void pw_log_open(enum pw_log_target target, const char *ident, int max_priority);

/* Writes one line of at most 1023 bytes; a trailing newline is not needed. What others chose in it is made safe
 * (pw_utf8_clean()). */
void pw_log(int priority, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Whether a line of this priority would be written: lets callers skip costly arguments. */
bool pw_log_enabled(int priority);

/* Writes what waits, as far as it goes without waiting. Returns whether something is left: then call it again later. */
bool pw_log_flush(void);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* poll.h: polls of the kernel (or of a capture) without a daemon: settings -> sockets -> pools -> snapshot */
#ifndef PW_REPORT_POLL_H
#define PW_REPORT_POLL_H

#include "base/error.h"
#include "config/config.h"
#include "report/options.h"
#include "report/report.h"

struct pw_poller;

/* Prepares polls of the namespaces that the options name. Options and configuration are borrowed. With
 * options->record the file is made (mode 0600: it holds addresses). NULL with an error. */
struct pw_poller *pw_poller_new(const struct pw_options *options, const struct pw_config *config, struct pw_error *err);

/* Deletes an unfinished record file. NULL is allowed. */
void pw_poller_free(struct pw_poller *poller);

/* One poll. Fills everything of *report but the selection, and returns the snapshot with one reference for the
 * caller, or NULL with an error when no namespace could be read. report->notes live until the next poll. */
const struct pw_snapshot *pw_poller_poll(struct pw_poller *poller, struct pw_report *report, struct pw_error *err);

/* Polls every options->watch_ms until q, ^C or a signal. On a terminal that can, the frame is redrawn in place on the
 * second screen, also when the window changes its size, and the last frame stays on the first one; else each poll is
 * printed below the last one (JSON: one line). The terminal is given back on every way out. Returns the exit status;
 * ends by the signal itself on SIGTERM and SIGHUP. */
int pw_watch(struct pw_poller *poller, const struct pw_options *options);

/* Ends the capture. Returns 0, also without one, or -1 with an error when it could not be written in full. */
int pw_poller_finish_capture(struct pw_poller *poller, struct pw_error *err);

#endif

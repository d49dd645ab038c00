/* SPDX-License-Identifier: BSD-2-Clause */
/* watch.h: polls again and again, and redraws */
#ifndef PW_REPORT_WATCH_H
#define PW_REPORT_WATCH_H

#include "report/poll.h"

/* Polls every options->watch_ms until q, ^C or a signal. On a terminal that can, the frame is redrawn in place on the
 * second screen, also when the window changes its size, and the last frame stays on the first one; else each poll is
 * printed below the last one (JSON: one line). The terminal is given back on every way out. Returns the exit status;
 * ends by the signal itself on SIGTERM and SIGHUP. */
int pw_watch(struct pw_poller *poller, const struct pw_options *options);

#endif

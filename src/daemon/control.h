/* SPDX-License-Identifier: BSD-2-Clause */
/* control.h: a Unix socket at which the latest snapshot can be read, as the JSON document, by whoever may open it
 *
 * A thread of its own that asks nothing, writes the document to whoever connects, and closes. A reader can't hold up
 * anything else, and all together can take so much: 256 connections at a time (the rest waits in the backlog), of
 * which each ends after a second without progress, or 20 s; and two documents, of which the newest is given to
 * whoever comes while both are being read. */
#ifndef PW_DAEMON_CONTROL_H
#define PW_DAEMON_CONTROL_H

#include "base/error.h"
#include "watch/exchange.h"
#include "watch/journal.h"

struct pw_control;

/* Listens at this path, with mode 0660, in the place of a socket that nobody listens at any more. Exchange and journal
 * are borrowed. NULL with an error. */
struct pw_control *pw_control_start(
	const char *path, struct pw_exchange *exchange, struct pw_journal *journal, struct pw_error *err);

/* Waits for its thread, which waits for nobody, and removes the socket. NULL is allowed. */
void pw_control_stop(struct pw_control *control);

#endif

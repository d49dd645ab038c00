/* SPDX-License-Identifier: BSD-2-Clause */
/* window.h: notifications through the master agent, with acknowledgements
 *
 * At most 32 Notify-PDUs are under way. Without a limit a burst dead-locks: snmpd blocks in sending its answers while this
 * process blocks in sending notifications, both socket buffers full. */
#ifndef PW_AGENT_WINDOW_H
#define PW_AGENT_WINDOW_H

#include "agent/notify.h"
#include "agent/session.h"

enum { PW_WINDOW_SIZE = 32 };

struct pw_window;

/* A notification that the master has not answered yet. */
struct pw_slot {
	struct pw_window *window;
	netsnmp_session *session; /* it went out in; NULL = free */
	uint32_t id;
};

struct pw_window {
	struct pw_session *session;
	struct pw_notifier *notifier;
	struct pw_sender sender;
	struct pw_slot slots[PW_WINDOW_SIZE];
	struct pw_timer pause; /* after a refusal */
};

/* Fills in window->sender. */
void pw_window_init(struct pw_window *window, struct pw_session *session, struct pw_notifier *notifier);

/* The session was opened or has ended: what was under way then is owed again. */
void pw_window_session_changed(struct pw_window *window);

#endif

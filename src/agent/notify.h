/* SPDX-License-Identifier: BSD-2-Clause */
/* notify.h: sends what the exchange owes
 *
 * Through a master agent at most 32 Notify-PDUs are under way, and each is acknowledged. Without a limit a burst
 * dead-locks: snmpd blocks in sending its answers while this process blocks in sending notifications, both socket
 * buffers full. The stand-alone agent sends to the receivers of its include file, without acknowledgement. */
#ifndef PW_AGENT_NOTIFY_H
#define PW_AGENT_NOTIFY_H

#include "agent/session.h"
#include "watch/event.h"
#include "watch/exchange.h"

enum { PW_WINDOW_SIZE = 32 };

/* A notification that the master has not answered yet. */
struct pw_slot {
	struct pw_notifier *notifier;
	netsnmp_session *session; /* it went out in; NULL = free */
	uint32_t id;
};

/* Zeroed but for the first two members. */
struct pw_notifier {
	struct pw_exchange *exchange;
	struct pw_session *session; /* with the master; NULL = stand-alone */
	struct pw_slot slots[PW_WINDOW_SIZE];
	struct pw_timer timer; /* until the next may go */
	uint64_t paced_us;     /* CLOCK_BOOTTIME, when the pace will have caught up with what was sent */
};

/* Sends what may go now. Called whenever something changed that may let a notification go. */
void pw_notifier_pump(struct pw_notifier *notifier);

/* The session was opened or has ended: what was under way then is owed again. */
void pw_notifier_session_changed(struct pw_notifier *notifier);

#endif

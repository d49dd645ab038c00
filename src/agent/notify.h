/* SPDX-License-Identifier: BSD-2-Clause */
/* notify.h: sends what the outbox owes */
#ifndef PW_AGENT_NOTIFY_H
#define PW_AGENT_NOTIFY_H

#include <stdint.h>

#include "agent/library.h"
#include "watch/handover.h"
#include "watch/event.h"

/* The way out: AgentX with acknowledgements (window.h), or the receivers of the stand-alone agent (standalone.h). */
struct pw_sender {
	/* Whether it can take a notification now. If not, it calls pw_notifier_pump() once it can. */
	bool (*ready)(void *context);
	/* Sends the varbinds, which it takes over, and tells the handover what became of them, now or later. Returns 0, or -1
	 * when nothing was sent. */
	int (*send)(void *context, const struct pw_event *event, netsnmp_variable_list *varbinds);
	void *context;
};

struct pw_notifier {
	struct pw_handover *handover;
	const struct pw_sender *sender;
	struct pw_timer timer; /* until the next may go */
	uint64_t paced_us;     /* when the pace will have caught up with what was sent */
};

/* Sends what may go now. Called whenever something changed that may let a notification go. */
void pw_notifier_pump(struct pw_notifier *notifier);

/* sysUpTime.0, snmpTrapOID.0 and the objects of a notification; NULL when out of memory. Owner and label are cut where an SNMPv3
 * message would not fit into an Ethernet frame otherwise: receivers lose fragments, or refuse larger messages. */
netsnmp_variable_list *pw_notification_varbinds(const struct pw_event *event);

#endif

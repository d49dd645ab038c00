/* SPDX-License-Identifier: BSD-2-Clause */
/* event.h: something that operators are notified of, with the values of the poll that saw it */
#ifndef PW_WATCH_EVENT_H
#define PW_WATCH_EVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "count/owner.h"
#include "count/pool.h"

/* Values are the last sub-identifier of the notifications of PORTWATCH-MIB. */
enum pw_event_type {
	PW_EVENT_RISING = 1,
	PW_EVENT_FALLING = 2,
	PW_EVENT_CONNECT_FAILING = 3,
	PW_EVENT_COLLECTOR_FAILED = 4,
	PW_EVENT_COLLECTOR_RECOVERED = 5,
	PW_EVENT_SNAT_FAILING = 6,
	PW_EVENT_SNAT_RACING = 7,
	PW_EVENT_CONNTRACK_RISING = 8,
	PW_EVENT_CONNTRACK_FALLING = 9
};

/* A threshold, and what it is a threshold of: percent of utilization, free ports, or seconds to exhaustion. */
struct pw_crossing {
	enum pw_reason reason;
	uint32_t threshold;
};

/* Self-contained: no pointers into other structures. */
struct pw_event {
	uint32_t id; /* unique together with `time` */
	enum pw_event_type type;
	struct timespec time; /* wall time of the poll */
	bool logged;          /* the log needs no line: it has one, or too many */

	/* of rising and falling; key, name and addresses of failing connects too, if their pool is known */
	struct pw_pool_key key;
	char name[PW_POOL_NAME_MAX];
	char local_text[PW_ADDRESS_TEXT_MAX];
	char remote_text[PW_ADDRESS_TEXT_MAX];
	char label[64];
	char owner[PW_OWNER_TEXT_MAX];
	struct pw_pool_counts counts;
	enum pw_state state, previous;
	enum pw_reason reason;   /* what crossed: of a falling one, what it came back from */
	uint32_t threshold;      /* that was crossed into `state`: percent, ports or seconds, as the reason says */
	struct pw_crossing rise; /* into `state` from below, and ... */
	struct pw_crossing fall; /* ... from above: which of the two it was depends on `previous` */
	uint32_t time_to_exhaustion;

	char text[200];    /* what the numbers do not say; of the others: error, names of failing processes */
	uint32_t failures; /* since the last notification */
};

/* How urgent a rising or falling event is, as a number. What gets worse comes before what gets better, and that
 * before what is only repeated; then by the ports at stake (those that are gone, times how severe it is), so that a
 * pool of two ports does not go before one of thousands; then by state and utilization. */
uint64_t pw_event_urgency(const struct pw_event *event);

/* Whether it tells of things that happen, and has no state: each is owed, and those that wait for the master add up. */
static inline bool pw_event_is_count(const struct pw_event *event)
{
	return event->type == PW_EVENT_CONNECT_FAILING || event->type == PW_EVENT_SNAT_FAILING ||
		event->type == PW_EVENT_SNAT_RACING;
}

/* Longest text of pw_event_text(), the final NUL included. */
#define PW_EVENT_TEXT_MAX 1024

/* Makes it one of a whole namespace: its pwNsIndex, and in front of the text its name ("" = the daemon's own). */
void pw_event_of_ns(
	struct pw_event *event, enum pw_event_type type, uint32_t ns, const char *ns_name, const char *text);

/* Says from which state a rising or falling event comes: sets previous, and type, reason and threshold to fit. The
 * same state as before (an alarm that is repeated) is rising. */
void pw_event_set_previous(struct pw_event *event, enum pw_state previous);

/* One line with the facts of the notification, for the log. Returns buf. */
char *pw_event_text(const struct pw_event *event, char *buf, size_t size);

/* The name of a type, as in JSON: that of the notification without "pw"; "unknown" for any other value. */
const char *pw_event_type_name(unsigned type);

/* The priority of that line: LOG_WARNING where something gets worse, LOG_NOTICE where it gets better, LOG_ERR where
 * nothing is known. */
int pw_event_priority(const struct pw_event *event);

#endif

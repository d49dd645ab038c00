/* SPDX-License-Identifier: BSD-2-Clause */
/* session.h: the AgentX session with the master agent
 *
 * The library opens the session (a synchronous exchange, bounded in time); everything after that is asynchronous and
 * done here: registration, pings, notifications. The library's own ping and reconnect stay switched off: the ping
 * blocks, and each connection that a master closes at once would leave one more reconnect timer behind. */
#ifndef PW_AGENT_SESSION_H
#define PW_AGENT_SESSION_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "agent/agent.h"
#include "agent/library.h"

struct pw_session {
	char *address; /* as the user gave it, for the log */
	uint64_t ping_ms;
	uint64_t reconnect_ms;
	/* Called after each change of `open`. */
	void (*changed)(void *context);
	void *context;

	netsnmp_session *session; /* NULL = not open */
	atomic_bool open;         /* the same for other threads */
	bool connecting;          /* an attempt is being made: only then can a session open */
	bool ping_under_way;
	bool closing;                 /* its end is wanted */
	bool refusal_told;            /* that another agent has our subtree */
	struct pw_timer retry;        /* of the connection */
	struct pw_timer watch;        /* of a silent master */
	struct pw_timer registration; /* retry of a refused one */
	char trouble[256];            /* the last one that was logged: it is not logged again and again */
};

/* Prepares a session and tells the library about it: after init_agent(), before init_snmp(), which makes the first
 * attempt to connect. */
int pw_session_open(struct pw_session *session, const struct pw_agent_options *options, void (*changed)(void *context),
	void *context, struct pw_error *err);

/* Sees to it that there will be a next attempt to connect, or a next look at the master: after init_snmp(), and after
 * each turn of the loop, since a timer that found no memory does not run. */
void pw_session_keep(struct pw_session *session);

/* Sends a Notify-PDU with these varbinds, which it takes over. Returns 0 when `done` will be called with the master's
 * answer, or with another operation when the session ends before; -1 when nothing was sent (done may have been called
 * with another operation). */
int pw_session_notify(struct pw_session *session, netsnmp_variable_list *varbinds, snmp_callback done, void *magic);

/* Closes the session, stops the timers and frees what it owns: before snmp_shutdown(). Never blocks. */
void pw_session_close(struct pw_session *session);

#endif

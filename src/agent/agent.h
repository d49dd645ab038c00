/* SPDX-License-Identifier: BSD-2-Clause */
/* agent.h: the SNMP side: serves PORTWATCH-MIB from the latest snapshot and sends the notifications
 *
 * Everything of net-snmp lives behind this header, in one thread of its own, because libnetsnmpagent's calls are
 * synchronous and can block without bound when the master agent hangs. */
#ifndef PW_AGENT_AGENT_H
#define PW_AGENT_AGENT_H

#include <stdbool.h>

#include "base/error.h"
#include "watch/exchange.h"

enum pw_agent_role {
	PW_AGENT_SUBAGENT,  /* AgentX, beside an snmpd */
	PW_AGENT_STANDALONE /* its own SNMP agent, without any snmpd (-L) */
};

struct pw_agent_options {
	enum pw_agent_role role;
	const char *
		address; /* AgentX address ("/var/agentx/master", "unix:...", "tcp:localhost:705"), or listen address */
	double ping_interval;      /* seconds */
	double reconnect_interval; /* seconds */
	const char *snmp_include;  /* stand-alone: access control and trap receivers in net-snmp's words; NULL = none */
};

struct pw_agent;

/* Starts the thread. Options are copied, the exchange is borrowed. A missing master is no error (it is retried for
 * ever). Returns NULL with an error when the thread or the listen address can't be had. One agent per process. */
struct pw_agent *pw_agent_start(
	const struct pw_agent_options *options, struct pw_exchange *exchange, struct pw_error *err);

/* Asks the thread to end and waits at most timeout_ms for it: a few last notifications may leave. Returns true when
 * the thread ended and everything was freed; false when it hangs in the library (the process must then end without
 * it). */
bool pw_agent_stop(struct pw_agent *agent, unsigned timeout_ms);

/* Whether a master is connected right now (always true stand-alone). Thread-safe. */
bool pw_agent_connected(const struct pw_agent *agent);

#endif

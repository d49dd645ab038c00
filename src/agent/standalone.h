/* SPDX-License-Identifier: BSD-2-Clause */
/* standalone.h: the agent without a master (-L): answers SNMP itself and sends to its own receivers */
#ifndef PW_AGENT_STANDALONE_H
#define PW_AGENT_STANDALONE_H

#include "agent/agent.h"
#include "agent/serve.h"

struct pw_standalone {
	bool has_state; /* SNMPv3 state is kept in a file: the include file names a directory for it */
};

/* Between init_agent() and init_snmp(): listen address, access control, PORTWATCH-MIB, and the system group of
 * SNMPv2-MIB (RFC 3418), which the library leaves to snmpd. */
int pw_standalone_open(struct pw_standalone *standalone, const struct pw_agent_options *options,
	struct pw_server *server, struct pw_error *err);

/* After init_snmp(): listens. Fails when the address can't be had, or the include file had a mistake. */
int pw_standalone_start(struct pw_standalone *standalone, struct pw_error *err);

/* Before snmp_shutdown(): the library forgets about the structure. */
void pw_standalone_close(struct pw_standalone *standalone);

#endif

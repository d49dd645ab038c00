/* SPDX-License-Identifier: BSD-2-Clause */
/* listen.h: what the stand-alone agent listens on, with bounds for what clients can take of it
 *
 * The library takes every connection that it can get, and keeps it for as long as the client likes: one client that
 * connects and says nothing takes all descriptors of the process, and one that asks and never reads stops the thread.
 * Addresses that take connections ("tcp:...") are opened under the prefix "portwatch-listen": so many connections at
 * a time, of which the most silent makes room for a new one; so many seconds for the first request, and between two;
 * so long for an answer to be taken; and some descriptors stay free for the collector. */
#ifndef PW_AGENT_LISTEN_H
#define PW_AGENT_LISTEN_H

/* Limits. A request counts when it is answered: what is no SNMP, or has the wrong community, is silence. */
enum {
	PW_LISTEN_CONNECTIONS = 64,
	PW_LISTEN_FIRST_MS = 30000,
	PW_LISTEN_IDLE_MS = 600000,
	PW_LISTEN_SEND_MS = 200,
	PW_LISTEN_SPARE = 32 /* descriptors */
};

/* Puts a comma-separated list of addresses into the form that the library is to be given, to be freed by the caller;
 * NULL when out of memory. */
char *pw_listen_addresses(const char *addresses);

/* Makes the prefix known to the library: after init_agent(). Returns 0, or -1 when out of memory or descriptors. */
int pw_listen_register(void);

/* Stops its timer, and frees what it keeps. */
void pw_listen_close(void);

#endif

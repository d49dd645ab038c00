/* SPDX-License-Identifier: BSD-2-Clause */
/* transport.h: the connection to the master agent, bounded in time
 *
 * The library's own transport blocks without bound in connect(2) when the master hangs with a full backlog, and in
 * send(2) when it hangs with a full socket buffer. This one takes its place under the prefix "portwatch". What
 * arrives goes through stream.h, so that the library sees nothing but Responses. One connection at a time. */
#ifndef PW_AGENT_TRANSPORT_H
#define PW_AGENT_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/stream.h"
#include "base/error.h"

/* Puts an AgentX address into the form that the library is to be given; `out` is that text, to be freed by the
 * caller. Accepted: a path, unix:PATH, tcp:[HOST:]PORT, tcp6:[ADDRESS]:PORT. NULL with an error for anything else. */
char *pw_transport_address(const char *address, struct pw_error *err);

/* Makes the transport known to the library: after init_agent(), before init_snmp(). `respond` answers the master's
 * requests, in the thread that runs the library. Returns 0, or -1 when out of memory: the library would find no way
 * to any master then. */
int pw_transport_register(pw_stream_responder *respond, void *context);

/* Why the last connect failed or the connection ended, "" when nothing is known. */
const char *pw_transport_error(void);

/* CLOCK_BOOTTIME in milliseconds when the last PDU arrived that is any use, or the connection was made. */
uint64_t pw_transport_heard_ms(void);

/* Ends the connection at once, as if the master had: whatever waits for the master goes on. Nothing happens where
 * there is no connection. `why` is a static text for pw_transport_error(). May be called by any thread. */
void pw_transport_cut(const char *why);

/* The same, for good: later connections are refused as well. */
void pw_transport_shut(void);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* transport.h: the connection to the master agent, bounded in time
 *
 * The library's own transport blocks without bound in connect(2) when the master hangs with a full backlog, and in send(2) when
 * it hangs with a full socket buffer. This one takes its place under the prefix "portwatch". It also looks at the framing of what arrives,
 * because the library waits, and collects, for ever when a length is nonsense. One connection at a time. */
#ifndef PW_AGENT_TRANSPORT_H
#define PW_AGENT_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* Puts an AgentX address into the form that the library is to be given; `out` is that text, to be freed by the caller. Accepted: a
 * path, unix:PATH, tcp:[HOST:]PORT, tcp6:[ADDRESS]:PORT. NULL with an error for anything else. */
char *pw_transport_address(const char *address, struct pw_error *err);

/* Makes the transport known to the library: after init_agent(), before init_snmp(). Returns 0, or -1 when out of memory: the library
 * would find no way to any master then. */
int pw_transport_register(void);

/* Whoever may answer a PDU that has just arrived, before the library sees it: writes the answer to `out` and returns its length, or 0 to
 * leave the PDU to the library. Called in the thread that runs the library, with one complete PDU. */
typedef size_t pw_transport_responder(void *context, const uint8_t *pdu, size_t n, uint8_t *out, size_t size);
void pw_transport_set_responder(pw_transport_responder *respond, void *context);

/* Why the last connect failed or the connection ended, "" when nothing is known. */
const char *pw_transport_error(void);

/* CLOCK_BOOTTIME in milliseconds when the last complete PDU arrived, or the connection was made. */
uint64_t pw_transport_heard_ms(void);

/* Ends the connection at once, as if the master had: whatever waits for the master goes on. Nothing happens where there is no
 * connection. `why` is a static text for pw_transport_error(). May be called by any thread. */
void pw_transport_cut(const char *why);

/* The same, for good: later connections are refused as well. */
void pw_transport_shut(void);

#endif

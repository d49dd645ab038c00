/* SPDX-License-Identifier: BSD-2-Clause */
/* frame.h: follows the framing of a stream of AgentX PDUs (RFC 2741 6.1); no net-snmp */
#ifndef PW_AGENT_FRAME_H
#define PW_AGENT_FRAME_H

#include <stddef.h>
#include <stdint.h>

/* Zeroed = at the start of a PDU. */
struct pw_frame {
	uint8_t header[20];
	uint32_t have;    /* octets of the header that have arrived */
	uint32_t missing; /* octets of the payload that have not */
};

/* A PDU with more payload is nonsense: the largest SNMP message is 64 KiB, and a varbind of it grows less than tenfold in AgentX. */
enum { PW_FRAME_PAYLOAD_MAX = 1 << 20 };

/* Takes the next octets into account. Returns how many PDUs they completed, or -1 with a static reason when this is no AgentX, or the
 * master says that it closes the session. */
int pw_frame_feed(struct pw_frame *frame, const uint8_t *octets, size_t n, const char **why);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* serve.h: answers the requests for PORTWATCH-MIB */
#ifndef PW_AGENT_SERVE_H
#define PW_AGENT_SERVE_H

#include "agent/object.h"
#include "base/error.h"
#include "watch/handover.h"

struct pw_server {
	struct pw_handover *handover;
	struct pw_scene scene;
	bool has_scene; /* the scene belongs to this turn of the loop */
};

/* Registers the whole subtree of the MIB with the library: one registration, so that all varbinds of a PDU reach the handler
 * together and are answered from one snapshot, whichever tables they ask for. */
int pw_server_open(struct pw_server *server, struct pw_handover *handover, struct pw_error *err);

/* Answers one AgentX PDU of n octets without the library. Writes the Response to `out` and returns its length; 0 for what is left to
 * the library: other types, contexts, names that are not of this MIB, answers that do not fit into `size`. */
size_t pw_server_respond(void *server, const uint8_t *pdu, size_t n, uint8_t *out, size_t size);

/* Ends a turn of the loop: the next request is answered from the snapshot of its own time. */
void pw_server_end_turn(struct pw_server *server);

#endif

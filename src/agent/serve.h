/* SPDX-License-Identifier: BSD-2-Clause */
/* serve.h: answers the requests for PORTWATCH-MIB */
#ifndef PW_AGENT_SERVE_H
#define PW_AGENT_SERVE_H

#include "agent/object.h"
#include "agent/pdu.h"
#include "watch/exchange.h"

struct pw_server {
	struct pw_exchange *exchange;
	struct pw_context context;
	bool has_context; /* the context belongs to this turn of the loop */
};

/* What the requests of this turn of the loop are answered from: a GETBULK of the stand-alone agent comes in many
 * calls. */
const struct pw_context *pw_server_context(struct pw_server *server);

/* Ends a turn of the loop: the next request is answered from the snapshot of its own time. */
void pw_server_end_turn(struct pw_server *server);

/* pw_lookup_get() and pw_lookup_next() with whole names: all names before the base OID come before its first
 * instance. */
enum pw_lookup pw_server_get(const struct pw_context *context, const struct pw_name *name, struct pw_instance *out);
bool pw_server_next(const struct pw_context *context, const struct pw_name *name, struct pw_instance *out);

/* Answers one request of a master, whatever it asks (a pw_stream_responder): values and exceptions to Get, GetNext
 * and GetBulk in the default context, notWritable to TestSet, errors to the other parts of a SET that must not come
 * then. Nothing to CleanupSet (RFC 2741 7.2.4.4), and to PDUs that only a subagent sends. */
size_t pw_server_respond(void *server, struct pw_pdu *request, bool open, uint8_t *out, size_t size);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* stream.h: the PDUs that a master sends, each dealt with before the library sees it; no net-snmp, no I/O
 *
 * The library takes ten system calls and a copy through two pipes for each Get or GetNext, and a walk consists of
 * nothing else. It waits, and collects, for ever when a length is nonsense; it reads beyond contexts that begin with
 * a NUL, and uses freed memory when a TestSet is followed by the end of the connection. So requests are answered by
 * us, and all that reaches the library are Responses to what it has asked, reduced to their first eight octets: it
 * needs no more. */
#ifndef PW_AGENT_STREAM_H
#define PW_AGENT_STREAM_H

#include "agent/pdu.h"

/* Writes the answer to a request to `out`, and returns its length; 0 when there is none. `open`: it names the session
 * that is open. */
typedef size_t pw_stream_responder(void *context, struct pw_pdu *request, bool open, uint8_t *out, size_t size);

/* Sends a PDU; -1 when that failed. */
typedef int pw_stream_sender(void *context, const uint8_t *pdu, size_t n);

/* What we have asked, and still wait for: 32 notifications, a ping, a registration, an open, a close; more make the
 * oldest forgotten. */
enum { PW_STREAM_ASKED = 64 };

struct pw_stream {
	pw_stream_responder *respond;
	void *respond_context;
	pw_stream_sender *send;
	void *send_context;

	bool open;        /* a session is */
	uint32_t session; /* its number */
	struct {
		uint32_t packet;
		uint8_t type; /* 0: free */
	} asked[PW_STREAM_ASKED];
	unsigned next; /* of asked[], round and round */
	size_t have;
	uint8_t octets[PW_PDU_MAX]; /* what has arrived of the next PDUs */
	uint8_t response[PW_PDU_MAX];
};

/* Makes it ready for another connection. The functions stay. */
void pw_stream_reset(struct pw_stream *stream);

/* Notes what the library asks the master, by the PDU that it sends. */
void pw_stream_sent(struct pw_stream *stream, const uint8_t *pdu, size_t n);

/* Where the next octets are to be received, at most n of them, which is never 0. */
uint8_t *pw_stream_room(struct pw_stream *stream, size_t *n);

/* Takes n octets that were received there into account: answers requests, drops what is neither a request nor an
 * answer to one, and writes what the library may see to `out`, whose size must be PW_STREAM_ASKED reduced Responses
 * at least; *out_len says how much. Returns how many PDUs it could use, or -1 with a static reason when the
 * connection must end. */
int pw_stream_received(struct pw_stream *stream, size_t n, uint8_t *out, size_t *out_len, const char **why);

#endif

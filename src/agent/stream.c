/* SPDX-License-Identifier: BSD-2-Clause */
#include "agent/stream.h"

#include <string.h>

/* Octets that are taken at a time: a master that floods us must not keep the thread from its other work. */
enum { PIECE = 65536 };

void pw_stream_reset(struct pw_stream *s)
{
	s->open = false;
	s->have = 0;
	s->next = 0;
	memset(s->asked, 0, sizeof(s->asked));
}

void pw_stream_sent(struct pw_stream *s, const uint8_t *octets, size_t n)
{
	struct pw_pdu pdu;

	if (n < PW_PDU_HEADER || pw_pdu_header(&pdu, octets) != NULL || pdu.type == PW_PDU_RESPONSE)
		return;
	s->asked[s->next].packet = pdu.packet;
	s->asked[s->next].type = pdu.type;
	s->next = (s->next + 1) % PW_STREAM_ASKED;
}

uint8_t *pw_stream_room(struct pw_stream *s, size_t *n)
{
	*n = sizeof(s->octets) - s->have < PIECE ? sizeof(s->octets) - s->have : PIECE;
	return s->octets + s->have;
}

/* The type of the request that this Response answers; 0 when nobody asked, or asked in another session. */
static uint8_t asked(struct pw_stream *s, const struct pw_pdu *response)
{
	for (unsigned i = 0; i < PW_STREAM_ASKED; i++) {
		uint8_t type = s->asked[i].type;

		if (type == 0 || s->asked[i].packet != response->packet)
			continue;
		if (type != PW_PDU_OPEN && (!s->open || response->session != s->session))
			return 0;
		s->asked[i].type = 0;
		return type;
	}
	return 0;
}

static size_t take_response(struct pw_stream *s, const struct pw_pdu *pdu, const uint8_t *octets, uint8_t *out)
{
	size_t len = pw_response_reduce(pdu, octets, out);
	uint8_t type = len > 0 ? asked(s, pdu) : 0;

	if (type == PW_PDU_OPEN) {
		s->open = true;
		s->session = pdu->session;
	}
	return type != 0 ? len : 0;
}

int pw_stream_received(struct pw_stream *s, size_t n, uint8_t *out, size_t *out_len, const char **why)
{
	size_t at = 0;
	int used = 0;

	*out_len = 0;
	s->have += n;
	while (s->have - at >= PW_PDU_HEADER) {
		const uint8_t *octets = s->octets + at;
		struct pw_pdu pdu;
		size_t len;

		*why = pw_pdu_header(&pdu, octets);
		if (*why == NULL && pdu.type == PW_PDU_CLOSE)
			*why = "it closed the session";
		if (*why != NULL)
			return -1;
		len = (size_t)(pdu.end - octets);
		if (s->have - at < len)
			break;
		if (pdu.type == PW_PDU_RESPONSE) {
			size_t reduced = take_response(s, &pdu, octets, out + *out_len);

			*out_len += reduced;
			used += reduced > 0;
		} else {
			bool open = s->open && pdu.session == s->session;
			size_t answer = s->respond(s->respond_context, &pdu, open, s->response, sizeof(s->response));

			if (answer > 0 && s->send(s->send_context, s->response, answer) < 0) {
				*why = "it takes no more answers";
				return -1;
			}
			used += answer > 0;
		}
		at += len;
	}
	s->have -= at;
	memmove(s->octets, s->octets + at, s->have);
	return used;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* Requests of an AgentX master, and the Responses to them. Input: two bytes for the room that the Response has, then the PDU. */
#include <stdlib.h>
#include <string.h>

#include "agent/pdu.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int condition)
{
	if (!condition)
		abort();
}

/* Answers a range as an agent would that has its start, its end, or nothing. */
static void answer(struct pw_response *response, const struct pw_name *start, const struct pw_name *end)
{
	struct pw_value row = {.syntax = PW_SYNTAX_ROW, .len = end->len < PW_OID_MAX ? end->len : PW_OID_MAX};

	must(start->len <= PW_NAME_MAX && end->len <= PW_NAME_MAX);
	memcpy(row.oid, end->id, row.len * sizeof(row.oid[0]));
	if (start->include)
		pw_response_value(response, start->id, start->len, &row);
	else
		pw_response_exception(response, start, PW_END_OF_MIB_VIEW);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t reduced[PW_PDU_HEADER + PW_PDU_RESULT];
	struct pw_response response;
	struct pw_name start, end;
	uint16_t repeaters, repetitions;
	struct pw_pdu pdu;
	size_t room, len;
	uint8_t *out;
	int rc;

	if (size < 2 + PW_PDU_HEADER || pw_pdu_header(&pdu, data + 2) != NULL || pdu.end != data + size)
		return 0;
	room = 28 + (size_t)data[0] * 256 + data[1]; /* the header and its three fields always fit */
	out = malloc(room);
	must(out != NULL);
	len = pw_response_reduce(&pdu, data + 2, reduced);
	must(len == 0 || len == sizeof(reduced));
	pw_response_begin(&response, &pdu, 1, out, room);
	if (pdu.type == PW_PDU_GETBULK)
		pw_pdu_bulk(&pdu, &repeaters, &repetitions);
	while ((rc = pw_pdu_range(&pdu, &start, &end)) > 0)
		answer(&response, &start, &end);
	len = pw_response_end(&response);
	must(len == 0 || (len >= 28 && len <= room && len % 4 == 0));
	must(rc <= 0 && pdu.at <= pdu.end);
	pw_response_error(&response, PW_PDU_GEN_ERR, 0);
	must(pw_response_end(&response) == 28);
	free(out);
	return 0;
}

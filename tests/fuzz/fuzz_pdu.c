/* SPDX-License-Identifier: BSD-2-Clause */
/* Get and GetNext PDUs of an AgentX master, and the Responses to them. Input: two bytes for the room that the Response has, then
 * the PDU. */
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
	struct pw_response response;
	struct pw_name start, end;
	struct pw_pdu pdu;
	size_t room, len;
	uint8_t *out;
	int rc;

	if (size < 2)
		return 0;
	room = 28 + (size_t)data[0] * 256 + data[1]; /* the header and its three fields always fit */
	if (!pw_pdu_read(&pdu, data + 2, size - 2))
		return 0;
	out = malloc(room);
	must(out != NULL);
	pw_response_begin(&response, &pdu, 1, out, room);
	while ((rc = pw_pdu_range(&pdu, &start, &end)) > 0)
		answer(&response, &start, &end);
	len = pw_response_end(&response);
	must(len == 0 || (len >= 28 && len <= room && len % 4 == 0));
	must(rc <= 0 && pdu.at <= pdu.end);
	free(out);
	return 0;
}

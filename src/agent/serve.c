/* SPDX-License-Identifier: BSD-2-Clause */
#include "agent/serve.h"

#include <string.h>

#include "agent/library.h"
#include "base/clock.h"

/* What is answered before the first poll. */
static const struct pw_snapshot nothing;

const struct pw_context *pw_server_context(struct pw_server *server)
{
	struct pw_context *s = &server->context;

	if (!server->has_context) {
		s->snapshot = pw_exchange_snapshot(server->exchange);
		server->has_context = s->snapshot != NULL;
		s->snapshot = s->snapshot != NULL ? s->snapshot : &nothing;
		pw_exchange_stats(server->exchange, &s->exchange);
		s->now_ms = pw_clock_boot_ms();
		s->uptime = pw_uptime();
	}
	return s;
}

void pw_server_end_turn(struct pw_server *server)
{
	if (server->has_context)
		pw_snapshot_unref(server->context.snapshot);
	server->has_context = false;
}

static bool is_ours(const struct pw_name *name)
{
	return name->len >= pw_base_len && memcmp(name->id, pw_base, pw_base_len * sizeof(name->id[0])) == 0;
}

enum pw_lookup pw_server_get(const struct pw_context *context, const struct pw_name *name, struct pw_instance *out)
{
	if (!is_ours(name))
		return PW_LOOKUP_NO_OBJECT;
	return pw_lookup_get(context->snapshot, name->id + pw_base_len, name->len - pw_base_len, out);
}

bool pw_server_next(const struct pw_context *context, const struct pw_name *name, struct pw_instance *out)
{
	if (is_ours(name))
		return pw_lookup_next(context->snapshot, name->id + pw_base_len, name->len - pw_base_len, out);
	return pw_index_compare(name->id, name->len, pw_base, pw_base_len) < 0 &&
		pw_lookup_next(context->snapshot, name->id, 0, out);
}

/* --- AgentX ----------------------------------------------------------------------------------------------------- */

static void respond_value(struct pw_response *r, const struct pw_context *s, const struct pw_instance *found,
	const struct pw_name *start, const struct pw_name *end)
{
	uint32_t full[PW_OID_MAX];
	struct pw_value value;
	size_t len = pw_base_len + found->len;

	memcpy(full, pw_base, pw_base_len * sizeof(full[0]));
	memcpy(full + pw_base_len, found->oid, found->len * sizeof(full[0]));
	if (end != NULL && end->len != 0 && pw_index_compare(full, len, end->id, end->len) >= 0) {
		pw_response_exception(r, start, PW_END_OF_MIB_VIEW);
		return;
	}
	pw_object_read(found->field, s, found->row, &value);
	pw_response_value(r, full, len, &value);
}

/* One repetition of a GetBulk is made, as if there were no room for more (RFC 3416 4.2.3): snmpd sends GetNext for
 * each repetition itself. */
static void respond_ranges(struct pw_response *r, const struct pw_context *s, struct pw_pdu *request)
{
	uint16_t non_repeaters = UINT16_MAX, max_repetitions = 1;
	struct pw_name start, end;
	struct pw_instance found;
	int rc = request->type == PW_PDU_GETBULK ? pw_pdu_bulk(request, &non_repeaters, &max_repetitions) : 0;

	for (size_t i = 0; rc == 0 && (rc = pw_pdu_range(request, &start, &end)) > 0; i++, rc = 0) {
		if (request->type != PW_PDU_GET && i >= non_repeaters && max_repetitions == 0)
			continue;
		if (request->type != PW_PDU_GET) {
			if ((start.include && pw_server_get(s, &start, &found) == PW_LOOKUP_FOUND) ||
				pw_server_next(s, &start, &found))
				respond_value(r, s, &found, &start, &end);
			else
				pw_response_exception(r, &start, PW_END_OF_MIB_VIEW);
			continue;
		}
		switch (pw_server_get(s, &start, &found)) {
		case PW_LOOKUP_FOUND: respond_value(r, s, &found, &start, NULL); break;
		case PW_LOOKUP_NO_INSTANCE: pw_response_exception(r, &start, PW_NO_SUCH_INSTANCE); break;
		case PW_LOOKUP_NO_OBJECT: pw_response_exception(r, &start, PW_NO_SUCH_OBJECT); break;
		}
	}
	if (rc < 0)
		pw_response_error(r, PW_PDU_PARSE_ERROR, 0);
}

size_t pw_server_respond(void *server, struct pw_pdu *request, bool open, uint8_t *out, size_t size)
{
	const struct pw_context *s = pw_server_context(server);
	struct pw_response r;
	size_t len;

	if (request->type < PW_PDU_GET || request->type > PW_PDU_UNDOSET)
		return 0;
	pw_response_begin(&r, request, s->uptime, out, size);
	if (!open)
		pw_response_error(&r, PW_PDU_NOT_OPEN, 0);
	else if (request->type == PW_PDU_COMMITSET)
		pw_response_error(&r, PW_PDU_COMMIT_FAILED, 0);
	else if (request->type == PW_PDU_UNDOSET)
		pw_response_error(&r, PW_PDU_UNDO_FAILED, 0);
	else if (request->context)
		pw_response_error(&r, PW_PDU_UNSUPPORTED_CONTEXT, 0);
	else if (request->type == PW_PDU_TESTSET)
		pw_response_error(&r, PW_PDU_NOT_WRITABLE, 1);
	else
		respond_ranges(&r, s, request);
	len = pw_response_end(&r);
	if (len != 0)
		return len;
	pw_response_error(&r, PW_PDU_GEN_ERR, 0);
	return pw_response_end(&r);
}

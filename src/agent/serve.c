/* SPDX-License-Identifier: BSD-2-Clause */
#include "agent/serve.h"

#include <string.h>

#include "agent/library.h"
#include "agent/pdu.h"
#include "base/clock.h"

/* What is answered before the first poll. */
static const struct pw_snapshot nothing;

/* All requests of a turn of the loop are answered from one scene: a GETBULK of the stand-alone agent comes in many calls. */
static const struct pw_scene *scene(struct pw_server *server)
{
	struct pw_scene *s = &server->scene;

	if (!server->has_scene) {
		s->snapshot = pw_handover_snapshot(server->handover);
		server->has_scene = s->snapshot != NULL;
		s->snapshot = s->snapshot != NULL ? s->snapshot : &nothing;
		pw_handover_stats(server->handover, &s->outbox);
		s->now_ms = pw_clock_boot_ms();
		s->uptime = pw_uptime();
	}
	return s;
}

void pw_server_end_turn(struct pw_server *server)
{
	if (server->has_scene)
		pw_snapshot_unref(server->scene.snapshot);
	server->has_scene = false;
}

/* The part of a name below the base OID; 0 sub-identifiers for all names before it. No index is longer than PW_OID_MAX, so what is cut
 * off makes no difference to the order. Returns false for names behind the subtree. */
static bool below_base(const oid *name, size_t len, uint32_t out[PW_OID_MAX + 1], size_t *out_len)
{
	size_t i = 0;

	*out_len = 0;
	for (; i < pw_base_len && i < len; i++)
		if (name[i] != pw_base[i])
			return name[i] < pw_base[i];
	for (; i < len && *out_len <= PW_OID_MAX; i++)
		out[(*out_len)++] = name[i] < UINT32_MAX ? (uint32_t)name[i] : UINT32_MAX;
	return true;
}

static void answer(netsnmp_agent_request_info *info, netsnmp_request_info *request, const struct pw_scene *s,
	const struct pw_instance *found)
{
	struct pw_value value;

	pw_object_read(found->object, s, found->row, &value);
	if (pw_varbind_set(request->requestvb, &value) < 0)
		netsnmp_set_request_error(info, request, SNMP_ERR_GENERR);
}

static void answer_get(netsnmp_agent_request_info *info, netsnmp_request_info *request, const struct pw_scene *s)
{
	uint32_t name[PW_OID_MAX + 1];
	size_t len;
	struct pw_instance found;

	below_base(request->requestvb->name, request->requestvb->name_length, name, &len);
	switch (pw_lookup_get(s->snapshot, name, len, &found)) {
	case PW_LOOKUP_FOUND: answer(info, request, s, &found); break;
	case PW_LOOKUP_NO_INSTANCE: netsnmp_set_request_error(info, request, SNMP_NOSUCHINSTANCE); break;
	case PW_LOOKUP_NO_OBJECT: netsnmp_set_request_error(info, request, SNMP_NOSUCHOBJECT); break;
	}
}

/* A request that is left alone makes the library go on behind the subtree. */
static void answer_next(netsnmp_agent_request_info *info, netsnmp_request_info *request, const struct pw_scene *s)
{
	uint32_t name[PW_OID_MAX + 1];
	oid full[MAX_OID_LEN];
	size_t len;
	struct pw_instance found;

	if (!below_base(request->requestvb->name, request->requestvb->name_length, name, &len) ||
		!pw_lookup_next(s->snapshot, name, len, &found))
		return;
	if (snmp_set_var_objid(request->requestvb, full, pw_full_oid(full, found.oid, found.len)) != 0)
		netsnmp_set_request_error(info, request, SNMP_ERR_GENERR);
	else
		answer(info, request, s, &found);
}

static int handle(netsnmp_mib_handler *handler, netsnmp_handler_registration *registration,
	netsnmp_agent_request_info *info, netsnmp_request_info *requests)
{
	const struct pw_scene *s = scene(handler->myvoid);

	(void)registration;
	for (netsnmp_request_info *request = requests; request != NULL; request = request->next) {
		if (request->processed)
			continue;
		if (info->mode == MODE_GET)
			answer_get(info, request, s);
		else if (info->mode == MODE_GETNEXT)
			answer_next(info, request, s);
	}
	return SNMP_ERR_NOERROR;
}

/* --- without the library -------------------------------------------------------------------------------------------- */

static int compare_names(const uint32_t *a, size_t a_len, const uint32_t *b, size_t b_len)
{
	for (size_t i = 0; i < a_len && i < b_len; i++)
		if (a[i] != b[i])
			return a[i] < b[i] ? -1 : 1;
	return (a_len > b_len) - (a_len < b_len);
}

static void respond_value(struct pw_response *r, const struct pw_scene *s, const struct pw_instance *found,
	const struct pw_name *start, const struct pw_name *end)
{
	uint32_t full[PW_OID_MAX];
	struct pw_value value;
	size_t len = pw_base_len + found->len;

	memcpy(full, pw_base, pw_base_len * sizeof(full[0]));
	memcpy(full + pw_base_len, found->oid, found->len * sizeof(full[0]));
	if (end->len != 0 && compare_names(full, len, end->id, end->len) >= 0) {
		pw_response_exception(r, start, PW_END_OF_MIB_VIEW);
		return;
	}
	pw_object_read(found->object, s, found->row, &value);
	pw_response_value(r, full, len, &value);
}

static void respond_get(
	struct pw_response *r, const struct pw_scene *s, const uint32_t *below, size_t len, const struct pw_name *name)
{
	static const struct pw_name no_end;
	struct pw_instance found;

	switch (pw_lookup_get(s->snapshot, below, len, &found)) {
	case PW_LOOKUP_FOUND: respond_value(r, s, &found, name, &no_end); break;
	case PW_LOOKUP_NO_INSTANCE: pw_response_exception(r, name, PW_NO_SUCH_INSTANCE); break;
	case PW_LOOKUP_NO_OBJECT: pw_response_exception(r, name, PW_NO_SUCH_OBJECT); break;
	}
}

static void respond_next(struct pw_response *r, const struct pw_scene *s, const uint32_t *below, size_t len,
	const struct pw_name *start, const struct pw_name *end)
{
	struct pw_instance found;

	if ((start->include && pw_lookup_get(s->snapshot, below, len, &found) == PW_LOOKUP_FOUND) ||
		pw_lookup_next(s->snapshot, below, len, &found))
		respond_value(r, s, &found, start, end);
	else
		pw_response_exception(r, start, PW_END_OF_MIB_VIEW);
}

static bool is_ours(const struct pw_name *name)
{
	return name->len >= pw_base_len && memcmp(name->id, pw_base, pw_base_len * sizeof(name->id[0])) == 0;
}

size_t pw_server_respond(void *server, const uint8_t *octets, size_t n, uint8_t *out, size_t size)
{
	const struct pw_scene *s = scene(server);
	struct pw_name start, end;
	struct pw_response r;
	struct pw_pdu pdu;
	int rc;

	if (!pw_pdu_read(&pdu, octets, n))
		return 0;
	pw_response_begin(&r, &pdu, s->uptime, out, size);
	while ((rc = pw_pdu_range(&pdu, &start, &end)) > 0 && is_ours(&start)) {
		if (pdu.next)
			respond_next(&r, s, start.id + pw_base_len, start.len - pw_base_len, &start, &end);
		else
			respond_get(&r, s, start.id + pw_base_len, start.len - pw_base_len, &start);
	}
	return rc == 0 ? pw_response_end(&r) : 0;
}

int pw_server_open(struct pw_server *server, struct pw_handover *handover, struct pw_error *err)
{
	netsnmp_handler_registration *registration;
	oid base[MAX_OID_LEN];
	size_t len = pw_full_oid(base, NULL, 0);

	server->handover = handover;
	registration = netsnmp_create_handler_registration("portwatch", handle, base, len, HANDLER_CAN_RONLY);
	if (registration == NULL)
		return pw_error_set(err, "out of memory");
	registration->handler->myvoid = server;
	if (netsnmp_register_handler(registration) != MIB_REGISTERED_OK)
		return pw_error_set(err, "PORTWATCH-MIB can't be registered with libnetsnmpagent");
	return 0;
}

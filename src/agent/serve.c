#include "agent/serve.h"

#include "agent/library.h"
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

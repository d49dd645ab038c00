/* SPDX-License-Identifier: BSD-2-Clause */
#include "agent/object.h"

#include <string.h>

const struct pw_group *const pw_groups[] = {
	&pw_agent_group,
	&pw_namespace_group,
	&pw_pool_group,
	&pw_top_group,
	&pw_alarm_group,
	&pw_event_group,
};
const size_t pw_n_groups = sizeof(pw_groups) / sizeof(pw_groups[0]);

static void read_number(const struct pw_object *object, const void *at, struct pw_value *value)
{
	union {
		uint8_t u8;
		uint16_t u16;
		uint32_t u32;
		int32_t i32;
		uint64_t u64;
	} raw;

	switch (object->field) {
	case PW_FIELD_U8:
		memcpy(&raw.u8, at, sizeof(raw.u8));
		pw_value_set_number(value, raw.u8);
		break;
	case PW_FIELD_U16:
		memcpy(&raw.u16, at, sizeof(raw.u16));
		pw_value_set_number(value, raw.u16);
		break;
	case PW_FIELD_U32:
		memcpy(&raw.u32, at, sizeof(raw.u32));
		pw_value_set_number(value, raw.u32);
		break;
	case PW_FIELD_I32:
		memcpy(&raw.i32, at, sizeof(raw.i32));
		pw_value_set_number(value, raw.i32);
		break;
	default:
		memcpy(&raw.u64, at, sizeof(raw.u64));
		pw_value_set_number(value, (int64_t)raw.u64);
		break;
	}
}

void pw_object_read(
	const struct pw_object *object, const struct pw_scene *scene, const void *row, struct pw_value *value)
{
	const uint8_t *at = (const uint8_t *)row + object->offset;
	const char *text;
	struct timespec time;

	value->syntax = object->syntax;
	switch (object->field) {
	case PW_FIELD_CALL: object->get(scene, row, value); break;
	case PW_FIELD_TEXT:
		memcpy(&text, at, sizeof(text));
		pw_value_set_text(value, text);
		break;
	case PW_FIELD_CHARS: pw_value_set_text(value, (const char *)at); break;
	case PW_FIELD_TIME:
		memcpy(&time, at, sizeof(time));
		pw_value_set_date(value, time);
		break;
	default: read_number(object, at, value); break;
	}
}

size_t pw_object_path(const struct pw_group *group, const struct pw_object *object, uint32_t path[4])
{
	size_t n = 0;

	path[n++] = 1; /* pwObjects */
	path[n++] = group->number;
	if (group->table)
		path[n++] = 1; /* the entry */
	path[n++] = object->number;
	return n;
}

/* Where a path stands to an OID: 0 when the OID begins with it, -1 when it is before the OID, 1 when behind. */
static int compare_path(const uint32_t *path, size_t path_len, const uint32_t *oid, size_t len)
{
	for (size_t i = 0; i < path_len && i < len; i++)
		if (path[i] != oid[i])
			return path[i] < oid[i] ? -1 : 1;
	return path_len > len ? 1 : 0;
}

/* The instance of an object with this index, or the first one behind it. */
static bool instance(const struct pw_group *group, const struct pw_object *object, const struct pw_snapshot *snapshot,
	bool next, const uint32_t *index, size_t len, struct pw_instance *out)
{
	size_t path_len = pw_object_path(group, object, out->oid);

	out->object = object;
	out->row = group->row(snapshot, next, index, len, out->oid + path_len, &out->len);
	out->len += path_len;
	return out->row != NULL;
}

enum pw_lookup pw_lookup_get(
	const struct pw_snapshot *snapshot, const uint32_t *oid, size_t len, struct pw_instance *out)
{
	uint32_t path[4];

	for (size_t g = 0; g < pw_n_groups; g++) {
		const struct pw_group *group = pw_groups[g];

		if (len < 2 || oid[1] != group->number || !group->readable)
			continue;
		for (size_t i = 0; i < group->n_objects; i++) {
			const struct pw_object *object = &group->objects[i];
			size_t path_len = pw_object_path(group, object, path);

			if (object->field == PW_FIELD_NONE || compare_path(path, path_len, oid, len) != 0)
				continue;
			return instance(group, object, snapshot, false, oid + path_len, len - path_len, out)
				? PW_LOOKUP_FOUND
				: PW_LOOKUP_NO_INSTANCE;
		}
	}
	return PW_LOOKUP_NO_OBJECT;
}

static bool next_in_group(const struct pw_group *group, const struct pw_snapshot *snapshot, const uint32_t *oid,
	size_t len, struct pw_instance *out)
{
	uint32_t path[4];

	for (size_t i = 0; i < group->n_objects; i++) {
		const struct pw_object *object = &group->objects[i];
		size_t path_len = pw_object_path(group, object, path);
		int order = compare_path(path, path_len, oid, len);

		if (object->field == PW_FIELD_NONE || order < 0)
			continue;
		if (order > 0)
			path_len = len; /* any instance will do */
		if (instance(group, object, snapshot, true, oid + path_len, len - path_len, out))
			return true;
	}
	return false;
}

bool pw_lookup_next(const struct pw_snapshot *snapshot, const uint32_t *oid, size_t len, struct pw_instance *out)
{
	if (len > 0 && oid[0] > 1)
		return false;
	for (size_t g = 0; g < pw_n_groups; g++) {
		const struct pw_group *group = pw_groups[g];
		bool passed = len > 1 && oid[0] == 1 && group->number < oid[1];

		if (group->readable && !passed && next_in_group(group, snapshot, oid, len, out))
			return true;
	}
	return false;
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "agent/object.h"

#include <string.h>

#include "base/utf8.h"
#include "config.h"

const uint32_t pw_base[] = {PW_OID_BASE};
const size_t pw_base_len = sizeof(pw_base) / sizeof(pw_base[0]);

/* --- rows, found by binary search in the snapshot --------------------------------------------------------------- */

/* The snapshot is the row of the scalars, and .0 its index. */
static const void *find_scalars(const struct pw_snapshot *snapshot, bool next, const uint32_t *index, size_t len,
	uint32_t *found, size_t *found_len)
{
	found[0] = 0;
	*found_len = 1;
	if (next)
		return len == 0 ? snapshot : NULL;
	return len == 1 && index[0] == 0 ? snapshot : NULL;
}

/* The index of a row of a table whose index is one number: the row's first member; without rows those from 1 on. */
static uint32_t number_at(const void *rows, size_t size, size_t position)
{
	return rows != NULL ? *(const uint32_t *)(const void *)((const char *)rows + position * size)
			    : (uint32_t)position + 1;
}

/* The position of the row with this index or, with next, of the first one after it; `count` when there is none. Its
 * index is written to *found. */
static size_t search(
	const void *rows, size_t size, size_t count, bool next, const uint32_t *index, size_t len, uint32_t *found)
{
	size_t low = 0, high = count;

	if (!next && len != 1)
		return count;
	while (len > 0 && low < high) {
		size_t middle = low + (high - low) / 2;
		uint32_t value = number_at(rows, size, middle);

		if (value < index[0] || (next && value == index[0]))
			low = middle + 1;
		else
			high = middle;
	}
	if (low == count)
		return count;
	*found = number_at(rows, size, low);
	return next || *found == index[0] ? low : count;
}

#define FIND_BY_NUMBER(name, row, rows, count) \
	static const void *name(const struct pw_snapshot *snapshot, bool next, const uint32_t *index, size_t len, \
		uint32_t *found, size_t *found_len) \
	{ \
		size_t at = search(snapshot->rows, sizeof(struct row), snapshot->count, next, index, len, found); \
\
		_Static_assert(offsetof(struct row, index) == 0, "the first member"); \
		*found_len = 1; \
		return at < snapshot->count ? &snapshot->rows[at] : NULL; \
	}

FIND_BY_NUMBER(find_ns, pw_ns_row, namespaces, n_namespaces)
FIND_BY_NUMBER(find_alarm, pw_alarm_row, alarms, n_alarms)
FIND_BY_NUMBER(find_label, pw_label_row, labels, n_labels)

static const void *find_pool(const struct pw_snapshot *snapshot, bool next, const uint32_t *index, size_t len,
	uint32_t *found, size_t *found_len)
{
	size_t behind = next ? pw_snapshot_pool_after(snapshot, index, len) : 0;
	const struct pw_pool_row *pool = !next ? pw_snapshot_pool(snapshot, index, len)
		: behind < snapshot->n_pools   ? &snapshot->pools[behind]
					       : NULL;

	if (pool == NULL)
		return NULL;
	memcpy(found, pool->index, pool->index_len * sizeof(*found));
	*found_len = pool->index_len;
	return pool;
}

static const void *find_top(const struct pw_snapshot *snapshot, bool next, const uint32_t *index, size_t len,
	uint32_t *found, size_t *found_len)
{
	static const struct pw_pool_row no_pool = {.time_to_exhaustion = PW_NOT_IN_SIGHT, .state = PW_STATE_NORMAL};
	size_t at = search(NULL, 0, snapshot->top_ranks, next, index, len, found);

	*found_len = 1;
	if (at == snapshot->top_ranks)
		return NULL;
	return at < snapshot->n_top ? &snapshot->pools[snapshot->top[at]] : &no_pool;
}

const struct pw_group pw_groups[] = {
	{&pw_agent_fields, find_scalars},
	{&pw_namespace_fields, find_ns},
	{&pw_pool_fields, find_pool},
	{&pw_top_fields, find_top},
	{&pw_alarm_fields, find_alarm},
	{&pw_event_fields, NULL},
	{&pw_label_fields, find_label},
};
const size_t pw_n_groups = sizeof(pw_groups) / sizeof(pw_groups[0]);

/* --- values ----------------------------------------------------------------------------------------------------- */

void pw_value_set_number(struct pw_value *value, int64_t number)
{
	switch (value->syntax) {
	case PW_SYNTAX_INTEGER32:
	case PW_SYNTAX_ENUM: value->integer = (int32_t)number; break;
	case PW_SYNTAX_GAUGE32:
	case PW_SYNTAX_UNSIGNED32: value->number = number > UINT32_MAX ? UINT32_MAX : (uint32_t)number; break;
	case PW_SYNTAX_COUNTER64: value->counter = (uint64_t)number; break;
	default: value->number = (uint32_t)number; break;
	}
}

void pw_value_set_text(struct pw_value *value, const char *text)
{
	char clean[PW_TEXT_MAX + 1];

	pw_utf8_clean(clean, sizeof(clean), text);
	value->len = strlen(clean);
	memcpy(value->octets, clean, value->len);
}

void pw_value_set_date(struct pw_value *value, struct timespec time)
{
	struct tm tm;
	unsigned year;

	gmtime_r(&time.tv_sec, &tm);
	year = (unsigned)tm.tm_year + 1900;
	value->len = 11;
	value->octets[0] = (uint8_t)(year >> 8);
	value->octets[1] = (uint8_t)year;
	value->octets[2] = (uint8_t)(tm.tm_mon + 1);
	value->octets[3] = (uint8_t)tm.tm_mday;
	value->octets[4] = (uint8_t)tm.tm_hour;
	value->octets[5] = (uint8_t)tm.tm_min;
	value->octets[6] = (uint8_t)tm.tm_sec;
	value->octets[7] = (uint8_t)(time.tv_nsec / 100000000);
	value->octets[8] = '+';
	value->octets[9] = 0;
	value->octets[10] = 0;
}

void pw_value_set_row(struct pw_value *value, const uint32_t *below, size_t len)
{
	memcpy(value->oid, pw_base, sizeof(pw_base));
	for (size_t i = 0; i < len; i++)
		value->oid[pw_base_len + i] = below[i];
	value->len = pw_base_len + len;
}

void pw_object_read(
	const struct pw_field *field, const struct pw_context *context, const void *row, struct pw_value *value)
{
	uint32_t below[4 + PW_POOL_INDEX_MAX] = {1, 3, 1, 8}; /* pwPoolName, the first accessible column */
	struct pw_field_value read = {0};

	pw_field_read(field, context, row, &read);
	value->syntax = (enum pw_syntax)field->syntax;
	switch (value->syntax) {
	case PW_SYNTAX_TEXT: pw_value_set_text(value, read.text); break;
	case PW_SYNTAX_DATE: pw_value_set_date(value, read.date); break;
	case PW_SYNTAX_ROW:              /* a RowPointer to a pool */
		if (read.row->ns == 0) { /* no pool: zeroDotZero */
			value->oid[0] = value->oid[1] = 0;
			value->len = 2;
		} else {
			pw_value_set_row(value, below, 4 + pw_pool_index(read.row, below + 4));
		}
		break;
	default: pw_value_set_number(value, read.number); break;
	}
}

const uint8_t *pw_notification_objects(enum pw_event_type type, size_t *n)
{
	static const uint8_t crossing[] = {
		1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22};
	static const uint8_t connects[] = {1, 2, 3, 7, 8, 9, 21, 22, 23};
	static const uint8_t packets[] = {1, 2, 22, 23};
	static const uint8_t collector[] = {1, 2, 22};
	static const uint8_t table[] = {1, 2, 10, 11, 13, 14, 15, 16, 17, 22};

	switch (type) {
	case PW_EVENT_RISING:
	case PW_EVENT_FALLING: *n = sizeof(crossing); return crossing;
	case PW_EVENT_CONNECT_FAILING: *n = sizeof(connects); return connects;
	case PW_EVENT_SNAT_FAILING:
	case PW_EVENT_SNAT_RACING: *n = sizeof(packets); return packets;
	case PW_EVENT_CONNTRACK_RISING:
	case PW_EVENT_CONNTRACK_FALLING: *n = sizeof(table); return table;
	default: *n = sizeof(collector); return collector;
	}
}

/* --- object identifiers ----------------------------------------------------------------------------------------- */

size_t pw_object_path(const struct pw_fields *fields, const struct pw_field *field, uint32_t path[4])
{
	size_t n = 0;

	path[n++] = 1; /* pwObjects */
	path[n++] = fields->number;
	if (fields->table)
		path[n++] = 1; /* the entry */
	path[n++] = field->number;
	return n;
}

/* The instance of an object with this index, or the first one behind it. */
static bool instance(const struct pw_group *group, const struct pw_field *field, const struct pw_snapshot *snapshot,
	bool next, const uint32_t *index, size_t len, struct pw_instance *out)
{
	size_t path_len = pw_object_path(group->fields, field, out->oid);

	out->field = field;
	out->row = group->row(snapshot, next, index, len, out->oid + path_len, &out->len);
	out->len += path_len;
	return out->row != NULL;
}

enum pw_lookup pw_lookup_get(
	const struct pw_snapshot *snapshot, const uint32_t *oid, size_t len, struct pw_instance *out)
{
	for (size_t g = 0; g < pw_n_groups; g++) {
		const struct pw_group *group = &pw_groups[g];
		size_t path_len = group->fields->table ? 4 : 3;
		const struct pw_field *field;

		if (group->row == NULL || len < path_len || oid[0] != 1 || oid[1] != group->fields->number ||
			(group->fields->table && oid[2] != 1))
			continue;
		field = pw_field_from(group->fields, oid[path_len - 1]);
		if (field == NULL || field->number != oid[path_len - 1])
			return PW_LOOKUP_NO_OBJECT;
		return instance(group, field, snapshot, false, oid + path_len, len - path_len, out)
			? PW_LOOKUP_FOUND
			: PW_LOOKUP_NO_INSTANCE;
	}
	return PW_LOOKUP_NO_OBJECT;
}

/* Where an OID stands to the path of a group, or of the entry of its table: before it (or short of it) -1, below it
 * 0, behind it 1. */
static int compare_to_group(const struct pw_fields *fields, const uint32_t *oid, size_t len)
{
	const uint32_t path[] = {1, fields->number, 1};
	size_t path_len = fields->table ? 3 : 2;

	for (size_t i = 0; i < path_len; i++)
		if (i >= len || oid[i] != path[i])
			return i >= len || oid[i] < path[i] ? -1 : 1;
	return 0;
}

bool pw_lookup_next(const struct pw_snapshot *snapshot, const uint32_t *oid, size_t len, struct pw_instance *out)
{
	for (size_t g = 0; g < pw_n_groups; g++) {
		const struct pw_group *group = &pw_groups[g];
		size_t path_len = group->fields->table ? 4 : 3;
		int place = compare_to_group(group->fields, oid, len);
		bool below = place == 0 && len >= path_len; /* an object, or an instance of one */
		uint32_t number = below ? oid[path_len - 1] : 0;
		const struct pw_field *field;

		if (group->row == NULL || place > 0)
			continue;
		for (; (field = pw_field_from(group->fields, number)) != NULL; number = field->number + 1u) {
			bool same = below && field->number == oid[path_len - 1];

			if (instance(group, field, snapshot, true, oid + (same ? path_len : 0),
				    same ? len - path_len : 0, out))
				return true;
		}
	}
	return false;
}

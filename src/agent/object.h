/* SPDX-License-Identifier: BSD-2-Clause */
/* object.h: the objects of PORTWATCH-MIB and where their values come from; no net-snmp
 *
 * One description of each object (name, number, syntax, getter) serves GET, GETNEXT and notifications. A test holds it against the
 * text of the MIB. */
#ifndef PW_AGENT_OBJECT_H
#define PW_AGENT_OBJECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/value.h"
#include "watch/event.h"
#include "watch/exchange.h"
#include "watch/snapshot.h"

/* What answers are made from; taken once per request. */
struct pw_scene {
	const struct pw_snapshot *snapshot; /* never NULL */
	struct pw_exchange_stats exchange;
	uint64_t now_ms; /* CLOCK_BOOTTIME */
	uint32_t uptime; /* sysUpTime, hundredths of a second */
};

/* How the row structure keeps a value. */
enum pw_field {
	PW_FIELD_NONE, /* an index object: not accessible */
	PW_FIELD_U8,
	PW_FIELD_U16,
	PW_FIELD_U32,
	PW_FIELD_I32,
	PW_FIELD_U64,
	PW_FIELD_TEXT,  /* const char * */
	PW_FIELD_CHARS, /* char[] */
	PW_FIELD_TIME,  /* struct timespec, wall time */
	PW_FIELD_CALL   /* computed by get() */
};

struct pw_object {
	const char *name;
	uint32_t number; /* below its group, or below the entry of its table */
	enum pw_syntax syntax;
	enum pw_field field;
	size_t offset; /* of the field in the row */
	void (*get)(const struct pw_scene *scene, const void *row, struct pw_value *value);
};

/* One row of a table, or the one instance (.0) of scalars. */
struct pw_instance {
	const struct pw_object *object;
	const void *row;
	uint32_t oid[PW_OID_MAX]; /* below the base OID */
	size_t len;
};

/* Objects that share a row: the scalars of a group, or the columns of a table. */
struct pw_group {
	uint32_t number; /* below pwObjects */
	bool table;
	bool readable; /* false: accessible-for-notify */
	const struct pw_object *objects;
	size_t n_objects;
	/* Finds the row with exactly this index, or (next) the first row behind it; writes the row's index to `found`. */
	const void *(*row)(const struct pw_snapshot *snapshot, bool next, const uint32_t *index, size_t len,
		uint32_t *found, size_t *found_len);
};

/* All groups, by number. */
extern const struct pw_group *const pw_groups[];
extern const size_t pw_n_groups;

/* The groups, each in its own file. */
extern const struct pw_group pw_agent_group, pw_namespace_group, pw_pool_group, pw_top_group, pw_alarm_group,
	pw_event_group;

/* The objects that a notification carries, in order. */
const struct pw_object *const *pw_notification_objects(enum pw_event_type type, size_t *n);

/* Reads an object that is accessible. */
void pw_object_read(
	const struct pw_object *object, const struct pw_scene *scene, const void *row, struct pw_value *value);

/* The path of an object below the base OID, without instance; returns its length (3 or 4). */
size_t pw_object_path(const struct pw_group *group, const struct pw_object *object, uint32_t path[4]);

enum pw_lookup { PW_LOOKUP_FOUND, PW_LOOKUP_NO_INSTANCE, PW_LOOKUP_NO_OBJECT };

/* GET: looks up an instance by its OID below the base OID. */
enum pw_lookup pw_lookup_get(
	const struct pw_snapshot *snapshot, const uint32_t *oid, size_t len, struct pw_instance *out);

/* GETNEXT: the first readable instance behind an OID below the base OID; false when there is none. */
bool pw_lookup_next(const struct pw_snapshot *snapshot, const uint32_t *oid, size_t len, struct pw_instance *out);

/* The OID that a RowPointer to a pool has: the base OID and its first accessible column. */
void pw_value_set_pool_row(struct pw_value *value, const struct pw_pool_key *key);

/* For the tables below: objects with a field of `row_type`, computed ones, and index objects. */
#define PW_FIELD_OF(row_type, member) \
	_Generic(((const row_type *)0)->member, \
		uint8_t: PW_FIELD_U8, uint16_t: PW_FIELD_U16, uint32_t: PW_FIELD_U32, int32_t: PW_FIELD_I32, \
		uint64_t: PW_FIELD_U64, const char *: PW_FIELD_TEXT, struct timespec: PW_FIELD_TIME)
#define PW_OBJECT(number_, name_, syntax_, row_type, member) \
	{ \
		.number = (number_), .name = (name_), .syntax = PW_SYNTAX_##syntax_, \
		.field = PW_FIELD_OF(row_type, member), .offset = offsetof(row_type, member) \
	}
#define PW_OBJECT_CHARS(number_, name_, row_type, member) \
	{ \
		.number = (number_), .name = (name_), .syntax = PW_SYNTAX_TEXT, .field = PW_FIELD_CHARS, \
		.offset = offsetof(row_type, member) \
	}
#define PW_OBJECT_CALL(number_, name_, syntax_, function) \
	{ \
		.number = (number_), .name = (name_), .syntax = PW_SYNTAX_##syntax_, .field = PW_FIELD_CALL, \
		.get = (function) \
	}
#define PW_OBJECT_INDEX(number_, name_) \
	{ \
		.number = (number_), .name = (name_), .field = PW_FIELD_NONE \
	}

#endif

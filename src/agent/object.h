/* SPDX-License-Identifier: BSD-2-Clause */
/* object.h: the objects of PORTWATCH-MIB: where they are, and their values; no net-snmp
 *
 * What there is and where its values come from say the descriptions of watch/fields.h; here they get object
 * identifiers. */
#ifndef PW_AGENT_OBJECT_H
#define PW_AGENT_OBJECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "watch/fields.h"

/* SnmpAdminString (SIZE (0..255)) */
#define PW_TEXT_MAX 255

/* Sub-identifiers of the longest OID: the longest base that configure accepts, the path to a column, a pool's index. */
#define PW_OID_MAX (6 + 16 + 4 + PW_POOL_INDEX_MAX)

/* The root of PORTWATCH-MIB. */
extern const uint32_t pw_base[];
extern const size_t pw_base_len;

struct pw_value {
	enum pw_syntax syntax;
	size_t len; /* of octets or oid */
	union {
		int32_t integer;  /* INTEGER32, ENUM */
		uint32_t number;  /* GAUGE32, UNSIGNED32, COUNTER32, TIMESTAMP */
		uint64_t counter; /* COUNTER64 */
		uint8_t octets[PW_TEXT_MAX];
		uint32_t oid[PW_OID_MAX];
	};
};

/* A number of the value's syntax, which must not be one of TEXT, DATE and ROW. A gauge that does not fit stays at its
 * maximum, and a 32-bit counter wraps around (RFC 2578). */
void pw_value_set_number(struct pw_value *value, int64_t number);

/* TEXT: at most PW_TEXT_MAX octets of UTF-8 (RFC 3411, SnmpAdminString). What is no UTF-8 and control characters
 * become question marks; a character is never cut in two. */
void pw_value_set_text(struct pw_value *value, const char *text);

/* DATE: 11 octets, in UTC. */
void pw_value_set_date(struct pw_value *value, struct timespec time);

/* ROW: the base OID and what is below it. */
void pw_value_set_row(struct pw_value *value, const uint32_t *below, size_t len);

/* One row of a table, or the one instance (.0) of scalars. */
struct pw_instance {
	const struct pw_field *field;
	const void *row;
	uint32_t oid[PW_OID_MAX]; /* below the base OID */
	size_t len;
};

/* Finds the row with exactly this index, or (next) the first row behind it; writes the row's index to `found`. */
typedef const void *pw_find_row(const struct pw_snapshot *snapshot, bool next, const uint32_t *index, size_t len,
	uint32_t *found, size_t *found_len);

/* All groups of objects, by number. */
struct pw_group {
	const struct pw_fields *fields;
	pw_find_row *row; /* NULL where nothing can be read */
};
extern const struct pw_group pw_groups[];
extern const size_t pw_n_groups;

/* The numbers of the fields of pw_event_fields that a notification carries, in order. */
const uint8_t *pw_notification_objects(enum pw_event_type type, size_t *n);

/* The value of a field that can be read. */
void pw_object_read(
	const struct pw_field *field, const struct pw_context *context, const void *row, struct pw_value *value);

/* The path of an object below the base OID, without instance; returns its length (3 or 4). */
size_t pw_object_path(const struct pw_fields *fields, const struct pw_field *field, uint32_t path[4]);

enum pw_lookup { PW_LOOKUP_FOUND, PW_LOOKUP_NO_INSTANCE, PW_LOOKUP_NO_OBJECT };

/* GET: looks up an instance by its OID below the base OID. */
enum pw_lookup pw_lookup_get(
	const struct pw_snapshot *snapshot, const uint32_t *oid, size_t len, struct pw_instance *out);

/* GETNEXT: the first readable instance behind an OID below the base OID; false when there is none. */
bool pw_lookup_next(const struct pw_snapshot *snapshot, const uint32_t *oid, size_t len, struct pw_instance *out);

#endif

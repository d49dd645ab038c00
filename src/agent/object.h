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

#include "agent/value.h"
#include "watch/fields.h"

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

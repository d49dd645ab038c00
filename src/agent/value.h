/* SPDX-License-Identifier: BSD-2-Clause */
/* value.h: the value of an object, as SNMP knows values; no net-snmp */
#ifndef PW_AGENT_VALUE_H
#define PW_AGENT_VALUE_H

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

#endif

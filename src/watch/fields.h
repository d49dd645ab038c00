/* SPDX-License-Identifier: BSD-2-Clause */
/* fields.h: every value that is shown, described once
 *
 * The agent's tables and notifications, the JSON document, the columns of the terminal and the metrics read these
 * descriptions. To show one more value: count it, add a line to fields.c, and tell of it in PORTWATCH-MIB and the
 * documents. Tests hold the lines against the MIB and the JSON schema. */
#ifndef PW_WATCH_FIELDS_H
#define PW_WATCH_FIELDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "watch/event.h"
#include "watch/exchange.h"
#include "watch/snapshot.h"

/* The syntaxes that PORTWATCH-MIB uses. */
enum pw_syntax {
	PW_SYNTAX_INTEGER32,
	PW_SYNTAX_ENUM, /* INTEGER { ... } and the textual conventions made of it */
	PW_SYNTAX_GAUGE32,
	PW_SYNTAX_UNSIGNED32, /* tells things apart */
	PW_SYNTAX_COUNTER32,
	PW_SYNTAX_COUNTER64,
	PW_SYNTAX_TIMESTAMP,
	PW_SYNTAX_TEXT,  /* SnmpAdminString */
	PW_SYNTAX_DATE,  /* DateAndTime */
	PW_SYNTAX_ROW,   /* RowPointer to a row of pwPoolTable */
	PW_SYNTAX_SERIES /* numbers, in JSON only */
};

/* What values are read from, besides their row. */
struct pw_context {
	const struct pw_snapshot *snapshot; /* never NULL */
	struct pw_exchange_stats exchange;
	uint64_t now_ms;      /* CLOCK_BOOTTIME, for ages */
	uint32_t uptime;      /* sysUpTime, hundredths of a second; 0 where there is none */
	struct timespec wall; /* time of the poll */
};

/* A value; the syntax says which member has it. */
struct pw_field_value {
	int64_t number; /* every syntax but the following; of a counter the bits of a uint64_t */
	const char *text;
	struct timespec date;
	const struct pw_pool_key *row;
	struct pw_series series;
};

/* Where a row keeps a value. */
enum pw_storage {
	PW_IN_NONE, /* nowhere: a part of the index */
	PW_IN_U8,
	PW_IN_U16,
	PW_IN_U32,
	PW_IN_I32,
	PW_IN_U64,
	PW_IN_TEXT,  /* const char * */
	PW_IN_CHARS, /* char[] */
	PW_IN_DATE,  /* struct timespec, wall time */
	PW_IN_SERIES,
	PW_IN_KEY,  /* struct pw_pool_key */
	PW_IN_FLAG, /* bool, shown as `yes`, or as what is left of 1 and 2 */
	PW_IN_AGE,  /* uint64_t, CLOCK_BOOTTIME in ms, shown as seconds since then; see `never` */
	PW_IN_CALL  /* computed by get() */
};

/* What the row is of which a member is shown: the one at hand, or another. */
enum pw_field_of { PW_OF_ROW, PW_OF_CONTEXT /* struct pw_context */, PW_OF_POOL /* of an alarm: struct pw_pool_row */ };

struct pw_field {
	const char
		*name; /* "timeWait": the JSON member, and with a capital and the prefix of its table the MIB object */
	const char *object; /* the latter without the prefix, where it is not made of the name; else NULL */
	const char *unit;   /* UNITS of the MIB, NULL = none */
	const char *help;   /* one line */
	uint8_t number;     /* below its group, or below the entry of its table; 0 = not in the MIB */
	uint8_t syntax;     /* enum pw_syntax */
	uint8_t storage;    /* enum pw_storage */
	uint8_t of;         /* enum pw_field_of */
	bool json;          /* in every JSON document, else in that of the daemon only */
	uint8_t yes;        /* of a flag */
	bool never;         /* of an age: the time may be 0, and the age is UINT32_MAX then */
	bool index;         /* part of the index: it has a number in the MIB and can't be read there */
	uint16_t offset, size;
	const char *(*word)(unsigned value); /* of an enumeration: the name of a value, "unknown" where it has none */
	void (*get)(const struct pw_context *context, const void *row, struct pw_field_value *value);
	/* the other way round; NULL where the value follows from others */
	void (*set)(struct pw_context *context, void *row, const struct pw_field_value *value);
};

/* What one kind of row has. */
struct pw_fields {
	const char *prefix;            /* of the MIB objects */
	uint8_t number;                /* below pwObjects */
	bool table;                    /* else scalars */
	bool readable;                 /* else accessible-for-notify */
	const struct pw_field *fields; /* in the order of the JSON document */
	size_t n;
};

/* Their rows: struct pw_snapshot, pw_ns_row, pw_pool_row (twice), pw_alarm_row, pw_event,
 * pw_label_row. */
extern const struct pw_fields pw_agent_fields, pw_namespace_fields, pw_pool_fields, pw_top_fields, pw_alarm_fields,
	pw_event_fields, pw_label_fields;

/* Milliseconds since a moment of CLOCK_BOOTTIME; a stamp of the future counts as now. */
static inline int64_t pw_age_ms(const struct pw_context *context, uint64_t since_ms)
{
	return context->now_ms > since_ms ? (int64_t)(context->now_ms - since_ms) : 0;
}

/* Reads a field whose storage is not PW_IN_NONE. `row` must be of the kind that its table has. Texts and series live as
 * long as the row. */
void pw_field_read(
	const struct pw_field *field, const struct pw_context *context, const void *row, struct pw_field_value *value);

/* The other way round, for a row that is made of a document. Of PW_SYNTAX_TEXT the row keeps the pointer, or a copy
 * that is cut to its array, of PW_SYNTAX_SERIES the pointer; what follows from other values, and what the MIB alone
 * has, is left as it is. */
void pw_field_write(
	const struct pw_field *field, struct pw_context *context, void *row, const struct pw_field_value *value);

/* Whether a field is a member of a JSON document, that of the daemon or any other. */
bool pw_field_in_json(const struct pw_field *field, bool daemon);

/* The value of an enumeration that has this name; -1 when there is none. */
int pw_field_value_of(const struct pw_field *field, const char *word);

/* The field with this name; NULL when there is none. */
const struct pw_field *pw_field_by_name(const struct pw_fields *fields, const char *name);

/* The field with the lowest number that is not below `number` and that can be read in the MIB (an index can't); NULL
 * behind the last. */
const struct pw_field *pw_field_from(const struct pw_fields *fields, uint32_t number);

#endif

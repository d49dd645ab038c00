/* SPDX-License-Identifier: BSD-2-Clause */
/* grammar.h: every setting of the configuration file, in one table
 *
 * The syntax check, libconfuse's option list and the reading of the values all follow this table; so do the tests that hold
 * the manual and the sample file against it. */
#ifndef PW_CONFIG_GRAMMAR_H
#define PW_CONFIG_GRAMMAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/config.h"

/* A number that the file does not give. */
#define PW_UNSET UINT32_MAX

/* The first and last line of a section; 0: not there. */
struct pw_lines {
	unsigned first, last;
};

/* "warning { rise = 50  fall = 45 }" as it stands in the file. */
struct pw_severity_draft {
	struct pw_lines lines;
	uint32_t rise, fall;
};

/* What a scope (the file, or a pool section) says about thresholds. */
struct pw_limits_draft {
	struct pw_severity_draft warning, critical;
	uint32_t exhausted_fall, free_below, warn_within, for_polls;
};

/* A `pool` or `ignore` section. */
struct pw_rule_draft {
	struct pw_lines lines;
	struct pw_match match;
	struct pw_limits_draft limits;
};

/* The whole file but its `pool` and `ignore` sections. */
struct pw_file_draft {
	struct pw_limits_draft limits;
	struct pw_limits_draft snat; /* those of SNAT pools */
};

enum pw_value_type {
	PW_VALUE_NUMBER,       /* uint32_t, min..max */
	PW_VALUE_MILLISECONDS, /* uint32_t: seconds with up to three decimals, min..max in ms */
	PW_VALUE_SECONDS,      /* double, written as above */
	PW_VALUE_BOOL,
	PW_VALUE_PROBE,     /* enum pw_probe_mode */
	PW_VALUE_TEXT,      /* char *, at most max bytes */
	PW_VALUE_SOCKET,    /* char *, where an AgentX master listens, at most max bytes */
	PW_VALUE_NAMESPACE, /* char *, "" is the daemon's own */
	PW_VALUE_NAMES,     /* char **, namespace names */
	PW_VALUE_CIDRS,     /* struct pw_cidr * */
	PW_VALUE_SNAT,      /* struct pw_snat_range * */
	PW_VALUE_PORTS,     /* uint16_t *, min..max */
	PW_VALUE_KINDS,     /* uint32_t, bit (1 << enum pw_kind) */
	PW_VALUE_PROTOCOLS  /* uint32_t, enum pw_match_protocol */
};

enum pw_form {
	PW_FORM_VALUE,   /* name = value */
	PW_FORM_LIST,    /* name = { value, ... }, also name = value and name += ... */
	PW_FORM_SECTION, /* name { ... } */
	PW_FORM_TITLED   /* name "title" { ... } */
};

/* Where a value goes: into the draft of its scope, or into the configuration itself. */
enum pw_target { PW_INTO_DRAFT, PW_INTO_CONFIG };

struct pw_directive {
	const char *name; /* NULL ends a table */
	enum pw_form form;
	bool repeats;      /* a section that may stand several times */
	bool may_be_empty; /* a list without values, or a text that is then NULL */
	enum pw_value_type type;
	enum pw_target target;
	uint32_t min, max;                 /* of numbers, in the unit they are kept in */
	size_t offset;                     /* of the value, or of the section's struct pw_lines; PW_NOWHERE */
	size_t count_offset;               /* of an array's size_t */
	const struct pw_directive *inside; /* of a section */
};

#define PW_NOWHERE SIZE_MAX

/* What may stand at the top of the file. */
extern const struct pw_directive pw_grammar[];

/* At most so many directives stand in one table. */
#define PW_DIRECTIVES_MAX 32

/* Looks a name up in one table. NULL when it is not there. */
const struct pw_directive *pw_directive_find(const struct pw_directive *table, const char *name, size_t length);

#endif

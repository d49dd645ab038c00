/* SPDX-License-Identifier: BSD-2-Clause */
/* settings.h: every setting of the configuration file, in one table
 *
 * The syntax check and the reading of the values follow it, and so do the tests that hold the manual and the sample
 * file against it. A new setting is a member of struct pw_config (or of the policy), a row here, and its text in
 * portwatchd.conf(5) and conf/portwatchd.conf. */
#ifndef PW_CONFIG_SETTINGS_H
#define PW_CONFIG_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"

enum pw_setting_type {
	PW_SECTION,         /* name { ... }; the settings in it lie in the struct at its offset */
	PW_HEIR_SECTION,    /* one that inherits from the rest of the file, and is read after it */
	PW_IGNORE_SECTION,  /* such a one that may repeat */
	PW_POOL_SECTION,    /* the same with a title: name "title" { ... } */
	PW_NUMBER,          /* uint32_t, min..max */
	PW_PERCENT,         /* uint8_t, min..max */
	PW_SECONDS,         /* uint32_t in ms: seconds with up to three decimals, min..max in ms */
	PW_ZERO_OR_SECONDS, /* the same, or 0 */
	PW_BOOL,
	PW_WORD,      /* uint32_t or enum: one of `words` */
	PW_TEXT,      /* char *, at most max bytes; "" is NULL */
	PW_SOCKET,    /* char *, where an AgentX master listens, at most max bytes */
	PW_NAMESPACE, /* char *, "" is the daemon's own */
	PW_WORDS,     /* uint32_t: a set of `words`. From here on: name = { value, ... } */
	PW_RANGES,    /* struct pw_portset *: the ports of all ranges */
	PW_PORTS,     /* uint16_t *, min..max */
	PW_CIDRS,     /* struct pw_cidr * */
	PW_SNAT,      /* struct pw_snat_range *; may be empty */
	PW_NAMES,     /* char **, namespace names; may be empty */
};

struct pw_word {
	const char *text; /* NULL ends a list */
	uint32_t value;
};

/* The words of `kind` and `protocol` (sets of bits), `backend` and `probe`. */
extern const struct pw_word pw_kind_words[], pw_protocol_words[], pw_backend_words[], pw_probe_words[];

struct pw_setting {
	const char *name; /* NULL ends a table */
	enum pw_setting_type type;
	size_t offset;       /* in the struct of its section (of the file: struct pw_config) */
	size_t count;        /* an array's size_t in there */
	uint32_t min, max;   /* of numbers, in the unit they are kept in */
	const char *initial; /* the default as it would be written; NULL: 0, nothing, or as pw_policy_defaults() says */
	const struct pw_word *words;
	const struct pw_setting *inside; /* of a section */
};

/* What may stand at the top of the file. */
extern const struct pw_setting pw_settings[];

/* A setting that takes name = { value, ... }. */
static inline bool pw_setting_is_list(const struct pw_setting *s)
{
	return s->type >= PW_WORDS;
}

static inline bool pw_setting_repeats(const struct pw_setting *s)
{
	return s->type == PW_IGNORE_SECTION || s->type == PW_POOL_SECTION;
}

static inline bool pw_setting_may_be_empty(const struct pw_setting *s)
{
	return s->type == PW_SNAT || s->type == PW_NAMES;
}

/* Looks a name up in one table. NULL when it is not there. */
const struct pw_setting *pw_setting_find(const struct pw_setting *table, const char *name, size_t length);

struct pw_value;
struct pw_config_errors;

/* Parses the values of a setting and stores them in `base`, the struct of its section; texts and arrays are taken
 * from the arena. What is wrong is added to the errors, and nothing is stored of it. */
void pw_setting_store(const struct pw_setting *setting, const struct pw_value *values, void *base,
	struct pw_arena *arena, struct pw_config_errors *errors);

/* Longest label of a pool section, in bytes (as in events). */
#define PW_LABEL_MAX 63

/* Copies a text without control characters of 1 to max bytes, or NULL with an error. `what` names it. */
char *pw_value_text(const char *what, const struct pw_value *value, size_t max, struct pw_arena *arena,
	struct pw_config_errors *errors);

#endif

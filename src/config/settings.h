/* SPDX-License-Identifier: BSD-2-Clause */
/* settings.h: how the configuration file is read: the table of its settings, its text as a tree, their values
 *
 * name = value, name = { value, ... }, name += value, section { ... }, section "title" { ... }; strings in double or
 * single quotes; comments # ..., // ... and slash-star ... star-slash.
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
#include "config/config.h"

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

/* --- the file as a tree of settings --- */

/* The largest file that is read. */
#define PW_CONFIG_FILE_MAX 1048576

/* So many sections of one name may stand in a file: the first match among pools is searched one by one. */
#define PW_SECTIONS_MAX 1000

/* So many errors are shown: a file that is no configuration at all must not flood the log. */
#define PW_CONFIG_ERRORS_MAX 100

/* Where errors go. */
struct pw_config_errors {
	const char *file;
	pw_config_report *report;
	void *context;
	unsigned n; /* so far */
};

/* Reports one error, printf-style: "what is wrong, what was expected". line is 0 where there is none. Returns
 * false. */
bool pw_config_error(struct pw_config_errors *errors, unsigned line, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* A value as it was written, without quotes and escapes. */
struct pw_value {
	struct pw_value *next;
	unsigned line;
	const char *text;
};

/* A setting or section in the file. */
struct pw_node {
	const struct pw_setting *setting;
	unsigned line;
	struct pw_node *next, *children;
	struct pw_value *values, *last_value; /* of a section: its title */
};

/* Reads a file into a tree, which lives in the arena. Returns the file's node, or NULL after it reported the first
 * error in the structure, that the file can't be read, or that memory ran out. */
struct pw_node *pw_config_parse(const char *path, struct pw_arena *arena, struct pw_config_errors *errors);

/* The first setting or section of this name in a section (NULL: none); NULL when it is not there. */
const struct pw_node *pw_node_find(const struct pw_node *section, const char *name);

/* --- their values --- */

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

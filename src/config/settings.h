/* SPDX-License-Identifier: BSD-2-Clause */
/* settings.h: how the configuration file is read: the table of its settings, its text as a tree, their values
 *
 * name = value, name = { value, ... }, name += value, section { ... }, section "title" { ... }; strings in double or
 * single quotes; comments # ..., // ... and slash-star ... star-slash.
 *
 * The syntax check and the reading of the values follow the table, and so does the test that holds the manual against
 * it. A new setting is a member of struct pw_config (or of the policy), a row in settings.c, and its text in
 * portwatchd.conf(5). */
#ifndef PW_CONFIG_SETTINGS_H
#define PW_CONFIG_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "config/config.h"

enum pw_setting_type {
	PW_SECTION,        /* name { ... }; the settings in it lie in the struct at its offset */
	PW_HEIR_SECTION,   /* one that inherits from the rest of the file, and is read after it */
	PW_IGNORE_SECTION, /* such a one that may repeat */
	PW_POOL_SECTION,   /* the same with a title: name "title" { ... } */
	PW_VALUE,          /* name = value */
	PW_LIST,           /* name = { value, ... }, with one value at least */
	PW_LIST_OR_NONE,   /* the same, or none */
};

struct pw_word {
	const char *text; /* NULL ends a list */
	uint32_t value;
};

/* The words of `kind` and `protocol` (sets of bits), `backend` and `probe`. */
extern const struct pw_word pw_kind_words[], pw_protocol_words[], pw_backend_words[], pw_probe_words[];

struct pw_input;

struct pw_setting {
	const char *name; /* NULL ends a table */
	enum pw_setting_type type;
	void (*parse)(const struct pw_input *, void *out); /* a value, or the title of a section */
	size_t offset;       /* in the struct of its section (of the file: struct pw_config) */
	size_t size;         /* of the member there, or of an element of its array */
	size_t count;        /* an array's size_t in there; 0: all values go to one place */
	uint32_t min, max;   /* of numbers, in the unit they are kept in; of texts, in bytes */
	const char *initial; /* the default as it would be written; NULL: 0, nothing, or as pw_policy_defaults() says */
	const struct pw_word *words;
	const struct pw_setting *inside; /* of a section */
};

/* What may stand at the top of the file. */
extern const struct pw_setting pw_settings[];

static inline bool pw_setting_repeats(const struct pw_setting *s)
{
	return s->type == PW_IGNORE_SECTION || s->type == PW_POOL_SECTION;
}

/* Looks a name up in one table. NULL when it is not there. */
const struct pw_setting *pw_setting_find(const struct pw_setting *table, const char *name, size_t length);

#define PW_CONFIG_FILE_MAX 1048576 /* bytes */
#define PW_SECTIONS_MAX 1000       /* of one name: the first match among pools is searched one by one */
#define PW_CONFIG_ERRORS_MAX 100   /* are shown: a file that is no configuration at all must not flood the log */

/* A file that is being read. */
struct pw_reader {
	const char *file;
	pw_config_report *report;
	void *context;        /* of report */
	unsigned errors;      /* so far */
	bool defaults_wrong;  /* what a pool would inherit has an error */
	struct pw_arena tree; /* of the nodes below */
	struct pw_config *config;
};

/* Reports one error, printf-style: "what is wrong, what was expected". line is 0 where there is none. Returns
 * false. */
bool pw_config_error(struct pw_reader *r, unsigned line, const char *format, ...) __attribute__((format(printf, 3, 4)));

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

/* Reads the file into a tree. Returns its node, or NULL when memory ran out, or after it reported the first error in
 * the structure or that the file can't be read. */
struct pw_node *pw_config_parse(struct pw_reader *r);

/* The first setting or section of this name in a section (NULL: none); NULL when it is not there. */
const struct pw_node *pw_node_find(const struct pw_node *section, const char *name);

/* Parses the values of a setting, or the title of a section, and stores them in `base`, the struct of its section;
 * texts and arrays are the configuration's. What is wrong is reported, and nothing is stored of it. */
void pw_setting_store(struct pw_reader *r, const struct pw_setting *setting, const struct pw_value *values, void *base);

#endif

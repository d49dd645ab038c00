/* SPDX-License-Identifier: BSD-2-Clause */
/* syntax.h: the text of a configuration file as a tree of settings
 *
 * name = value, name = { value, ... }, name += value, section { ... }, section "title" { ... }; strings in double or
 * single quotes; comments # ..., // ... and slash-star ... star-slash. */
#ifndef PW_CONFIG_SYNTAX_H
#define PW_CONFIG_SYNTAX_H

#include <stdbool.h>

#include "base/arena.h"
#include "config/config.h"
#include "config/settings.h"

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

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* mistakes.h: what is wrong with a file, collected with line numbers */
#ifndef PW_CONFIG_MISTAKES_H
#define PW_CONFIG_MISTAKES_H

#include <stdbool.h>
#include <stddef.h>

#include "config/config.h"

/* So many are kept: a file that is no configuration at all must not flood the log. */
#define PW_MISTAKES_MAX 100

/* Zeroed = none. */
struct pw_mistakes {
	struct pw_mistake {
		unsigned line;
		char *text;
	} items[PW_MISTAKES_MAX];
	size_t n_items;
	size_t n_dropped; /* beyond PW_MISTAKES_MAX, or out of memory */
};

/* Adds one, printf-style: "what is wrong, what was expected". line is 0 where there is none. */
void pw_mistake_add(struct pw_mistakes *mistakes, unsigned line, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Whether there is any. */
bool pw_mistakes_any(const struct pw_mistakes *mistakes);

/* Whether there is one on these lines. */
bool pw_mistakes_between(const struct pw_mistakes *mistakes, unsigned first, unsigned last);

/* Reports them in the order of their lines (those of one line as they were found) and forgets them. */
void pw_mistakes_report(struct pw_mistakes *mistakes, const char *file, pw_config_report *report, void *context);

#endif

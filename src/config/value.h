/* SPDX-License-Identifier: BSD-2-Clause */
/* value.h: one value of the file into one field */
#ifndef PW_CONFIG_VALUE_H
#define PW_CONFIG_VALUE_H

#include "config/grammar.h"
#include "config/mistakes.h"

/* A value as it was written, without quotes and escapes. */
struct pw_value {
	unsigned line;
	char text[];
};

/* Parses the value and stores it at the directive's offset of `base`; arrays and masks grow by it. What is wrong is added to the
 * mistakes, and nothing is stored. */
void pw_value_store(
	const struct pw_directive *directive, const struct pw_value *value, void *base, struct pw_mistakes *mistakes);

/* Longest label of a pool section, in bytes (as in events). */
#define PW_LABEL_MAX 63

/* Copies a text without control characters of 1 to max bytes (malloc), or NULL with a mistake. `what` names it. */
char *pw_value_text(const char *what, const struct pw_value *value, size_t max, struct pw_mistakes *mistakes);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* syntax.h: checks the structure of a configuration file and rewrites it for libconfuse
 *
 * libconfuse 3.3 by itself counts the lines of comments twice, refuses comments inside lists, accepts a section without its
 * closing brace, lets a second pool of the same title replace the first, stops at the first mistake, and starts the
 * next file inside the string that the last one left open. So the structure is checked here, against the
 * table in grammar.h; libconfuse gets what was found to be in order, without comments, each token on its line. */
#ifndef PW_CONFIG_SYNTAX_H
#define PW_CONFIG_SYNTAX_H

#include "config/grammar.h"
#include "config/lexer.h"

/* Hidden options that the rewritten text has at the start of each section: its line, and the title if there is one. No file
 * can name them: the check refuses every name that is not in the grammar. */
#define PW_OPTION_LINE "@line"
#define PW_OPTION_TITLE "@title"

/* So many sections of one name may stand in a file: the first match among pools is searched one by one. */
#define PW_SECTIONS_MAX 1000

/* Checks the tokens and returns the text for libconfuse (malloc): every statement without a mistake. NULL when out of memory
 * (which is added to the mistakes). */
char *pw_config_check(const struct pw_token *tokens, struct pw_mistakes *mistakes);

#endif

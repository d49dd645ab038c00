/* SPDX-License-Identifier: BSD-2-Clause */
/* lexer.h: the text of a configuration file and its tokens
 *
 * The tokens are those of libconfuse: words, strings in double or single quotes, { } = += , and the comments
 * # ..., // ... and slash-star ... star-slash. */
#ifndef PW_CONFIG_LEXER_H
#define PW_CONFIG_LEXER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/mistakes.h"

/* The largest file that is read. */
#define PW_CONFIG_FILE_MAX 1048576

enum pw_token_kind {
	PW_TOKEN_END, /* the last one, always there */
	PW_TOKEN_WORD,
	PW_TOKEN_STRING, /* with its quotes */
	PW_TOKEN_OPEN,
	PW_TOKEN_CLOSE,
	PW_TOKEN_EQUALS,
	PW_TOKEN_APPEND,
	PW_TOKEN_COMMA,
	PW_TOKEN_STRAY /* a character that has no meaning here */
};

struct pw_token {
	enum pw_token_kind kind;
	bool bad;         /* a mistake inside it was already reported */
	unsigned line;    /* where it starts, from 1 */
	unsigned length;  /* bytes */
	const char *text; /* into the file's text, not terminated */
};

/* Reads a file whole. Returns its text (malloc, NUL-terminated, without NUL inside, valid UTF-8, no control characters but tab,
 * CR and newline), or NULL after at least one mistake was added. */
char *pw_config_text(const char *path, struct pw_mistakes *mistakes);

/* Splits a text that pw_config_text() returned into tokens that point into it. Adds the mistakes inside tokens: strings and
 * comments without end, unknown escapes, environment variables. Returns an array (malloc) that ends with
 * PW_TOKEN_END, or NULL when out of memory. */
struct pw_token *pw_config_tokens(const char *text, struct pw_mistakes *mistakes);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* text.h: words and numbers for people: safe to print, measured, wrapped
 *
 * Names of namespaces, interfaces and control groups are chosen by others. They reach a terminal only through
 * pw_text_safe(), so that none of them can move the cursor or recolour the screen. */
#ifndef PW_REPORT_TEXT_H
#define PW_REPORT_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Longest result of pw_text_duration() and pw_text_growth() with the final NUL. */
#define PW_TEXT_SHORT_MAX 16

/* Copies a text for the terminal, cut to size. Control characters (C0, DEL, C1), bytes that are not UTF-8 and, without
 * `unicode`, every non-ASCII character become '?'. Returns buf. */
char *pw_text_safe(const char *text, bool unicode, char *buf, size_t size);

/* Columns that a text takes in the current locale (LC_CTYPE); escape sequences must not be in it. */
size_t pw_text_width(const char *text);

/* Writes `text` in lines of at most `width` columns (0: one line), broken at blanks; a word that is longer is broken
 * anywhere. The first line begins with `first`, the others with `rest`. */
void pw_text_wrap(FILE *out, const char *text, unsigned width, const char *first, const char *rest);

/* The last `width` percentages of a series as that many characters, right-aligned: blocks of growing height, or without
 * `blocks` the letters of _.:-=+*#. Only 100 has the highest. Returns buf. */
char *pw_text_sparkline(const uint16_t *percents, size_t n, unsigned width, bool blocks, char *buf, size_t size);

/* A duration in at most four characters: "59s", "59m", "47h", "999d", ">2y"; "-" for PW_NOT_IN_SIGHT. Rounds down.
 * Returns buf. */
char *pw_text_duration(uint32_t seconds, char buf[PW_TEXT_SHORT_MAX]);

/* An age with a decimal while that is worth one: "0.4 s", "75 s", "3h". Returns buf. */
char *pw_text_age(uint64_t ms, char buf[PW_TEXT_SHORT_MAX]);

#endif

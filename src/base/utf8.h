/* SPDX-License-Identifier: BSD-2-Clause */
/* utf8.h: the characters of a text whose bytes somebody else chose */
#ifndef PW_BASE_UTF8_H
#define PW_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/* Bytes of the UTF-8 character that `text` begins with (1..4); 0 when the bytes there are none: a stray or missing
 * continuation, an overlong form, a surrogate, beyond U+10FFFF (RFC 3629). The end of the string gives 0 too. */
size_t pw_utf8_length(const char *text);

/* Whether the character of `length` bytes (of pw_utf8_length(), not 0) must reach no reader: a control character (C0,
 * DEL, C1), which can move a terminal's cursor, or one that is not seen or changes the direction of what follows. */
bool pw_utf8_is_control(const char *text, size_t length);

/* Copies a text that somebody else chose (the name of an interface, a process, a control group, a user) so that it is
 * safe to hand on: bytes that are no UTF-8 and characters of pw_utf8_is_control() become '?' each, and it is cut
 * between two characters where it does not fit. Called where such a text comes in, so that no way out can forget it;
 * quoting is the business of each format. `out` may be `text`; size is not 0. */
void pw_utf8_clean(char *out, size_t size, const char *text);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* utf8.h: the characters of a text whose bytes somebody else chose */
#ifndef PW_BASE_UTF8_H
#define PW_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/* Bytes of the UTF-8 character that `text` begins with (1..4); 0 when the bytes there are none: a stray or missing
 * continuation, an overlong form, a surrogate, beyond U+10FFFF (RFC 3629). The end of the string gives 0 too. */
size_t pw_utf8_length(const char *text);

/* Whether the character of `length` bytes (of pw_utf8_length(), not 0) is a control character: C0, DEL or C1 (U+0080 to
 * U+009F), which can move a terminal's cursor. */
bool pw_utf8_is_control(const char *text, size_t length);

#endif

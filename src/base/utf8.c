/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/utf8.h"

#include <stdint.h>

static size_t length_by_first(uint8_t first)
{
	if (first < 0x80)
		return first != 0;
	if (first < 0xc2 || first > 0xf4)
		return 0;
	return first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}

/* RFC 3629 section 4: a second byte that would make an overlong form, a surrogate, or more than U+10FFFF. */
static bool second_is_wrong(uint8_t first, uint8_t second)
{
	return (first == 0xe0 && second < 0xa0) || (first == 0xed && second > 0x9f) ||
		(first == 0xf0 && second < 0x90) || (first == 0xf4 && second > 0x8f);
}

size_t pw_utf8_length(const char *text)
{
	const uint8_t *bytes = (const uint8_t *)text;
	size_t n = length_by_first(bytes[0]);

	for (size_t i = 1; i < n; i++)
		if ((bytes[i] & 0xc0) != 0x80)
			return 0;
	return n > 1 && second_is_wrong(bytes[0], bytes[1]) ? 0 : n;
}

bool pw_utf8_is_control(const char *text, size_t length)
{
	const uint8_t *bytes = (const uint8_t *)text;

	return length == 1 ? bytes[0] < 0x20 || bytes[0] == 0x7f : length == 2 && bytes[0] == 0xc2 && bytes[1] < 0xa0;
}

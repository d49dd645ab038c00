/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/utf8.h"

#include <stdint.h>
#include <string.h>

size_t pw_utf8_length(const char *text)
{
	const uint8_t *bytes = (const uint8_t *)text, first = bytes[0];
	size_t n = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;

	if (first < 0x80)
		return first != 0;
	if (first < 0xc2 || first > 0xf4)
		return 0;
	for (size_t i = 1; i < n; i++)
		if ((bytes[i] & 0xc0) != 0x80)
			return 0;
	/* RFC 3629 section 4: an overlong form, a surrogate, or more than U+10FFFF */
	if ((first == 0xe0 && bytes[1] < 0xa0) || (first == 0xed && bytes[1] > 0x9f) ||
		(first == 0xf0 && bytes[1] < 0x90) || (first == 0xf4 && bytes[1] > 0x8f))
		return 0;
	return n;
}

/* Controls, and of the format characters (Unicode, general category Cf, with the line and paragraph separators) those
 * that turn the direction of a text around, break its lines or cannot be seen: with them one name can be made to look
 * like another. */
static bool is_unsafe(uint32_t code)
{
	static const struct {
		uint32_t first, last;
	} ranges[] = {{0, 0x1f}, {0x7f, 0x9f}, {0xad, 0xad}, {0x61c, 0x61c}, {0x180e, 0x180e}, {0x200b, 0x200f},
		{0x2028, 0x202e}, {0x2060, 0x206f}, {0xfeff, 0xfeff}, {0xfff9, 0xfffb}, {0xe0000, 0xe007f}};

	for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++)
		if (code >= ranges[i].first && code <= ranges[i].last)
			return true;
	return false;
}

bool pw_utf8_is_control(const char *text, size_t length)
{
	const uint8_t *bytes = (const uint8_t *)text;
	uint32_t code = bytes[0] & (0x7fU >> length);

	if (length == 1)
		return bytes[0] < 0x20 || bytes[0] == 0x7f;
	for (size_t i = 1; i < length; i++)
		code = code << 6 | (bytes[i] & 0x3f);
	return is_unsafe(code);
}

void pw_utf8_clean(char *out, size_t size, const char *text)
{
	size_t at = 0, length;

	for (; *text != '\0'; text += length) {
		length = pw_utf8_length(text);
		if (length == 0 || pw_utf8_is_control(text, length)) {
			length = length == 0 ? 1 : length;
			if (at + 1 >= size)
				break;
			out[at++] = '?';
		} else {
			if (at + length >= size)
				break;
			memmove(out + at, text, length);
			at += length;
		}
	}
	out[at] = '\0';
}

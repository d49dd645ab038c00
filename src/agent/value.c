/* SPDX-License-Identifier: BSD-2-Clause */
#include "agent/value.h"

#include <stdbool.h>
#include <string.h>

#include "config.h"

const uint32_t pw_base[] = {PW_OID_BASE};
const size_t pw_base_len = sizeof(pw_base) / sizeof(pw_base[0]);

void pw_value_set_number(struct pw_value *value, int64_t number)
{
	switch (value->syntax) {
	case PW_SYNTAX_INTEGER32:
	case PW_SYNTAX_ENUM: value->integer = (int32_t)number; break;
	case PW_SYNTAX_GAUGE32:
	case PW_SYNTAX_UNSIGNED32: value->number = number > UINT32_MAX ? UINT32_MAX : (uint32_t)number; break;
	case PW_SYNTAX_COUNTER64: value->counter = (uint64_t)number; break;
	default: value->number = (uint32_t)number; break;
	}
}

/* The octets of a character that begins with this one; 0 when none does, or when it is a control character. */
static size_t length_by_first(uint8_t first)
{
	if (first < 0x80)
		return first >= 0x20 && first != 0x7f;
	if (first < 0xc2 || first > 0xf4)
		return 0;
	return first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}

/* RFC 3629 4: a second octet that would make an overlong form, a surrogate, or more than U+10FFFF. */
static bool second_is_wrong(uint8_t first, uint8_t second)
{
	return (first == 0xe0 && second < 0xa0) || (first == 0xed && second > 0x9f) ||
		(first == 0xf0 && second < 0x90) || (first == 0xf4 && second > 0x8f);
}

/* The octets of the character that begins here, 0 when there is none. */
static size_t character(const char *text)
{
	size_t n = length_by_first((uint8_t)text[0]);

	for (size_t i = 1; i < n; i++)
		if (((uint8_t)text[i] & 0xc0) != 0x80)
			return 0;
	return n > 1 && second_is_wrong((uint8_t)text[0], (uint8_t)text[1]) ? 0 : n;
}

void pw_value_set_text(struct pw_value *value, const char *text)
{
	size_t n;

	value->len = 0;
	for (; *text != '\0'; text += n > 0 ? n : 1) {
		n = character(text);
		if (value->len + (n > 0 ? n : 1) > PW_TEXT_MAX)
			return;
		if (n == 0) {
			value->octets[value->len++] = '?';
			continue;
		}
		memcpy(value->octets + value->len, text, n);
		value->len += n;
	}
}

void pw_value_set_date(struct pw_value *value, struct timespec time)
{
	struct tm tm;
	unsigned year;

	gmtime_r(&time.tv_sec, &tm);
	year = (unsigned)tm.tm_year + 1900;
	value->len = 11;
	value->octets[0] = (uint8_t)(year >> 8);
	value->octets[1] = (uint8_t)year;
	value->octets[2] = (uint8_t)(tm.tm_mon + 1);
	value->octets[3] = (uint8_t)tm.tm_mday;
	value->octets[4] = (uint8_t)tm.tm_hour;
	value->octets[5] = (uint8_t)tm.tm_min;
	value->octets[6] = (uint8_t)tm.tm_sec;
	value->octets[7] = (uint8_t)(time.tv_nsec / 100000000);
	value->octets[8] = '+';
	value->octets[9] = 0;
	value->octets[10] = 0;
}

void pw_value_set_row(struct pw_value *value, const uint32_t *below, size_t len)
{
	memcpy(value->oid, pw_base, sizeof(pw_base));
	for (size_t i = 0; i < len; i++)
		value->oid[pw_base_len + i] = below[i];
	value->len = pw_base_len + len;
}

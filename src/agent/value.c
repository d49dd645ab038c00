/* SPDX-License-Identifier: BSD-2-Clause */
#include "agent/value.h"

#include <stdbool.h>
#include <string.h>

#include "base/utf8.h"
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

void pw_value_set_text(struct pw_value *value, const char *text)
{
	char clean[PW_TEXT_MAX + 1];

	pw_utf8_clean(clean, sizeof(clean), text);
	value->len = strlen(clean);
	memcpy(value->octets, clean, value->len);
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

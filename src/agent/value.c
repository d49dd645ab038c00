#include "agent/value.h"

#include <string.h>

#include "config.h"

const uint32_t pw_base[] = {PW_OID_BASE};
const size_t pw_base_len = sizeof(pw_base) / sizeof(pw_base[0]);

void pw_value_set_number(struct pw_value *value, int64_t number)
{
	switch (value->syntax) {
	case PW_SYNTAX_INTEGER32:
	case PW_SYNTAX_ENUM:
		value->integer = (int32_t)number;
		break;
	case PW_SYNTAX_GAUGE32:
	case PW_SYNTAX_UNSIGNED32:
		value->number = number > UINT32_MAX ? UINT32_MAX : (uint32_t)number;
		break;
	case PW_SYNTAX_COUNTER64:
		value->counter = (uint64_t)number;
		break;
	default:
		value->number = (uint32_t)number;
		break;
	}
}

/* The continuation octets that follow this first octet; -1 when no character begins with it. */
static int continuation(uint8_t first)
{
	if (first < 0x80)
		return first < 0x20 || first == 0x7f ? -1 : 0;
	if (first < 0xc2 || first > 0xf4)
		return -1;
	return first < 0xe0 ? 1 : first < 0xf0 ? 2 : 3;
}

/* The octets of the character that begins here, 0 when there is none. Overlong forms, surrogates and C1 controls are not told
 * apart: nothing that is shown here can make them, and they do no harm. */
static size_t character(const char *text)
{
	int more = continuation((uint8_t)text[0]);

	for (int i = 1; i <= more; i++)
		if (((uint8_t)text[i] & 0xc0) != 0x80)
			return 0;
	return (size_t)(more + 1);
}

void pw_value_set_text(struct pw_value *value, const char *text, size_t max)
{
	size_t n;

	value->len = 0;
	max = max < PW_TEXT_MAX ? max : PW_TEXT_MAX;
	for (; *text != '\0'; text += n > 0 ? n : 1) {
		n = character(text);
		if (value->len + (n > 0 ? n : 1) > max)
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

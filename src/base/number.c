/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/number.h"

bool pw_number_take(const char **text, uint64_t max, uint64_t *number)
{
	const char *p = *text;
	uint64_t value = 0;

	if (!pw_is_digit(*p))
		return false;
	for (; pw_is_digit(*p); p++) {
		uint64_t digit = (uint64_t)(*p - '0');

		if (value > max / 10 || value * 10 > max - digit || digit > max)
			return false;
		value = value * 10 + digit;
	}
	*text = p;
	*number = value;
	return true;
}

bool pw_number_range_take(const char **text, uint64_t max, uint64_t *first, uint64_t *last)
{
	const char *p = *text;

	if (!pw_number_take(&p, max, first))
		return false;
	*last = *first;
	if (*p == '-' && (p++, !pw_number_take(&p, max, last) || *last < *first))
		return false;
	*text = p;
	return true;
}

bool pw_number(const char *text, uint64_t min, uint64_t max, uint64_t *number)
{
	uint64_t value;

	if (!pw_number_take(&text, max, &value) || *text != '\0' || value < min)
		return false;
	*number = value;
	return true;
}

bool pw_number32(const char *text, uint32_t min, uint32_t max, uint32_t *number)
{
	uint64_t value;

	if (!pw_number(text, min, max, &value))
		return false;
	*number = (uint32_t)value;
	return true;
}

bool pw_number_seconds(const char *text, uint64_t min_ms, uint64_t max_ms, uint64_t *ms)
{
	uint64_t seconds = 0, value, scale = 100;
	bool digits = pw_number_take(&text, max_ms / 1000, &seconds);

	value = seconds * 1000;
	if (*text == '.')
		for (text++; pw_is_digit(*text) && scale > 0; text++, scale /= 10, digits = true)
			value += (uint64_t)(*text - '0') * scale;
	if (!digits || *text != '\0' || value < min_ms || value > max_ms)
		return false;
	*ms = value;
	return true;
}

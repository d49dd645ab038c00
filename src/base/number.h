/* SPDX-License-Identifier: BSD-2-Clause */
/* number.h: decimal numbers in texts, digits only
 *
 * strtoul() takes blanks, signs, "0x1f", and "010" for eight or ten as it is asked to; strtod() the locale's decimal
 * point. Neither fits what people and the kernel write. */
#ifndef PW_BASE_NUMBER_H
#define PW_BASE_NUMBER_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

static inline bool pw_is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Whether a text is digits, and at least one: those are the directories of processes in /proc, for example. */
static inline bool pw_is_digits(const char *text)
{
	const size_t n = strspn(text, "0123456789");

	return n > 0 && text[n] == '\0';
}

/* The value of a hexadecimal digit, or -1. */
static inline int pw_hex_digit(char c)
{
	if (pw_is_digit(c))
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Takes the digits at *text and moves it behind them. Returns false, and leaves both as they were, when there is none
 * or the number is above max. */
bool pw_number_take(const char **text, uint64_t max, uint64_t *number);

/* The same for "80" (first and last are it) or "80-90", an item of the kernel's lists of ports and of processors. */
bool pw_number_range_take(const char **text, uint64_t max, uint64_t *first, uint64_t *last);

/* The number that the whole text is. Returns false, and leaves *number, when it is something else or not in
 * min..max. */
bool pw_number(const char *text, uint64_t min, uint64_t max, uint64_t *number);

/* The same for a result of 32 bits. */
bool pw_number32(const char *text, uint32_t min, uint32_t max, uint32_t *number);

/* "12", "0.25", ".5", "3.": seconds with up to three decimals into milliseconds (min and max too), exactly and in every
 * locale. Returns false, and leaves *ms, when it is something else. */
bool pw_number_seconds(const char *text, uint64_t min_ms, uint64_t max_ms, uint64_t *ms);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* Values as SNMP knows them: texts, dates, numbers that do not fit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "agent/object.h"
#include "base/utf8.h"
#include "random.h"

static struct pw_value text(const char *given)
{
	struct pw_value value = {.syntax = PW_SYNTAX_TEXT};

	pw_value_set_text(&value, given);
	return value;
}

static void assert_text(const char *given, const char *expected)
{
	struct pw_value value = text(given);

	assert_int_equal(value.len, strlen(expected));
	assert_memory_equal(value.octets, expected, value.len);
}

static void test_text(void **state)
{
	(void)state;
	assert_text("", "");
	assert_text("tcp 10.0.0.1 -> 10.0.0.9:443", "tcp 10.0.0.1 -> 10.0.0.9:443");
	assert_text("f\xc3\xbcr \xe2\x82\xac \xf0\x9f\x90\x8c", "f\xc3\xbcr \xe2\x82\xac \xf0\x9f\x90\x8c");
	assert_text("a\tb\nc\x1b[31m\x7f", "a?b?c?[31m?");
}

static void test_text_that_is_no_utf8(void **state)
{
	(void)state;
	assert_text("\xff\xfe", "??");
	assert_text("\xc3", "?"); /* ends inside of a character */
	assert_text("\xc3(", "?(");
	assert_text("\xe2\x82", "??");
	assert_text("\x80x", "?x");    /* begins inside of one */
	assert_text("\xc0\xaf", "??"); /* overlong */
	assert_text("\xe0\x80\xaf", "???");
	assert_text("\xf0\x80\x80\xaf", "????");
	assert_text("\xed\xa0\x80", "???");      /* surrogate */
	assert_text("\xf4\x90\x80\x80", "????"); /* beyond U+10FFFF */
	assert_text("\xed\x9f\xbf\xf4\x8f\xbf\xbf", "\xed\x9f\xbf\xf4\x8f\xbf\xbf");
}

static void test_long_text(void **state)
{
	char given[400];

	(void)state;
	memset(given, 'x', sizeof(given));
	given[300] = '\0';
	assert_int_equal(text(given).len, 255);
	memcpy(given + 253, "\xe2\x82\xac", 3); /* would end at octet 256 */
	assert_int_equal(text(given).len, 253);
	memcpy(given + 252, "\xe2\x82\xac", 3);
	assert_int_equal(text(given).len, 255);
}

/* The octets of a text once it is clean: a question mark for a byte that is no UTF-8, and for a control character. */
static size_t clean_length(const char *text)
{
	size_t clean = 0, n;

	for (; *text != '\0'; text += n > 0 ? n : 1) {
		n = pw_utf8_length(text);
		clean += n > 0 && !pw_utf8_is_control(text, n) ? n : 1;
	}
	return clean;
}

/* Whatever goes in: what comes out is at most 255 octets, and goes through unchanged a second time. */
static void test_any_text(void **state)
{
	char given[600], again[PW_TEXT_MAX + 1];

	(void)state;
	random_start();
	for (int round = 0; round < 20000; round++) {
		size_t len = pick(sizeof(given) - 1), clean;
		struct pw_value once;

		for (size_t i = 0; i < len; i++)
			given[i] = (char)(chance(2) ? 0x80 + pick(128) : 1 + pick(255));
		given[len] = '\0';
		clean = clean_length(given);
		once = text(given);
		assert_true(once.len <= PW_TEXT_MAX && once.len >= (clean < 252 ? clean : 252));
		memcpy(again, once.octets, once.len);
		again[once.len] = '\0';
		assert_text(again, again);
	}
}

static void test_date(void **state)
{
	static const uint8_t expected[] = {2026 >> 8, 2026 & 255, 2, 28, 23, 59, 58, 9, '+', 0, 0};
	struct pw_value value = {.syntax = PW_SYNTAX_DATE};

	(void)state;
	pw_value_set_date(&value, (struct timespec){.tv_sec = 1772323198, .tv_nsec = 999999999});
	assert_int_equal(value.len, sizeof(expected));
	assert_memory_equal(value.octets, expected, sizeof(expected));
	pw_value_set_date(&value, (struct timespec){0});
	assert_int_equal(value.octets[0] << 8 | value.octets[1], 1970);
	assert_int_equal(value.octets[2], 1);
	assert_int_equal(value.octets[3], 1);
}

static struct pw_value number(enum pw_syntax syntax, int64_t given)
{
	struct pw_value value = {.syntax = syntax};

	pw_value_set_number(&value, given);
	return value;
}

static void test_numbers(void **state)
{
	(void)state;
	assert_int_equal(number(PW_SYNTAX_INTEGER32, -5).integer, -5);
	assert_int_equal(number(PW_SYNTAX_ENUM, 4).integer, 4);
	assert_int_equal(number(PW_SYNTAX_GAUGE32, UINT32_MAX).number, UINT32_MAX);
	assert_int_equal(number(PW_SYNTAX_GAUGE32, INT64_C(1) << 40).number, UINT32_MAX);
	assert_int_equal(number(PW_SYNTAX_COUNTER32, (INT64_C(1) << 32) + 7).number, 7);
	assert_true(number(PW_SYNTAX_COUNTER64, (int64_t)UINT64_MAX).counter == UINT64_MAX);
}

static void test_row(void **state)
{
	static const uint32_t below[] = {1, 3, UINT32_MAX};
	struct pw_value value = {.syntax = PW_SYNTAX_ROW};

	(void)state;
	pw_value_set_row(&value, below, 3);
	assert_int_equal(value.len, pw_base_len + 3);
	assert_memory_equal(value.oid, pw_base, pw_base_len * sizeof(uint32_t));
	assert_memory_equal(value.oid + pw_base_len, below, sizeof(below));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_text_that_is_no_utf8),
		cmocka_unit_test(test_long_text),
		cmocka_unit_test(test_any_text),
		cmocka_unit_test(test_date),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_row),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* Safe text, its width and its wrapping; UTF-8 against the decoder of the C library. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#include "base/utf8.h"
#include "count/pool.h"
#include "report/text.h"
#include "report_fixture.h"

/* What the C library makes of it: 0 for the end and for what is none. */
static size_t reference_length(const char *text)
{
	mbstate_t state = {0};
	wchar_t wide = 0;
	size_t n = mbrtowc(&wide, text, strlen(text), &state);

	/* glibc goes on behind the end of Unicode */
	return n > 4 || wide > 0x10ffff ? 0 : n;
}

/* Every sequence of up to two bytes, and every interesting one of up to four. */
static void test_utf8(void **state)
{
	static const uint8_t edges[] = {0x01, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xff};
	const size_t n = sizeof(edges);
	char text[5] = "";

	(void)state;
	for (unsigned a = 1; a < 256; a++) {
		for (unsigned b = 0; b < 256; b++) {
			memcpy(text, (char[]){(char)a, (char)b, 0}, 3);
			assert_int_equal(pw_utf8_length(text), reference_length(text));
		}
	}
	for (unsigned a = 0xe0; a < 256; a++) {
		for (size_t i = 0; i < n * n * n; i++) {
			memcpy(text,
				(char[]){
					(char)a, (char)edges[i / n / n], (char)edges[i / n % n], (char)edges[i % n], 0},
				5);
			assert_int_equal(pw_utf8_length(text), reference_length(text));
		}
	}
}

static void expect_safe(const char *text, bool unicode, const char *expected)
{
	char buf[64];

	assert_string_equal(pw_text_safe(text, unicode, buf, sizeof(buf)), expected);
}

static void test_safe(void **state)
{
	char small[6];

	(void)state;
	expect_safe("nginx.service", true, "nginx.service");
	expect_safe("\033[31mred\177", true, "?[31mred?");
	expect_safe("C1 \xc2\x9b"
		    "31m",
		true, "C1 ?31m");
	expect_safe("m\xc3\xbc", true, "m\xc3\xbc");
	expect_safe("m\xc3\xbc", false, "m?");
	expect_safe("\xff\xfe\xc3", true, "???");
	expect_safe("tab\tnewline\n", true, "tab?newline?");
	/* a character is never cut in the middle */
	assert_string_equal(pw_text_safe("abcd\xc3\xbc", true, small, sizeof(small)), "abcd");
}

static void test_width(void **state)
{
	(void)state;
	assert_int_equal(pw_text_width(""), 0);
	assert_int_equal(pw_text_width("abc"), 3);
	assert_int_equal(pw_text_width("\xe2\x96\x88\xe2\x96\x8f"), 2); /* two blocks */
	assert_int_equal(pw_text_width("\xe6\xbc\xa2"), 2);             /* a wide character */
}

struct wrapping {
	const char *text;
	unsigned width;
};

static void wrap(FILE *out, void *context)
{
	const struct wrapping *w = context;

	pw_text_wrap(out, w->text, w->width, "* ", "  ");
}

static void expect_wrapped(const char *text, unsigned width, const char *expected)
{
	char *wrapped = fixture_capture(wrap, &(struct wrapping){text, width});

	assert_string_equal(wrapped, expected);
	free(wrapped);
}

static void test_wrap(void **state)
{
	(void)state;
	expect_wrapped("one two three", 0, "* one two three\n");
	expect_wrapped("one two three", 9, "* one two\n  three\n");
	expect_wrapped("one two three", 10, "* one two\n  three\n");
	expect_wrapped("one two three", 8, "* one\n  two\n  three\n");
	expect_wrapped("longerthanaline", 9, "* longert\n  hanalin\n  e\n");
	expect_wrapped("\xc3\xbc\xc3\xbc\xc3\xbc \xc3\xbc", 5, "* \xc3\xbc\xc3\xbc\xc3\xbc\n  \xc3\xbc\n");
	expect_wrapped("", 9, "* \n");
}

static void test_duration(void **state)
{
	static const struct {
		uint32_t seconds;
		const char *text;
	} cases[] = {{0, "0s"}, {59, "59s"}, {60, "1m"}, {3599, "59m"}, {3600, "1h"}, {48 * 3600 - 1, "47h"},
		{48 * 3600, "2d"}, {1000u * 86400 - 1, "999d"}, {1000u * 86400, ">2y"}, {PW_NOT_IN_SIGHT - 1, ">2y"},
		{PW_NOT_IN_SIGHT, "-"}};
	char buf[PW_TEXT_SHORT_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_string_equal(pw_text_duration(cases[i].seconds, buf), cases[i].text);
}

/* The newest stands at the right; only 100 % has the highest block. */
static void test_sparkline(void **state)
{
	static const uint16_t percents[] = {0, 14, 15, 50, 99, 100, 65535};
	char buf[64];

	(void)state;
	assert_string_equal(pw_text_sparkline(percents, 7, 9, true, buf, sizeof(buf)), "  ▁▁▂▄▇██");
	assert_string_equal(pw_text_sparkline(percents, 7, 9, false, buf, sizeof(buf)), "  __.-*##");
	assert_string_equal(pw_text_sparkline(percents, 7, 3, false, buf, sizeof(buf)), "*##");
	assert_string_equal(pw_text_sparkline(NULL, 0, 2, true, buf, sizeof(buf)), "  ");
	assert_string_equal(pw_text_sparkline(percents, 7, 7, true, buf, 11), "▁▁▂");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_utf8),
		cmocka_unit_test(test_safe),
		cmocka_unit_test(test_width),
		cmocka_unit_test(test_wrap),
		cmocka_unit_test(test_duration),
		cmocka_unit_test(test_sparkline),
	};

	if (setlocale(LC_CTYPE, "C.UTF-8") == NULL) {
		fputs("skipped: no C.UTF-8 locale\n", stderr);
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}

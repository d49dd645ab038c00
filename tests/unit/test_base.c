/* SPDX-License-Identifier: BSD-2-Clause */
/* What every part uses: growing arrays, short ordered lists, digits, UTF-8. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/number.h"
#include "base/utf8.h"
#include "random.h"

static void test_array_keeps_what_is_in_it(void **state)
{
	uint64_t *numbers = NULL;
	size_t room = 0, moves = 0;

	(void)state;
	for (size_t n = 0; n < 100000; n++) {
		size_t before = room;

		assert_true(PW_ARRAY_ROOM(numbers, room, n + 1));
		moves += room != before;
		numbers[n] = n;
	}
	assert_true(moves < 20); /* it doubles */
	for (size_t n = 0; n < 100000; n++)
		assert_int_equal(numbers[n], n);
	assert_true(PW_ARRAY_ROOM(numbers, room, 1000000)); /* and takes a large need at once */
	assert_int_equal(room, 1000000);
	assert_int_equal(numbers[99999], 99999);
	free(numbers);
}

static void test_array_without_memory_stays(void **state)
{
	uint32_t *numbers = NULL, *before;
	size_t room = 0;

	(void)state;
	assert_true(PW_ARRAY_ROOM(numbers, room, 1));
	numbers[0] = 7;
	before = numbers;
	assert_false(PW_ARRAY_ROOM(numbers, room, SIZE_MAX / 2)); /* 4 bytes each: more than there can be */
	assert_ptr_equal(numbers, before);
	assert_int_equal(room, 16);
	assert_int_equal(numbers[0], 7);
	free(numbers);
}

struct item {
	int order, name;
};

static int by_order(const void *a, const void *b)
{
	const struct item *x = a, *y = b;

	return (x->order > y->order) - (x->order < y->order);
}

/* Against a stable sort of all. */
static void test_keep_first(void **state)
{
	unsigned seed = 12345;

	(void)state;
	for (size_t max = 0; max < 9; max++) {
		struct item kept[9] = {{0}}, all[40];
		size_t n = 0;

		for (int i = 0; i < 40; i++) {
			seed = seed * 1103515245 + 12345;
			all[i] = (struct item){.order = (int)(seed >> 16) % 10, .name = i};
			n = pw_array_keep_first(kept, n, max, sizeof(kept[0]), &all[i], by_order);
		}
		assert_int_equal(n, max);
		for (size_t i = 0, at = 0; i < 10; i++)
			for (size_t j = 0; j < 40 && at < n; j++)
				if (all[j].order == (int)i)
					assert_int_equal(kept[at++].name, all[j].name);
		assert_memory_equal(&kept[max], (&(struct item){0}), max < 9 ? sizeof(struct item) : 0);
	}
}

static void test_number(void **state)
{
	static const char *const bad[] = {
		"", " 1", "1 ", "+1", "-1", "0x1f", "1.0", "1e3", "x", "101", "4", "018446744073709551617"};
	const char *text = "0042-7", *none = "-7", *large = "256,";
	uint64_t number = 99;
	uint32_t number32 = 99;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(pw_number(bad[i], 5, 100, &number) || pw_number32(bad[i], 5, 100, &number32));
	assert_true(number == 99 && number32 == 99);
	assert_true(pw_number("010", 5, 100, &number) && number == 10);
	assert_true(pw_number32("100", 5, 100, &number32) && number32 == 100);
	assert_true(pw_number("18446744073709551615", 0, UINT64_MAX, &number) && number == UINT64_MAX);
	assert_false(pw_number("18446744073709551616", 0, UINT64_MAX, &number));
	assert_true(pw_number("0", 0, 0, &number) && number == 0);
	assert_false(pw_number("1", 0, 0, &number));
	assert_true(pw_number_take(&text, 42, &number) && number == 42);
	assert_string_equal(text, "-7");
	assert_false(pw_number_take(&none, 42, &number) || pw_number_take(&large, 255, &number));
	assert_string_equal(none, "-7");
	assert_string_equal(large, "256,");
	assert_int_equal(number, 42);
}

static void test_seconds(void **state)
{
	static const struct {
		const char *text;
		uint64_t ms;
	} good[] = {{"12", 12000}, {"0.25", 250}, {".5", 500}, {"3.", 3000}, {"0.001", 1}, {"0060.25", 60250},
		{"3600", 3600000}};
	static const char *const bad[] = {"", ".", "0", "0.0125", "1.2.3", "1e3", "nan", "-1", " 1", "1 ", "10s",
		"3600.001", "99999999999999999999", "1,5"};
	uint64_t ms = 7;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(pw_number_seconds(bad[i], 1, 3600000, &ms));
	assert_int_equal(ms, 7);
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_true(pw_number_seconds(good[i].text, 1, 3600000, &ms));
		assert_int_equal(ms, good[i].ms);
	}
}

/* Every code point in UTF-8, as RFC 3629 writes it. */
static size_t encode(uint32_t code, char out[5])
{
	memset(out, 0, 5);
	if (code < 0x80)
		out[0] = (char)code;
	else if (code < 0x800)
		sprintf(out, "%c%c", (char)(0xc0 | code >> 6), (char)(0x80 | (code & 63)));
	else if (code < 0x10000)
		sprintf(out, "%c%c%c", (char)(0xe0 | code >> 12), (char)(0x80 | (code >> 6 & 63)),
			(char)(0x80 | (code & 63)));
	else
		sprintf(out, "%c%c%c%c", (char)(0xf0 | code >> 18), (char)(0x80 | (code >> 12 & 63)),
			(char)(0x80 | (code >> 6 & 63)), (char)(0x80 | (code & 63)));
	return code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
}

/* What is not to be seen, turns the direction around or breaks the line. */
static bool is_format(uint32_t code)
{
	return code == 0xad || code == 0x61c || code == 0x180e || (code >= 0x200b && code <= 0x200f) ||
		(code >= 0x2028 && code <= 0x202e) || (code >= 0x2060 && code <= 0x206f) || code == 0xfeff ||
		(code >= 0xfff9 && code <= 0xfffb) || (code >= 0xe0000 && code <= 0xe007f);
}

static void test_utf8_every_code_point(void **state)
{
	char text[5];

	(void)state;
	for (uint32_t code = 1; code < 0x120000; code++) {
		size_t length = encode(code, text);
		bool valid = code < 0xd800 || (code > 0xdfff && code < 0x110000);
		bool control = code < 0x20 || (code >= 0x7f && code < 0xa0) || is_format(code);

		assert_int_equal(pw_utf8_length(text), valid ? length : 0);
		if (valid)
			assert_int_equal(pw_utf8_is_control(text, length), control);
		if (length > 1) { /* cut, it is none, and nothing behind the end is read */
			text[length - 1] = '\0';
			assert_int_equal(pw_utf8_length(text), 0);
		}
	}
}

static void test_utf8_what_is_none(void **state)
{
	static const char *const bad[] = {"", "\x80", "\xbf", "\xc0\x80", "\xc1\xbf", "\xe0\x80\x80", "\xe0\x9f\xbf",
		"\xf0\x80\x80\x80", "\xf0\x8f\xbf\xbf", "\xf5\x80\x80\x80", "\xff", "\xfe\x80\x80\x80", "\xe2\x82x",
		"\xe2x\x82", "\xf0\x90\x80x"};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(pw_utf8_length(bad[i]), 0);
}

/* A text of random bytes and pieces, cut at every length: what comes out is UTF-8 without controls, fits, and is the same again. */
static void test_utf8_clean(void **state)
{
	static const char *const pieces[] = {"eth0", "\x1b[2J", "\n", "\xe2\x80\xae", "\xc3\xa4", "\xff",
		"\xf0\x9f\x98\x80", "\xe2\x82", "|", "\"", "'", "\xc2\x9b", "\x7f"};
	char text[80], out[80], again[80];

	(void)state;
	random_start();
	for (unsigned round = 0; round < 20000; round++) {
		size_t size = round % sizeof(out) + 1, n;

		text[0] = '\0';
		for (int i = 0; i < 8; i++)
			strcat(text, pieces[pick(sizeof(pieces) / sizeof(pieces[0]))]);
		pw_utf8_clean(out, size, text);
		assert_true(strlen(out) < size);
		for (const char *p = out; *p != '\0'; p += n) {
			n = pw_utf8_length(p);
			assert_int_not_equal(n, 0);
			assert_false(pw_utf8_is_control(p, n));
		}
		pw_utf8_clean(again, sizeof(again), out);
		assert_string_equal(again, out);
		pw_utf8_clean(text, size, text);
		assert_string_equal(text, out);
	}
	{
		static char long_text[65537];

		memset(long_text, 'x', sizeof(long_text) - 1);
		pw_utf8_clean(out, sizeof(out), long_text);
		assert_int_equal(strlen(out), sizeof(out) - 1);
		memset(long_text, '\x1b', sizeof(long_text) - 1);
		pw_utf8_clean(long_text, sizeof(long_text), long_text);
		assert_int_equal(strspn(long_text, "?"), sizeof(long_text) - 1);
	}
	pw_utf8_clean(out, sizeof(out), "a\x1b\xc3\xa4\xff\xe2\x80\xaez");
	assert_string_equal(out, "a?\xc3\xa4??z");
	pw_utf8_clean(out, 3, "a\xc3\xa4");
	assert_string_equal(out, "a");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_array_keeps_what_is_in_it),
		cmocka_unit_test(test_array_without_memory_stays),
		cmocka_unit_test(test_keep_first),
		cmocka_unit_test(test_number),
		cmocka_unit_test(test_seconds),
		cmocka_unit_test(test_utf8_every_code_point),
		cmocka_unit_test(test_utf8_what_is_none),
		cmocka_unit_test(test_utf8_clean),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

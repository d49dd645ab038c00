/* SPDX-License-Identifier: BSD-2-Clause */
/* Packed lists: whatever is added in whatever order comes out again, in little memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "count/lists.h"
#include "random.h"

#define LISTS 50
#define LONGEST 500

/* The same list twice: packed, and as it is. */
struct list {
	uint32_t head, length;
	uint32_t values[LONGEST];
};

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

/* Parts come newest first, and a part in the order of adding: compared as sets. */
static void check_list(const struct pw_lists *lists, const struct list *list)
{
	uint32_t expected[LONGEST], found[LONGEST];
	uint32_t n = 0;

	for (struct pw_list_part part = pw_list_first(lists, &list->head, list->length); part.n != 0;
		part = pw_list_next(lists, part)) {
		assert_true(n + part.n <= list->length);
		memcpy(found + n, part.values, part.n * sizeof(*found));
		n += part.n;
	}
	assert_int_equal(n, list->length);
	memcpy(expected, list->values, n * sizeof(*expected));
	qsort(expected, n, sizeof(*expected), compare);
	qsort(found, n, sizeof(*found), compare);
	assert_memory_equal(found, expected, n * sizeof(*found));
}

static void add(struct pw_lists *lists, struct list *list, uint32_t value)
{
	assert_int_equal(pw_list_add(lists, &list->head, list->length, value), 0);
	list->values[list->length++] = value;
}

static void lists_grow_in_any_order(void **state)
{
	struct list *lists = calloc(LISTS, sizeof(*lists));
	struct pw_lists blocks = {0};

	(void)state;
	random_start();
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < 4000; i++) {
			struct list *list = &lists[pick(1 + pick(LISTS))]; /* some grow long, some stay short */

			if (list->length < LONGEST)
				add(&blocks, list, pick(UINT32_MAX));
		}
		for (unsigned i = 0; i < LISTS; i++)
			check_list(&blocks, &lists[i]);
		pw_lists_clear(&blocks);
		memset(lists, 0, LISTS * sizeof(*lists));
	}
	pw_lists_free(&blocks);
	free(lists);
}

static void every_length_is_kept(void **state)
{
	struct pw_lists blocks = {0};
	struct list list = {0};

	(void)state;
	check_list(&blocks, &list);
	while (list.length < LONGEST) {
		add(&blocks, &list, list.length * 2654435761u);
		check_list(&blocks, &list);
	}
	pw_lists_free(&blocks);
}

/* The units that one list of a length takes. */
static uint32_t units(uint32_t length)
{
	struct pw_lists blocks = {0};
	struct list list = {0};
	uint32_t n;

	while (list.length < length)
		add(&blocks, &list, 7);
	n = blocks.n == 0 ? 0 : blocks.n - 1;
	pw_lists_free(&blocks);
	return n;
}

/* What census.h says about the memory of a socket. */
static void memory_is_as_documented(void **state)
{
	(void)state;
	assert_int_equal(units(1), 0);
	assert_int_equal(units(2), 1);
	assert_int_equal(units(3), 1);
	for (uint32_t length = 2; length <= LONGEST; length++)
		assert_true(units(length) * 16 <= length * 6 + 64);
	assert_true(units(LONGEST) * 16 <= LONGEST * 45 / 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lists_grow_in_any_order),
		cmocka_unit_test(every_length_is_kept),
		cmocka_unit_test(memory_is_as_documented),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

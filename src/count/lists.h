/* SPDX-License-Identifier: BSD-2-Clause */
/* lists.h: many short and some long lists of 32-bit values, packed into one array (census)
 *
 * A list of one value is that value itself. Longer ones are blocks of 16, 32 and then 64 bytes, so that walking a
 * long list waits for memory once in 15 values, and a short one wastes little. A list only grows; all are forgotten
 * at once.
 *
 * The owner of a list keeps its head and its length, of which only 0, 1 and more are told apart. */
#ifndef PW_COUNT_LISTS_H
#define PW_COUNT_LISTS_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/array.h"

/* The blocks of all lists, in units of 16 bytes. Unit 0 is never used: 0 is the end of a list. */
struct pw_lists {
	struct pw_list_unit {
		uint32_t word[4];
	} * units;
	uint32_t n;
	size_t size;
};

/* The first word of a block: how many values it has, its size, and the unit of the next (older) block. */
#define PW_LIST_FILL_BITS 4
#define PW_LIST_SIZE_BITS 2
#define PW_LIST_NEXT_SHIFT (PW_LIST_FILL_BITS + PW_LIST_SIZE_BITS)
#define PW_LIST_UNITS_MAX (UINT32_C(1) << (32 - PW_LIST_NEXT_SHIFT))
#define PW_LIST_LARGEST 2 /* of the sizes 0, 1, 2: 1, 2 or 4 units, 3, 7 or 15 values */

static inline void pw_lists_clear(struct pw_lists *lists)
{
	lists->n = 0;
}

static inline void pw_lists_free(struct pw_lists *lists)
{
	free(lists->units);
	*lists = (struct pw_lists){0};
}

/* A new block in front of the list; its unit, or 0 when out of memory. */
static inline uint32_t pw_list_block(struct pw_lists *lists, unsigned size, uint32_t next)
{
	uint32_t unit = lists->n == 0 ? 1 : lists->n;
	uint32_t end = unit + (UINT32_C(1) << size);

	if (end > PW_LIST_UNITS_MAX || !PW_ARRAY_ROOM(lists->units, lists->size, end))
		return 0;
	lists->n = end;
	lists->units[unit].word[0] = next << PW_LIST_NEXT_SHIFT | (uint32_t)size << PW_LIST_FILL_BITS;
	return unit;
}

static inline unsigned pw_list_fill(uint32_t header)
{
	return header & ((1u << PW_LIST_FILL_BITS) - 1);
}

static inline unsigned pw_list_size(uint32_t header)
{
	return header >> PW_LIST_FILL_BITS & ((1u << PW_LIST_SIZE_BITS) - 1);
}

/* To a block that has room. */
static inline void pw_list_put(struct pw_lists *lists, uint32_t unit, uint32_t value)
{
	uint32_t *block = lists->units[unit].word;

	block[1 + pw_list_fill(block[0])] = value;
	block[0]++;
}

/* The block for the next value of a list of at least one; 0 when out of memory. */
static inline uint32_t pw_list_room(struct pw_lists *lists, uint32_t head, uint32_t length)
{
	uint32_t header, unit;
	unsigned size;

	if (length == 1) {
		unit = pw_list_block(lists, 0, 0);
		if (unit != 0)
			pw_list_put(lists, unit, head);
		return unit;
	}
	/* NOLINTNEXTLINE(clang-analyzer-core.*): a list of two or more has a block */
	header = lists->units[head].word[0];
	size = pw_list_size(header);
	if (pw_list_fill(header) < (4u << size) - 1)
		return head;
	return pw_list_block(lists, size < PW_LIST_LARGEST ? size + 1 : size, head);
}

/* Adds a value to a list that has `length` of them. Returns 0, or -1 when out of memory (the list then is as
 * before). */
static inline int pw_list_add(struct pw_lists *lists, uint32_t *head, uint32_t length, uint32_t value)
{
	uint32_t unit;

	if (length == 0) {
		*head = value;
		return 0;
	}
	unit = pw_list_room(lists, *head, length);
	if (unit == 0)
		return -1;
	pw_list_put(lists, unit, value);
	*head = unit;
	return 0;
}

/* Some of the values of a list, side by side; n = 0 behind the last. */
struct pw_list_part {
	const uint32_t *values;
	unsigned n;
	uint32_t next;
};

static inline struct pw_list_part pw_list_part(const struct pw_lists *lists, uint32_t unit)
{
	const uint32_t *block;
	struct pw_list_part part;

	if (unit == 0)
		return (struct pw_list_part){0};
	block = lists->units[unit].word;
	part = (struct pw_list_part){
		.values = block + 1, .n = pw_list_fill(block[0]), .next = block[0] >> PW_LIST_NEXT_SHIFT};
	__builtin_prefetch(&lists->units[part.next]); /* it comes while this one is looked at */
	return part;
}

/* The list must not grow, nor *head move, while its parts are looked at. */
static inline struct pw_list_part pw_list_first(const struct pw_lists *lists, const uint32_t *head, uint32_t length)
{
	if (length <= 1)
		return (struct pw_list_part){.values = head, .n = length};
	return pw_list_part(lists, *head);
}

static inline struct pw_list_part pw_list_next(const struct pw_lists *lists, struct pw_list_part part)
{
	return pw_list_part(lists, part.next);
}

#endif

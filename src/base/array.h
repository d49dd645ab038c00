/* SPDX-License-Identifier: BSD-2-Clause */
/* array.h: arrays that grow, and short lists that keep the first of an order
 *
 * An array is a pointer, a number of elements and the room it has (size_t), all three in the owner's own struct:
 *
 *	if (!PW_ARRAY_ROOM(list->items, list->room, list->n + 1))
 *		return -1;
 *	list->items[list->n++] = item;
 *
 * free(list->items) is the owner's. */
#ifndef PW_BASE_ARRAY_H
#define PW_BASE_ARRAY_H

#include <stdbool.h>
#include <stddef.h>

/* Makes room for `need` elements. Returns false when out of memory: the array is then as it was. */
#define PW_ARRAY_ROOM(array, room, need) \
	((need) <= (room) || pw_array_grow(&(array), &(room), (need), sizeof(*(array))))

/* What PW_ARRAY_ROOM() does when the room is not enough: it doubles (16 at first), so that appending n elements costs
 * O(n). `array` is the address of the array's pointer. The new elements are not set. */
bool pw_array_grow(void *array, size_t *room, size_t need, size_t element);

/* Keeps the first `max` elements of those that are offered, in the order of `compare` (as for qsort()): puts a copy
 * of `item` in its place among the n in `list`, behind its equals, and drops the last when there are more than max.
 * Returns the new n. Costs O(max), and O(1) for an item that comes after all. */
size_t pw_array_keep_first(void *list, size_t n, size_t max, size_t element, const void *item,
	int (*compare)(const void *a, const void *b));

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/array.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_ROOM 16

bool pw_array_grow(void *array, size_t *room, size_t need, size_t element)
{
	size_t bigger = *room < FIRST_ROOM ? FIRST_ROOM : *room <= SIZE_MAX / 2 ? *room * 2 : SIZE_MAX;
	void *pointer;

	memcpy(&pointer, array,
		sizeof(pointer)); /* every object pointer looks like a void *, but is none to the compiler */
	if (bigger < need)
		bigger = need;
	pointer = bigger <= SIZE_MAX / element ? realloc(pointer, bigger * element) : NULL;
	if (pointer == NULL)
		return false;
	memcpy(array, &pointer, sizeof(pointer));
	*room = bigger;
	return true;
}

size_t pw_array_keep_first(void *list, size_t n, size_t max, size_t element, const void *item,
	int (*compare)(const void *a, const void *b))
{
	char *first = list, *at = first + n * element;

	while (at > first && compare(item, at - element) < 0)
		at -= element;
	if (n == max) {
		if (at == first + n * element)
			return n;
		n--;
	}
	memmove(at + element, at, (size_t)(first + n * element - at));
	memcpy(at, item, element);
	return n + 1;
}

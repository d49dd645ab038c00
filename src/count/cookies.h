/* SPDX-License-Identifier: BSD-2-Clause */
/* cookies.h: sets of 64-bit numbers other than 0: by cookie, the sockets that are known as bound (census)
 *
 * Cookies count up in the kernel; nobody can choose them, so a fixed multiplier spreads them well enough. */
#ifndef PW_COUNT_COOKIES_H
#define PW_COUNT_COOKIES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Zeroed = empty. */
struct pw_cookies {
	uint64_t *slot; /* 0 is empty */
	size_t size, used;
};

/* Whether it is in the set; 0 never is. */
static inline bool pw_cookies_have(const struct pw_cookies *set, uint64_t cookie)
{
	if (set->used == 0 || cookie == 0)
		return false;
	for (size_t i = cookie * UINT64_C(0x9e3779b97f4a7c15) & (set->size - 1); set->slot[i] != 0;
		i = (i + 1) & (set->size - 1))
		if (set->slot[i] == cookie)
			return true;
	return false;
}

/* To a set that has room. */
static inline void pw_cookies_store(struct pw_cookies *set, uint64_t cookie)
{
	size_t i = cookie * UINT64_C(0x9e3779b97f4a7c15) & (set->size - 1);

	while (set->slot[i] != 0 && set->slot[i] != cookie)
		i = (i + 1) & (set->size - 1);
	set->used += set->slot[i] == 0;
	set->slot[i] = cookie;
}

/* Returns 0, or -1 when out of memory (the set then is as before). */
static inline int pw_cookies_resize(struct pw_cookies *set, size_t size)
{
	struct pw_cookies bigger = {.slot = calloc(size, sizeof(uint64_t)), .size = size};

	if (bigger.slot == NULL)
		return -1;
	for (size_t i = 0; i < set->size; i++)
		if (set->slot[i] != 0)
			pw_cookies_store(&bigger, set->slot[i]);
	free(set->slot);
	*set = bigger;
	return 0;
}

/* 0 is not added. Returns 0, or -1 when out of memory. */
static inline int pw_cookies_add(struct pw_cookies *set, uint64_t cookie)
{
	if (cookie == 0)
		return 0;
	if (set->used * 2 >= set->size && pw_cookies_resize(set, set->size == 0 ? 256 : set->size * 2) < 0)
		return -1;
	pw_cookies_store(set, cookie);
	return 0;
}

/* Keeps its memory. */
static inline void pw_cookies_clear(struct pw_cookies *set)
{
	if (set->used != 0)
		memset(set->slot, 0, set->size * sizeof(*set->slot));
	set->used = 0;
}

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
#include "count/portset.h"

#include <string.h>

void pw_portset_clear(struct pw_portset *set)
{
	memset(set, 0, sizeof(*set));
}

void pw_portset_add_range(struct pw_portset *set, uint16_t low, uint16_t high)
{
	const uint64_t all = UINT64_MAX;
	unsigned first = low >> 6, last = high >> 6;

	if (low > high)
		return;
	for (unsigned i = first; i <= last; i++)
		set->word[i] |= (i == first ? all << (low & 63) : all) & (i == last ? all >> (63 - (high & 63)) : all);
}

bool pw_portset_ends(const struct pw_portset *set, uint16_t *low, uint16_t *high)
{
	unsigned first = 0, last = PW_PORTSET_WORDS - 1;

	while (first < last && set->word[first] == 0)
		first++;
	while (last > first && set->word[last] == 0)
		last--;
	if (set->word[first] == 0)
		return false;
	*low = (uint16_t)(first * 64 + (unsigned)__builtin_ctzll(set->word[first]));
	*high = (uint16_t)(last * 64 + 63 - (unsigned)__builtin_clzll(set->word[last]));
	return true;
}

unsigned pw_portset_count(const struct pw_portset *set)
{
	unsigned count = 0;

	for (unsigned i = 0; i < PW_PORTSET_WORDS; i++)
		count += (unsigned)__builtin_popcountll(set->word[i]);
	return count;
}

unsigned pw_portset_count_parity(const struct pw_portset *set, unsigned parity)
{
	const uint64_t even = UINT64_C(0x5555555555555555);
	const uint64_t mask = parity == 0 ? even : even << 1;
	unsigned count = 0;

	for (unsigned i = 0; i < PW_PORTSET_WORDS; i++)
		count += (unsigned)__builtin_popcountll(set->word[i] & mask);
	return count;
}

void pw_portset_union(struct pw_portset *set, const struct pw_portset *other)
{
	for (unsigned i = 0; i < PW_PORTSET_WORDS; i++)
		set->word[i] |= other->word[i];
}

void pw_portset_subtract(struct pw_portset *set, const struct pw_portset *other)
{
	for (unsigned i = 0; i < PW_PORTSET_WORDS; i++)
		set->word[i] &= ~other->word[i];
}

void pw_portset_intersect(struct pw_portset *set, const struct pw_portset *other)
{
	for (unsigned i = 0; i < PW_PORTSET_WORDS; i++)
		set->word[i] &= other->word[i];
}

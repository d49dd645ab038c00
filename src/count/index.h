/* SPDX-License-Identifier: BSD-2-Clause */
/* index.h: keyed hashing and growing arrays, for what is counted by the hundred thousand (census, snat)
 *
 * All of it is inline: pw_census_add() runs once a socket. */
#ifndef PW_COUNT_INDEX_H
#define PW_COUNT_INDEX_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* Open addressing with linear probing. A slot holds position + 1 and, in the bits that no position needs, a tag from
 * the hash, so that what sits in the way of a key is passed by without a look at its entry: that would be one more
 * wait for memory. 0 is empty. */
struct pw_index {
	uint32_t *slot;
	uint32_t mask;
};

/* The upper and the lower half of the 128-bit product. */
static inline uint64_t pw_fold(uint64_t a, uint64_t b)
{
#ifdef __SIZEOF_INT128__
	unsigned __int128 product = (unsigned __int128)a * b;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
#else /* 32-bit targets: from the products of the halves */
	uint64_t low = (a & UINT32_MAX) * (b & UINT32_MAX), high = (a >> 32) * (b >> 32);
	uint64_t middle = (a >> 32) * (b & UINT32_MAX) + (low >> 32);
	uint64_t carry = (a & UINT32_MAX) * (b >> 32) + (middle & UINT32_MAX);

	return (a * b) ^ (high + (middle >> 32) + (carry >> 32));
#endif
}

/* A seed that cannot be guessed. */
static inline void pw_seed_fill(uint64_t seed[3])
{
	/* where there is no entropy yet, the address of a stack page will do */
	if (getrandom(seed, 3 * sizeof(seed[0]), GRND_NONBLOCK) != (ssize_t)(3 * sizeof(seed[0])))
		for (int i = 0; i < 3; i++)
			seed[i] = pw_fold((uintptr_t)&seed ^ UINT64_C(0x9e3779b97f4a7c15),
				UINT64_C(0xd1342543de82ef95) + (uint64_t)i);
	for (int i = 0; i < 3; i++)
		seed[i] |= 1;
}

/* The hash of an address and up to 64 bits more; keyed, so that nobody who chooses addresses can choose collisions. */
static inline uint64_t pw_hash_address(const uint64_t seed[3], const uint8_t address[16], uint64_t rest)
{
	uint64_t half[2];

	memcpy(half, address, sizeof(half));
	return pw_fold(pw_fold(half[0] ^ seed[0], half[1] ^ seed[1]) ^ rest, seed[2]);
}

/* Empties the index, with this number of slots (a power of two). Returns 0, or -1 when out of memory. */
static inline int pw_index_reset(struct pw_index *index, uint32_t slots)
{
	if (index->slot != NULL && index->mask + 1 == slots) {
		memset(index->slot, 0, (size_t)slots * sizeof(*index->slot));
		return 0;
	}
	free(index->slot);
	index->slot = calloc(slots, sizeof(*index->slot));
	index->mask = slots - 1;
	return index->slot != NULL ? 0 : -1;
}

/* Where the search for a key begins, and the tag of its slot. An index is at most half full, so positions fit in the
 * mask. */
static inline uint32_t pw_index_start(const struct pw_index *index, uint64_t hash)
{
	return (uint32_t)hash & index->mask;
}

static inline uint32_t pw_index_tag(const struct pw_index *index, uint64_t hash)
{
	return (uint32_t)(hash >> 32) & ~index->mask;
}

static inline bool pw_index_tag_matches(const struct pw_index *index, uint32_t slot, uint64_t hash)
{
	return (slot & ~index->mask) == pw_index_tag(index, hash);
}

static inline uint32_t pw_index_position(const struct pw_index *index, uint32_t slot)
{
	return (slot & index->mask) - 1;
}

/* The next entry that may have this key, from slot *at on, which begins as pw_index_start(); PW_INDEX_END behind the
 * last. */
#define PW_INDEX_END UINT32_MAX
static inline uint32_t pw_index_next(const struct pw_index *index, uint64_t hash, uint32_t *at)
{
	while (index->slot != NULL && index->slot[*at] != 0) {
		const uint32_t slot = index->slot[*at];

		*at = (*at + 1) & index->mask;
		if (pw_index_tag_matches(index, slot, hash))
			return pw_index_position(index, slot);
	}
	return PW_INDEX_END;
}

static inline void pw_index_put(struct pw_index *index, uint64_t hash, uint32_t position)
{
	uint32_t i = pw_index_start(index, hash);

	while (index->slot[i] != 0)
		i = (i + 1) & index->mask;
	index->slot[i] = pw_index_tag(index, hash) | (position + 1);
}

/* Whether the index must be made anew with more slots before an entry is added to these. */
static inline bool pw_index_full(const struct pw_index *index, uint32_t entries)
{
	return index->slot == NULL || entries + 1 > (index->mask + 1) / 2;
}

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* random.h: repeatable random numbers: the same seed gives the same plan */
#ifndef ORACLE_RANDOM_H
#define ORACLE_RANDOM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rng {
	uint64_t state;
};

/* splitmix64 */
static inline uint64_t rng_next(struct rng *rng)
{
	uint64_t z = rng->state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

/* 0..n-1; 0 when n is 0. */
static inline unsigned rng_below(struct rng *rng, unsigned n)
{
	uint64_t r = rng_next(rng);

	return n == 0 ? 0 : (unsigned)(r % n);
}

/* low..high, both included. */
static inline unsigned rng_between(struct rng *rng, unsigned low, unsigned high)
{
	return low + rng_below(rng, high - low + 1);
}

static inline bool rng_chance(struct rng *rng, unsigned percent)
{
	return rng_below(rng, 100) < percent;
}

/* The position of one of n weights, by their share; 0 when all are 0. */
static inline unsigned rng_weighted(struct rng *rng, const uint8_t *weights, unsigned n)
{
	unsigned sum = 0, r;

	for (unsigned i = 0; i < n; i++)
		sum += weights[i];
	r = rng_below(rng, sum);
	for (unsigned i = 0; i < n; i++) {
		if (r < weights[i])
			return i;
		r -= weights[i];
	}
	return 0;
}

#endif

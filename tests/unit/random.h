/* SPDX-License-Identifier: BSD-2-Clause */
/* random.h: reproducible random numbers for property tests
 *
 * The seed is printed by every test that uses them. PW_SEED=N repeats a run. */
#ifndef PW_TESTS_RANDOM_H
#define PW_TESTS_RANDOM_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static uint64_t random_state;

/* Seeds from PW_SEED, else from the clock, and says so. */
static inline void random_start(void)
{
	const char *given = getenv("PW_SEED");

	random_state = given != NULL ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
	printf("PW_SEED=%llu\n", (unsigned long long)random_state);
}

/* 0..n-1 (splitmix64). */
static inline uint32_t pick(uint32_t n)
{
	uint64_t x = random_state += UINT64_C(0x9e3779b97f4a7c15);

	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return (uint32_t)((x ^ x >> 31) >> 32) % n;
}

/* True once in n times. */
static inline bool chance(uint32_t n)
{
	return pick(n) == 0;
}

#endif

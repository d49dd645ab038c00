/* SPDX-License-Identifier: BSD-2-Clause */
/* newcomers.h: of many small pools the few that get tracked (internal to the monitor)
 *
 * A `pool` section may match any number of pools that hold next to nothing. Only the largest max_rows of them can
 * get a row, so only these are remembered: a heap with the smallest on top keeps them apart from the rest. */
#ifndef PW_WATCH_NEWCOMERS_H
#define PW_WATCH_NEWCOMERS_H

#include <stddef.h>
#include <stdint.h>

#include "count/pool.h"

struct pw_newcomer {
	struct pw_pool_key key;
	struct pw_pool_counts counts;
};

/* Zeroed = no room. */
struct pw_newcomers {
	struct pw_newcomer *heap;
	size_t n, max, size; /* size: of the memory, kept from poll to poll */
	uint32_t refused;    /* did not fit in since n was last set to 0 */
};

/* Empties it and makes room for `max`. Returns 0, or -1 when out of memory: then there is no room. */
int pw_newcomers_reset(struct pw_newcomers *newcomers, size_t max);

/* Puts one in, if need be in the place of a smaller one. */
void pw_newcomers_add(
	struct pw_newcomers *newcomers, const struct pw_pool_key *key, const struct pw_pool_counts *counts);

void pw_newcomers_clear(struct pw_newcomers *newcomers);

#endif

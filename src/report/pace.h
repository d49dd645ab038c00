/* SPDX-License-Identifier: BSD-2-Clause */
/* pace.h: what pools gained and lost in the last minute, for those who watch
 *
 * The growth that the monitor finds sees through the waves of TIME_WAIT and needs three minutes for it. Until it is
 * known, a person in front of a terminal is shown the plain difference to a minute ago, or to the first poll. */
#ifndef PW_REPORT_PACE_H
#define PW_REPORT_PACE_H

#include <stdint.h>

#include "watch/snapshot.h"

struct pw_pace;

/* NULL when out of memory. */
struct pw_pace *pw_pace_new(void);

/* NULL is allowed. */
void pw_pace_free(struct pw_pace *pace);

/* Takes the free ports of every row of a poll; pools that have no row any more are forgotten. now_ms is CLOCK_BOOTTIME.
 * A pool for which there is no memory has no pace. */
void pw_pace_add(struct pw_pace *pace, const struct pw_snapshot *snapshot, uint64_t now_ms);

struct pw_growth {
	int32_t per_minute; /* free ports lost; negative: gained */
	uint32_t left_s;    /* seconds until none is free, PW_NOT_IN_SIGHT */
};

/* The growth of the row itself where it is known, else its pace. `pace` may be NULL. */
struct pw_growth pw_pace_growth(const struct pw_pace *pace, const struct pw_pool_row *row);

#endif

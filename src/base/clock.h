/* SPDX-License-Identifier: BSD-2-Clause */
/* clock.h: the two clocks of the project
 *
 * Every age, interval and rate comes from CLOCK_BOOTTIME, which counts through a suspend and which no administrator
 * or NTP step can move. Wall time is read only to be shown (DateAndTime, log lines). */
#ifndef PW_BASE_CLOCK_H
#define PW_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

/* Milliseconds of CLOCK_BOOTTIME. */
uint64_t pw_clock_boot_ms(void);

/* Microseconds of CLOCK_BOOTTIME, for durations. */
uint64_t pw_clock_boot_us(void);

/* Wall time, for display only. */
struct timespec pw_clock_wall(void);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/clock.h"

uint64_t pw_clock_boot_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

uint64_t pw_clock_boot_ms(void)
{
	return pw_clock_boot_us() / 1000;
}

struct timespec pw_clock_wall(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return now;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* quirks.h: in what kernels differ where no system call tells, found out by trying */
#ifndef ORACLE_QUIRKS_H
#define ORACLE_QUIRKS_H

#include <stdbool.h>

struct quirks {
	/* connect() takes over orphans in FIN_WAIT2 as it does TIME_WAIT: kernels of before autumn 2024 */
	bool takes_orphans;
	/* bind() of ::ffff:a.b.c.d does not collide with a socket on ::ffff:0.0.0.0, only with one on 0.0.0.0: Linux 6.1 to 6.8. What an IPv4
	 * socket gets is the pool, and is right. */
	bool mapped_is_special;
};

extern struct quirks quirks;

/* Tries each in a network namespace of its own: about two seconds. Returns 0, or -1 with a line on stderr. */
int quirks_learn(void);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* bind_table.h: whether a poll has to look for sockets that are bound but not connected
 *
 * The kernel keeps them in no other place than the table of bound ports (bhash2), and to find them it walks every
 * socket in it: 15 % of a dump of clients, half of a dump of a server (tcp_diag_dump(), TCPF_BOUND_INACTIVE). A
 * socket becomes one of them by bind(), or when its connection is reset; either changes the number of sockets that
 * the namespace holds but no protocol counts as in use. So the walk is left out while that number stays what it was
 * when a walk found none. */
#ifndef PW_KERNEL_BIND_TABLE_H
#define PW_KERNEL_BIND_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "kernel/input.h"
#include "count/range.h"

/* What is known from earlier polls; zero at first. */
struct pw_bind_table {
	bool empty; /* the last walk found no such socket in low..high */
	uint16_t low, high;
	int64_t uncounted; /* sockets that no protocol counted, just before that walk */
	unsigned skipped;  /* polls without a walk since then */
	int64_t pending;   /* `uncounted` just before the dump that is being made */
	bool pending_known;
};

/* Whether the dump that is to be made now must include the walk. Reads the counts of the namespace; what can't be read
 * means yes. */
bool pw_bind_table_wanted(struct pw_bind_table *table, struct pw_input *input, const struct pw_range *range);

/* A dump with the walk, which was wanted, is complete: it found `n` such sockets. */
void pw_bind_table_walked(struct pw_bind_table *table, const struct pw_range *range, uint32_t n);

#endif

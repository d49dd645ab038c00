/* SPDX-License-Identifier: BSD-2-Clause */
/* unlisted.h: the pools that the monitor gives no row: too small, or too many
 *
 * A host can have 100,000 of them, most with a port or two. They have no state and no history, so they need not go
 * through the monitor: each is kept with its key and its numbers, and becomes a row only when it is printed. */
#ifndef PW_REPORT_UNLISTED_H
#define PW_REPORT_UNLISTED_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "watch/monitor.h"
#include "watch/policy.h"
#include "watch/snapshot.h"

struct pw_unlisted {
	struct pw_pool_key key;
	struct pw_pool_counts counts;
	const struct pw_rule *rule; /* NULL = no `pool` section matches */
	const struct pw_ns_poll *ns;
	char zone_name[IF_NAMESIZE]; /* "" = none */
	uint8_t state, reason;       /* by the thresholds of the rule, as at a first poll; else normal */
	uint8_t basis;
};

struct pw_unlisted_list {
	struct pw_unlisted *pools;
	size_t n, size;
	const struct pw_policy *policy; /* its thresholds are in force */
};

/* Where the pools of one namespace come from. */
struct pw_unlisted_source {
	const struct pw_ns_poll
		*ns; /* with what it counted, and the names of the namespace and of interfaces and owners */
	const struct pw_snapshot *snapshot; /* made from this poll; its rows are left out */
	const struct pw_policy *policy;     /* what it ignores is left out */
	bool all;                           /* however few ports they hold; else from the floor on that gets a row */
};

/* Adds the pools of a namespace. Everything in `source` must outlive the list. Returns 0, or -1 when out of memory. */
int pw_unlisted_add(struct pw_unlisted_list *list, const struct pw_unlisted_source *source);

void pw_unlisted_clear(struct pw_unlisted_list *list);

/* The thresholds in force for a pool, NULL for none. */
const struct pw_thresholds *pw_unlisted_thresholds(const struct pw_unlisted_list *list, const struct pw_unlisted *pool);

/* A row and the memory of its texts. */
struct pw_row_buffer {
	struct pw_pool_row row;
	char name[PW_POOL_NAME_MAX], local[PW_ADDRESS_TEXT_MAX], remote[PW_ADDRESS_TEXT_MAX], owner[PW_OWNER_TEXT_MAX];
};

/* Makes a row of a pool, as of the poll of this snapshot. Returns &buffer->row. */
const struct pw_pool_row *pw_unlisted_row(
	const struct pw_unlisted_list *list, size_t position, uint64_t poll_ms, struct pw_row_buffer *buffer);

#endif

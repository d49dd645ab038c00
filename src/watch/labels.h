/* SPDX-License-Identifier: BSD-2-Clause */
/* labels.h: the pools of a `pool` section added up
 *
 * One backend with forty addresses, or forty source addresses to one backend: how much is left to the label. */
#ifndef PW_WATCH_LABELS_H
#define PW_WATCH_LABELS_H

#include <stddef.h>
#include <stdint.h>

#include "watch/policy.h"
#include "watch/snapshot.h"

/* Sections of the same title share a row. Zeroed = there are none. */
struct pw_labels {
	const struct pw_rule *rules; /* of the policy */
	uint32_t *row_of;            /* by rule */
	struct pw_label_row *rows;
	size_t n;
};

/* Takes over the sections of a policy, which must live until the next call. Returns 0; -1 when out of memory: there are
 * none then. */
int pw_labels_set(struct pw_labels *labels, const struct pw_policy *policy);

/* Frees what it holds. */
void pw_labels_clear(struct pw_labels *labels);

/* Forgets the numbers of the last poll. */
void pw_labels_start(struct pw_labels *labels);

/* Adds a pool to the row of its rule. */
void pw_labels_add(struct pw_labels *labels, const struct pw_rule *rule, const struct pw_pool_counts *counts);

/* Counts allocations that failed in a pool of this rule; such counts stay from poll to poll, and from policy to
 * policy. */
void pw_labels_failed(struct pw_labels *labels, const struct pw_rule *rule, uint64_t count);

/* Copies the rows into a snapshot. */
void pw_labels_build(const struct pw_labels *labels, struct pw_snapshot *snapshot, struct pw_arena *arena);

#endif

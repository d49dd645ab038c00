/* SPDX-License-Identifier: BSD-2-Clause */
/* namespace.h: one network namespace that is polled
 *
 * Enters it, reads settings, counts and sockets into a census of its own, leaves it, and answers the monitor's questions about
 * it (names of interfaces and owners, latency of an allocation). Between two polls only sysctl descriptors stay open. */
#ifndef PW_KERNEL_NAMESPACE_H
#define PW_KERNEL_NAMESPACE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "kernel/collect.h"
#include "kernel/owner_names.h"
#include "kernel/snat_watch.h"
#include "watch/monitor.h"

struct pw_target;

/* `name` is shown ("" = the own namespace); `path` leads into it, a name of ip-netns(8) or a file, NULL stays in the own one.
 * Both are copied. NULL when out of memory. */
struct pw_target *pw_target_new(uint32_t index, const char *name, const char *path);
void pw_target_free(struct pw_target *target);

/* Another way into the same namespace (the process that it was found by may have ended). */
void pw_target_set_path(struct pw_target *target, const char *path);

/* Whether ports in doubt are to be probed from the next poll on. */
void pw_target_set_probe(struct pw_target *target, bool probe);

/* Ports in doubt to be probed at each poll; 0, as at the start, leaves it to the source. */
void pw_target_set_max_probes(struct pw_target *target, uint32_t max_probes);

/* Which translated source ports are watched from the next poll on; n = 0, as at the start: none. The ranges are borrowed. Others than
 * before are looked at at once, whatever the interval. */
void pw_target_set_snat(struct pw_target *target, const struct pw_snat_options *options);

/* Polls this source from now on instead of the running kernel as pw_target_set_probe() has it: a record, or one that makes a
 * record. Takes it over. */
void pw_target_set_source(struct pw_target *target, struct pw_source *source);

/* Names the owners of pools from the next poll on. Borrowed; NULL, as at the start: no pool has an owner. */
void pw_target_set_owner_names(struct pw_target *target, struct pw_owner_names *names);

/* Decides from range and socket counts that no dump is needed at this poll. */
typedef bool pw_target_quiet(
	const struct pw_target *target, const struct pw_range *range, const struct pw_sockstat *counts, void *context);

/* One poll. Fills *out completely; it stays valid until the next poll. `quiet` may be NULL: always dump. stats may be NULL. */
void pw_target_poll(struct pw_target *target, pw_target_quiet *quiet, void *context, struct pw_ns_poll *out,
	struct pw_collect_stats *stats);

/* Why the last poll (or its UDP part) failed; "" when it did not. */
const char *pw_target_error(const struct pw_target *target);

uint32_t pw_target_index(const struct pw_target *target);
const char *pw_target_name(const struct pw_target *target);

/* CLOCK_BOOTTIME in ms of the last dump, 0 = none yet. */
uint64_t pw_target_dumped_ms(const struct pw_target *target);

#endif

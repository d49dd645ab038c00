/* SPDX-License-Identifier: BSD-2-Clause */
/* netlink.h: a source over any input, for tests and fuzzers */
#ifndef PW_KERNEL_NETLINK_H
#define PW_KERNEL_NETLINK_H

#include "kernel/collect.h"
#include "kernel/input.h"

/* Takes over the input. NULL when out of memory: the input then still is the caller's. */
struct pw_source *pw_source_new(const struct pw_input *input, const struct pw_source_options *options);

/* What the source reads from; borrowed. */
struct pw_input *pw_source_input(struct pw_source *source);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* walk.h: the backend that reads the kernel's socket tables by BPF
 *
 * One walk over each table serves all namespaces, costs a fraction of a netlink dump, and leaves nothing in doubt: it
 * sees the bind buckets that connect() and bind() themselves ask (walk.bpf.c). */
#ifndef PW_KERNEL_WALK_H
#define PW_KERNEL_WALK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "kernel/backend.h"

/* Loads the programs: 60 ms of CPU time, with CAP_BPF and CAP_PERFMON. Both may be given up afterwards on Linux 5.19
 * and newer; before, a take needs CAP_BPF. NULL with an error where this kernel, its lockdown or the missing privilege
 * refuses, or where portwatch was built without libbpf. Free it by its own free(). */
struct pw_backend *pw_walk_backend(struct pw_error *err);

/* The same as it is on kernels before 6.2, where every load takes the call of a helper. */
struct pw_backend *pw_walk_backend_by_helper(struct pw_error *err);

/* Whether this kernel wants CAP_BPF for each take as well: before 5.19. */
bool pw_walk_needs_privilege(void);

/* What the last take was; times are CPU time. */
struct pw_walk_stats {
	uint32_t runs;
	uint32_t redone; /* batches of buckets that were read again, since a socket moved */
	uint64_t seen;   /* entries of the tables, wanted or not */
	uint64_t run_ns; /* in the kernel */
	uint64_t longest_run_ns;
};

void pw_walk_stats(const struct pw_backend *backend, struct pw_walk_stats *out);

#endif

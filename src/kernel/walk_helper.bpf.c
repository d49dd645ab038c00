/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* walk_helper.bpf.c: the programs of walk.bpf.c for kernels before 6.2, on which every load takes the call of a helper
 *
 * Compiled apart, since a program that so much as names a function that the kernel lacks makes the loader look for it
 * in the kernel's modules, and that takes CAP_SYS_ADMIN. */
#define WALK_BY_HELPER
#include "walk.bpf.c"

/* SPDX-License-Identifier: BSD-2-Clause */
/* sysctl.h: the settings of a network namespace that decide about its ephemeral ports
 *
 * The parsers take the text as the kernel prints it. What does not fit that grammar is refused: a wrong range would
 * make every number wrong. */
#ifndef PW_KERNEL_SYSCTL_H
#define PW_KERNEL_SYSCTL_H

#include "base/error.h"
#include "count/range.h"
#include "kernel/input.h"

/* "32768\t60999\n": two ports, the first not above the second, none of them 0. Returns 0, or -1. */
int pw_sysctl_parse_range(const char *text, uint16_t *low, uint16_t *high);

/* "8080,9148-9150\n" or an empty line: sets *ports (proc_do_large_bitmap()). Returns 0, or -1. */
int pw_sysctl_parse_ports(const char *text, struct pw_portset *ports);

/* "2\n": one decimal number up to max. Returns 0, or -1. */
int pw_sysctl_parse_number(const char *text, uint32_t max, uint32_t *number);

/* Reads all settings. A setting that the kernel does not have takes the value that this kernel always uses. */
enum pw_read_status pw_sysctl_read(struct pw_input *input, struct pw_range *out, struct pw_error *err);

#endif

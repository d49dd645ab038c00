/* sockstat.h: the socket counts of a network namespace
 *
 * Sources: sockstat_seq_show() and sockstat6_seq_show() in the kernel. */
#ifndef PW_COLLECT_SOCKSTAT_H
#define PW_COLLECT_SOCKSTAT_H

#include "base/error.h"
#include "collect/collect.h"
#include "collect/input.h"

/* Takes the texts of /proc/net/sockstat and sockstat6 (NULL where the kernel has no IPv6). Returns 0, or -1 when a
 * count is missing. */
int pw_sockstat_parse(const char *sockstat, const char *sockstat6, struct pw_sockstat *out);

/* Reads and parses both. */
enum pw_collect_status pw_sockstat_read(struct pw_input *input, struct pw_sockstat *out, struct pw_error *err);

#endif

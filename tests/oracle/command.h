/* SPDX-License-Identifier: BSD-2-Clause */
/* command.h: the portwatch command as one more observer: what its JSON says about a pool */
#ifndef ORACLE_COMMAND_H
#define ORACLE_COMMAND_H

#include <stdio.h>

#include "count/pool.h"

/* Runs `path --json --all` in this network namespace and looks a pool up. Returns 1 with its numbers (all but `bound`), 0 when it is not
 * listed, -1 with a line on `log` when the command failed or its output makes no sense. */
int command_ask(const char *path, const struct pw_pool_key *key, struct pw_pool_counts *out, FILE *log);

#endif

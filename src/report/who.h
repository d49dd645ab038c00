/* SPDX-License-Identifier: BSD-2-Clause */
/* who.h: portwatch --who PORT: which sockets hold a port, and whose they are */
#ifndef PW_REPORT_WHO_H
#define PW_REPORT_WHO_H

#include <stdio.h>

#include "base/error.h"
#include "report/options.h"

/* Prints a line for each socket with this local port in the namespace of the options, and what helps where connect()
 * took a port of the range. Returns 0, or -1 with an error. */
int pw_who_print(FILE *out, const struct pw_options *options, struct pw_error *err);

#endif

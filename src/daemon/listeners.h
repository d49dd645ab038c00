/* SPDX-License-Identifier: BSD-2-Clause */
/* listeners.h: what the log says of services that listen inside the ephemeral range */
#ifndef PW_DAEMON_LISTENERS_H
#define PW_DAEMON_LISTENERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "count/portset.h"
#include "count/range.h"

struct pw_listeners {
	struct pw_portset told;
	uint64_t told_ms; /* 0: never */
};

/* Whether a line is due on the ports of the capacity that services listen on now, and which one: where there is one
 * that no line counted so far, at most once an hour. While such a service restarts, connect() may take its port. */
bool pw_listeners_tell(struct pw_listeners *listeners, const struct pw_portset *listening, const struct pw_range *range,
	uint64_t now_ms, char *text, size_t size);

#endif

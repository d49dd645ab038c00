/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/listeners.h"

#include <stdio.h>
#include <string.h>

#define AGAIN_MS (3600 * 1000)
#define PORTS_NAMED 8

bool pw_listeners_tell(struct pw_listeners *listeners, const struct pw_portset *listening, const struct pw_range *range,
	uint64_t now_ms, char *text, size_t size)
{
	struct pw_portset fresh = *listening;
	char ports[PORTS_NAMED * 8] = "";
	unsigned n, named = 0;

	pw_portset_subtract(&fresh, &listeners->told);
	if (pw_portset_count(&fresh) == 0 || (listeners->told_ms != 0 && now_ms - listeners->told_ms < AGAIN_MS))
		return false;
	n = pw_portset_count(listening);
	for (uint32_t port = range->low; port <= range->high && named < PORTS_NAMED; port++)
		if (pw_portset_has(listening, (uint16_t)port)) {
			size_t used = strlen(ports);

			snprintf(ports + used, sizeof(ports) - used, "%s%u", named++ > 0 ? ", " : "", (unsigned)port);
		}
	snprintf(text, size,
		"services listen on %u port%s of the ephemeral range %u-%u (%s%s): while one restarts, a connect() may take "
		"its port; reserve those that are always used (net.ipv4.ip_local_reserved_ports)",
		n, n == 1 ? "" : "s", range->low, range->high, ports, n > named ? ", ..." : "");
	pw_portset_union(&listeners->told, listening);
	listeners->told_ms = now_ms;
	return true;
}

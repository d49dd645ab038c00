/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/remarks.h"

#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "kernel/host.h"

/* How often the log tells of services that listen, and how many of their ports it names. */
#define LISTENERS_MS (3600 * 1000)
#define LISTENERS_NAMED 8

void pw_remark_probing(struct pw_remarks *remarks, enum pw_probe_mode mode, bool probing, const char *reason)
{
	if (!probing && mode == PW_PROBE_ON)
		pw_log(LOG_WARNING, "probe = on, but ports in doubt cannot be probed: %s", reason);
	else if (!remarks->chosen || probing != remarks->probing)
		pw_log(LOG_INFO, "ports in doubt are %s%s%s",
			probing ? "probed" : "not probed: ", probing ? "" : reason,
			probing ? "" : " (they count as free)");
	remarks->probing = probing;
	remarks->chosen = true;
}

void pw_remark_confined(struct pw_remarks *remarks, bool confined, const char *reason)
{
	if (confined && !remarks->confined)
		pw_log(LOG_WARNING, "only the own network namespace is watched, the configuration names others: %s",
			reason);
	remarks->confined = confined;
}

void pw_remark_namespace(struct pw_namespace *ns, bool failed)
{
	const char *colon = ns->name[0] != '\0' ? ": " : "";

	if (failed && !ns->failing)
		pw_log(LOG_ERR, "%s%spoll failed: %s", ns->name, colon, ns->err.text);
	else if (!failed && ns->failing)
		pw_log(LOG_NOTICE, "%s%spolls succeed again", ns->name, colon);
	ns->failing = failed;
	for (int id = 0; id < PW_SOURCES; id++) {
		const struct pw_source *source = ns->sources[id];
		const enum pw_source_status status = source != NULL ? source->status : PW_SOURCE_OFF;
		const char *ports = pw_source_traits[id].ports;

		if (status == PW_SOURCE_UNAVAILABLE && ns->said[id] != PW_SOURCE_UNAVAILABLE)
			pw_log(LOG_WARNING, "%s%s%s are not watched: %s", ns->name, colon, ports, source->reason);
		else if (status == PW_SOURCE_COUNTING && ns->said[id] == PW_SOURCE_UNAVAILABLE)
			pw_log(LOG_NOTICE, "%s%s%s are watched again", ns->name, colon, ports);
		ns->said[id] = status;
	}
}

static void remark_listeners(struct pw_remarks *remarks, const struct pw_namespace *ns)
{
	const uint64_t now_ms = pw_clock_boot_ms();
	const struct pw_range *range = &ns->range;
	struct pw_portset listening, fresh;
	char ports[LISTENERS_NAMED * 8] = "";
	unsigned n, named = 0;

	pw_census_listening(ns->census, &listening);
	fresh = listening;
	pw_portset_subtract(&fresh, &remarks->told_listening);
	if (pw_portset_count(&fresh) == 0 ||
		(remarks->told_listening_ms != 0 && now_ms - remarks->told_listening_ms < LISTENERS_MS))
		return;
	n = pw_portset_count(&listening);
	for (uint32_t port = range->low; port <= range->high && named < LISTENERS_NAMED; port++)
		if (pw_portset_has(&listening, (uint16_t)port)) {
			size_t used = strlen(ports);

			snprintf(ports + used, sizeof(ports) - used, "%s%u", named++ > 0 ? ", " : "", (unsigned)port);
		}
	pw_log(LOG_NOTICE,
		"services listen on %u port%s of the ephemeral range %u-%u (%s%s): while one restarts, a connect() may "
		"take its port; reserve those that are always used (net.ipv4.ip_local_reserved_ports)",
		n, n == 1 ? "" : "s", range->low, range->high, ports, n > named ? ", ..." : "");
	pw_portset_union(&remarks->told_listening, &listening);
	remarks->told_listening_ms = now_ms;
}

void pw_remark_sockets(struct pw_remarks *remarks, const struct pw_namespace *ns)
{
	const struct pw_take_stats *stats = &ns->stats;

	if (ns->index == PW_OWN_INDEX && !ns->empty)
		remark_listeners(remarks, ns);
	if (pw_log_enabled(LOG_DEBUG))
		pw_log(LOG_DEBUG,
			"%sdump: %u messages, %u bytes, %u retries in %llu us; %u not-AUTO passes in %llu us; "
			"%u probes in %llu us",
			ns->name, stats->messages, stats->bytes, stats->retries, (unsigned long long)stats->dump_us,
			stats->bound_dumps, (unsigned long long)stats->bound_us, stats->probes,
			(unsigned long long)stats->probe_us);
}

void pw_remark_limits(struct pw_remarks *remarks, const struct pw_snapshot *snapshot, uint32_t max_alarms)
{
	bool omitting = snapshot->alarms_omitted != 0;

	if (omitting && !remarks->omitting)
		pw_log(LOG_WARNING, "%u of %u active alarms have no row, because max-alarms is %u",
			snapshot->alarms_omitted, snapshot->active_alarms, max_alarms);
	else if (!omitting && remarks->omitting)
		pw_log(LOG_NOTICE, "all active alarms have rows again");
	remarks->omitting = omitting;
	if (snapshot->dropped != remarks->dropped)
		pw_log(LOG_ERR, "out of memory: %llu pools, histories or snapshots were lost since the start",
			(unsigned long long)snapshot->dropped);
	remarks->dropped = snapshot->dropped;
	if (snapshot->unlogged != remarks->unlogged && snapshot->poll_ms - remarks->unlogged_ms >= 60000) {
		pw_log(LOG_WARNING, "too many changes of state for the log: %llu since the start have no line",
			(unsigned long long)snapshot->unlogged);
		remarks->unlogged = snapshot->unlogged;
		remarks->unlogged_ms = snapshot->poll_ms;
	}
}

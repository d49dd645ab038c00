/* SPDX-License-Identifier: BSD-2-Clause */
/* poll.c: what a poll of portwatch costs: host and monitor alone, without daemon and SNMP
 *
 * Commands on standard input, one a line, each answered by one line of "name=value" pairs:
 *   poll     settings, dumps, census, a visit of every pool above the floor of the default policy, and the owners of as many
 *            as get a row
 *   update   the same, and then the monitor and a new snapshot
 *   quiet    settings and sockstat: the poll of a host that has nothing to list
 *   rush     the same as update, one after the other without a pause for so many milliseconds
 * Otherwise a number behind the command repeats it; times and counts are sums then. cpu_us is all of it, not-AUTO pass and probes
 * included; bound_us and probe_us say what these two took (by the clock), read_us (CPU) is the work of the collector. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "kernel/host.h"
#include "kernel/owner_names.h"
#include "kernel/walk.h"
#include "count/census.h"
#include "watch/monitor.h"
#include "watch/policy.h"
#include "usage.h"

struct bench {
	struct pw_host *host;
	struct pw_namespace *ns;
	struct pw_host_options options;
	bool walks;    /* the backend is bpf */
	bool in_parts; /* owners are read in parts; this is the next one */
	unsigned part;
	struct pw_policy policy;
	struct pw_monitor *monitor;
	const struct pw_snapshot *snapshot;
};

/* The sums over the polls of one command. */
struct result {
	struct usage total;
	uint64_t read_us, update_us; /* CPU: until the census was finished; monitor and snapshot */
	uint64_t bytes, sockets;
	uint64_t bound_us, probe_us, walks, passes, probes, retries;
	uint64_t walk_us, longest_run_us; /* bpf: CPU time of the programs; the longest run of all polls */
	uint32_t pools, visited, doubtful;
};

static void fail(const char *what, const struct pw_error *err)
{
	fprintf(stderr, "poll: %s: %s\n", what, err->text);
	exit(EXIT_FAILURE);
}

static void add_stats(struct result *result, const struct pw_take_stats *stats)
{
	result->bytes += stats->bytes;
	result->bound_us += stats->bound_us;
	result->probe_us += stats->probe_us;
	result->walks += stats->walks;
	result->passes += stats->bound_dumps;
	result->probes += stats->probes;
	result->retries += stats->retries;
}

static void name_owner(uint64_t cgroup, uint32_t uid, char *buf, size_t size, void *context)
{
	pw_owner_names_find(context, cgroup, uid, buf, size);
}

/* What is visited, and for whom. */
struct visit {
	struct bench *bench;
	struct result *result;
};

static int visit_pool(const struct pw_pool_key *key, const struct pw_pool_counts *counts, void *context)
{
	const struct visit *visit = context;
	char text[PW_OWNER_TEXT_MAX];
	struct pw_owners owners;

	visit->result->visited += counts->used != 0;
	if (visit->result->visited <= visit->bench->policy.max_rows) {
		pw_source_owners(pw_census_source(visit->bench->ns->census), key, &owners);
		pw_owners_text(&owners, name_owner, visit->bench->host->owner_names, text);
	}
	return 0;
}

static void read_sockets(struct bench *bench, struct result *result)
{
	struct usage start = usage_now();

	if (bench->in_parts) {
		bench->options.unowned = PW_OWNER_ALL_PARTS & ~(1u << bench->part);
		bench->part = (bench->part + 1) % PW_OWNER_PARTS;
		bench->host->options = bench->options;
	}
	if (pw_host_poll(bench->host) < 0 || !bench->ns->taken || bench->ns->udp_failed)
		fail("sockets", &bench->ns->err);
	add_stats(result, &bench->ns->stats);
	result->read_us += usage_since(start).cpu_us;
	if (bench->walks) {
		struct pw_walk_stats stats;

		pw_walk_stats(bench->host->backend, &stats);
		result->walk_us += stats.run_ns / 1000;
		if (stats.longest_run_ns / 1000 > result->longest_run_us)
			result->longest_run_us = stats.longest_run_ns / 1000;
	}
}

static void visit_pools(struct bench *bench, struct result *result)
{
	const struct pw_census_totals *totals = pw_census_totals(bench->ns->census);
	struct visit visit = {.bench = bench, .result = result};

	result->visited = 0;
	pw_source_each(pw_census_source(bench->ns->census), pw_policy_floor(&bench->policy, totals->capacity),
		visit_pool, &visit);
	result->sockets += totals->sockets;
	result->pools = totals->pools;
	result->doubtful = totals->ambiguous;
}

static void update_monitor(struct bench *bench, struct result *result)
{
	struct pw_poll poll = {.now_ms = pw_clock_boot_ms(),
		.wall = pw_clock_wall(),
		.interval_ms = 10000,
		.ns = bench->host->polls,
		.n_ns = bench->host->n,
		.connect_failures_reason = ""};
	struct usage start = usage_now();

	pw_snapshot_unref(bench->snapshot);
	pw_monitor_take(bench->monitor, &poll);
	bench->snapshot = pw_monitor_build(bench->monitor);
	result->update_us += usage_since(start).cpu_us;
}

static void run_quiet(struct bench *bench)
{
	if (pw_namespace_read(bench->ns) != PW_READ_OK)
		fail("settings", &bench->ns->err);
}

static void run(struct bench *bench, const char *command, struct result *result)
{
	if (strcmp(command, "quiet") == 0) {
		run_quiet(bench);
		return;
	}
	pause_between_polls();
	read_sockets(bench, result);
	if (strcmp(command, "update") == 0)
		update_monitor(bench, result);
	else
		visit_pools(bench, result);
}

static void rush(struct bench *bench, unsigned ms, struct result *result)
{
	const uint64_t end_ms = pw_clock_boot_ms() + ms;

	while (pw_clock_boot_ms() < end_ms) {
		read_sockets(bench, result);
		update_monitor(bench, result);
	}
}

/* Resident memory of this process in KiB. */
static unsigned long resident_kib(void)
{
	unsigned long size, resident = 0;
	FILE *file = fopen("/proc/self/statm", "r");

	if (file == NULL || fscanf(file, "%lu %lu", &size, &resident) != 2)
		resident = 0;
	if (file != NULL)
		fclose(file);
	return resident * (unsigned long)sysconf(_SC_PAGESIZE) / 1024;
}

static void print_result(const struct result *r)
{
	printf("cpu_us=%llu wall_us=%llu bytes=%llu read_us=%llu update_us=%llu bound_us=%llu probe_us=%llu walks=%llu passes=%llu "
	       "probes=%llu retries=%llu walk_us=%llu longest_run_us=%llu sockets=%llu pools=%u visited=%u doubtful=%u "
	       "rss_kib=%lu\n",
		(unsigned long long)r->total.cpu_us, (unsigned long long)r->total.wall_us, (unsigned long long)r->bytes,
		(unsigned long long)r->read_us, (unsigned long long)r->update_us, (unsigned long long)r->bound_us,
		(unsigned long long)r->probe_us, (unsigned long long)r->walks, (unsigned long long)r->passes,
		(unsigned long long)r->probes, (unsigned long long)r->retries, (unsigned long long)r->walk_us,
		(unsigned long long)r->longest_run_us, (unsigned long long)r->sockets, r->pools, r->visited,
		r->doubtful, resident_kib());
	fflush(stdout);
}

/* `how`: "" (netlink), "probe" (with probes), "bpf" (as the daemon does it each second: with the owners of a part of the sockets),
 * "bpf-owned" (of all) or "bpf-helper" (as before 6.2, without owners); "all" and "bpf-all": all network namespaces. */
static void open_bench(struct bench *bench, const char *how)
{
	struct pw_error err;

	bench->options = (struct pw_host_options){
		.probe = strcmp(how, "probe") == 0, .all = strcmp(how, "all") == 0 || strcmp(how, "bpf-all") == 0};
	if (strcmp(how, "bpf-helper") == 0)
		bench->options.unowned = PW_OWNER_ALL_PARTS;
	bench->in_parts = strcmp(how, "bpf") == 0 || strcmp(how, "bpf-all") == 0;
	pw_policy_defaults(&bench->policy);
	bench->host = pw_host_new();
	bench->ns = bench->host != NULL ? pw_host_add(bench->host, PW_OWN_INDEX, "", NULL) : NULL;
	bench->monitor = pw_monitor_new(&bench->policy, pw_clock_wall());
	if (bench->ns == NULL || bench->monitor == NULL) {
		fputs("poll: out of memory\n", stderr);
		exit(EXIT_FAILURE);
	}
	bench->host->options = bench->options;
	if (strncmp(how, "bpf", 3) != 0)
		return;
	bench->host->backend = strcmp(how, "bpf-helper") == 0 ? pw_walk_backend_by_helper(&err) : pw_walk_backend(&err);
	if (bench->host->backend == NULL)
		fail("backend", &err);
	bench->walks = true;
}

static void close_bench(struct bench *bench)
{
	pw_snapshot_unref(bench->snapshot);
	pw_monitor_free(bench->monitor);
	pw_host_free(bench->host);
}

int main(int argc, char **argv)
{
	struct bench bench = {0};
	char line[64], command[16];

	open_bench(&bench, argc > 1 ? argv[1] : "");
	while (fgets(line, sizeof(line), stdin) != NULL) {
		struct result result = {0};
		struct usage start = usage_now();
		unsigned times = 1;

		if (sscanf(line, "%15s %u", command, &times) < 1)
			continue;
		if (strcmp(command, "rush") == 0)
			rush(&bench, times, &result);
		else
			while (times-- > 0)
				run(&bench, command, &result);
		result.total = usage_since(start);
		print_result(&result);
	}
	close_bench(&bench);
	return EXIT_SUCCESS;
}

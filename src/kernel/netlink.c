/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernel/netlink.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "kernel/inet_diag.h"
#include "kernel/namespace.h"
#include "kernel/probe.h"
#include "kernel/proc_net.h"
#include "kernel/sockstat.h"
#include "kernel/sysctl.h"

/* Dumps in all, the first one included, before a poll is given up. */
#define ATTEMPTS 4

/* /proc/net/udp takes time in the square of its length: 0.2 s here, 17 s with ten times as many. */
#define PROC_UDP_MAX 10000

/* Time for probes of ports that are likely blocked, at each poll. */
#define DAEMON_PROBE_MS 10

/* Pools whose TIME_WAIT is asked about at each poll, by 8 probes of 12 us each. */
#define REUSE_POOLS 64

/* --- sockets that are bound but not connected --- */

/* With fewer TCP sockets a walk takes less than 2 ms. */
#define FEW_SOCKETS 10000

/* A socket that was there all the time and is bound only now changes no count: look at least this often. */
#define SKIPS_MAX 5

bool pw_bind_table_wanted(struct pw_bind_table *table, struct pw_input *input, const struct pw_range *range)
{
	struct pw_sockstat counts;

	table->pending_known = pw_sockstat_read(input, &counts, NULL) == PW_READ_OK && counts.tcp >= FEW_SOCKETS &&
		pw_sockstat_uncounted(input, &counts, &table->pending) == 0;
	if (!table->empty || !table->pending_known || table->pending != table->uncounted || table->low != range->low ||
		table->high != range->high || table->skipped >= SKIPS_MAX)
		return true;
	table->skipped++;
	return false;
}

void pw_bind_table_walked(struct pw_bind_table *table, const struct pw_range *range, uint32_t n)
{
	table->empty = n == 0 && table->pending_known;
	table->low = range->low;
	table->high = range->high;
	table->uncounted = table->pending;
	table->skipped = 0;
}

/* --- dumps --- */

enum protocol { TCP, UDP, PROTOCOLS };

/* What the functions of one take share. */
struct take {
	struct pw_namespace *ns;
	struct pw_batch batch;
	bool walk; /* the table of bound ports as well */
	/* how the dumps are made; revised whenever one fails */
	bool proc[PROTOCOLS];
	bool without_udp;
	unsigned retries[PROTOCOLS];
	struct pw_error udp_error; /* with without_udp */
};

static int add_sockets(void *context, const struct pw_socket *sockets, size_t n)
{
	return pw_census_add(context, sockets, n);
}

static int add_bound(void *context, const struct pw_socket *sockets, size_t n)
{
	return pw_census_add_bound(context, sockets, n);
}

static enum pw_dump_status dump(struct take *take, enum pw_stream stream)
{
	struct pw_namespace *ns = take->ns;

	return pw_inet_diag_dump(&ns->input, stream, pw_range_look_low(&ns->range), pw_range_look_high(&ns->range),
		&take->batch, &ns->stats, &ns->err);
}

static enum pw_dump_status take_protocol(struct take *take, enum protocol protocol)
{
	static const enum pw_stream streams[PROTOCOLS][2] = {
		{PW_STREAM_PROC_TCP, PW_STREAM_PROC_TCP6}, {PW_STREAM_PROC_UDP, PW_STREAM_PROC_UDP6}};
	struct pw_namespace *ns = take->ns;
	enum pw_dump_status status = PW_DUMP_OK;

	if (take->proc[protocol]) {
		for (int i = 0; i < 2 && status == PW_DUMP_OK; i++)
			status = pw_proc_net_read(&ns->input, streams[protocol][i], pw_range_look_low(&ns->range),
				pw_range_look_high(&ns->range), &take->batch, &ns->err);
		return status;
	}
	if (protocol == UDP) {
		status = dump(take, PW_STREAM_DUMP_UDP);
		return status == PW_DUMP_OK ? dump(take, PW_STREAM_DUMP_UDP6) : status;
	}
	if (!take->walk)
		return dump(take, PW_STREAM_DUMP_HASHED);
	ns->stats.walks++;
	status = dump(take, PW_STREAM_DUMP_TCP);
	if (status == PW_DUMP_OK && ns->capture == NULL)
		pw_bind_table_walked(&ns->netlink.bind_table, &ns->range, pw_census_totals(ns->census)->tcp_bound);
	return status;
}

/* Says once that /proc is read, and once that it is not any more. */
static void set_proc(struct pw_namespace *ns, enum protocol protocol, bool proc)
{
	const char *name = protocol == TCP ? "TCP" : "UDP";

	if (ns->netlink.proc[protocol] == proc)
		return;
	ns->netlink.proc[protocol] = proc;
	if (proc)
		pw_log(LOG_WARNING,
			"no inet_diag for %s (%s): reading /proc/net instead, which is slower and shows less", name,
			ns->err.text);
	else
		pw_log(LOG_NOTICE, "inet_diag for %s is back: /proc/net is not read any more", name);
}

/* Whether the number of UDP sockets lets /proc/net/udp be read in reasonable time. */
static bool proc_udp_allowed(struct pw_namespace *ns)
{
	struct pw_sockstat counts;

	if (pw_sockstat_read(&ns->input, &counts, &ns->err) != PW_READ_OK)
		return false;
	if (counts.udp <= PROC_UDP_MAX)
		return true;
	pw_error_set(
		&ns->err, "no inet_diag for UDP, and %u sockets are too many to read from /proc/net/udp", counts.udp);
	return false;
}

/* What to do otherwise at the next try. Returns whether there is to be one; each answer can be given only so often. */
static bool revise(struct take *take, enum protocol failed, enum pw_dump_status status)
{
	struct pw_namespace *ns = take->ns;

	if (status == PW_DUMP_AGAIN && take->retries[failed] + 1 < ATTEMPTS) {
		take->retries[failed]++;
		ns->stats.retries++;
		return true;
	}
	if (status == PW_DUMP_UNAVAILABLE && !take->proc[failed] && (failed == TCP || proc_udp_allowed(ns))) {
		take->proc[failed] = true;
		set_proc(ns, failed, true);
		return true;
	}
	if (failed == TCP)
		return false;
	take->without_udp = true;
	take->udp_error = ns->err;
	return true;
}

/* Fills the census. Returns 0, or -1 when there are no TCP sockets to be had. */
static int fill(struct take *take)
{
	/* UDP first: when it fails, as it may at every poll where there is no inet_diag, the long dump of TCP is not
	 * lost */
	static const enum protocol order[] = {UDP, TCP};
	struct pw_namespace *ns = take->ns;
	enum pw_dump_status status;
	enum protocol protocol = TCP;

	/* asked before the first dump: sockets that were just closed still count; a capture is always of everything */
	take->walk = ns->capture != NULL || pw_bind_table_wanted(&ns->netlink.bind_table, &ns->input, &ns->range);
	take->batch = (struct pw_batch){.sink = add_sockets, .context = ns->census};
	do {
		status = PW_DUMP_OK;
		pw_census_begin(ns->census, &ns->range);
		for (size_t i = 0; i < PROTOCOLS && status == PW_DUMP_OK; i++) {
			protocol = order[i];
			if (protocol == UDP && take->without_udp)
				continue;
			status = take_protocol(take, protocol);
			if (status == PW_DUMP_OK && !take->proc[protocol])
				set_proc(ns, protocol, false);
		}
		if (status == PW_DUMP_OK)
			return 0;
	} while (revise(take, protocol, status));
	return -1;
}

/* --- ambiguous ports --- */

/* The sockets that are bound to an explicit port. A capture always has them: to who replays it ports may be
 * ambiguous that are not to us. */
static int bound_pass(struct take *take)
{
	struct pw_namespace *ns = take->ns;
	uint64_t start = pw_clock_boot_us();
	enum pw_dump_status status;
	unsigned attempt = 0;

	if (!pw_census_wants_bound(ns->census) && ns->capture == NULL)
		return 0;
	take->batch = (struct pw_batch){.sink = add_bound, .context = ns->census};
	do {
		ns->stats.retries += attempt > 0;
		ns->stats.bound_dumps++;
		status = dump(take, PW_STREAM_DUMP_BOUND);
	} while (status == PW_DUMP_AGAIN && ++attempt < ATTEMPTS);
	ns->stats.bound_us += pw_clock_boot_us() - start;
	/* nothing bound is an answer as well */
	if (status != PW_DUMP_OK || pw_census_add_bound(ns->census, NULL, 0) < 0)
		return -1;
	pw_census_finish(ns->census);
	return 0;
}

/* At most PW_PROBES_MAX ports, so that a change of the settings spoils no more: under the probes it makes their answers
 * worthless, since a reserved port looks like a blocked one. */
static void probe_part(struct pw_namespace *ns, struct pw_probe *probe, const uint16_t *ports, size_t n)
{
	enum pw_probe_answer answers[PW_PROBES_MAX];
	struct pw_range now;

	for (size_t i = 0; i < n; i++)
		answers[i] = pw_probe_port(probe, ports[i]);
	ns->stats.probes += (uint32_t)n;
	memset(&now, 0, sizeof(now));
	if (pw_sysctl_read(&ns->input, &now, NULL) != PW_READ_OK || now.low != ns->range.low ||
		now.high != ns->range.high || memcmp(&now.reserved, &ns->range.reserved, sizeof(now.reserved)) != 0)
		return;
	for (size_t i = 0; i < n; i++)
		if (answers[i] != PW_PROBE_UNKNOWN)
			pw_census_set_probed(ns->census, ports[i], answers[i] == PW_PROBE_BLOCKED);
}

/* Probes as many ports in doubt as there is time for; at each poll of a daemon it is little. */
static int probe_ambiguous(struct pw_namespace *ns)
{
	const struct pw_census_totals *totals = pw_census_totals(ns->census);
	const uint64_t start = pw_clock_boot_us();
	const uint64_t end = start + (ns->probe_ms != 0 ? ns->probe_ms : DAEMON_PROBE_MS) * UINT64_C(1000);
	size_t max = totals->ambiguous, n, part;
	struct pw_probe *probe;
	uint16_t *ports;

	if (max == 0)
		return 0;
	if (ns->probe_ms == 0 && max > PW_PROBES_MAX)
		max = totals->suspect > PW_PROBES_MAX ? totals->suspect : PW_PROBES_MAX;
	ports = malloc(max * sizeof(*ports));
	if (ports == NULL)
		return pw_error_set(&ns->err, "out of memory");
	n = pw_census_ambiguous(ns->census, ports, max);
	probe = pw_probe_open();
	if (probe == NULL && !ns->netlink.probe_silent)
		pw_log(LOG_WARNING, "cannot probe ports (%s): those in doubt count as free", strerror(errno));
	else if (probe != NULL && ns->netlink.probe_silent)
		pw_log(LOG_NOTICE, "ports can be probed again");
	ns->netlink.probe_silent = probe == NULL;
	if (probe == NULL)
		pw_census_set_probing(ns->census, false);
	for (size_t done = 0; probe != NULL && done < n && pw_clock_boot_us() < end; done += part) {
		part = n - done < PW_PROBES_MAX ? n - done : PW_PROBES_MAX;
		probe_part(ns, probe, ports + done, part);
	}
	pw_probe_close(probe);
	free(ports);
	ns->stats.probe_us += pw_clock_boot_us() - start;
	pw_census_finish(ns->census);
	return 0;
}

/* Most of some TIME_WAIT sockets speak for all of the pool. */
static void ask_reuse(const struct pw_pool_key *key, const uint16_t *ports, size_t n, void *context)
{
	struct pw_namespace *ns = context;
	size_t taken = 0, refused = 0;

	for (size_t i = 0; i < n; i++) {
		enum pw_probe_answer answer = pw_probe_reuse(key, ports[i]);

		taken += answer == PW_PROBE_FREE;
		refused += answer == PW_PROBE_BLOCKED;
	}
	ns->stats.probes += (uint32_t)n;
	if (taken + refused > 0)
		pw_census_set_stamped(ns->census, key, taken > refused);
}

/* --- a take --- */

int pw_netlink_take(struct pw_namespace *ns)
{
	struct take take = {.ns = ns};
	uint64_t start = pw_clock_boot_us();
	int rc;

	ns->stats = (struct pw_take_stats){0};
	ns->taken = ns->udp_failed = false;
	pw_census_set_probing(ns->census, ns->probe);
	rc = fill(&take);
	ns->stats.dump_us = pw_clock_boot_us() - start;
	if (rc < 0)
		return -1;
	pw_census_finish(ns->census);
	if ((!take.proc[TCP] && bound_pass(&take) < 0) || (ns->probe && probe_ambiguous(ns) < 0))
		return -1;
	if (ns->probe)
		pw_census_each_reusable(ns->census, REUSE_POOLS, ask_reuse, ns);
	ns->taken = true;
	ns->udp_failed = take.without_udp;
	if (take.without_udp)
		ns->err = take.udp_error;
	else
		ns->err.text[0] = '\0';
	return 0;
}

static void take_each(struct pw_backend *backend, struct pw_namespace *const *wanted, size_t n)
{
	(void)backend;
	for (size_t i = 0; i < n; i++)
		pw_netlink_take(wanted[i]);
}

static void free_nothing(struct pw_backend *backend)
{
	(void)backend;
}

struct pw_backend *pw_netlink_backend(void)
{
	static struct pw_backend backend = {.name = "netlink", .inside = true, .take = take_each, .free = free_nothing};

	return &backend;
}

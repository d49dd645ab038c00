/* SPDX-License-Identifier: BSD-2-Clause */
/* netlink.c: one poll: settings, counts, dumps, the not-AUTO pass, probes */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "kernel/batch.h"
#include "kernel/bind_table.h"
#include "kernel/inet_diag.h"
#include "kernel/probe.h"
#include "kernel/proc_net.h"
#include "kernel/capture.h"
#include "kernel/sockstat.h"
#include "kernel/netlink.h"
#include "kernel/sysctl.h"

/* Dumps in all, the first one included, before a poll is given up. */
#define ATTEMPTS 4

/* /proc/net/udp takes time in the square of its length: 0.2 s here, 17 s with ten times as many. */
#define PROC_UDP_MAX 10000

enum protocol { TCP, UDP, PROTOCOLS };

struct pw_source {
	struct pw_input input;
	bool kernel; /* the running one, not a record */
	bool probe;
	size_t max_probes;    /* at each poll */
	bool proc[PROTOCOLS]; /* /proc is read, since inet_diag does not exist */
	bool probe_silent;    /* it is said already that probing does not work */
	struct pw_bind_table bind_table;
};

/* What the functions of one poll share. */
struct poll {
	struct pw_source *source;
	const struct pw_range *range;
	struct pw_census *census;
	struct pw_collect_stats *stats;
	struct pw_error *err;
	struct pw_batch batch;
	bool walk; /* the table of bound ports as well */
};

/* --- making one --- */

struct pw_source *pw_source_new(const struct pw_input *input, const struct pw_source_options *options)
{
	struct pw_source *source = calloc(1, sizeof(*source));

	if (source == NULL)
		return NULL;
	source->input = *input;
	if (options != NULL) {
		source->probe = options->probe;
		source->max_probes = options->max_probes != 0 ? options->max_probes : PW_PROBES_MAX;
		source->input.record = options->record;
	}
	if (source->input.record != NULL)
		pw_record_begin(source->input.record);
	return source;
}

static struct pw_source *new_or_free(
	struct pw_input *input, const struct pw_source_options *options, struct pw_error *err)
{
	struct pw_source *source = pw_source_new(input, options);

	if (source == NULL) {
		pw_input_free(input);
		pw_error_set(err, "out of memory");
	}
	return source;
}

struct pw_source *pw_source_kernel(const struct pw_source_options *options, struct pw_error *err)
{
	struct pw_source *source;
	struct pw_input input;
	const char *path;

	if (pw_input_kernel(&input, &path) < 0) {
		pw_error_set(err, "%s: %s", path, strerror(errno));
		pw_input_free(&input);
		return NULL;
	}
	source = new_or_free(&input, options, err);
	if (source != NULL)
		source->kernel = true;
	return source;
}

struct pw_source *pw_source_record(const char *path, struct pw_error *err)
{
	struct pw_input input;

	if (pw_record_input_file(&input, path, err) < 0)
		return NULL;
	return new_or_free(&input, NULL, err);
}

void pw_source_free(struct pw_source *source)
{
	if (source == NULL)
		return;
	pw_input_free(&source->input);
	free(source);
}

struct pw_input *pw_source_input(struct pw_source *source)
{
	return &source->input;
}

/* --- settings and counts --- */

enum pw_collect_status pw_source_range(struct pw_source *source, struct pw_range *out, struct pw_error *err)
{
	return pw_sysctl_read(&source->input, out, err);
}

enum pw_collect_status pw_source_sockstat(struct pw_source *source, struct pw_sockstat *out, struct pw_error *err)
{
	return pw_sockstat_read(&source->input, out, err);
}

/* --- dumps --- */

static int add_sockets(void *context, const struct pw_socket *sockets, size_t n)
{
	return pw_census_add(context, sockets, n);
}

static int add_bound(void *context, const struct pw_socket *sockets, size_t n)
{
	return pw_census_add_bound(context, sockets, n);
}

static enum pw_dump_status dump(struct poll *poll, enum pw_stream stream)
{
	return pw_inet_diag_dump(&poll->source->input, stream, poll->range->low, poll->range->high, &poll->batch,
		poll->stats, poll->err);
}

static enum pw_dump_status read_proc(struct poll *poll, enum pw_stream stream)
{
	return pw_proc_net_read(
		&poll->source->input, stream, poll->range->low, poll->range->high, &poll->batch, poll->err);
}

static enum pw_dump_status dump_tcp(struct poll *poll)
{
	enum pw_dump_status status;

	if (!poll->walk)
		return dump(poll, PW_STREAM_DUMP_HASHED);
	poll->stats->walks++;
	status = dump(poll, PW_STREAM_DUMP_TCP);
	if (status == PW_DUMP_OK && poll->source->input.record == NULL)
		pw_bind_table_walked(&poll->source->bind_table, poll->range, pw_census_totals(poll->census)->tcp_bound);
	return status;
}

static enum pw_dump_status dump_protocol(struct poll *poll, enum protocol protocol)
{
	enum pw_dump_status status;

	if (protocol == TCP)
		return dump_tcp(poll);
	status = dump(poll, PW_STREAM_DUMP_UDP);
	return status == PW_DUMP_OK ? dump(poll, PW_STREAM_DUMP_UDP6) : status;
}

static enum pw_dump_status proc_protocol(struct poll *poll, enum protocol protocol)
{
	enum pw_dump_status status = read_proc(poll, protocol == TCP ? PW_STREAM_PROC_TCP : PW_STREAM_PROC_UDP);

	if (status != PW_DUMP_OK)
		return status;
	return read_proc(poll, protocol == TCP ? PW_STREAM_PROC_TCP6 : PW_STREAM_PROC_UDP6);
}

/* Says once that /proc is read, and once that it is not any more. */
static void set_proc(struct pw_source *source, enum protocol protocol, bool proc, const char *why)
{
	const char *name = protocol == TCP ? "TCP" : "UDP";

	if (source->proc[protocol] == proc)
		return;
	source->proc[protocol] = proc;
	if (proc)
		pw_log(LOG_WARNING,
			"no inet_diag for %s (%s): reading /proc/net instead, which is slower and shows less", name,
			why);
	else
		pw_log(LOG_NOTICE, "inet_diag for %s is back: /proc/net is not read any more", name);
}

/* Whether the number of UDP sockets lets /proc/net/udp be read in reasonable time. */
static bool proc_udp_allowed(struct poll *poll)
{
	struct pw_sockstat counts;

	if (pw_sockstat_read(&poll->source->input, &counts, poll->err) != PW_COLLECT_OK)
		return false;
	if (counts.udp <= PROC_UDP_MAX)
		return true;
	pw_error_set(
		poll->err, "no inet_diag for UDP, and %u sockets are too many to read from /proc/net/udp", counts.udp);
	return false;
}

/* How the dumps of a poll are made; revised whenever one fails. */
struct plan {
	bool proc[PROTOCOLS];
	bool without_udp;
	unsigned retries[PROTOCOLS];
	struct pw_error udp_error; /* with without_udp */
};

/* One try at all sockets. UDP comes first: when it fails, as it may at every poll where there is no inet_diag, the long
 * dump of TCP is not lost. Tells by *failed whose dump ended the try. */
static enum pw_dump_status gather(struct poll *poll, const struct plan *plan, enum protocol *failed)
{
	static const enum protocol order[] = {UDP, TCP};
	enum pw_dump_status status = PW_DUMP_OK;

	pw_census_begin(poll->census, poll->range);
	for (size_t i = 0; i < PROTOCOLS && status == PW_DUMP_OK; i++) {
		*failed = order[i];
		if (order[i] == UDP && plan->without_udp)
			continue;
		status = plan->proc[order[i]] ? proc_protocol(poll, order[i]) : dump_protocol(poll, order[i]);
		if (status == PW_DUMP_OK && !plan->proc[order[i]])
			set_proc(poll->source, order[i], false, "");
	}
	return status;
}

static void give_up_udp(struct poll *poll, struct plan *plan)
{
	plan->without_udp = true;
	plan->udp_error = *poll->err;
}

/* What to do otherwise at the next try. Returns whether there is to be one; each answer can be given only so often. */
static bool revise(struct poll *poll, struct plan *plan, enum protocol failed, enum pw_dump_status status)
{
	if (status == PW_DUMP_AGAIN && plan->retries[failed] + 1 < ATTEMPTS) {
		plan->retries[failed]++;
		poll->stats->retries++;
		return true;
	}
	if (status == PW_DUMP_UNAVAILABLE && !plan->proc[failed] && (failed == TCP || proc_udp_allowed(poll))) {
		plan->proc[failed] = true;
		set_proc(poll->source, failed, true, poll->err->text);
		return true;
	}
	if (failed == TCP)
		return false;
	give_up_udp(poll, plan);
	return true;
}

/* A record is always of everything. To be asked before the first dump: sockets that were just closed still count. */
static bool walk_wanted(struct poll *poll)
{
	struct pw_source *source = poll->source;

	return source->input.record != NULL || pw_bind_table_wanted(&source->bind_table, &source->input, poll->range);
}

/* Fills the census. Returns 0, or -1 when there are no TCP sockets to be had. */
static int fill(struct poll *poll, struct plan *plan)
{
	enum pw_dump_status status;
	enum protocol failed;

	poll->walk = walk_wanted(poll);
	poll->batch = (struct pw_batch){.sink = add_sockets, .context = poll->census};
	do {
		status = gather(poll, plan, &failed);
		if (status == PW_DUMP_OK)
			return 0;
	} while (revise(poll, plan, failed, status));
	return -1;
}

static int finish(struct poll *poll)
{
	return pw_census_finish(poll->census) == 0 ? 0 : pw_error_set(poll->err, "out of memory");
}

/* --- ports in doubt --- */

/* The sockets that are bound to an explicit port. A record always has them: who replays it may be in doubt where we are
 * not. */
static int bound_pass(struct poll *poll)
{
	uint64_t start = pw_clock_boot_us();
	enum pw_dump_status status;
	unsigned attempt = 0;

	if (!pw_census_wants_bound(poll->census) && poll->source->input.record == NULL)
		return 0;
	poll->batch = (struct pw_batch){.sink = add_bound, .context = poll->census};
	do {
		poll->stats->retries += attempt > 0;
		poll->stats->bound_dumps++;
		status = dump(poll, PW_STREAM_DUMP_BOUND);
	} while (status == PW_DUMP_AGAIN && ++attempt < ATTEMPTS);
	poll->stats->bound_us += pw_clock_boot_us() - start;
	/* nothing bound is an answer as well */
	if (status != PW_DUMP_OK || pw_census_add_bound(poll->census, NULL, 0) < 0)
		return -1;
	return finish(poll);
}

/* Says once that ports in doubt stay so, and once that they can be asked about again. */
static void set_probe_silent(struct pw_source *source, bool silent, int error)
{
	if (source->probe_silent == silent)
		return;
	source->probe_silent = silent;
	if (silent)
		pw_log(LOG_WARNING, "cannot probe ports (%s): those in doubt count as free", strerror(error));
	else
		pw_log(LOG_NOTICE, "ports can be probed again");
}

/* Settings that changed under the probes make their answers worthless: a reserved port looks like a blocked one. */
static bool settings_changed(struct poll *poll)
{
	struct pw_range now;

	memset(&now, 0, sizeof(now));
	return pw_sysctl_read(&poll->source->input, &now, NULL) != PW_COLLECT_OK || now.low != poll->range->low ||
		now.high != poll->range->high ||
		memcmp(&now.reserved, &poll->range->reserved, sizeof(now.reserved)) != 0;
}

/* At most PW_PROBES_MAX ports. */
static void ask(struct poll *poll, struct pw_probe *probe, const uint16_t *ports, size_t n)
{
	enum pw_probe_answer answers[PW_PROBES_MAX];

	for (size_t i = 0; i < n; i++)
		answers[i] = pw_probe_port(probe, ports[i]);
	poll->stats->probes += (uint32_t)n;
	if (settings_changed(poll))
		return;
	for (size_t i = 0; i < n; i++)
		if (answers[i] != PW_PROBE_UNKNOWN)
			pw_census_verdict(poll->census, ports[i], answers[i] == PW_PROBE_BLOCKED);
}

/* In parts, so that a change of the settings spoils one part only. */
static void ask_all(struct poll *poll, struct pw_probe *probe, const uint16_t *ports, size_t n)
{
	for (size_t done = 0; done < n; done += PW_PROBES_MAX)
		ask(poll, probe, ports + done, n - done < PW_PROBES_MAX ? n - done : PW_PROBES_MAX);
}

static int probe_ports(struct poll *poll, const uint16_t *ports, size_t n)
{
	uint64_t start = pw_clock_boot_us();
	struct pw_probe *probe = pw_probe_open();

	set_probe_silent(poll->source, probe == NULL, errno);
	if (probe == NULL)
		pw_census_set_probing(poll->census, false);
	else
		ask_all(poll, probe, ports, n);
	pw_probe_close(probe);
	poll->stats->probe_us += pw_clock_boot_us() - start;
	return finish(poll);
}

static int probe_doubts(struct poll *poll)
{
	uint16_t *ports = malloc(poll->source->max_probes * sizeof(*ports));
	size_t n;
	int rc = 0;

	if (ports == NULL)
		return pw_error_set(poll->err, "out of memory");
	n = pw_census_doubts(poll->census, ports, poll->source->max_probes);
	if (n > 0)
		rc = probe_ports(poll, ports, n);
	free(ports);
	return rc;
}

/* --- a poll --- */

static int run(struct poll *poll, struct plan *plan)
{
	uint64_t start = pw_clock_boot_us();
	int rc;

	pw_census_set_probing(poll->census, poll->source->probe);
	rc = fill(poll, plan);
	poll->stats->dump_us += pw_clock_boot_us() - start;
	if (rc < 0 || finish(poll) < 0)
		return -1;
	if (!plan->proc[TCP] && bound_pass(poll) < 0)
		return -1;
	return poll->source->probe ? probe_doubts(poll) : 0;
}

/* A record is of one poll: it ends with the first one that was complete. */
static void end_record(struct pw_source *source)
{
	if (source->input.record != NULL)
		pw_record_end(source->input.record);
	source->input.record = NULL;
}

enum pw_collect_status pw_source_sockets(struct pw_source *source, const struct pw_range *range,
	struct pw_census *census, bool *udp_failed, struct pw_collect_stats *stats, struct pw_error *err)
{
	struct pw_collect_stats unused_stats;
	struct pw_error why = {""};
	struct plan plan = {.without_udp = false};
	struct poll poll = {
		.source = source,
		.range = range,
		.census = census,
		.stats = stats != NULL ? stats : &unused_stats,
		.err = &why,
	};
	int rc;

	*poll.stats = (struct pw_collect_stats){0};
	rc = run(&poll, &plan);
	*udp_failed = plan.without_udp;
	if (rc < 0)
		pw_error_set(err, "%s", why.text);
	else if (plan.without_udp)
		pw_error_set(err, "%s", plan.udp_error.text);
	if (rc == 0)
		end_record(source);
	return rc == 0 ? PW_COLLECT_OK : PW_COLLECT_FAILED;
}

uint32_t pw_source_alloc_latency(struct pw_source *source, const struct pw_pool_key *key, bool *exhausted)
{
	*exhausted = false;
	return source->kernel ? pw_probe_alloc(key, exhausted) : 0;
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernel/namespace.h"

#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "kernel/netns.h"
#include "kernel/netlink.h"

struct pw_target {
	uint32_t index;
	char name[64];
	char path[300]; /* "" = the own namespace */
	bool probe;
	uint32_t max_probes;
	struct pw_owner_names *owner_names;
	struct pw_snat_options snat;
	struct pw_snat_watch snat_watch;
	struct pw_source *source; /* NULL until the namespace could be entered */
	struct pw_census *census;
	bool quiet; /* the census is empty since the last poll, for the same range */
	uint64_t dumped_ms;
	struct pw_error err;
	char ifname[IF_NAMESIZE]; /* what the last call of the callback returned */
};

/* --- life --- */

struct pw_target *pw_target_new(uint32_t index, const char *name, const char *path)
{
	struct pw_target *target = calloc(1, sizeof(*target));

	if (target == NULL)
		return NULL;
	target->index = index;
	target->census = pw_census_new(index);
	if (target->census == NULL) {
		free(target);
		return NULL;
	}
	snprintf(target->name, sizeof(target->name), "%s", name);
	pw_target_set_path(target, path != NULL ? path : "");
	return target;
}

void pw_target_free(struct pw_target *target)
{
	if (target == NULL)
		return;
	pw_source_free(target->source);
	pw_census_free(target->census);
	pw_snat_watch_clear(&target->snat_watch);
	free(target);
}

void pw_target_set_path(struct pw_target *target, const char *path)
{
	snprintf(target->path, sizeof(target->path), "%s", path);
}

/* The settings of an open source do not change: the next poll opens another one. */
void pw_target_set_probe(struct pw_target *target, bool probe)
{
	if (target->probe == probe)
		return;
	target->probe = probe;
	pw_source_free(target->source);
	target->source = NULL;
}

void pw_target_set_max_probes(struct pw_target *target, uint32_t max_probes)
{
	target->max_probes = max_probes;
}

void pw_target_set_snat(struct pw_target *target, const struct pw_snat_options *options)
{
	if (options->ranges != target->snat.ranges || options->n != target->snat.n)
		target->snat_watch.dumped_ms = 0;
	target->snat = *options;
}

void pw_target_set_source(struct pw_target *target, struct pw_source *source)
{
	pw_source_free(target->source);
	target->source = source;
}

void pw_target_set_owner_names(struct pw_target *target, struct pw_owner_names *names)
{
	target->owner_names = names;
}

const char *pw_target_error(const struct pw_target *target)
{
	return target->err.text;
}

uint32_t pw_target_index(const struct pw_target *target)
{
	return target->index;
}

const char *pw_target_name(const struct pw_target *target)
{
	return target->name;
}

uint64_t pw_target_dumped_ms(const struct pw_target *target)
{
	return target->dumped_ms;
}

/* --- the monitor's questions --- */

static int enter(struct pw_target *target, bool *gone, struct pw_error *err)
{
	return pw_netns_enter(target->path[0] != '\0' ? target->path : NULL, gone, err);
}

static void leave(const struct pw_target *target)
{
	if (target->path[0] != '\0')
		pw_netns_leave();
}

static const char *name_interface(uint32_t ifindex, void *context)
{
	struct pw_target *target = context;
	const char *name;
	bool gone;

	if (enter(target, &gone, NULL) < 0)
		return NULL;
	name = if_indextoname(ifindex, target->ifname);
	leave(target);
	return name;
}

static uint32_t measure_latency(const struct pw_pool_key *key, void *context)
{
	struct pw_target *target = context;
	uint32_t latency_us;
	bool gone, exhausted;

	if (target->source == NULL || enter(target, &gone, NULL) < 0)
		return 0;
	latency_us = pw_source_alloc_latency(target->source, key, &exhausted);
	leave(target);
	return latency_us;
}

/* Control groups and users are those of the host, whatever the network namespace. */
static void name_owner(uint64_t cgroup, uint32_t uid, char *buf, size_t size, void *context)
{
	struct pw_target *target = context;

	pw_owner_names_find(target->owner_names, cgroup, uid, buf, size);
}

/* --- polling --- */

/* An empty census for this range; nothing to do when it already is one. */
static void make_empty(struct pw_target *target, const struct pw_range *range)
{
	if (target->quiet && pw_range_equal(range, pw_census_range(target->census)))
		return;
	pw_census_begin(target->census, range);
	pw_census_finish(target->census);
	target->quiet = true;
}

static enum pw_collect_status read_sockets(
	struct pw_target *target, const struct pw_range *range, struct pw_ns_poll *out, struct pw_collect_stats *stats)
{
	enum pw_collect_status status;
	bool udp_failed = false;

	target->quiet = false;
	status = pw_source_sockets(target->source, range, target->census, &udp_failed, stats, &target->err);
	if (status != PW_COLLECT_OK)
		return status;
	out->status = PW_POLL_COUNTED;
	out->udp_status = udp_failed ? PW_POLL_FAILED : PW_POLL_COUNTED;
	if (!udp_failed)
		target->err.text[0] = '\0';
	target->dumped_ms = pw_clock_boot_ms();
	return status;
}

static enum pw_collect_status read_namespace(struct pw_target *target, pw_target_quiet *quiet, void *context,
	struct pw_ns_poll *out, struct pw_collect_stats *stats)
{
	const struct pw_source_options options = {.probe = target->probe, .max_probes = target->max_probes};
	struct pw_range range = {0};
	struct pw_sockstat counts;
	enum pw_collect_status status;

	if (target->source == NULL && (target->source = pw_source_kernel(&options, &target->err)) == NULL)
		return PW_COLLECT_FAILED;
	status = pw_source_range(target->source, &range, &target->err);
	if (status == PW_COLLECT_OK)
		status = pw_source_sockstat(target->source, &counts, &target->err);
	if (status != PW_COLLECT_OK)
		return status;
	out->tcp = counts.tcp;
	out->tcp_time_wait = counts.tcp_time_wait;
	out->udp = counts.udp;
	if (quiet == NULL || !quiet(target, &range, &counts, context))
		return read_sockets(target, &range, out, stats);
	make_empty(target, &range);
	out->status = PW_POLL_QUIET;
	return PW_COLLECT_OK;
}

/* Connection tracking says nothing about the sockets: that it can't be read fails no poll. */
static void read_snat(struct pw_target *target, struct pw_ns_poll *out)
{
	if (target->source != NULL)
		pw_snat_watch_poll(&target->snat_watch, pw_source_input(target->source), &target->snat, target->index,
			pw_clock_boot_ms(), &out->snat, NULL);
}

void pw_target_poll(struct pw_target *target, pw_target_quiet *quiet, void *context, struct pw_ns_poll *out,
	struct pw_collect_stats *stats)
{
	enum pw_collect_status status;
	bool gone;

	*out = (struct pw_ns_poll){.index = target->index,
		.name = target->name,
		.status = PW_POLL_FAILED,
		.udp_status = PW_POLL_COUNTED,
		.census = target->census,
		.ifname = name_interface,
		.alloc_latency = target->probe ? measure_latency : NULL,
		.owner_name = target->owner_names != NULL ? name_owner : NULL,
		.context = target};
	target->err.text[0] = '\0';
	if (enter(target, &gone, &target->err) < 0) {
		status = gone ? PW_COLLECT_GONE : PW_COLLECT_FAILED;
	} else {
		status = read_namespace(target, quiet, context, out, stats);
		if (status != PW_COLLECT_GONE)
			read_snat(target, out);
		leave(target);
	}
	if (status == PW_COLLECT_GONE)
		out->status = PW_POLL_GONE;
	else if (status == PW_COLLECT_FAILED)
		out->status = PW_POLL_FAILED;
	/* a namespace of the same name that comes later is another one: its settings must be opened again */
	if (status == PW_COLLECT_GONE) {
		pw_source_free(target->source);
		target->source = NULL;
	}
}

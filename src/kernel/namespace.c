/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernel/namespace.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/utf8.h"
#include "kernel/capture.h"
#include "kernel/netns.h"
#include "kernel/probe.h"
#include "kernel/sysctl.h"

struct pw_namespace *pw_namespace_new(uint32_t index, const char *name, const char *path)
{
	struct pw_namespace *ns = calloc(1, sizeof(*ns));

	if (ns == NULL)
		return NULL;
	ns->index = index;
	ns->census = pw_census_new(index);
	if (ns->census == NULL) {
		free(ns);
		return NULL;
	}
	pw_utf8_clean(ns->name, sizeof(ns->name), name);
	snprintf(ns->path, sizeof(ns->path), "%s", path != NULL ? path : "");
	return ns;
}

void pw_namespace_free(struct pw_namespace *ns)
{
	if (ns == NULL)
		return;
	pw_input_free(&ns->input);
	pw_census_free(ns->census);
	pw_snat_watch_clear(&ns->snat_watch);
	free(ns);
}

enum pw_read_status pw_namespace_enter(const struct pw_namespace *ns, struct pw_error *err)
{
	bool gone;

	if (pw_netns_enter(ns->path[0] != '\0' ? ns->path : NULL, ns->inode, &gone, err) == 0)
		return PW_READ_OK;
	return gone ? PW_READ_GONE : PW_READ_FAILED;
}

void pw_namespace_leave(const struct pw_namespace *ns)
{
	if (ns->path[0] != '\0')
		pw_netns_leave();
}

/* Older headers lack it. */
#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

/* --- reading --- */

static int open_input(struct pw_namespace *ns)
{
	const char *path;

	if (pw_input_kernel(&ns->input, &path) == 0 &&
		(ns->capture == NULL || pw_capture_start(&ns->input, ns->capture) == 0))
		return 0;
	pw_error_set(&ns->err, "%s: %s", path, strerror(errno));
	pw_input_free(&ns->input);
	return -1;
}

static const struct pw_portset *ports_of(const struct pw_pool_key *key, void *context)
{
	const struct pw_namespace *ns = context;
	const struct pw_rule *rule = pw_policy_rule(ns->policy, key, ns->name);

	return rule != NULL ? rule->ports : NULL;
}

/* Pools whose ports a section names may lie outside of the range. */
static void set_lists(struct pw_namespace *ns)
{
	const bool lists = ns->policy != NULL && pw_policy_look(ns->policy, &ns->range.look_low, &ns->range.look_high);
	struct pw_source *sockets = pw_census_source(ns->census);

	sockets->ports = ns->snat.ports = lists ? ports_of : NULL;
	sockets->ports_context = ns->snat.ports_context = ns;
}

enum pw_read_status pw_namespace_read_outside(struct pw_namespace *ns)
{
	ns->status = ns->outside->settings(ns->outside, ns);
	set_lists(ns);
	return ns->status;
}

enum pw_read_status pw_namespace_read(struct pw_namespace *ns)
{
	socklen_t size = sizeof(ns->cookie);
	struct stat own;
	int fd = -1;

	if (ns->input.ops == NULL && open_input(ns) < 0)
		return ns->status = PW_READ_FAILED;
	ns->entered = stat("/proc/thread-self/ns/net", &own) == 0 ? own.st_ino : 0;
	ns->cookie = 0;
	if (ns->path[0] != '\0')
		fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd >= 0) {
		if (getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &ns->cookie, &size) < 0)
			ns->cookie = 0;
		close(fd);
	}
	ns->status = pw_sysctl_read(&ns->input, &ns->range, &ns->err);
	set_lists(ns);
	if (ns->status == PW_READ_OK)
		ns->status = pw_sockstat_read(&ns->input, &ns->counts, &ns->err);
	/* a namespace of the same name that comes later is another one: its settings must be opened again */
	if (ns->status == PW_READ_GONE)
		pw_input_free(&ns->input);
	return ns->status;
}

void pw_namespace_make_empty(struct pw_namespace *ns)
{
	if (ns->empty && pw_range_equal(&ns->range, pw_census_range(ns->census)))
		return;
	pw_census_begin(ns->census, &ns->range);
	pw_census_finish(ns->census);
	ns->empty = true;
}

/* That it can't be read fails no poll. */
void pw_namespace_read_snat(struct pw_namespace *ns)
{
	if (ns->input.ops != NULL || (ns->outside != NULL && open_input(ns) == 0))
		ns->sources[PW_SOURCE_SNAT] = pw_snat_watch_poll(
			&ns->snat_watch, &ns->input, &ns->snat, ns->index, pw_clock_boot_ms(), NULL);
}

/* --- the monitor's questions --- */

static const char *name_interface(struct pw_namespace *ns, uint32_t ifindex)
{
	const char *name;

	if (ns->outside != NULL) {
		name = ns->outside->interface(ns->outside, ns, ifindex, ns->ifname) ? ns->ifname : NULL;
	} else {
		if (pw_namespace_enter(ns, NULL) != PW_READ_OK)
			return NULL;
		name = if_indextoname(ifindex, ns->ifname);
		pw_namespace_leave(ns);
	}
	/* whoever may make an interface, if only in a namespace of its own, may give it any bytes for a name */
	if (name != NULL)
		pw_utf8_clean(ns->ifname, sizeof(ns->ifname), name);
	return name;
}

/* Control groups and users are those of the host, whatever the network namespace. Of another host only the number of a
 * user means something. */
static void name_owner(uint64_t cgroup, uint32_t uid, char *buf, size_t size, void *context)
{
	const struct pw_namespace *ns = context;

	if (ns->replayed)
		snprintf(buf, size, "uid %u", uid);
	else
		pw_owner_names_find(ns->owner_names, cgroup, uid, buf, size);
}

void pw_namespace_answer(struct pw_question *question)
{
	struct pw_namespace *ns = question->ns->context;
	struct pw_source *source = question->ns->sources[pw_kind_source(question->key.kind)];
	const char *name;
	bool exhausted;

	if (question->wants_zone && !ns->replayed) {
		name = name_interface(ns, question->key.local.zone);
		snprintf(question->zone_name, sizeof(question->zone_name), "%s", name != NULL ? name : "");
	}
	if (question->wants_owner && source != NULL)
		pw_source_owner_text(
			source, &question->key, name_owner, ns, question->parts, &question->states, question->owner);
	if (question->wants_latency && question->latency_us == 0 && ns->probe &&
		pw_namespace_enter(ns, NULL) == PW_READ_OK) {
		question->latency_us = pw_probe_alloc(&question->key, &exhausted);
		pw_namespace_leave(ns);
	}
}

/* --- result --- */

void pw_namespace_result(struct pw_namespace *ns, struct pw_ns_poll *out)
{
	struct pw_source *sockets = ns->sources[PW_SOURCE_SOCKETS] = pw_census_source(ns->census);

	sockets->status = PW_SOURCE_COUNTING;
	sockets->fresh = ns->status == PW_READ_OK && ns->taken && !ns->empty && !ns->skipped;
	sockets->stale_protocol = ns->udp_failed ? IPPROTO_UDP : 0;
	*out = (struct pw_ns_poll){.index = ns->index,
		.name = ns->name,
		.cookie = ns->cookie,
		.status = PW_POLL_FAILED,
		.unowned = ns->unowned,
		.census = ns->census,
		.conntrack = {.state = PW_STATE_NORMAL},
		.context = ns};
	memcpy(out->sources, ns->sources, sizeof(out->sources));
	if (ns->status == PW_READ_GONE)
		out->status = PW_POLL_GONE;
	if (ns->status != PW_READ_OK)
		return;
	out->tcp = ns->counts.tcp;
	out->tcp_time_wait = ns->counts.tcp_time_wait;
	out->udp = ns->counts.udp;
	if (ns->empty || ns->taken)
		out->status = ns->empty || ns->skipped ? PW_POLL_QUIET : PW_POLL_COUNTED;
}

size_t pw_namespace_follow_conntrack(struct pw_namespace *ns, const struct pw_thresholds *thresholds,
	struct pw_ns_poll *poll, struct pw_event events[PW_CONNTRACK_EVENTS])
{
	size_t n = pw_conntrack_step(&ns->conntrack, &ns->snat_watch.counts, ns->sources[PW_SOURCE_SNAT], thresholds,
		ns->index, ns->name, pw_clock_boot_ms(), events);

	poll->conntrack = ns->conntrack.row;
	return n;
}

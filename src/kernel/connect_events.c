/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernel/connect_events.h"

#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifdef HAVE_BPF
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/types.h>

#include "kernel/events.skel.h"
#include "kernel/events_record.h"
#endif

#include "base/array.h"
#include "base/error.h"
#include "base/utf8.h"
#include "count/index.h"
#include "kernel/connect_perf.h"
#include "kernel/latency.h"
#include "kernel/walk.h"

struct pw_connect_events {
	struct events_bpf *bpf; /* NULL: not loaded, as the next two */
	struct pw_rings *rings;
#ifdef HAVE_BPF
	struct ring_buffer *ring;
	uint64_t gone, crowded_gone; /* counted by programs that were unloaded */
	struct seen *seen;           /* what the map has been read for, in the order of its keys */
	size_t n_seen;
#endif
	bool attached, ringing;
	char bpf_reason[200];         /* why not by BPF */
	char bind_reason[200];        /* why not bind() */
	struct pw_latency *latency;   /* NULL: not measured */
	struct pw_connect_perf *perf; /* NULL: not used */
	uint64_t named;               /* what its samples were */
	struct pw_refusals *pools;
	size_t n, room;
	struct pw_failing_processes processes;
};

#ifdef HAVE_BPF

/* How often a pool had refused when it was looked at. */
struct seen {
	struct events_pool pool;
	uint64_t count;
};

/* --- loading --- */

static int keep_silent(enum libbpf_print_level level, const char *format, va_list arguments)
{
	(void)level;
	(void)format;
	(void)arguments;
	return 0;
}

/* Returns 0 or an errno. */
static int load(struct pw_connect_events *events, bool binds)
{
	uint64_t seed[3];
	int error;

	libbpf_set_print(keep_silent);
	events->bpf = events_bpf__open();
	if (events->bpf == NULL)
		return errno;
	pw_seed_fill(seed);
	events->bpf->rodata->seed = seed[0];
	bpf_program__set_autoload(events->bpf->progs.tcp_port_chosen, binds);
	bpf_program__set_autoload(events->bpf->progs.udp_port_chosen, binds);
	error = -events_bpf__load(events->bpf);
	if (error == 0)
		return 0;
	events_bpf__destroy(events->bpf);
	events->bpf = NULL;
	return error;
}

/* Why not by BPF. */
static void set_reason(char *reason, size_t size, int error)
{
	snprintf(reason, size, "BPF: %s%s", strerror(error),
		error == EPERM || error == EACCES ? " (it needs root, or CAP_BPF and CAP_PERFMON)" : "");
}

static int take_process(void *context, void *data, size_t size)
{
	struct pw_connect_events *events = context;
	struct events_process process;

	if (size < sizeof(process))
		return 0;
	memcpy(&process, data, sizeof(process));
	process.comm[sizeof(process.comm) - 1] = '\0';
	pw_utf8_clean(process.comm, sizeof(process.comm), process.comm);
	pw_failing_add(&events->processes, process.pid, process.comm, 1);
	return 0;
}

/* Where the kernel refuses trampolines, and only then, the programs are loaded without those that need them. */
static void load_bpf(struct pw_connect_events *events)
{
	int bind_error = load(events, true), error = bind_error != 0 ? load(events, false) : 0;

	if (error == 0) {
		events->ring = ring_buffer__new(bpf_map__fd(events->bpf->maps.processes), take_process, events, NULL);
		events->rings = pw_rings_new(bpf_program__fd(events->bpf->progs.state_changed),
			bpf_map__fd(events->bpf->maps.slots), bpf_map__fd(events->bpf->maps.rung),
			events->bpf->rodata->seed, (const uint64_t *)&events->bpf->bss->unheard,
			&events->bpf->bss->by_address);
		error = events->ring == NULL || events->rings == NULL ? errno : 0;
	}
	if (error != 0)
		set_reason(events->bpf_reason, sizeof(events->bpf_reason), error);
	else if (bind_error != 0)
		snprintf(events->bind_reason, sizeof(events->bind_reason),
			"bind() and UDP are not counted: the kernel lets no BPF program follow a function (%s)",
			strerror(bind_error));
}

static void detach(struct pw_connect_events *events)
{
	if (events->attached)
		events_bpf__detach(events->bpf);
	events->attached = false;
	if (events->rings != NULL)
		pw_rings_disarm(events->rings);
}

static void unload_bpf(struct pw_connect_events *events)
{
	detach(events);
	events->gone += events->bpf->bss->total;
	events->crowded_gone += events->bpf->bss->crowded;
	ring_buffer__free(events->ring);
	pw_rings_free(events->rings);
	events->rings = NULL;
	events_bpf__destroy(events->bpf);
	events->ring = NULL;
	events->bpf = NULL;
}

/* Linux 5.10 attaches a program to a function once and not again: there new ones are loaded, for which the capability
 * was kept. Returns 0 or an errno. */
static int attach(struct pw_connect_events *events)
{
	int error = events->attached ? 0 : -events_bpf__attach(events->bpf);

	if (error != 0) {
		events_bpf__detach(events->bpf);
		unload_bpf(events);
		load_bpf(events);
		if (events->bpf == NULL)
			return error;
		error = -events_bpf__attach(events->bpf);
	}
	events->attached = error == 0;
	return error;
}

/* --- taking --- */

static int compare_seen(const void *a, const void *b)
{
	return memcmp(&((const struct seen *)a)->pool, &((const struct seen *)b)->pool, sizeof(struct events_pool));
}

/* Reads the map. A pool that has been quiet since the last time is taken out; a refusal in just that moment would be
 * missing in the pool's number, not in the total. */
static void take_pools(struct pw_connect_events *events)
{
	const int map = bpf_map__fd(events->bpf->maps.pools);
	struct events_pool pool, next;
	struct events_failures failures;
	struct seen *seen = NULL;
	size_t n = 0, room = 0;

	for (int rc = bpf_map_get_next_key(map, NULL, &next); rc == 0 && n < EVENTS_POOLS;) {
		const struct seen key = {.pool = next}, *before;
		struct pw_refusals *refusals;
		uint64_t count;

		pool = next;
		rc = bpf_map_get_next_key(map, &pool, &next);
		if (bpf_map_lookup_elem(map, &pool, &failures) != 0)
			continue;
		before = events->n_seen == 0 ? NULL
					     : bsearch(&key, events->seen, events->n_seen, sizeof(key), compare_seen);
		count = failures.count;
		if (before != NULL && before->count <= count)
			count -= before->count;
		if (count == 0) {
			bpf_map_delete_elem(map, &pool);
			continue;
		}
		if (!PW_ARRAY_ROOM(seen, room, n + 1))
			break;
		seen[n++] = (struct seen){.pool = pool, .count = failures.count};
		if (!PW_ARRAY_ROOM(events->pools, events->room, events->n + 1))
			continue;
		refusals = &events->pools[events->n++];
		*refusals = (struct pw_refusals){.key = pw_rings_key(&pool),
			.netns = pool.netns,
			.count = count,
			.last_ms = failures.boot_ns / 1000000,
			.process = {.pid = failures.pid, .times = count < UINT32_MAX ? (uint32_t)count : UINT32_MAX},
			.cgroup = failures.cgroup};
		memcpy(refusals->process.name, failures.comm, sizeof(refusals->process.name) - 1);
		pw_utf8_clean(refusals->process.name, sizeof(refusals->process.name), refusals->process.name);
	}
	if (n > 0)
		qsort(seen, n, sizeof(*seen), compare_seen);
	free(events->seen);
	events->seen = seen;
	events->n_seen = n;
}

static void poll_bpf(struct pw_connect_events *events, unsigned wanted, struct pw_connect_events_poll *out)
{
	const bool failures = (wanted & PW_EVENTS_FAILURES) != 0;
	int error = 0;

	if (wanted != 0)
		error = attach(events);
	else
		detach(events);
	if (events->bpf == NULL) {
		out->total = events->gone;
		out->crowded = events->crowded_gone;
		set_reason(out->reason, sizeof(out->reason), error);
		return;
	}
	events->bpf->bss->failing = failures;
	events->bpf->bss->ringing = events->ringing = error == 0 && (wanted & PW_EVENTS_RINGS) != 0;
	if (!events->ringing)
		pw_rings_disarm(events->rings);
	ring_buffer__consume(events->ring);
	take_pools(events);
	out->counting = failures && error == 0;
	out->binds = out->counting && events->bind_reason[0] == '\0';
	if (error != 0)
		set_reason(events->bpf_reason, sizeof(events->bpf_reason), error);
	snprintf(out->reason, sizeof(out->reason), "%s", error != 0 ? events->bpf_reason : events->bind_reason);
	out->total = events->gone + __atomic_load_n(&events->bpf->bss->total, __ATOMIC_RELAXED);
	out->crowded = events->crowded_gone + __atomic_load_n(&events->bpf->bss->crowded, __ATOMIC_RELAXED);
}

#else

static void load_bpf(struct pw_connect_events *events)
{
	snprintf(events->bpf_reason, sizeof(events->bpf_reason), "built without BPF");
}

#endif

/* --- all of it --- */

/* Adds a sample to its pool's. */
static void take_sample(const struct pw_refusals *refusal, void *context)
{
	struct pw_connect_events *events = context;
	struct pw_failing_process process = refusal->process;
	size_t i = 0;

	pw_utf8_clean(process.name, sizeof(process.name), process.name);
	pw_failing_add(&events->processes, process.pid, process.name, 1);
	while (i < events->n &&
		(events->pools[i].netns != refusal->netns ||
			pw_pool_key_compare(&events->pools[i].key, &refusal->key) != 0))
		i++;
	if (i == events->n) {
		if (!PW_ARRAY_ROOM(events->pools, events->room, events->n + 1))
			return;
		events->pools[events->n++] = (struct pw_refusals){.key = refusal->key, .netns = refusal->netns};
	}
	events->pools[i].count++;
	events->pools[i].last_ms = refusal->last_ms;
	events->pools[i].process = process;
}

static void poll_perf(struct pw_connect_events *events, bool wanted, struct pw_connect_events_poll *out)
{
	struct pw_error err = {.text = ""};
	uint64_t named = 0;

	if (!wanted) {
		out->total = pw_connect_perf_stop(events->perf);
		return;
	}
	out->counting = pw_connect_perf_poll(events->perf, NULL, &out->total, &err) == 0;
	for (size_t i = 0; i < events->n; i++)
		named += events->pools[i].count;
	events->named += named;
	out->crowded = out->total > events->named ? out->total - events->named : 0;
	if (!out->counting)
		snprintf(out->reason, sizeof(out->reason), "%.150s; %.100s", err.text, events->bpf_reason);
	else
		snprintf(out->reason, sizeof(out->reason), "only connect() is counted, by perf events; %s",
			events->bpf_reason);
}

struct pw_connect_events *pw_connect_events_new(enum pw_connect_events_use use)
{
	struct pw_connect_events *events = calloc(1, sizeof(*events));

	if (events == NULL)
		return NULL;
	if (use == PW_EVENTS_PERF)
		snprintf(events->bpf_reason, sizeof(events->bpf_reason), "BPF was not asked for");
	else
		load_bpf(events);
	if (events->bpf != NULL && events->bind_reason[0] == '\0')
		events->latency = pw_latency_new();
	if (events->bpf != NULL || use == PW_EVENTS_BPF)
		return events;
	events->perf = pw_connect_perf_new(take_sample, events);
	if (events->perf != NULL)
		return events;
	pw_connect_events_free(events);
	return NULL;
}

void pw_connect_events_free(struct pw_connect_events *events)
{
	if (events == NULL)
		return;
#ifdef HAVE_BPF
	if (events->bpf != NULL)
		unload_bpf(events);
	free(events->seen);
#endif
	pw_latency_free(events->latency);
	pw_connect_perf_free(events->perf);
	free(events->pools);
	free(events);
}

void pw_connect_events_poll(struct pw_connect_events *events, unsigned wanted, struct pw_connect_events_poll *out)
{
	const bool failures = (wanted & PW_EVENTS_FAILURES) != 0;

	*out = (struct pw_connect_events_poll){.counting = false};
	events->n = 0;
	events->processes = (struct pw_failing_processes){.n = 0};
	if (events->perf != NULL)
		poll_perf(events, failures, out);
#ifdef HAVE_BPF
	else if (events->bpf != NULL)
		poll_bpf(events, wanted, out);
#endif
	else
		snprintf(out->reason, sizeof(out->reason), "%s", events->bpf_reason);
	if (!failures)
		snprintf(out->reason, sizeof(out->reason), "connect-failures = false");
	out->pools = events->pools;
	out->n = events->n;
	out->processes = events->processes;
}

struct pw_rings *pw_connect_events_rings(struct pw_connect_events *events, const char **reason)
{
	*reason = events->bpf_reason;
	return events->bpf != NULL && events->ringing ? events->rings : NULL;
}

struct pw_latency *pw_connect_events_latency(struct pw_connect_events *events)
{
	return events->latency;
}

int pw_connect_events_fd(const struct pw_connect_events *events)
{
#ifdef HAVE_BPF
	if (events->ring != NULL)
		return ring_buffer__epoll_fd(events->ring);
#endif
	return events->perf != NULL ? pw_connect_perf_fd(events->perf) : -1;
}

bool pw_connect_events_needs_bpf(const struct pw_connect_events *events)
{
	return events->bpf != NULL && pw_walk_needs_privilege();
}

bool pw_connect_events_needs_perfmon(const struct pw_connect_events *events)
{
	return events->perf != NULL || pw_connect_events_needs_bpf(events);
}

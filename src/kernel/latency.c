/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernel/latency.h"

#include <config.h>

#ifdef HAVE_BPF

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/types.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/log.h"
#include "kernel/latency.skel.h"
#include "kernel/latency_record.h"
#include "kernel/namespace.h"
#include "kernel/rings.h"

/* What is told covers the time since the middle mark but one. */
#define MARK_MS 10000

/* A pool that is measured; counts only grow. */
struct measured {
	struct events_pool pool;
	struct latency_counts begin, middle, now;
	uint64_t middle_ms;
	bool wanted;
};

struct pw_latency {
	struct latency_bpf *bpf; /* NULL: given up */
	bool attached;
	struct measured *pools;
	size_t n, room;
};

/* Returns 0 or an errno. */
static int load(struct pw_latency *latency)
{
	latency->bpf = latency_bpf__open_and_load();
	return latency->bpf != NULL ? 0 : errno;
}

struct pw_latency *pw_latency_new(void)
{
	struct pw_latency *latency = calloc(1, sizeof(*latency));
	int error = latency != NULL ? load(latency) : ENOMEM;

	if (error == 0)
		return latency;
	free(latency);
	errno = error;
	return NULL;
}

void pw_latency_free(struct pw_latency *latency)
{
	if (latency == NULL)
		return;
	latency_bpf__destroy(latency->bpf);
	free(latency->pools);
	free(latency);
}

/* Linux 5.10 attaches a program to a function once and not again: there new ones are loaded, for which the capability
 * was kept. Where that fails as well nothing is measured any more. */
static void attach(struct pw_latency *latency)
{
	int error = -latency_bpf__attach(latency->bpf);

	if (error != 0) {
		latency_bpf__destroy(latency->bpf);
		error = load(latency) != 0 ? errno : -latency_bpf__attach(latency->bpf);
	}
	latency->attached = error == 0;
	if (error == 0)
		return;
	latency_bpf__destroy(latency->bpf);
	latency->bpf = NULL;
	pw_log(LOG_NOTICE, "how long connect() searches for a port is not measured any more: %s", strerror(error));
}

/* The place of a pool; NULL: there is no room for it. */
static struct measured *find(struct pw_latency *latency, const struct events_pool *pool, uint64_t now_ms)
{
	static const struct latency_counts none;
	const int map = bpf_map__fd(latency->bpf->maps.measured);
	struct measured *measured;

	for (size_t i = 0; i < latency->n; i++)
		if (memcmp(&latency->pools[i].pool, pool, sizeof(*pool)) == 0)
			return &latency->pools[i];
	if (latency->n == LATENCY_POOLS || !PW_ARRAY_ROOM(latency->pools, latency->room, latency->n + 1) ||
		bpf_map_update_elem(map, pool, &none, BPF_NOEXIST) != 0)
		return NULL;
	measured = &latency->pools[latency->n++];
	*measured = (struct measured){.pool = *pool, .middle_ms = now_ms};
	return measured;
}

/* Microseconds that so many percent of the searches since the beginning took at most; 0 = there were none. */
static uint32_t percentile(const struct measured *measured, unsigned percent)
{
	uint64_t total = 0, sum = 0, us;
	uint32_t at = 0;

	for (uint32_t i = 0; i < LATENCY_BUCKETS; i++)
		total += measured->now.bucket[i] - measured->begin.bucket[i];
	if (total == 0)
		return 0;
	while (sum += measured->now.bucket[at] - measured->begin.bucket[at], sum * 100 < total * percent)
		at++;
	us = (latency_middle(at) + 500) / 1000;
	return us > 0 ? (uint32_t)us : 1;
}

static void answer(struct pw_latency *latency, struct pw_question *question, uint64_t now_ms)
{
	const struct pw_namespace *ns = question->ns->context;
	const struct events_pool pool = pw_rings_pool(ns->entered, &question->key);
	struct measured *measured = find(latency, &pool, now_ms);

	if (measured == NULL)
		return;
	measured->wanted = true;
	bpf_map_lookup_elem(bpf_map__fd(latency->bpf->maps.measured), &pool, &measured->now);
	question->latency_us = percentile(measured, 50);
	question->latency_p99_us = percentile(measured, 99);
	if (now_ms - measured->middle_ms < MARK_MS)
		return;
	measured->begin = measured->middle;
	measured->middle = measured->now;
	measured->middle_ms = now_ms;
}

void pw_latency_answer(struct pw_latency *latency, struct pw_question *questions, size_t n, uint64_t now_ms)
{
	size_t wanted = 0;

	for (size_t i = 0; i < n; i++)
		wanted += questions[i].wants_measured;
	if (latency->bpf != NULL && wanted > 0 && !latency->attached)
		attach(latency);
	if (latency->bpf == NULL)
		return;
	if (wanted == 0 && latency->attached)
		latency_bpf__detach(latency->bpf);
	latency->attached = latency->attached && wanted > 0;
	for (size_t i = 0; i < n && latency->attached; i++)
		if (questions[i].wants_measured)
			answer(latency, &questions[i], now_ms);
	for (size_t i = latency->n; i > 0; i--) {
		struct measured *measured = &latency->pools[i - 1];

		if (!measured->wanted) {
			bpf_map_delete_elem(bpf_map__fd(latency->bpf->maps.measured), &measured->pool);
			*measured = latency->pools[--latency->n];
		} else {
			measured->wanted = false;
		}
	}
}

#else

#pragma GCC diagnostic ignored "-Wunused-parameter"

#include <errno.h>

struct pw_latency *pw_latency_new(void)
{
	errno = ENOSYS;
	return NULL;
}

void pw_latency_free(struct pw_latency *latency)
{
}

void pw_latency_answer(struct pw_latency *latency, struct pw_question *questions, size_t n, uint64_t now_ms)
{
}

#endif

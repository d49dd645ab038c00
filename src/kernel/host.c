/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernel/host.h"

#include <stdlib.h>

#include "base/array.h"
#include "base/clock.h"
#include "base/log.h"
#include "kernel/capture.h"
#include "kernel/netns.h"

/* So many more sockets of which it is not known what they are may be bound. */
#define SPARE_MORE 16

/* Polls in a row that a backend is given: what is refused once may pass. */
#define MOST_FAILURES 3

/* --- life --- */

struct pw_host *pw_host_new(void)
{
	struct pw_host *host = calloc(1, sizeof(*host));

	if (host == NULL)
		return NULL;
	host->backend = pw_netlink_backend();
	host->others = pw_netns_list_new();
	host->owner_names = pw_owner_names_new();
	if (host->others != NULL && host->owner_names != NULL)
		return host;
	pw_host_free(host);
	return NULL;
}

void pw_host_free(struct pw_host *host)
{
	if (host == NULL)
		return;
	for (size_t i = 0; i < host->n; i++)
		pw_namespace_free(host->namespaces[i]);
	host->backend->free(host->backend);
	pw_netns_list_free(host->others);
	pw_owner_names_free(host->owner_names);
	free(host->namespaces);
	free(host->polls);
	free(host->wanted);
	free(host);
}

struct pw_namespace *pw_host_add(struct pw_host *host, uint32_t index, const char *name, const char *path)
{
	struct pw_namespace *ns;

	if (!PW_ARRAY_ROOM(host->namespaces, host->room, host->n + 1) ||
		!PW_ARRAY_ROOM(host->polls, host->polls_room, host->n + 1))
		return NULL;
	ns = pw_namespace_new(index, name, path);
	if (ns == NULL)
		return NULL;
	ns->owner_names = host->owner_names;
	host->namespaces[host->n++] = ns;
	return ns;
}

/* Sockets that two takes, one after the other, may differ by: what came and went in between. */
static bool is_close(uint64_t a, uint64_t b)
{
	return (a > b ? a - b : b - a) <= 32 + (a + b) / 100;
}

/* Whether a take of each backend finds about as many sockets. */
static int compare(struct pw_namespace *ns, struct pw_backend *backend, struct pw_error *err)
{
	struct pw_census_totals dumped;
	const struct pw_census_totals *read = pw_census_totals(ns->census);

	if (pw_netlink_take(ns) < 0)
		return 0; /* nothing to compare with, and one reason more for the other */
	dumped = *read;
	ns->err.text[0] = '\0';
	ns->taken = false;
	backend->take(backend, &ns, 1);
	if (!ns->taken)
		return pw_error_set(err, "%s", ns->err.text);
	if (is_close(read->tcp, dumped.tcp) && (ns->udp_failed || is_close(read->udp, dumped.udp)))
		return 0;
	return pw_error_set(err, "it saw %u TCP and %u UDP sockets where netlink saw %u and %u", read->tcp, read->udp,
		dumped.tcp, dumped.udp);
}

void pw_host_set_backend(struct pw_host *host, struct pw_backend *backend)
{
	host->backend->free(host->backend);
	host->backend = backend;
	host->failures = 0;
	for (size_t i = 0; i < host->n; i++)
		host->namespaces[i]->outside = NULL;
}

void pw_host_fall_back(struct pw_host *host, const struct pw_error *why)
{
	snprintf(host->why_netlink, sizeof(host->why_netlink), "%.127s", why->text);
	pw_host_set_backend(host, pw_netlink_backend());
}

int pw_host_compare_backend(struct pw_host *host, struct pw_error *err)
{
	struct pw_namespace *first = host->namespaces[0];
	const bool probe = first->probe;
	int rc = -1;

	host->backend->unowned = PW_OWNER_ALL_PARTS;
	first->probe = false;
	if (pw_namespace_enter(first, err) == PW_READ_OK) {
		if (pw_namespace_read(first) != PW_READ_OK)
			pw_error_set(err, "%s", first->err.text);
		/* a burst in just that moment is no reason to do without it */
		for (int tries = 0; tries < 3 && rc < 0 && first->status == PW_READ_OK; tries++)
			rc = compare(first, host->backend, err);
		pw_namespace_leave(first);
	}
	first->probe = probe;
	first->empty = false;
	first->taken_ms = 0; /* the next poll takes them, whatever it has to go by */
	if (rc < 0)
		pw_host_fall_back(host, err);
	return rc;
}

bool pw_host_give_up_backend(struct pw_host *host, struct pw_error *why)
{
	if (host->failures < MOST_FAILURES)
		return false;
	*why = host->backend->failure;
	pw_host_fall_back(host, why);
	return true;
}

/* --- what is needed --- */

/* Sockets of which it is not known what they are: those that are only bound among them, which the kernel does not tell
 * of. */
static uint32_t count_spare(const struct pw_sockstat *counts)
{
	return counts->tcp_ports_max - counts->tcp - counts->tcp_time_wait;
}

/* Whether the socket counts alone show that no sockets need be taken: nothing can be listed, or (with idle-interval)
 * nothing can be near a threshold, or the kernel would have told, and they were taken recently enough. */
static bool is_quiet(const struct pw_host *host, const struct pw_namespace *ns)
{
	const struct pw_host_options *options = &host->options;
	const struct pw_sockstat *counts = &ns->counts;
	struct pw_portset capacity;
	struct pw_policy thresholds;
	uint32_t ports = counts->tcp_ports_max > counts->udp ? counts->tcp_ports_max : counts->udp, n, floor;

	if (options->monitor == NULL)
		return false;
	ports += pw_range_is_odd(&ns->range); /* the end that it loses is as good as gone */
	pw_range_capacity(&ns->range, &capacity);
	n = pw_portset_count(&capacity);
	if (ports < pw_policy_floor(options->policy, n) &&
		!pw_monitor_needs(options->monitor, ns->index, PW_SOURCE_SOCKETS))
		return true;
	if (options->look || options->idle_interval_ms <= options->interval_ms || ns->taken_ms == 0 ||
		pw_clock_boot_ms() - ns->taken_ms >= options->idle_interval_ms ||
		pw_monitor_alarmed(options->monitor, ns->index))
		return false;
	thresholds = *options->policy;
	thresholds.min_used = UINT32_MAX; /* of the floor, leave the thresholds alone */
	floor = pw_policy_floor(&thresholds, n);
	return ports < floor ||
		(options->silent && pw_monitor_reach_tells(options->monitor, ns->index) && counts->udp < floor &&
			count_spare(counts) <= ns->spare + SPARE_MORE);
}

static void set_options(const struct pw_host *host, struct pw_namespace *ns)
{
	const struct pw_host_options *options = &host->options;

	ns->policy = options->policy;
	ns->probe = options->probe;
	ns->probe_ms = options->probe_ms;
	/* others than before are looked at at once, whatever the interval */
	if (ns->snat.ranges != options->snat.ranges || ns->snat.n != options->snat.n)
		ns->snat_watch.dumped_ms = 0;
	ns->snat = options->snat;
	ns->snat.size = ns->path[0] == '\0' && !ns->replayed;
	ns->snat.floor = 1;
	/* fewer entries than these make no SNAT pool that could be listed */
	if (options->monitor != NULL && !pw_monitor_needs(options->monitor, ns->index, PW_SOURCE_SNAT))
		ns->snat.floor = pw_policy_pool_floor(
			options->policy, PW_SOURCE_SNAT, pw_snat_least_capacity(ns->snat.ranges, ns->snat.n), 0);
}

/* --- what others may take --- */

/* The time of other namespaces, at least. */
#define TIME_MIN_MS 1000

static uint64_t sockets_of(const struct pw_namespace *ns)
{
	return (uint64_t)ns->counts.tcp + ns->counts.tcp_time_wait + ns->counts.udp;
}

static bool is_other(const struct pw_host *host, const struct pw_namespace *ns)
{
	return ns->index != host->namespaces[0]->index;
}

/* Whoever may make a network namespace may fill it. Refused before anything of it is read. */
static bool is_too_much(struct pw_host *host, struct pw_namespace *ns)
{
	const uint64_t sockets = sockets_of(ns), most = host->options.max_sockets;

	if (most == 0 || !is_other(host, ns))
		return false;
	if (sockets <= host->largest && host->sockets + sockets <= most) {
		host->sockets += sockets;
		return false;
	}
	ns->status = PW_READ_FAILED;
	pw_error_set(&ns->err,
		"it has %llu sockets, and other namespaces than the own one may have %llu together (max-sockets)",
		(unsigned long long)sockets, (unsigned long long)most);
	return true;
}

static int compare_sockets(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* The smallest have room first: how many sockets the largest namespace may have at the next poll. */
static void share_sockets(struct pw_host *host)
{
	uint64_t *sizes = calloc(host->n, sizeof(*sizes)), sum = 0;
	size_t n = 0, i = 0;

	host->largest = host->options.max_sockets;
	if (sizes == NULL)
		return;
	for (size_t k = 0; k < host->n; k++)
		if (is_other(host, host->namespaces[k]))
			sizes[n++] = sockets_of(host->namespaces[k]);
	qsort(sizes, n, sizeof(*sizes), compare_sockets);
	while (i < n && sum + sizes[i] <= host->options.max_sockets)
		sum += sizes[i++];
	/* what is left is for one that grows; of those that are too large none is to take it from the others */
	if (i < n)
		host->largest = sizes[i] - 1;
	free(sizes);
}

/* --- a poll --- */

/* Has the backend take the sockets of n namespaces. */
static void take(struct pw_host *host, struct pw_namespace *const *wanted, size_t n)
{
	for (size_t i = 0; i < n; i++)
		wanted[i]->unowned = 0;
	host->backend->take(host->backend, wanted, n);
	for (size_t i = 0; i < n; i++) {
		struct pw_namespace *ns = wanted[i];

		ns->empty = false;
		if (!ns->taken)
			continue;
		ns->taken_ms = pw_clock_boot_ms();
		ns->spare = count_spare(&ns->counts);
		/* a capture is of one poll: it ends with the first one that was complete */
		if (ns->capture != NULL)
			pw_capture_end(&ns->input);
		ns->capture = NULL;
	}
}

/* A namespace that the walk passes through anyway. Only for its connection tracking table somebody has to go in. */
static bool read_outside(struct pw_host *host, struct pw_namespace *ns)
{
	if (pw_namespace_read_outside(ns) != PW_READ_OK)
		return false;
	ns->counted_only = is_too_much(host, ns);
	if (ns->snat.n != 0 && pw_namespace_enter(ns, NULL) == PW_READ_OK) {
		pw_namespace_read_snat(ns);
		pw_namespace_leave(ns);
	}
	return true;
}

/* None of its sources has counted yet. */
static void set_stale(struct pw_namespace *ns)
{
	for (int id = 0; id < PW_SOURCES; id++)
		if (ns->sources[id] != NULL)
			ns->sources[id]->fresh = false;
}

/* Reads a namespace. Returns whether its sockets are still to be taken. */
static bool read_namespace(struct pw_host *host, struct pw_namespace *ns)
{
	bool wanted = false;

	ns->err.text[0] = '\0';
	ns->taken = ns->skipped = false;
	set_stale(ns);
	set_options(host, ns);
	if (ns->outside != NULL)
		return read_outside(host, ns);
	ns->status = pw_namespace_enter(ns, &ns->err);
	if (ns->status == PW_READ_GONE)
		pw_input_free(&ns->input);
	if (ns->status != PW_READ_OK)
		return false;
	if (pw_namespace_read(ns) == PW_READ_OK) {
		wanted = !is_quiet(host, ns);
		if (wanted && is_too_much(host, ns))
			wanted = false;
		else if (!wanted)
			pw_namespace_make_empty(ns);
		else if (host->backend->inside)
			take(host, &ns, 1);
	}
	if (ns->status != PW_READ_GONE)
		pw_namespace_read_snat(ns);
	pw_namespace_leave(ns);
	return wanted && !host->backend->inside;
}

/* What was never read has nothing to keep. */
static void skip(struct pw_host *host, struct pw_namespace *ns)
{
	if (host->turn == 0)
		host->turn = ns->index;
	ns->skipped = true;
	set_stale(ns);
	if (ns->entered != 0)
		return;
	ns->status = PW_READ_FAILED;
	pw_error_set(&ns->err, "the time of the poll was up before its turn came");
}

int pw_host_poll(struct pw_host *host)
{
	const uint32_t time_ms = host->options.interval_ms > TIME_MIN_MS ? host->options.interval_ms : TIME_MIN_MS;
	const uint64_t end_ms = host->options.interval_ms != 0 ? pw_clock_boot_ms() + time_ms : UINT64_MAX;
	size_t first = 1;

	pw_host_find(host);
	/* the position from which other namespaces are read at this poll */
	while (first < host->n && host->namespaces[first]->index < host->turn)
		first++;
	first = first < host->n ? first : 1;
	host->turn = 0;
	host->sockets = 0;
	share_sockets(host);
	host->n_wanted = 0;
	if (!PW_ARRAY_ROOM(host->wanted, host->wanted_room, host->n + 1))
		return -1;
	for (size_t i = 0; i < host->n; i++) {
		struct pw_namespace *ns;

		if (host->options.stopping != NULL && host->options.stopping())
			return -1;
		/* the own one, then the others, beginning with that whose turn it is */
		ns = host->namespaces[i == 0 ? 0 : 1 + (first + i - 2) % (host->n - 1)];
		if (i > 1 && pw_clock_boot_ms() >= end_ms)
			skip(host, ns);
		else if (read_namespace(host, ns))
			host->wanted[host->n_wanted++] = ns;
	}
	if (host->turn != 0 && !host->slow)
		pw_log(LOG_WARNING, "polls of %zu network namespaces take longer than poll-interval: they take turns",
			host->n);
	else if (host->turn == 0 && host->slow)
		pw_log(LOG_NOTICE, "all network namespaces are read at each poll again");
	host->slow = host->turn != 0;
	host->backend->unowned = host->options.unowned;
	if (host->n_wanted > 0) {
		take(host, host->wanted, host->n_wanted);
		host->failures = host->backend->failure.text[0] != '\0' ? host->failures + 1 : 0;
	}
	for (size_t i = 0; i < host->n; i++)
		pw_namespace_result(host->namespaces[i], &host->polls[i]);
	return 0;
}

void pw_host_take_owners(struct pw_host *host)
{
	host->backend->unowned = 0;
	if (host->n_wanted == 0)
		return;
	take(host, host->wanted, host->n_wanted);
	for (size_t i = 0; i < host->n; i++)
		host->polls[i].unowned = host->namespaces[i]->unowned;
}

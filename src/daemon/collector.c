/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/collector.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "kernel/collect.h"
#include "kernel/netns.h"
#include "kernel/netns_list.h"
#include "kernel/namespace.h"
#include "watch/failure.h"
#include "watch/monitor.h"

/* pwNsIndex of the daemon's own namespace. */
#define OWN_INDEX 1

/* A watched namespace. */
struct watch {
	struct pw_target *target;
	struct pw_failure failure;
	bool failing;             /* the last poll failed: log only changes */
	enum pw_snat_status snat; /* at the last poll: the same */
	bool listed;              /* still wanted, and there */
};

struct pw_collector {
	const struct pw_config *config;
	struct pw_handover *handover;
	struct pw_monitor *monitor;
	struct pw_netns_list *namespaces;
	struct pw_owner_names *owner_names;
	struct pw_connect_failures *failures;
	struct pw_failing failing;
	struct pw_connect_failures_poll failed; /* of the last poll */
	struct watch *watches;                  /* the own namespace first */
	struct pw_ns_poll *polls;               /* one a watch, as the monitor wants them */
	size_t n, size;
	bool (*stopping)(void); /* or NULL */
	bool probing;
	bool confined;    /* other namespaces are wanted, and may not be entered: said once */
	bool omitting;    /* some active alarms have no row: said once */
	uint64_t dropped; /* what of the monitor's losses has been logged */
};

static uint32_t last_event_id(const struct pw_pool_key *key, void *context)
{
	return pw_handover_last_id(context, key);
}

/* --- events --- */

static void emit(const struct pw_event *event, void *context)
{
	struct pw_collector *collector = context;
	char text[PW_EVENT_TEXT_MAX];

	pw_log(pw_event_priority(event), "%s", pw_event_text(event, text, sizeof(text)));
	if (pw_handover_post(collector->handover, event) < 0)
		pw_log(LOG_ERR,
			"notification %u could not be queued: too many are owed, or out of memory; the alarm stays in the tables",
			event->id);
}

/* --- namespaces --- */

static bool names_others(const struct pw_config *config)
{
	return config->namespaces.all || config->namespaces.n_names > 0;
}

/* Whether other namespaces are to be watched. Without the privilege each of them would fail at every poll: then only the own one is
 * watched, and that is said once. */
static bool watches_others(struct pw_collector *collector)
{
	const char *reason = "";
	bool wanted = names_others(collector->config), confined = wanted && !pw_netns_available(&reason);

	if (confined && !collector->confined)
		pw_log(LOG_WARNING, "only the own network namespace is watched, the configuration names others: %s",
			reason);
	collector->confined = confined;
	return wanted && !confined;
}

static int grow_watches(struct pw_collector *collector)
{
	size_t size = collector->size == 0 ? 8 : collector->size * 2;
	struct watch *watches = realloc(collector->watches, size * sizeof(*watches));
	struct pw_ns_poll *polls;

	if (watches == NULL)
		return -1;
	collector->watches = watches;
	polls = realloc(collector->polls, size * sizeof(*polls));
	if (polls == NULL)
		return -1;
	collector->polls = polls;
	collector->size = size;
	return 0;
}

static int add_watch(struct pw_collector *collector, uint32_t index, const char *name, const char *path)
{
	struct pw_target *target;

	if (collector->n == collector->size && grow_watches(collector) < 0)
		return -1;
	target = pw_target_new(index, name, path);
	if (target == NULL)
		return -1;
	pw_target_set_probe(target, collector->probing);
	pw_target_set_owner_names(target, collector->owner_names);
	collector->watches[collector->n++] = (struct watch){.target = target, .listed = true};
	return 0;
}

static struct watch *find_watch(struct pw_collector *collector, uint32_t index)
{
	for (size_t i = 0; i < collector->n; i++)
		if (pw_target_index(collector->watches[i].target) == index)
			return &collector->watches[i];
	return NULL;
}

static void follow_entry(struct pw_collector *collector, const struct pw_netns_entry *entry)
{
	struct watch *watch = find_watch(collector, entry->index);

	if (watch != NULL) {
		watch->listed = true;
		pw_target_set_path(watch->target, entry->path);
	} else if (add_watch(collector, entry->index, entry->name, entry->path) == 0) {
		pw_log(LOG_INFO, "network namespace %s: watched from now on", entry->name);
	} else {
		pw_log(LOG_ERR, "network namespace %s: not watched: out of memory", entry->name);
	}
}

static void tell_failure(struct pw_collector *collector, struct pw_event *event)
{
	event->id = pw_monitor_next_event_id(collector->monitor);
	event->time = pw_clock_wall();
	emit(event, collector);
}

static void drop_watch(struct pw_collector *collector, struct watch *watch)
{
	const char *name = pw_target_name(watch->target);
	struct pw_event event;

	pw_log(LOG_INFO, "network namespace %s: gone", name);
	if (pw_failure_end(&watch->failure, pw_target_index(watch->target), name, &event))
		tell_failure(collector, &event);
	pw_target_free(watch->target);
}

static void drop_gone(struct pw_collector *collector)
{
	size_t kept = 1;

	for (size_t i = 1; i < collector->n; i++) {
		struct watch *watch = &collector->watches[i];

		if (watch->listed) {
			collector->watches[kept++] = *watch;
			continue;
		}
		drop_watch(collector, watch);
	}
	collector->n = kept;
}

/* Brings the watches in line with the namespaces that are there and wanted. */
static void find_namespaces(struct pw_collector *collector)
{
	const struct pw_config *config = collector->config;
	bool others = watches_others(collector);

	if (!others && collector->n == 1)
		return;
	pw_netns_list_update(collector->namespaces, others && config->namespaces.all, config->namespaces.names,
		others ? config->namespaces.n_names : 0, pw_clock_boot_ms());
	for (size_t i = 1; i < collector->n; i++)
		collector->watches[i].listed = false;
	for (size_t i = 0; i < pw_netns_list_count(collector->namespaces); i++)
		follow_entry(collector, pw_netns_list_entry(collector->namespaces, i));
	drop_gone(collector);
}

/* --- making one --- */

struct pw_collector *pw_collector_new(const struct pw_config *config, struct pw_handover *handover,
	struct pw_connect_failures *failures, struct pw_error *err)
{
	struct pw_collector *collector = calloc(1, sizeof(*collector));

	if (collector == NULL)
		goto out_of_memory;
	collector->handover = handover;
	collector->failures = failures;
	collector->monitor = pw_monitor_new(&config->policy, pw_clock_wall());
	collector->namespaces = pw_netns_list_new();
	collector->owner_names = pw_owner_names_new();
	if (collector->monitor == NULL || collector->namespaces == NULL || collector->owner_names == NULL ||
		add_watch(collector, OWN_INDEX, "", NULL) < 0)
		goto out_of_memory;
	pw_monitor_set_event_ids(collector->monitor, last_event_id, handover);
	pw_collector_set_config(collector, config);
	return collector;

out_of_memory:
	pw_collector_free(collector);
	pw_error_set(err, "out of memory");
	return NULL;
}

void pw_collector_free(struct pw_collector *collector)
{
	if (collector == NULL)
		return;
	for (size_t i = 0; i < collector->n; i++)
		pw_target_free(collector->watches[i].target);
	free(collector->watches);
	free(collector->polls);
	pw_netns_list_free(collector->namespaces);
	pw_owner_names_free(collector->owner_names);
	pw_monitor_free(collector->monitor);
	free(collector);
}

/* Whether ports in doubt are probed from now on; said at the start and when it changes. */
static void choose_probing(struct pw_collector *collector)
{
	const char *reason = "probe = off";
	bool can = collector->config->probe != PW_PROBE_OFF && pw_probe_available(&reason);
	bool first = pw_target_dumped_ms(collector->watches[0].target) == 0;

	if (!can && collector->config->probe == PW_PROBE_ON)
		pw_log(LOG_WARNING, "probe = on, but ports in doubt cannot be probed: %s", reason);
	else if (first || can != collector->probing)
		pw_log(LOG_INFO, "ports in doubt are %s%s%s", can ? "probed" : "not probed: ", can ? "" : reason,
			can ? "" : " (they count as free)");
	collector->probing = can;
	for (size_t i = 0; i < collector->n; i++)
		pw_target_set_probe(collector->watches[i].target, can);
}

void pw_collector_set_config(struct pw_collector *collector, const struct pw_config *config)
{
	collector->config = config;
	pw_monitor_set_policy(collector->monitor, &config->policy);
	pw_monitor_set_renotify(collector->monitor, config->notify.renotify_s);
	pw_handover_set_rate(collector->handover, config->notify.max_per_minute);
	choose_probing(collector);
}

void pw_collector_set_config_failed(struct pw_collector *collector, bool failed)
{
	pw_monitor_set_config_failed(collector->monitor, failed);
}

/* --- polling --- */

/* Whether the socket counts alone show that no dump is needed: nothing can be listed, or (with idle-interval) nothing can be near a
 * threshold and the last dump is recent enough. */
static bool is_quiet(
	const struct pw_target *target, const struct pw_range *range, const struct pw_sockstat *counts, void *context)
{
	const struct pw_collector *collector = context;
	const struct pw_config *config = collector->config;
	const uint64_t dumped_ms = pw_target_dumped_ms(target);
	struct pw_portset capacity;
	struct pw_policy thresholds = config->policy;
	uint32_t ports = counts->tcp_ports_max > counts->udp ? counts->tcp_ports_max : counts->udp, n;

	ports += pw_range_is_odd(range); /* the end that it loses is as good as gone */
	pw_range_capacity(range, &capacity);
	n = pw_portset_count(&capacity);
	if (ports < pw_policy_floor(&config->policy, n) &&
		!pw_monitor_needs(collector->monitor, pw_target_index(target)))
		return true;
	thresholds.min_used = UINT32_MAX; /* of the floor, leave the thresholds alone */
	return config->idle_interval_ms > config->poll_interval_ms && ports < pw_policy_floor(&thresholds, n) &&
		dumped_ms != 0 && pw_clock_boot_ms() - dumped_ms < config->idle_interval_ms;
}

/* Failing polls: the log says it when it begins and when it ends, a notification goes out after some in a row. */
static void follow_failure(struct pw_collector *collector, struct watch *watch, bool failed)
{
	const char *name = pw_target_name(watch->target), *error = pw_target_error(watch->target);
	struct pw_event event;

	if (failed && !watch->failing)
		pw_log(LOG_ERR, "%s%spoll failed: %s", name, name[0] != '\0' ? ": " : "", error);
	else if (!failed && watch->failing)
		pw_log(LOG_NOTICE, "%s%spolls succeed again", name, name[0] != '\0' ? ": " : "");
	watch->failing = failed;
	if (!pw_failure_step(&watch->failure, pw_target_index(watch->target), name, failed ? error : NULL, &event))
		return;
	tell_failure(collector, &event);
}

/* Fewer entries than these make no SNAT pool that could be listed. */
static uint32_t snat_floor(const struct pw_collector *collector, const struct watch *watch)
{
	const struct pw_config *config = collector->config;

	if (pw_monitor_needs_snat(collector->monitor, pw_target_index(watch->target)))
		return 1;
	return pw_policy_snat_floor(
		&config->policy, pw_snat_least_capacity(config->snat.ranges, config->snat.n_ranges));
}

static void follow_snat(struct watch *watch, const struct pw_snat_poll *snat)
{
	const char *name = pw_target_name(watch->target), *colon = name[0] != '\0' ? ": " : "";

	if (snat->status == PW_SNAT_UNAVAILABLE && watch->snat != PW_SNAT_UNAVAILABLE)
		pw_log(LOG_WARNING, "%s%stranslated ports are not watched: %s", name, colon, snat->reason);
	else if (snat->status == PW_SNAT_COUNTING && watch->snat == PW_SNAT_UNAVAILABLE)
		pw_log(LOG_NOTICE, "%s%stranslated ports are watched again", name, colon);
	watch->snat = snat->status;
}

static void poll_watch(struct pw_collector *collector, struct watch *watch, struct pw_ns_poll *poll)
{
	struct pw_collect_stats stats = {0};

	pw_target_set_snat(watch->target,
		&(struct pw_snat_options){.ranges = collector->config->snat.ranges,
			.n = collector->config->snat.n_ranges,
			.interval_ms = collector->config->snat.interval_s * 1000,
			.floor = snat_floor(collector, watch)});
	pw_target_poll(watch->target, is_quiet, collector, poll, &stats);
	if (poll->status != PW_POLL_GONE) { /* of that one, drop_watch() tells */
		follow_failure(collector, watch, poll->status == PW_POLL_FAILED || poll->udp_status == PW_POLL_FAILED);
		follow_snat(watch, &poll->snat);
	}
	if (poll->status == PW_POLL_COUNTED && pw_log_enabled(LOG_DEBUG))
		pw_log(LOG_DEBUG,
			"%sdump: %u messages, %u bytes, %u retries in %llu us; %u not-AUTO passes in %llu us; %u probes in %llu us",
			poll->name, stats.messages, stats.bytes, stats.retries, (unsigned long long)stats.dump_us,
			stats.bound_dumps, (unsigned long long)stats.bound_us, stats.probes,
			(unsigned long long)stats.probe_us);
}

/* Says when the limits of the tables or of the memory cost something. */
static void follow_limits(struct pw_collector *collector, const struct pw_snapshot *snapshot)
{
	bool omitting = snapshot->alarms_omitted != 0;

	if (omitting && !collector->omitting)
		pw_log(LOG_WARNING, "%u of %u active alarms have no row, because max-alarms is %u",
			snapshot->alarms_omitted, snapshot->active_alarms, collector->config->policy.max_alarms);
	else if (!omitting && collector->omitting)
		pw_log(LOG_NOTICE, "all active alarms have rows again");
	collector->omitting = omitting;
	if (snapshot->dropped != collector->dropped)
		pw_log(LOG_ERR, "out of memory: %llu pools, histories or snapshots were lost since the start",
			(unsigned long long)snapshot->dropped);
	collector->dropped = snapshot->dropped;
}

/* Whether failing connects are counted is said at the start and when it changes. */
static void log_counting(const struct pw_connect_failures_poll *was, const struct pw_connect_failures_poll *now)
{
	bool first = !was->counting && was->reason[0] == '\0';

	if (now->counting && !was->counting)
		pw_log(LOG_INFO, "failing connects are counted");
	else if (!now->counting && strcmp(was->reason, now->reason) != 0)
		pw_log(first || was->reason[0] != '\0' ? LOG_INFO : LOG_NOTICE, "failing connects are not counted: %s",
			now->reason);
}

static void follow_connects(struct pw_collector *collector)
{
	struct pw_connect_failures_poll now;
	struct pw_event event;

	pw_connect_failures_poll(collector->failures, collector->config->connect_failures, &now);
	log_counting(&collector->failed, &now);
	collector->failed = now;
	if (!pw_failing_step(&collector->failing, now.total, &now.processes, pw_clock_boot_ms(), &event))
		return;
	event.id = pw_monitor_next_event_id(collector->monitor);
	event.time = pw_clock_wall();
	emit(&event, collector);
}

void pw_collector_set_stopping(struct pw_collector *collector, bool (*stopping)(void))
{
	collector->stopping = stopping;
}

/* Returns -1 when the poll was given up: half of the namespaces would look like the end of all alarms in the others. */
static int poll_watches(struct pw_collector *collector)
{
	for (size_t i = 0; i < collector->n; i++) {
		if (collector->stopping != NULL && collector->stopping())
			return -1;
		poll_watch(collector, &collector->watches[i], &collector->polls[i]);
	}
	return 0;
}

void pw_collector_poll(struct pw_collector *collector)
{
	uint64_t start_us = pw_clock_boot_us();
	struct pw_poll poll = {.interval_ms = collector->config->poll_interval_ms};
	const struct pw_snapshot *snapshot;

	find_namespaces(collector);
	if (poll_watches(collector) < 0)
		return;
	follow_connects(collector);
	poll.connect_failures = collector->failed.total;
	poll.connect_failures_counting = collector->failed.counting;
	poll.connect_failures_reason = collector->failed.reason;
	poll.ns = collector->polls;
	poll.n_ns = collector->n;
	poll.wall = pw_clock_wall();
	poll.now_ms = pw_clock_boot_ms();
	poll.duration_us = (uint32_t)(pw_clock_boot_us() - start_us);
	snapshot = pw_monitor_update(collector->monitor, &poll, emit, collector);
	if (snapshot == NULL) {
		pw_log(LOG_ERR, "out of memory: the tables keep the numbers of the last poll");
		return;
	}
	follow_limits(collector, snapshot);
	pw_handover_publish(collector->handover, snapshot);
}

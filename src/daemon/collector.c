#include "daemon/collector.h"

#include <net/if.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "collect/collect.h"
#include "model/failure.h"
#include "model/monitor.h"

/* pwNsIndex of the daemon's own namespace. */
#define OWN_INDEX 1

struct pw_collector {
	const struct pw_config *config;
	struct pw_handover *handover;
	struct pw_monitor *monitor;
	struct pw_source *source;
	struct pw_census *census;
	struct pw_failure failure;
	struct pw_error err;
	bool failing;               /* the last poll failed: log only changes */
	bool probing;
	uint64_t last_dump_ms;
	char ifname[IF_NAMESIZE];   /* what the last interface_name() returned */
};

/* --- the monitor's questions --- */

static const char *interface_name(uint32_t ifindex, void *context)
{
	struct pw_collector *collector = context;

	return if_indextoname(ifindex, collector->ifname);
}

static uint32_t alloc_latency(const struct pw_pool_key *key, void *context)
{
	struct pw_collector *collector = context;
	bool exhausted;

	return pw_source_alloc_latency(collector->source, key, &exhausted);
}

static uint32_t last_event_id(const struct pw_pool_key *key, void *context)
{
	return pw_handover_last_id(context, key);
}

/* --- making one --- */

/* Opens the source with or without probes. Settings of an open source do not change, so a reload that switches probing opens
 * another one. */
static int open_source(struct pw_collector *collector, struct pw_error *err)
{
	const char *reason = "probe = off";
	bool can = collector->config->probe != PW_PROBE_OFF && pw_probe_available(&reason);
	const struct pw_source_options options = {.probe = can};
	struct pw_source *source;

	if (collector->source != NULL && can == collector->probing)
		return 0;
	source = pw_source_kernel(&options, err);
	if (source == NULL)
		return -1;
	if (!can && collector->config->probe == PW_PROBE_ON)
		pw_log(LOG_WARNING, "probe = on, but ports in doubt cannot be probed: %s", reason);
	else
		pw_log(LOG_INFO, "ports in doubt are %s%s%s", can ? "probed" : "not probed: ", can ? "" : reason,
			can ? "" : " (doubtful ports count as free)");
	pw_source_free(collector->source);
	collector->source = source;
	collector->probing = can;
	return 0;
}

struct pw_collector *pw_collector_new(const struct pw_config *config, struct pw_handover *handover, struct pw_error *err)
{
	struct pw_collector *collector = calloc(1, sizeof(*collector));

	if (collector == NULL)
		goto out_of_memory;
	collector->config = config;
	collector->handover = handover;
	collector->monitor = pw_monitor_new(&config->policy, pw_clock_wall());
	collector->census = pw_census_new(OWN_INDEX);
	if (collector->monitor == NULL || collector->census == NULL)
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
	pw_source_free(collector->source);
	pw_census_free(collector->census);
	pw_monitor_free(collector->monitor);
	free(collector);
}

void pw_collector_set_config(struct pw_collector *collector, const struct pw_config *config)
{
	collector->config = config;
	pw_monitor_set_policy(collector->monitor, &config->policy);
	pw_monitor_set_renotify(collector->monitor, config->notify.renotify_s);
	pw_handover_set_rate(collector->handover, config->notify.max_per_minute);
	if (collector->source != NULL && open_source(collector, &collector->err) < 0)
		pw_log(LOG_WARNING, "probing stays as it was: %s", collector->err.text);
}

void pw_collector_set_config_failed(struct pw_collector *collector, bool failed)
{
	pw_monitor_set_config_failed(collector->monitor, failed);
}

/* --- polling --- */

/* Whether the socket counts alone show that no dump is needed: nothing can be listed, or (with idle-interval) nothing can be near a
 * threshold and the last dump is recent enough. */
static bool is_quiet(const struct pw_collector *collector, const struct pw_range *range, const struct pw_sockstat *counts)
{
	const struct pw_config *config = collector->config;
	struct pw_portset capacity;
	struct pw_policy thresholds = config->policy;
	uint32_t ports = counts->tcp_ports_max > counts->udp ? counts->tcp_ports_max : counts->udp, n;

	pw_range_capacity(range, &capacity);
	n = pw_portset_count(&capacity);
	if (ports < pw_policy_floor(&config->policy, n) && !pw_monitor_needs(collector->monitor, OWN_INDEX))
		return true;
	thresholds.min_used = UINT32_MAX; /* of the floor, leave the thresholds alone */
	return config->idle_interval_ms > config->poll_interval_ms && ports < pw_policy_floor(&thresholds, n) &&
		collector->last_dump_ms != 0 && pw_clock_boot_ms() - collector->last_dump_ms < config->idle_interval_ms;
}

static enum pw_poll_status count_sockets(struct pw_collector *collector, const struct pw_range *range, struct pw_ns_poll *poll)
{
	struct pw_collect_stats stats = {0};
	bool udp_failed = false;

	if (pw_source_sockets(collector->source, range, collector->census, &udp_failed, &stats, &collector->err) != PW_COLLECT_OK)
		return PW_POLL_FAILED;
	poll->udp_status = udp_failed ? PW_POLL_FAILED : PW_POLL_COUNTED;
	collector->last_dump_ms = pw_clock_boot_ms();
	pw_log(LOG_DEBUG, "dump: %u messages, %u bytes, %u retries in %llu us; %u not-AUTO passes in %llu us; %u probes in %llu us",
		stats.messages, stats.bytes, stats.retries, (unsigned long long)stats.dump_us, stats.bound_dumps,
		(unsigned long long)stats.bound_us, stats.probes, (unsigned long long)stats.probe_us);
	return PW_POLL_COUNTED;
}

static enum pw_poll_status poll_namespace(struct pw_collector *collector, struct pw_ns_poll *poll)
{
	struct pw_range range;
	struct pw_sockstat counts;

	if (collector->source == NULL && open_source(collector, &collector->err) < 0)
		return PW_POLL_FAILED;
	if (pw_source_range(collector->source, &range, &collector->err) != PW_COLLECT_OK ||
		pw_source_sockstat(collector->source, &counts, &collector->err) != PW_COLLECT_OK)
		return PW_POLL_FAILED;
	poll->tcp = counts.tcp;
	poll->tcp_time_wait = counts.tcp_time_wait;
	poll->udp = counts.udp;
	if (!is_quiet(collector, &range, &counts))
		return count_sockets(collector, &range, poll);
	pw_census_begin(collector->census, &range);
	pw_census_finish(collector->census);
	return PW_POLL_QUIET;
}

static void emit(const struct pw_event *event, void *context)
{
	struct pw_collector *collector = context;
	char text[PW_EVENT_TEXT_MAX];

	pw_log(pw_event_priority(event), "%s", pw_event_text(event, text, sizeof(text)));
	if (pw_handover_post(collector->handover, event) < 0)
		pw_log(LOG_ERR, "notification %u could not be queued: too many are owed, or out of memory; the alarm stays in the tables",
			event->id);
}

/* Failing polls: the log says it when it begins and when it ends, a notification goes out after some in a row. */
static void follow_failure(struct pw_collector *collector, bool failed)
{
	struct pw_event event;

	if (failed && !collector->failing)
		pw_log(LOG_ERR, "poll failed: %s", collector->err.text);
	else if (!failed && collector->failing)
		pw_log(LOG_NOTICE, "polls succeed again");
	collector->failing = failed;
	if (!pw_failure_step(&collector->failure, OWN_INDEX, "", failed ? collector->err.text : NULL, &event))
		return;
	event.id = pw_monitor_next_event_id(collector->monitor);
	event.time = pw_clock_wall();
	emit(&event, collector);
}

void pw_collector_poll(struct pw_collector *collector)
{
	uint64_t start_us = pw_clock_boot_us();
	struct pw_ns_poll ns = {.index = OWN_INDEX, .name = "", .udp_status = PW_POLL_COUNTED, .census = collector->census,
		.ifname = interface_name, .alloc_latency = collector->probing ? alloc_latency : NULL, .context = collector};
	struct pw_poll poll = {.ns = &ns, .n_ns = 1, .interval_ms = collector->config->poll_interval_ms,
		.connect_failures_reason = "this build does not count failing connects"};
	const struct pw_snapshot *snapshot;

	collector->err.text[0] = '\0';
	ns.status = poll_namespace(collector, &ns);
	follow_failure(collector, ns.status == PW_POLL_FAILED || ns.udp_status == PW_POLL_FAILED);
	poll.wall = pw_clock_wall();
	poll.now_ms = pw_clock_boot_ms();
	poll.duration_us = (uint32_t)(pw_clock_boot_us() - start_us);
	snapshot = pw_monitor_update(collector->monitor, &poll, emit, collector);
	if (snapshot != NULL)
		pw_handover_publish(collector->handover, snapshot);
	else
		pw_log(LOG_ERR, "out of memory: the tables keep the numbers of the last poll");
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/collector.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/log.h"
#include "daemon/kept.h"
#include "daemon/remarks.h"
#include "kernel/host.h"
#include "kernel/netns.h"
#include "kernel/probe.h"
#include "watch/failure.h"
#include "watch/monitor.h"
#include "watch/state.h"

/* Who has the sockets is read within this time where that costs a third of the poll, of a part of them at each, and
 * beyond that only when it matters. */
#define OWNERS_MS 10000
#define OWNERS_PART_MS (OWNERS_MS / PW_OWNER_PARTS)

struct pw_collector {
	const struct pw_config *config;
	struct pw_exchange *exchange;
	struct pw_monitor *monitor;
	struct pw_host *host;
	struct pw_connect_events *events;
	struct pw_failing failing;
	struct pw_connect_events_poll failed; /* of the last poll */
	struct pw_ringing ringing;
	uint64_t own_inode; /* of the own network namespace */
	bool (*stopping)(void);
	struct pw_journal *journal;
	struct pw_kept *kept;             /* or NULL */
	bool noted;                       /* the journal has something that its file lacks */
	bool walks;                       /* sockets are read by BPF */
	bool probing;                     /* ports in doubt are probed */
	bool wants_owners;                /* the last poll was to know who has the sockets, all of them */
	uint64_t owned_ms;                /* up to when the owners are read that are due; 0: none yet */
	uint32_t owner_part, owner_round; /* the next part of them, in this round */
	struct pw_remarks remarks;
};

/* --- events --- */

/* Posts first: nothing that the log does may hold up an alarm. */
static void emit(struct pw_collector *collector, const struct pw_event *event)
{
	char text[PW_EVENT_TEXT_MAX];
	struct pw_pool_key given_up;

	pw_kept_hold(collector->kept);
	switch (pw_exchange_post(collector->exchange, event, &given_up)) {
	case PW_POSTED: break;
	case PW_POSTED_INSTEAD: pw_monitor_repost(collector->monitor, &given_up); break;
	case PW_NOT_POSTED: pw_monitor_repost(collector->monitor, &event->key); break;
	}
	if (event->logged)
		return;
	pw_journal_add(collector->journal, event);
	collector->noted = true;
	pw_log(pw_event_priority(event), "%s", pw_event_text(event, text, sizeof(text)));
}

static void tell_failure(struct pw_collector *collector, struct pw_event *event)
{
	event->id = pw_monitor_next_event_id(collector->monitor);
	event->time = pw_clock_wall();
	emit(collector, event);
}

/* --- what survives a restart --- */

void pw_collector_save(struct pw_collector *collector)
{
	pw_kept_close(collector->kept);
	collector->kept = NULL;
}

/* What is no pool: a failing collector is to recover, also one of a namespace that is there no more; its table is back
 * to normal by that. */
static void learn_other(struct pw_collector *collector, const struct pw_told *told)
{
	struct pw_failure failure = {.announced = true};
	struct pw_conntrack conntrack = {.row.state = told->state};
	const char *ns_name = strrchr(told->name, '@');
	struct pw_event event;

	ns_name = ns_name != NULL ? ns_name + 1 : "";
	for (size_t i = 0; i < collector->host->n; i++) {
		struct pw_namespace *ns = collector->host->namespaces[i];

		if (ns->index != told->key.ns)
			continue;
		if (told->key.kind == PW_TOLD_COLLECTOR)
			ns->failure.announced = true;
		else /* its polls fail since the start */
			pw_conntrack_learn(&ns->conntrack, told->state, told->maybe);
		return;
	}
	if (told->key.kind == PW_TOLD_COLLECTOR ? pw_failure_end(&failure, told->key.ns, ns_name, &event)
						: pw_conntrack_end(&conntrack, told->key.ns, ns_name, &event))
		tell_failure(collector, &event);
}

/* What an earlier process told is known to this one. */
static void learn(struct pw_collector *collector)
{
	struct pw_told told;

	while (pw_state_learned(collector->monitor, &told)) {
		pw_exchange_learn(collector->exchange, &told);
		if (!pw_told_is_pool(&told.key))
			learn_other(collector, &told);
	}
}

/* --- making one --- */

bool pw_collector_walks(const struct pw_collector *collector)
{
	return collector->walks;
}

static void log_netlink(const struct pw_config *config, const struct pw_error *why)
{
	pw_log(config->backend == PW_BACKEND_BPF ? LOG_WARNING : LOG_INFO, "sockets are read by netlink: %s",
		why->text);
}

struct pw_collector *pw_collector_new(const struct pw_collector_parts *parts, struct pw_error *err)
{
	const struct pw_config *config = parts->config;
	struct pw_collector *collector = calloc(1, sizeof(*collector));
	struct stat st;

	if (collector == NULL)
		goto out_of_memory;
	collector->config = config;
	collector->exchange = parts->exchange;
	collector->events = parts->events;
	collector->journal = parts->journal;
	collector->stopping = parts->stopping;
	collector->own_inode = stat("/proc/self/ns/net", &st) == 0 ? st.st_ino : 0;
	collector->monitor = pw_monitor_new(&config->policy, pw_clock_wall());
	collector->host = pw_host_new();
	if (collector->monitor == NULL || collector->host == NULL ||
		pw_host_add(collector->host, PW_OWN_INDEX, "", NULL) == NULL)
		goto out_of_memory;
	collector->ringing.host = collector->host;
	collector->walks = parts->walk != NULL;
	if (collector->walks) {
		pw_host_set_backend(collector->host, parts->walk);
		pw_log(LOG_INFO, "sockets are read by BPF");
	} else {
		if (config->backend != PW_BACKEND_NETLINK)
			pw_host_fall_back(collector->host, parts->why);
		log_netlink(config, parts->why);
	}
	pw_collector_set_config(collector, config);
	collector->kept = pw_kept_open(config->state_file, collector->monitor, collector->exchange, collector->journal);
	return collector;

out_of_memory:
	if (parts->walk != NULL)
		parts->walk->free(parts->walk);
	pw_collector_free(collector);
	pw_error_set(err, "out of memory");
	return NULL;
}

void pw_collector_free(struct pw_collector *collector)
{
	if (collector == NULL)
		return;
	pw_host_free(collector->host);
	pw_monitor_free(collector->monitor);
	free(collector);
}

void pw_collector_set_config(struct pw_collector *collector, const struct pw_config *config)
{
	const char *reason = "probe = off";

	collector->config = config;
	pw_monitor_set_policy(collector->monitor, &config->policy);
	pw_monitor_set_renotify(collector->monitor, config->notify.renotify_s);
	pw_monitor_set_max_flaps(collector->monitor, config->notify.max_flaps);
	pw_exchange_set_rate(collector->exchange, config->notify.max_per_minute);
	pw_ringing_forget(&collector->ringing);
	collector->probing = config->probe != PW_PROBE_OFF && pw_probe_available(&reason);
	if (!collector->walks) /* else no port is in doubt */
		pw_remark_probing(&collector->remarks, config->probe, collector->probing, reason);
}

/* The backend has gone. What is to be probed, and what is said about that, is another thing by netlink. */
static void go_on_by_netlink(struct pw_collector *collector, const struct pw_error *why)
{
	collector->walks = false;
	log_netlink(collector->config, why);
	pw_collector_set_config(collector, collector->config);
}

bool pw_collector_compare(struct pw_collector *collector)
{
	struct pw_error why;

	if (!collector->walks || pw_host_compare_backend(collector->host, &why) == 0)
		return true;
	go_on_by_netlink(collector, &why);
	return false;
}

bool pw_collector_give_up_walk(struct pw_collector *collector)
{
	struct pw_error why;

	if (!collector->walks || !pw_host_give_up_backend(collector->host, &why))
		return false;
	go_on_by_netlink(collector, &why);
	return true;
}

void pw_collector_set_config_failed(struct pw_collector *collector, bool failed)
{
	pw_monitor_set_config_failed(collector->monitor, failed);
}

/* --- polling --- */

/* A failure of polls that was told ends with its namespace. */
static void end_failure(struct pw_namespace *ns, void *context)
{
	struct pw_event event;

	if (pw_failure_end(&ns->failure, ns->index, ns->name, &event))
		tell_failure(context, &event);
	if (pw_conntrack_end(&ns->conntrack, ns->index, ns->name, &event))
		tell_failure(context, &event);
}

/* Which parts of the sockets the next poll may leave the owners out of. */
static uint32_t unowned_parts(const struct pw_collector *collector)
{
	const uint64_t elapsed_ms = pw_clock_boot_ms() - collector->owned_ms;
	const uint64_t due = (elapsed_ms + OWNERS_PART_MS / 2) / OWNERS_PART_MS;

	if (!collector->walks || collector->owned_ms == 0 || collector->wants_owners || due >= PW_OWNER_PARTS)
		return 0;
	return PW_OWNER_ALL_PARTS & ~(((1u << due) - 1) << collector->owner_part);
}

/* After a poll that left them out of these parts. */
static void account_owners(struct pw_collector *collector, uint32_t unowned)
{
	const uint32_t read = (uint32_t)__builtin_popcount(PW_OWNER_ALL_PARTS & ~unowned);

	if (unowned == 0)
		collector->owned_ms = pw_clock_boot_ms();
	else
		collector->owned_ms += (uint64_t)read * OWNERS_PART_MS;
	collector->owner_part += read;
	if (unowned == 0 || collector->owner_part == PW_OWNER_PARTS) {
		collector->owner_part = 0;
		collector->owner_round++;
	}
}

static void set_host_options(struct pw_collector *collector)
{
	const struct pw_config *config = collector->config;
	const char *reason = "";
	/* what does not read other namespaces from the outside needs a privilege; without it each of them would fail at
	 * every poll: then only the own one is watched, and the log says so */
	const bool wanted = config->namespaces.all || config->namespaces.n_names > 0;
	const bool confined = wanted && !collector->walks && !pw_netns_available(&reason);

	pw_remark_confined(&collector->remarks, confined, reason);
	collector->host->options = (struct pw_host_options){.all = !confined && config->namespaces.all,
		.names = config->namespaces.names,
		.n_names = confined ? 0 : config->namespaces.n_names,
		.max_sockets = config->namespaces.max_sockets,
		.probe = collector->probing,
		.snat = {.ranges = config->snat.ranges,
			.n = config->snat.n_ranges,
			.interval_ms = config->snat.interval_s * 1000},
		.monitor = collector->monitor,
		.policy = &config->policy,
		.interval_ms = config->poll_interval_ms,
		.idle_interval_ms = config->idle_interval_ms,
		.look = collector->ringing.looks,
		.unowned = unowned_parts(collector),
		.silent = collector->ringing.rings != NULL && !collector->ringing.looks,
		.stopping = collector->stopping,
		.gone = end_failure,
		.context = collector};
}

static void follow_conntrack(struct pw_collector *collector, struct pw_namespace *ns, struct pw_ns_poll *poll)
{
	struct pw_event events[PW_CONNTRACK_EVENTS];
	struct pw_told told;
	size_t n;

	/* what an earlier process told of the table, before it is looked at the first time */
	if (poll->status != PW_POLL_FAILED && pw_state_learned_table(collector->monitor, ns->index, ns->name, &told)) {
		told.state = pw_conntrack_learn(&ns->conntrack, told.state, told.maybe);
		if (ns->conntrack.uncertain)
			told.maybe = PW_STATE_NORMAL;
		pw_exchange_learn(collector->exchange, &told);
	}
	n = pw_namespace_follow_conntrack(ns, &collector->config->policy.conntrack, poll, events);
	for (size_t i = 0; i < n; i++)
		tell_failure(collector, &events[i]);
}

static void follow_namespace(struct pw_collector *collector, struct pw_namespace *ns, struct pw_ns_poll *poll)
{
	const bool failed = poll->status == PW_POLL_FAILED || ns->udp_failed;
	struct pw_event event;

	if (poll->status == PW_POLL_GONE) /* end_failure() tells of that */
		return;
	pw_remark_namespace(ns, failed);
	/* a notification goes out after some failures in a row */
	if (pw_failure_step(
		    &ns->failure, ns->index, ns->name, failed ? ns->err.text : NULL, pw_clock_boot_ms(), &event))
		tell_failure(collector, &event);
	follow_conntrack(collector, ns, poll);
	if (poll->status == PW_POLL_COUNTED)
		pw_remark_sockets(&collector->remarks, ns);
}

/* Before the poll of the host: pools that refused are looked at in it. */
static void follow_refusals(struct pw_collector *collector, const struct pw_connect_events_poll *now)
{
	const struct pw_host *host = collector->host;

	for (size_t i = 0; i < now->n; i++) {
		const struct pw_refusals *refusals = &now->pools[i];
		struct pw_pool_key key = refusals->key;
		size_t at = 0;

		/* the watched namespace behind the inode number */
		while (at < host->n &&
			refusals->netns != (at == 0 ? collector->own_inode : host->namespaces[at]->inode))
			at++;
		if (at == host->n || refusals->netns == 0)
			continue;
		key.ns = host->namespaces[at]->index;
		pw_monitor_failed(collector->monitor, &key, refusals->count, refusals->last_ms);
		pw_failing_pool(&collector->failing, &key, host->namespaces[at]->name, refusals->count);
	}
}

static void follow_connects(struct pw_collector *collector)
{
	const struct pw_config *config = collector->config;
	const struct pw_connect_events_poll *was = &collector->failed;
	struct pw_connect_events_poll now;
	struct pw_event event;

	pw_connect_events_poll(collector->events,
		(config->connect_failures ? PW_EVENTS_FAILURES : 0) |
			(config->events != PW_EVENTS_MODE_OFF ? PW_EVENTS_RINGS : 0),
		&now);
	pw_ringing_follow(&collector->ringing, collector->events, config->events);
	/* whether failing connects are counted is said at the start and when it changes */
	if (now.counting && !was->counting)
		pw_log(LOG_INFO, "failing connects are counted%s%s", now.reason[0] != '\0' ? "; " : "", now.reason);
	else if (!now.counting && strcmp(was->reason, now.reason) != 0)
		pw_log(was->counting && was->reason[0] == '\0' ? LOG_NOTICE : LOG_INFO,
			"failing connects are not counted: %s", now.reason);
	collector->failed = now;
	follow_refusals(collector, &now);
	if (pw_failing_step(&collector->failing, now.total, &now.processes, pw_clock_boot_ms(), &event))
		tell_failure(collector, &event);
}

struct pw_ringing *pw_collector_ringing(struct pw_collector *collector)
{
	return &collector->ringing;
}

void pw_collector_poll(struct pw_collector *collector)
{
	uint64_t start_us = pw_clock_boot_us();
	struct pw_host *host = collector->host;
	struct pw_poll poll = {.interval_ms = collector->config->poll_interval_ms};
	const struct pw_snapshot *snapshot;
	struct pw_question *questions;
	struct pw_event event;
	size_t n;

	follow_connects(collector);
	pw_ringing_start(&collector->ringing, collector->config, collector->monitor);
	set_host_options(collector);
	if (pw_host_poll(host) < 0)
		return;
	for (size_t i = 0; i < host->n; i++)
		follow_namespace(collector, host->namespaces[i], &host->polls[i]);
	poll.connect_failures = collector->failed.total;
	poll.connect_failures_counting = collector->failed.counting;
	poll.connect_failures_reason = collector->failed.reason;
	poll.owner_round = collector->owner_round;
	poll.basis_reason = host->why_netlink;
	if (host->n_wanted != 0 || !collector->walks)
		account_owners(collector, host->options.unowned);
	poll.ns = host->polls;
	poll.n_ns = host->n;
	poll.incomplete = host->refused != 0;
	poll.wall = pw_clock_wall();
	poll.now_ms = pw_clock_boot_ms();
	poll.duration_us = (uint32_t)(pw_clock_boot_us() - start_us);
	pw_ringing_tell(&collector->ringing, &poll);
	pw_monitor_take(collector->monitor, &poll);
	pw_ringing_arm(&collector->ringing, collector->monitor);
	collector->wants_owners = pw_monitor_wants_owners(collector->monitor);
	if (collector->wants_owners && host->options.unowned != 0) {
		pw_host_take_owners(host);
		account_owners(collector, 0);
	}
	n = pw_monitor_questions(collector->monitor, &questions);
	if (pw_connect_events_latency(collector->events) != NULL)
		pw_latency_answer(pw_connect_events_latency(collector->events), questions,
			collector->config->events != PW_EVENTS_MODE_OFF ? n : 0, poll.now_ms);
	for (size_t i = 0; i < n; i++) {
		if (questions[i].ns != NULL)
			pw_namespace_answer(&questions[i]);
		questions[i].event_id = pw_exchange_last_id(collector->exchange, &questions[i].key);
	}
	learn(collector);
	while (pw_monitor_event(collector->monitor, &event))
		emit(collector, &event);
	snapshot = pw_monitor_build(collector->monitor);
	if (snapshot == NULL) {
		pw_log(LOG_ERR, "out of memory: the tables keep the numbers of the last poll");
		return;
	}
	if (snapshot->alarms_changed_ms > collector->ringing.armed_ms) /* by a poll that did not look at all sockets */
		pw_ringing_forget(&collector->ringing);
	pw_remark_limits(&collector->remarks, snapshot, collector->config->policy.max_alarms);
	pw_exchange_publish(collector->exchange, snapshot);
	pw_kept_write(collector->kept, collector->noted);
	collector->noted = false;
}

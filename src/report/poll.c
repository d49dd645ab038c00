/* SPDX-License-Identifier: BSD-2-Clause */
#include "report/poll.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "kernel/collect.h"
#include "kernel/netns.h"
#include "kernel/netns_list.h"
#include "kernel/namespace.h"
#include "watch/monitor.h"

/* pwNsIndex of the own namespace; others follow. */
#define OWN_INDEX 1

#define ALL_PORTS 65536

struct pw_poller {
	const struct pw_options *options;
	const struct pw_config *config;
	struct pw_monitor *monitor;
	struct pw_netns_list *others; /* namespaces that come and go; NULL = only those that were named */
	struct pw_owner_names *owner_names;
	struct pw_target **targets; /* one a namespace, as all that follow; with `others` the own one is the first */
	struct pw_ns_poll *polls;
	struct pw_facts *facts;
	size_t n;
	const char *unprobed; /* why no port is probed, NULL when they are */
	FILE *record;
	bool polled; /* at least one poll was good */
};

/* --- making one --- */

/* Whether ports in doubt are to be probed. -1 when that was asked for and can't be. */
static int choose_probing(struct pw_poller *poller, struct pw_error *err)
{
	const char *reason = NULL;

	if (poller->options->replay != NULL)
		poller->unprobed = "a record can't be probed";
	else if (poller->config->probe == PW_PROBE_OFF)
		poller->unprobed = "probing is off";
	else if (!pw_probe_available(&reason))
		poller->unprobed = reason;
	if (poller->unprobed != NULL && poller->options->replay == NULL && poller->config->probe == PW_PROBE_ON)
		return pw_error_set(err, "cannot probe: %s", poller->unprobed);
	return 0;
}

/* Only the owner may read a record: it holds every address that this host talks to. */
static FILE *create_record(const char *path, struct pw_error *err)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, S_IRUSR | S_IWUSR);
	FILE *file = fd >= 0 ? fdopen(fd, "w") : NULL;

	if (file == NULL) {
		pw_error_set(err, "%s: %s", path, strerror(errno));
		if (fd >= 0)
			close(fd);
	}
	return file;
}

/* What is no file of its own, such as a device, is not ours to delete. */
static void delete_record(const struct pw_poller *poller)
{
	struct stat status;

	if (fstat(fileno(poller->record), &status) == 0 && S_ISREG(status.st_mode))
		unlink(poller->options->record);
}

/* Who insists on probes wants all answers at once. */
static uint32_t max_probes(const struct pw_poller *poller)
{
	return poller->config->probe == PW_PROBE_ON && poller->options->probe_given ? ALL_PORTS : 0;
}

/* A source that makes a record is opened where its namespace is entered. */
static struct pw_source *recording_source(struct pw_poller *poller, const char *netns, struct pw_error *err)
{
	const struct pw_source_options options = {
		.probe = poller->unprobed == NULL, .max_probes = max_probes(poller), .record = poller->record};
	struct pw_source *source;
	bool gone;

	if (pw_netns_enter(netns, &gone, err) < 0)
		return NULL;
	source = pw_source_kernel(&options, err);
	pw_netns_leave();
	return source;
}

/* Translated ports of the addresses that the configuration names, or of all where it names none. The table is read at every poll, as far as
 * the share of time allows that a dump may take. A record has none. */
static void set_snat(struct pw_poller *poller, struct pw_target *target)
{
	static const struct pw_snat_range all[] = {
		{.addresses = {.address.family = AF_INET}, .low = PW_SNAT_LOW, .high = PW_SNAT_HIGH},
		{.addresses = {.address.family = AF_INET6}, .low = PW_SNAT_LOW, .high = PW_SNAT_HIGH}};
	const struct pw_options *options = poller->options;
	const struct pw_config *config = poller->config;
	bool configured = config->snat.n_ranges > 0;
	bool excluded = options->match.kinds != 0 && (options->match.kinds & (1u << PW_KIND_SNAT)) == 0;

	if (options->record == NULL && options->replay == NULL && !excluded)
		pw_target_set_snat(target,
			&(struct pw_snat_options){.ranges = configured ? config->snat.ranges : all,
				.n = configured ? config->snat.n_ranges : sizeof(all) / sizeof(all[0])});
}

/* Gives a target its source, unless that is simply the kernel. */
static int set_source(struct pw_poller *poller, struct pw_target *target, const char *netns, struct pw_error *err)
{
	struct pw_source *source;

	pw_target_set_probe(target, poller->unprobed == NULL);
	pw_target_set_max_probes(target, max_probes(poller));
	set_snat(poller, target);
	if (poller->options->replay != NULL)
		source = pw_source_record(poller->options->replay, err);
	else if (poller->record != NULL)
		source = recording_source(poller, netns, err);
	else
		return 0;
	pw_target_set_source(target, source);
	return source != NULL ? 0 : -1;
}

/* Makes room for n namespaces. */
static int reserve(struct pw_poller *poller, size_t n)
{
	struct pw_target **targets = reallocarray(poller->targets, n, sizeof(struct pw_target *));
	struct pw_ns_poll *polls;
	struct pw_facts *facts;

	if (targets != NULL)
		poller->targets = targets;
	polls = reallocarray(poller->polls, n, sizeof(*polls));
	if (polls != NULL)
		poller->polls = polls;
	facts = reallocarray(poller->facts, n, sizeof(*facts));
	if (facts != NULL)
		poller->facts = facts;
	return targets != NULL && polls != NULL && facts != NULL ? 0 : -1;
}

static int add_target(
	struct pw_poller *poller, uint32_t index, const char *name, const char *path, struct pw_error *err)
{
	struct pw_target *target = reserve(poller, poller->n + 1) == 0 ? pw_target_new(index, name, path) : NULL;

	if (target == NULL)
		return pw_error_set(err, "out of memory");
	poller->targets[poller->n++] = target;
	pw_target_set_owner_names(target, poller->owner_names);
	return set_source(poller, target, path, err);
}

/* Whether namespaces are to be looked for, and not only those polled that the command line names. */
static bool follows_others(const struct pw_poller *poller)
{
	const struct pw_options *options = poller->options;
	bool configured = poller->config->namespaces.all || poller->config->namespaces.n_names > 0;

	return options->all_netns ||
		(configured && options->n_netns == 0 && options->record == NULL && options->replay == NULL);
}

static int add_targets(struct pw_poller *poller, struct pw_error *err)
{
	const struct pw_options *options = poller->options;

	if (follows_others(poller) && (poller->others = pw_netns_list_new()) == NULL)
		return pw_error_set(err, "out of memory");
	if (options->n_netns == 0)
		return add_target(poller, OWN_INDEX, "", NULL, err);
	for (size_t i = 0; i < options->n_netns; i++)
		if (add_target(poller, OWN_INDEX + 1 + (uint32_t)i, options->netns[i], options->netns[i], err) < 0)
			return -1;
	return 0;
}

struct pw_poller *pw_poller_new(const struct pw_options *options, const struct pw_config *config, struct pw_error *err)
{
	struct pw_poller *poller = calloc(1, sizeof(*poller));

	if (poller == NULL) {
		pw_error_set(err, "out of memory");
		return NULL;
	}
	poller->options = options;
	poller->config = config;
	if (choose_probing(poller, err) < 0)
		goto failed;
	poller->owner_names = pw_owner_names_new();
	if (poller->owner_names == NULL) {
		pw_error_set(err, "out of memory");
		goto failed;
	}
	if (options->record != NULL && (poller->record = create_record(options->record, err)) == NULL)
		goto failed;
	if (add_targets(poller, err) < 0)
		goto failed;
	poller->monitor = pw_monitor_new(&config->policy, pw_clock_wall());
	if (poller->monitor != NULL)
		return poller;
	pw_error_set(err, "out of memory");
failed:
	pw_poller_free(poller);
	return NULL;
}

void pw_poller_free(struct pw_poller *poller)
{
	if (poller == NULL)
		return;
	for (size_t i = 0; i < poller->n; i++)
		pw_target_free(poller->targets[i]);
	pw_netns_list_free(poller->others);
	pw_owner_names_free(poller->owner_names);
	pw_monitor_free(poller->monitor);
	if (poller->record != NULL) {
		delete_record(poller);
		fclose(poller->record);
	}
	free(poller->targets);
	free(poller->polls);
	free(poller->facts);
	free(poller);
}

/* --- polling --- */

/* Drops the targets from `first` on up to the one with this index, or all of them. Returns the position of that one. */
static size_t drop_until(struct pw_poller *poller, size_t first, uint32_t index)
{
	size_t at = first;

	while (at < poller->n && pw_target_index(poller->targets[at]) != index)
		pw_target_free(poller->targets[at++]);
	memmove(&poller->targets[first], &poller->targets[at], (poller->n - at) * sizeof(poller->targets[0]));
	poller->n -= at - first;
	return first;
}

/* Brings the targets in line with the namespaces that are there. Both lists are in the order in which these were found, so what
 * stands between two that match has gone. */
static int follow_others(struct pw_poller *poller, struct pw_error *err)
{
	const struct pw_config *config = poller->config;
	size_t at = 1;

	if (poller->others == NULL)
		return 0;
	pw_netns_list_update(poller->others, poller->options->all_netns || config->namespaces.all,
		config->namespaces.names, config->namespaces.n_names, pw_clock_boot_ms());
	for (size_t i = 0; i < pw_netns_list_count(poller->others); i++, at++) {
		const struct pw_netns_entry *entry = pw_netns_list_entry(poller->others, i);

		at = drop_until(poller, at, entry->index);
		if (at < poller->n)
			pw_target_set_path(poller->targets[at], entry->path);
		else if (add_target(poller, entry->index, entry->name, entry->path, err) < 0)
			return -1;
	}
	drop_until(poller, at, 0);
	return 0;
}

/* The ports that bind() holds: the dual-stack wildcard pool of TCP conflicts with every socket of the namespace. */
static uint32_t bound_ports(struct pw_census *census)
{
	static const uint8_t any[16];
	struct pw_pool_key key = {
		.kind = PW_KIND_BIND, .protocol = IPPROTO_TCP, .local = pw_address_make(AF_INET6, any, 0)};
	struct pw_pool_counts counts;

	pw_census_pool(census, &key, &counts);
	return counts.bound;
}

static void fill_facts(const struct pw_poller *poller, const struct pw_ns_poll *poll, struct pw_facts *facts)
{
	const struct pw_range *range = pw_census_range(poll->census);

	facts->timestamps = range->timestamps;
	facts->tw_reuse_delay_ms = range->tw_reuse_delay_ms;
	facts->doubtful = pw_census_totals(poll->census)->doubtful;
	facts->bound = bound_ports(poll->census);
	facts->unprobed = poller->unprobed;
	if (facts->unprobed == NULL && facts->doubtful > 0)
		facts->unprobed = "at most 256 are probed at a poll; --probe=on asks about all";
}

/* Of a record only the number of a user means something: names and control groups are those of another host. */
static void number_user(uint64_t cgroup, uint32_t uid, char *buf, size_t size, void *context)
{
	(void)cgroup;
	(void)context;
	snprintf(buf, size, "uid %u", uid);
}

/* Whether SNAT pools were asked for, so that it is worth a word when they are not known. */
static bool asks_for_snat(const struct pw_poller *poller)
{
	return poller->config->snat.n_ranges > 0 || (poller->options->match.kinds & (1u << PW_KIND_SNAT)) != 0;
}

static void poll_one(struct pw_poller *poller, size_t i)
{
	struct pw_target *target = poller->targets[i];
	struct pw_ns_poll *poll = &poller->polls[i];
	struct pw_facts *facts = &poller->facts[i];

	pw_target_poll(target, NULL, NULL, poll, NULL);
	/* the interfaces of a record are not those of this host */
	if (poller->options->replay != NULL) {
		poll->ifname = NULL;
		poll->owner_name = number_user;
	}
	*facts = (struct pw_facts){.ns = poll->index, .name = poll->name, .error = pw_target_error(target)};
	if (asks_for_snat(poller) && poll->snat.status == PW_SNAT_UNAVAILABLE)
		facts->no_snat = poll->snat.reason;
	if (poll->status == PW_POLL_COUNTED)
		fill_facts(poller, poll, facts);
}

/* One namespace that can be read is enough; and who watches keeps the last numbers when none can. */
static int poll_targets(struct pw_poller *poller, struct pw_error *err)
{
	for (size_t i = 0; i < poller->n; i++) {
		poll_one(poller, i);
		poller->polled = poller->polled || poller->polls[i].status == PW_POLL_COUNTED;
	}
	return poller->polled ? 0 : pw_error_set(err, "%s", pw_target_error(poller->targets[0]));
}

/* Where the pools without a row come from. */
static struct pw_unlisted_source unlisted_source(
	const struct pw_poller *poller, const struct pw_ns_poll *poll, const struct pw_snapshot *snapshot)
{
	const struct pw_policy *policy = &poller->config->policy;
	const struct pw_census_totals *totals = pw_census_totals(poll->census);
	struct pw_unlisted_source source = {
		.ns = poll, .snapshot = snapshot, .policy = policy, .floor = 1, .snat_floor = 1};

	if (poller->options->unlisted != PW_UNLISTED_OMITTED)
		return source;
	if (poll->status == PW_POLL_COUNTED)
		source.floor = pw_policy_pool_floor(
			policy, totals->capacity, totals->blocked + pw_range_is_odd(pw_census_range(poll->census)));
	if (poll->snat.status == PW_SNAT_COUNTING)
		source.snat_floor = pw_policy_snat_floor(policy, pw_snat_smallest(poll->snat.pools));
	return source;
}

static int add_unlisted(struct pw_poller *poller, const struct pw_snapshot *snapshot, struct pw_unlisted_list *list)
{
	for (size_t i = 0; i < poller->n && poller->options->unlisted != PW_UNLISTED_NONE; i++) {
		struct pw_unlisted_source source = unlisted_source(poller, &poller->polls[i], snapshot);

		if (pw_unlisted_add(list, &source) < 0)
			return -1;
	}
	return 0;
}

const struct pw_snapshot *pw_poller_poll(struct pw_poller *poller, struct pw_report *report, struct pw_error *err)
{
	uint64_t start_us = pw_clock_boot_us();
	const struct pw_options *options = poller->options;
	struct pw_poll poll = {.connect_failures_reason = "counted by portwatchd only"};
	const struct pw_snapshot *snapshot;

	pw_unlisted_clear(&report->unlisted);
	if (follow_others(poller, err) < 0 || poll_targets(poller, err) < 0)
		return NULL;
	poll.ns = poller->polls;
	poll.n_ns = poller->n;
	poll.duration_us = (uint32_t)(pw_clock_boot_us() - start_us);
	poll.now_ms = pw_clock_boot_ms();
	poll.wall = pw_clock_wall();
	poll.interval_ms = options->watch_ms != 0 ? options->watch_ms : poller->config->poll_interval_ms;
	snapshot = pw_monitor_update(poller->monitor, &poll, NULL, NULL);
	if (snapshot == NULL || add_unlisted(poller, snapshot, &report->unlisted) < 0) {
		pw_snapshot_unref(snapshot);
		pw_error_set(err, "out of memory");
		return NULL;
	}
	report->facts = poller->facts;
	report->n_facts = poller->n;
	report->wall = poll.wall;
	report->now_ms = poll.now_ms;
	report->watching = options->watch_ms != 0;
	report->everything = options->unlisted == PW_UNLISTED_ALL;
	return snapshot;
}

int pw_poller_finish_record(struct pw_poller *poller, struct pw_error *err)
{
	bool failed;

	if (poller->record == NULL)
		return 0;
	failed = fflush(poller->record) != 0 || ferror(poller->record) != 0;
	if (failed) {
		pw_error_set(err, "%s: %s", poller->options->record, strerror(errno != 0 ? errno : EIO));
		delete_record(poller);
	}
	if (fclose(poller->record) != 0 && !failed)
		failed = pw_error_set(err, "%s: %s", poller->options->record, strerror(errno)) != 0;
	poller->record = NULL;
	return failed ? -1 : 0;
}

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
#include "collect/collect.h"
#include "collect/netns.h"
#include "collect/target.h"
#include "model/monitor.h"

/* pwNsIndex of the own namespace; others follow. */
#define OWN_INDEX 1

struct pw_poller {
	const struct pw_options *options;
	const struct pw_config *config;
	struct pw_monitor *monitor;
	struct pw_target **targets; /* one a namespace, as all that follow */
	struct pw_ns_poll *polls;
	struct pw_facts *facts;
	size_t n;
	const char *unprobed;       /* why no port is probed, NULL when they are */
	FILE *record;
	bool polled;                /* at least one poll was good */
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

/* A source that makes a record is opened where its namespace is entered. */
static struct pw_source *recording_source(struct pw_poller *poller, const char *netns, struct pw_error *err)
{
	const struct pw_source_options options = {.probe = poller->unprobed == NULL, .record = poller->record};
	struct pw_source *source;
	bool gone;

	if (pw_netns_enter(netns, &gone, err) < 0)
		return NULL;
	source = pw_source_kernel(&options, err);
	pw_netns_leave();
	return source;
}

/* Gives a target its source, unless that is simply the kernel. */
static int set_source(struct pw_poller *poller, struct pw_target *target, const char *netns, struct pw_error *err)
{
	struct pw_source *source;

	pw_target_set_probe(target, poller->unprobed == NULL);
	if (poller->options->replay != NULL)
		source = pw_source_record(poller->options->replay, err);
	else if (poller->record != NULL)
		source = recording_source(poller, netns, err);
	else
		return 0;
	pw_target_set_source(target, source);
	return source != NULL ? 0 : -1;
}

static int add_target(struct pw_poller *poller, uint32_t index, const char *netns, struct pw_error *err)
{
	struct pw_target *target = pw_target_new(index, netns != NULL ? netns : "", netns);

	if (target == NULL)
		return pw_error_set(err, "out of memory");
	poller->targets[poller->n++] = target;
	return set_source(poller, target, netns, err);
}

static int add_targets(struct pw_poller *poller, struct pw_error *err)
{
	const struct pw_options *options = poller->options;
	size_t n = options->n_netns > 0 ? options->n_netns : 1;

	poller->targets = calloc(n, sizeof(struct pw_target *));
	poller->polls = calloc(n, sizeof(*poller->polls));
	poller->facts = calloc(n, sizeof(*poller->facts));
	if (poller->targets == NULL || poller->polls == NULL || poller->facts == NULL)
		return pw_error_set(err, "out of memory");
	if (options->n_netns == 0)
		return add_target(poller, OWN_INDEX, NULL, err);
	for (size_t i = 0; i < n; i++)
		if (add_target(poller, OWN_INDEX + 1 + (uint32_t)i, options->netns[i], err) < 0)
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
	pw_monitor_free(poller->monitor);
	if (poller->record != NULL) {
		fclose(poller->record);
		unlink(poller->options->record);
	}
	free(poller->targets);
	free(poller->polls);
	free(poller->facts);
	free(poller);
}

/* --- polling --- */

/* The ports that bind() holds: the dual-stack wildcard pool of TCP conflicts with every socket of the namespace. */
static uint32_t bound_ports(struct pw_census *census)
{
	static const uint8_t any[16];
	struct pw_pool_key key = {.kind = PW_KIND_BIND, .protocol = IPPROTO_TCP, .local = pw_address_make(AF_INET6, any, 0)};
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
		facts->unprobed = "only the most suspicious ones are probed at each poll";
}

static void poll_one(struct pw_poller *poller, size_t i)
{
	struct pw_target *target = poller->targets[i];
	struct pw_ns_poll *poll = &poller->polls[i];
	struct pw_facts *facts = &poller->facts[i];

	pw_target_poll(target, NULL, NULL, poll, NULL);
	/* the interfaces of a record are not those of this host */
	if (poller->options->replay != NULL)
		poll->ifname = NULL;
	*facts = (struct pw_facts){.ns = poll->index, .name = poll->name, .error = pw_target_error(target)};
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

static int add_unlisted(struct pw_poller *poller, const struct pw_snapshot *snapshot, struct pw_unlisted_list *list)
{
	const struct pw_policy *policy = &poller->config->policy;

	for (size_t i = 0; i < poller->n; i++) {
		const struct pw_ns_poll *poll = &poller->polls[i];
		struct pw_unlisted_source source = {.census = poll->census, .snapshot = snapshot, .policy = policy,
			.ns_name = poll->name, .floor = 1, .ifname = poll->ifname, .context = poll->context};
		const struct pw_census_totals *totals;

		if (poll->status != PW_POLL_COUNTED || poller->options->unlisted == PW_UNLISTED_NONE)
			continue;
		totals = pw_census_totals(poll->census);
		if (poller->options->unlisted == PW_UNLISTED_OMITTED)
			source.floor = pw_policy_pool_floor(policy, totals->capacity, totals->blocked);
		if (pw_unlisted_add(list, &source) < 0)
			return -1;
	}
	return 0;
}

const struct pw_snapshot *pw_poller_poll(struct pw_poller *poller, struct pw_report *report, struct pw_error *err)
{
	uint64_t start_us = pw_clock_boot_us();
	const struct pw_options *options = poller->options;
	struct pw_poll poll = {.ns = poller->polls, .n_ns = poller->n, .connect_failures_reason = "not counted by portwatch"};
	const struct pw_snapshot *snapshot;

	pw_unlisted_clear(&report->unlisted);
	if (poll_targets(poller, err) < 0)
		return NULL;
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
	return snapshot;
}

int pw_poller_finish_record(struct pw_poller *poller, struct pw_error *err)
{
	FILE *record = poller->record;
	bool failed;

	if (record == NULL)
		return 0;
	poller->record = NULL;
	failed = ferror(record) != 0;
	failed = fclose(record) != 0 || failed;
	if (!failed)
		return 0;
	unlink(poller->options->record);
	return pw_error_set(err, "%s: %s", poller->options->record, strerror(errno != 0 ? errno : EIO));
}

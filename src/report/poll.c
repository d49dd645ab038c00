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
#include "model/monitor.h"
#include "collect/netns.h"

/* pwNsIndex of the own namespace; others follow. */
#define OWN_INDEX 1

/* One namespace that is polled. */
struct target {
	const char *name;           /* NULL = the own one, or that of a record */
	struct pw_source *source;   /* NULL until the namespace could be entered */
	struct pw_census *census;
	struct pw_error err;
	char ifname[IF_NAMESIZE];   /* what the last call of the callback returned */
};

struct pw_poller {
	const struct pw_options *options;
	const struct pw_config *config;
	struct pw_monitor *monitor;
	struct target *targets;
	struct pw_ns_poll *polls;   /* one a target, as the monitor wants them */
	struct pw_facts *facts;
	size_t n;
	const char *unprobed;       /* why no port is probed, NULL when they are */
	FILE *record;
	bool polled;                /* at least one poll was good */
};

/* --- the monitor's questions --- */

static const char *name_interface(uint32_t ifindex, void *context)
{
	struct target *target = context;
	bool gone;
	char *name;

	if (pw_netns_enter(target->name, &gone, NULL) < 0)
		return NULL;
	name = if_indextoname(ifindex, target->ifname);
	pw_netns_leave();
	return name;
}

static uint32_t measure_latency(const struct pw_pool_key *key, void *context)
{
	struct target *target = context;
	bool gone, exhausted;
	uint32_t latency_us;

	if (pw_netns_enter(target->name, &gone, NULL) < 0)
		return 0;
	latency_us = pw_source_alloc_latency(target->source, key, &exhausted);
	pw_netns_leave();
	return latency_us;
}

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

static int allocate_targets(struct pw_poller *poller)
{
	size_t n = poller->options->n_netns > 0 ? poller->options->n_netns : 1;

	poller->targets = calloc(n, sizeof(*poller->targets));
	poller->polls = calloc(n, sizeof(*poller->polls));
	poller->facts = calloc(n, sizeof(*poller->facts));
	if (poller->targets == NULL || poller->polls == NULL || poller->facts == NULL)
		return -1;
	poller->n = n;
	for (size_t i = 0; i < n; i++) {
		struct target *target = &poller->targets[i];
		uint32_t index = OWN_INDEX + (uint32_t)i;

		if (poller->options->n_netns > 0) {
			target->name = poller->options->netns[i];
			index++;
		}
		target->census = pw_census_new(index);
		if (target->census == NULL)
			return -1;
		poller->polls[i] = (struct pw_ns_poll){.index = index, .name = target->name != NULL ? target->name : "",
			.census = target->census, .context = target};
		if (poller->options->replay == NULL) {
			poller->polls[i].ifname = name_interface;
			poller->polls[i].alloc_latency = poller->unprobed == NULL ? measure_latency : NULL;
		}
	}
	return 0;
}

struct pw_poller *pw_poller_new(const struct pw_options *options, const struct pw_config *config, struct pw_error *err)
{
	struct pw_poller *poller = calloc(1, sizeof(*poller));

	if (poller == NULL)
		goto out_of_memory;
	poller->options = options;
	poller->config = config;
	if (choose_probing(poller, err) < 0)
		goto failed;
	if (options->record != NULL && (poller->record = create_record(options->record, err)) == NULL)
		goto failed;
	poller->monitor = pw_monitor_new(&config->policy, pw_clock_wall());
	if (poller->monitor == NULL || allocate_targets(poller) < 0)
		goto out_of_memory;
	return poller;

out_of_memory:
	pw_error_set(err, "out of memory");
failed:
	pw_poller_free(poller);
	return NULL;
}

void pw_poller_free(struct pw_poller *poller)
{
	if (poller == NULL)
		return;
	for (size_t i = 0; i < poller->n; i++) {
		pw_source_free(poller->targets[i].source);
		pw_census_free(poller->targets[i].census);
	}
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

static struct pw_source *open_source(struct pw_poller *poller, struct pw_error *err)
{
	const struct pw_source_options options = {.probe = poller->unprobed == NULL, .record = poller->record};

	if (poller->options->replay != NULL)
		return pw_source_record(poller->options->replay, err);
	return pw_source_kernel(&options, err);
}

/* Reads range, counts and sockets of the namespace that the thread is in. */
static enum pw_collect_status read_target(struct target *target, struct pw_ns_poll *poll, struct pw_facts *facts)
{
	struct pw_range range;
	struct pw_sockstat counts = {0};
	enum pw_collect_status status;
	bool udp_failed = false;

	status = pw_source_range(target->source, &range, &target->err);
	if (status == PW_COLLECT_OK)
		status = pw_source_sockstat(target->source, &counts, &target->err);
	if (status == PW_COLLECT_OK)
		status = pw_source_sockets(target->source, &range, target->census, &udp_failed, NULL, &target->err);
	if (status != PW_COLLECT_OK)
		return status;
	poll->tcp = counts.tcp;
	poll->tcp_time_wait = counts.tcp_time_wait;
	poll->udp = counts.udp;
	poll->udp_status = udp_failed ? PW_POLL_FAILED : PW_POLL_COUNTED;
	facts->timestamps = range.timestamps;
	facts->tw_reuse_delay_ms = range.tw_reuse_delay_ms;
	return status;
}

static enum pw_collect_status poll_target(struct pw_poller *poller, struct target *target, struct pw_ns_poll *poll,
	struct pw_facts *facts)
{
	enum pw_collect_status status = PW_COLLECT_FAILED;
	bool gone;

	if (pw_netns_enter(target->name, &gone, &target->err) < 0)
		return gone ? PW_COLLECT_GONE : PW_COLLECT_FAILED;
	if (target->source == NULL)
		target->source = open_source(poller, &target->err);
	if (target->source != NULL)
		status = read_target(target, poll, facts);
	pw_netns_leave();
	/* a namespace of the same name that comes later is another one: its settings must be opened again */
	if (status == PW_COLLECT_GONE) {
		pw_source_free(target->source);
		target->source = NULL;
	}
	return status;
}

/* The ports that bind() holds: the dual-stack wildcard pool of TCP conflicts with every socket of the namespace. */
static uint32_t bound_ports(struct pw_census *census)
{
	static const uint8_t any[16];
	struct pw_pool_key key = {.kind = PW_KIND_BIND, .protocol = IPPROTO_TCP, .local = pw_address_make(AF_INET6, any, 0)};
	struct pw_pool_counts counts;

	pw_census_pool(census, &key, &counts);
	return counts.bound;
}

static void poll_one(struct pw_poller *poller, size_t i)
{
	static const enum pw_poll_status statuses[] = {
		[PW_COLLECT_OK] = PW_POLL_COUNTED, [PW_COLLECT_FAILED] = PW_POLL_FAILED, [PW_COLLECT_GONE] = PW_POLL_GONE};
	struct target *target = &poller->targets[i];
	struct pw_facts *facts = &poller->facts[i];

	target->err.text[0] = '\0';
	*facts = (struct pw_facts){
		.ns = poller->polls[i].index, .name = poller->polls[i].name, .error = target->err.text};
	poller->polls[i].status = statuses[poll_target(poller, target, &poller->polls[i], facts)];
	if (poller->polls[i].status != PW_POLL_COUNTED)
		return;
	facts->doubtful = pw_census_totals(target->census)->doubtful;
	facts->bound = bound_ports(target->census);
	facts->unprobed = poller->unprobed;
	if (facts->unprobed == NULL && facts->doubtful > 0)
		facts->unprobed = "only the most suspicious ones are probed at each poll";
}

/* One namespace that can be read is enough; and who watches keeps the last numbers when none can. */
static int poll_targets(struct pw_poller *poller, struct pw_error *err)
{
	for (size_t i = 0; i < poller->n; i++) {
		poll_one(poller, i);
		poller->polled = poller->polled || poller->polls[i].status == PW_POLL_COUNTED;
	}
	return poller->polled ? 0 : pw_error_set(err, "%s", poller->targets[0].err.text);
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

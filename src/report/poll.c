/* SPDX-License-Identifier: BSD-2-Clause */
#include "report/poll.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/array.h"
#include "base/clock.h"
#include "kernel/capture.h"
#include "kernel/host.h"
#include "kernel/probe.h"
#include "kernel/walk.h"
#include "report/asked.h"
#include "watch/monitor.h"

/* Time for probes at each poll: some 15,000 ports. */
#define PROBE_MS 100

struct pw_poller {
	const struct pw_options *options;
	const struct pw_config *config;
	struct pw_monitor *monitor;
	struct pw_host *host;
	struct pw_ns_notes *notes; /* one a namespace */
	size_t notes_room;
	const char *unprobed; /* why no port is probed, NULL when they are */
	FILE *capture;
	bool polled;             /* at least one poll was good */
	const char *socket;      /* of the daemon that tells; NULL = none, and all of this is ours */
	struct pw_answer answer; /* the last one */
	bool answered;           /* it has not been shown yet */
	struct pw_error unheard; /* "" = nothing to say about that */
	const char *aside;       /* see struct pw_report */
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

/* Only the owner may read a capture: it holds every address that this host talks to. */
static FILE *create_capture(const char *path, struct pw_error *err)
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
static void delete_capture(const struct pw_poller *poller)
{
	struct stat status;

	if (fstat(fileno(poller->capture), &status) == 0 && S_ISREG(status.st_mode))
		unlink(poller->options->record);
}

static void set_host_options(struct pw_poller *poller)
{
	static const struct pw_snat_range everything[] = {
		{.addresses = {.address.family = AF_INET}, .low = PW_SNAT_LOW, .high = PW_SNAT_HIGH},
		{.addresses = {.address.family = AF_INET6}, .low = PW_SNAT_LOW, .high = PW_SNAT_HIGH}};
	const struct pw_options *options = poller->options;
	const struct pw_config *config = poller->config;
	const bool snat = options->match.kinds == 0 ||
		(options->match.kinds & pw_source_traits[PW_SOURCE_SNAT].kinds) != 0;
	struct pw_host_options host = {.probe = poller->unprobed == NULL, .policy = &config->policy};

	/* namespaces that the command line names are all that is polled */
	if (options->all_netns || (options->n_netns == 0 && options->record == NULL && options->replay == NULL)) {
		host.all = options->all_netns || config->namespaces.all;
		host.names = config->namespaces.names;
		host.n_names = config->namespaces.n_names;
	}
	/* who insists on probes wants all answers at once */
	host.probe_ms = config->probe == PW_PROBE_ON && options->probe_given ? UINT32_MAX : PROBE_MS;
	/* Translated ports of the addresses that the configuration names, or of all where it names none, at every
	 * poll as far as the share of time allows that a dump may take. A capture has none. */
	if (options->record == NULL && options->replay == NULL && snat) {
		bool named = config->snat.n_ranges > 0;

		host.snat.ranges = named ? config->snat.ranges : everything;
		host.snat.n = named ? config->snat.n_ranges : sizeof(everything) / sizeof(everything[0]);
	}
	poller->host->options = host;
}

static int add_namespaces(struct pw_poller *poller, struct pw_error *err)
{
	const struct pw_options *options = poller->options;

	for (size_t i = 0; i == 0 || i < options->n_netns; i++) {
		const char *path = options->n_netns > 0 ? options->netns[i] : NULL;
		const uint32_t index = path != NULL ? PW_OWN_INDEX + 1 + (uint32_t)i : PW_OWN_INDEX;
		struct pw_namespace *ns = pw_host_add(poller->host, index, path != NULL ? path : "", path);

		if (ns == NULL)
			return pw_error_set(err, "out of memory");
		ns->capture = poller->capture;
		ns->replayed = options->replay != NULL;
		if (ns->replayed && pw_capture_input_file(&ns->input, options->replay, err) < 0)
			return -1;
	}
	return 0;
}

/* TCP sockets of this namespace from which on loading the BPF programs costs less than the dump that it saves; and
 * namespaces: each dump goes through the table of all. */
#define WALK_PAYS_SOCKETS 100000
#define WALK_PAYS_NAMESPACES 4

static bool walk_pays(const struct pw_host *host)
{
	struct pw_namespace *own = host->namespaces[0];

	if (host->options.all || host->n + host->options.n_names >= WALK_PAYS_NAMESPACES)
		return true;
	return own->path[0] == '\0' && pw_namespace_read(own) == PW_READ_OK &&
		own->counts.tcp + own->counts.tcp_time_wait >= WALK_PAYS_SOCKETS;
}

/* The walk is not compared with a dump, as the daemon does: that would cost what it saves. */
static int choose_backend(struct pw_poller *poller, struct pw_error *err)
{
	const struct pw_options *options = poller->options;
	struct pw_backend *backend;
	bool wanted = poller->config->backend == PW_BACKEND_BPF;

	if (options->replay != NULL || options->record != NULL || poller->config->backend == PW_BACKEND_NETLINK ||
		(!wanted && !walk_pays(poller->host)))
		return 0;
	backend = pw_walk_backend(err);
	if (backend != NULL)
		pw_host_set_backend(poller->host, backend);
	else if (wanted)
		return -1;
	else
		pw_host_fall_back(poller->host, err);
	return 0;
}

static void drop_answer(struct pw_poller *poller)
{
	pw_snapshot_unref(poller->answer.snapshot);
	free(poller->answer.events);
	poller->answer = (struct pw_answer){0};
}

/* Whether the daemon tells. Where there is none nothing is said about it, unless it was asked for: -1. */
static int ask_daemon(struct pw_poller *poller, struct pw_error *err)
{
	const struct pw_options *options = poller->options;
	const char *path = options->socket != NULL ? options->socket : PW_CONTROL_SOCKET;
	bool wanted = options->socket != NULL || options->alarms || options->events;

	poller->aside = pw_options_only_local(options);
	if (poller->aside != NULL) {
		if (access(path, F_OK) < 0)
			poller->aside = NULL;
		return 0;
	}
	if (pw_asked_read(path, options, &poller->answer, &poller->unheard) == 0) {
		/* a daemon whose polls hang is left alone: then we look for ourselves */
		if (poller->answer.age_ms > 3 * (uint64_t)poller->answer.snapshot->poll_interval_ms + 20000)
			pw_error_set(&poller->unheard, "its polls hang");
		else if (wanted || (poller->aside = pw_asked_beyond(&poller->answer, options)) == NULL)
			poller->socket = path;
		if (poller->socket != NULL) {
			poller->answered = true;
			return 1;
		}
		drop_answer(poller);
	} else if (!wanted && access(path, F_OK) < 0) {
		poller->unheard.text[0] = '\0';
	}
	return wanted ? pw_error_set(err, "portwatchd does not tell: %s", poller->unheard.text) : 0;
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
	switch (ask_daemon(poller, err)) {
	case -1: goto failed;
	case 1: return poller;
	}
	if (choose_probing(poller, err) < 0)
		goto failed;
	poller->host = pw_host_new();
	poller->monitor = pw_monitor_new(&config->policy, pw_clock_wall());
	if (poller->host == NULL || poller->monitor == NULL) {
		pw_error_set(err, "out of memory");
		goto failed;
	}
	pw_monitor_set_rows(poller->monitor, options->rows);
	if (options->record != NULL && (poller->capture = create_capture(options->record, err)) == NULL)
		goto failed;
	if (add_namespaces(poller, err) < 0)
		goto failed;
	set_host_options(poller);
	if (choose_backend(poller, err) < 0)
		goto failed;
	return poller;
failed:
	pw_poller_free(poller);
	return NULL;
}

void pw_poller_free(struct pw_poller *poller)
{
	if (poller == NULL)
		return;
	drop_answer(poller);
	pw_host_free(poller->host);
	pw_monitor_free(poller->monitor);
	if (poller->capture != NULL) {
		delete_capture(poller);
		fclose(poller->capture);
	}
	free(poller->notes);
	free(poller);
}

/* --- polling --- */

static bool is_asked_for(const struct pw_poller *poller, enum pw_source_id source)
{
	return pw_config_wants(poller->config, source) ||
		(poller->options->match.kinds & pw_source_traits[source].kinds) != 0;
}

/* One namespace that can be read is enough; and who watches keeps the last numbers when none can. */
static int poll_host(struct pw_poller *poller, struct pw_error *err)
{
	struct pw_host *host = poller->host;
	struct pw_ns_notes *notes;

	if (pw_host_poll(host) < 0)
		return pw_error_set(err, "out of memory");
	if (host->failures > 0 && poller->config->backend != PW_BACKEND_BPF) { /* there may be no next poll */
		const struct pw_error why = host->backend->failure;

		pw_host_fall_back(host, &why);
		if (pw_host_poll(host) < 0)
			return pw_error_set(err, "out of memory");
	}
	if (!PW_ARRAY_ROOM(poller->notes, poller->notes_room, host->n))
		return pw_error_set(err, "out of memory");
	notes = poller->notes;
	for (size_t i = 0; i < host->n; i++, notes++) {
		const struct pw_namespace *ns = host->namespaces[i];

		*notes = (struct pw_ns_notes){.ns = ns->index, .name = ns->name, .error = ns->err.text};
		for (int id = 0; id < PW_SOURCES; id++) {
			const struct pw_source *source = host->polls[i].sources[id];

			if (is_asked_for(poller, (enum pw_source_id)id) && source != NULL &&
				source->status == PW_SOURCE_UNAVAILABLE)
				notes->unknown[id] = source->reason;
		}
		notes->insert_failed = ns->snat_watch.last.insert_failed;
		if (host->polls[i].status != PW_POLL_COUNTED)
			continue;
		poller->polled = true;
		notes->ambiguous = pw_census_totals(ns->census)->ambiguous;
		notes->unprobed = poller->unprobed;
		if (notes->unprobed == NULL && notes->ambiguous > 0)
			notes->unprobed = "there was no time to probe them; --probe=on takes it";
	}
	return poller->polled ? 0 : pw_error_set(err, "%s", host->namespaces[0]->err.text);
}

/* What the daemon says now, or said last: who watches sees its age grow while it does not answer. */
static const struct pw_snapshot *poll_daemon(struct pw_poller *poller, struct pw_report *report)
{
	struct pw_answer answer;
	struct pw_error err;

	poller->unheard.text[0] = '\0';
	if (!poller->answered && pw_asked_read(poller->socket, poller->options, &answer, &err) == 0) {
		drop_answer(poller);
		poller->answer = answer;
	} else if (!poller->answered) {
		poller->unheard = err;
		poller->answer.age_ms += poller->options->watch_ms;
	}
	poller->answered = false;
	report->daemon = report->beside = &poller->answer;
	report->unheard = poller->unheard.text[0] != '\0' ? poller->unheard.text : NULL;
	report->wall = poller->answer.context.wall;
	report->now_ms = poller->answer.context.now_ms;
	report->watching = poller->options->watch_ms != 0;
	return pw_snapshot_ref(poller->answer.snapshot);
}

const struct pw_snapshot *pw_poller_poll(struct pw_poller *poller, struct pw_report *report, struct pw_error *err)
{
	uint64_t start_us = pw_clock_boot_us();
	const struct pw_options *options = poller->options;
	struct pw_poll poll = {.connect_failures_reason = "counted by portwatchd only"};
	const struct pw_snapshot *snapshot;
	struct pw_event unused[PW_CONNTRACK_EVENTS];
	struct pw_question *questions;
	size_t n;

	if (poller->socket != NULL)
		return poll_daemon(poller, report);
	report->unheard = poller->unheard.text[0] != '\0' ? poller->unheard.text : NULL;
	report->aside = poller->aside;
	if (poll_host(poller, err) < 0)
		return NULL;
	poll.basis_reason = poller->host->why_netlink;
	poll.ns = poller->host->polls;
	poll.n_ns = poller->host->n;
	poll.duration_us = (uint32_t)(pw_clock_boot_us() - start_us);
	poll.now_ms = pw_clock_boot_ms();
	poll.wall = pw_clock_wall();
	poll.interval_ms = options->watch_ms != 0 ? options->watch_ms : poller->config->poll_interval_ms;
	for (size_t i = 0; i < poller->host->n; i++)
		pw_namespace_follow_conntrack(poller->host->namespaces[i], &poller->config->policy.conntrack,
			&poller->host->polls[i], unused);
	pw_monitor_take(poller->monitor, &poll);
	n = pw_monitor_questions(poller->monitor, &questions);
	for (size_t i = 0; i < n; i++) {
		questions[i].wants_owner &= options->format != PW_FORMAT_CHECK; /* which names none */
		if (questions[i].ns != NULL)
			pw_namespace_answer(&questions[i]);
	}
	snapshot = pw_monitor_build(poller->monitor);
	if (snapshot == NULL) {
		pw_error_set(err, "out of memory");
		return NULL;
	}
	report->notes = poller->notes;
	report->n_notes = poller->host->n;
	report->wall = poll.wall;
	report->now_ms = poll.now_ms;
	report->watching = options->watch_ms != 0;
	report->everything = options->rows == PW_ROWS_ALL;
	/* who explains looks for himself, but what failed is known to the daemon alone, if to anybody */
	drop_answer(poller);
	if (options->explain && !options->no_daemon && options->replay == NULL &&
		pw_answer_read(PW_CONTROL_SOCKET, NULL, 0, &poller->answer, NULL) == 0)
		report->beside = &poller->answer;
	else
		report->beside = NULL;
	return snapshot;
}

int pw_poller_finish_capture(struct pw_poller *poller, struct pw_error *err)
{
	bool failed;

	if (poller->capture == NULL)
		return 0;
	failed = fflush(poller->capture) != 0 || ferror(poller->capture) != 0;
	if (failed) {
		pw_error_set(err, "%s: %s", poller->options->record, strerror(errno != 0 ? errno : EIO));
		delete_capture(poller);
	}
	if (fclose(poller->capture) != 0 && !failed)
		failed = pw_error_set(err, "%s: %s", poller->options->record, strerror(errno)) != 0;
	poller->capture = NULL;
	return failed ? -1 : 0;
}

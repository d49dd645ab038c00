/* SPDX-License-Identifier: BSD-2-Clause */
#include <config.h>

#include "daemon/daemon.h"

#include <errno.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "agent/agent.h"
#include "base/clock.h"
#include "base/log.h"
#include "config/config.h"
#include "daemon/collector.h"
#include "daemon/control.h"
#include "daemon/metrics.h"
#include "daemon/process.h"
#include "kernel/walk.h"
#include "watch/exchange.h"

/* How long the agent may take to send the last notifications and close its session. A hung master must not hold up the
 * end of the daemon: whoever stops it expects that within 2 s. */
#define STOP_MS 1500

/* Pools of which notifications can be owed, at least: max-alarms may be smaller, but limits the rows of the tables
 * only. */
#define OWED_MIN 10000

/* Whoever sends one SIGHUP after the other has one reload a second. */
#define RELOAD_MS 1000

/* An allocation that fails has a poll at once, so that pool and process are seen while they are there; at most one a
 * second. */
#define EXTRA_MS 1000

/* How soon what the log or systemd did not take is tried again. */
#define AGAIN_MS 1000

struct daemon {
	struct pw_daemon_options options;
	struct pw_config *config;
	struct pw_exchange *exchange;
	struct pw_connect_events *events;
	struct pw_backend *walk; /* until the collector has it */
	struct pw_collector *collector;
	struct pw_agent *agent;
	struct pw_metrics *metrics; /* NULL = none */
	struct pw_journal *journal;
	struct pw_control *control; /* NULL = none */
	int signal_fd, timer_fd;
	uint64_t polled_ms;       /* when the last poll began, CLOCK_BOOTTIME */
	uint64_t poll_ms;         /* how long it took */
	uint64_t extra_again_ms;  /* how soon the next poll beside those of the timer may be */
	bool interval_settled;    /* poll-interval is ours, since the configuration has none */
	bool reload_wanted;       /* by a SIGHUP ... */
	uint64_t reload_again_ms; /* ... and how soon that may be */
	bool announced;           /* systemd knows that it runs, and has read the configuration */
	bool stop;
};

/* --- configuration --- */

/* One look costs so little by BPF that there can be ten times as many. */
static void settle_interval(struct daemon *d, struct pw_config *config)
{
	d->interval_settled = config->poll_interval_ms == 0;
	if (d->interval_settled)
		config->poll_interval_ms = pw_collector_walks(d->collector) ? 1000 : 10000;
}

/* The next poll comes an interval after the last one, also where the interval has just changed. */
static int arm_timer(const struct daemon *d)
{
	const uint32_t interval_ms = d->config->poll_interval_ms;
	const uint64_t now_ms = pw_clock_boot_ms(), due_ms = d->polled_ms + interval_ms;
	const uint32_t first_ms = due_ms > now_ms ? (uint32_t)(due_ms - now_ms) : 1;
	const struct itimerspec timer = {
		.it_value = {.tv_sec = first_ms / 1000, .tv_nsec = (long)(first_ms % 1000) * 1000000},
		.it_interval = {.tv_sec = interval_ms / 1000, .tv_nsec = (long)(interval_ms % 1000) * 1000000}};

	return timerfd_settime(d->timer_fd, 0, &timer, NULL);
}

/* Reads the file again. The next poll goes by it, and comes when it would have come anyway: `for` counts polls. */
static void reload(struct daemon *d)
{
	struct pw_config *config, *was = d->config;

	d->reload_wanted = false;
	d->reload_again_ms = pw_clock_boot_ms() + RELOAD_MS;
	pw_systemd_notify("RELOADING=1");
	d->announced = false;
	config = pw_daemon_read_config(&d->options, true);
	pw_collector_set_config_failed(d->collector, config == NULL);
	if (config == NULL) {
		pw_log(LOG_ERR, "reload refused: the running configuration stays");
		return;
	}
	d->config = config;
	settle_interval(d, config);
	pw_collector_set_config(d->collector, config);
	pw_daemon_tell_restart(&d->options, was, config);
	if (config->poll_interval_ms != was->poll_interval_ms && arm_timer(d) < 0)
		pw_log(LOG_ERR, "poll timer: %s", strerror(errno));
	pw_config_free(was);
	pw_log(LOG_INFO, "configuration reloaded");
}

/* --- the loop --- */

static void handle_signals(struct daemon *d)
{
	struct signalfd_siginfo info;

	while (read(d->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		if (info.ssi_signo == SIGHUP) {
			d->reload_wanted = true;
			continue;
		}
		pw_log(LOG_INFO, "stopping on signal %u", info.ssi_signo);
		d->stop = true;
	}
}

static void look(struct daemon *d)
{
	d->polled_ms = pw_clock_boot_ms();
	pw_metrics_sweep(d->metrics);
	pw_collector_poll(d->collector);
	d->poll_ms = pw_clock_boot_ms() - d->polled_ms;
}

/* What was told by BPF, or could not be told, is told anew. */
static void look_by_netlink(struct daemon *d)
{
	if (d->interval_settled) {
		d->config->poll_interval_ms = 0;
		settle_interval(d, d->config);
	}
	look(d);
	if (arm_timer(d) < 0)
		pw_log(LOG_ERR, "poll timer: %s", strerror(errno));
}

static void poll_kernel(struct daemon *d)
{
	look(d);
	if (pw_collector_give_up_walk(d->collector))
		look_by_netlink(d);
}

/* Asked between two namespaces: whether a signal that ends the daemon waits to be read. A poll of many is a sign of
 * life as well. */
static bool is_stopping(void)
{
	sigset_t pending;

	pw_systemd_beat();
	return sigpending(&pending) == 0 && (sigismember(&pending, SIGTERM) == 1 || sigismember(&pending, SIGINT) == 1);
}

static void handle_timer(struct daemon *d)
{
	uint64_t expirations;

	if (read(d->timer_fd, &expirations, sizeof(expirations)) != (ssize_t)sizeof(expirations))
		return;
	/* after a suspend, or when a poll took longer than the interval */
	if (expirations > 1)
		pw_log(LOG_DEBUG, "%llu polls were skipped", (unsigned long long)expirations - 1);
	poll_kernel(d);
}

static int sooner(int a, int b)
{
	return a < 0 || (b >= 0 && b < a) ? b : a;
}

/* How long to wait for a signal or the timer, in ms; -1 without end. */
static int wait_ms(const struct daemon *d)
{
	uint64_t now_ms = pw_clock_boot_ms();
	int wait = pw_systemd_beat_ms();

	if (d->reload_wanted)
		wait = sooner(wait, d->reload_again_ms > now_ms ? (int)(d->reload_again_ms - now_ms) : 0);
	if (d->extra_again_ms > now_ms)
		wait = sooner(wait, (int)(d->extra_again_ms - now_ms));
	if (pw_log_flush() || !d->announced)
		wait = sooner(wait, AGAIN_MS);
	return wait;
}

/* Numbers are there, and whoever waits for them has been told: now there is time to see whether BPF tells the truth. */
static void compare_backends(struct daemon *d)
{
	d->announced = pw_systemd_notify("READY=1");
	if (!pw_collector_compare(d->collector))
		look_by_netlink(d);
}

static void loop(struct daemon *d)
{
	struct pollfd fds[4] = {{.fd = d->signal_fd, .events = POLLIN}, {.fd = d->timer_fd, .events = POLLIN},
		{.events = POLLIN}, {.events = POLLIN}};
	struct pw_ringing *ringing = pw_collector_ringing(d->collector);

	while (!d->stop) {
		uint64_t rest;
		int wait;

		if (!d->announced)
			d->announced = pw_systemd_notify("READY=1");
		fds[2].fd = pw_clock_boot_ms() >= d->extra_again_ms ? pw_connect_events_fd(d->events) : -1;
		rest = pw_ringing_rest_ms(ringing, d->polled_ms, d->poll_ms);
		fds[3].fd = rest == 0 && ringing->rings != NULL ? pw_rings_fd(ringing->rings) : -1;
		wait = wait_ms(d);
		if (rest != 0 || ringing->wants_poll)
			wait = sooner(wait, (int)rest);
		if (poll(fds, 4, wait) < 0 && errno != EINTR) {
			pw_log(LOG_ERR, "poll: %s", strerror(errno));
			return;
		}
		if (fds[0].revents != 0)
			handle_signals(d);
		if (d->reload_wanted && !d->stop && pw_clock_boot_ms() >= d->reload_again_ms)
			reload(d);
		if (fds[1].revents != 0 && !d->stop) {
			handle_timer(d);
		} else if (fds[2].fd >= 0 && fds[2].revents != 0 && !d->stop) {
			d->extra_again_ms = pw_clock_boot_ms() + EXTRA_MS;
			poll_kernel(d);
		} else if (rest == 0 && (ringing->wants_poll || (fds[3].fd >= 0 && fds[3].revents != 0)) && !d->stop) {
			ringing->polls_left--;
			poll_kernel(d);
		}
		pw_systemd_beat();
	}
}

/* --- start and stop --- */

/* Before any thread: all of them inherit that signals come by descriptor only. */
static int block_signals(struct pw_error *err)
{
	sigset_t set;
	int fd;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	return fd >= 0 ? fd : pw_error_set(err, "signalfd: %s", strerror(errno));
}

static int drop_privileges(const struct daemon *d, struct pw_error *err)
{
	const bool rings = d->config->events != PW_EVENTS_MODE_OFF;
	const struct pw_privileges keep = {
		.net_admin = d->config->probe != PW_PROBE_OFF || pw_config_wants(d->config, PW_SOURCE_SNAT),
		.low_port = d->options.listen != NULL,
		.perfmon = (d->config->connect_failures && pw_connect_events_needs_perfmon(d->events)) ||
			(rings && pw_connect_events_needs_bpf(d->events)),
		/* the walk goes into no other namespace; what it translates is seen only there */
		.namespaces = (d->config->namespaces.all || d->config->namespaces.n_names > 0) &&
			(d->walk == NULL || pw_config_wants(d->config, PW_SOURCE_SNAT)),
		.bpf = (d->walk != NULL && pw_walk_needs_privilege()) ||
			((d->config->connect_failures || rings) && pw_connect_events_needs_bpf(d->events))};

	if (d->options.user == NULL)
		return pw_privileges_reduce(&keep, err);
	if (pw_privileges_drop(d->options.user, &keep, err) < 0)
		return -1;
	pw_daemon_check_readable(&d->options);
	return 0;
}

static int start_agent(struct daemon *d, struct pw_error *err)
{
	struct pw_agent_options agent = {.role = PW_AGENT_SUBAGENT,
		.address = d->config->agentx.socket,
		.ping_interval = d->config->agentx.ping_interval_ms / 1000.0,
		.reconnect_interval = d->config->agentx.reconnect_interval_ms / 1000.0,
		.snmp_include = d->config->snmp.include};

	if (d->options.agentx != NULL)
		agent.address = d->options.agentx;
	if (d->options.listen != NULL) {
		agent.role = PW_AGENT_STANDALONE;
		agent.address = d->options.listen;
	}
	d->agent = pw_agent_start(&agent, d->exchange, err);
	return d->agent != NULL ? 0 : -1;
}

/* Nobody needs it to be warned: without it the daemon runs as well. The directory of the default path is there where
 * systemd made it. */
static void start_control(struct daemon *d)
{
	const char *path = d->config->control.socket;
	struct pw_error err = {.text = ""};

	if (path == NULL)
		return;
	d->control = pw_control_start(path, d->exchange, d->journal, &err);
	if (d->control == NULL)
		pw_log(strcmp(path, PW_CONTROL_SOCKET) != 0 || getenv("RUNTIME_DIRECTORY") != NULL ? LOG_WARNING
												   : LOG_INFO,
			"%s", err.text);
}

static int start(struct daemon *d, struct pw_error *err)
{
	const uint32_t max_alarms = d->config->policy.max_alarms;
	struct pw_error why = {.text = "backend = netlink"};

	d->signal_fd = block_signals(err);
	if (d->signal_fd < 0)
		return -1;
	d->events = pw_connect_events_new(PW_EVENTS_AUTO); /* to be loaded it needs what is given up then */
	if (d->events == NULL)
		return pw_error_set(err, "out of memory");
	if (d->config->backend != PW_BACKEND_NETLINK)
		d->walk = pw_walk_backend(&why);
#ifdef __GLIBC__
	malloc_trim(0); /* the types of the kernel, which libbpf took apart, were some 10 MiB */
#endif
	if (drop_privileges(d, err) < 0)
		return -1;
	d->exchange = pw_exchange_new(max_alarms > OWED_MIN ? max_alarms : OWED_MIN);
	d->journal = pw_journal_new();
	if (d->exchange == NULL || d->journal == NULL)
		return pw_error_set(err, "out of memory or descriptors");
	d->collector = pw_collector_new(&(struct pw_collector_parts){.config = d->config,
						.exchange = d->exchange,
						.events = d->events,
						.walk = d->walk,
						.why = &why,
						.journal = d->journal,
						.stopping = is_stopping},
		err);
	d->walk = NULL;
	if (d->collector == NULL)
		return -1;
	settle_interval(d, d->config);
	d->polled_ms = pw_clock_boot_ms();
	d->timer_fd = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
	if (d->timer_fd < 0 || arm_timer(d) < 0)
		return pw_error_set(err, "poll timer: %s", strerror(errno));
	pw_log(LOG_INFO, "polling every %g s", d->config->poll_interval_ms / 1000.0);
	/* the first poll comes before the agent, so that it never answers without numbers */
	pw_collector_poll(d->collector);
	if (d->config->metrics.listen != NULL) {
		d->metrics = pw_metrics_start(d->config->metrics.listen, d->exchange, err);
		if (d->metrics == NULL)
			return -1;
	}
	start_control(d);
	if (start_agent(d, err) < 0)
		return -1;
	/* after the others have become threads of their own: they are to answer while a poll runs */
	pw_schedule_as_batch();
	return 0;
}

static void stop(struct daemon *d)
{
	pw_systemd_notify("STOPPING=1");
	pw_metrics_stop(d->metrics);
	pw_control_stop(d->control);
	if (d->agent != NULL && !pw_agent_stop(d->agent, STOP_MS)) {
		pw_log(LOG_WARNING, "the master agent hangs: ending without it");
		pw_collector_save(d->collector);
		_exit(0); /* its thread still uses what would be freed now */
	}
	if (d->collector != NULL)
		pw_collector_save(d->collector);
	pw_collector_free(d->collector);
	if (d->walk != NULL)
		d->walk->free(d->walk);
	pw_connect_events_free(d->events);
	pw_journal_free(d->journal);
	pw_exchange_free(d->exchange);
	pw_config_free(d->config);
	if (d->timer_fd >= 0)
		close(d->timer_fd);
	if (d->signal_fd >= 0)
		close(d->signal_fd);
}

int pw_daemon_run(const struct pw_daemon_options *options, struct pw_config *config, int parent)
{
	struct daemon d = {.options = *options, .config = config, .signal_fd = -1, .timer_fd = -1};
	struct pw_error err = {.text = ""};
	int status;

	pw_log(LOG_INFO, "portwatchd %s starts", PACKAGE_VERSION);
	status = start(&d, &err) < 0 ? 1 : 0;
	if (status != 0) {
		pw_log(LOG_ERR, "%s", err.text);
		if (!options->foreground)
			fprintf(stderr, "portwatchd: %s\n", err.text);
	}
	if (parent >= 0)
		pw_detach_done(parent, status);
	if (status == 0) {
		compare_backends(&d);
		loop(&d);
	}
	stop(&d);
	return status;
}

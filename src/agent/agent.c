/* SPDX-License-Identifier: BSD-2-Clause */
#include "agent/agent.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "agent/library.h"
#include "agent/notify.h"
#include "agent/serve.h"
#include "agent/session.h"
#include "agent/standalone.h"
#include "agent/transport.h"
#include "base/clock.h"
#include "base/log.h"

/* Of the time that pw_agent_stop() has, the part for the last notifications, and the part after which the connection
 * is cut. */
enum { DRAIN_PERCENT = 40, CUT_PERCENT = 70 };

/* Descriptors that must be left at the start: pipes of the library, which does without those that it can't have, and
 * stays deaf without a word; the connection, and what a poll opens. */
enum { SPARE_DESCRIPTORS = 12 };

struct pw_agent {
	struct pw_agent_options options; /* with copies of its texts */
	struct pw_exchange *exchange;
	pthread_t thread;
	int wake; /* eventfd: the thread is asked to end */
	atomic_bool stopping;
	atomic_uint_fast64_t drain_until_ms;

	/* how far the thread is: who starts or stops it waits for that */
	pthread_mutex_t mutex;
	pthread_cond_t stage_changed;
	enum { STARTING, STARTED, FAILED, ENDED } stage;
	struct pw_error error;

	/* of the thread alone */
	struct pw_server server;
	struct pw_notifier notifier;
	struct pw_session session;
	struct pw_standalone standalone;
};

static bool is_standalone(const struct pw_agent *agent)
{
	return agent->options.role == PW_AGENT_STANDALONE;
}

/* --- in the thread ---------------------------------------------------------------------------------------------- */

static void on_exchange(int fd, void *context)
{
	struct pw_agent *agent = context;

	(void)fd;
	pw_exchange_clear(agent->exchange);
	pw_notifier_pump(&agent->notifier);
}

/* Only ends the wait of the loop, which looks at `stopping`. */
static void on_wake(int fd, void *context)
{
	eventfd_t count;

	(void)context;
	eventfd_read(fd, &count);
}

/* snmpd makes the sockets of its receivers when it starts, and never again. */
static void on_session_changed(void *context)
{
	struct pw_agent *agent = context;
	const struct pw_snapshot *snapshot = pw_exchange_snapshot(agent->exchange);
	bool no_udp_port = false;

	for (size_t i = 0; snapshot != NULL && i < snapshot->n_pools && !no_udp_port; i++) {
		const struct pw_pool_row *row = &snapshot->pools[i];

		no_udp_port = row->key.ns == 1 && row->key.kind == PW_KIND_BIND && row->key.protocol == IPPROTO_UDP &&
			row->counts.free == 0;
	}
	pw_snapshot_unref(snapshot);
	if (agent->session.session != NULL && no_udp_port)
		pw_log(LOG_WARNING,
			"the AgentX master agent connected while no UDP port is free: if it has just started, it may "
			"have no socket for its receivers, and drop notifications that it acknowledges; restart it "
			"when ports are free, or give its receivers a source port (trap2sink -s)");
	pw_notifier_session_changed(&agent->notifier);
}

static bool has_descriptors(void)
{
	int fds[SPARE_DESCRIPTORS], opened = 0;
	bool enough;

	while (opened < SPARE_DESCRIPTORS && (fds[opened] = eventfd(0, EFD_CLOEXEC)) >= 0)
		opened++;
	enough = opened == SPARE_DESCRIPTORS;
	while (opened > 0)
		close(fds[--opened]);
	return enough;
}

static int open_library(struct pw_agent *agent, struct pw_error *err)
{
	if (!has_descriptors())
		return pw_error_set(err, "fewer than %d descriptors are left for the agent (RLIMIT_NOFILE): %s",
			SPARE_DESCRIPTORS, strerror(errno));
	if (is_standalone(agent))
		netsnmp_ds_set_boolean(NETSNMP_DS_APPLICATION_ID, NETSNMP_DS_AGENT_ROLE, 0);
	else
		netsnmp_enable_subagent();
	pw_library_log_open();
	pw_library_isolate();
	if (init_agent(PW_LIBRARY_NAME) != 0)
		return pw_error_set(err, "libnetsnmpagent can't be initialized");
	agent->notifier.exchange = agent->server.exchange = agent->exchange;
	if (is_standalone(agent)) {
		if (pw_standalone_open(&agent->standalone, &agent->options, &agent->server, err) < 0)
			return -1;
	} else {
		agent->notifier.session = &agent->session;
		if (pw_transport_register(pw_server_respond, &agent->server) < 0)
			return pw_error_set(err, "out of memory");
		if (pw_session_open(&agent->session, &agent->options, on_session_changed, agent, err) < 0)
			return -1;
	}
	if (register_readfd(pw_exchange_fd(agent->exchange), on_exchange, agent) != 0 ||
		register_readfd(agent->wake, on_wake, agent) != 0)
		return pw_error_set(err, "libnetsnmpagent takes no more descriptors");
	return 0;
}

static void set_stage(struct pw_agent *agent, int stage)
{
	pthread_mutex_lock(&agent->mutex);
	agent->stage = stage;
	pthread_cond_signal(&agent->stage_changed);
	pthread_mutex_unlock(&agent->mutex);
}

/* Whether the last notifications have left, or can't. */
static bool drained(struct pw_agent *agent)
{
	struct pw_exchange_stats stats;

	if (!is_standalone(agent) && agent->session.session == NULL)
		return true;
	if (pw_clock_boot_ms() >= atomic_load(&agent->drain_until_ms))
		return true;
	pw_exchange_stats(agent->exchange, &stats);
	return stats.owed == 0;
}

static void drain_over(void *context)
{
	(void)context; /* the loop looks again */
}

static void *run(void *context)
{
	struct pw_agent *agent = context;
	struct pw_timer drain = {0};
	bool standalone = is_standalone(agent);
	int rc = open_library(agent, &agent->error);

	if (rc == 0 && !standalone)
		set_stage(agent, STARTED); /* the rest may block, and can't fail */
	if (rc == 0)
		init_snmp(PW_LIBRARY_NAME);
	if (rc == 0 && standalone)
		rc = pw_standalone_start(&agent->standalone, &agent->error);
	if (rc < 0 || standalone)
		set_stage(agent, rc == 0 ? STARTED : FAILED);
	if (rc == 0) {
		if (!standalone)
			pw_session_keep(&agent->session);
		pw_notifier_pump(&agent->notifier);
	}
	while (rc == 0 && (!atomic_load(&agent->stopping) || !drained(agent))) {
		if (atomic_load(&agent->stopping) && !pw_timer_runs(&drain))
			pw_timer_start(&drain, 50, drain_over, NULL);
		/* A failing select() must not become a busy loop. */
		if (agent_check_and_process(1) < 0 && errno != EINTR)
			poll(NULL, 0, 100);
		pw_server_end_turn(&agent->server);
		if (!standalone)
			pw_session_keep(&agent->session);
	}
	pw_timer_stop(&drain);
	pw_timer_stop(&agent->notifier.timer);
	pw_session_close(&agent->session);
	pw_standalone_close(&agent->standalone);
	unregister_readfd(pw_exchange_fd(agent->exchange));
	unregister_readfd(agent->wake);
	snmp_shutdown(PW_LIBRARY_NAME);
	shutdown_agent();
	pw_server_end_turn(&agent->server);
	pw_exchange_return_all(agent->exchange);
	if (rc == 0)
		set_stage(agent, ENDED);
	return NULL;
}

/* --- outside ---------------------------------------------------------------------------------------------------- */

static void free_agent(struct pw_agent *agent)
{
	if (agent->wake >= 0)
		close(agent->wake);
	free((char *)(uintptr_t)agent->options.address);
	free((char *)(uintptr_t)agent->options.snmp_include);
	pthread_cond_destroy(&agent->stage_changed);
	pthread_mutex_destroy(&agent->mutex);
	free(agent);
}

static struct pw_agent *new_agent(const struct pw_agent_options *options, struct pw_exchange *exchange)
{
	struct pw_agent *agent = calloc(1, sizeof(*agent));
	pthread_condattr_t attributes;

	if (agent == NULL)
		return NULL;
	pthread_mutex_init(&agent->mutex, NULL);
	/* waits on it are timed by a clock that nobody can set */
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&agent->stage_changed, &attributes);
	pthread_condattr_destroy(&attributes);
	agent->exchange = exchange;
	agent->options = *options;
	agent->options.address = strdup(options->address);
	agent->options.snmp_include = options->snmp_include != NULL ? strdup(options->snmp_include) : NULL;
	agent->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (agent->wake >= 0 && agent->options.address != NULL &&
		(agent->options.snmp_include != NULL) == (options->snmp_include != NULL))
		return agent;
	free_agent(agent);
	return NULL;
}

struct pw_agent *pw_agent_start(
	const struct pw_agent_options *options, struct pw_exchange *exchange, struct pw_error *err)
{
	struct pw_agent *agent = new_agent(options, exchange);
	sigset_t all, before;
	bool started;
	int rc;

	if (agent == NULL) {
		pw_error_set(err, "out of memory or descriptors");
		return NULL;
	}
	setenv("MIBS", "", 1); /* the only way to keep the library from parsing all MIB files that it finds, ... */
	setenv("MIBDIRS", PW_NO_DIRECTORY, 1); /* ... and from looking for them */
	sigfillset(&all);                      /* signals belong to the thread that started us */
	pthread_sigmask(SIG_BLOCK, &all, &before);
	rc = pthread_create(&agent->thread, NULL, run, agent);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (rc != 0) {
		pw_error_set(err, "no thread for the agent: %s", strerror(rc));
		free_agent(agent);
		return NULL;
	}
	pthread_mutex_lock(&agent->mutex);
	while (agent->stage == STARTING)
		pthread_cond_wait(&agent->stage_changed, &agent->mutex);
	started = agent->stage != FAILED;
	pthread_mutex_unlock(&agent->mutex);
	if (started)
		return agent;
	pthread_join(agent->thread, NULL);
	pw_error_set(err, "%s", agent->error.text);
	free_agent(agent);
	return NULL;
}

/* Waits for the end of the thread; false when it takes longer. */
static bool joined(struct pw_agent *agent, unsigned timeout_ms)
{
	struct timespec until;
	bool ended;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += timeout_ms / 1000;
	until.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	pthread_mutex_lock(&agent->mutex);
	while (agent->stage != ENDED &&
		pthread_cond_timedwait(&agent->stage_changed, &agent->mutex, &until) != ETIMEDOUT)
		;
	ended = agent->stage == ENDED;
	pthread_mutex_unlock(&agent->mutex);
	return ended && pthread_join(agent->thread, NULL) == 0;
}

bool pw_agent_stop(struct pw_agent *agent, unsigned timeout_ms)
{
	unsigned cut_ms = timeout_ms * CUT_PERCENT / 100;

	atomic_store(&agent->drain_until_ms, pw_clock_boot_ms() + timeout_ms * DRAIN_PERCENT / 100);
	atomic_store(&agent->stopping, true);
	eventfd_write(agent->wake, 1);
	if (!pw_agent_connected(agent))
		pw_transport_shut(); /* it may be waiting for a master that does not answer */
	if (!joined(agent, cut_ms)) {
		pw_transport_shut();
		if (!joined(agent, timeout_ms - cut_ms))
			return false;
	}
	free_agent(agent);
	return true;
}

bool pw_agent_connected(const struct pw_agent *agent)
{
	return is_standalone(agent) || atomic_load(&agent->session.open);
}

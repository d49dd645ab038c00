/* SPDX-License-Identifier: BSD-2-Clause */
/* main.c: the command line of portwatchd, and its configuration file */
#include <config.h>

#include "daemon/daemon.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/descriptors.h"
#include "base/log.h"
#include "daemon/process.h"

/* The configuration file that is read without -c. */
#define DEFAULT_CONFIG PW_SYSCONFDIR "/portwatch/portwatchd.conf"

enum action { RUN_DAEMON, CHECK_FILE, SHOW_VERSION, SHOW_HELP, BAD_USAGE };

static const char usage[] =
	"usage: portwatchd [-dfhtv] [-c FILE] [-u USER] [-x AGENTX-ADDRESS | -L LISTEN-ADDRESS]\n"
	"  -c FILE     read this configuration file instead of " DEFAULT_CONFIG "\n"
	"  -d          log debugging facts as well\n"
	"  -f          stay in the foreground and log to standard error\n"
	"  -h          show this help\n"
	"  -L ADDRESS  answer SNMP by itself on this address (udp:127.0.0.1:1161), without any snmpd\n"
	"  -t          check the configuration file and exit: 0 when it is good, 1 when it has mistakes\n"
	"  -u USER     give up root for this user, keeping only the capabilities that the configuration needs\n"
	"  -v          show the version\n"
	"  -x ADDRESS  AgentX address of the master agent, instead of the configured one\n";

/* Says what is wrong with the arguments on stderr. */
static enum action parse_options(struct pw_daemon_options *out, int argc, char **argv)
{
	static const struct option long_options[] = {
		{"help", no_argument, NULL, 'h'}, {"version", no_argument, NULL, 'v'}, {0}};
	enum action action = RUN_DAEMON;
	bool good = true;
	int option;

	optind = 1;
	while ((option = getopt_long(argc, argv, "c:dfhL:tu:vx:", long_options, NULL)) != -1)
		switch (option) {
		case 'c': out->config = optarg; break;
		case 'd': out->debug = true; break;
		case 'f': out->foreground = true; break;
		case 'h': action = SHOW_HELP; break;
		case 'L': out->listen = optarg; break;
		case 't': action = CHECK_FILE; break;
		case 'u': out->user = optarg; break;
		case 'v': action = SHOW_VERSION; break;
		case 'x': out->agentx = optarg; break;
		default: good = false; /* unknown, or its argument is missing: getopt_long() has said so */
		}
	if (good && optind < argc) {
		fprintf(stderr, "portwatchd: unexpected argument: %s\n", argv[optind]);
		good = false;
	}
	if (good && out->agentx != NULL && out->listen != NULL) {
		fprintf(stderr, "portwatchd: -x and -L exclude each other: a stand-alone agent has no master\n");
		good = false;
	}
	return good ? action : BAD_USAGE;
}

/* --- the configuration file --- */

/* The context is a stream, or NULL: then to the log. */
static void report(const char *file, unsigned line, const char *message, void *context)
{
	char place[16] = "";

	if (line != 0)
		snprintf(place, sizeof(place), ":%u", line);
	if (context != NULL)
		fprintf(context, "%s%s: %s\n", file, place, message);
	else
		pw_log(LOG_ERR, "%s%s: %s", file, place, message);
}

/* Only the default file may be missing: every setting has a default. */
struct pw_config *pw_daemon_read_config(const struct pw_daemon_options *options, bool to_log)
{
	if (options->config == NULL && access(DEFAULT_CONFIG, F_OK) < 0 && errno == ENOENT)
		return pw_config_defaults();
	return pw_config_read(
		options->config != NULL ? options->config : DEFAULT_CONFIG, report, to_log ? NULL : stderr);
}

static bool texts_differ(const char *a, const char *b)
{
	return strcmp(a != NULL ? a : "", b != NULL ? b : "") != 0;
}

void pw_daemon_tell_restart(
	const struct pw_daemon_options *options, const struct pw_config *was, const struct pw_config *config)
{
	const struct {
		bool changed;
		const char *what;
	} settings[] = {
		{texts_differ(was->agentx.socket, config->agentx.socket) ||
				was->agentx.ping_interval_ms != config->agentx.ping_interval_ms ||
				was->agentx.reconnect_interval_ms != config->agentx.reconnect_interval_ms,
			"the agentx settings changed: they take"},
		{was->backend != config->backend, "backend changed: it takes"},
		{texts_differ(was->metrics.listen, config->metrics.listen), "the metrics settings changed: they take"},
		{texts_differ(was->control.socket, config->control.socket), "the control settings changed: they take"},
		{options->listen != NULL && texts_differ(was->snmp.include, config->snmp.include),
			"the snmp settings changed: they take"},
	};

	for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++)
		if (settings[i].changed)
			pw_log(LOG_NOTICE, "%s effect at the next start", settings[i].what);
}

/* A daemon leaves the directory that it was started in; a reload must find the file all the same. Makes its path
 * absolute; it stays what it is beyond that, as a symbolic link may point to another file by then. */
static int keep_config_path(struct pw_daemon_options *options, char **path, struct pw_error *err)
{
	char *directory;

	if (options->config == NULL || options->config[0] == '/')
		return 0;
	directory = getcwd(NULL, 0);
	if (directory == NULL)
		return pw_error_set(err, "the current directory: %s", strerror(errno));
	if (asprintf(path, "%s/%s", directory, options->config) < 0)
		*path = NULL;
	free(directory);
	options->config = *path;
	return *path != NULL ? 0 : pw_error_set(err, "out of memory");
}

void pw_daemon_check_readable(const struct pw_daemon_options *options)
{
	const char *path = options->config != NULL ? options->config : DEFAULT_CONFIG;

	if (access(path, R_OK) < 0 && errno != ENOENT)
		pw_log(LOG_WARNING, "%s: %s as user %s: each reload will be refused", path, strerror(errno),
			options->user);
}

/* --- what the arguments ask for --- */

static int run(struct pw_daemon_options *options)
{
	struct pw_config *config = pw_daemon_read_config(options, false);
	struct pw_error err = {.text = ""};
	char *path = NULL;
	int parent = -1, status = 1;

	if (config == NULL)
		return 1;
	if (!options->foreground && (keep_config_path(options, &path, &err) < 0 || (parent = pw_detach(&err)) < 0)) {
		fprintf(stderr, "portwatchd: %s\n", err.text);
		pw_config_free(config);
	} else {
		if (!options->foreground)
			pw_log_open(PW_LOG_SYSLOG, "portwatchd", options->debug ? LOG_DEBUG : LOG_INFO);
		status = pw_daemon_run(options, config, parent);
	}
	free(path);
	return status;
}

int pw_daemon_main(int argc, char **argv)
{
	struct pw_daemon_options options = {.config = NULL};
	struct pw_config *config;
	enum action action;

	pw_descriptors_start();
	pw_descriptors_raise_limit();
	action = parse_options(&options, argc, argv);
	pw_log_open(PW_LOG_STDERR, "portwatchd", options.debug ? LOG_DEBUG : LOG_INFO);
	switch (action) {
	case BAD_USAGE: fputs(usage, stderr); return 2;
	case SHOW_HELP: fputs(usage, stdout); return 0;
	case SHOW_VERSION: puts("portwatchd " PACKAGE_VERSION); return 0;
	case CHECK_FILE:
		config = pw_daemon_read_config(&options, false);
		pw_config_free(config);
		return config != NULL ? 0 : 1;
	case RUN_DAEMON: break;
	}
	return run(&options);
}

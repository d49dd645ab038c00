/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"

const char pw_daemon_usage[] =
	"usage: portwatchd [-dfhtv] [-c FILE] [-u USER] [-x AGENTX-ADDRESS | -L LISTEN-ADDRESS]\n"
	"  -c FILE     read this configuration file instead of " PW_DEFAULT_CONFIG "\n"
	"  -d          log debugging facts as well\n"
	"  -f          stay in the foreground and log to standard error\n"
	"  -h          show this help\n"
	"  -L ADDRESS  answer SNMP by itself on this address (udp:127.0.0.1:1161), without any snmpd\n"
	"  -t          check the configuration file and exit: 0 when it is good, 1 when it has mistakes\n"
	"  -u USER     give up root for this user, keeping only the capabilities that the configuration needs\n"
	"  -v          show the version\n"
	"  -x ADDRESS  AgentX address of the master agent, instead of the configured one\n";

void pw_daemon_options(struct pw_daemon_options *out, int argc, char **argv)
{
	static const struct option long_options[] = {
		{"help", no_argument, NULL, 'h'}, {"version", no_argument, NULL, 'v'}, {0}};
	bool good = true;
	int option;

	*out = (struct pw_daemon_options){.action = PW_DAEMON_RUN};
	optind = 1;
	while ((option = getopt_long(argc, argv, "c:dfhL:tu:vx:", long_options, NULL)) != -1)
		switch (option) {
		case 'c': out->config = optarg; break;
		case 'd': out->debug = true; break;
		case 'f': out->foreground = true; break;
		case 'h': out->action = PW_DAEMON_HELP; break;
		case 'L': out->listen = optarg; break;
		case 't': out->action = PW_DAEMON_CHECK; break;
		case 'u': out->user = optarg; break;
		case 'v': out->action = PW_DAEMON_VERSION; break;
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
	if (!good)
		out->action = PW_DAEMON_USAGE;
}

/* --- the configuration file --- */

static void report_to_log(const char *file, unsigned line, const char *message, void *context)
{
	(void)context;
	if (line != 0)
		pw_log(LOG_ERR, "%s:%u: %s", file, line, message);
	else
		pw_log(LOG_ERR, "%s: %s", file, message);
}

static void report_to_stderr(const char *file, unsigned line, const char *message, void *context)
{
	(void)context;
	if (line != 0)
		fprintf(stderr, "%s:%u: %s\n", file, line, message);
	else
		fprintf(stderr, "%s: %s\n", file, message);
}

/* Only the default file may be missing: every setting has a default. */
struct pw_config *pw_daemon_read_config(const struct pw_daemon_options *options, bool to_log)
{
	pw_config_report *report = to_log ? report_to_log : report_to_stderr;

	if (options->config == NULL && access(PW_DEFAULT_CONFIG, F_OK) < 0 && errno == ENOENT)
		return pw_config_defaults();
	return pw_config_read(options->config != NULL ? options->config : PW_DEFAULT_CONFIG, report, NULL);
}

int pw_daemon_keep_config_path(struct pw_daemon_options *options, struct pw_error *err)
{
	char *directory, *path = NULL;

	if (options->config == NULL || options->config[0] == '/')
		return 0;
	directory = getcwd(NULL, 0);
	if (directory == NULL)
		return pw_error_set(err, "the current directory: %s", strerror(errno));
	if (asprintf(&path, "%s/%s", directory, options->config) < 0)
		path = NULL;
	free(directory);
	options->config = options->config_path = path;
	return path != NULL ? 0 : pw_error_set(err, "out of memory");
}

void pw_daemon_check_readable(const struct pw_daemon_options *options)
{
	const char *path = options->config != NULL ? options->config : PW_DEFAULT_CONFIG;

	if (access(path, R_OK) < 0 && errno != ENOENT)
		pw_log(LOG_WARNING, "%s: %s as user %s: each reload will be refused", path, strerror(errno),
			options->user);
}

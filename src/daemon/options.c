/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/options.h"

#include <getopt.h>
#include <stdio.h>

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

/* Returns false for an unknown option or a missing argument (getopt() has said so). */
static bool take_option(struct pw_daemon_options *out, int option)
{
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
	default: return false;
	}
	return true;
}

void pw_daemon_options(struct pw_daemon_options *out, int argc, char **argv)
{
	static const struct option long_options[] = {
		{"help", no_argument, NULL, 'h'}, {"version", no_argument, NULL, 'v'}, {0}};
	bool good = true;
	int option;

	*out = (struct pw_daemon_options){.action = PW_DAEMON_RUN};
	optind = 1;
	while ((option = getopt_long(argc, argv, "c:dfhL:tu:vx:", long_options, NULL)) != -1)
		good = take_option(out, option) && good;
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

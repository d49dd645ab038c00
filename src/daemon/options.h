/* SPDX-License-Identifier: BSD-2-Clause */
/* options.h: the command line of portwatchd */
#ifndef PW_DAEMON_OPTIONS_H
#define PW_DAEMON_OPTIONS_H

#include <stdbool.h>

enum pw_daemon_action { PW_DAEMON_RUN, PW_DAEMON_CHECK, PW_DAEMON_VERSION, PW_DAEMON_HELP, PW_DAEMON_USAGE };

struct pw_daemon_options {
	enum pw_daemon_action action;
	const char *config; /* -c; NULL = the default file, which need not exist */
	const char *agentx; /* -x: instead of the configured AgentX address */
	const char *listen; /* -L: stand-alone agent on this address */
	const char *user;   /* -u */
	bool foreground;    /* -f: do not detach; log to stderr */
	bool debug;         /* -d */
};

/* The configuration file that is read without -c. */
#define PW_DEFAULT_CONFIG PW_SYSCONFDIR "/portwatch/portwatchd.conf"

/* Reads the arguments; texts are borrowed from argv. Says what is wrong with them on stderr (action PW_DAEMON_USAGE). */
void pw_daemon_options(struct pw_daemon_options *out, int argc, char **argv);

/* What -h prints. */
extern const char pw_daemon_usage[];

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* daemon.h: portwatchd from start to end: main.c has the command line and the configuration file, daemon.c the rest */
#ifndef PW_DAEMON_DAEMON_H
#define PW_DAEMON_DAEMON_H

#include <stdbool.h>

#include "config/config.h"

struct pw_daemon_options {
	const char *config; /* -c; NULL = the default file, which need not exist */
	const char *agentx; /* -x: instead of the configured AgentX address */
	const char *listen; /* -L: stand-alone agent on this address */
	const char *user;   /* -u */
	bool foreground;    /* -f: do not detach; log to stderr */
	bool debug;         /* -d */
};

/* Runs portwatchd with the arguments of main(). Returns its exit status: 0 after SIGTERM or SIGINT or a good -t, 1
 * when it could not start or the configuration has mistakes, 2 for wrong usage. */
int pw_daemon_main(int argc, char **argv);

/* Runs it with this configuration, which it frees; `parent` is the descriptor of pw_detach(), or -1. Returns its exit
 * status. */
int pw_daemon_run(const struct pw_daemon_options *options, struct pw_config *config, int parent);

/* Reads the configuration file; the default one may be missing, as every setting has a default. NULL when it has
 * mistakes, which are said in the log or on stderr. */
struct pw_config *pw_daemon_read_config(const struct pw_daemon_options *options, bool to_log);

/* After a reload: says in the log which changes take effect at the next start, so that nobody waits for them. */
void pw_daemon_tell_restart(
	const struct pw_daemon_options *options, const struct pw_config *was, const struct pw_config *config);

/* With the rights that are left after -u: says in the log when the file can't be read again. */
void pw_daemon_check_readable(const struct pw_daemon_options *options);

#endif

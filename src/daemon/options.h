/* SPDX-License-Identifier: BSD-2-Clause */
/* options.h: the command line of portwatchd, and the configuration file that it names */
#ifndef PW_DAEMON_OPTIONS_H
#define PW_DAEMON_OPTIONS_H

#include <stdbool.h>

#include "base/error.h"
#include "config/config.h"

enum pw_daemon_action { PW_DAEMON_RUN, PW_DAEMON_CHECK, PW_DAEMON_VERSION, PW_DAEMON_HELP, PW_DAEMON_USAGE };

struct pw_daemon_options {
	enum pw_daemon_action action;
	const char *config; /* -c; NULL = the default file, which need not exist */
	const char *agentx; /* -x: instead of the configured AgentX address */
	const char *listen; /* -L: stand-alone agent on this address */
	const char *user;   /* -u */
	char *config_path;  /* what `config` points to where that is no argument; the caller frees it */
	bool foreground;    /* -f: do not detach; log to stderr */
	bool debug;         /* -d */
};

/* The configuration file that is read without -c. */
#define PW_DEFAULT_CONFIG PW_SYSCONFDIR "/portwatch/portwatchd.conf"

/* Reads the arguments; texts are borrowed from argv. Says what is wrong with them on stderr (action PW_DAEMON_USAGE). */
void pw_daemon_options(struct pw_daemon_options *out, int argc, char **argv);

/* Reads the configuration file; the default one may be missing, as every setting has a default. NULL when it has
 * mistakes, which are said in the log or on stderr. */
struct pw_config *pw_daemon_read_config(const struct pw_daemon_options *options, bool to_log);

/* A daemon leaves the directory that it was started in; a reload must find the file all the same. Makes its path
 * absolute; it stays what it is beyond that, as a symbolic link may point to another file by then. Returns 0, or -1
 * with an error. */
int pw_daemon_keep_config_path(struct pw_daemon_options *options, struct pw_error *err);

/* With the rights that are left after -u: says in the log when the file can't be read again. */
void pw_daemon_check_readable(const struct pw_daemon_options *options);

/* What -h prints. */
extern const char pw_daemon_usage[];

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* options.h: the command line of portwatch */
#ifndef PW_REPORT_OPTIONS_H
#define PW_REPORT_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "config/config.h"
#include "report/format.h"
#include "watch/monitor.h"
#include "watch/policy.h"

/* What pw_options_parse() asks its caller to do. */
enum pw_command { PW_COMMAND_REPORT, PW_COMMAND_HELP, PW_COMMAND_VERSION, PW_COMMAND_USAGE_ERROR };

enum pw_colour { PW_COLOUR_AUTO, PW_COLOUR_ALWAYS, PW_COLOUR_NEVER };

struct pw_options {
	enum pw_format format;
	bool explain;
	bool alarms, events;
	uint32_t who; /* the port of --who; 0 = not given */
	bool all;
	uint32_t watch_ms;        /* interval of the polls; 0 = one poll */
	uint32_t top;             /* rows to show; 0 = not given, until pw_asked_config() has filled it in */
	enum pw_rows_wanted rows; /* filled in by pw_asked_config() */
	bool ranked;              /* the worst first; else in index order; filled in by pw_asked_config() */
	struct pw_match match;    /* filters; an empty match takes every pool */
	uint32_t states;          /* filter: bits (1 << enum pw_state); 0 = every state */
	const char **netns;       /* names or paths; none = the own namespace */
	size_t n_netns;
	bool all_netns;                       /* every namespace of the host, the own one too */
	const char *config, *record, *replay; /* paths, NULL = not given */
	const char *socket;                   /* of portwatchd, NULL = where it is by default */
	bool no_daemon;
	bool backend_given;
	enum pw_backend_choice backend;
	bool probe_given;
	enum pw_probe_mode probe;
	enum pw_colour colour;
	/* of --check */
	uint32_t warning, critical; /* percent, 0 = not given */
	uint32_t free_below;        /* ports, 0 = not given */
	uint32_t timeout_s;
};

/* Reads the command line. The strings of argv are borrowed. On PW_COMMAND_USAGE_ERROR `err` tells what is wrong, and
 * out->format still says whether --check was among the arguments (its errors have an exit status of their own). The
 * lists in *out must be released by pw_options_clear() whatever is returned. */
enum pw_command pw_options_parse(struct pw_options *out, int argc, char *const argv[], struct pw_error *err);

/* The first option that portwatchd can't answer, so that we look for ourselves; NULL when there is none. */
const char *pw_options_only_local(const struct pw_options *options);

void pw_options_clear(struct pw_options *options);

/* The text of --help. */
extern const char pw_options_help[];

#endif

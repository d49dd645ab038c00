/* SPDX-License-Identifier: BSD-2-Clause */
/* portwatch.c: the command line: options -> poll -> report */
#include <config.h>

#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/descriptors.h"
#include "base/log.h"
#include "report/asked.h"
#include "report/poll.h"
#include "report/report.h"
#include "report/terminal.h"

enum { EXIT_FAILED = 1, EXIT_USAGE = 2 };

/* A failure goes where its reader looks: a monitoring system reads standard output, and knows UNKNOWN only. */
static int fail(const struct pw_options *options, int status, const struct pw_error *err)
{
	if (options->format == PW_FORMAT_CHECK)
		return pw_check_unknown(stdout, err->text);
	fprintf(stderr, "portwatch: %s\n", err->text);
	if (status == EXIT_USAGE)
		fputs("Try 'portwatch --help'.\n", stderr);
	return status;
}

static void on_timeout(int number)
{
	static const char text[] = "PORTWATCH UNKNOWN - no answer from the kernel in time\n";

	(void)number;
	_exit(write(STDOUT_FILENO, text, sizeof(text) - 1) > 0 ? PW_CHECK_UNKNOWN : EXIT_FAILED);
}

static int print_poll(struct pw_poller *poller, const struct pw_options *options, struct pw_error *err)
{
	struct pw_report report = {.watching = false};
	const struct pw_snapshot *snapshot = pw_poller_poll(poller, &report, err);
	struct pw_view view;
	int status = 0, result;

	if (snapshot == NULL)
		return -1;
	pw_terminal_view(&view, options->colour);
	view.height = 0;
	result = pw_selection_make(&report.selection, snapshot, options);
	if (result < 0)
		pw_error_set(err, "out of memory");
	else if ((result = pw_report_print(stdout, &report, options, &view, &status)) < 0)
		pw_error_set(err, "standard output could not be written");
	pw_selection_clear(&report.selection);
	pw_snapshot_unref(snapshot);
	if (result == 0)
		result = pw_poller_finish_capture(poller, err);
	return result < 0 ? -1 : status;
}

static int run(struct pw_options *options)
{
	struct pw_error err = {""};
	struct pw_config *config;
	struct pw_poller *poller;
	int status;

	if (options->who != 0)
		return pw_who_print(stdout, options, &err) < 0 ? fail(options, EXIT_FAILED, &err) : 0;
	config = pw_asked_config(options, &err);
	if (config == NULL)
		return fail(options, EXIT_FAILED, &err);
	poller = pw_poller_new(options, config, &err);
	if (poller == NULL)
		status = -1;
	else
		status = options->watch_ms != 0 ? pw_watch(poller, options) : print_poll(poller, options, &err);
	if (status < 0)
		status = fail(options, EXIT_FAILED, &err);
	pw_poller_free(poller);
	pw_config_free(config);
	return status;
}

int main(int argc, char *argv[])
{
	struct pw_options options;
	struct pw_error err = {""};
	int status = 0;

	pw_descriptors_start();
	setlocale(LC_CTYPE, "");
	pw_log_open(PW_LOG_STDERR, "portwatch", LOG_WARNING);
	switch (pw_options_parse(&options, argc, argv, &err)) {
	case PW_COMMAND_HELP: fputs(pw_options_help, stdout); break;
	case PW_COMMAND_VERSION: puts(PACKAGE_STRING); break;
	case PW_COMMAND_USAGE_ERROR: status = fail(&options, EXIT_USAGE, &err); break;
	case PW_COMMAND_REPORT:
		signal(SIGALRM, on_timeout);
		alarm(options.timeout_s);
		status = run(&options);
		break;
	}
	pw_options_clear(&options);
	return status;
}

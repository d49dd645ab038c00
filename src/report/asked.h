/* SPDX-License-Identifier: BSD-2-Clause */
/* asked.h: the configuration, and what a daemon knows, as the options want them */
#ifndef PW_REPORT_ASKED_H
#define PW_REPORT_ASKED_H

#include "report/answer.h"
#include "report/options.h"

/* The configuration that the options ask for: the file's or the defaults, with the thresholds and limits of the command
 * line laid over it; fills in options->top, ->ranked and ->rows. NULL with an error that names each mistake in the
 * file. Free with pw_config_free(). */
struct pw_config *pw_asked_config(struct pw_options *options, struct pw_error *err);

/* pw_answer_read() of the namespaces of the options. Thresholds of the command line take the place of those in force,
 * and the states follow from them; what the daemon alarms for another reason stays. */
int pw_asked_read(const char *path, const struct pw_options *options, struct pw_answer *answer, struct pw_error *err);

/* Why the list of the daemon does not reach as far as the options ask, so that a look of our own is right; NULL when it
 * does. */
const char *pw_asked_beyond(const struct pw_answer *answer, const struct pw_options *options);

/* The state of a row by the thresholds of the command line, for pw_asked_read(). Those that were not given stay. */
void pw_asked_judge(const struct pw_options *options, struct pw_pool_row *row);

#endif

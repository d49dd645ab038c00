/* SPDX-License-Identifier: BSD-2-Clause */
/* report.h: one poll as the printers get it, and the printers
 *
 * The latter write to `out`. Those that return an int return 0, or -1 with errno when writing failed. */
#ifndef PW_REPORT_REPORT_H
#define PW_REPORT_REPORT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

#include "report/answer.h"
#include "report/options.h"
#include "report/text.h"
#include "watch/fields.h"
#include "watch/snapshot.h"

/* What is known about a namespace beyond its row in the snapshot. */
struct pw_ns_notes {
	uint32_t ns;            /* its index */
	const char *name;       /* "" = the own one */
	uint32_t ambiguous;     /* as in its row */
	const char *unprobed;   /* why the allocator was not asked about all ports in doubt; NULL when it was */
	uint32_t insert_failed; /* translated packets that found no entry since the kernel counts them */
	const char *unknown[PW_SOURCES]; /* why its pools, which were asked for, are not known; NULL when they are */
	const char *error;               /* what went wrong at this poll, "" for nothing */
};

/* The pools of one poll to be shown; owns nothing of the snapshot. */
struct pw_selection {
	const struct pw_snapshot *snapshot;
	const struct pw_pool_row **rows; /* `matched` of them, of which the first n are to be shown */
	size_t n;
	size_t matched;
};

struct pw_report {
	struct pw_selection selection;
	const struct pw_ns_notes
		*notes; /* one for each namespace that was asked for, also where it could not be read */
	size_t n_notes;
	struct timespec wall;           /* time of the poll */
	uint64_t now_ms;                /* CLOCK_BOOTTIME, for ages */
	bool watching;                  /* there are more polls than this one */
	const struct pw_answer *daemon; /* it told all this; NULL = we looked for ourselves */
	const struct pw_answer *beside; /* what the daemon counted, whoever looked; NULL = nothing */
	const char *unheard; /* why the daemon did not tell it, or not anew; NULL = it did, or there is none */
	const char *aside; /* the option by which, or why, the daemon was not asked; NULL = there is none, or it told */
	bool everything;   /* all pools were asked for: one that is missing holds no usable port */
};

/* How and where to draw. */
struct pw_view {
	unsigned width;  /* columns of the terminal; 0 = none: plain columns */
	unsigned height; /* lines to keep to, 0 = any number */
	bool colour;
	bool unicode;   /* UTF-8 locale */
	bool fine_bars; /* the font has eighths of a block, not only halves */
};

/* Chooses by the filters, options->top and options->ranked (the worst first, else in the order of the index). Returns
 * 0, or -1 when out of memory. Release with pw_selection_clear(). */
int pw_selection_make(struct pw_selection *out, const struct pw_snapshot *snapshot, const struct pw_options *options);

void pw_selection_clear(struct pw_selection *selection);

/* How long ago an allocation of the pool failed last: as pw_text_duration(), "-" = never. Returns buf. */
char *pw_report_failed_ago(const struct pw_report *report, const struct pw_pool_row *row, char buf[PW_TEXT_SHORT_MAX]);

/* What is known about a namespace; never NULL. */
const struct pw_ns_notes *pw_report_notes(const struct pw_report *report, uint32_t ns);

/* Where all this is from: "from portwatchd, 0.4 s ago", or what is said where portwatchd could have been asked; ""
 * where there is none. Returns buf. */
char *pw_report_source(const struct pw_report *report, char *buf, size_t size);

/* Prints one poll as the options want it: check, JSON, or table and explanation. *status becomes the exit status of
 * --check, else stays as it is. Also -1 when memory ran out. */
int pw_report_print(FILE *out, const struct pw_report *report, const struct pw_options *options,
	const struct pw_view *view, int *status);

/* --- for people --- */

/* A few sentences about the first row of the selection: why it is where it is, and what helps. Each is chosen by a fact
 * and has its numbers. */
void pw_explain_print(FILE *out, const struct pw_report *report, const struct pw_view *view);

/* A line for each active alarm whose pool is selected, the oldest first, with the time when it began. */
void pw_alarms_print(FILE *out, const struct pw_report *report, const struct pw_view *view);

/* What the log said of each event that passes the filters, the oldest first, with its time. */
void pw_events_print(
	FILE *out, const struct pw_report *report, const struct pw_options *options, const struct pw_view *view);

/* --who: a line for each socket with this local port in the namespace of the options, whose it is, and what helps where
 * connect() took a port of the range. Returns 0, or -1 with an error. */
int pw_who_print(FILE *out, const struct pw_options *options, struct pw_error *err);

/* --- for monitoring (Monitoring Plugins Development Guidelines) --- */

/* Exit statuses of a plugin. */
enum pw_check_status { PW_CHECK_OK = 0, PW_CHECK_WARNING = 1, PW_CHECK_CRITICAL = 2, PW_CHECK_UNKNOWN = 3 };

/* One line, "PORTWATCH STATUS - text | performance data", and for further pools in trouble one line each (at most 10).
 * The selection must be ranked; all rows that match count, but pools without a threshold in force do not. A state that
 * is known outranks a namespace whose sockets, or SNAT pools that were asked for, could not be read, and that outranks
 * OK. Returns the exit status. */
enum pw_check_status pw_check_print(FILE *out, const struct pw_report *report);

/* "PORTWATCH UNKNOWN - text". Returns PW_CHECK_UNKNOWN. */
enum pw_check_status pw_check_unknown(FILE *out, const char *text);

/* --- for programs: also for the daemon, which has no report. The context's now_ms gives the ages --- */

/* Events for a document, the oldest first. */
struct pw_events {
	const struct pw_event *events;
	size_t n;
};

/* One JSON document (RFC 8259) in one line: docs/json.md and docs/portwatch.schema.json. Its keys are the column names
 * of PORTWATCH-MIB without their prefix, and a contract: keys may be added, none is renamed or removed, none changes
 * its type. Texts that are not UTF-8 get U+FFFD for each byte that is none. The context's wall time is that of the
 * poll. With `events` (not NULL) it is what the daemon says, with its counters, alarms and these events. */
int pw_json_write(FILE *out, const struct pw_selection *selection, const struct pw_context *context,
	const struct pw_events *events);

/* Metrics of the pools in `selection` and of all namespaces. Names come from the fields: portwatch_pool_free_ports is
 * pwPoolFree in ports. Units are base units: percents become ratios, milliseconds and microseconds seconds. An
 * enumeration is its number, which the HELP line explains. With `counters` it is OpenMetrics 1.0. Without, there are no
 * counters, and nothing else that only a running daemon knows: such a text is also one in Prometheus' own format
 * (0.0.4), the only one that node_exporter's textfile collector knows. */
int pw_openmetrics_write(
	FILE *out, const struct pw_selection *selection, const struct pw_context *context, bool counters);

#endif

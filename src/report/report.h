/* SPDX-License-Identifier: BSD-2-Clause */
/* report.h: one poll as the printers get it */
#ifndef PW_REPORT_REPORT_H
#define PW_REPORT_REPORT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

#include "report/answer.h"
#include "report/options.h"
#include "report/text.h"
#include "watch/snapshot.h"

/* What is known about a namespace beyond its row in the snapshot. */
struct pw_ns_notes {
	uint32_t ns;            /* its index */
	const char *name;       /* "" = the own one */
	uint32_t ambiguous;     /* as in its row */
	const char *unprobed;   /* why the allocator was not asked about all ports in doubt; NULL when it was */
	uint32_t insert_failed; /* translated packets that found no entry since the kernel counts them */
	const char *no_snat;    /* why asked for SNAT pools are not known; NULL when they are */
	const char *error;      /* what went wrong at this poll, "" for nothing */
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
	const char *
		aside; /* the option by which we looked for ourselves beside a daemon, or why; NULL = no daemon, or it told */
	bool everything; /* all pools were asked for: one that is missing holds no usable port */
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

/* Where all this is from: "from portwatchd, 0.4 s ago", or what is said where portwatchd could have been asked; "" where
 * there is none. Returns buf. */
char *pw_report_source(const struct pw_report *report, char *buf, size_t size);

/* Prints one poll as the options want it: check, JSON, or table and explanation. *status becomes the exit status of
 * --check, else stays as it is. Returns 0, or -1 when writing failed or memory ran out. */
int pw_report_print(FILE *out, const struct pw_report *report, const struct pw_options *options,
	const struct pw_view *view, int *status);

#endif

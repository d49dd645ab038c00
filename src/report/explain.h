/* SPDX-License-Identifier: BSD-2-Clause */
/* explain.h: what explain.c (how it is), explain_snat.c (the same of a translated port) and advice.c (what helps)
 * share */
#ifndef PW_REPORT_EXPLAIN_H
#define PW_REPORT_EXPLAIN_H

#include "report/report.h"

/* What is explained. */
struct pw_explanation {
	const struct pw_pool_row *row;
	const struct pw_pool_counts *counts;
	const struct pw_ns_row *ns;
	const struct pw_ns_notes *notes;
	const struct pw_report *report;
	const struct pw_view *view;
	unsigned width;
	FILE *out;
};

/* One paragraph of the explanation. */
void pw_say(const struct pw_explanation *e, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Of an SNAT pool: what runs out, and what helps. */
void pw_explain_snat(const struct pw_explanation *e);

/* Of an SNAT pool: two packets that choose one port at the same time, of which the second is dropped, however many
 * ports are free. Returns whether there were any. */
bool pw_explain_races(const struct pw_explanation *e);

/* What may be done about the pool. */
void pw_advise(const struct pw_explanation *e);

static inline bool is_connect(const struct pw_explanation *e)
{
	return e->row->key.kind == PW_KIND_CONNECT;
}

/* Whether its section gives it ports of its own: a cloud's NAT, a program's list. */
static inline bool has_budget(const struct pw_explanation *e)
{
	return is_connect(e) && e->counts->capacity != e->ns->capacity;
}

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
#include "report/asked.h"

#include <stdio.h>
#include <string.h>

#include "report/report.h"

/* --netns is no filter of pools. */
static bool is_filtered(const struct pw_options *o)
{
	const struct pw_match *match = &o->match;

	return match->kinds != 0 || match->protocols != 0 || match->n_local > 0 || match->n_remote > 0 ||
		match->n_ports > 0 || o->states != 0;
}

/* --- a configuration --- */

/* Collects the messages about a configuration file, one a line. */
static void collect_mistake(const char *file, unsigned line, const char *message, void *context)
{
	struct pw_error *err = context;
	size_t used = strlen(err->text);
	char place[16] = "";

	if (line != 0)
		snprintf(place, sizeof(place), "%u: ", line);
	snprintf(err->text + used, sizeof(err->text) - used, "%s%s:%s%s", used > 0 ? "\n" : "", file,
		line != 0 ? place : " ", message);
}

static void override_thresholds(const struct pw_options *o, struct pw_thresholds *t)
{
	if (o->warning != 0)
		t->warning = (struct pw_threshold){.rise = (uint8_t)o->warning, .fall = (uint8_t)(o->warning - 1)};
	if (o->critical != 0)
		t->critical = (struct pw_threshold){.rise = (uint8_t)o->critical, .fall = (uint8_t)(o->critical - 1)};
	if (o->free_below != 0)
		t->free_below = o->free_below;
	/* a single poll can't hold for several */
	if (o->watch_ms == 0)
		t->for_polls = 1;
}

/* Which pools are wanted besides the rows of the daemon: those below min-used too (--all), or only those beyond
 * max-rows, which a filter must see. min-used itself stays, since the thresholds in force hang on it. The ranking is
 * made anew for the pools that pass the filters, so the monitor need not make one; but every alarm needs its row for
 * its state. */
static void set_limits(struct pw_options *o, struct pw_policy *policy)
{
	o->ranked = o->format == PW_FORMAT_TABLE || o->format == PW_FORMAT_CHECK || o->top != 0;
	if (o->all || o->explain || o->format == PW_FORMAT_CHECK)
		o->rows = PW_ROWS_ALL;
	else if (is_filtered(o))
		o->rows = PW_ROWS_OMITTED;
	if (o->top == 0)
		o->top = o->all || !o->ranked ? UINT32_MAX : policy->top;
	policy->top = 1;
	policy->max_alarms = UINT32_MAX;
}

struct pw_config *pw_asked_config(struct pw_options *options, struct pw_error *err)
{
	struct pw_config *config;
	const struct pw_thresholds *defaults;

	err->text[0] = '\0';
	config = options->config != NULL ? pw_config_read(options->config, collect_mistake, err) : pw_config_defaults();
	if (config == NULL) {
		if (err->text[0] == '\0')
			pw_error_set(err, "out of memory");
		return NULL;
	}
	if (options->backend_given)
		config->backend = options->backend;
	if (options->probe_given)
		config->probe = options->probe;
	override_thresholds(options, &config->policy.defaults);
	override_thresholds(options, &config->policy.snat);
	for (size_t i = 0; i < config->policy.n_rules; i++)
		override_thresholds(options, &config->policy.rules[i].thresholds);
	set_limits(options, &config->policy);
	defaults = &config->policy.defaults;
	if (options->warning > defaults->critical.rise && defaults->critical.rise != 0) {
		pw_error_set(err, "-w %u is above the critical threshold of %u: give -c too", options->warning,
			defaults->critical.rise);
		pw_config_free(config);
		return NULL;
	}
	return config;
}

/* --- an answer --- */

static bool has_thresholds(const struct pw_options *o)
{
	return o->warning != 0 || o->critical != 0 || o->free_below != 0;
}

void pw_asked_judge(const struct pw_options *o, struct pw_pool_row *row)
{
	const struct pw_pool_counts *c = &row->counts;
	const bool other = row->reason == PW_REASON_FORECAST || row->reason == PW_REASON_FAST_FREE;

	if (!pw_row_has_threshold(row))
		return;
	row->warning_threshold = o->warning != 0 ? o->warning : row->warning_threshold;
	row->critical_threshold = o->critical != 0 ? o->critical : row->critical_threshold;
	row->free_threshold = o->free_below != 0 ? o->free_below : row->free_threshold;
	if (!other) {
		row->state = PW_STATE_NORMAL;
		row->reason = PW_REASON_NONE;
	}
	if (c->free == 0)
		row->state = PW_STATE_EXHAUSTED;
	else if (row->critical_threshold != 0 && c->utilization >= row->critical_threshold)
		row->state = PW_STATE_CRITICAL;
	else if (row->warning_threshold != 0 && c->utilization >= row->warning_threshold)
		row->state = PW_STATE_WARNING;
	else if (c->free < row->free_threshold) {
		row->state = PW_STATE_WARNING;
		row->reason = PW_REASON_FREE;
		return;
	} else
		return;
	row->reason = PW_REASON_UTILIZATION;
}

int pw_asked_read(const char *path, const struct pw_options *o, struct pw_answer *answer, struct pw_error *err)
{
	struct pw_pool_row *rows;

	if (pw_answer_read(path, o->netns, o->n_netns, answer, err) < 0)
		return -1;
	rows = (struct pw_pool_row *)(uintptr_t)answer->snapshot->pools; /* nobody else has it yet */
	for (size_t i = 0; i < answer->snapshot->n_pools && has_thresholds(o); i++)
		pw_asked_judge(o, &rows[i]);
	return 0;
}

/* Whether a pool that is not listed, and so has less than min-used ports, may be at a threshold. */
static bool below_list(const struct pw_snapshot *s, const struct pw_options *o)
{
	const uint32_t least = o->warning != 0 ? o->warning : o->critical;

	for (size_t i = 0; i < s->n_namespaces && s->pools_seen > s->n_pools; i++) {
		const uint32_t capacity = s->namespaces[i].capacity;

		if ((least != 0 && capacity * (uint64_t)least / 100 < s->min_used) ||
			(o->free_below != 0 && capacity < (uint64_t)o->free_below + s->min_used))
			return true;
	}
	return s->min_used == 0 && has_thresholds(o);
}

const char *pw_asked_beyond(const struct pw_answer *answer, const struct pw_options *o)
{
	const struct pw_snapshot *s = answer->snapshot;
	struct pw_selection selection;
	bool none;

	if (s->pools_omitted > 0 && is_filtered(o))
		return "its max-rows leaves out pools";
	if (below_list(s, o))
		return "it does not list pools as small as that";
	if (!o->explain || pw_selection_make(&selection, s, o) < 0)
		return NULL;
	none = selection.matched == 0;
	pw_selection_clear(&selection);
	return none ? "it lists no such pool" : NULL;
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "report/report.h"

#include <string.h>

#include "report/text.h"

/* Further pools in trouble that are named below the first line. */
#define MAX_FURTHER 10

/* What the selected pools come to. */
struct result {
	const struct pw_pool_row *worst; /* NULL without any pool */
	enum pw_check_status status;
	unsigned warning, critical;      /* pools in these states */
	const struct pw_ns_row *blocked; /* a namespace all of whose ports are denied to new destinations */
};

static const char *status_name(enum pw_check_status status)
{
	static const char *const names[] = {"OK", "WARNING", "CRITICAL", "UNKNOWN"};

	return names[status];
}

static enum pw_check_status status_of(const struct pw_pool_row *row)
{
	if (row->state >= PW_STATE_CRITICAL)
		return PW_CHECK_CRITICAL;
	return row->state == PW_STATE_WARNING ? PW_CHECK_WARNING : PW_CHECK_OK;
}

/* The worst is the one of the worst state; among those, and where all are normal, the first of the ranking. */
static void evaluate(struct result *result, const struct pw_selection *selection)
{
	*result = (struct result){0};
	for (size_t i = 0; i < selection->matched; i++) {
		const struct pw_pool_row *row = selection->rows[i];
		enum pw_check_status status = status_of(row);

		if (!pw_row_has_threshold(row) && status == PW_CHECK_OK)
			continue;
		result->warning += status == PW_CHECK_WARNING;
		result->critical += status == PW_CHECK_CRITICAL;
		if (result->worst == NULL || status > result->status) {
			result->worst = row;
			result->status = status;
		}
	}
	for (size_t i = 0; i < selection->snapshot->n_namespaces; i++) {
		const struct pw_ns_row *ns = &selection->snapshot->namespaces[i];

		if (ns->high != 0 && !ns->failing && ns->capacity <= ns->blocked)
			result->blocked = ns;
	}
}

/* The utilization if nothing is free that may not be. */
static uint32_t worst_utilization(const struct pw_pool_row *row)
{
	return pw_utilization(row->counts.capacity, row->counts.free - row->counts.doubt);
}

/* Where nothing is known to be wrong, but for a pool that may be: that is not OK. */
static void doubt(struct result *result, const struct pw_selection *selection)
{
	for (size_t i = 0; i < selection->matched && result->status == PW_CHECK_OK; i++) {
		const struct pw_pool_row *row = selection->rows[i];

		if (row->counts.doubt == 0 || row->warning_threshold == 0 ||
			worst_utilization(row) < row->warning_threshold)
			continue;
		result->status = PW_CHECK_UNKNOWN;
		result->worst = row;
	}
}

/* A text of others, fit for a plugin's line: '|' would begin the performance data. */
static char *plain(const char *text, char *buf, size_t size)
{
	pw_text_safe(text, true, buf, size);
	for (char *bar = strchr(buf, '|'); bar != NULL; bar = strchr(bar, '|'))
		*bar = '?';
	return buf;
}

static void print_row(FILE *out, const struct pw_pool_row *row)
{
	char name[PW_POOL_NAME_MAX], label[128];

	fprintf(out, "%s", plain(row->name, name, sizeof(name)));
	if (row->label[0] != '\0')
		fprintf(out, " (%s)", plain(row->label, label, sizeof(label)));
	fprintf(out, " at %u%%, %u of %u ports free", row->counts.utilization, row->counts.free, row->counts.capacity);
	if (row->counts.doubt > 0 && worst_utilization(row) >= row->warning_threshold)
		fprintf(out, " (%u of them not for certain)", row->counts.doubt);
	if (row->counts.time_wait > 0)
		fprintf(out, ", %u in TIME_WAIT", row->counts.time_wait);
	if (row->reason == PW_REASON_FREE)
		fprintf(out, ", fewer than %u free", row->free_threshold);
	if (row->reason == PW_REASON_FAST_FREE)
		fprintf(out, ", %u free of those tried first", row->counts.fast_free);
}

static void print_threshold(FILE *out, uint32_t percent)
{
	if (percent != 0)
		fprintf(out, "%u", percent);
	fputc(';', out);
}

static void print_gauge(FILE *out, const char *label, uint32_t value, uint32_t max)
{
	fprintf(out, " %s=%u;;;0;%u", label, value, max);
}

/* label=value[unit];warn;crit;min;max. The labels are always the same, whichever pool is the worst: graphs go by them.
 * In the range syntax of the guidelines "N:" alerts below N, which is what a minimum of free ports is. */
static void print_performance(FILE *out, const struct result *result, const struct pw_selection *selection)
{
	const struct pw_snapshot *snapshot = selection->snapshot;
	struct pw_pool_row none = {0};
	const struct pw_pool_row *row = result->worst != NULL ? result->worst : &none;
	const struct pw_pool_counts *counts = &row->counts;

	/* without any pool, the numbers of one without sockets: graphs then go on at their lowest */
	if (snapshot->n_namespaces > 0) {
		none.counts.capacity = snapshot->namespaces[0].capacity;
		none.counts.blocked = snapshot->namespaces[0].blocked;
		none.counts.free = none.counts.capacity - none.counts.blocked;
		none.counts.utilization = pw_utilization(none.counts.capacity, none.counts.free);
	}
	fprintf(out, " | utilization=%u%%;", counts->utilization);
	print_threshold(out, row->warning_threshold);
	print_threshold(out, row->critical_threshold);
	fprintf(out, "0;100 free=%u;", counts->free);
	if (row->free_threshold != 0)
		fprintf(out, "%u:", row->free_threshold);
	fprintf(out, ";;0;%u", counts->capacity);
	print_gauge(out, "used", counts->used, counts->capacity);
	print_gauge(out, "time_wait", counts->time_wait, counts->capacity);
	print_gauge(out, "blocked", counts->blocked, counts->capacity);
	fprintf(out, " pools=%zu;;;0 pools_warning=%u;;;0 pools_critical=%u;;;0\n", selection->matched, result->warning,
		result->critical);
}

static void print_headline(
	FILE *out, const struct result *result, const struct pw_selection *selection, const struct pw_ns_row *failing)
{
	char name[128];

	fprintf(out, "PORTWATCH %s - ", status_name(result->status));
	if (result->blocked != NULL)
		fprintf(out,
			"no port is free for a new destination: listeners and bound sockets block %u of %u ports%s",
			result->blocked->blocked, result->blocked->capacity, result->worst != NULL ? "; " : "");
	if (result->worst != NULL)
		print_row(out, result->worst);
	else if (result->blocked == NULL)
		fputs(selection->matched > 0 ? "no pool has a threshold in force" : "no pool holds a port", out);
	if (failing != NULL && failing->name[0] != '\0')
		fprintf(out, "; not all sockets of namespace %s could be read",
			plain(failing->name, name, sizeof(name)));
	else if (failing != NULL)
		fputs("; not all sockets could be read", out);
}

static void print_further(FILE *out, const struct result *result, const struct pw_selection *selection)
{
	unsigned in_trouble = result->warning + result->critical, printed = 0;

	for (size_t i = 0; i < selection->matched && printed < MAX_FURTHER; i++) {
		const struct pw_pool_row *row = selection->rows[i];

		if (row == result->worst || status_of(row) == PW_CHECK_OK)
			continue;
		fprintf(out, "%s: ", status_name(status_of(row)));
		print_row(out, row);
		fputc('\n', out);
		printed++;
	}
	if (in_trouble > printed + 1)
		fprintf(out, "and %u more\n", in_trouble - printed - 1);
}

enum pw_check_status pw_check_print(FILE *out, const struct pw_report *report)
{
	const struct pw_selection *selection = &report->selection;
	const struct pw_snapshot *snapshot = selection->snapshot;
	const struct pw_ns_row *failing = NULL;
	const char *unknown = NULL; /* why pools that were asked for are not known */
	const char *title = "";     /* which */
	struct result result;
	char why[256];

	for (size_t i = 0; i < snapshot->n_namespaces && failing == NULL; i++)
		if (snapshot->namespaces[i].failing)
			failing = &snapshot->namespaces[i];
	for (size_t i = 0; i < report->n_notes; i++)
		for (int id = 0; id < PW_SOURCES && unknown == NULL; id++) {
			unknown = report->notes[i].unknown[id];
			title = pw_source_traits[id].title;
		}
	evaluate(&result, selection);
	/* pools of their own kind are told about themselves; where there is none, a new destination would find nothing
	 */
	if (result.worst != NULL &&
		(result.worst->key.kind != PW_KIND_CONNECT || pw_pool_is_new_destination(&result.worst->key)))
		result.blocked = NULL;
	if (result.blocked != NULL)
		result.status = PW_CHECK_CRITICAL;
	doubt(&result, selection);
	if ((failing != NULL || unknown != NULL) && result.status == PW_CHECK_OK)
		result.status = PW_CHECK_UNKNOWN;
	print_headline(out, &result, selection, failing);
	if (unknown != NULL)
		fprintf(out, "; %spools are not known: %s", title, plain(unknown, why, sizeof(why)));
	print_performance(out, &result, selection);
	print_further(out, &result, selection);
	return result.status;
}

enum pw_check_status pw_check_unknown(FILE *out, const char *text)
{
	char line[512];

	fprintf(out, "PORTWATCH UNKNOWN - %s\n", plain(text, line, sizeof(line)));
	return PW_CHECK_UNKNOWN;
}

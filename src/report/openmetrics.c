/* SPDX-License-Identifier: BSD-2-Clause */
#include "report/report.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>

#include "base/utf8.h"

/* The longest name of a metric, and the longest labels of a row, with the final NUL. */
enum { METRIC_MAX = 96, LABELS_MAX = 2048 };

/* How a unit of the MIB is shown. Things that the name of a field tells already (pools, polls, failures) have none. */
struct unit {
	const char *mib, *name;
	double factor;
};

static const struct unit *unit_of(const struct pw_field *field)
{
	static const struct unit units[] = {{"ports", "ports", 1}, {"sockets", "sockets", 1}, {"seconds", "seconds", 1},
		{"milliseconds", "seconds", 1e-3}, {"microseconds", "seconds", 1e-6}, {"percent", "ratio", 1e-2},
		{"ports per minute", "ports_per_second", 1 / 60.0}};
	static const struct unit date = {"", "seconds", 1}, none = {"", NULL, 1};

	for (size_t i = 0; field->unit != NULL && i < sizeof(units) / sizeof(units[0]); i++)
		if (strcmp(field->unit, units[i].mib) == 0)
			return &units[i];
	return field->syntax == PW_SYNTAX_DATE ? &date : &none;
}

/* What a field becomes: a metric with a number, a label of the info metric, or nothing. */
enum use { UNUSED, GAUGE, COUNTER, INFO };

static enum use use_of(const struct pw_field *field)
{
	/* what neither the MIB nor every document has is there for portwatch only */
	if (field->storage == PW_IN_NONE || (field->number == 0 && !field->json))
		return UNUSED;
	switch ((enum pw_syntax)field->syntax) {
	case PW_SYNTAX_GAUGE32:
	case PW_SYNTAX_INTEGER32:
	case PW_SYNTAX_DATE: return GAUGE;
	case PW_SYNTAX_ENUM: return field->index ? INFO : GAUGE;
	case PW_SYNTAX_COUNTER64: return COUNTER;
	/* what changes at any time would make series without number */
	case PW_SYNTAX_TEXT:
	case PW_SYNTAX_UNSIGNED32: return field->json ? INFO : UNUSED;
	case PW_SYNTAX_COUNTER32:
	case PW_SYNTAX_TIMESTAMP:
	case PW_SYNTAX_SERIES:
	case PW_SYNTAX_ROW: break;
	}
	return UNUSED;
}

/* "timeWait": "time_wait". Returns its length. */
static size_t snake_case(const char *name, char *out, size_t size)
{
	size_t len = 0;

	for (; *name != '\0' && len + 2 < size; name++) {
		if (isupper((unsigned char)*name))
			out[len++] = '_';
		out[len++] = (char)tolower((unsigned char)*name);
	}
	out[len] = '\0';
	return len;
}

/* Adds name="value" to labels, with what the format escapes escaped. Too long labels are cut between characters. */
static void add_label(char labels[LABELS_MAX], const char *name, const char *value)
{
	char clean[512];
	size_t len = strlen(labels);

	pw_utf8_clean(clean, sizeof(clean), value);
	len += (size_t)snprintf(labels + len, LABELS_MAX - len, "%s%s=\"", len > 0 ? "," : "", name);
	for (const char *c = clean; *c != '\0' && len + 3 < LABELS_MAX; c++) {
		if (*c == '"' || *c == '\\')
			labels[len++] = '\\';
		labels[len++] = *c;
	}
	snprintf(labels + len, LABELS_MAX - len, "\"");
}

/* --- rows: each metric is one block with a line for each row --- */

struct rows {
	const char *prefix;
	const struct pw_fields *fields;
	const struct pw_context *context;
	const struct pw_selection *selection;
	size_t n;
};

/* A row and the labels that all of its metrics have. */
static const void *get_row(struct rows *rows, size_t i, char labels[LABELS_MAX])
{
	const struct pw_snapshot *snapshot = rows->context->snapshot;
	const struct pw_pool_row *pool;
	const struct pw_ns_row *ns;

	labels[0] = '\0';
	if (rows->fields == &pw_agent_fields)
		return snapshot;
	if (rows->fields == &pw_namespace_fields) {
		add_label(labels, "netns", snapshot->namespaces[i].name);
		return &snapshot->namespaces[i];
	}
	if (rows->fields == &pw_label_fields) {
		add_label(labels, "label", snapshot->labels[i].name);
		return &snapshot->labels[i];
	}
	pool = rows->selection->rows[i];
	ns = pw_snapshot_ns(snapshot, pool->key.ns);
	add_label(labels, "netns", ns != NULL ? ns->name : "");
	add_label(labels, "pool", pool->name);
	add_label(labels, "kind", pw_kind_name(pool->key.kind));
	add_label(labels, "label", pool->label);
	return pool;
}

static void print_sample(FILE *out, const char *name, const char *suffix, const char *labels)
{
	fprintf(out, "%s%s%s%s%s ", name, suffix, labels[0] != '\0' ? "{" : "", labels, labels[0] != '\0' ? "}" : "");
}

static void print_metric(FILE *out, struct rows *rows, const struct pw_field *field, bool counter)
{
	const struct unit *unit = unit_of(field);
	const size_t unit_len = unit->name != NULL ? strlen(unit->name) : 0;
	char name[METRIC_MAX], labels[LABELS_MAX];
	struct pw_field_value value = {0};
	size_t len;

	/* "portwatch_pool" and the field timeWait in ports: "portwatch_pool_time_wait_ports" */
	len = (size_t)snprintf(name, sizeof(name), "%s_", rows->prefix);
	len += snake_case(field->name, name + len, sizeof(name) - len);
	if (unit->name != NULL && strstr(name, unit->name) == NULL)
		snprintf(name + len, sizeof(name) - len, "_%s", unit->name);
	len = strlen(name);
	fprintf(out, "# HELP %s %s", name, field->help);
	for (unsigned word = 1, n = 0; field->word != NULL && word < 256; word++)
		if (strcmp(field->word(word), "unknown") != 0)
			fprintf(out, "%s%u %s", n++ == 0 ? ": " : ", ", word, field->word(word));
	fprintf(out, "\n# TYPE %s %s\n", name, counter ? "counter" : "gauge");
	if (unit->name != NULL && len > unit_len && strcmp(name + len - unit_len, unit->name) == 0)
		fprintf(out, "# UNIT %s %s\n", name, unit->name);
	for (size_t i = 0; i < rows->n; i++) {
		const void *row = get_row(rows, i, labels);

		pw_field_read(field, rows->context, row, &value);
		print_sample(out, name, counter ? "_total" : "", labels);
		if (field->syntax == PW_SYNTAX_COUNTER64)
			fprintf(out, "%" PRIu64 "\n", (uint64_t)value.number);
		else if (field->syntax == PW_SYNTAX_DATE)
			fprintf(out, "%lld.%03ld\n", (long long)value.date.tv_sec, value.date.tv_nsec / 1000000);
		else if (unit->name != NULL && strcmp(unit->name, "seconds") == 0 && value.number == UINT32_MAX)
			fputs("+Inf\n", out); /* not foreseen, or never */
		else
			fprintf(out, "%.10g\n", (double)value.number * unit->factor);
	}
}

/* What is no number: labels of a metric that is always 1, to be joined by those that it shares with the others. It has
 * the type gauge, since Prometheus' own format knows no other. */
static void print_info(FILE *out, struct rows *rows)
{
	const struct pw_fields *fields = rows->fields;
	char labels[LABELS_MAX], text[32], label[METRIC_MAX];
	struct pw_field_value value = {0};

	fprintf(out, "# HELP %s_info What is no number, as labels\n# TYPE %s_info gauge\n", rows->prefix, rows->prefix);
	for (size_t i = 0; i < rows->n; i++) {
		const void *row = get_row(rows, i, labels);

		for (size_t f = 0; f < fields->n; f++) {
			const struct pw_field *field = &fields->fields[f];

			if (use_of(field) != INFO || strcmp(field->name, "name") == 0 ||
				strcmp(field->name, "kind") == 0 || strcmp(field->name, "label") == 0)
				continue;
			pw_field_read(field, rows->context, row, &value);
			snprintf(text, sizeof(text), "%lld", (long long)value.number);
			snake_case(field->name, label, sizeof(label));
			add_label(labels, label,
				field->syntax == PW_SYNTAX_TEXT ? value.text
					: field->word != NULL   ? field->word((unsigned)value.number)
								: text);
		}
		print_sample(out, rows->prefix, "_info", labels);
		fputs("1\n", out);
	}
}

static void print_rows(FILE *out, struct rows *rows, bool counters)
{
	for (size_t f = 0; rows->n > 0 && f < rows->fields->n; f++) {
		const struct pw_field *field = &rows->fields->fields[f];
		enum use use = use_of(field);

		if (use == COUNTER ? counters : use == GAUGE && (field->json || counters))
			print_metric(out, rows, field, use == COUNTER);
	}
	if (rows->n > 0)
		print_info(out, rows);
}

int pw_openmetrics_write(
	FILE *out, const struct pw_selection *selection, const struct pw_context *context, bool counters)
{
	struct rows rows = {
		.prefix = "portwatch", .fields = &pw_agent_fields, .context = context, .selection = selection, .n = 1};

	print_rows(out, &rows, counters);
	rows.prefix = "portwatch_namespace";
	rows.fields = &pw_namespace_fields;
	rows.n = context->snapshot->n_namespaces;
	print_rows(out, &rows, counters);
	rows.prefix = "portwatch_label";
	rows.fields = &pw_label_fields;
	rows.n = context->snapshot->n_labels;
	print_rows(out, &rows, counters);
	rows.prefix = "portwatch_pool";
	rows.fields = &pw_pool_fields;
	rows.n = selection->n;
	print_rows(out, &rows, counters);
	fputs("# EOF\n", out);
	return fflush(out) == 0 && !ferror(out) ? 0 : -1;
}

int pw_openmetrics_print(FILE *out, const struct pw_report *report)
{
	struct pw_context context = {
		.snapshot = report->selection.snapshot, .now_ms = report->now_ms, .wall = report->wall};

	if (report->daemon != NULL)
		context.exchange = report->daemon->context.exchange;
	return pw_openmetrics_write(out, &report->selection, &context, report->daemon != NULL);
}

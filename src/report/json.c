/* SPDX-License-Identifier: BSD-2-Clause */
#include <string.h>

#include "base/utf8.h"
#include "report/report.h"

/* A host can have 100,000 pools: the members are put together in a buffer of our own, several times faster than
 * fprintf(). */
struct writer {
	FILE *out;
	size_t len;
	char buf[32768];
};

static void flush(struct writer *w)
{
	fwrite(w->buf, 1, w->len, w->out);
	w->len = 0;
}

static void put(struct writer *w, const char *bytes, size_t len)
{
	if (len > sizeof(w->buf) - w->len)
		flush(w);
	memcpy(w->buf + w->len, bytes, len);
	w->len += len;
}

static void put_text(struct writer *w, const char *text)
{
	put(w, text, strlen(text));
}

static void put_number(struct writer *w, uint64_t value)
{
	char digits[20];
	size_t at = sizeof(digits);

	do {
		digits[--at] = (char)('0' + value % 10);
		value /= 10;
	} while (value != 0);
	put(w, digits + at, sizeof(digits) - at);
}

static void put_string(struct writer *w, const char *text)
{
	static const char hex[] = "0123456789abcdef";

	put(w, "\"", 1);
	while (*text != '\0') {
		const size_t len = pw_utf8_length(text);
		const uint8_t byte = (uint8_t)*text;
		const char escape[6] = {'\\', 'u', '0', '0', hex[byte >> 4], hex[byte & 15]};

		if (len == 0 || (len > 1 && pw_utf8_is_control(text, len))) {
			put(w, "\\ufffd", 6);
		} else if (byte == '"' || byte == '\\') {
			put(w, "\\", 1);
			put(w, text, 1);
		} else if (byte < 0x20 || byte == 0x7f) {
			put(w, escape, sizeof(escape));
		} else {
			put(w, text, len);
		}
		text += len != 0 ? len : 1;
	}
	put(w, "\"", 1);
}

static void put_value(struct writer *w, const struct pw_field *field, const struct pw_field_value *value)
{
	char date[32];
	struct tm tm;
	size_t len;

	switch ((enum pw_syntax)field->syntax) {
	case PW_SYNTAX_TEXT: put_string(w, value->text); break;
	case PW_SYNTAX_ENUM: put_string(w, field->word((unsigned)value->number)); break;
	case PW_SYNTAX_DATE:
		gmtime_r(&value->date.tv_sec, &tm);
		len = strftime(date, sizeof(date), "\"%Y-%m-%dT%H:%M:%S", &tm);
		len += (size_t)snprintf(date + len, sizeof(date) - len, ".%03ldZ\"", value->date.tv_nsec / 1000000);
		put(w, date, len);
		break;
	case PW_SYNTAX_COUNTER64: put_number(w, (uint64_t)value->number); break;
	case PW_SYNTAX_SERIES:
		put(w, "[", 1);
		for (size_t i = 0; i < value->series.n; i++) {
			put(w, ",", i > 0);
			put_number(w, value->series.numbers[i]);
		}
		put(w, "]", 1);
		break;
	default:
		if (value->number < 0)
			put(w, "-", 1);
		put_number(w, value->number < 0 ? (uint64_t)-value->number : (uint64_t)value->number);
		break;
	}
}

/* What a document is made from. */
struct origin {
	const struct pw_context *context;
	bool daemon; /* also what only the daemon knows */
};

/* The members of an object for a row, without the brace at its end. */
static void put_fields(struct writer *w, const struct pw_fields *fields, const struct origin *origin, const void *row)
{
	const char *before = "{\"";

	for (size_t i = 0; i < fields->n; i++) {
		const struct pw_field *field = &fields->fields[i];
		struct pw_field_value value;

		if (!pw_field_in_json(field, origin->daemon))
			continue;
		pw_field_read(field, origin->context, row, &value);
		put_text(w, before);
		put_text(w, field->name);
		put(w, "\":", 2);
		put_value(w, field, &value);
		before = ",\"";
	}
}

/* The elements of an array whose rows stand one behind the other. */
static void put_rows(struct writer *w, const struct pw_fields *fields, const struct origin *origin, const void *rows,
	size_t n, size_t size)
{
	for (size_t i = 0; i < n; i++) {
		put(w, ",", i > 0);
		put_fields(w, fields, origin, (const char *)rows + i * size);
		put(w, "}", 1);
	}
}

int pw_json_write(FILE *out, const struct pw_selection *selection, const struct pw_context *context,
	const struct pw_events *events)
{
	const struct pw_snapshot *s = selection->snapshot;
	const struct origin origin = {context, events != NULL};
	struct writer w;

	w.out = out;
	w.len = 0;
	put_fields(&w, &pw_agent_fields, &origin, s);
	put_text(&w, ",\"namespaces\":[");
	put_rows(&w, &pw_namespace_fields, &origin, s->namespaces, s->n_namespaces, sizeof(*s->namespaces));
	put_text(&w, "],\"labels\":[");
	put_rows(&w, &pw_label_fields, &origin, s->labels, s->n_labels, sizeof(*s->labels));
	put_text(&w, "],\"pools\":[");
	for (size_t i = 0; i < selection->n; i++) {
		put(&w, ",", i > 0);
		put_fields(&w, &pw_pool_fields, &origin, selection->rows[i]);
		put(&w, "}", 1);
	}
	if (events != NULL) {
		put_text(&w, "],\"alarms\":[");
		put_rows(&w, &pw_alarm_fields, &origin, s->alarms, s->n_alarms, sizeof(*s->alarms));
		put_text(&w, "],\"events\":[");
		put_rows(&w, &pw_event_fields, &origin, events->events, events->n, sizeof(*events->events));
	}
	put_text(&w, "]}\n");
	flush(&w);
	return fflush(out) == 0 && !ferror(out) ? 0 : -1;
}

int pw_json_print(FILE *out, const struct pw_report *report)
{
	const struct pw_answer *daemon = report->daemon;
	struct pw_context context = {
		.snapshot = report->selection.snapshot, .now_ms = report->now_ms, .wall = report->wall};
	struct pw_events events;

	if (daemon == NULL)
		return pw_json_write(out, &report->selection, &context, NULL);
	context.exchange = daemon->context.exchange;
	events = (struct pw_events){daemon->events, daemon->n_events};
	return pw_json_write(out, &report->selection, &context, &events);
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include <config.h>

#include "report/json.h"

#include <string.h>

#include "base/utf8.h"

/* A host can have 100,000 pools: the members are put together in a buffer of our own, several times faster than fprintf(). */
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

static void put_signed(struct writer *w, int64_t value)
{
	if (value < 0)
		put(w, "-", 1);
	put_number(w, value < 0 ? (uint64_t)-value : (uint64_t)value);
}

/* One character of `len` bytes (0: a byte that is no UTF-8), escaped where JSON wants it. */
static void put_char(struct writer *w, const char *text, size_t len)
{
	static const char hex[] = "0123456789abcdef";
	uint8_t byte = (uint8_t)*text;
	char escape[6] = {'\\', 'u', '0', '0', hex[byte >> 4], hex[byte & 15]};

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
}

static void put_string(struct writer *w, const char *text)
{
	put(w, "\"", 1);
	while (*text != '\0') {
		size_t len = pw_utf8_length(text);

		put_char(w, text, len);
		text += len != 0 ? len : 1;
	}
	put(w, "\"", 1);
}

/* The part up to the value: `,"name":`, or `{"name":` for the first member of an object. */
static void put_key(struct writer *w, const char *before, const char *name)
{
	put_text(w, before);
	put_text(w, name);
	put(w, "\":", 2);
}

#define FIRST "{\""
#define NEXT ",\""

static void member_number(struct writer *w, const char *name, uint64_t value)
{
	put_key(w, NEXT, name);
	put_number(w, value);
}

static void member_string(struct writer *w, const char *name, const char *value)
{
	put_key(w, NEXT, name);
	put_string(w, value);
}

/* Enums and other texts of our own, which need no escape. */
static void member_word(struct writer *w, const char *name, const char *word)
{
	put_key(w, NEXT, name);
	put(w, "\"", 1);
	put_text(w, word);
	put(w, "\"", 1);
}

static const char *reuse_name(enum pw_tw_reuse mode)
{
	return mode == PW_TW_REUSE_ON ? "on" : mode == PW_TW_REUSE_LOOPBACK ? "loopback" : "off";
}

static const char *snat_status_name(enum pw_source_status status)
{
	static const char *const names[] = {"off", "off", "counting", "unavailable"};

	return names[status <= PW_SOURCE_UNAVAILABLE ? status : 0];
}

static void put_namespace(struct writer *w, const struct pw_ns_row *row)
{
	put_key(w, FIRST, "index");
	put_number(w, row->index);
	member_string(w, "name", row->name);
	member_number(w, "low", row->low);
	member_number(w, "high", row->high);
	member_number(w, "reserved", row->reserved);
	member_number(w, "capacity", row->capacity);
	member_number(w, "tcpSockets", row->tcp);
	member_number(w, "tcpTimeWait", row->tcp_time_wait);
	member_number(w, "udpSockets", row->udp);
	member_word(w, "timeWaitReuse", reuse_name(row->tw_reuse));
	member_number(w, "blocked", row->blocked);
	member_word(w, "basis", pw_basis_name(row->basis));
	member_word(w, "status", row->failing ? "failing" : "ok");
	member_number(w, "snatFailures", row->snat_failures);
	member_word(w, "snatStatus", snat_status_name(row->snat_status));
	member_string(w, "snatReason", row->snat_reason);
	put(w, "}", 1);
}

static void put_identity(struct writer *w, const struct pw_pool_row *row)
{
	put_key(w, FIRST, "nsIndex");
	put_number(w, row->key.ns);
	member_word(w, "kind", pw_kind_name((enum pw_kind)row->key.kind));
	member_word(w, "protocol", pw_protocol_name(row->key.protocol));
	member_string(w, "name", row->name);
	member_string(w, "local", row->local_text);
	member_string(w, "remote", row->remote_text);
	member_number(w, "port", row->key.port);
}

static void put_counts(struct writer *w, const struct pw_pool_counts *counts)
{
	member_number(w, "capacity", counts->capacity);
	member_number(w, "used", counts->used);
	member_number(w, "timeWait", counts->time_wait);
	member_number(w, "blocked", counts->blocked);
	member_number(w, "reusable", counts->reusable);
	member_number(w, "free", counts->free);
	member_number(w, "fastFree", counts->fast_free);
	member_number(w, "utilization", counts->utilization);
}

static uint64_t age_s(uint64_t now_ms, uint64_t then_ms)
{
	return now_ms > then_ms ? (now_ms - then_ms) / 1000 : 0;
}

static void put_pool(struct writer *w, const struct pw_pool_row *row, uint64_t now_ms)
{
	put_identity(w, row);
	put_counts(w, &row->counts);
	member_number(w, "peak", row->peak);
	member_number(w, "peakAge", age_s(now_ms, row->peak_ms));
	put_key(w, NEXT, "growth");
	put_signed(w, row->growth);
	member_number(w, "timeToExhaustion", row->time_to_exhaustion);
	member_number(w, "allocLatency", row->alloc_latency_us);
	member_word(w, "state", pw_state_name(row->state));
	member_number(w, "stateAge", age_s(now_ms, row->state_ms));
	member_word(w, "stateReason", pw_reason_name(row->reason));
	member_number(w, "warningThreshold", row->warning_threshold);
	member_number(w, "criticalThreshold", row->critical_threshold);
	member_number(w, "freeThreshold", row->free_threshold);
	member_word(w, "basis", pw_basis_name(row->basis));
	member_string(w, "label", row->label);
	member_string(w, "owner", row->owner);
	put(w, "}", 1);
}

static void put_head(struct writer *w, const struct pw_snapshot *snapshot, struct timespec wall)
{
	char stamp[32];
	struct tm tm;
	size_t len;

	gmtime_r(&wall.tv_sec, &tm);
	len = strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(stamp + len, sizeof(stamp) - len, ".%03ldZ", wall.tv_nsec / 1000000);
	put_key(w, FIRST, "version");
	put_string(w, PACKAGE_VERSION);
	member_word(w, "time", stamp);
	member_number(w, "pollDuration", snapshot->poll_duration_us);
	member_number(w, "socketsSeen", snapshot->sockets_seen);
	member_number(w, "poolsSeen", snapshot->pools_seen);
	member_number(w, "poolsListed", snapshot->pools_listed);
	member_number(w, "poolsOmitted", snapshot->pools_omitted);
}

int pw_json_print(FILE *out, const struct pw_selection *selection, uint64_t now_ms, struct timespec wall)
{
	const struct pw_snapshot *snapshot = selection->snapshot;
	struct pw_row_buffer buffer;
	struct writer w;

	w.out = out;
	w.len = 0;
	put_head(&w, snapshot, wall);
	put_key(&w, NEXT, "namespaces");
	for (size_t i = 0; i < snapshot->n_namespaces; i++) {
		put(&w, i == 0 ? "[" : ",", 1);
		put_namespace(&w, &snapshot->namespaces[i]);
	}
	put_text(&w, snapshot->n_namespaces == 0 ? "[]" : "]");
	put_key(&w, NEXT, "pools");
	for (size_t i = 0; i < selection->n; i++) {
		put(&w, i == 0 ? "[" : ",", 1);
		put_pool(&w, pw_selection_row(selection, i, &buffer), now_ms);
	}
	put_text(&w, selection->n == 0 ? "[]}\n" : "]}\n");
	flush(&w);
	return fflush(out) == 0 && !ferror(out) ? 0 : -1;
}

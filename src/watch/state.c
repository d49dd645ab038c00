/* SPDX-License-Identifier: BSD-2-Clause */
#include "watch/state.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/number.h"
#include "watch/pools.h"

#define HEADER "portwatch-state 1"

/* --- writing ------------------------------------------------------------------------------------------------------ */

/* FNV-1a. It is to find a file that was cut or edited, not to keep out whoever may write it. */
static uint32_t checksum(const char *text, size_t len)
{
	uint32_t sum = 2166136261u;

	for (size_t i = 0; i < len; i++)
		sum = (sum ^ (uint8_t)text[i]) * 16777619u;
	return sum;
}

/* A word that is never empty and holds no blank: "=blue". */
static void put_name(FILE *out, const char *name)
{
	fputc('=', out);
	for (const uint8_t *c = (const uint8_t *)name; *c != '\0'; c++)
		fprintf(out, *c > ' ' && *c < 0x7f && *c != '%' ? "%c" : "%%%02x", *c);
}

static void put_address(FILE *out, const struct pw_address *address)
{
	fprintf(out, " %u %u ", address->family, address->zone);
	for (size_t i = 0; i < sizeof(address->bytes); i++)
		fprintf(out, "%02x", address->bytes[i]);
}

static void put_key(FILE *out, const char *ns_name, const struct pw_pool_key *key, enum pw_state told,
	enum pw_state maybe, uint32_t event_id)
{
	put_name(out, ns_name);
	fprintf(out, " %u %u %u", key->kind, key->protocol, key->port);
	put_address(out, &key->local);
	put_address(out, &key->remote);
	fprintf(out, " %d %" PRIu32 " %d", (int)told, event_id, (int)maybe);
}

static void put_pool(FILE *out, const struct pw_monitor *m, const struct pw_watched *pool)
{
	struct pw_history_point points[PW_HISTORY_POINTS];
	unsigned n = pool->history != NULL ? pw_history_points(pool->history, points) : 0, levels = 0;

	for (int level = 0; level < PW_LEVELS; level++)
		levels |= (unsigned)pool->alarm.on[level] << level;
	fprintf(out, " %d %d %u", (int)pool->result.state, (int)pool->result.reason, levels);
	fprintf(out, " %lld %ld %" PRIu32, (long long)pool->alarm_since.tv_sec, pool->alarm_since.tv_nsec,
		pool->alarm_index);
	fprintf(out, " %" PRIu64 " %" PRIu32 " %" PRIu64, m->now_ms - pool->state_ms, pool->peak,
		m->now_ms - pool->peak_ms);
	fprintf(out, " %" PRIu32 " %" PRIu32 " %" PRIu32 " %u", pool->counts.capacity, pool->counts.used,
		pool->counts.free, n);
	for (unsigned i = 0; i < n; i++)
		fprintf(out, " %" PRIu64 " %" PRIu32, m->now_ms - points[i].ms, points[i].free);
}

static int by_key(const void *a, const void *b)
{
	return pw_pool_key_compare(&((const struct pw_told *)a)->key, &((const struct pw_told *)b)->key);
}

/* What was told, then what has a row and was not. */
static void put_pools(FILE *out, const struct pw_monitor *m, const struct pw_told *told, size_t n_told)
{
	for (size_t i = 0; i < n_told; i++) {
		const struct pw_watched *pool = pw_pools_find(&m->pools, &told[i].key);
		const struct pw_watched_ns *ns = pw_pools_ns(&m->pools, told[i].key.ns);
		/* the namespace of a pool that is remembered no more, from the name that it was told with */
		const char *at = strrchr(told[i].name, '@'),
			   *ns_name = ns != NULL ? ns->name
			: at != NULL             ? at + 1
						 : "";

		fputs(pool != NULL ? "pool " : "told ", out);
		put_key(out, ns_name, &told[i].key, told[i].state, told[i].maybe, told[i].event_id);
		if (pool != NULL)
			put_pool(out, m, pool);
		fputc('\n', out);
	}
	for (size_t i = 0; i < m->n_saved; i++) { /* of namespaces that have not come back yet */
		if (m->saved[i].told == PW_STATE_NORMAL && m->saved[i].maybe == PW_STATE_NORMAL)
			continue;
		fputs("told ", out);
		put_key(out, m->saved[i].ns, &m->saved[i].key, m->saved[i].told, m->saved[i].maybe,
			m->saved[i].event_id);
		fputc('\n', out);
	}
	for (size_t i = 0; i < m->rows.n; i++) {
		const struct pw_watched *pool = m->rows.pools[i];
		const struct pw_told wanted = {.key = pool->key};

		if (n_told != 0 && bsearch(&wanted, told, n_told, sizeof(*told), by_key) != NULL)
			continue;
		fputs("pool ", out);
		put_key(out, pool->ns->name, &pool->key, PW_STATE_NORMAL, PW_STATE_NORMAL, 0);
		put_pool(out, m, pool);
		fputc('\n', out);
	}
}

char *pw_state_text(const struct pw_monitor *m, struct pw_exchange *exchange, bool agent_ended, size_t *len)
{
	struct pw_told *told = NULL;
	size_t n_told;
	char *text = NULL;
	FILE *out;
	bool failed = pw_exchange_told(exchange, agent_ended, &told, &n_told) < 0;

	out = failed ? NULL : open_memstream(&text, len);
	if (out == NULL) {
		free(told);
		return NULL;
	}
	if (n_told != 0)
		qsort(told, n_told, sizeof(*told), by_key);
	fprintf(out, "%s %d\nat %lld %ld\nids %" PRIu32 " %" PRIu32 "\n", HEADER, (int)PW_LEVELS,
		(long long)m->wall.tv_sec, m->wall.tv_nsec, m->last_event_id, m->last_alarm_index);
	put_pools(out, m, told, n_told);
	free(told);
	failed = fflush(out) != 0 || fprintf(out, "checksum %08" PRIx32 "\n", checksum(text, *len)) < 0;
	failed = fclose(out) != 0 || failed;
	if (!failed)
		return text;
	free(text);
	return NULL;
}

/* --- reading ------------------------------------------------------------------------------------------------------ */

/* The fields of a line, one after the other; `bad` once one was missing or wrong. */
struct fields {
	char *next;
	bool bad;
};

static const char *word(struct fields *f)
{
	char *start = f->next, *end;

	if (f->bad || *start == '\0') {
		f->bad = true;
		return "";
	}
	end = start + strcspn(start, " ");
	f->next = *end != '\0' ? end + 1 : end;
	*end = '\0';
	return start;
}

static uint64_t number(struct fields *f, uint64_t min, uint64_t max)
{
	uint64_t value = 0;

	if (!pw_number(word(f), min, max, &value))
		f->bad = true;
	return value;
}

static void name(struct fields *f, char *out, size_t size)
{
	const char *from = word(f);
	size_t len = 0;

	f->bad = f->bad || *from++ != '=';
	for (; !f->bad && *from != '\0' && len + 1 < size; len++) {
		if (*from != '%') {
			out[len] = *from++;
		} else {
			f->bad = pw_hex_digit(from[1]) < 0 || pw_hex_digit(from[2]) < 0;
			if (f->bad)
				break;
			out[len] = (char)(pw_hex_digit(from[1]) * 16 + pw_hex_digit(from[2]));
			from += 3;
		}
	}
	out[len] = '\0';
}

static void address(struct fields *f, struct pw_address *out)
{
	const char *digits;

	out->family = (uint32_t)number(f, 0, UINT16_MAX);
	out->zone = (uint32_t)number(f, 0, UINT32_MAX);
	digits = word(f);
	f->bad = f->bad || strlen(digits) != 2 * sizeof(out->bytes);
	for (size_t i = 0; !f->bad && i < sizeof(out->bytes); i++) {
		f->bad = pw_hex_digit(digits[2 * i]) < 0 || pw_hex_digit(digits[2 * i + 1]) < 0;
		out->bytes[i] = (uint8_t)(pw_hex_digit(digits[2 * i]) * 16 + pw_hex_digit(digits[2 * i + 1]));
	}
}

/* When something of this age at the time of writing was, in CLOCK_BOOTTIME; what was before the last boot is as old
 * as that. */
static uint64_t moment(struct fields *f, uint64_t at_ms, uint64_t now_ms)
{
	uint64_t age = number(f, 0, UINT64_MAX / 2) + (now_ms - at_ms);

	return age < now_ms ? now_ms - age : 1;
}

static void read_key(struct fields *f, struct pw_saved *s)
{
	name(f, s->ns, sizeof(s->ns));
	s->key.kind = (uint8_t)number(f, 0, UINT8_MAX);
	s->key.protocol = (uint8_t)number(f, 0, UINT8_MAX);
	s->key.port = (uint16_t)number(f, 0, UINT16_MAX);
	address(f, &s->key.local);
	address(f, &s->key.remote);
	s->told = (enum pw_state)number(f, PW_STATE_NORMAL, PW_STATE_EXHAUSTED);
	s->event_id = (uint32_t)number(f, 0, UINT32_MAX);
	s->maybe = (enum pw_state)number(f, PW_STATE_NORMAL, PW_STATE_EXHAUSTED);
}

/* at_ms: the time of writing, in terms of now_ms. */
static void read_pool(struct fields *f, struct pw_saved *s, unsigned n_levels, int64_t age_ms, uint64_t now_ms)
{
	const uint64_t at_ms = now_ms -
		(uint64_t)age_ms; /* wraps where that was before the boot, and back in moment() */
	uint64_t levels, before = 0;

	s->state = (enum pw_state)number(f, PW_STATE_NORMAL, PW_STATE_EXHAUSTED);
	s->reason = (enum pw_reason)number(f, PW_REASON_NONE, UINT8_MAX);
	levels = number(f, 0, UINT32_MAX);
	for (unsigned level = 0; n_levels == PW_LEVELS && level < PW_LEVELS; level++)
		s->alarm.on[level] = (levels >> level & 1) != 0;
	s->since.tv_sec = (time_t)number(f, 0, INT64_MAX);
	s->since.tv_nsec = (long)number(f, 0, 999999999);
	s->alarm_index = (uint32_t)number(f, 0, UINT32_MAX);
	s->state_ms = moment(f, at_ms, now_ms);
	s->peak = (uint32_t)number(f, 0, UINT32_MAX);
	s->peak_ms = moment(f, at_ms, now_ms);
	s->counts.capacity = (uint32_t)number(f, 0, UINT32_MAX);
	s->counts.used = (uint32_t)number(f, 0, UINT32_MAX);
	s->counts.free = (uint32_t)number(f, 0, UINT32_MAX);
	s->counts.utilization = pw_utilization(s->counts.capacity, s->counts.free);
	for (uint64_t n = number(f, 0, PW_HISTORY_POINTS); !f->bad && n > 0; n--) {
		struct pw_history_point point = {.ms = moment(f, at_ms, now_ms)};

		point.free = (uint32_t)number(f, 0, UINT32_MAX);
		if (point.ms > before)
			s->points[s->n_points++] = point;
		before = point.ms;
	}
}

static int read_lines(struct pw_monitor *m, char *text, uint64_t now_ms, struct timespec wall)
{
	unsigned n_levels = 0;
	int64_t age_ms = 0;
	char *line, *rest = NULL;

	for (line = strtok_r(text, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
		struct fields f = {.next = line};
		struct pw_saved saved = {.state = PW_STATE_NORMAL, .reason = PW_REASON_NONE};
		const char *what = word(&f);

		if (strcmp(what, "portwatch-state") == 0) {
			number(&f, 1, 1);
			n_levels = (unsigned)number(&f, 0, UINT8_MAX);
		} else if (strcmp(what, "at") == 0) {
			age_ms = (wall.tv_sec - (int64_t)number(&f, 0, INT64_MAX / 2000)) * 1000;
			age_ms = age_ms > 0 ? age_ms : 0; /* the clock was set back */
		} else if (strcmp(what, "ids") == 0) {
			m->last_event_id = (uint32_t)number(&f, 0, UINT32_MAX);
			m->last_alarm_index = (uint32_t)number(&f, 0, UINT32_MAX);
		} else {
			read_key(&f, &saved);
			saved.is_pool = strcmp(what, "pool") == 0;
			if (saved.is_pool)
				read_pool(&f, &saved, n_levels, age_ms, now_ms);
			else
				saved.state = saved.told;
			if (!PW_ARRAY_ROOM(m->saved, m->saved_room, m->n_saved + 1))
				return -1;
			m->saved[m->n_saved++] = saved;
		}
		if (f.bad)
			return -1;
	}
	return 0;
}

int pw_state_restore(
	struct pw_monitor *m, const char *text, size_t len, uint64_t now_ms, struct timespec wall, struct pw_error *err)
{
	static const char label[] = "checksum ";
	const size_t tail = sizeof(label) - 1 + 9; /* eight digits and the newline */
	char *copy = NULL, expected[32];
	int rc;

	if (len < sizeof(HEADER) - 1 || memcmp(text, HEADER " ", sizeof(HEADER)) != 0)
		return pw_error_set(err, "not of this version");
	/* all of it must be there and unchanged; lines are then ended by NUL */
	if (len > tail && memchr(text, '\0', len) == NULL) {
		snprintf(expected, sizeof(expected), "%s%08" PRIx32 "\n", label, checksum(text, len - tail));
		if (memcmp(text + len - tail, expected, tail) == 0)
			copy = strndup(text, len - tail);
	}
	if (copy == NULL)
		return pw_error_set(err, "it was cut or changed");
	rc = read_lines(m, copy, now_ms, wall);
	free(copy);
	if (rc == 0)
		return 0;
	free(m->saved);
	m->saved = NULL;
	m->n_saved = m->saved_room = 0;
	m->last_event_id = m->last_alarm_index = 0;
	return pw_error_set(err, "a line is wrong, or out of memory");
}

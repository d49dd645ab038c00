/* SPDX-License-Identifier: BSD-2-Clause */
#include "report/answer.h"

#include <errno.h>
#include <jansson.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/array.h"
#include "base/clock.h"
#include "base/number.h"
#include "watch/alarm.h"

/* Longer than the daemon lets a reader be silent. */
#define WAIT_S 3

/* More than a daemon with the most rows that there may be has to say. */
#define MAX_OCTETS (256u << 20)

/* --- octets --- */

static int connect_to(const char *path, struct pw_error *err)
{
	const struct timeval wait = {.tv_sec = WAIT_S};
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd;

	if (strlen(path) >= sizeof(address.sun_path))
		return pw_error_set(err, "%s: the path is too long", path);
	memcpy(address.sun_path, path, strlen(path));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait)) == 0 &&
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait)) == 0 &&
		connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;
	pw_error_set(err, "%s: %s", path, errno == ECONNREFUSED ? "portwatchd does not run" : strerror(errno));
	if (fd >= 0)
		close(fd);
	return -1;
}

/* Everything until the other side closes; NULL with an error. */
static char *read_all(int fd, const char *path, size_t *len, struct pw_error *err)
{
	size_t room = 0;
	char *text = NULL;
	ssize_t n = 1;

	*len = 0;
	while (n != 0) {
		if (*len >= MAX_OCTETS || !PW_ARRAY_ROOM(text, room, *len + 65536)) {
			pw_error_set(err, "%s: out of memory", path);
			free(text);
			return NULL;
		}
		n = recv(fd, text + *len, room - *len, 0);
		if (n > 0)
			*len += (size_t)n;
		if (n < 0 && errno != EINTR) {
			pw_error_set(err, "%s: %s", path, errno == EAGAIN ? "no answer in time" : strerror(errno));
			free(text);
			return NULL;
		}
	}
	return text;
}

/* --- rows --- */

static struct timespec parse_date(const char *text)
{
	struct timespec time = {0};
	struct tm tm = {0};
	const char *rest = text != NULL ? strptime(text, "%Y-%m-%dT%H:%M:%S", &tm) : NULL;
	uint64_t ms;

	if (rest != NULL) {
		time.tv_sec = timegm(&tm);
		if (*rest++ == '.' && pw_number_take(&rest, 999, &ms))
			time.tv_nsec = (long)ms * 1000000;
	}
	return time;
}

static struct pw_series series_of(const json_t *array, struct pw_arena *arena)
{
	size_t n = json_array_size(array);
	uint16_t *numbers = n > 0 ? pw_arena_array(arena, n, sizeof(*numbers)) : NULL;

	for (size_t i = 0; numbers != NULL && i < n; i++)
		numbers[i] = (uint16_t)json_integer_value(json_array_get(array, i));
	return (struct pw_series){numbers, numbers != NULL ? n : 0};
}

/* Writes what the members of an object say. One that a daemon of another version does not have is 0 or "". */
static void fill_row(const struct pw_fields *fields, struct pw_context *context, const json_t *object,
	struct pw_arena *arena, void *row)
{
	for (size_t i = 0; i < fields->n; i++) {
		const struct pw_field *field = &fields->fields[i];
		const json_t *member = json_object_get(object, field->name);
		const char *text = json_string_value(member);
		struct pw_field_value value = {.text = ""};

		if (!pw_field_in_json(field, true))
			continue;
		switch ((enum pw_syntax)field->syntax) {
		case PW_SYNTAX_TEXT: value.text = text != NULL ? pw_arena_text(arena, text) : ""; break;
		case PW_SYNTAX_DATE: value.date = parse_date(text); break;
		case PW_SYNTAX_SERIES: value.series = series_of(member, arena); break;
		case PW_SYNTAX_ENUM:
			value.number = text != NULL ? pw_field_value_of(field, text) : 0;
			value.number = value.number > 0 ? value.number : 0;
			break;
		default: value.number = json_integer_value(member);
		}
		pw_field_write(field, context, row, &value);
	}
}

/* The rows of an array of the document; NULL when there are none, or no memory (arena->failed). */
static void *make_rows(const struct pw_fields *fields, struct pw_context *context, const json_t *array,
	struct pw_arena *arena, size_t size, size_t *n)
{
	char *rows;

	*n = json_array_size(array);
	rows = *n > 0 ? pw_arena_array(arena, *n, size) : NULL;
	if (rows == NULL)
		*n = 0;
	for (size_t i = 0; i < *n; i++)
		fill_row(fields, context, json_array_get(array, i), arena, rows + i * size);
	return rows;
}

static struct pw_address address_of(const char *text)
{
	char bare[PW_ADDRESS_TEXT_MAX];
	struct pw_address address = {0};
	const char *zone;

	if (text == NULL)
		return address;
	zone = strchr(text, '%');
	snprintf(bare, sizeof(bare), "%.*s", (int)strcspn(text, "%"), text);
	if (pw_address_parse(&address, bare) < 0)
		return (struct pw_address){0};
	if (zone != NULL) {
		address.zone = if_nametoindex(zone + 1);
		if (address.zone == 0)
			pw_number32(zone + 1, 0, UINT32_MAX, &address.zone);
	}
	return address;
}

static int by_name(const void *a, const void *b)
{
	const struct pw_pool_row *const *x = a, *const *y = b;

	return strcmp((*x)->name, (*y)->name);
}

/* The alarms name their pools: finds them, and leaves out those that are not there. */
static size_t place_alarms(struct pw_arena *arena, const struct pw_pool_row *pools, size_t n_pools,
	struct pw_alarm_row *alarms, size_t n_alarms, const json_t *array)
{
	const struct pw_pool_row **sorted = n_alarms > 0 && n_pools > 0
		? pw_arena_array(arena, n_pools, sizeof(*sorted))
		: NULL;
	size_t kept = 0;

	if (sorted == NULL)
		return 0;
	for (size_t i = 0; i < n_pools; i++)
		sorted[i] = &pools[i];
	qsort(sorted, n_pools, sizeof(*sorted), by_name);
	for (size_t i = 0; i < n_alarms; i++) {
		const char *name = json_string_value(json_object_get(json_array_get(array, i), "poolName"));
		const struct pw_pool_row row = {.name = name}, *key = &row, **found;

		found = name != NULL ? bsearch(&key, sorted, n_pools, sizeof(*sorted), by_name) : NULL;
		if (found == NULL)
			continue;
		alarms[kept] = alarms[i];
		alarms[kept++].pool = (uint32_t)(*found - pools);
	}
	return kept;
}

/* --- the document --- */

static void fill(struct pw_snapshot *s, struct pw_arena *arena, struct pw_answer *answer, const json_t *root)
{
	struct pw_context *context = &answer->context;
	const json_t *alarms_array = json_object_get(root, "alarms");
	const struct timespec wall = pw_clock_wall();
	struct pw_pool_row *pools;
	struct pw_alarm_row *alarms;
	uint64_t badness, worst = 0;
	uint32_t *top;
	int64_t age_ms;

	context->snapshot = s;
	fill_row(&pw_agent_fields, context, root, arena, s);
	age_ms = (wall.tv_sec - context->wall.tv_sec) * 1000 + (wall.tv_nsec - context->wall.tv_nsec) / 1000000;
	answer->age_ms = age_ms > 0 ? (uint64_t)age_ms : 0;
	/* the ages of the rows are those at the poll */
	context->now_ms = pw_clock_boot_ms() > answer->age_ms ? pw_clock_boot_ms() - answer->age_ms : 1;
	s->poll_ms = context->now_ms;
	s->namespaces = make_rows(&pw_namespace_fields, context, json_object_get(root, "namespaces"), arena,
		sizeof(*s->namespaces), &s->n_namespaces);
	s->labels = make_rows(
		&pw_label_fields, context, json_object_get(root, "labels"), arena, sizeof(*s->labels), &s->n_labels);
	s->pools = pools = make_rows(
		&pw_pool_fields, context, json_object_get(root, "pools"), arena, sizeof(*pools), &s->n_pools);
	s->alarms = alarms = make_rows(&pw_alarm_fields, context, alarms_array, arena, sizeof(*alarms), &s->n_alarms);
	s->n_alarms = place_alarms(arena, pools, s->n_pools, alarms, s->n_alarms, alarms_array);
	/* the worst of all, which is all that is asked of the ranks */
	top = s->n_pools > 0 ? pw_arena_alloc(arena, sizeof(*top)) : NULL;
	for (size_t i = 0; i < s->n_pools; i++) {
		pools[i].key.local = address_of(pools[i].local_text);
		pools[i].key.remote = address_of(pools[i].remote_text);
		badness = pw_badness(&pools[i].counts, pw_row_has_threshold(&pools[i]));
		if (top != NULL && (i == 0 || badness > worst)) {
			worst = badness;
			*top = (uint32_t)i;
		}
	}
	s->top = top;
	s->n_top = top != NULL;
}

/* Leaves of the document what is of the namespaces with these names. Returns the first that is not there, else NULL. */
static const char *narrow(json_t *root, const char *const *names, size_t n)
{
	json_t *namespaces = json_array(), *pools = json_array(), *ns, *pool;
	const char *missing = NULL;
	size_t at, k;

	for (size_t i = 0; i < n && missing == NULL; i++) {
		missing = names[i];
		json_array_foreach(json_object_get(root, "namespaces"), at, ns)
		{
			const char *name = json_string_value(json_object_get(ns, "name"));

			if (name == NULL || strcmp(name, names[i]) != 0)
				continue;
			missing = NULL;
			json_array_append(namespaces, ns);
			json_array_foreach(json_object_get(root, "pools"), k, pool)
			{
				if (json_equal(json_object_get(pool, "nsIndex"), json_object_get(ns, "index")))
					json_array_append(pools, pool);
			}
		}
	}
	/* counts of pools that nobody asks for would only puzzle */
	json_object_set_new(root, "poolsSeen", json_integer((json_int_t)json_array_size(pools)));
	json_object_set_new(root, "poolsListed", json_integer((json_int_t)json_array_size(pools)));
	json_object_set_new(root, "namespaces", namespaces);
	json_object_set_new(root, "pools", pools);
	json_object_set_new(root, "labels", json_array());
	return missing;
}

int pw_answer_parse(const char *text, size_t len, const char *const *names, size_t n, struct pw_answer *answer,
	struct pw_error *err)
{
	json_error_t problem;
	json_t *root = json_loadb(text, len, JSON_REJECT_DUPLICATES, &problem);
	const json_t *events = json_object_get(root, "events");
	struct pw_snapshot *snapshot;
	struct pw_arena *arena;
	const char *missing;
	bool failed;

	*answer = (struct pw_answer){0};
	if (!json_is_array(json_object_get(root, "pools")) || !json_is_array(events)) {
		pw_error_set(err, "what portwatchd says is not understood: %s",
			root != NULL ? "it has no pools and events" : problem.text);
		json_decref(root);
		return -1;
	}
	missing = n > 0 ? narrow(root, names, n) : NULL;
	if (missing != NULL) {
		pw_error_set(err, "it does not watch a namespace %s", missing);
		json_decref(root);
		return -1;
	}
	answer->events = calloc(json_array_size(events) + 1, sizeof(*answer->events));
	snapshot = pw_snapshot_new(&arena);
	if (snapshot != NULL && answer->events != NULL) {
		fill(snapshot, arena, answer, root);
		if (n > 0)
			snapshot->active_alarms = (uint32_t)snapshot->n_alarms;
		answer->n_events = json_array_size(events);
		for (size_t i = 0; i < answer->n_events; i++)
			fill_row(&pw_event_fields, &answer->context, json_array_get(events, i), arena,
				&answer->events[i]);
	}
	failed = snapshot == NULL || answer->events == NULL || arena->failed;
	json_decref(root);
	answer->snapshot = snapshot;
	if (!failed)
		return 0;
	pw_snapshot_unref(snapshot);
	free(answer->events);
	*answer = (struct pw_answer){0};
	return pw_error_set(err, "out of memory");
}

int pw_answer_read(const char *path, const char *const *names, size_t n, struct pw_answer *answer, struct pw_error *err)
{
	int fd = connect_to(path, err), rc;
	size_t len;
	char *text;

	if (fd < 0)
		return -1;
	text = read_all(fd, path, &len, err);
	close(fd);
	if (text == NULL)
		return -1;
	rc = pw_answer_parse(text, len, names, n, answer, err);
	free(text);
	return rc;
}

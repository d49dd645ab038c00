/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "report_fixture.h"

#define NOW_MS 5000000

void fixture_init(struct fixture *f)
{
	static const struct pw_label_row labels[] = {
		{1, "payment gateway", 1, 28232, 28220, 0, 100, 0}, {2, "backends", 3, 84696, 24000, 60696, 85, 0}};

	memset(f, 0, sizeof(*f));
	f->ns[0] = (struct pw_ns_row){.index = 1,
		.sources[PW_SOURCE_SNAT].status = PW_SOURCE_OFF,
		.basis_reason = "",
		.sources[PW_SOURCE_SNAT].reason = "",
		.conntrack = {.state = PW_STATE_NORMAL},
		.name = "",
		.low = 32768,
		.high = 60999,
		.capacity = 28232,
		.tw_reuse = PW_TW_REUSE_LOOPBACK,
		.timestamps = 1,
		.tw_reuse_delay_ms = 1000,
		.basis = PW_BASIS_PROBED};
	f->notes[0] = (struct pw_ns_notes){.ns = 1, .name = "", .error = ""};
	f->snapshot = (struct pw_snapshot){.generation = 1,
		.poll_ms = NOW_MS,
		.poll_interval_ms = 2000,
		.poll_duration_us = 12345,
		.polls = 1,
		.pools = f->pools,
		.namespaces = f->ns,
		.n_namespaces = 1,
		.labels = labels,
		.n_labels = 2,
		.connect_failures_reason = ""};
	f->report = (struct pw_report){.notes = f->notes,
		.n_notes = 1,
		.now_ms = NOW_MS,
		.wall = {.tv_sec = 1767225600, .tv_nsec = 250000000}};
}

static struct pw_address parsed(const char *text)
{
	struct pw_address address;

	assert_int_equal(pw_address_parse(&address, text), 0);
	return address;
}

static enum pw_state state_of(uint32_t utilization)
{
	if (utilization == 100)
		return PW_STATE_EXHAUSTED;
	return utilization >= 80 ? PW_STATE_CRITICAL : utilization >= 50 ? PW_STATE_WARNING : PW_STATE_NORMAL;
}

struct pw_pool_row *fixture_pool(struct fixture *f, int protocol, const char *local, const char *remote, uint16_t port,
	uint32_t used, uint32_t time_wait)
{
	size_t i = f->snapshot.n_pools++;
	struct pw_pool_row *row = &f->pools[i];
	struct pw_pool_counts *counts = &row->counts;

	assert_true(i < FIXTURE_MAX);
	row->key = (struct pw_pool_key){.local = parsed(local),
		.ns = 1,
		.port = port,
		.protocol = (uint8_t)protocol,
		.kind = remote != NULL ? PW_KIND_CONNECT : PW_KIND_BIND};
	if (remote != NULL)
		row->key.remote = parsed(remote);
	*counts = (struct pw_pool_counts){
		.capacity = f->ns[0].capacity, .used = used, .time_wait = time_wait, .free = f->ns[0].capacity - used};
	row->states.established = protocol == IPPROTO_TCP ? used - time_wait : 0;
	counts->fast_free = counts->free > counts->capacity / 2 ? counts->free - counts->capacity / 2 : 0;
	counts->utilization = pw_utilization(counts->capacity, counts->free);
	row->name = pw_pool_name(&row->key, NULL, NULL, f->names[i]);
	row->local_text = pw_address_text(&row->key.local, NULL, f->locals[i]);
	row->remote_text = pw_address_text(&row->key.remote, NULL, f->remotes[i]);
	row->owner = row->label = "";
	row->peak = row->peak_bound = used;
	row->peak_ms = NOW_MS - 30000;
	row->state = state_of(counts->utilization);
	row->state_ms = NOW_MS - 61000;
	row->reason = row->state == PW_STATE_NORMAL ? PW_REASON_NONE : PW_REASON_UTILIZATION;
	row->time_to_exhaustion = row->state == PW_STATE_EXHAUSTED ? 0 : PW_NOT_IN_SIGHT;
	row->basis = PW_BASIS_PROBED;
	row->warning_threshold = 50;
	row->critical_threshold = 80;
	return row;
}

void fixture_close(struct fixture *f, const struct pw_options *options)
{
	static const struct pw_options every_row = {.top = UINT32_MAX, .ranked = true};

	for (size_t i = 0; i < f->snapshot.n_pools; i++) {
		f->pools[i].recent_growth = f->pools[i].growth;
		f->pools[i].recent_time_to_exhaustion = f->pools[i].time_to_exhaustion;
	}
	f->snapshot.n_top = f->snapshot.n_pools;
	if (f->snapshot.pools_seen == 0)
		f->snapshot.pools_seen = f->snapshot.pools_listed = (uint32_t)f->snapshot.n_pools;
	assert_int_equal(
		pw_selection_make(&f->report.selection, &f->snapshot, options != NULL ? options : &every_row), 0);
}

void fixture_free(struct fixture *f)
{
	pw_selection_clear(&f->report.selection);
}

void fixture_busy(struct fixture *f)
{
	/* five minutes of growth, and half a minute of a fall */
	static const uint16_t growth[] = {2, 4, 7, 10, 14, 17, 21, 24, 28, 31, 35, 38, 42, 45, 49, 52, 56, 59, 63, 66,
		70, 73, 77, 80, 84, 87, 91, 95, 99, 100};
	static const uint16_t fall[] = {90, 75, 60};
	struct pw_pool_row *row;

	fixture_init(f);
	f->ns[0].tcp = 60123;
	f->ns[0].tcp_time_wait = 21000;
	f->ns[0].udp = 14;
	f->ns[0].blocked = 12;
	f->snapshot.sockets_seen = 81137;
	row = fixture_pool(f, IPPROTO_TCP, "10.0.0.1", "10.0.0.9", 443, 28220, 1200);
	row->counts.blocked = 12;
	row->counts.free = 0;
	row->counts.utilization = 100;
	row->state = PW_STATE_EXHAUSTED;
	row->time_to_exhaustion = 0;
	row->growth = 240;
	row->alloc_latency_us = 1700;
	row->alloc_latency_p99_us = 4200;
	row->history = (struct pw_series){growth, sizeof(growth) / sizeof(growth[0])};
	row->label = "payment gateway";
	row->owner = "haproxy.service";
	row = fixture_pool(f, IPPROTO_TCP, "2001:db8:1111:2222:3333:4444:5555:6666",
		"2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff", 65535, 24000, 19000);
	row->growth = 12000;
	row->time_to_exhaustion = 21;
	row->owner = "nginx.service (97 %)";
	row = fixture_pool(f, IPPROTO_TCP, "192.168.100.100", "192.168.100.101", 8443, 17000, 0);
	row->growth = -17;
	row->history = (struct pw_series){fall, sizeof(fall) / sizeof(fall[0])};
	fixture_pool(f, IPPROTO_UDP, "0.0.0.0", NULL, 0, 14, 0);
	row = fixture_pool(f, IPPROTO_TCP, "10.0.0.1", NULL, 0, 28232, 1300);
	row->state = PW_STATE_NORMAL;
	row->reason = PW_REASON_NONE;
	row->warning_threshold = row->critical_threshold = 0;
}

char *fixture_capture(void (*print)(FILE *out, void *context), void *context)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	assert_non_null(out);
	print(out, context);
	assert_int_equal(fclose(out), 0);
	return text;
}

static void golden_path(const char *name, char *path, size_t size)
{
	const char *srcdir = getenv("PW_SRCDIR");

	snprintf(path, size, "%s/tests/expected/%s", srcdir != NULL ? srcdir : ".", name);
}

static char *read_file(const char *path)
{
	FILE *file = fopen(path, "r");
	char *text = calloc(1, 65536);

	if (file == NULL)
		fail_msg("%s is missing", path);
	assert_non_null(text);
	assert_true(fread(text, 1, 65535, file) < 65535);
	fclose(file);
	return text;
}

void expect_golden(const char *name, const char *text)
{
	char path[4096], *expected;
	FILE *file;

	golden_path(name, path, sizeof(path));
	if (getenv("PW_UPDATE") != NULL) {
		file = fopen(path, "w");
		assert_non_null(file);
		fputs(text, file);
		fclose(file);
	}
	expected = read_file(path);
	if (strcmp(expected, text) != 0)
		print_error("--- %s differs; what was printed:\n%s---\n", name, text);
	assert_string_equal(text, expected);
	free(expected);
}

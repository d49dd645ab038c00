/* SPDX-License-Identifier: BSD-2-Clause */
/* Metrics: golden texts of a single look and of a daemon, and labels of any bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "report/report.h"
#include "report_fixture.h"

struct scrape {
	const struct fixture *f;
	bool counters;
};

static void print(FILE *out, void *context)
{
	const struct scrape *scrape = context;
	const struct pw_report *report = &scrape->f->report;
	struct pw_context now = {.snapshot = &scrape->f->snapshot,
		.exchange = {.acknowledged = UINT64_MAX, .suppressed = 3},
		.now_ms = report->now_ms,
		.wall = report->wall};

	assert_int_equal(pw_openmetrics_write(out, &report->selection, &now, scrape->counters), 0);
}

/* The version is the only part that changes with a release. */
static char *without_version(char *text)
{
	char *version = strstr(text, "version=\""), *end;

	assert_non_null(version);
	end = strchr(version + 9, '"');
	memmove(version + 9, end, strlen(end) + 1);
	return text;
}

static void test_golden(void **state)
{
	static const char *const names[] = {"metrics-look.txt", "metrics-daemon.txt"};
	static const uint32_t worst = 0;
	struct fixture f;

	(void)state;
	fixture_busy(&f);
	f.pools[1].owner = "odd \"bytes\\\" \001\177 \xff\xc3 m\xc3\xbc";
	f.ns[0].sources[PW_SOURCE_SNAT].failures = UINT64_MAX;
	f.snapshot.connect_failures = 7;
	fixture_close(&f, NULL);
	f.snapshot.top = &worst;
	for (int counters = 0; counters < 2; counters++) {
		struct scrape scrape = {&f, counters != 0};
		char *text = without_version(fixture_capture(print, &scrape));

		expect_golden(names[counters], text);
		free(text);
	}
	fixture_free(&f);
}

/* Each metric is told of once, all of its samples follow, and no name comes back. */
static void test_nothing(void **state)
{
	struct scrape scrape;
	struct fixture f;
	char *text;

	(void)state;
	fixture_init(&f);
	fixture_close(&f, NULL);
	scrape = (struct scrape){&f, true};
	text = fixture_capture(print, &scrape);
	assert_null(strstr(text, "portwatch_pool_"));
	assert_non_null(strstr(text, "portwatch_namespace_capacity_ports{netns=\"\"} 28232\n"));
	assert_string_equal(text + strlen(text) - 6, "# EOF\n");
	free(text);
	fixture_free(&f);
}

/* Labels of any bytes: quotes close where they should, a sample stays on its line. */
static void test_any_bytes(void **state)
{
	unsigned seed = getenv("PW_SEED") != NULL ? (unsigned)atoi(getenv("PW_SEED")) : 1;

	(void)state;
	print_message("seed %u\n", seed);
	for (unsigned round = 0; round < 1000; round++) {
		static char owner[1500];
		struct scrape scrape;
		struct fixture f;
		char *text, *at;
		size_t len = (size_t)rand_r(&seed) % (round % 10 == 0 ? sizeof(owner) - 1 : 60);

		for (size_t i = 0; i < len; i++)
			owner[i] = (char)(1 + rand_r(&seed) % 255);
		owner[len] = '\0';
		fixture_init(&f);
		fixture_pool(&f, IPPROTO_TCP, "10.0.0.1", "10.0.0.2", 80, 1, 0)->owner = owner;
		fixture_close(&f, NULL);
		scrape = (struct scrape){&f, false};
		text = fixture_capture(print, &scrape);
		at = strstr(text, ",owner=\"");
		assert_non_null(at);
		for (at += 8; *at != '"'; at += pw_utf8_length(at)) {
			assert_int_not_equal(pw_utf8_length(at), 0);
			assert_true((unsigned char)*at >= 0x20);
			at += *at == '\\';
		}
		assert_memory_equal(at, "\"} 1\n# EOF\n", 12);
		free(text);
		fixture_free(&f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_golden),
		cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_any_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

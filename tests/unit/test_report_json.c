/* SPDX-License-Identifier: BSD-2-Clause */
/* The JSON document: golden text, and texts of any bytes, which must come out as valid JSON strings. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "report_fixture.h"

static void print(FILE *out, void *context)
{
	const struct pw_report *report = context;

	assert_int_equal(pw_json_print(out, report), 0);
}

/* The version is the only part that changes with a release. */
static char *without_version(char *text)
{
	char *version = strstr(text, "\"version\":\""), *end;

	assert_non_null(version);
	end = strchr(version + 11, '"');
	memmove(version + 11, end, strlen(end) + 1);
	return text;
}

static void test_golden(void **state)
{
	struct fixture f;
	char *text;

	(void)state;
	fixture_busy(&f);
	f.pools[1].owner = "odd \"bytes\\\" \001\177 \xff\xc3 m\xc3\xbc";
	f.pools[1].reason = PW_REASON_FORECAST;
	f.pools[1].free_threshold = 5000;
	fixture_close(&f, NULL);
	text = without_version(fixture_capture(print, &f.report));
	expect_golden("report.json", text);
	free(text);
	fixture_free(&f);
}

static void test_empty(void **state)
{
	struct fixture f;
	char *text;

	(void)state;
	fixture_init(&f);
	fixture_close(&f, NULL);
	text = fixture_capture(print, &f.report);
	assert_non_null(strstr(text, "\"pools\":[]}\n"));
	free(text);
	f.snapshot.n_namespaces = f.snapshot.n_labels = 0;
	text = fixture_capture(print, &f.report);
	assert_non_null(strstr(text, "\"namespaces\":[],\"labels\":[],\"pools\":[]}\n"));
	free(text);
	fixture_free(&f);
}

/* Reads the JSON string behind `key` and checks its grammar (RFC 8259 section 7). */
static void check_string(const char *text, const char *key)
{
	const char *at = strstr(text, key);

	assert_non_null(at);
	at += strlen(key);
	assert_int_equal(*at++, '"');
	while (*at != '"') {
		size_t len = pw_utf8_length(at);

		assert_int_not_equal(len, 0);
		assert_true((uint8_t)*at >= 0x20);
		if (*at == '\\') {
			assert_non_null(strchr("\"\\u", at[1]));
			assert_true(at[1] != 'u' || strspn(at + 2, "0123456789abcdef") >= 4);
			len = at[1] == 'u' ? 6 : 2;
		}
		at += len;
	}
	assert_int_equal(at[1], '}');
}

static void test_any_bytes(void **state)
{
	unsigned seed = getenv("PW_SEED") != NULL ? (unsigned)atoi(getenv("PW_SEED")) : 1;

	(void)state;
	print_message("seed %u\n", seed);
	for (unsigned round = 0; round < 3000; round++) {
		char owner[64] = "";
		struct fixture f;
		char *text;

		fixture_init(&f);
		for (size_t i = 0; i < (size_t)rand_r(&seed) % (sizeof(owner) - 1); i++)
			owner[i] = (char)(1 + rand_r(&seed) % 255);
		fixture_pool(&f, IPPROTO_TCP, "10.0.0.1", "10.0.0.2", 80, 1, 0)->owner = owner;
		fixture_close(&f, NULL);
		text = fixture_capture(print, &f.report);
		check_string(text, "\"owner\":");
		free(text);
		fixture_free(&f);
	}
}

/* Numbers at their ends, and a document larger than the writer's buffer. */
static void test_extremes(void **state)
{
	struct fixture f;
	char *text;

	(void)state;
	fixture_init(&f);
	for (unsigned i = 0; i < FIXTURE_MAX; i++) {
		struct pw_pool_row *row = fixture_pool(
			&f, IPPROTO_TCP, "10.0.0.1", "10.0.0.2", (uint16_t)(i + 1), 1, 0);
		static char owner[4096];

		memset(owner, 'x', sizeof(owner) - 1);
		row->owner = owner;
		row->growth = i == 0 ? INT32_MIN : INT32_MAX;
		row->peak = UINT32_MAX;
		row->peak_ms = f.report.now_ms + 1;
	}
	f.ns[0].sources[PW_SOURCE_SNAT].failures = UINT64_MAX;
	fixture_close(&f, NULL);
	text = fixture_capture(print, &f.report);
	assert_non_null(strstr(text, "\"growth\":-2147483648,"));
	assert_non_null(strstr(text, "\"growth\":2147483647,"));
	assert_non_null(strstr(text, "\"peak\":4294967295,\"peakAge\":0,"));
	assert_non_null(strstr(text, "\"snatFailures\":18446744073709551615,"));
	assert_true(strlen(text) > 65536);
	assert_int_equal(text[strlen(text) - 1], '\n');
	free(text);
	fixture_free(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_golden),
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_any_bytes),
		cmocka_unit_test(test_extremes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

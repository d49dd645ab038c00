/* SPDX-License-Identifier: BSD-2-Clause */
/* The table at several widths, plain and coloured, against golden texts; and that no line is wider than the terminal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <locale.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "report/table.h"
#include "report/text.h"
#include "report_fixture.h"

struct drawing {
	const struct pw_report *report;
	struct pw_view view;
};

static void print(FILE *out, void *context)
{
	const struct drawing *drawing = context;

	assert_int_equal(pw_table_print(out, drawing->report, &drawing->view), 0);
}

static char *draw(const struct fixture *f, struct pw_view view)
{
	struct drawing drawing = {.report = &f->report, .view = view};

	return fixture_capture(print, &drawing);
}

static void expect_table(const struct fixture *f, struct pw_view view, const char *golden)
{
	char *text = draw(f, view);

	expect_golden(golden, text);
	free(text);
}

static const struct pw_view at_80 = {.width = 80, .unicode = true, .fine_bars = true};

static void test_views(void **state)
{
	static const struct {
		struct pw_view view;
		const char *golden;
	} cases[] = {
		{{.width = 80, .unicode = true, .fine_bars = true}, "table-80.txt"},
		{{.width = 200, .unicode = true, .fine_bars = true}, "table-200.txt"},
		{{.width = 80}, "table-ascii.txt"},
		{{.width = 80, .unicode = true, .colour = true}, "table-console.txt"}, /* of Linux */
		{{.unicode = true}, "table-piped.txt"},
	};
	struct fixture f;

	(void)state;
	fixture_busy(&f);
	fixture_close(&f, NULL);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		expect_table(&f, cases[i].view, cases[i].golden);
	fixture_free(&f);
}

static void test_watching(void **state)
{
	struct fixture f;

	(void)state;
	setenv("TZ", "UTC", 1);
	fixture_busy(&f);
	f.report.watching = true;
	fixture_close(&f, NULL);
	expect_table(
		&f, (struct pw_view){.width = 80, .height = 24, .unicode = true, .fine_bars = true}, "table-watch.txt");
	expect_table(&f, (struct pw_view){.width = 80, .height = 24}, "table-watch-ascii.txt");
	expect_table(&f, (struct pw_view){.width = 170, .height = 24, .unicode = true, .fine_bars = true},
		"table-watch-wide.txt");
	fixture_free(&f);
}

/* On a terminal the columns come when there is something to say; elsewhere they stay where they are. */
static void test_failures(void **state)
{
	static const struct pw_answer daemon = {.age_ms = 700};
	struct fixture f;
	char *text;

	(void)state;
	setenv("TZ", "UTC", 1);
	fixture_busy(&f);
	f.report.daemon = &daemon;
	fixture_close(&f, NULL);
	text = draw(&f, (struct pw_view){.width = 200, .unicode = true});
	assert_null(strstr(text, "FAILED"));
	free(text);
	text = draw(&f, (struct pw_view){.unicode = true});
	assert_non_null(strstr(text, " FAILED  AGO STATE"));
	assert_non_null(strstr(text, "      0    - exhausted"));
	free(text);
	f.pools[0].failures = 289;
	f.pools[0].failed_ms = f.report.now_ms - 4000;
	f.pools[1].failures = 12345678;
	f.pools[1].failed_ms = f.report.now_ms - 600000;
	expect_table(&f, at_80, "table-failures.txt");
	fixture_free(&f);
}

static void test_inferred(void **state)
{
	struct fixture f;

	(void)state;
	fixture_busy(&f);
	f.ns[0].basis = PW_BASIS_INFERRED;
	f.ns[0].basis_reason = "BPF: Operation not permitted";
	f.notes[0].ambiguous = 37;
	f.notes[0].unprobed = "CAP_NET_ADMIN is missing";
	f.notes[0].error = "the dump of UDP failed";
	fixture_close(&f, NULL);
	expect_table(&f, at_80, "table-inferred.txt");
	fixture_free(&f);
}

static void test_nothing(void **state)
{
	struct fixture f;

	(void)state;
	fixture_init(&f);
	f.snapshot.pools_seen = 7;
	fixture_close(&f, NULL);
	expect_table(&f, at_80, "table-nothing.txt");
	f.report.everything = true; /* they can't be shown: each of their ports is reserved */
	expect_table(&f, at_80, "table-reserved.txt");
	fixture_free(&f);
}

static size_t line_width(const char *line, size_t len)
{
	char copy[4096];

	assert_true(len < sizeof(copy));
	memcpy(copy, line, len);
	copy[len] = '\0';
	return pw_text_width(copy);
}

static unsigned check_lines(const char *text, unsigned width)
{
	unsigned lines = 0;

	while (*text != '\0') {
		size_t len = strcspn(text, "\n");

		assert_true(line_width(text, len) <= width);
		text += len + 1;
		lines++;
	}
	return lines;
}

/* No line is wider than the terminal and no frame higher, whatever their sizes, watching or not. */
static void test_fits(void **state)
{
	struct fixture f;

	(void)state;
	fixture_busy(&f);
	fixture_close(&f, NULL);
	for (unsigned width = 60; width <= 250; width++) {
		for (unsigned height = 8; height <= 30; height += 2) {
			struct pw_view view = {.width = width, .height = height, .unicode = true, .fine_bars = true};
			char *text;

			f.report.watching = height % 4 == 0;
			text = draw(&f, view);
			assert_true(check_lines(text, width) <= height);
			free(text);
		}
	}
	fixture_free(&f);
}

/* The full names are there at every width, each address in one piece. */
static void test_names_whole(void **state)
{
	struct fixture f;

	(void)state;
	fixture_busy(&f);
	fixture_close(&f, NULL);
	for (unsigned width = 60; width <= 250; width++) {
		char *text = draw(&f, (struct pw_view){.width = width, .unicode = true});

		assert_non_null(strstr(text, "[2001:db8:1111:2222:3333:4444:5555:6666]"));
		assert_non_null(strstr(text, "[2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff]:65535"));
		assert_non_null(strstr(text, "192.168.100.101:8443"));
		free(text);
	}
	fixture_free(&f);
}

/* Names of others can't bring escape sequences to the terminal, plain or drawn. */
static void test_no_escapes(void **state)
{
	static const unsigned widths[] = {0, 80, 200};
	struct fixture f;

	(void)state;
	for (size_t i = 0; i < sizeof(widths) / sizeof(widths[0]); i++) {
		char *text;

		fixture_busy(&f);
		f.pools[0].owner = "evil\033[2J\xc2\x9b"
				   "31m.service";
		f.pools[0].label = "\033]0;title\007";
		f.ns[0].name = "ns\033[31m";
		f.notes[0].error = "bad \033[31m text";
		fixture_close(&f, NULL);
		text = draw(&f, (struct pw_view){.width = widths[i], .unicode = true});
		assert_null(strchr(text, '\033'));
		assert_null(strchr(text, '\007'));
		assert_null(strstr(text, "\xc2\x9b"));
		free(text);
		fixture_free(&f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_views),
		cmocka_unit_test(test_watching),
		cmocka_unit_test(test_failures),
		cmocka_unit_test(test_inferred),
		cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_fits),
		cmocka_unit_test(test_names_whole),
		cmocka_unit_test(test_no_escapes),
	};

	/* there is no table to be drawn without a locale that knows the width of a bar */
	if (setlocale(LC_CTYPE, "C.UTF-8") == NULL) {
		fputs("skipped: no C.UTF-8 locale\n", stderr);
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}

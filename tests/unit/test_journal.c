/* SPDX-License-Identifier: BSD-2-Clause */
/* The last events, the oldest first. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "watch/journal.h"

static void add(struct pw_journal *journal, uint32_t from, uint32_t to)
{
	for (uint32_t id = from; id <= to; id++)
		pw_journal_add(journal, &(struct pw_event){.id = id});
}

static void expect(struct pw_journal *journal, uint32_t from, uint32_t to)
{
	struct pw_event *events;
	size_t n = pw_journal_copy(journal, &events);

	assert_int_equal(n, to - from + 1);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(events[i].id, from + i);
	free(events);
}

static void nothing(void **unused)
{
	struct pw_journal *journal = pw_journal_new();
	struct pw_event *events;

	(void)unused;
	assert_int_equal(pw_journal_copy(journal, &events), 0);
	assert_null(events);
	pw_journal_free(journal);
	pw_journal_free(NULL);
}

static void keeps_the_last(void **unused)
{
	struct pw_journal *journal = pw_journal_new();

	(void)unused;
	add(journal, 1, 3);
	expect(journal, 1, 3);
	add(journal, 4, PW_JOURNAL_MAX);
	expect(journal, 1, PW_JOURNAL_MAX);
	add(journal, PW_JOURNAL_MAX + 1, PW_JOURNAL_MAX + 7);
	expect(journal, 8, PW_JOURNAL_MAX + 7);
	add(journal, PW_JOURNAL_MAX + 8, 3 * PW_JOURNAL_MAX);
	expect(journal, 2 * PW_JOURNAL_MAX + 1, 3 * PW_JOURNAL_MAX);
	pw_journal_free(journal);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing),
		cmocka_unit_test(keeps_the_last),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernel/bind_table.h"

#include "kernel/sockstat.h"

/* With fewer TCP sockets a walk takes less than 2 ms. */
#define FEW_SOCKETS 10000

/* A socket that was there all the time and is bound only now changes no count: look at least this often. */
#define SKIPS_MAX 5

bool pw_bind_table_wanted(struct pw_bind_table *table, struct pw_input *input, const struct pw_range *range)
{
	struct pw_sockstat counts;

	table->pending_known = pw_sockstat_read(input, &counts, NULL) == PW_READ_OK && counts.tcp >= FEW_SOCKETS &&
		pw_sockstat_uncounted(input, &counts, &table->pending) == 0;
	if (!table->empty || !table->pending_known || table->pending != table->uncounted || table->low != range->low ||
		table->high != range->high || table->skipped >= SKIPS_MAX)
		return true;
	table->skipped++;
	return false;
}

void pw_bind_table_walked(struct pw_bind_table *table, const struct pw_range *range, uint32_t n)
{
	table->empty = n == 0 && table->pending_known;
	table->low = range->low;
	table->high = range->high;
	table->uncounted = table->pending;
	table->skipped = 0;
}

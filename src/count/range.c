/* SPDX-License-Identifier: BSD-2-Clause */
#include "count/range.h"

#include <string.h>

void pw_range_capacity(const struct pw_range *range, struct pw_portset *out)
{
	pw_portset_clear(out);
	pw_portset_add_range(out, range->low, range->high);
	pw_portset_subtract(out, &range->reserved);
}

bool pw_range_is_odd(const struct pw_range *range)
{
	unsigned width = (unsigned)range->high - range->low + 1;

	return width > 1 && width % 2 == 1;
}

bool pw_range_equal(const struct pw_range *a, const struct pw_range *b)
{
	return a->low == b->low && a->high == b->high && a->look_low == b->look_low && a->look_high == b->look_high &&
		a->tw_reuse == b->tw_reuse && a->tw_reuse_delay_ms == b->tw_reuse_delay_ms &&
		a->timestamps == b->timestamps &&
		memcmp(a->reserved.word, b->reserved.word, sizeof(a->reserved.word)) == 0;
}

#include "model/range.h"

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

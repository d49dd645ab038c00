#include "report/select.h"

#include <stdlib.h>

static bool passes(const struct pw_pool_row *row, const struct pw_options *options)
{
	/* namespaces are chosen before the poll, so no name is compared here */
	return (options->states == 0 || (options->states & (1u << row->state)) != 0) &&
		pw_match_pool(&options->match, &row->key, "");
}

int pw_selection_make(struct pw_selection *out, const struct pw_snapshot *snapshot, const struct pw_options *options)
{
	size_t candidates = options->ranked ? snapshot->n_top : snapshot->n_pools;

	*out = (struct pw_selection){.snapshot = snapshot};
	out->rows = malloc((candidates + 1) * sizeof(*out->rows));
	if (out->rows == NULL)
		return -1;
	for (size_t i = 0; i < candidates; i++) {
		const struct pw_pool_row *row = &snapshot->pools[options->ranked ? snapshot->top[i] : i];

		if (!passes(row, options))
			continue;
		if (out->matched++ < options->top)
			out->rows[out->n++] = row;
	}
	return 0;
}

void pw_selection_clear(struct pw_selection *selection)
{
	free(selection->rows);
	*selection = (struct pw_selection){0};
}

const struct pw_ns_row *pw_selection_ns(const struct pw_selection *selection, const struct pw_pool_row *row)
{
	for (size_t i = 0; i < selection->snapshot->n_namespaces; i++)
		if (selection->snapshot->namespaces[i].index == row->key.ns)
			return &selection->snapshot->namespaces[i];
	return NULL;
}

bool pw_row_has_threshold(const struct pw_pool_row *row)
{
	return row->warning_threshold != 0 || row->critical_threshold != 0 || row->free_threshold != 0;
}

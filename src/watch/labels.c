/* SPDX-License-Identifier: BSD-2-Clause */
#include "watch/labels.h"

#include <stdlib.h>
#include <string.h>

static const char *label_of(const struct pw_rule *rule)
{
	return rule->label != NULL ? rule->label : "";
}

int pw_labels_set(struct pw_labels *labels, const struct pw_policy *policy)
{
	const struct pw_rule *rules = policy->rules;
	const size_t n = policy->n_rules;
	struct pw_labels was = *labels;
	bool failed;

	*labels = (struct pw_labels){.rules = rules,
		.row_of = n != 0 ? calloc(n, sizeof(*labels->row_of)) : NULL,
		.rows = n != 0 ? calloc(n, sizeof(*labels->rows)) : NULL};
	failed = n != 0 && (labels->row_of == NULL || labels->rows == NULL);
	for (size_t i = 0; !failed && i < n; i++) {
		size_t first = 0; /* section with the title of this one */

		while (strcmp(label_of(&rules[first]), label_of(&rules[i])) != 0)
			first++;
		labels->row_of[i] = first == i ? (uint32_t)labels->n : labels->row_of[first];
		if (first == i)
			labels->rows[labels->n++] = (struct pw_label_row){
				.index = (uint32_t)i + 1, .name = label_of(&rules[i])};
	}
	for (size_t i = 0; !failed && i < labels->n; i++)
		for (size_t j = 0; j < was.n; j++) /* what was counted for the same title before */
			if (strcmp(was.rows[j].name, labels->rows[i].name) == 0)
				labels->rows[i].failures = was.rows[j].failures;
	pw_labels_clear(&was);
	if (failed)
		pw_labels_clear(labels);
	return failed ? -1 : 0;
}

void pw_labels_clear(struct pw_labels *labels)
{
	free(labels->row_of);
	free(labels->rows);
	*labels = (struct pw_labels){0};
}

void pw_labels_start(struct pw_labels *labels)
{
	for (size_t i = 0; i < labels->n; i++)
		labels->rows[i] = (struct pw_label_row){.index = labels->rows[i].index,
			.name = labels->rows[i].name,
			.failures = labels->rows[i].failures};
}

void pw_labels_add(struct pw_labels *labels, const struct pw_rule *rule, const struct pw_pool_counts *counts)
{
	struct pw_label_row *row;

	if (labels->n == 0)
		return;
	row = &labels->rows[labels->row_of[rule - labels->rules]];
	row->pools++;
	row->capacity += counts->capacity;
	row->used += counts->used;
	row->free += counts->free;
	if (counts->utilization > row->worst_utilization)
		row->worst_utilization = counts->utilization;
}

void pw_labels_failed(struct pw_labels *labels, const struct pw_rule *rule, uint64_t count)
{
	if (labels->n != 0)
		labels->rows[labels->row_of[rule - labels->rules]].failures += count;
}

void pw_labels_build(const struct pw_labels *labels, struct pw_snapshot *snapshot, struct pw_arena *arena)
{
	struct pw_label_row *rows = pw_arena_array(arena, labels->n, sizeof(*rows));

	for (size_t i = 0; rows != NULL && i < labels->n; i++) {
		rows[i] = labels->rows[i];
		rows[i].name = pw_arena_text(arena, labels->rows[i].name);
	}
	snapshot->labels = rows;
	snapshot->n_labels = rows != NULL ? labels->n : 0;
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "config/mistakes.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void pw_mistake_add(struct pw_mistakes *mistakes, unsigned line, const char *format, ...)
{
	char text[1024];
	va_list args;
	struct pw_mistake *item = &mistakes->items[mistakes->n_items];

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (mistakes->n_items == PW_MISTAKES_MAX || (item->text = strdup(text)) == NULL) {
		mistakes->n_dropped++;
		return;
	}
	item->line = line;
	mistakes->n_items++;
}

bool pw_mistakes_any(const struct pw_mistakes *mistakes)
{
	return mistakes->n_items > 0 || mistakes->n_dropped > 0;
}

bool pw_mistakes_between(const struct pw_mistakes *mistakes, unsigned first, unsigned last)
{
	for (size_t i = 0; i < mistakes->n_items; i++)
		if (mistakes->items[i].line >= first && mistakes->items[i].line <= last)
			return true;
	return false;
}

/* An insertion sort: stable, and the list is short and nearly sorted. */
static void sort_by_line(struct pw_mistake *items, size_t n)
{
	for (size_t i = 1; i < n; i++) {
		struct pw_mistake item = items[i];
		size_t j = i;

		for (; j > 0 && items[j - 1].line > item.line; j--)
			items[j] = items[j - 1];
		items[j] = item;
	}
}

void pw_mistakes_report(struct pw_mistakes *mistakes, const char *file, pw_config_report *report, void *context)
{
	char text[80];

	sort_by_line(mistakes->items, mistakes->n_items);
	for (size_t i = 0; i < mistakes->n_items; i++) {
		report(file, mistakes->items[i].line, mistakes->items[i].text, context);
		free(mistakes->items[i].text);
	}
	if (mistakes->n_dropped > 0) {
		snprintf(text, sizeof(text), "%zu more mistakes are not shown", mistakes->n_dropped);
		report(file, 0, text, context);
	}
	mistakes->n_items = 0;
	mistakes->n_dropped = 0;
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "count/owner.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"

/* --- numbers --- */

void pw_owner_table_clear(struct pw_owner_table *table)
{
	if (table->n != 0)
		memset(table->slot, 0, 2 * (size_t)table->size * sizeof(*table->slot));
	table->n = table->last = 0;
}

void pw_owner_table_free(struct pw_owner_table *table)
{
	free(table->pairs);
	free(table->slot);
	*table = (struct pw_owner_table){0};
}

/* The slot of a pair, or the empty one where it belongs. */
static uint32_t find_slot(const struct pw_owner_table *table, uint64_t cgroup, uint32_t uid)
{
	/* ids and user ids are handed out by the kernel and by root: nobody gains from choosing collisions */
	uint64_t hash = (cgroup ^ (uint64_t)uid << 32) * UINT64_C(0x9e3779b97f4a7c15);
	uint32_t at = (uint32_t)(hash >> 40) & (2 * table->size - 1);

	while (table->slot[at] != 0 && !pw_owner_is(&table->pairs[table->slot[at] - 1], cgroup, uid))
		at = (at + 1) & (2 * table->size - 1);
	return at;
}

static int grow(struct pw_owner_table *table)
{
	uint32_t size = table->size == 0 ? 16 : table->size * 2;
	struct pw_owner *pairs = realloc(table->pairs, size * sizeof(*pairs));
	uint16_t *slot;

	if (pairs == NULL)
		return -1;
	table->pairs = pairs;
	slot = calloc(2 * (size_t)size, sizeof(*slot));
	if (slot == NULL)
		return -1;
	free(table->slot);
	table->slot = slot;
	table->size = size;
	for (uint32_t i = 0; i < table->n; i++)
		slot[find_slot(table, pairs[i].cgroup, pairs[i].uid)] = (uint16_t)(i + 1);
	return 0;
}

uint16_t pw_owner_table_search(struct pw_owner_table *table, uint64_t cgroup, uint32_t uid)
{
	uint32_t number = 0;

	if (table->size != 0)
		number = table->slot[find_slot(table, cgroup, uid)];
	if (number == 0 && table->n == PW_OWNER_NUMBERS - 1) {
		number = PW_OWNER_NUMBERS;
	} else if (number == 0 && (table->n < table->size || grow(table) == 0)) {
		table->pairs[table->n] = (struct pw_owner){.cgroup = cgroup, .uid = uid};
		number = ++table->n;
		table->slot[find_slot(table, cgroup, uid)] = (uint16_t)number;
	}
	table->last = number <= table->n ? number : 0;
	return (uint16_t)number;
}

/* --- counting a pool --- */

void pw_owner_table_start(struct pw_owner_table *table)
{
	memset(table->sockets, 0, ((size_t)table->n + 1) * sizeof(*table->sockets));
	table->sockets[PW_OWNER_NUMBERS] = 0;
}

static int by_sockets(const void *a, const void *b)
{
	const struct pw_owner *x = a, *y = b;

	return (y->sockets > x->sockets) - (y->sockets < x->sockets);
}

void pw_owners_add(struct pw_owners *out, const struct pw_owner *owner)
{
	out->owned += owner->sockets;
	if (owner->sockets != 0)
		out->n = pw_array_keep_first(out->owner, out->n, PW_OWNERS_MAX, sizeof(*owner), owner, by_sockets);
}

void pw_owners_merge(struct pw_owners *owners, const struct pw_owners *more)
{
	const uint32_t owned = owners->owned + more->owned;

	for (size_t i = 0; i < more->n; i++) {
		struct pw_owner one = more->owner[i];
		size_t at = 0;

		while (at < owners->n && !pw_owner_is(&owners->owner[at], one.cgroup, one.uid))
			at++;
		if (at < owners->n) {
			one.sockets += owners->owner[at].sockets;
			owners->n--;
			memmove(&owners->owner[at], &owners->owner[at + 1], (owners->n - at) * sizeof(one));
		}
		pw_owners_add(owners, &one);
	}
	owners->owned = owned;
	owners->states = more->states;
}

void pw_owner_table_result(const struct pw_owner_table *table, struct pw_owners *out)
{
	*out = (struct pw_owners){.owned = table->sockets[PW_OWNER_NUMBERS]};
	for (uint32_t i = 0; i < table->n; i++)
		pw_owners_add(out,
			&(struct pw_owner){.cgroup = table->pairs[i].cgroup,
				.uid = table->pairs[i].uid,
				.sockets = table->sockets[i + 1]});
}

/* --- names --- */

/* Owners by name, those of the same name added up. */
struct named {
	char name[PW_OWNER_NAME_MAX];
	uint32_t sockets;
};

void pw_owners_text(const struct pw_owners *owners, pw_owner_name *name, void *context, char buf[PW_OWNER_TEXT_MAX])
{
	struct named named[PW_OWNERS_MAX] = {0};
	const struct named *most = named;
	char text[PW_OWNER_NAME_MAX];
	size_t n = 0, at;

	for (size_t i = 0; i < owners->n; i++) {
		text[0] = '\0';
		name(owners->owner[i].cgroup, owners->owner[i].uid, text, sizeof(text), context);
		if (text[0] == '\0')
			continue;
		at = 0;
		while (at < n && strcmp(named[at].name, text) != 0)
			at++;
		if (at == n)
			snprintf(named[n++].name, sizeof(named[0].name), "%s", text);
		named[at].sockets += owners->owner[i].sockets;
	}
	for (size_t i = 1; i < n; i++)
		most = named[i].sockets > most->sockets ? &named[i] : most;
	if (n == 0)
		buf[0] = '\0';
	else if (most->sockets == owners->owned)
		snprintf(buf, PW_OWNER_TEXT_MAX, "%s", most->name);
	else
		snprintf(buf, PW_OWNER_TEXT_MAX, "%s (%u %%)", most->name,
			(unsigned)((uint64_t)most->sockets * 100 / owners->owned));
}

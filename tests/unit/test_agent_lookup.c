/* SPDX-License-Identifier: BSD-2-Clause */
/* GET and GETNEXT over snapshots of random content, judged by a plain list of all instances. */
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agent/object.h"
#include "random.h"

enum { POOLS_MAX = 12, INSTANCES_MAX = 2000, ROUNDS = 300, QUESTIONS = 300 };

struct name {
	uint32_t oid[PW_OID_MAX + 4];
	size_t len;
};

static struct {
	struct name names[INSTANCES_MAX];
	size_t n;
} all;

static int compare(const void *a, const void *b)
{
	const struct name *x = a, *y = b;

	for (size_t i = 0; i < x->len && i < y->len; i++)
		if (x->oid[i] != y->oid[i])
			return x->oid[i] < y->oid[i] ? -1 : 1;
	return (x->len > y->len) - (x->len < y->len);
}

/* --- a snapshot, and the list of what is in it, made without the functions under test ----------------------------------- */

static int compare_pools(const void *a, const void *b)
{
	return pw_pool_key_compare(&((const struct pw_pool_row *)a)->key, &((const struct pw_pool_row *)b)->key);
}

static struct pw_pool_key random_key(void)
{
	static const uint8_t bytes[] = {0, 1, 4, 16, 127, 128, 255};
	struct pw_pool_key key;
	uint8_t address[16];

	memset(&key, 0, sizeof(key));
	for (size_t i = 0; i < sizeof(address); i++)
		address[i] = bytes[pick(sizeof(bytes))];
	key.ns = 1 + pick(2);
	key.kind = (uint8_t)(1 + pick(3));
	key.protocol = chance(2) ? IPPROTO_TCP : IPPROTO_UDP;
	key.local = pw_address_make(chance(2) ? AF_INET : AF_INET6, address, chance(3) ? 1 + pick(3) : 0);
	if (key.kind != PW_KIND_BIND) {
		key.remote = pw_address_make((int)key.local.family, address, 0);
		key.port = (uint16_t)pick(4);
	}
	return key;
}

/* Pools without two of the same key. */
static size_t random_pools(struct pw_arena *arena, struct pw_pool_row *rows)
{
	size_t n = 0, wanted = pick(POOLS_MAX + 1), kept = 0;

	for (; n < wanted; n++)
		rows[n].key = random_key();
	qsort(rows, n, sizeof(*rows), compare_pools);
	for (size_t i = 0; i < n; i++) {
		uint32_t *index;

		if (kept > 0 && compare_pools(&rows[kept - 1], &rows[i]) == 0)
			continue;
		index = pw_arena_array(arena, PW_POOL_INDEX_MAX, sizeof(*index));
		rows[kept].key = rows[i].key;
		rows[kept].index_len = pw_pool_index(&rows[kept].key, index);
		rows[kept].index = index;
		rows[kept].name = rows[kept].local_text = rows[kept].remote_text = rows[kept].owner = rows[kept].label =
			"";
		kept++;
	}
	return kept;
}

static struct pw_snapshot *random_snapshot(void)
{
	struct pw_arena *arena;
	struct pw_snapshot *s = pw_snapshot_new(&arena);
	struct pw_pool_row *pools = pw_arena_array(arena, POOLS_MAX, sizeof(*pools));
	struct pw_ns_row *ns = pw_arena_array(arena, 3, sizeof(*ns));
	struct pw_alarm_row *alarms = pw_arena_array(arena, POOLS_MAX, sizeof(*alarms));
	uint32_t *top = pw_arena_array(arena, POOLS_MAX, sizeof(*top));

	s->pools = pools;
	s->n_pools = random_pools(arena, pools);
	s->namespaces = ns;
	s->n_namespaces = pick(3);
	for (uint32_t i = 0; i < s->n_namespaces; i++)
		ns[i] = (struct pw_ns_row){.index = (i + 1) * (1 + pick(2)) + 10 * i,
			.name = "",
			.basis_reason = "",
			.sources[PW_SOURCE_SNAT].reason = "",
			.conntrack = {.state = PW_STATE_NORMAL}};
	s->top = top;
	s->n_top = s->n_pools;
	s->top_ranks = pick(6);
	s->alarms = alarms;
	s->n_alarms = s->n_pools > 0 ? pick((uint32_t)s->n_pools) : 0;
	for (uint32_t i = 0; i < s->n_alarms; i++)
		alarms[i] = (struct pw_alarm_row){.index = 1 + i * 1000003, .pool = i};
	return s;
}

static void list(const struct pw_group *group, const struct pw_field *field, const uint32_t *index, size_t len)
{
	struct name *name = &all.names[all.n++];

	assert_true(all.n <= INSTANCES_MAX);
	name->len = pw_object_path(group->fields, field, name->oid);
	memcpy(name->oid + name->len, index, len * sizeof(*index));
	name->len += len;
}

static void list_rows(const struct pw_snapshot *s, const struct pw_group *group, const struct pw_field *field)
{
	static const uint32_t zero = 0;

	if (group->fields == &pw_agent_fields)
		list(group, field, &zero, 1);
	for (size_t i = 0; group->fields == &pw_namespace_fields && i < s->n_namespaces; i++)
		list(group, field, &s->namespaces[i].index, 1);
	for (size_t i = 0; group->fields == &pw_pool_fields && i < s->n_pools; i++)
		list(group, field, s->pools[i].index, s->pools[i].index_len);
	for (uint32_t i = 1; group->fields == &pw_top_fields && i <= s->top_ranks; i++)
		list(group, field, &i, 1);
	for (size_t i = 0; group->fields == &pw_alarm_fields && i < s->n_alarms; i++)
		list(group, field, &s->alarms[i].index, 1);
}

static bool is_column(const struct pw_field *field)
{
	return field->number != 0 && !field->index;
}

static void list_all(const struct pw_snapshot *s)
{
	all.n = 0;
	for (size_t g = 0; g < pw_n_groups; g++)
		for (size_t i = 0; i < pw_groups[g].fields->n; i++)
			if (is_column(&pw_groups[g].fields->fields[i]))
				list_rows(s, &pw_groups[g], &pw_groups[g].fields->fields[i]);
	qsort(all.names, all.n, sizeof(all.names[0]), compare);
}

/* --- questions ---------------------------------------------------------------------------------------------------------- */

static void change(struct name *name)
{
	static const uint32_t values[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 16, 20, 255, UINT32_MAX - 1, UINT32_MAX};
	uint32_t value = values[pick(sizeof(values) / sizeof(values[0]))];
	uint32_t at = pick((uint32_t)name->len);

	switch (pick(4)) {
	case 0: name->len = at; break;
	case 1: name->oid[at] = value; break;
	case 2: name->oid[name->len++] = value; break;
	default: name->oid[at] += chance(2) ? 1u : UINT32_MAX; break;
	}
}

static struct name question(void)
{
	struct name name = all.names[pick((uint32_t)all.n)];

	for (uint32_t changes = pick(4); changes > 0 && name.len > 0; changes--)
		change(&name);
	return name;
}

static const struct name *first_behind(const struct name *name)
{
	for (size_t i = 0; i < all.n; i++)
		if (compare(&all.names[i], name) > 0)
			return &all.names[i];
	return NULL;
}

static bool is_listed(const struct name *name)
{
	return bsearch(name, all.names, all.n, sizeof(all.names[0]), compare) != NULL;
}

static void check_next(const struct pw_snapshot *s, const struct name *name)
{
	const struct name *expected = first_behind(name);
	struct pw_instance found;

	if (!pw_lookup_next(s, name->oid, name->len, &found)) {
		assert_null(expected);
		return;
	}
	assert_non_null(expected);
	assert_int_equal(found.len, expected->len);
	assert_memory_equal(found.oid, expected->oid, found.len * sizeof(found.oid[0]));
}

static void check_get(const struct pw_snapshot *s, const struct name *name)
{
	struct pw_instance found;

	assert_int_equal(pw_lookup_get(s, name->oid, name->len, &found) == PW_LOOKUP_FOUND, is_listed(name));
}

/* Every value can be read: the sanitizers and valgrind look on. */
static void read_value(const struct pw_snapshot *s, const struct name *name)
{
	struct pw_context context = {.snapshot = s, .now_ms = 1000};
	struct pw_instance found;
	struct pw_value value;

	assert_int_equal(pw_lookup_get(s, name->oid, name->len, &found), PW_LOOKUP_FOUND);
	pw_object_read(found.field, &context, found.row, &value);
	assert_int_equal(value.syntax, found.field->syntax);
}

static void test_random(void **state)
{
	(void)state;
	random_start();
	for (int round = 0; round < ROUNDS; round++) {
		struct pw_snapshot *s = random_snapshot();

		list_all(s);
		for (int i = 0; i < QUESTIONS; i++) {
			struct name name = question();

			check_next(s, &name);
			check_get(s, &name);
		}
		for (size_t i = 0; i < all.n; i++)
			read_value(s, &all.names[i]);
		pw_snapshot_unref(s);
	}
}

/* From before the first to behind the last, each instance once. */
static void test_walk(void **state)
{
	struct pw_snapshot *s;
	struct pw_instance at = {.len = 0};
	size_t n = 0;

	(void)state;
	random_start();
	s = random_snapshot();
	list_all(s);
	while (pw_lookup_next(s, at.oid, at.len, &at)) {
		assert_true(n < all.n);
		assert_int_equal(at.len, all.names[n].len);
		assert_memory_equal(at.oid, all.names[n].oid, at.len * sizeof(at.oid[0]));
		n++;
	}
	assert_int_equal(n, all.n);
	pw_snapshot_unref(s);
}

static void test_exceptions(void **state)
{
	static const struct pw_snapshot empty;
	static const struct {
		uint32_t oid[6];
		size_t len;
		enum pw_lookup expected;
	} cases[] = {
		{{1, 1, 1, 0}, 4, PW_LOOKUP_FOUND},
		{{1, 1, 1, 1}, 4, PW_LOOKUP_NO_INSTANCE},
		{{1, 1, 1, 0, 0}, 5, PW_LOOKUP_NO_INSTANCE},
		{{1, 1, 1}, 3, PW_LOOKUP_NO_INSTANCE},
		{{1, 1, 99, 0}, 4, PW_LOOKUP_NO_OBJECT},
		{{1, 3, 1, 8, 1}, 5, PW_LOOKUP_NO_INSTANCE},
		{{1, 3, 1, 1, 1}, 5, PW_LOOKUP_NO_OBJECT}, /* an index object */
		{{1, 3, 2, 8, 1}, 5, PW_LOOKUP_NO_OBJECT}, /* there is no second entry */
		{{1, 6, 1, 0}, 4, PW_LOOKUP_NO_OBJECT},    /* for notifications only */
		{{0, 1}, 2, PW_LOOKUP_NO_OBJECT},          /* a notification */
		{{2, 2, 1}, 3, PW_LOOKUP_NO_OBJECT},       /* conformance */
		{{1}, 1, PW_LOOKUP_NO_OBJECT},
		{{0}, 0, PW_LOOKUP_NO_OBJECT},
	};
	struct pw_instance found;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(pw_lookup_get(&empty, cases[i].oid, cases[i].len, &found), cases[i].expected);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_walk),
		cmocka_unit_test(test_exceptions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

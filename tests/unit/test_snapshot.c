/* SPDX-License-Identifier: BSD-2-Clause */
/* The search in a snapshot against a linear one, its life shared by threads, and the arena that it stands on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <string.h>

#include "base/arena.h"
#include "watch/snapshot.h"
#include "random.h"

#define ROWS 60
#define WORDS 5

/* Indexes of different lengths over few values, so that many share a beginning. */
static size_t random_index(uint32_t out[WORDS])
{
	size_t len = 1 + pick(WORDS);

	for (size_t i = 0; i < len; i++)
		out[i] = chance(20) ? UINT32_MAX : pick(3);
	return len;
}

static int compare(const uint32_t *a, size_t a_len, const uint32_t *b, size_t b_len)
{
	size_t i = 0;

	while (i < a_len && i < b_len && a[i] == b[i])
		i++;
	if (i < a_len && i < b_len)
		return a[i] < b[i] ? -1 : 1;
	return (int)a_len - (int)b_len;
}

static int compare_rows(const void *a, const void *b)
{
	const struct pw_pool_row *x = a, *y = b;

	return compare(x->index, x->index_len, y->index, y->index_len);
}

static const struct pw_snapshot *random_snapshot(void)
{
	struct pw_arena *arena;
	struct pw_snapshot *snapshot = pw_snapshot_new(&arena);
	struct pw_pool_row *rows = pw_arena_array(arena, ROWS, sizeof(*rows));
	size_t n = 0, wanted = pick(ROWS + 1);

	for (size_t i = 0; i < wanted; i++) {
		uint32_t *index = pw_arena_array(arena, WORDS, sizeof(*index));
		size_t len = random_index(index);
		bool known = false;

		for (size_t j = 0; j < n; j++)
			known = known || compare(rows[j].index, rows[j].index_len, index, len) == 0;
		if (!known)
			rows[n++] = (struct pw_pool_row){.index = index, .index_len = len};
	}
	qsort(rows, n, sizeof(*rows), compare_rows);
	snapshot->pools = rows;
	snapshot->n_pools = n;
	return snapshot;
}

static void check_search(const struct pw_snapshot *s, const uint32_t *index, size_t len)
{
	const struct pw_pool_row *exact = NULL;
	size_t after = s->n_pools;

	for (size_t i = s->n_pools; i > 0; i--) {
		int order = compare(s->pools[i - 1].index, s->pools[i - 1].index_len, index, len);

		if (order > 0)
			after = i - 1;
		if (order == 0)
			exact = &s->pools[i - 1];
	}
	assert_int_equal(pw_snapshot_pool_after(s, index, len), after);
	assert_ptr_equal(pw_snapshot_pool(s, index, len), exact);
}

static void search_finds_what_a_walk_finds(void **unused)
{
	(void)unused;
	random_start();
	for (int i = 0; i < 300; i++) {
		const struct pw_snapshot *s = random_snapshot();

		check_search(s, NULL, 0);
		for (int j = 0; j < 100; j++) {
			uint32_t index[WORDS];

			check_search(s, index, random_index(index));
		}
		pw_snapshot_unref(s);
	}
}

static void *use(void *context)
{
	const struct pw_snapshot *s = context;

	for (int i = 0; i < 100000; i++)
		pw_snapshot_unref(pw_snapshot_ref(s));
	pw_snapshot_unref(s);
	return NULL;
}

/* The last of several threads frees it (a sanitizer or valgrind sees when that is too early or never). */
static void readers_share_it(void **unused)
{
	const struct pw_snapshot *s = random_snapshot();
	pthread_t threads[4];

	(void)unused;
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, use, (void *)(uintptr_t)pw_snapshot_ref(s)), 0);
	pw_snapshot_unref(s);
	for (size_t i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	pw_snapshot_unref(NULL);
}

static void arena_hands_out_zeroed_aligned_pieces(void **unused)
{
	struct pw_arena arena = {0};

	(void)unused;
	random_start();
	for (int i = 0; i < 2000; i++) {
		size_t size = pick(chance(50) ? 100000 : 200);
		unsigned char *piece = pw_arena_alloc(&arena, size);

		assert_non_null(piece);
		assert_int_equal((uintptr_t)piece % _Alignof(max_align_t), 0);
		for (size_t j = 0; j < size; j++)
			assert_int_equal(piece[j], 0);
		memset(piece, 0xff, size);
	}
	assert_string_equal(pw_arena_text(&arena, ""), "");
	assert_string_equal(pw_arena_text(&arena, "lo"), "lo");
	assert_false(arena.failed);
	pw_arena_free(&arena);
}

static void arena_refuses_what_no_memory_can_hold(void **unused)
{
	struct pw_arena arena = {0};

	(void)unused;
	assert_null(pw_arena_array(&arena, SIZE_MAX / 8, 16));
	assert_true(arena.failed);
	assert_null(pw_arena_alloc(&arena, 1)); /* what is built here is incomplete already */
	assert_string_equal(pw_arena_text(&arena, "lo"), "");
	pw_arena_free(&arena);
	assert_null(pw_arena_alloc(&arena, SIZE_MAX - 3));
	pw_arena_free(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(search_finds_what_a_walk_finds),
		cmocka_unit_test(readers_share_it),
		cmocka_unit_test(arena_hands_out_zeroed_aligned_pieces),
		cmocka_unit_test(arena_refuses_what_no_memory_can_hold),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

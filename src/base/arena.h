/* SPDX-License-Identifier: BSD-2-Clause */
/* arena.h: memory that is handed out piece by piece and freed as a whole */
#ifndef PW_BASE_ARENA_H
#define PW_BASE_ARENA_H

#include <stdbool.h>
#include <stddef.h>

struct pw_arena_chunk;

/* Zeroed = empty. */
struct pw_arena {
	struct pw_arena_chunk *chunks;
	bool failed; /* some piece could not be had: what was built is incomplete */
};

/* A zeroed piece, aligned for anything; NULL when out of memory, and from then on. Lives until pw_arena_free(). */
void *pw_arena_alloc(struct pw_arena *arena, size_t size);

/* A zeroed array; NULL as above. */
void *pw_arena_array(struct pw_arena *arena, size_t n, size_t size);

/* A copy of a text. Never NULL: "" when out of memory. */
const char *pw_arena_text(struct pw_arena *arena, const char *text);

void pw_arena_free(struct pw_arena *arena);

#endif

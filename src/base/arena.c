/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_SIZE 16384

struct pw_arena_chunk {
	struct pw_arena_chunk *next;
	size_t used, size;
	alignas(max_align_t) unsigned char bytes[];
};

void *pw_arena_alloc(struct pw_arena *arena, size_t size)
{
	const size_t align = alignof(max_align_t);
	struct pw_arena_chunk *chunk = arena->chunks;
	void *piece;

	if (size > SIZE_MAX / 2)
		arena->failed = true;
	if (arena->failed)
		return NULL;
	size = (size + align - 1) / align * align;
	if (chunk == NULL || chunk->size - chunk->used < size) {
		const size_t chunk_size = size > CHUNK_SIZE ? size : CHUNK_SIZE;

		chunk = calloc(1, sizeof(*chunk) + chunk_size);
		if (chunk == NULL) {
			arena->failed = true;
			return NULL;
		}
		chunk->size = chunk_size;
		chunk->next = arena->chunks;
		arena->chunks = chunk;
	}
	piece = chunk->bytes + chunk->used;
	chunk->used += size;
	return piece;
}

void *pw_arena_array(struct pw_arena *arena, size_t n, size_t size)
{
	if (size != 0 && n > SIZE_MAX / 2 / size) {
		arena->failed = true;
		return NULL;
	}
	return pw_arena_alloc(arena, n * size);
}

const char *pw_arena_text(struct pw_arena *arena, const char *text)
{
	size_t size = strlen(text) + 1;
	char *copy;

	if (size == 1)
		return "";
	copy = pw_arena_alloc(arena, size);
	return copy != NULL ? memcpy(copy, text, size) : "";
}

void pw_arena_free(struct pw_arena *arena)
{
	struct pw_arena_chunk *next;

	for (struct pw_arena_chunk *chunk = arena->chunks; chunk != NULL; chunk = next) {
		next = chunk->next;
		free(chunk);
	}
	*arena = (struct pw_arena){0};
}

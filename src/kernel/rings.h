/* SPDX-License-Identifier: BSD-2-Clause */
/* rings.h: thresholds that ring by themselves
 *
 * The BPF program that counts failures (events.bpf.c) also counts what connect() allocates, by slots: a hash of
 * namespace, addresses and port. After each look at the sockets every slot learns how many more allocations could make
 * one of its pools reach a threshold, and rings when they have been made. What a pool uses is at most what it used at
 * the look and what was allocated since, so no threshold is reached unheard. It can ring for nothing: when ports were
 * given back meanwhile, or when pools share a slot.
 *
 * Of a pool of TCP's bind() that has a limit, what connects from its address counts as well.
 *
 * A port that bind() takes is gone for every pool of its namespace. It is counted when its socket connects or listens,
 * and a 64th of what each pool could take is kept for these. Not told: sockets that are bound and nothing else, UDP.
 *
 * One look is look(), the reading of the sockets, mark(), since() for the pools that matter, start(), limit() for
 * these, and arm(). What is allocated during the look counts for the next one. */
#ifndef PW_KERNEL_RINGS_H
#define PW_KERNEL_RINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "count/pool.h"
#include "watch/monitor.h"

struct pw_rings;
struct events_pool;

/* A pool that may have reached a threshold. */
struct pw_ring {
	struct pw_pool_key key; /* ns is 0; kind is 0 when it was bind() that rang, for the whole namespace */
	uint64_t netns;         /* inode number of the namespace */
};

/* On a loaded program with its slots, its ring and its variables; all are borrowed. NULL when out of memory or
 * descriptors. */
struct pw_rings *pw_rings_new(
	int program, int slots, int ring, uint64_t seed, const uint64_t *unheard, bool *by_address);
void pw_rings_free(struct pw_rings *rings);

/* Becomes readable (POLLIN) when a slot rings, until the next look. */
int pw_rings_fd(const struct pw_rings *rings);

/* Whether the slots are armed, and nothing has rung or been lost since the last look. */
bool pw_rings_quiet(const struct pw_rings *rings);

/* Before the sockets of all namespaces are read: keeps what was counted since the last look and counts from 0. Returns
 * how many pools rang; they are borrowed until the next look. */
size_t pw_rings_look(struct pw_rings *rings, const struct pw_ring **rung);

/* As soon as the sockets were read: what is allocated from now on is none of theirs. */
void pw_rings_mark(struct pw_rings *rings);

/* Then: what the pool did between the last two looks; zeroed when the slots were not armed. */
void pw_rings_since(
	const struct pw_rings *rings, uint64_t netns, const struct pw_pool_key *key, struct pw_pool_since *out);

/* Then, after start(): this connect pool, or bind pool of TCP, can take so many ports, at least 1, before it reaches a
 * threshold. UINT32_MAX: it has none to reach. Another look is wanted when it grew by more than `drift` while the
 * sockets were read. Without a key: each pool of the namespace can take at least so many. */
void pw_rings_start(struct pw_rings *rings);
void pw_rings_limit(
	struct pw_rings *rings, uint64_t netns, const struct pw_pool_key *key, uint32_t ports, uint32_t drift);

/* From now on that holds, and any other pool can take `least`. Returns false when a limit was met already while the
 * sockets were read, or a pool drifted: another look is wanted. */
bool pw_rings_arm(struct pw_rings *rings, uint32_t least);

/* Until the next arm() nothing is known: what the program counted was not all. */
void pw_rings_disarm(struct pw_rings *rings);

/* The pool that the program means; ns is 0. And the other way round, in the namespace with this inode. */
struct pw_pool_key pw_rings_key(const struct events_pool *pool);
struct events_pool pw_rings_pool(uint64_t netns, const struct pw_pool_key *key);

#endif

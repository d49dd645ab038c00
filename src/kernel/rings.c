/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernel/rings.h"

#include <config.h>

#ifdef HAVE_BPF

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/types.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "base/array.h"
#include "kernel/events_record.h"

/* Of what a pool can take, what is kept for bind(). */
#define BIND_PART 64

/* What a slot had counted at the last look. */
struct past {
	uint32_t slot, count, tag;
	int32_t least, most;
	bool rung, known;
};

struct pw_rings {
	struct events_slot *slots; /* mapped */
	struct ring_buffer *ring;
	uint64_t seed;
	int program;
	const uint64_t *unheard; /* of the program */
	bool *by_address;        /* of the program: it counts for pools of bind() ... */
	bool binds;              /* ... and that is wanted from the arming on that is under way */
	uint64_t lost, was_lost; /* events until the last look, and until the one before */
	bool armed, was_armed;   /* the limits hold; held until the last look */
	struct pw_ring *rung;
	size_t n_rung, rung_room;
	struct past *past; /* in the order of their slots */
	size_t n_past, past_room;
	struct {
		uint32_t limit, drift, tag;
	} next[EVENTS_SLOTS]; /* of the arming that is under way; a tag of 1 is that of several pools */
};

#define SEVERAL 1

/* --- pools and slots --- */

/* A socket is told from the others by the interface that it is bound to: that is the zone of its local address. */
struct pw_pool_key pw_rings_key(const struct events_pool *pool)
{
	struct pw_pool_key key = {.local = pw_address_make(pool->family, pool->local, pool->zone),
		.protocol = pool->protocol,
		.kind = pool->port != 0 ? PW_KIND_CONNECT : PW_KIND_BIND,
		.port = ntohs(pool->port)};

	if (key.kind == PW_KIND_CONNECT)
		key.remote = pw_address_make(pool->family, pool->remote, 0);
	return key;
}

struct events_pool pw_rings_pool(uint64_t netns, const struct pw_pool_key *key)
{
	struct events_pool pool = {.netns = (uint32_t)netns,
		.zone = key->local.zone,
		.port = htons(key->port),
		.protocol = key->protocol,
		.family = (uint8_t)key->local.family};

	memcpy(pool.local, key->local.bytes, sizeof(pool.local));
	memcpy(pool.remote, key->remote.bytes, sizeof(pool.remote));
	return pool;
}

/* NULL key: what bind() takes in the namespace. */
static uint32_t find_slot(const struct pw_rings *rings, uint64_t netns, const struct pw_pool_key *key, uint32_t *tag)
{
	const struct events_pool pool = key != NULL ? pw_rings_pool(netns, key)
						    : (struct events_pool){.netns = (uint32_t)netns};
	const uint64_t hash = events_hash(rings->seed, &pool);

	*tag = EVENTS_TAG(hash, pool.zone);
	return EVENTS_INDEX(hash);
}

/* --- life --- */

static int take_rung(void *context, void *data, size_t size)
{
	struct pw_rings *rings = context;
	struct events_pool pool;
	struct pw_ring *ring;

	if (size < sizeof(pool) || !PW_ARRAY_ROOM(rings->rung, rings->rung_room, rings->n_rung + 1))
		return 0;
	memcpy(&pool, data, sizeof(pool));
	ring = &rings->rung[rings->n_rung++];
	*ring = (struct pw_ring){.netns = pool.netns};
	if (pool.family != 0)
		ring->key = pw_rings_key(&pool);
	return 0;
}

struct pw_rings *pw_rings_new(
	int program, int slots, int ring, uint64_t seed, const uint64_t *unheard, bool *by_address)
{
	struct pw_rings *rings = calloc(1, sizeof(*rings));
	void *map;

	if (rings == NULL)
		return NULL;
	map = mmap(NULL, EVENTS_SLOTS * sizeof(struct events_slot), PROT_READ | PROT_WRITE, MAP_SHARED, slots, 0);
	if (map != MAP_FAILED)
		rings->slots = map;
	rings->ring = ring_buffer__new(ring, take_rung, rings, NULL);
	rings->program = program;
	rings->seed = seed;
	rings->unheard = unheard;
	rings->by_address = by_address;
	if (rings->slots != NULL && rings->ring != NULL)
		return rings;
	pw_rings_free(rings);
	return NULL;
}

void pw_rings_free(struct pw_rings *rings)
{
	if (rings == NULL)
		return;
	if (rings->slots != NULL)
		munmap(rings->slots, EVENTS_SLOTS * sizeof(struct events_slot));
	ring_buffer__free(rings->ring);
	free(rings->rung);
	free(rings->past);
	free(rings);
}

int pw_rings_fd(const struct pw_rings *rings)
{
	return ring_buffer__epoll_fd(rings->ring);
}

/* --- a look --- */

/* Events that got lost: their pool found no room, or the program was under way on that processor already, as when an
 * interrupt comes in between. */
static uint64_t count_lost(const struct pw_rings *rings)
{
	struct bpf_prog_info info = {.type = 0};
	uint32_t size = sizeof(info);

	bpf_obj_get_info_by_fd(rings->program, &info, &size);
	return __atomic_load_n(rings->unheard, __ATOMIC_RELAXED) + info.recursion_misses;
}

bool pw_rings_quiet(const struct pw_rings *rings)
{
	struct pollfd fd = {.fd = pw_rings_fd(rings), .events = POLLIN};

	return rings->armed && poll(&fd, 1, 0) == 0 && count_lost(rings) == rings->lost;
}

size_t pw_rings_look(struct pw_rings *rings, const struct pw_ring **rung)
{
	rings->n_rung = 0;
	rings->n_past = 0;
	rings->was_lost = rings->lost;
	rings->lost = count_lost(rings);
	ring_buffer__consume(rings->ring);
	for (uint32_t i = 0; i < EVENTS_SLOTS; i++) {
		struct events_slot *slot = &rings->slots[i];
		struct past past;
		int32_t count;

		if (slot->count == 0 && slot->frees == 0 && slot->rung == 0)
			continue;
		/* what it says of its pool, from the end of the last look on */
		count = (int32_t)__atomic_exchange_n(&slot->count, 0, __ATOMIC_RELAXED);
		past = (struct past){.slot = i,
			.count = count > 0 ? (uint32_t)count : 0,
			.tag = slot->tag,
			.least = slot->high - (int32_t)slot->seen,
			.most = slot->top,
			.rung = slot->rung != 0,
			.known = slot->mixed == 0 && slot->tag != SEVERAL};
		__atomic_exchange_n(&slot->frees, 0, __ATOMIC_RELAXED);
		slot->rung = slot->mixed = 0;
		if (PW_ARRAY_ROOM(rings->past, rings->past_room, rings->n_past + 1))
			rings->past[rings->n_past++] = past;
	}
	rings->was_armed = rings->armed;
	rings->armed = false;
	*rung = rings->rung;
	return rings->n_rung;
}

static int compare_past(const void *a, const void *b)
{
	const struct past *x = a, *y = b;

	return (x->slot > y->slot) - (x->slot < y->slot);
}

/* NULL: nothing happened there. */
static const struct past *find_past(const struct pw_rings *rings, uint32_t slot)
{
	const struct past key = {.slot = slot};

	return rings->n_past == 0 ? NULL : bsearch(&key, rings->past, rings->n_past, sizeof(key), compare_past);
}

void pw_rings_mark(struct pw_rings *rings)
{
	for (uint32_t i = 0; i < EVENTS_SLOTS; i++)
		rings->slots[i].seen = rings->slots[i].count;
}

void pw_rings_since(
	const struct pw_rings *rings, uint64_t netns, const struct pw_pool_key *key, struct pw_pool_since *out)
{
	const uint64_t lost = rings->lost - rings->was_lost;
	/* each was one port of this pool at most, taken or given back */
	const int32_t doubt = lost < INT32_MAX / 2 ? (int32_t)lost : INT32_MAX / 2;
	uint32_t tag, slot = find_slot(rings, netns, key, &tag), bind_tag, bind;
	const struct past *past = find_past(rings, slot), *bound;

	*out = (struct pw_pool_since){.known = rings->was_armed};
	if (!rings->was_armed)
		return;
	bind = find_slot(rings, netns, NULL, &bind_tag);
	bound = find_past(rings, bind);
	out->told = (past != NULL && past->rung) || (bound != NULL && bound->rung) || rings->slots[slot].count != 0 ||
		rings->slots[bind].count != 0;
	if (past == NULL)
		return;
	out->allocations = past->count;
	out->lost = (uint32_t)doubt;
	out->sure = past->known && past->tag == tag;
	out->least = past->least - doubt;
	out->most = past->most + doubt;
}

/* --- limits --- */

static void lower(struct pw_rings *rings, uint32_t slot, uint32_t limit)
{
	if (rings->next[slot].limit > limit)
		rings->next[slot].limit = limit;
}

void pw_rings_start(struct pw_rings *rings)
{
	rings->binds = false;
	for (uint32_t i = 0; i < EVENTS_SLOTS; i++) {
		rings->next[i].limit = rings->next[i].drift = UINT32_MAX;
		rings->next[i].tag = 0;
	}
}

void pw_rings_limit(
	struct pw_rings *rings, uint64_t netns, const struct pw_pool_key *key, uint32_t ports, uint32_t drift)
{
	uint32_t tag, slot;

	if (key != NULL) {
		rings->binds = rings->binds || key->kind == PW_KIND_BIND;
		slot = find_slot(rings, netns, key, &tag);
		lower(rings, slot, ports - ports / BIND_PART);
		if (rings->next[slot].drift > drift)
			rings->next[slot].drift = drift;
		rings->next[slot].tag = rings->next[slot].tag == 0 || rings->next[slot].tag == tag ? tag : SEVERAL;
	}
	lower(rings, find_slot(rings, netns, NULL, &tag), ports / BIND_PART + 1);
}

/* Counts go on from what was allocated while the sockets were read: part of it has been seen. What was given back
 * since is the other part of the doubt. Returns by how much the slot grew while they were read, at most. */
static int32_t rebase(struct events_slot *slot, uint32_t tag)
{
	uint32_t freed = slot->frees != 0 ? __atomic_exchange_n(&slot->frees, 0, __ATOMIC_RELAXED) : 0;
	uint32_t count = slot->count;
	int32_t grown = (int32_t)(slot->seen - freed);

	/* what another pool has put in the way of this one's is not known until the next look */
	if (tag != 0 && slot->tag != 0 && slot->tag != tag)
		slot->mixed = 1;
	if (tag != 0 || count == 0)
		slot->tag = tag;
	slot->seen += freed;
	slot->high = slot->top = (int32_t)count;
	slot->lingering = 0;
	return grown;
}

bool pw_rings_arm(struct pw_rings *rings, uint32_t least)
{
	bool silent = *rings->by_address || !rings->binds; /* else what was taken meanwhile was not counted */

	*rings->by_address = rings->binds;
	least -= least / BIND_PART;
	for (uint32_t i = 0; i < EVENTS_SLOTS; i++) {
		struct events_slot *slot = &rings->slots[i];
		uint32_t limit = rings->next[i].limit < least ? rings->next[i].limit : least;

		if (slot->limit != limit)
			slot->limit = limit;
		if (slot->tag != 0 || slot->count != 0 || rings->next[i].tag != 0)
			silent = rebase(slot, rings->next[i].tag) <= (int64_t)rings->next[i].drift && silent;
	}
	/* the program rings at an allocation: those that it counted before the limits were there were too early */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	for (uint32_t i = 0; i < EVENTS_SLOTS; i++) {
		struct events_slot *slot = &rings->slots[i];

		if ((int32_t)slot->count < 0 || slot->count < slot->limit || slot->rung != 0)
			continue;
		slot->rung = 1;
		silent = false;
	}
	rings->armed = true;
	return silent;
}

void pw_rings_disarm(struct pw_rings *rings)
{
	rings->armed = false;
}

#else

#pragma GCC diagnostic ignored "-Wunused-parameter"

void pw_rings_free(struct pw_rings *rings)
{
}

int pw_rings_fd(const struct pw_rings *rings)
{
	return -1;
}

bool pw_rings_quiet(const struct pw_rings *rings)
{
	return false;
}

size_t pw_rings_look(struct pw_rings *rings, const struct pw_ring **rung)
{
	*rung = NULL;
	return 0;
}

void pw_rings_mark(struct pw_rings *rings)
{
}

void pw_rings_since(
	const struct pw_rings *rings, uint64_t netns, const struct pw_pool_key *key, struct pw_pool_since *out)
{
	*out = (struct pw_pool_since){.known = false};
}

void pw_rings_start(struct pw_rings *rings)
{
}

void pw_rings_limit(
	struct pw_rings *rings, uint64_t netns, const struct pw_pool_key *key, uint32_t ports, uint32_t drift)
{
}

bool pw_rings_arm(struct pw_rings *rings, uint32_t least)
{
	return true;
}

void pw_rings_disarm(struct pw_rings *rings)
{
}

#endif

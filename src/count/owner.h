/* SPDX-License-Identifier: BSD-2-Clause */
/* owner.h: who holds the sockets of a pool
 *
 * The dump tells the control group and the user of every socket that a process has open. A socket is filed with the
 * number of that pair, which fits into its entry of the census; names are looked for only where a pool is shown. */
#ifndef PW_COUNT_OWNER_H
#define PW_COUNT_OWNER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "count/pool.h"

/* Pairs of control group and user that are told apart at one poll. Those beyond share the last number: their sockets
 * are counted, but have no name. */
#define PW_OWNER_NUMBERS 4095

/* Where owners cost much they are read in so many parts of the sockets, a part at a poll. A set of parts has a bit for
 * each. */
#define PW_OWNER_PARTS 10
#define PW_OWNER_ALL_PARTS ((1u << PW_OWNER_PARTS) - 1)

/* Owners of a pool that are named. */
#define PW_OWNERS_MAX 8

struct pw_owner {
	uint64_t cgroup; /* cgroup v2 id; 0 = unknown. Of an SNAT pool: a number of its client */
	uint32_t uid;
	uint32_t sockets; /* of a pool; 0 where none is looked at */
};

/* The owners of one pool. Sockets in TIME_WAIT, orphans and connections that nobody has accepted have none. With them
 * the states of all of its sockets, since both cost a walk over these. */
struct pw_owners {
	struct pw_pool_states states;
	uint32_t owned; /* sockets with an owner */
	size_t n;
	struct pw_owner owner[PW_OWNERS_MAX]; /* the largest, in falling order */
};

/* Adds an owner with its sockets: puts it among the largest, if it is one of them. */
void pw_owners_add(struct pw_owners *owners, const struct pw_owner *owner);

/* Adds the owners of other sockets of the same pool. With more than PW_OWNERS_MAX of them, what the smaller ones hold
 * is a lower bound. The states become those of `more`. */
void pw_owners_merge(struct pw_owners *owners, const struct pw_owners *more);

/* The pairs of one poll (internal to the census). Zeroed = empty. */
struct pw_owner_table {
	struct pw_owner *pairs; /* of number 1, 2, ... */
	uint16_t *slot;         /* open addressing with linear probing; numbers, 0 is empty */
	uint32_t n, size;       /* pairs, and room for them: half of the slots */
	uint32_t last;          /* number of the pair that was asked for last, 0 = none */
	uint32_t sockets[PW_OWNER_NUMBERS +
		1]; /* of the pool that is being counted, by number; the first has those of nobody */
};

void pw_owner_table_clear(struct pw_owner_table *table);
void pw_owner_table_free(struct pw_owner_table *table);

static inline bool pw_owner_is(const struct pw_owner *pair, uint64_t cgroup, uint32_t uid)
{
	return pair->cgroup == cgroup && pair->uid == uid;
}

/* As pw_owner_table_number(), for a pair that is not the last. */
uint16_t pw_owner_table_search(struct pw_owner_table *table, uint64_t cgroup, uint32_t uid);

/* The number of a pair, 1 to PW_OWNER_NUMBERS; 0 (no owner) when out of memory. Most sockets in a row have the same. */
static inline uint16_t pw_owner_table_number(struct pw_owner_table *table, uint64_t cgroup, uint32_t uid)
{
	if (table->last != 0 && pw_owner_is(&table->pairs[table->last - 1], cgroup, uid))
		return (uint16_t)table->last;
	return pw_owner_table_search(table, cgroup, uid);
}

/* Counting one pool: start, count for each of its sockets (number 0: it has no owner), result. */
void pw_owner_table_start(struct pw_owner_table *table);
void pw_owner_table_result(const struct pw_owner_table *table, struct pw_owners *out);

static inline void pw_owner_table_count(struct pw_owner_table *table, uint32_t number)
{
	table->sockets[number]++;
}

/* Writes the name of a control group or user to buf, "" when there is none; context as given. */
typedef void pw_owner_name(uint64_t cgroup, uint32_t uid, char *buf, size_t size, void *context);

/* Room for a name, the final NUL included. */
#define PW_OWNER_NAME_MAX 112

/* Room for a name with its share. */
#define PW_OWNER_TEXT_MAX 128

/* Says who holds most: "nginx.service", or "nginx.service (80 %)" when others hold some as well, in percent of the
 * sockets that have an owner, rounded down. Pairs of the same name count as one owner. "" when nothing is known. */
void pw_owners_text(const struct pw_owners *owners, pw_owner_name *name, void *context, char buf[PW_OWNER_TEXT_MAX]);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* source.h: what counts pools: the census of sockets, the entries of connection tracking
 *
 * The list of them. Who says something about pools goes through it and asks each the same, so that another kind of
 * pool is another entry here, not another branch there. */
#ifndef PW_COUNT_SOURCE_H
#define PW_COUNT_SOURCE_H

#include <stdbool.h>
#include <stdint.h>

#include "count/owner.h"
#include "count/pool.h"
#include "count/portset.h"

enum pw_source_id { PW_SOURCE_SOCKETS, PW_SOURCE_SNAT, PW_SOURCES };

/* What holds for all pools of a source, whoever asks. */
struct pw_source_traits {
	const char *title; /* before the word "pools", with a space; "" for the ordinary ones */
	const char *ports; /* what it counts, for the log */
	uint32_t kinds;    /* that it counts, as bits (1 << enum pw_kind) */
	/* sockets of this host hold the ports: they have owners, come from the namespace's range, and its settings
	 * decide about TIME_WAIT */
	bool sockets;
};

extern const struct pw_source_traits pw_source_traits[PW_SOURCES];

/* Which one counts the pools of a kind. */
enum pw_source_id pw_kind_source(uint8_t kind);

static inline bool pw_kind_has_sockets(uint8_t kind)
{
	return pw_source_traits[pw_kind_source(kind)].sockets;
}

/* The values are those of pwNsSnatStatus. */
enum pw_source_status { PW_SOURCE_OFF = 1, PW_SOURCE_COUNTING = 2, PW_SOURCE_UNAVAILABLE = 3 };

/* A non-zero return ends a walk. */
typedef int pw_pool_visit(const struct pw_pool_key *key, const struct pw_pool_counts *counts, void *context);

/* The ports that a pool draws from, where these are others than those of the range; NULL: those. Borrowed until the
 * next poll. */
typedef const struct pw_portset *pw_pool_ports(const struct pw_pool_key *key, void *context);

struct pw_source;

struct pw_source_ops {
	int (*each)(struct pw_source *source, uint32_t floor, pw_pool_visit *visit, void *context);
	void (*pool)(struct pw_source *source, const struct pw_pool_key *key, struct pw_pool_counts *out);
	void (*owners)(struct pw_source *source, const struct pw_pool_key *key, struct pw_owners *out);
	/* of these, the context is the source; NULL: they are control groups and users of the host */
	pw_owner_name *owner_name;
};

/* The source of one namespace: the first member of what counts there. */
struct pw_source {
	const struct pw_source_ops *ops;
	/* what it counted last */
	uint32_t pools;    /* with at least one port */
	uint32_t capacity; /* the fewest ports that one of them can have */
	uint32_t gone;     /* of these, what no pool can use */
	/* by the caller, before it counts; NULL: every pool draws from the range */
	pw_pool_ports *ports;
	void *ports_context;
	/* of this poll, by the caller */
	enum pw_source_status status; /* 0 means OFF */
	const char *reason;           /* why it does not count, with UNAVAILABLE; else "" or NULL */
	bool fresh;                   /* it counted; else pools keep the numbers and states that they had */
	uint8_t stale_protocol;       /* with fresh: that of pools that it did not count all the same; 0 = none */
	uint64_t failures; /* allocations that failed since the start, as far as the source can tell; else 0 */
};

static inline const struct pw_portset *pw_source_ports(const struct pw_source *source, const struct pw_pool_key *key)
{
	return source->ports != NULL ? source->ports(key, source->ports_context) : NULL;
}

/* Calls `visit` for every pool that holds at least `floor` ports (used >= floor, floor >= 1), in no particular order.
 * A non-zero return ends the walk and is returned; else 0. */
static inline int pw_source_each(struct pw_source *source, uint32_t floor, pw_pool_visit *visit, void *context)
{
	return source->ops->each(source, floor, visit, context);
}

/* The numbers of any pool of the source's kinds, also of one without ports. key->ns is not looked at, here and
 * below. */
static inline void pw_source_pool(struct pw_source *source, const struct pw_pool_key *key, struct pw_pool_counts *out)
{
	source->ops->pool(source, key, out);
}

/* Who holds the used ports of a pool; costs as much as counting it: ask for pools that are shown. */
static inline void pw_source_owners(struct pw_source *source, const struct pw_pool_key *key, struct pw_owners *out)
{
	source->ops->owners(source, key, out);
}

/* Says who holds most of a pool (pw_owners_text()), and the states of its sockets. `name` and its context name the
 * control groups and users of this host; NULL where they are not known. "" when nothing is known. `parts` has the
 * owners that are known from polls before, which those of this one are added to; NULL: this one knows all. */
void pw_source_owner_text(struct pw_source *source, const struct pw_pool_key *key, pw_owner_name *name, void *context,
	struct pw_owners *parts, struct pw_pool_states *states, char buf[PW_OWNER_TEXT_MAX]);

/* Whether this poll has new numbers of a pool. */
static inline bool pw_source_has(const struct pw_source *source, const struct pw_pool_key *key)
{
	return source->fresh && (source->stale_protocol == 0 || source->stale_protocol != key->protocol);
}

#endif

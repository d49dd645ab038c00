/* SPDX-License-Identifier: BSD-2-Clause */
/* census_internal.h: how the sockets are kept; for census.c (its life, VRFs), census_add.c (adds them), census_ports.c
 * (classifies ports), census_count.c (counts a pool) and census_pools.c (walks the pools)
 *
 *   local ──> tuple ──> entry ──> entry     a local address (per protocol and device) has tuples, one for each remote
 *     │         └─────> tuple ──> entry      address and port; a tuple has a list of 4-byte entries, one a socket
 *     └─────> entry ──> entry               sockets without a pool of their own (listening, bound, inbound, UDP)
 *
 * All is kept in arrays that only grow during a poll. Pools are added up afterwards with a byte of notes for each
 * port, so that a port held by several sockets counts once. */
#ifndef PW_COUNT_CENSUS_INTERNAL_H
#define PW_COUNT_CENSUS_INTERNAL_H

#include <string.h>
#include <sys/socket.h>

#include "base/array.h"
#include "count/census.h"
#include "count/lists.h"
#include "count/cookies.h"
#include "count/index.h"

#define NONE PW_INDEX_END
#define PORTS 65536
#define RECENT_LOCALS 32
#define BOUND_PASS_EVERY 6 /* polls between two not-AUTO passes that nothing suspicious asks for */

/* An entry is a word: the port, what kind of socket it is, a flag, and the number of the owner (0 = none). */
#define ENTRY_KIND_SHIFT 16
#define ENTRY_V6ONLY (UINT32_C(1) << 19) /* an IPv6 socket that leaves the IPv4 wildcard alone */
#define ENTRY_OWNER_SHIFT 20

enum entry_kind {
	ENTRY_TIME_WAIT_REUSABLE, /* that connect() to the same tuple may take over now */
	ENTRY_TIME_WAIT,
	ENTRY_UNCONNECTED, /* listening, bound, UDP */
	ENTRY_HALF_OPEN,   /* holds its tuple, but no bind bucket */
	/* connections */
	ENTRY_ESTABLISHED,
	ENTRY_SYN_SENT,
	ENTRY_CLOSE_WAIT,
	ENTRY_FIN_WAIT,
	ENTRY_KINDS
};

_Static_assert(PW_OWNER_NUMBERS <= UINT32_MAX >> ENTRY_OWNER_SHIFT, "an owner's number fits into an entry");

struct local {
	uint8_t address[16];
	uint32_t zone;
	uint8_t family, protocol;
	uint8_t any;      /* the wildcard address */
	uint8_t loopback; /* 127/8 or ::1 */
	uint8_t binds;    /* at the last poll its ambiguous ports had bind()'s parity */
	uint32_t first_tuple;
	uint32_t entries;   /* list of the sockets without tuple */
	uint32_t n_entries; /* of these */
	uint32_t count;     /* sockets, with and without tuple */
};

struct tuple {           /* 16 bytes: a quarter of a line of the cache */
	uint32_t remote; /* an IPv4 address as it is, of an IPv6 address its position in remotes6 */
	uint32_t local;
	uint16_t port;
	uint16_t count;   /* sockets; stays at its largest value */
	uint32_t entries; /* list of them */
};

struct remote6 {
	uint8_t address[16];
};

/* What the allocator answered about a port. */
enum probed { PROBED_NONE, PROBED_FREE, PROBED_BLOCKED };

/* What lasts about the ports, each array by port. A signature stands for the set of sockets on a port whose origin
 * their state does not show; it is a sum, so that order plays no part. */
struct port_history {
	uint64_t *signature;        /* of this poll */
	uint64_t *probed_signature; /* when the allocator answered */
	uint64_t *pass_signature;   /* at the last not-AUTO pass */
	uint8_t *probed;            /* enum probed */
};

/* What is known of a port while pools are added up. The first three are of the pool that is being counted. The others
 * last until the next poll: one load answers everything. */
enum port_bit {
	PORT_NOT_TIME_WAIT = 1, /* it has more than TIME_WAIT */
	PORT_HARD = 2,          /* and more than what connect() to the same tuple may take over now */
	PORT_USED = 4,
	PORT_OF_POOL = PORT_NOT_TIME_WAIT | PORT_HARD | PORT_USED,
	PORT_OUTSIDE = 8, /* not in the set that the pool draws from: reserved, for example */
	PORT_LISTENING = 16,
	PORT_BLOCKED = 32,
	PORT_SUSPECT = 64
};

/* The set that pools draw from, as c->ports has it: that of the range, or a list of a `pool` section. */
struct view {
	const struct pw_portset *list; /* NULL: the range */
	/* the kernel chooses the port, so that sockets of others block theirs; else only listeners do */
	bool automatic;
	bool odd;           /* see pw_range_is_odd() */
	uint16_t low, high; /* the lowest and the highest port */
	uint32_t capacity, blocked;
	uint32_t free, free_fast; /* |set - blocked|, and of these with low's parity */
	uint32_t suspect;         /* |set & suspect| */
	uint32_t other;           /* ports of the other parity: bind() tries these first */
};

struct pw_census {
	struct pw_source source;
	uint32_t ns;
	uint32_t vrf;           /* whose ports these are, by interface index; 0 = of the rest */
	struct pw_census *next; /* that of another VRF */
	struct pw_range range;
	struct pw_portset capacity;

	struct pw_lists entries;
	struct local *locals;
	struct tuple *tuples;
	uint32_t *next_tuple; /* of the same local, by tuple */
	struct remote6 *remotes6;
	uint32_t n_locals, n_tuples, n_remotes6;
	size_t size_locals, size_remotes6;
	uint32_t size_tuples;
	struct pw_index local_index, tuple_index;
	uint32_t recent_locals[RECENT_LOCALS]; /* guesses, by the address: most sockets share one of a few */
	uint32_t *special; /* locals that conflict beyond their own address: wildcards and those bound to a device */
	uint32_t n_special;
	size_t size_special;
	uint64_t seed[3];

	struct pw_portset listening,
		bound; /* ports of listeners; ports of bound-only and of explicitly bound sockets */
	struct pw_portset listening_any4,
		listening_any6;    /* of these listeners, those of a wildcard address, by what they accept */
	struct pw_portset unknown; /* ports with a socket that may be bound or connect-owned */
	struct pw_portset no_port; /* ports with a socket that is connect-owned unless explicitly bound */
	struct pw_portset known;   /* ports with a socket known by its cookie as bound */
	struct pw_cookies bound_cookies, bound_cookies_next;
	struct pw_cookies listeners; /* those of one address, by listener_id() */
	struct port_history history;
	/* by parity, see census.h */
	struct pw_portset by_parity;      /* ports of sockets that came from bind() */
	struct pw_portset suspect;        /* ambiguous ports that may well be blocked */
	struct pw_cookies binding;        /* the local addresses of these, as hashes: for the next poll */
	bool parity_holds;                /* every address that was so is so at this poll too */
	struct pw_cookies parity_cookies; /* sockets of bind()'s parity on addresses that were so at the last poll */
	struct pw_cookies stamped, unstamped; /* tuples (position + 1) whose TIME_WAIT sockets were asked about */
	bool probing, bound_pass, finished;
	bool read; /* `blocked` was read from the kernel */
	unsigned polls_since_pass;

	struct pw_portset blocked, ambiguous; /* results of finish; subsets of the capacity */
	struct pw_census_totals totals;
	uint8_t *ports; /* enum port_bit, by port */
	struct view view;
	struct pw_owner_table owners;
	uint32_t kinds[ENTRY_KINDS]; /* as its sockets[]: of the pool that is being counted */
};

extern const struct pw_source_ops pw_census_ops;

/* census_count.c. The counts of a connect pool from its tuple and, for a pool of a device, the tuple without device,
 * either of which may be NONE: a socket bound to a device collides with both (inet_match()), one without only with its
 * like. c->view says which ports it draws from. */
void pw_census_count_connect(struct pw_census *c, uint32_t tuple, uint32_t plain, struct pw_pool_counts *out);

/* The same of a bind pool: all that conflicts with bind(address, 0). */
void pw_census_count_bind(struct pw_census *c, const struct local *pool, struct pw_pool_counts *out);

/* Adds the sockets of a tuple (or NONE), or all that conflict with bind() (`wanted`: of ports with one of these bits;
 * 0: of all), to c->owners and c->kinds. */
void pw_census_own_connect(struct pw_census *c, uint32_t tuple);
void pw_census_own_bind(struct pw_census *c, const struct local *pool, uint8_t wanted);

/* Has c->ports and c->view stand for a set of ports; NULL and true: the range. After finish. */
void pw_census_use(struct pw_census *c, const struct pw_portset *list, bool automatic);

/* TCP ports of a VRF are ports of their own (inet_bind_bucket.l3mdev) unless tcp_l3mdev_accept is set, so each
 * VRF has a census of its own behind that of the namespace. */

/* Adds a socket with PW_SOCKET_IN_VRF. Returns 0, or -1 when out of memory. */
int pw_census_add_in_vrf(struct pw_census *c, const struct pw_socket *s);

/* The census that has the pools of this device; c itself where there is no other. */
struct pw_census *pw_census_of_device(struct pw_census *c, uint32_t zone);

/* Of the namespace's census: finishes those of VRFs, as it has just been itself. */
void pw_census_finish_vrfs(struct pw_census *c);

static inline enum entry_kind entry_kind(uint32_t entry)
{
	return entry >> ENTRY_KIND_SHIFT & (ENTRY_KINDS - 1);
}

/* PORT_NOT_TIME_WAIT and PORT_HARD of an entry, for the innermost loops: two bits for each kind, nothing is looked
 * up. */
static inline uint8_t entry_bits(uint32_t entry)
{
	return 0xfff8u >> (entry >> (ENTRY_KIND_SHIFT - 1) & 2 * (ENTRY_KINDS - 1)) & (PORT_NOT_TIME_WAIT | PORT_HARD);
}

/* The size of the range's part of an array of signatures. */
static inline size_t range_bytes(const struct pw_census *c)
{
	return ((size_t)c->range.high - c->range.low + 1) * sizeof(uint64_t);
}

static inline bool local_is(
	const struct local *local, const uint8_t address[16], uint32_t zone, uint8_t family, uint8_t protocol)
{
	return local->zone == zone && local->family == family && local->protocol == protocol &&
		memcmp(local->address, address, sizeof(local->address)) == 0;
}

static inline uint64_t local_hash(
	const struct pw_census *c, const uint8_t address[16], uint32_t zone, uint8_t family, uint8_t protocol)
{
	return pw_hash_address(c->seed, address, (uint64_t)zone << 16 | (uint64_t)family << 8 | protocol);
}

static inline uint32_t lookup_local(const struct pw_census *c, const uint8_t address[16], uint32_t zone, uint8_t family,
	uint8_t protocol, uint64_t hash)
{
	uint32_t at = pw_index_start(&c->local_index, hash), found;

	do
		found = pw_index_next(&c->local_index, hash, &at);
	while (found != NONE && !local_is(&c->locals[found], address, zone, family, protocol));
	return found;
}

/* The local of the same address, of this device or (0) none; NONE when it has no sockets. */
static inline uint32_t find_like(const struct pw_census *c, const struct local *l, uint32_t zone)
{
	return lookup_local(
		c, l->address, zone, l->family, l->protocol, local_hash(c, l->address, zone, l->family, l->protocol));
}

static inline uint64_t tuple_hash(const struct pw_census *c, uint32_t local, const uint8_t remote[16], uint16_t port)
{
	return pw_hash_address(c->seed, remote, (uint64_t)local << 16 | port);
}

static inline void tuple_remote(const struct pw_census *c, const struct tuple *t, uint8_t remote[16])
{
	memset(remote, 0, 16);
	if (c->locals[t->local].family == AF_INET)
		memcpy(remote, &t->remote, sizeof(t->remote));
	else
		memcpy(remote, c->remotes6[t->remote].address, 16);
}

static inline bool tuple_is(
	const struct pw_census *c, const struct tuple *t, uint32_t local, const uint8_t remote[16], uint16_t port)
{
	uint32_t remote4;

	if (t->local != local || t->port != port)
		return false;
	memcpy(&remote4, remote, sizeof(remote4));
	if (c->locals[local].family == AF_INET)
		return t->remote == remote4;
	return memcmp(c->remotes6[t->remote].address, remote, 16) == 0;
}

static inline uint32_t lookup_tuple(
	const struct pw_census *c, uint32_t local, const uint8_t remote[16], uint16_t port, uint64_t hash)
{
	uint32_t at = pw_index_start(&c->tuple_index, hash), found;

	do
		found = pw_index_next(&c->tuple_index, hash, &at);
	while (found != NONE && !tuple_is(c, &c->tuples[found], local, remote, port));
	return found;
}

/* The first part of a tuple's entries; NONE has none. */
static inline struct pw_list_part tuple_entries(const struct pw_census *c, uint32_t tuple)
{
	if (tuple == NONE)
		return (struct pw_list_part){0};
	return pw_list_first(&c->entries, &c->tuples[tuple].entries, c->tuples[tuple].count);
}

#endif

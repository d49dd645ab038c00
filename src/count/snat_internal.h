/* SPDX-License-Identifier: BSD-2-Clause */
/* snat_internal.h: how the entries of a dump are kept; for snat.c (files them) and snat_pools.c (counts pools)
 *
 * An address that is watched has pools, a pool has a list of 8 bytes for each entry. Lists are indexes into an
 * array that only grows during a dump. */
#ifndef PW_COUNT_SNAT_INTERNAL_H
#define PW_COUNT_SNAT_INTERNAL_H

#include "count/index.h"
#include "count/snat.h"

#define NONE PW_INDEX_END
#define PORTS 65536

struct entry {
	uint32_t next : 29;
	uint32_t state : 3; /* of PW_CONNTRACK_STATE */
	uint16_t port;
	uint16_t client; /* its number */
};

/* The end of a list of entries. */
#define END ((UINT32_C(1) << 29) - 1)

/* Clients that are told apart; those beyond share the last number. */
#define CLIENTS_MAX 32767

/* An address whose ports are counted. */
struct local {
	struct pw_address address;
	uint16_t low, high;
	/* the dump that last saw it translated; those of a single address in the configuration are seen always */
	uint32_t seen;
};

struct pool {
	uint8_t remote[16];
	uint32_t local;
	uint32_t entries, count;
	uint16_t port;
	uint8_t protocol;
	bool privileged; /* some of its ports are below 1024 */
};

struct pw_snat {
	struct pw_source source;
	uint32_t ns;
	const struct pw_snat_range *ranges;
	size_t n_ranges;
	uint32_t dump; /* number of this one */
	bool left_out; /* entries of addresses that may yet be seen translated */
	bool again;

	struct local *locals;
	struct pool *pools;
	struct entry *entries;
	struct pw_address *clients; /* by number, from 0 on */
	uint32_t n_locals, n_pools, n_entries, n_clients;
	size_t size_locals, size_pools, size_entries, size_clients;
	struct pw_index local_index, pool_index, client_index;
	uint64_t seed[3];
	uint8_t scratch[PORTS]; /* by port, for who counts a pool; all zero between two */
};

extern const struct pw_source_ops pw_snat_ops;

/* Whether a rule with these ports names none, so that it keeps a client's port in its class. */
static inline bool pw_snat_has_classes(uint16_t low, uint16_t high)
{
	return low == PW_SNAT_LOW && high == PW_SNAT_HIGH;
}

/* Of an address: its range in the configuration, or NULL; its position in locals[], or NONE. */
const struct pw_snat_range *pw_snat_find_range(const struct pw_snat *s, const struct pw_address *address);
uint32_t pw_snat_find_local(const struct pw_snat *s, const struct pw_address *address);

/* The position of a pool in pools[], or NONE when it has no entries. */
uint32_t pw_snat_find_pool(
	const struct pw_snat *s, uint32_t local, const uint8_t remote[16], uint16_t port, uint8_t protocol);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* pool.h: what a pool is: its key, its numbers, its name, its place in the MIB's index order */
#ifndef PW_COUNT_POOL_H
#define PW_COUNT_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "count/address.h"

/* Values are those of PORTWATCH-MIB. */
enum pw_kind { PW_KIND_CONNECT = 1, PW_KIND_BIND = 2, PW_KIND_SNAT = 3 };
enum pw_basis { PW_BASIS_INFERRED = 1, PW_BASIS_PROBED = 2, PW_BASIS_READ = 3 };
enum pw_state { PW_STATE_NORMAL = 1, PW_STATE_WARNING = 2, PW_STATE_CRITICAL = 3, PW_STATE_EXHAUSTED = 4 };
enum pw_reason {
	PW_REASON_NONE = 1,
	PW_REASON_UTILIZATION = 2,
	PW_REASON_FREE = 3,
	PW_REASON_FORECAST = 4,
	PW_REASON_FAST_FREE = 5
};

/* "not in sight" as a time to exhaustion (pwPoolTimeToExhaustion). */
#define PW_NOT_IN_SIGHT UINT32_MAX

/* The ports that one allocation draws from. Made with pw_pool_key() or from a zeroed struct: no holes, so keys compare
 * and hash as memory. A bind pool has no remote address (AF_UNSPEC) and port 0. A connect pool without any address is
 * that of a connect() to where nobody connects yet: what other sockets deny to it they deny to every destination. */
struct pw_pool_key {
	struct pw_address local;
	struct pw_address remote;
	uint32_t ns;      /* pwNsIndex, from 1 */
	uint16_t port;    /* remote port, host order */
	uint8_t kind;     /* enum pw_kind */
	uint8_t protocol; /* IPPROTO_TCP or IPPROTO_UDP */
};

/* The pool of any new destination. */
static inline bool pw_pool_is_new_destination(const struct pw_pool_key *key)
{
	return key->kind == PW_KIND_CONNECT && key->remote.family == 0;
}

/* The numbers of one pool at one poll, all of them counts of ports. The identity
 * used + blocked + free - reusable = capacity holds, less 1 at most where an odd width loses an end of the range. */
struct pw_pool_counts {
	uint32_t capacity;  /* |C|: the range without reserved ports */
	uint32_t used;      /* |U|: ports of C held by the pool's own sockets, TIME_WAIT included */
	uint32_t time_wait; /* of used: ports held by TIME_WAIT sockets only */
	uint32_t blocked;   /* ports of C outside U that bound sockets deny to this pool; 0 for bind pools */
	uint32_t reusable;  /* of used: TIME_WAIT ports that would be handed out again now (these are free as well) */
	uint32_t free;      /* |F|: allocations that would succeed now */
	uint32_t fast_free; /* of free: the parity that the kernel tries first */
	uint32_t doubt;     /* of free: what may not be, for all that is known (connect pools): ambiguous ports that are
			       likely     blocked, and TIME_WAIT whose peer may not have used timestamps */
	uint32_t utilization; /* percent, rounded down; 100 exactly when free is 0 */
	/* of used: ports known to be held by bind() without a listener (TCP bind pools: do they alarm?) */
	uint32_t bound;
};

/* TCP sockets of a pool by state; in a connect pool each has a port of its own. Of an SNAT pool: its tracked
 * connections, SYN_SENT with everything before ESTABLISHED. TIME_WAIT is counted in ports. */
struct pw_pool_states {
	uint32_t syn_sent, established, close_wait;
	uint32_t fin_wait; /* FIN_WAIT1, FIN_WAIT2, CLOSING, LAST_ACK */
};

/* "tcp 10.0.0.1 -> 10.0.0.9:443", "udp 10.0.0.1 bind", "snat tcp 198.51.100.1 -> 10.0.0.9:443@blue" with the final
 * NUL. */
#define PW_POOL_NAME_MAX 320

/* Longest index: ns, kind, protocol, 2 x (type, length, 20 bytes), port. */
#define PW_POOL_INDEX_MAX 48

/* (capacity - free) / capacity in whole percent, rounded down; 100 exactly when free is 0 (so also when capacity is
 * 0). */
uint32_t pw_utilization(uint32_t capacity, uint32_t free);

/* Order of two lists of sub-identifiers: a shorter one comes before everything that it begins. */
int pw_index_compare(const uint32_t *a, size_t a_len, const uint32_t *b, size_t b_len);

/* Order of the MIB's index: that of the encoded sub-identifiers. */
int pw_pool_key_compare(const struct pw_pool_key *a, const struct pw_pool_key *b);

/* Encodes the index of pwPoolTable: ns, kind, protocol, InetAddressType, InetAddress with its length in front, the
 * same of the remote side, port (RFC 4001; a zone adds 4 bytes in network order and makes the type ipv4z/ipv6z).
 * Returns the number of sub-identifiers written, at most PW_POOL_INDEX_MAX. */
size_t pw_pool_index(const struct pw_pool_key *key, uint32_t out[PW_POOL_INDEX_MAX]);

/* The name of a pool: natural and unique. zone_name names the local address's zone (NULL: its number is shown);
 * ns_name is NULL or "" for the daemon's own namespace, else it is appended as "@ns_name". Returns buf. */
char *pw_pool_name(
	const struct pw_pool_key *key, const char *zone_name, const char *ns_name, char buf[PW_POOL_NAME_MAX]);

/* The names of the enums, as in the MIB and in JSON: "connect", "probed", "warning", "utilization", "tcp"; "unknown"
 * for any other value. */
const char *pw_kind_name(unsigned kind);
const char *pw_basis_name(unsigned basis);
const char *pw_state_name(unsigned state);
const char *pw_reason_name(unsigned reason);
const char *pw_protocol_name(unsigned protocol);

/* Defines such a function, of an enumeration whose values count from 1. */
#define PW_NAMES(function, ...) \
	const char *function(unsigned value) \
	{ \
		static const char *const names[] = {__VA_ARGS__}; \
\
		return value - 1 < sizeof(names) / sizeof(names[0]) ? names[value - 1] : "unknown"; \
	}

#endif

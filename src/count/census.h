/* SPDX-License-Identifier: BSD-2-Clause */
/* census.h: the sockets of one network namespace at one poll, added up into pools
 *
 * The hot path of the program: pw_census_add() runs once per socket. The memory is 4 to 12 bytes a socket (4.3 where
 * many have one destination) plus about 30 (IPv6: 50) a distinct (local address, remote address, remote port); it is
 * kept from poll to poll.
 *
 * Use, each poll: begin -> add, add, ... -> finish -> [wants_bound: add_bound, finish] -> [ambiguous: set_probed,
 * ..., finish] -> each / pool / totals. A dump that has to be repeated starts again with begin. What is known about
 * bound sockets (cookies, answers of probes) lives on from poll to poll.
 *
 * A TCP socket is connect-owned when connect() gave it its port, and else bound: by bind(), listen() or accept(). A
 * port with a bound socket is blocked for every connect() (__inet_hash_connect()). Where a socket's state does not
 * show what it is, its port is ambiguous.
 *
 * Parity tells much about these: connect() takes low's parity until it is used up for its destination, bind(addr, 0)
 * the other one until that is used up for its address. Sockets of bind()'s parity whose destination has most of
 * connect()'s left, and that have no or few like them of the other parity at their address, came from bind() (or
 * from accept(), or an explicit bind: all of them block). */
#ifndef PW_COUNT_CENSUS_H
#define PW_COUNT_CENSUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "count/portset.h"
#include "count/range.h"
#include "count/socket.h"
#include "count/source.h"

struct pw_census;

/* What was counted in one poll. */
struct pw_census_totals {
	uint64_t sockets;  /* entries added, UDP included */
	uint32_t tcp, udp; /* of these */
	uint32_t tcp_time_wait;
	uint32_t tcp_bound; /* neither connected nor listening */
	uint32_t capacity;  /* |C| */
	uint32_t blocked;   /* |C & Blocked|: ports that no connect() can get, whatever its destination */
	uint32_t ambiguous; /* ports of C whose sockets may or may not be bound */
	uint32_t suspect;   /* of these: likely blocked */
	uint32_t pools;     /* distinct pools with at least one port */
	/* read: see pw_census_set_blocked(); probed: no port is ambiguous, and the allocator was asked wherever
	 * inference could not tell */
	enum pw_basis basis;
};

/* Returns NULL when out of memory. `ns` is the pwNsIndex that the keys get. */
struct pw_census *pw_census_new(uint32_t ns);
void pw_census_free(struct pw_census *census);

/* Starts a poll: forgets the sockets of the previous one, keeps what is known about ports. Ports that the range does
 * not look at are ignored. */
void pw_census_begin(struct pw_census *census, const struct pw_range *range);

/* After begin and before the first socket: the bind buckets themselves were read, and just these ports are blocked.
 * Nothing is ambiguous at this poll, and sockets say in their flags whether they are v6only and, in TIME_WAIT,
 * stamped. */
void pw_census_set_blocked(struct pw_census *census, const struct pw_portset *blocked);

/* After pw_census_set_blocked(): so is this port, for the sockets of a VRF. Returns 0, or -1 when out of memory. */
int pw_census_add_blocked(struct pw_census *census, uint32_t vrf, uint16_t port);

/* Adds n sockets. Returns 0, or -1 when out of memory (the census then is incomplete: do not use this poll). */
int pw_census_add(struct pw_census *census, const struct pw_socket *sockets, size_t n);

/* Adds the result of the not-AUTO dump: sockets bound to an explicit port (SOCK_BINDPORT_LOCK). They are not counted
 * again, they only make their port known as blocked, now and by cookie from now on. Call it at least once per pass,
 * with n = 0 if need be: that the pass was made proves sockets with IP_BIND_ADDRESS_NO_PORT to be connect-owned. */
int pw_census_add_bound(struct pw_census *census, const struct pw_socket *sockets, size_t n);

/* Ends the adding, before any of the functions below. */
void pw_census_finish(struct pw_census *census);

/* Whether the not-AUTO dump is worth its cost at this poll: ambiguous ports of the parity that connect() tries last
 * changed since the last pass, or (at every 6th poll) any ambiguous port did. Valid after finish. */
bool pw_census_wants_bound(const struct pw_census *census);

/* Whether the allocator will be asked (default: no). Without probing, its answers of the past are forgotten. */
void pw_census_set_probing(struct pw_census *census, bool probing);

/* The ambiguous ports, those that are most likely blocked first (the parity that connect() tries last): at most `max`
 * are written. Returns how many. A port is ambiguous when it has a socket that is neither known as bound nor known as
 * connect-owned, and no answer about just this set of sockets. */
size_t pw_census_ambiguous(const struct pw_census *census, uint16_t *ports, size_t max);

/* The allocator's answer about one port, remembered until the set of sockets on it changes. Call finish again after
 * the last one. */
void pw_census_set_probed(struct pw_census *census, uint16_t port, bool blocked);

/* Calls `visit` for connect pools, `pools` at most, with many TIME_WAIT ports that are reusable only if their peer
 * used timestamps, which is not known, and with some of these ports. */
#define PW_REUSABLE_PORTS 8
typedef void pw_reusable_visit(const struct pw_pool_key *key, const uint16_t *ports, size_t n, void *context);
void pw_census_each_reusable(struct pw_census *census, size_t pools, pw_reusable_visit *visit, void *context);

/* The answer: whether they used timestamps. Holds until the next begin. Returns 0, or -1 when out of memory. */
int pw_census_set_stamped(struct pw_census *census, const struct pw_pool_key *key, bool stamped);

const struct pw_census_totals *pw_census_totals(const struct pw_census *census);
/* The ports of the capacity that have a TCP listener: a service that restarts may find its port taken. */
void pw_census_listening(const struct pw_census *census, struct pw_portset *out);

const struct pw_range *pw_census_range(const struct pw_census *census);

/* The ports that no connect() of this namespace can get (a subset of the capacity set). */
const struct pw_portset *pw_census_blocked(const struct pw_census *census);

/* The census as one that counts pools: its walk and its questions. Lives as long as it. */
struct pw_source *pw_census_source(struct pw_census *census);

#endif

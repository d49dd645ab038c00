/* SPDX-License-Identifier: BSD-2-Clause */
/* snat.h: the source ports that a NAT gateway has given away, added up into pools
 *
 * A pool is what nf_nat chooses a source port from: protocol, translated address, remote address and remote port. An
 * entry of the connection tracking table holds a port of it when its reply direction comes back to that address,
 * whether it was translated or not: connections of the gateway itself from the same address take ports away from the
 * others (nf_nat_used_tuple()).
 *
 * Use, at each dump: begin -> add, add, ... -> finish (true: dump once more) -> each / pool / totals. */
#ifndef PW_COUNT_SNAT_H
#define PW_COUNT_SNAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "count/address.h"
#include "count/source.h"

/* Where NAT takes a port from when its rule names none (nf_nat_l4proto_unique_tuple()). */
#define PW_SNAT_LOW 1024
#define PW_SNAT_HIGH 65535

/* Addresses to be watched. A single address is watched in any case, one in a network only while it is seen as a
 * translated source. */
struct pw_snat_range {
	struct pw_cidr addresses;
	uint16_t low, high; /* the ports that the NAT rule may choose, both included */
};

enum pw_conntrack_flag {
	PW_CONNTRACK_SOURCE_TRANSLATED = 1, /* IPS_SRC_NAT */
	/* the state, of TCP: SYN_SENT and SYN_RECV are one, FIN_WAIT and LAST_ACK as well */
	PW_CONNTRACK_STATE_UNIT = 2,
	PW_CONNTRACK_TIME_WAIT = 1 * PW_CONNTRACK_STATE_UNIT,
	PW_CONNTRACK_SYN_SENT = 2 * PW_CONNTRACK_STATE_UNIT,
	PW_CONNTRACK_ESTABLISHED = 3 * PW_CONNTRACK_STATE_UNIT,
	PW_CONNTRACK_CLOSE_WAIT = 4 * PW_CONNTRACK_STATE_UNIT,
	PW_CONNTRACK_FIN_WAIT = 5 * PW_CONNTRACK_STATE_UNIT,
	PW_CONNTRACK_STATE = 7 * PW_CONNTRACK_STATE_UNIT
};

/* An entry of the connection tracking table, as its reply direction has it. */
struct pw_conntrack_entry {
	/* where replies go to: the source address as the remote side sees it; network order, as pw_address */
	uint8_t local[16];
	uint8_t remote[16];               /* where they come from */
	uint8_t client[16];               /* the source address as it was before it was translated */
	uint16_t local_port, remote_port; /* host order */
	uint8_t family;                   /* AF_INET or AF_INET6 */
	uint8_t protocol;                 /* IPPROTO_TCP or IPPROTO_UDP */
	uint8_t flags;                    /* enum pw_conntrack_flag */
};

struct pw_snat;

/* NULL when out of memory. `ns` is the pwNsIndex that the keys get. */
struct pw_snat *pw_snat_new(uint32_t ns);
void pw_snat_free(struct pw_snat *snat);

/* Starts a dump: forgets the entries of the last one, but not which addresses it saw translated. The ranges are
 * borrowed until the next begin; the first that contains an address counts. */
void pw_snat_begin(struct pw_snat *snat, const struct pw_snat_range *ranges, size_t n);

/* Adds one entry; what is not of a watched address and its ports is left out. Returns 0, or -1 when out of memory. */
int pw_snat_add(struct pw_snat *snat, const struct pw_conntrack_entry *entry);

/* Ends the adding. Returns true when an address was seen translated for the first time after entries that were not
 * had been left out: another dump would count them. */
bool pw_snat_finish(struct pw_snat *snat);

/* What counts these pools; lives as long as `snat`. The numbers of a pool whose address is not watched are zero. Its
 * owners are the clients whose connections hold the ports, "this host" of connections of its own. */
struct pw_source *pw_snat_source(struct pw_snat *snat);

/* The fewest ports that a pool of these ranges can have, 0 without any. */
uint32_t pw_snat_least_capacity(const struct pw_snat_range *ranges, size_t n);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* address.h: IP addresses as the pools see them
 *
 * An IPv4-mapped IPv6 address is IPv4: such a socket draws from the IPv4 ports (inet_hash_connect() compares it
 * with IPv4 sockets). The zone is the interface that a socket is bound to (sk_bound_dev_if), 0 for none. */
#ifndef PW_COUNT_ADDRESS_H
#define PW_COUNT_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* 16 + 4 + 4 bytes, no holes: two equal addresses are equal as memory. */
struct pw_address {
	uint8_t bytes[16]; /* network order; an IPv4 address stands in the first four, the rest is zero */
	uint32_t zone;     /* interface index, 0 = none */
	uint32_t family;   /* AF_INET, AF_INET6, or AF_UNSPEC for "no address" (all bytes zero) */
};

/* A network in CIDR notation; `prefix` counts the leading bits that must match. */
struct pw_cidr {
	struct pw_address address;
	uint8_t prefix;
};

/* The longest text of an address with its zone, the final NUL included: 45 + '%' + IFNAMSIZ. */
#define PW_ADDRESS_TEXT_MAX 64

/* Builds an address from 4 (AF_INET) or 16 (AF_INET6) bytes in network order; IPv4-mapped becomes AF_INET. */
struct pw_address pw_address_make(int family, const void *bytes, uint32_t zone);

bool pw_address_equal(const struct pw_address *a, const struct pw_address *b);

/* 0.0.0.0 or ::, whatever the zone. False for AF_UNSPEC. */
bool pw_address_is_any(const struct pw_address *a);

/* 127/8 or ::1 (source of the rule: tcp_twsk_unique()). */
bool pw_address_is_loopback(const struct pw_address *a);

/* Parses "192.0.2.1" or "2001:db8::1" (no zone, no brackets). Mapped addresses become IPv4. Returns 0, or -1. */
int pw_address_parse(struct pw_address *out, const char *text);

/* Writes the address without brackets; a zone becomes "%zone_name", or "%<index>" where zone_name is NULL or empty.
 * AF_UNSPEC gives "". Returns buf. */
char *pw_address_text(const struct pw_address *a, const char *zone_name, char buf[PW_ADDRESS_TEXT_MAX]);

/* Parses "10.0.0.0/8", "2001:db8::/32" or a bare address (full prefix). "::ffff:10.0.0.0/104" is 10.0.0.0/8. Returns
 * 0; -1 with a static reason in *why (if not NULL) when the text is no network or has bits set right of the prefix. */
int pw_cidr_parse(struct pw_cidr *out, const char *text, const char **why);

/* Whether the address lies in the network; the zone plays no part. False for another family. */
bool pw_cidr_contains(const struct pw_cidr *net, const struct pw_address *a);

/* Whether the network is a single address. */
bool pw_cidr_is_host(const struct pw_cidr *net);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* space.h: a network namespace of its own for one population: addresses, devices, settings */
#ifndef ORACLE_SPACE_H
#define ORACLE_SPACE_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "count/address.h"

/* d0 and d1 are the two ends of a veth pair without ARP: what leaves by them is dropped at the other end, as it has its own
 * hardware address as destination. */
enum device { DEVICE_NONE, DEVICE_LO, DEVICE_D0, DEVICE_D1, DEVICES };

struct place {
	const char *text;
	int family;
	enum device home; /* where the address is, or is reached by */
	bool any;         /* a wildcard */
	bool far;         /* nobody answers: a connect stays in SYN_SENT */
	bool link_local;  /* its sockets are always bound to the home device */
};

extern const struct place space_places[];
extern const unsigned space_n_places;

/* The ports of the servers, outside of every range that a population gets. */
#define SPACE_SERVER_PORTS 3
extern const uint16_t space_server_ports[SPACE_SERVER_PORTS];

/* Puts the calling process into a new network namespace with all places. Returns 0, or -1 with a line on stderr. */
int space_enter(void);

/* Writes /proc/sys/net/NAME. Returns 0, or -1 with a line on stderr. */
int space_set(const char *name, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* 0 for DEVICE_NONE. */
unsigned space_ifindex(enum device device);
const char *space_device_name(enum device device);

/* Whether a connection from one place to another makes sense here. */
bool space_reaches(const struct place *from, const struct place *to);

/* Whether a socket that is bound to the device can be bound to the place as well: an IPv6 address must be the device's own. */
bool space_bindable(const struct place *place, enum device device);

/* The device that a socket may be bound to for this connection, DEVICE_NONE when there is none. */
enum device space_device_between(const struct place *from, const struct place *to);

/* The address that a plain connect to this place comes from, by the routes; NULL when there is none of ours. */
const struct place *space_natural_source(const struct place *to);

/* The place of an address, whatever its zone; NULL when it is none of ours. */
const struct place *space_place_of(const struct pw_address *address);

/* The place as a socket address; mapped: an IPv4 place as ::ffff:a.b.c.d. Returns its length. */
socklen_t space_sockaddr(const struct place *place, bool mapped, uint16_t port, struct sockaddr_storage *out);

/* The place as portwatch sees it, on a socket bound to `device`. */
struct pw_address space_address(const struct place *place, enum device device);

/* Whether this kernel is that version or a newer one. */
bool space_since(unsigned major, unsigned minor);

/* CLOCK_MONOTONIC in microseconds. */
uint64_t space_now_us(void);
void space_sleep_us(uint64_t us);

#endif

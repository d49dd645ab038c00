/* SPDX-License-Identifier: BSD-2-Clause */
/* ledger.h: the oracle's own book about the sockets that it made, and what the kernel's rules make of it
 *
 * The kernel is the judge of every answer. The book is there to explain an answer, to tell which answers may be intervals, and
 * for the numbers that no system call shows (own ports, TIME_WAIT). It knows the origin of each socket, which portwatch has
 * to find out. */
#ifndef ORACLE_LEDGER_H
#define ORACLE_LEDGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "count/address.h"
#include "count/pool.h"
#include "count/portset.h"
#include "count/range.h"

/* Who gave the socket its port. All but connect() make the port foreign. */
enum giver { GIVEN_BY_CONNECT, GIVEN_BY_BIND, GIVEN_BY_LISTEN, GIVEN_BY_ACCEPT };

struct entry {
	struct pw_address local, remote; /* the zone of local is the bound device */
	int fd;                          /* -1: an orphan, which only the kernel has (TIME_WAIT, FIN_WAIT1, ...) */
	int peer;                        /* position of the other end, -1 = none here */
	uint16_t port, remote_port;
	uint8_t protocol;
	uint8_t state;      /* as in inet_diag */
	uint8_t giver;      /* enum giver */
	bool explicit_port; /* bind() named the port: the socket keeps it until it is closed */
	bool connected;     /* has been connected: an automatic port is lost with the connection */
	bool v6_socket, v6only;
	bool half_open; /* a request socket: no bind bucket */
	bool replaced;  /* an orphan in FIN_WAIT2 of which no more than a TIME_WAIT socket is left */
	bool gone;
	bool confirmed;               /* an orphan that the kernel was seen to have */
	uint64_t born_us, settled_us; /* an orphan: before it became one, and when it certainly was one */
	char story[48];
};

struct ledger {
	struct entry *entries;
	size_t n, size;
};

/* What the book expects of one pool. Sets of ports of the capacity. */
struct expectation {
	struct pw_portset used;   /* |U| */
	struct pw_portset active; /* of used: by something else than TIME_WAIT */
	struct pw_portset open;   /* F: what would be handed out */
	struct pw_portset unsure; /* TIME_WAIT at the edge of the delay, or IPv6 sockets of unknown v6only: no claim */
	struct pw_portset hidden; /* ports with an IPv6 socket of unknown v6only, whatever else is on them */
};

/* A poll and the judge's look afterwards, in microseconds of space_now_us(). */
struct window {
	uint64_t from_us, to_us;
};

void ledger_clear(struct ledger *ledger);

/* Adds a socket; fd -1 for an orphan. Addresses, port and state are read from the descriptor. Returns its position, or -1. */
int ledger_add(struct ledger *ledger, int fd, uint8_t protocol, enum giver giver, uint32_t zone, const char *story);

/* Adds a ready entry; returns its position. */
int ledger_copy(struct ledger *ledger, const struct entry *entry);

/* The socket `position` is closed, but the kernel keeps it in `state` from now on. */
void ledger_orphan(struct ledger *ledger, int position, uint8_t state, uint64_t born_us);

void ledger_gone(struct ledger *ledger, int position);

/* Whether connect() may take it over at some time: TIME_WAIT, and what this kernel takes for it. */
bool ledger_time_wait(const struct entry *e);

/* The TIME_WAIT of these two ends was taken over by a new connection. */
void ledger_taken(struct ledger *ledger, const struct pw_address *local, uint16_t port, const struct pw_address *remote,
	uint16_t remote_port, int except);

/* Waits up to a second until new orphans are in the states that they were said to be in. */
void ledger_settle(struct ledger *ledger);

/* Reads the states of all sockets: of the open ones from their descriptors, of the orphans by looking them up in the kernel. */
void ledger_refresh(struct ledger *ledger);

/* Whether a socket is no longer in the state that the book has: a half-open connection has been given up, for example. What connect() may
 * take over does not count, which a question itself makes go. */
bool ledger_moved(struct ledger *ledger);

/* The ports (of the capacity) that no connect() can get. */
void ledger_blocked(const struct ledger *ledger, const struct pw_range *range, struct pw_portset *out);

/* What the rules say about a pool in the time of `window`. */
void ledger_expect(const struct ledger *ledger, const struct pw_range *range, const struct pw_pool_key *key,
	struct window window, struct expectation *out);

/* Reads the names and the state of one open socket again. */
void ledger_reread(struct ledger *ledger, int position);

/* The state of a TCP socket (TCP_INFO). */
uint8_t ledger_tcp_state(int fd);

/* Writes every socket, one a line; only those of one port if that is not 0. */
void ledger_explain(const struct ledger *ledger, uint16_t port, FILE *out);

#endif

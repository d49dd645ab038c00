/* SPDX-License-Identifier: BSD-2-Clause */
/* making.h: makes the sockets of a population, one operation at a time, and writes them into the ledger */
#ifndef ORACLE_MAKING_H
#define ORACLE_MAKING_H

#include <stdbool.h>
#include <stdint.h>

#include "ledger.h"
#include "random.h"
#include "space.h"

/* How a client comes by its port. */
enum how {
	HOW_PLAIN,     /* connect() alone */
	HOW_NO_PORT,   /* IP_BIND_ADDRESS_NO_PORT, bind(address, 0), connect() */
	HOW_BIND_AUTO, /* bind(address, 0), connect() */
	HOW_BIND_PORT, /* bind(address, port), connect() */
	HOW_RANGE,     /* IP_LOCAL_PORT_RANGE, connect() */
	HOWS
};

/* What becomes of a connection; "near" is the socket in question. */
enum ending {
	END_KEEP,
	END_TIME_WAIT,   /* near closes first */
	END_FAR_FIRST,   /* the far end closes first and has the TIME_WAIT */
	END_FIN_WAIT2,   /* near is closed, far is not: an orphan */
	END_HALF_CLOSED, /* shutdown(SHUT_WR) of near: FIN_WAIT2 with a descriptor */
	END_CLOSE_WAIT,  /* shutdown(SHUT_WR) of far */
	END_FIN_WAIT1,   /* near is closed, far answers no more */
	END_CLOSING,     /* both shut down at once */
	END_LAST_ACK,    /* far shut down, near closed, far answers no more */
	END_RESET,
	END_ABORTED,    /* far resets, near stays open */
	END_DISCONNECT, /* connect(AF_UNSPEC) */
	END_RECONNECT,  /* connect(AF_UNSPEC), then a connect() again */
	ENDINGS
};

struct spec {
	int protocol;
	bool mapped;                /* an IPv6 socket with IPv4 addresses */
	const struct place *local;  /* not of HOW_PLAIN */
	const struct place *remote; /* NULL: not connected */
	uint16_t remote_port;
	enum how how;
	uint16_t port;                  /* HOW_BIND_PORT */
	uint16_t range_low, range_high; /* HOW_RANGE */
	enum device device;
	bool reuseaddr, reuseport, v6only;
};

struct maker {
	struct rng rng;
	struct ledger ledger;
	struct pw_range range;
	int servers[SPACE_SERVER_PORTS];
	uint16_t outside_port; /* next port of a client that must not come from the range */
};

/* Starts the servers. Returns 0 or -1. */
int maker_start(struct maker *maker);
void maker_stop(struct maker *maker);

/* A socket with the options of the spec, bound as it says; not connected. Returns the descriptor, or -1 with errno. */
int make_socket(const struct spec *spec);

/* Connects a socket made from the spec. Returns 0 (also for a connect under way), -1 with errno. */
int make_connect(int fd, const struct spec *spec);

/* A client and, where the remote place is near, the accepted other end. `listener` is the position of an own listener in the ledger, or
 * -1: a server. Returns the client's position in the ledger, or -1 when the kernel refused. */
int make_connection(struct maker *maker, const struct spec *spec, int listener);

/* A client whose handshake never ends: at the listener there is a half-open socket. */
int make_half_open(struct maker *maker, const struct spec *spec, int listener);

/* A socket that is bound (HOW_BIND_*, HOW_NO_PORT) or, for UDP, bound or connected. Returns its position or -1. */
int make_bound(struct maker *maker, const struct spec *spec);

/* Connects a bound socket to a server, some time after its bind(). Returns 0 or -1. */
int make_connect_bound(struct maker *maker, int position, const struct place *remote, uint16_t remote_port);

/* A listener; with HOW_PLAIN listen() itself takes a port. */
int make_listener(struct maker *maker, const struct spec *spec);

/* Brings a connection to its end. */
void make_end(struct maker *maker, int position, enum ending ending);

/* Closes whatever is left of an entry without a trace: reset, no TIME_WAIT. */
void make_reset(struct maker *maker, int position);

/* close() with a reset. */
void close_reset(int fd);

/* Takes every connection that waits at a server and resets it. */
void maker_drain(struct maker *maker);

#endif

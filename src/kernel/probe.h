/* SPDX-License-Identifier: BSD-2-Clause */
/* probe.h: asks the kernel's port allocator, without sending a packet
 *
 * A socket in TCP_REPAIR mode runs the whole of connect()'s port search (inet_hash_connect()), but no handshake
 * follows. Needs CAP_NET_ADMIN in the network namespace. A successful probe holds one port for some microseconds and
 * counts as one in Tcp:EstabResets when it is given back. */
#ifndef PW_KERNEL_PROBE_H
#define PW_KERNEL_PROBE_H

#include <stdbool.h>
#include <stdint.h>

#include "count/pool.h"

/* Questions in a row, before it is looked whether the settings are still the same and time is left. */
#define PW_PROBES_MAX 256

/* Whether this process may probe (TCP_REPAIR needs CAP_NET_ADMIN) and the kernel can (IP_LOCAL_PORT_RANGE, 6.3). The
 * reason is a static text when it can't. */
bool pw_probe_available(const char **reason);

enum pw_probe_answer {
	PW_PROBE_FREE,
	PW_PROBE_BLOCKED, /* no connect() can get this port, whatever its destination */
	PW_PROBE_UNKNOWN  /* the question could not be put: nothing is known about the port */
};

/* A socket that asks many times. */
struct pw_probe;

/* Prepares to ask in the calling thread's network namespace, over 127.0.0.1 or else ::1. Returns NULL with errno when
 * that cannot be done now: EPERM, ENOPROTOOPT, or EADDRNOTAVAIL and the like while the loopback interface is down. */
struct pw_probe *pw_probe_open(void);
void pw_probe_close(struct pw_probe *probe);

/* Asks about one port of the ephemeral range. Each question is up to two connects to random loopback destinations. */
enum pw_probe_answer pw_probe_port(struct pw_probe *probe, uint16_t port);

/* Whether connect() of this connect pool would take over a TIME_WAIT socket on this port, which must not be blocked.
 * Where it does, the socket is gone afterwards and its port free. */
enum pw_probe_answer pw_probe_reuse(const struct pw_pool_key *key, uint16_t port);

/* Allocates a port for this connect pool and gives it back. Returns the microseconds that it took (at least 1), or 0
 * when it can't be measured: no connect pool of TCP, not permitted, no such address or route. *exhausted: the kernel
 * had no port. */
uint32_t pw_probe_alloc(const struct pw_pool_key *key, bool *exhausted);

#endif

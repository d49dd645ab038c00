/* SPDX-License-Identifier: BSD-2-Clause */
/* collect.h: asks the kernel for the sockets and the settings of a network namespace
 *
 * A source is where they come from: the running kernel, or a record of an earlier poll. */
#ifndef PW_KERNEL_COLLECT_H
#define PW_KERNEL_COLLECT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/error.h"
#include "count/census.h"
#include "count/range.h"
#include "count/socket.h"

/* Socket counts of a namespace, from /proc/net/sockstat and sockstat6: O(1), whatever the number of sockets. */
struct pw_sockstat {
	uint32_t tcp;           /* hashed TCP sockets of both families, TIME_WAIT not included */
	uint32_t tcp_time_wait; /* with FIN_WAIT2 orphans */
	uint32_t udp;           /* both families */
	uint32_t tcp_ports_max; /* upper bound of the TCP ports in use: tcp + time_wait + bound-only sockets */
	uint32_t used;          /* sockets of every kind that the namespace holds, TIME_WAIT not included */
};

/* What one poll of a source cost and did; added up by the caller if needed. */
struct pw_collect_stats {
	uint32_t messages; /* netlink messages received */
	uint32_t bytes;
	uint32_t retries;     /* dumps done again */
	uint32_t walks;       /* TCP dumps that walked the table of bound ports as well (bind_table.h) */
	uint32_t bound_dumps; /* not-AUTO passes */
	uint32_t probes;
	uint64_t dump_us, bound_us, probe_us;
};

enum pw_collect_status {
	PW_COLLECT_OK,
	PW_COLLECT_FAILED, /* see the error text; try again at the next poll */
	PW_COLLECT_GONE    /* the namespace does not exist any more (ip_local_port_range: ENOENT) */
};

struct pw_source;

struct pw_source_options {
	bool probe;          /* ask the allocator about ports in doubt; needs CAP_NET_ADMIN, see pw_probe_available() */
	uint32_t max_probes; /* at each poll, 0 = 256: more make a poll slow, by 5 to 10 us each */
	FILE *record;        /* NULL, or where to write every message and setting as well (see record.h) */
};

/* The running kernel, the network namespace of the calling thread. Keeps the sysctl files open, nothing else (a netlink
 * socket or another /proc file would keep a deleted namespace alive). NULL with an error. */
struct pw_source *pw_source_kernel(const struct pw_source_options *options, struct pw_error *err);

/* A record of one poll, made with options.record. It is read whole. NULL with an error ("FILE: offset N: ..."). */
struct pw_source *pw_source_record(const char *path, struct pw_error *err);

void pw_source_free(struct pw_source *source);

/* Reads range and settings. */
enum pw_collect_status pw_source_range(struct pw_source *source, struct pw_range *out, struct pw_error *err);

/* Reads the socket counts. */
enum pw_collect_status pw_source_sockstat(struct pw_source *source, struct pw_sockstat *out, struct pw_error *err);

/* Dumps every TCP socket (both families, all states, also those that are only bound, unless bind_table.h says that there
 * are none) whose local port is in low..high into the census: begin, add..., the not-AUTO pass and probes where ports are
 * in doubt, finish. A dump that was interrupted or inconsistent is done again, at most 3 times. `udp_failed` tells apart a
 * poll of which only UDP failed (its error text is set too); then the census holds TCP alone. stats may be NULL. */
enum pw_collect_status pw_source_sockets(struct pw_source *source, const struct pw_range *range,
	struct pw_census *census, bool *udp_failed, struct pw_collect_stats *stats, struct pw_error *err);

/* Measures one allocation for a connect pool by a packet-free probe: microseconds, 0 when it can't be measured.
 * *exhausted tells that the kernel had no port. */
uint32_t pw_source_alloc_latency(struct pw_source *source, const struct pw_pool_key *key, bool *exhausted);

/* Whether this process may probe (TCP_REPAIR needs CAP_NET_ADMIN) and the kernel can (IP_LOCAL_PORT_RANGE, 6.3). The
 * reason is a static text when it can't. */
bool pw_probe_available(const char **reason);

#endif

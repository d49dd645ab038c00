/* SPDX-License-Identifier: BSD-2-Clause */
/* conntrack.h: the connection tracking table of a network namespace, by ctnetlink
 *
 * The dump is never filtered in the kernel: one that matches little keeps a CPU from every other task for the whole
 * walk (ctnetlink_dump_table() runs with softirqs off until a message is full), 35 ms where an unfiltered one takes
 * 1 ms at a time. All of it needs CAP_NET_ADMIN (nfnetlink_rcv()) but the number of entries.
 *
 * An entry costs some microseconds and a gateway can have millions, so the table is dumped on a period of its own.
 * In between two cheap numbers are looked at: that of the entries (nothing is dumped while they are too few for any
 * pool to be listed) and that of the packets for which no entry could be made (as soon as it moves, a pool may be
 * full). */
#ifndef PW_KERNEL_CONNTRACK_H
#define PW_KERNEL_CONNTRACK_H

#include <linux/netlink.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "kernel/backend.h"
#include "kernel/input.h"
#include "kernel/dump.h"
#include "count/snat.h"
#include "watch/conntrack.h"

/* Room for any request that pw_conntrack_request() makes. */
#define PW_CONNTRACK_REQUEST_MAX 64

/* Builds the request of PW_STREAM_DUMP_CONNTRACK or PW_STREAM_DUMP_CONNTRACK_STATS. Returns its length. */
size_t pw_conntrack_request(enum pw_stream stream, void *buf);

/* Takes one entry of the table apart. Returns 1; 0 when it is neither TCP nor UDP; -1 when it is malformed. */
int pw_conntrack_parse(const struct nlmsghdr *message, struct pw_conntrack_entry *out);

/* Packets that were dropped since the namespace was made, modulo 2^32. */
struct pw_conntrack_stats {
	uint32_t insert_failed; /* no entry could be made: no source port was free, or another packet came first */
	uint32_t full;          /* the table was full */
};

/* Takes the counters of one CPU apart and adds them. Returns 0, or -1 when they are malformed. */
int pw_conntrack_parse_stats(const struct nlmsghdr *message, struct pw_conntrack_stats *stats);

/* Dumps the table into `snat`, between its begin and its finish. */
enum pw_dump_status pw_conntrack_dump(
	struct pw_input *input, struct pw_snat *snat, struct pw_take_stats *stats, struct pw_error *err);

/* The counters of all CPUs. */
enum pw_dump_status pw_conntrack_stats(
	struct pw_input *input, struct pw_conntrack_stats *out, struct pw_take_stats *stats, struct pw_error *err);

/* A dump may take one part in this many of the time, whatever the interval is. */
#define PW_SNAT_SHARE 20

struct pw_snat_options {
	const struct pw_snat_range *ranges; /* borrowed */
	size_t n;                           /* 0: none are watched */
	bool size;                          /* also then the size of the table is read */
	uint32_t interval_ms;               /* between two dumps */
	pw_pool_ports *ports;               /* see struct pw_source */
	void *ports_context;
	uint32_t floor; /* with fewer entries no pool can be listed, and no dump is made; 0 or 1: with none */
};

/* Zeroed = nothing is known yet. */
struct pw_snat_watch {
	struct pw_snat *snat; /* NULL until the first numbers */
	uint64_t dumped_ms;   /* end of the last dump (or of what stood for it), 0 = none */
	uint32_t took_ms;
	bool failed;                       /* the last dump: what `snat` holds is incomplete */
	struct pw_conntrack_counts counts; /* of the last poll; the counters since the first one */
	struct pw_conntrack_stats last;    /* as the kernel counts them */
	bool has_stats;
	struct pw_error err;
};

/* One poll, in the namespace that the thread is in. Returns the source, valid until the next poll; NULL where
 * nothing is watched, or out of memory. `ns` is the pwNsIndex, now_ms CLOCK_BOOTTIME. A failure shows in the
 * source's status and reason, and keeps the numbers of the last good dump. stats may be NULL. */
struct pw_source *pw_snat_watch_poll(struct pw_snat_watch *watch, struct pw_input *input,
	const struct pw_snat_options *options, uint32_t ns, uint64_t now_ms, struct pw_take_stats *stats);

/* Frees what the watch holds, which is then as at the start. */
void pw_snat_watch_clear(struct pw_snat_watch *watch);

#endif

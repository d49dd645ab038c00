/* SPDX-License-Identifier: BSD-2-Clause */
/* conntrack.h: the connection tracking table of a network namespace, by ctnetlink
 *
 * The dump is never filtered in the kernel: one that matches little keeps a CPU from every other task for the whole
 * walk (ctnetlink_dump_table() runs with softirqs off until a message is full), 35 ms where an unfiltered one takes
 * 1 ms at a time. All of it needs CAP_NET_ADMIN (nfnetlink_rcv()) but the number of entries. */
#ifndef PW_KERNEL_CONNTRACK_H
#define PW_KERNEL_CONNTRACK_H

#include <linux/netlink.h>

#include "base/error.h"
#include "kernel/backend.h"
#include "kernel/input.h"
#include "kernel/dump.h"
#include "count/snat.h"

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

/* The number of entries in the table and the most that it can have (0: no limit), in constant time and without
 * privilege. Returns 0; -1 with an error and zeros, also where there is no connection tracking. */
int pw_conntrack_size(struct pw_input *input, uint32_t *entries, uint32_t *maximum, struct pw_error *err);

#endif

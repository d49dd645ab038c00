/* SPDX-License-Identifier: BSD-2-Clause */
/* sockstat.h: the socket counts of a network namespace
 *
 * Sources: sockstat_seq_show(), sockstat6_seq_show() and proto_seq_printf() in the kernel. */
#ifndef PW_KERNEL_SOCKSTAT_H
#define PW_KERNEL_SOCKSTAT_H

#include "base/error.h"
#include "kernel/input.h"

/* Socket counts of a namespace: O(1), whatever the number of sockets. */
struct pw_sockstat {
	uint32_t tcp;           /* hashed TCP sockets of both families, TIME_WAIT not included */
	uint32_t tcp_time_wait; /* with FIN_WAIT2 orphans */
	uint32_t udp;           /* both families */
	uint32_t tcp_ports_max; /* upper bound of the TCP ports in use: tcp + time_wait + bound-only sockets */
	uint32_t used;          /* sockets of every kind that the namespace holds, TIME_WAIT not included */
};

/* Takes the texts of /proc/net/sockstat and sockstat6 (NULL where the kernel has no IPv6). Returns 0, or -1 when a
 * count is missing. */
int pw_sockstat_parse(const char *sockstat, const char *sockstat6, struct pw_sockstat *out);

/* Reads and parses both. */
enum pw_read_status pw_sockstat_read(struct pw_input *input, struct pw_sockstat *out, struct pw_error *err);

/* Takes the text of /proc/net/protocols: the sockets that the protocols have in use, added up. Returns 0, or -1 when
 * it is not understood. */
int pw_protocols_parse(const char *text, int64_t *sockets);

/* The sockets that are held but that no protocol has in use: TCP and UDP sockets without a connection, a listener or a
 * port, and those of protocols that do not count. Negative where the kernel's own sockets outnumber them: only a change
 * of the number says something. Returns 0, or -1 when /proc/net/protocols can't be read. */
int pw_sockstat_uncounted(struct pw_input *input, const struct pw_sockstat *counts, int64_t *uncounted);

#endif

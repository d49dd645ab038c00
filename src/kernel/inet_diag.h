/* SPDX-License-Identifier: BSD-2-Clause */
/* inet_diag.h: dumps of TCP and UDP sockets by netlink (sock_diag(7))
 *
 * One TCPDIAG_GETSOCK dump gives the TCP sockets of both families; its newer form needs one dump a family, and so twice
 * the walk over the kernel's tables. The kernel filters to the port range by a small program, which saves most of the
 * cost of a socket that is not wanted. */
#ifndef PW_KERNEL_INET_DIAG_H
#define PW_KERNEL_INET_DIAG_H

#include <linux/netlink.h>

#include "base/error.h"
#include "kernel/backend.h"
#include "kernel/input.h"
#include "kernel/dump.h"

/* Room for any request that pw_inet_diag_request() makes. */
#define PW_DIAG_REQUEST_MAX 256

/* Builds the request of one of the PW_STREAM_DUMP_ streams for local ports low..high. Returns its length. */
size_t pw_inet_diag_request(enum pw_stream stream, uint16_t low, uint16_t high, void *buf);

/* Takes one message of a dump of `protocol` apart. Returns 0, or -1 when it is no socket (too short, odd family or
 * state). */
int pw_inet_diag_parse(const struct nlmsghdr *message, uint8_t protocol, struct pw_socket *out);

/* Makes one dump and hands every socket to the batch; the batch is flushed also when the dump failed. Counts messages
 * and bytes in stats. Fills err unless the status is PW_DUMP_OK. */
enum pw_dump_status pw_inet_diag_dump(struct pw_input *input, enum pw_stream stream, uint16_t low, uint16_t high,
	struct pw_batch *batch, struct pw_take_stats *stats, struct pw_error *err);

#endif

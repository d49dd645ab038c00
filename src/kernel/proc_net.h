/* SPDX-License-Identifier: BSD-2-Clause */
/* proc_net.h: the sockets as /proc/net/{tcp,tcp6,udp,udp6} list them, for where inet_diag does not exist
 *
 * Slower, and poorer: no bound but unconnected sockets, no cookies, no devices, no cgroups, no socket options. */
#ifndef PW_KERNEL_PROC_NET_H
#define PW_KERNEL_PROC_NET_H

#include "base/error.h"
#include "kernel/backend.h"
#include "kernel/inet_diag.h"
#include "kernel/input.h"

/* Takes one line (get_tcp4_sock() and its likes) without its newline apart; `family` is that of the file. Returns 0, or
 * -1 when it is none. */
int pw_proc_net_parse(const char *line, int family, uint8_t protocol, struct pw_socket *out);

/* Reads one of the PW_STREAM_PROC_ streams and hands the sockets with a local port in low..high to the batch, which is
 * flushed. A missing IPv6 file means that there is no IPv6. Never PW_DUMP_AGAIN. Fills err unless the status is
 * PW_DUMP_OK. */
enum pw_dump_status pw_proc_net_read(struct pw_input *input, enum pw_stream stream, uint16_t low, uint16_t high,
	struct pw_batch *batch, struct pw_error *err);

#endif

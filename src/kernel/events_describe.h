/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* events_describe.h: which pool a socket allocates from, for BPF programs */
#ifndef PW_KERNEL_EVENTS_DESCRIBE_H
#define PW_KERNEL_EVENTS_DESCRIBE_H

#include "walk_linux.h"

#include <stdbool.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "events_record.h"

#define AF_INET 2
#define AF_INET6 10
#define IPPROTO_TCP 6

static __always_inline bool is_mapped(const struct in6_addr *address)
{
	return address->in6_u.u6_addr32[0] == 0 && address->in6_u.u6_addr32[1] == 0 &&
		address->in6_u.u6_addr32[2] == bpf_htonl(0xffff);
}

/* Its namespace and local address: all that bind() asks for. */
static __always_inline void describe(struct events_pool *pool, struct sock *sk)
{
	const struct sock_common *common = &sk->__sk_common;

	pool->netns = common->skc_net.net->ns.inum;
	pool->zone = (__u32)common->skc_bound_dev_if;
	pool->family = (__u8)common->skc_family;
	if (pool->family == AF_INET6 && is_mapped(&common->skc_v6_rcv_saddr))
		pool->family = AF_INET;
	if (pool->family == AF_INET) {
		pool->local[0] = common->skc_rcv_saddr;
		return;
	}
	for (int i = 0; i < 4; i++)
		pool->local[i] = common->skc_v6_rcv_saddr.in6_u.u6_addr32[i];
}

/* And, after that, what it connects to. */
static __always_inline void describe_remote(struct events_pool *pool, struct sock *sk)
{
	const struct sock_common *common = &sk->__sk_common;

	pool->port = common->skc_dport;
	if (pool->family == AF_INET) {
		pool->remote[0] = common->skc_daddr;
		return;
	}
	for (int i = 0; i < 4; i++)
		pool->remote[i] = common->skc_v6_daddr.in6_u.u6_addr32[i];
}

#endif

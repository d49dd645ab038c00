/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* events.bpf.c: counts what fails for want of a port, by pool
 *
 * Each program runs in the context of the process that is refused: its id, name, control group and namespace are those
 * of the caller. The tracepoint fires at changes of a TCP connection's state and at nothing else, so other system calls
 * don't get slower. */
#include "walk_linux.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "events_record.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define AF_INET 2
#define TCP_SYN_SENT 2
#define TCP_CLOSE 7
#define IPPROTO_TCP 6
#define IPPROTO_UDP 17

/* Refusals since the programs were loaded, and those of them that found no room in the map below. */
__u64 total, crowded;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, EVENTS_POOLS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct events_pool);
	__type(value, struct events_failures);
} pools SEC(".maps");

/* Wakes who waits for it. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, EVENTS_RING);
} processes SEC(".maps");

static __always_inline void describe(struct events_pool *pool, struct sock *sk)
{
	const struct sock_common *common = &sk->__sk_common;

	pool->netns = common->skc_net.net->ns.inum;
	pool->zone = (__u32)common->skc_bound_dev_if;
	pool->family = (__u8)common->skc_family;
	if (pool->family == AF_INET) {
		pool->local[0] = common->skc_rcv_saddr;
		return;
	}
	for (int i = 0; i < 4; i++)
		pool->local[i] = common->skc_v6_rcv_saddr.in6_u.u6_addr32[i];
}

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

/* Two processors that find the map without the pool at the same time both come to count: the second update of the two
 * fails. */
static __always_inline struct events_failures *find(const struct events_pool *pool)
{
	static const struct events_failures none;
	struct events_failures *failures = bpf_map_lookup_elem(&pools, pool);

	if (failures)
		return failures;
	bpf_map_update_elem(&pools, pool, &none, BPF_NOEXIST);
	return bpf_map_lookup_elem(&pools, pool);
}

static __always_inline void count(const struct events_pool *pool)
{
	struct events_process process = {.pid = bpf_get_current_pid_tgid() >> 32};
	struct events_failures *failures = find(pool);

	bpf_get_current_comm(process.comm, sizeof(process.comm));
	if (failures) {
		__sync_fetch_and_add(&failures->count, 1);
		failures->boot_ns = bpf_ktime_get_boot_ns();
		failures->cgroup = bpf_get_current_cgroup_id();
		failures->pid = process.pid;
		__builtin_memcpy(failures->comm, process.comm, sizeof(process.comm));
	} else {
		__sync_fetch_and_add(&crowded, 1);
	}
	__sync_fetch_and_add(&total, 1);
	bpf_ringbuf_output(&processes, &process, sizeof(process), 0);
}

/* tcp_v4_connect() and tcp_v6_connect() set the state back when inet_hash_connect() finds no port. What is refused,
 * times out or is closed while it connects comes here too, but has had a port, and mostly has an error. A socket with a
 * port that connects to where it already is connected has one as well. Probes use TCP_REPAIR, which no one else
 * combines with an automatic port. The connection of an MPTCP socket is a TCP socket of its own, and the state of the
 * MPTCP socket (protocol 262) follows. */
SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(state_changed, struct sock *sk, int old_state, int new_state)
{
	struct events_pool pool = {.protocol = IPPROTO_TCP};

	if (old_state != TCP_SYN_SENT || new_state != TCP_CLOSE)
		return 0;
	if (sk->sk_protocol != IPPROTO_TCP || sk->sk_err != 0 ||
		BPF_CORE_READ((struct inet_sock *)sk, inet_sport) != 0 ||
		BPF_CORE_READ_BITFIELD_PROBED((struct tcp_sock *)sk, repair))
		return 0;
	describe(&pool, sk);
	describe_remote(&pool, sk);
	count(&pool);
	return 0;
}

/* bind() to port 0, and listen() without bind(). inet_csk_get_port() returned 1 for an error before 6.2. */
SEC("fexit/inet_csk_get_port")
int BPF_PROG(tcp_port_chosen, struct sock *sk, unsigned short port, int error)
{
	struct events_pool pool = {.protocol = IPPROTO_TCP};

	if (port != 0 || error == 0)
		return 0;
	describe(&pool, sk);
	count(&pool);
	return 0;
}

/* bind() to port 0 and, by EAGAIN, connect() and sendto() of a UDP socket without a port. */
SEC("fexit/udp_lib_get_port")
int BPF_PROG(udp_port_chosen, struct sock *sk, unsigned short port, unsigned int hash, int error)
{
	struct events_pool pool = {.protocol = IPPROTO_UDP};

	if (port != 0 || error == 0)
		return 0;
	describe(&pool, sk);
	count(&pool);
	return 0;
}

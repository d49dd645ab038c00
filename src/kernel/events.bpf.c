/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* events.bpf.c: counts what fails for want of a port, by pool, and rings when a pool may have reached a threshold
 *
 * What fails, fails in the context of the process that is refused: its id, name, control group and namespace are those
 * of the caller. The tracepoint fires at changes of a TCP connection's state and at nothing else, so other system calls
 * don't get slower. */
#include "walk_linux.h"

#include <stdbool.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "events_describe.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define TCP_SYN_SENT 2
#define TCP_SYN_RECV 3
#define TCP_FIN_WAIT2 5
#define TCP_CLOSE 7
#define TCP_LISTEN 10
#define TCP_CLOSING 11
#define IPPROTO_UDP 17

/* Refusals since the programs were loaded, and those of them that found no room in the map below. */
__u64 total, crowded;

/* Thresholds that rang, and those of them whose pool found no room in the ring. */
__u64 rings, unheard;

/* What is wanted. */
bool failing, ringing;

/* Pools of bind() have thresholds. */
bool by_address;

/* Of the hash, so that nobody who chooses addresses can choose a slot. */
const volatile __u64 seed = 0;

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

/* Of struct events_pool. Wakes who waits for it. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, EVENTS_RING);
} rung SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, EVENTS_SLOTS);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct events_slot);
} slots SEC(".maps");

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

static __always_inline struct events_slot *find_slot(const struct events_pool *pool, __u32 *tag)
{
	__u64 hash = events_hash(seed, pool);
	__u32 index = EVENTS_INDEX(hash);

	*tag = EVENTS_TAG(hash, pool->zone);
	return bpf_map_lookup_elem(&slots, &index);
}

/* Where another processor counts at the same time both see both at the latest when they compare: none rings, or one, or
 * both. (What an atomic addition found there is known since 5.12 only.) */
static __always_inline void take(struct events_slot *slot, const struct events_pool *pool)
{
	__sync_fetch_and_add(&slot->count, 1);
	if (*(volatile __s32 *)&slot->count < 0 || *(volatile __u32 *)&slot->count < slot->limit || slot->rung)
		return;
	slot->rung = 1;
	__sync_fetch_and_add(&rings, 1);
	if (bpf_ringbuf_output(&rung, (void *)pool, sizeof(*pool), 0) != 0)
		__sync_fetch_and_add(&unheard, 1);
}

/* connect() is about to look for a port, or has one already. */
static __always_inline void allocate(struct events_slot *slot, __u32 tag, const struct events_pool *pool)
{
	__s32 net;

	take(slot, pool);
	if (slot->tag != tag) {
		slot->mixed |= slot->tag != 0;
		slot->tag = tag;
	}
	net = (__s32)(slot->count - slot->frees);
	if (net > slot->top)
		slot->top = net;
	if (net > slot->high && !slot->lingering)
		slot->high = net;
}

/* Most sockets of servers have slots in which nobody counts. What found no port took none: else each pool that is full
 * would ring all the time. (The count may have begun anew in between, and become -1.) */
static __always_inline void release(struct events_slot *slot, __u32 tag, int old_state, bool refused)
{
	if (refused)
		__sync_fetch_and_add(&slot->count, -1);
	if (refused || slot->tag != tag)
		return;
	if (old_state == TCP_FIN_WAIT2 || old_state == TCP_CLOSING)
		slot->lingering = 1;
	else
		__sync_fetch_and_add(&slot->frees, 1);
}

/* A port that bind() took is gone for every pool of the namespace: these have a slot of their own. */
static __always_inline void take_bound(struct sock *sk)
{
	struct events_pool pool = {.netns = sk->__sk_common.skc_net.net->ns.inum, .protocol = IPPROTO_TCP};
	__u32 tag;
	struct events_slot *slot = find_slot(&pool, &tag);

	if (slot)
		take(slot, &pool);
}

static __always_inline void take_of(const struct events_pool *pool, bool refused)
{
	__u32 tag;
	struct events_slot *slot = find_slot(pool, &tag);

	if (slot && refused)
		__sync_fetch_and_add(&slot->count, -1);
	else if (slot)
		take(slot, pool);
}

/* What bind() to an address draws from is also taken by what connects from there; and by all that connects, what bind()
 * to the wildcard does: that of IPv6 of both families. */
static __always_inline void take_address(const struct events_pool *pool, bool refused)
{
	struct events_pool bind = {.netns = pool->netns, .protocol = IPPROTO_TCP, .family = AF_INET6};

	take_of(&bind, refused);
	bind.family = pool->family;
	if (pool->family == AF_INET)
		take_of(&bind, refused);
	bind.zone = pool->zone;
	__builtin_memcpy(bind.local, pool->local, sizeof(bind.local));
	take_of(&bind, refused);
}

/* The state changes before connect() looks for a port: one that it has by then is of bind(). */
static __always_inline void ring(
	struct sock *sk, const struct events_pool *pool, int old_state, int new_state, bool refused)
{
	__u32 tag;
	struct events_slot *slot = find_slot(pool, &tag);

	if (!slot)
		return;
	if (by_address && (refused || new_state != TCP_CLOSE))
		take_address(pool, refused);
	if (new_state == TCP_CLOSE) {
		release(slot, tag, old_state, refused);
		return;
	}
	allocate(slot, tag, pool);
	if (sk->__sk_common.skc_num != 0)
		take_bound(sk);
}

/* tcp_v4_connect() and tcp_v6_connect() set the state back when inet_hash_connect() finds no port. What is refused,
 * times out or is closed while it connects comes here too, but has had a port, and mostly has an error. A socket with a
 * port that connects to where it already is connected has one as well. Probes use TCP_REPAIR, which no one else
 * combines with an automatic port. */
static __always_inline bool is_refusal(struct sock *sk, int old_state, int new_state)
{
	return old_state == TCP_SYN_SENT && new_state == TCP_CLOSE && sk->sk_err == 0 &&
		BPF_CORE_READ((struct inet_sock *)sk, inet_sport) == 0 &&
		!BPF_CORE_READ_BITFIELD_PROBED((struct tcp_sock *)sk, repair);
}

/* The connection of an MPTCP socket is a TCP socket of its own, and the state of the MPTCP socket (protocol 262)
 * follows. */
SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(state_changed, struct sock *sk, int old_state, int new_state)
{
	struct events_pool pool = {.protocol = IPPROTO_TCP};
	bool refused;

	if ((new_state != TCP_SYN_SENT && new_state != TCP_CLOSE && new_state != TCP_LISTEN) ||
		sk->sk_protocol != IPPROTO_TCP)
		return 0;
	if (new_state == TCP_LISTEN) {
		if (ringing)
			take_bound(sk);
		return 0;
	}
	refused = is_refusal(sk, old_state, new_state);
	if (!(refused && failing) && (!ringing || old_state == TCP_LISTEN || old_state == TCP_SYN_RECV))
		return 0;
	describe(&pool, sk);
	describe_remote(&pool, sk);
	if (refused && failing)
		count(&pool);
	if (ringing)
		ring(sk, &pool, old_state, new_state, refused);
	return 0;
}

/* bind() to port 0, and listen() without bind(). inet_csk_get_port() returned 1 for an error before 6.2. */
SEC("fexit/inet_csk_get_port")
int BPF_PROG(tcp_port_chosen, struct sock *sk, unsigned short port, int error)
{
	struct events_pool pool = {.protocol = IPPROTO_TCP};

	if (!failing || port != 0 || error == 0)
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

	if (!failing || port != 0 || error == 0)
		return 0;
	describe(&pool, sk);
	count(&pool);
	return 0;
}

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* latency.bpf.c: how long connect() searches for a port, of a few pools
 *
 * Attached only while there are such pools. A connect() to any other destination is looked up in vain, and no more. */
#include "walk_linux.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "events_describe.h"
#include "latency_record.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Those that are measured. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, LATENCY_POOLS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct events_pool);
	__type(value, struct latency_counts);
} measured SEC(".maps");

/* When a search began, by the address of its socket: it may be moved to another processor meanwhile. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, LATENCY_SEARCHES);
	__type(key, __u64);
	__type(value, __u64);
} searches SEC(".maps");

/* With a port of its own nothing is searched for. Probes ask the same question in another way. */
static __always_inline void begin(struct sock *sk)
{
	struct events_pool pool = {.protocol = IPPROTO_TCP};
	__u64 key = (__u64)sk, now;

	if (sk->__sk_common.skc_num != 0)
		return;
	describe(&pool, sk);
	describe_remote(&pool, sk);
	if (!bpf_map_lookup_elem(&measured, &pool) || BPF_CORE_READ_BITFIELD_PROBED((struct tcp_sock *)sk, repair))
		return;
	now = bpf_ktime_get_ns();
	bpf_map_update_elem(&searches, &key, &now, BPF_ANY);
}

/* Most sockets are not there: that is found out without describing them. */
static __always_inline void end(struct sock *sk)
{
	struct events_pool pool = {.protocol = IPPROTO_TCP};
	__u64 key = (__u64)sk, *began = bpf_map_lookup_elem(&searches, &key), now = bpf_ktime_get_ns(), took;
	struct latency_counts *counts;
	__u32 bucket;

	if (!began)
		return;
	took = now - *began;
	bpf_map_delete_elem(&searches, &key);
	describe(&pool, sk);
	describe_remote(&pool, sk);
	counts = bpf_map_lookup_elem(&measured, &pool);
	bucket = latency_bucket(took);
	if (counts && bucket < LATENCY_BUCKETS)
		__sync_fetch_and_add(&counts->bucket[bucket], 1);
}

/* Both ends of a function that searches. */
#define SEARCH(function) \
	SEC("fentry/" #function) \
	int BPF_PROG(function##_begins, void *death_row, struct sock *sk) \
	{ \
		begin(sk); \
		return 0; \
	} \
	SEC("fexit/" #function) \
	int BPF_PROG(function##_ends, void *death_row, struct sock *sk, int error) \
	{ \
		end(sk); \
		return 0; \
	}

SEARCH(inet_hash_connect)
SEARCH(inet6_hash_connect)

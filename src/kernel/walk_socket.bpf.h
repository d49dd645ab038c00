/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* walk_socket.bpf.h: one socket, and its record, for walk.bpf.c */
#ifndef PW_KERNEL_WALK_SOCKET_BPF_H
#define PW_KERNEL_WALK_SOCKET_BPF_H

#define AGE_MAX_MS 60000 /* TCP_TIMEWAIT_LEN */
#define AF_INET6 10
#define CACHE_LINE 64ull

/* --- records --- */

/* The namespace of the socket before is that of most. */
__u64 last_net;
struct walk_filter last;

static __always_inline __u64 *reserve(__u32 words)
{
	__u32 zero = 0, at = job.words;
	__u64 *buffer = bpf_map_lookup_elem(&records, &zero);

	if (!buffer || at > WALK_WORDS - WALK_RECORD_WORDS) {
		job.full = 1;
		return 0;
	}
	job.words = at + words;
	return buffer + at;
}

static __always_inline void put_head(__u64 *out, __u16 local_port, __u16 remote_port, __u8 state, __u8 flags)
{
	*(struct walk_head *)out = (struct walk_head){
		.ns = last.index, .local_port = local_port, .remote_port = remote_port, .state = state, .flags = flags};
}

static __always_inline bool is_known(__u64 net)
{
	struct walk_filter *filter;

	if (net == last_net)
		return true;
	filter = bpf_map_lookup_elem(&filters, &net);
	if (!filter)
		return false;
	last_net = net;
	last = *filter;
	return true;
}

static __always_inline bool wanted(__u64 net, __u16 port)
{
	return is_known(net) && port >= last.low && port <= last.high;
}

/* --- one socket --- */

/* Whether tcp_twsk_unique() would let go of it is for user space to say. Before 6.14 the kernel compares whole seconds,
 * the moment of the last timestamp with now: then the age is 0 or the greatest. */
static __always_inline __u64 time_wait_age(__u64 sk, __u32 stamp)
{
	__u64 now = bpf_ktime_get_ns();
	struct inet_timewait_sock *tw = (void *)sk;
	__u32 age;

	if (!bpf_core_field_exists(tw->tw_entry_stamp))
		return now / 1000000000 > stamp ? AGE_MAX_MS : 0;
	age = (__u32)(now / 1000000) - load32(sk + OFFSET(inet_timewait_sock, tw_entry_stamp));
	return age < AGE_MAX_MS ? age : AGE_MAX_MS;
}

static __always_inline __u64 control_group(__u64 sk)
{
	struct sock *full = (void *)sk;
	__u64 cgroup;

	if (bpf_core_field_exists(full->sk_cgrp_data.cgroup)) {
		cgroup = load64(sk + OFFSET(sock, sk_cgrp_data.cgroup));
	} else {
		cgroup = load64(sk + OFFSET(sock, sk_cgrp_data) + OFFSET(sock_cgroup_data___before_5_15, val));
		if (cgroup & 1)
			return 0;
	}
	return cgroup ? load64(load64(cgroup + OFFSET(cgroup, kn)) + OFFSET(kernfs_node, id)) : 0;
}

/* A socket's common part where loads take a helper: one call copies it. All that is read of it lies in front of the
 * pointer to the next socket, on every kernel, or is that pointer; what tells one socket from another lies in front of
 * the addresses of IPv6. */
#ifdef WALK_BY_HELPER
/* apart, so that the other variables are where those of walk.bpf.c are */
__u64 image[16] SEC(".data.image") = {};
__u64 identity[8] SEC(".data.image") = {};
#else
extern __u64 image[16], identity[8];
#endif

static __always_inline void copy_image(__u64 sk)
{
	if (!direct)
		bpf_probe_read_kernel(image, sizeof(image), (void *)sk);
}

#define MEMBER(sk, member) (direct ? CAST(sock_common, sk)->member : ((struct sock_common *)image)->member)

/* A pointer in it, as a number. */
#define POINTER(sk, member) \
	(direct ? load64((sk) + OFFSET(sock_common, member)) : (__u64)((struct sock_common *)image)->member)

/* 64 bits of it from some member on. */
#define MEMBER64(sk, member) \
	(direct ? load64((sk) + OFFSET(sock_common, member)) : *(__u64 *)&((struct sock_common *)image)->member)

static __always_inline bool is_v6only(__u64 sk)
{
	struct sock_common *common = (void *)sk;

	return direct ? BPF_CORE_READ_BITFIELD(CAST(sock_common, sk), skc_ipv6only)
		      : BPF_CORE_READ_BITFIELD_PROBED(common, skc_ipv6only);
}

/* Of an IPv4 socket both addresses are side by side, the remote one first. */
static __always_inline __u64 *put_addresses(__u64 *out, __u64 sk, bool v6)
{
	if (!v6) {
		*out = MEMBER64(sk, skc_daddr);
		return out + 1;
	}
	out[0] = MEMBER64(sk, skc_v6_rcv_saddr.in6_u.u6_addr32[0]);
	out[1] = MEMBER64(sk, skc_v6_rcv_saddr.in6_u.u6_addr32[2]);
	out[2] = MEMBER64(sk, skc_v6_daddr.in6_u.u6_addr32[0]);
	out[3] = MEMBER64(sk, skc_v6_daddr.in6_u.u6_addr32[2]);
	return out + 4;
}

/* The table at hand: the octets of a bucket, where in it the pointer to the first node is, and the number that begins
 * those of its chains' ends. Volatile as `open`, for the same reason. */
volatile __u32 head_size, head_offset, first_end;
volatile enum walk_table table;

/* The bucket at hand. */
__u32 place;

/* Whether this batch has met sockets in TIME_WAIT, and whether the one before had. */
bool met_time_wait, scattered;

/* The VRF that its port is one of. Ports of a device below a VRF are that VRF's, unless tcp_l3mdev_accept gives all the
 * same ports. */
static __always_inline __u64 vrf_of(__u64 sk, __u8 state)
{
	__u64 bucket;

	if (table == WALK_UDP)
		return 0;
	/* it has no bucket of its own */
	if (state == WALK_STATE_HALF_OPEN)
		sk = load64(sk + OFFSET(sock_common, skc_listener));
	if (state == WALK_STATE_TIME_WAIT)
		bucket = load64(sk + OFFSET(inet_timewait_sock, tw_tb));
	else
		bucket = load64(sk + OFFSET(inet_connection_sock, icsk_bind_hash));
	return load32(bucket + OFFSET(inet_bind_bucket, l3mdev));
}

static __always_inline bool is_still(__u64 sk, __u64 net, __u16 port, __u16 remote_port)
{
	const struct sock_common *now = (void *)identity;

	if (direct)
		return load16(sk + OFFSET(sock_common, skc_num)) == port &&
			load16(sk + OFFSET(sock_common, skc_dport)) == remote_port &&
			load64(sk + OFFSET(sock_common, skc_net)) == net;
	bpf_probe_read_kernel(identity, sizeof(identity), (void *)sk);
	return now->skc_num == port && now->skc_dport == remote_port && (__u64)now->skc_net.net == net;
}

/* Writes the record of a wanted socket. Returns false when it became another one meanwhile. */
static __always_inline bool emit(__u64 sk, __u64 net, __u16 port, __u8 state)
{
	__u32 before = job.words, device = MEMBER(sk, skc_bound_dev_if), stamp;
	__u64 *out = reserve(WALK_RECORD_WORDS), *at;
	__u16 remote_port = MEMBER(sk, skc_dport);
	bool v6 = MEMBER(sk, skc_family) == AF_INET6;
	__u8 flags = v6 ? WALK_V6 : 0;

	if (!out)
		return true;
	if (v6 && is_v6only(sk))
		flags |= WALK_V6ONLY;
	at = put_addresses(out + 1, sk, v6);
	if (device) {
		flags |= WALK_DEVICE;
		*at++ = device | vrf_of(sk, state) << 32;
	}
	if (state == WALK_STATE_TIME_WAIT) {
		met_time_wait = true;
		stamp = load32(sk + OFFSET(tcp_timewait_sock, tw_ts_recent_stamp));
		/* an orphan in FIN_WAIT2 is one of these, too */
		if (!job.alike)
			state = load8(sk + OFFSET(inet_timewait_sock, tw_substate));
		flags |= WALK_TIME_WAIT | (stamp ? WALK_TIMESTAMPS : 0);
		*at++ = time_wait_age(sk, stamp);
	} else if (state != WALK_STATE_HALF_OPEN && job.owners && load64(sk + OFFSET(sock, sk_socket))) {
		/* one that nobody has, or has accepted yet, says nothing about its owner */
		flags |= WALK_OWNER;
		at[0] = control_group(sk);
		at[1] = load32(sk + OFFSET(sock, sk_uid));
		at += 2;
	}
	put_head(out, port, remote_port, state, flags);
	job.words = before + (at - out);
	if (is_still(sk, net, port, remote_port))
		return true;
	job.words = before;
	return false;
}

/* What a step found out about the batch. */
__u32 moved;
__u64 ignored;

/* Whether sockets are counted: not when a batch is read again. */
bool counting;

static __always_inline void count(__u8 state)
{
	struct walk_count *out = &counts[last.index & (WALK_NAMESPACES - 1)];

	if (table == WALK_UDP)
		out->udp++;
	else if (state == WALK_STATE_TIME_WAIT)
		out->time_wait++;
	else if (state != WALK_STATE_HALF_OPEN)
		out->tcp++;
}

/* Looks at the socket with this node, and returns the next node. A global function is verified once, not once for each
 * path to it. */
__noinline __u64 step(__u64 node)
{
	__u64 sk = node - OFFSET(sock_common, skc_nulls_node), net;
	__u16 port;
	__u8 state;

	job.seen++;
	copy_image(sk);
	net = POINTER(sk, skc_net.net);
	if (!is_known(net))
		return POINTER(sk, skc_nulls_node.next);
	port = MEMBER(sk, skc_num);
	state = MEMBER(sk, skc_state);
	if (counting)
		count(state);
	if (port >= last.low && port <= last.high) {
		/* udp_hashfn() */
		if (table == WALK_UDP && ((port + last.hash_mix) & job.mask) != place)
			moved = 1;
		else if (!emit(sk, net, port, state))
			moved = 1;
	}
	return POINTER(sk, skc_nulls_node.next);
}

/* Asks for what the next step will read, without waiting for it: for two lines of the cache by one load, which lies
 * across their border. */
static __always_inline void touch(__u64 node)
{
	ignored += load64((node & -CACHE_LINE) - sizeof(__u64) / 2);
}

/* What is in TIME_WAIT begins anywhere in a line, and may reach into one more. Two loads are dear where one will do, so
 * this is for batches after one that met some. */
static __always_inline void touch_scattered(__u64 node)
{
	ignored += load64(node - OFFSET(sock_common, skc_nulls_node)) + load64(node);
}

/* The same for its owner, which is far from the rest, where it is wanted. By now the rest is here. */
static __always_inline void touch_owner(__u64 node)
{
	__u64 sk = node - OFFSET(sock_common, skc_nulls_node);
	__u16 port = load16(sk + OFFSET(sock_common, skc_num));
	__u8 state = load8(sk + OFFSET(sock_common, skc_state));

	if (port >= last.low && port <= last.high && state != WALK_STATE_TIME_WAIT && state != WALK_STATE_HALF_OPEN)
		ignored += load64(sk + OFFSET(sock, sk_socket)) + load64(sk + OFFSET(sock, sk_uid)) +
			load64(sk + OFFSET(sock, sk_cgrp_data));
}

/* A pointer behind which there is no socket: the end of a nulls list is odd, that of others 0. */
static __always_inline bool is_end(__u64 node)
{
	return node == 0 || (node & 1);
}

/* Follows a chain; returns where it got to. */
__noinline __u64 segment(__u64 node)
{
	for (int i = 0; i < SEGMENT && !is_end(node); i++)
		node = step(node);
	return node;
}

__noinline __u64 rest(__u64 node)
{
	for (int i = 0; i < PARTS && !is_end(node); i++)
		node = segment(node);
	return node;
}

#endif

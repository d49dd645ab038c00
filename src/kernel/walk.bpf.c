/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* walk.bpf.c: walks the kernel's socket tables, all network namespaces at once
 *
 * The programs are attached nowhere: walk.c runs them one by one (BPF_PROG_TEST_RUN), so nothing gets slower while
 * nobody looks. Each run looks at some buckets, writes what is wanted to the buffer, and says where it got to.
 *
 * Nothing is locked, and no reference is taken. The kernel holds rcu_read_lock() around a run. Why that is safe, and
 * what is seen:
 *
 *  - Loads can't fault: bpf_rdonly_cast() and bpf_probe_read_kernel() give 0 for memory that is not there.
 *  - TCP and UDP sockets come from slabs of type SLAB_TYPESAFE_BY_RCU: within a run the memory of a socket stays that
 * of a socket, but may become another one. So ports and namespace are read before and after the rest; when they differ,
 * the record is thrown away and the batch is read again.
 *  - A socket that moves to another bucket takes the walk with it. The last pointer of a chain of the TCP tables is no
 * address but the number of its bucket (a nulls list): a chain that ends with another number is read again. In the UDP
 * table, whose chains end in 0, a socket that is met in another bucket than that of its port tells the same. Three
 * times at most; then what was found stands, and only sockets that came or went in that moment can be missing.
 *  - A socket that leaves its chain keeps its next pointer, so what stays behind it is still found. A socket that stays
 * is thus seen in each walk. It can be seen twice if another one left and came back to the head of the same chain;
 * pools are sets of ports, and take no notice.
 *  - Bind buckets are freed at once before Linux 6.18. One is believed only if its port belongs to the bucket at hand.
 *  - A run ends after some sockets, wherever it is in a table, and the next one goes on there: nothing that others do
 * makes a run long. Only the chains of one batch are never left in the middle. */
#include <stdbool.h>

#include "walk_linux.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "walk_record.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define AF_INET6 10
#define STATE_CLOSE 7
#define DEPTH 16 /* steps that all chains of a batch take side by side */
#define ROUNDS 3 /* times that a batch is read at most */
/* The verifier goes through each iteration of a loop with a counter, but looks at a function once: so long loops are
 * PARTS calls of a function with a loop of its own. */
#define PARTS 64
#define SEGMENT 256                /* steps of a chain, of which there are PARTS times as many at most */
#define OWNERS 4096                /* sockets of a port and an address (before 6.8, of a port) that are looked at */
#define STEPS 2048                 /* sockets after which a run ends: 0.1 to 0.3 ms */
#define RUN_NS 250000              /* after which it ends on a slow machine */
#define LISTENING_NULLS (1u << 29) /* LISTENING_NULLS_BASE: the numbers of the buckets of listeners begin with it */
#define DEVICES 256                /* NETDEV_HASHENTRIES */
#define DEVICE_CHAIN 64            /* of PARTS */
#define AGE_MAX_MS 60000           /* TCP_TIMEWAIT_LEN */

/* Loads straight from an address instead of by a helper, six times as fast: bpf_rdonly_cast(), since 6.2. */
#ifdef WALK_BY_HELPER
#define direct false
#else
#define direct true
#endif

struct walk_job job;
struct walk_net nets[WALK_NAMESPACES];
struct walk_count counts[WALK_NAMESPACES];
__u64 reserved_ports[1024];

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, __u64[WALK_WORDS]);
} records SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, WALK_NAMESPACES);
	__type(key, __u64);
	__type(value, struct walk_filter);
} filters SEC(".maps");

/* Buckets that are looked at together. */
__u64 heads[WALK_BUCKETS * WALK_BUCKET_SIZE / sizeof(__u64)];
/* The chains among them that have not ended: their next nodes, and their buckets. The numbers are volatile, and read
 * anew each time that they end a loop: a load from memory means nothing to the verifier, which so looks at each
 * iteration once, not once for each number. */
__u64 nodes[WALK_BUCKETS];
__u32 buckets[WALK_BUCKETS];
volatile __u32 open, left;

extern void *bpf_rdonly_cast(const void *obj__ign, __u32 btf_id__k) __ksym;

#define CAST(type, address) ((struct type *)bpf_rdonly_cast((void *)(address), bpf_core_type_id_kernel(struct type)))
#define OFFSET(type, member) bpf_core_field_offset(struct type, member)

static __always_inline __u64 load64(__u64 address)
{
	__u64 value = 0;

	if (direct)
		return CAST(timespec64, address)->tv_sec;
	bpf_probe_read_kernel(&value, sizeof(value), (void *)address);
	return value;
}

static __always_inline __u32 load32(__u64 address)
{
	__u32 value = 0;

	if (direct)
		return CAST(sock_common, address - OFFSET(sock_common, skc_daddr))->skc_daddr;
	bpf_probe_read_kernel(&value, sizeof(value), (void *)address);
	return value;
}

static __always_inline __u16 load16(__u64 address)
{
	__u16 value = 0;

	if (direct)
		return CAST(sock_common, address - OFFSET(sock_common, skc_num))->skc_num;
	bpf_probe_read_kernel(&value, sizeof(value), (void *)address);
	return value;
}

static __always_inline __u8 load8(__u64 address)
{
	__u8 value = 0;

	if (direct)
		return CAST(sock_common, address - OFFSET(sock_common, skc_state))->skc_state;
	bpf_probe_read_kernel(&value, sizeof(value), (void *)address);
	return value;
}

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
 * pointer to the next socket, on every kernel, or is that pointer. */
#ifdef WALK_BY_HELPER
/* apart, so that the other variables are where those of walk.bpf.c are */
__u64 image[16] SEC(".data.image") = {};
#else
extern __u64 image[16];
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

/* The VRF that its port is one of. Ports of a device below a VRF are that VRF's, unless tcp_l3mdev_accept gives all the same ports. */
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
	if (load16(sk + OFFSET(sock_common, skc_num)) == port &&
		load16(sk + OFFSET(sock_common, skc_dport)) == remote_port &&
		load64(sk + OFFSET(sock_common, skc_net)) == net)
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

/* Asks for what the next step will read, without waiting for it. */
static __always_inline void touch(__u64 node)
{
	__u64 sk = node - OFFSET(sock_common, skc_nulls_node);

	ignored += load64(node) + load64(sk);
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

/* --- batches of buckets --- */

/* Reads the heads of some buckets at once. Returns how many: there may be less of them from the first one to the end of
 * the table. */
static __always_inline __u32 read_heads(__u32 first)
{
	__u32 n = job.mask - first < job.width ? job.mask - first + 1 : job.width, bytes = n * head_size;

	/* older verifiers don't know what a product is at most: masked, which the compiler would think needless */
	asm volatile("" : "+r"(bytes));
	bytes &= 2 * sizeof(heads) - 1;
	if (n > WALK_BUCKETS || bytes > sizeof(heads) ||
		bpf_probe_read_kernel(heads, bytes, (void *)(job.table + (__u64)first * head_size))) {
		job.cut = 1;
		return 0;
	}
	return n;
}

static __always_inline __u64 head_at(__u32 i)
{
	return heads[((i * head_size + head_offset) / sizeof(__u64)) & (sizeof(heads) / sizeof(__u64) - 1)];
}

/* Keeps a chain, or sees whether it ends as it should: in the number of its bucket, of UDP in 0. */
static __always_inline void go_on(__u64 node, __u32 bucket)
{
	if (!is_end(node)) {
		nodes[open & (WALK_BUCKETS - 1)] = node;
		buckets[open & (WALK_BUCKETS - 1)] = bucket;
		open++;
	} else if (node != (table == WALK_UDP ? 0 : (__u64)(bucket + first_end) << 1 | 1)) {
		moved = 1;
	}
}

/* One step of each open chain. The cache misses of all overlap: first their nodes are touched. */
__noinline int step_all(void)
{
	left = open;
	for (__u32 i = 0; i < WALK_BUCKETS && i < left; i++)
		touch(nodes[i]);
	for (__u32 i = 0; direct && job.owners && i < WALK_BUCKETS && i < left; i++)
		touch_owner(nodes[i]);
	open = 0;
	for (__u32 i = 0; i < WALK_BUCKETS && i < left; i++) {
		place = buckets[i];
		go_on(step(nodes[i]), buckets[i]);
	}
	return open;
}

/* All chains of a batch; what is longer than most is followed to its end at last. Returns whether they have to be read
 * again. */
__noinline int batch(__u32 first)
{
	left = read_heads(first);
	open = moved = 0;
	for (__u32 i = 0; i < WALK_BUCKETS && i < left; i++)
		go_on(head_at(i), first + i);
	for (int depth = 0; depth < DEPTH; depth++)
		if (!step_all())
			return moved;
	left = open;
	open = 0;
	for (__u32 i = 0; i < WALK_BUCKETS && i < left; i++) {
		place = buckets[i];
		go_on(rest(nodes[i]), buckets[i]);
	}
	job.cut |= open != 0;
	return moved;
}

/* --- ports, as connect() and bind() see them --- */

/* A socket among the owners of a port. Only what is bound but not connected is in no other table. */
__noinline __u64 owner(__u64 node)
{
	__u64 sk = node - OFFSET(sock_common, skc_bind_node), net;
	__u16 port;

	job.seen++;
	copy_image(sk);
	if (MEMBER(sk, skc_state) != STATE_CLOSE)
		return POINTER(sk, skc_bind_node.next);
	net = POINTER(sk, skc_net.net);
	port = MEMBER(sk, skc_num);
	if (wanted(net, port) && !emit(sk, net, port, STATE_CLOSE))
		moved = 1;
	return POINTER(sk, skc_bind_node.next);
}

/* Where the walk of a chain of bind buckets has got to: what follows of the chain, of the last port's addresses (since
 * 6.8), and of the last address's owners; and how many entries of the port and of the address it may still look at.
 *
 * A server may have any number of connections on a port that it listens on. The port is blocked by then, and with it
 * its address (before 6.8: one of its addresses) is in use: whether a socket that is only bound is among them as well
 * makes no difference. */
__u64 ports, addresses, owners;
__u32 of_port, of_address;

/* A bind bucket: `at` is the place of the chain that it was found in. */
static __always_inline void bind_bucket(__u32 at)
{
	struct inet_bind_bucket *tb = (void *)(ports - OFFSET(inet_bind_bucket, node));
	__u64 bucket = (__u64)tb, net, *out;
	__u32 vrf;
	__u16 port;
	__s8 reuse = load8(bucket + OFFSET(inet_bind_bucket, fastreuse));
	__s8 reuseport = load8(bucket + OFFSET(inet_bind_bucket, fastreuseport));

	ports = load64(ports);
	/* __inet_hash_connect() passes such a port over, whatever the destination */
	if (reuse < 0 && reuseport < 0)
		return;
	net = load64(bucket + OFFSET(inet_bind_bucket, ib_net));
	port = load16(bucket + OFFSET(inet_bind_bucket, port));
	if (!wanted(net, port) || ((port + last.hash_mix) & job.mask) != at)
		return;
	vrf = load32(bucket + OFFSET(inet_bind_bucket, l3mdev));
	out = reserve(1 + (vrf != 0));
	if (out)
		put_head(out, port, 0, 0, WALK_BLOCKED | (vrf ? WALK_DEVICE : 0));
	if (out && vrf)
		out[1] = (__u64)vrf << 32;
	of_port = 2 * OWNERS;
	of_address = OWNERS;
	if (bpf_core_field_exists(tb->bhash2))
		addresses = load64(bucket + OFFSET(inet_bind_bucket, bhash2));
	else
		owners = load64(bucket + OFFSET(inet_bind_bucket___before_6_8, owners));
}

/* One entry. Returns whether there may be more. */
__noinline int bind_step(__u32 at)
{
	if (owners && of_address) {
		of_address--;
		of_port--;
		owners = owner(owners);
	} else if (bpf_core_field_exists(((struct inet_bind2_bucket *)0)->bhash_node) && addresses &&
		(__s32)of_port > 0) {
		owners = load64(addresses - OFFSET(inet_bind2_bucket, bhash_node) + OFFSET(inet_bind2_bucket, owners));
		addresses = load64(addresses);
		of_address = OWNERS;
		of_port--;
	} else if (ports) {
		job.seen++;
		owners = addresses = 0;
		bind_bucket(at);
	} else {
		return 0;
	}
	return 1;
}

__noinline int bind_steps(__u32 at)
{
	for (int i = 0; i < PARTS; i++)
		if (!bind_step(at))
			return 0;
	return 1;
}

__noinline int more_bind_steps(__u32 at)
{
	for (int i = 0; i < PARTS; i++)
		if (!bind_steps(at))
			return 0;
	return 1;
}

/* Returns whether it has to be read again. */
static __always_inline int bind_chain(__u64 node, __u32 at)
{
	ports = node;
	owners = addresses = 0;
	moved = 0;
	for (int i = 0; i < PARTS; i++)
		if (!more_bind_steps(at))
			return moved;
	job.cut = 1;
	return moved;
}

/* --- runs --- */

/* job.seen, and the time, at which the run ends. */
__u32 enough;
__u64 late;

/* Whether the run has to end here: at the end of the table, when it has looked at enough, or when the buffer is half
 * full. */
static __always_inline bool at_end(__u32 bucket)
{
	return bucket > job.mask || (__s32)(job.seen - enough) >= 0 || job.words > WALK_WORDS / 2;
}

static __always_inline bool is_late(void)
{
	return bpf_ktime_get_ns() >= late;
}

/* After a part of a table has been read that began with so many words: whether there was room for it. What does not fit
 * even into an empty buffer is told by job.full. */
static __always_inline bool fitted(__u32 before)
{
	if (!job.full)
		return true;
	job.full = before == 0;
	job.words = before;
	return false;
}

/* One batch, as often as it takes. Returns false when the run has to end. */
__noinline int next_batch(__u32 first)
{
	__u32 before = job.words;

	if (at_end(first) || is_late())
		return false;
	counting = true;
	for (int round = 0; round < ROUNDS; round++) {
		job.words = before;
		if (!batch(first))
			break;
		job.redone++;
		counting = false;
	}
	if (!fitted(before))
		return false;
	job.next = first + job.width;
	return true;
}

/* A port has a list of its own behind it, so the run may end after each chain. */
__noinline int bind_once(__u64 node, __u32 at)
{
	__u32 before = job.words;

	if (at_end(at))
		return 0;
	for (int round = 0; round < ROUNDS; round++) {
		job.words = before;
		if (!bind_chain(node, at))
			break;
		job.redone++;
	}
	return fitted(before);
}

__noinline int next_bind(__u32 first)
{
	left = at_end(first) || is_late() ? 0 : read_heads(first);
	for (__u32 i = 0; i < WALK_BUCKETS && i < left; i++) {
		__u64 node = head_at(i);

		if (node && !bind_once(node, first + i))
			return 0;
		job.next = first + i + 1;
	}
	return left != 0;
}

static __always_inline void begin(void)
{
	job.next = job.first;
	job.words = job.full = job.cut = 0;
	enough = job.seen + STEPS;
	late = bpf_ktime_get_ns() + RUN_NS;
	last_net = 0;
}

/* The table of connections, of UDP, or of listeners. */
SEC("raw_tp/none") int walk_sockets(void *ctx)
{
	begin();
	table = job.kind;
	first_end = table == WALK_LISTENING ? LISTENING_NULLS : 0;
	head_size = sizeof(__u64);
	head_offset = 0;
	if (table == WALK_UDP) {
		head_size = bpf_core_type_size(struct udp_hslot);
		head_offset = OFFSET(udp_hslot, head);
	} else if (table == WALK_LISTENING) {
		head_size = bpf_core_type_size(struct inet_listen_hashbucket);
		head_offset = OFFSET(inet_listen_hashbucket, nulls_head);
	}
	for (__u32 i = 0; i < WALK_RUN && i < job.count; i += WALK_BUCKETS)
		if (!next_batch(job.next))
			break;
	return 0;
}

SEC("raw_tp/none") int walk_bound(void *ctx)
{
	begin();
	table = WALK_TCP;
	head_size = bpf_core_type_size(struct inet_bind_hashbucket);
	head_offset = OFFSET(inet_bind_hashbucket, chain);
	for (__u32 i = 0; i < WALK_RUN && i < job.count; i += WALK_BUCKETS)
		if (!next_bind(job.next))
			break;
	return 0;
}

/* --- namespaces --- */

__u64 ops, cursor, origin;

/* The protocol of the socket job.fd. */
static __always_inline struct proto *protocol_of_socket(struct task_struct *task)
{
	struct file **files = BPF_CORE_READ(task, files, fdt, fd), *file = 0;
	struct socket *socket;

	bpf_probe_read_kernel(&file, sizeof(file), files + job.fd);
	socket = BPF_CORE_READ(file, private_data);
	return BPF_CORE_READ(socket, sk, __sk_common.skc_prot);
}

__u64 common_udp_table; /* before 6.2: one for all */

/* Listeners: by port before 5.19, by port and address since then; linked alike. */
static __always_inline void describe_listening(struct walk_net *out, struct inet_hashinfo *tables)
{
	struct inet_hashinfo___before_5_19 *old = (void *)tables;

	if (bpf_core_field_exists(old->listening_hash)) {
		out->listening = (__u64)tables + OFFSET(inet_hashinfo___before_5_19, listening_hash);
		out->listening_mask = bpf_core_field_size(old->listening_hash) /
				bpf_core_type_size(struct inet_listen_hashbucket) -
			1;
	} else {
		out->listening = (__u64)BPF_CORE_READ(tables, lhash2);
		out->listening_mask = BPF_CORE_READ(tables, lhash2_mask);
	}
}

static __always_inline void describe(struct walk_net *out, struct net *net)
{
	struct inet_hashinfo *tables;
	struct udp_table *udp = (void *)common_udp_table;

	if (bpf_core_field_size(net->ipv4.tcp_death_row) == sizeof(void *)) {
		struct inet_timewait_death_row *row = 0;

		bpf_probe_read_kernel(&row, sizeof(row), &net->ipv4.tcp_death_row);
		tables = BPF_CORE_READ(row, hashinfo);
	} else {
		tables = BPF_CORE_READ(net, ipv4.tcp_death_row.hashinfo);
	}
	if (bpf_core_field_exists(net->ipv4.udp_table))
		udp = BPF_CORE_READ(net, ipv4.udp_table);
	out->net = (__u64)net;
	out->cookie = bpf_core_field_exists(net->net_cookie) ? BPF_CORE_READ(net, net_cookie) : 0;
	out->tcp = (__u64)BPF_CORE_READ(tables, ehash);
	out->tcp_mask = BPF_CORE_READ(tables, ehash_mask);
	out->bound = (__u64)BPF_CORE_READ(tables, bhash);
	out->bound_size = BPF_CORE_READ(tables, bhash_size);
	describe_listening(out, tables);
	out->udp = (__u64)BPF_CORE_READ(udp, hash);
	out->udp_mask = BPF_CORE_READ(udp, mask);
	out->inode = BPF_CORE_READ(net, ns.inum);
	out->hash_mix = BPF_CORE_READ(net, hash_mix);
}

static __always_inline void describe_settings(struct walk_net *out, struct net *net)
{
	__u64 range = (__u64)&net->ipv4.ip_local_ports;
	__u32 low_high = 0;

	if (!bpf_core_field_exists(((struct local_ports *)0)->range)) {
		int ends[2] = {};

		bpf_probe_read_kernel(ends, sizeof(ends), (void *)(range + OFFSET(local_ports___before_6_8, range)));
		low_high = (ends[0] & 0xffff) | (__u32)ends[1] << 16;
	} else {
		bpf_probe_read_kernel(&low_high, sizeof(low_high), (void *)(range + OFFSET(local_ports, range)));
	}
	out->low = low_high & 0xffff;
	out->high = low_high >> 16;
	out->reuse = BPF_CORE_READ_BITFIELD_PROBED(net, ipv4.sysctl_tcp_tw_reuse);
	out->timestamps = BPF_CORE_READ_BITFIELD_PROBED(net, ipv4.sysctl_tcp_timestamps) != 0;
	out->reuse_delay_ms = 1000;
	if (bpf_core_field_exists(net->ipv4.sysctl_tcp_tw_reuse_delay))
		out->reuse_delay_ms = BPF_CORE_READ(net, ipv4.sysctl_tcp_tw_reuse_delay);
	out->reserved = (__u64)BPF_CORE_READ(net, ipv4.sysctl_local_reserved_ports);
}

/* A namespace that nobody holds any more stays in the list until it has been taken apart. */
static __always_inline bool is_alive(struct net *net)
{
	if (bpf_core_field_exists(net->ns.__ns_ref))
		return BPF_CORE_READ(net, ns.__ns_ref.refs.counter) != 0;
	if (bpf_core_field_exists(((struct ns_common___before_6_19 *)0)->count))
		return BPF_CORE_READ((struct ns_common___before_6_19 *)&net->ns, count.refs.counter) != 0;
	if (bpf_core_field_exists(((struct net___before_5_11 *)0)->count))
		return BPF_CORE_READ((struct net___before_5_11 *)net, count.refs.counter) != 0;
	return true;
}

/* The list is a ring with one head that is in no namespace: what has not the operations of a namespace is it. */
__noinline int next_net(void)
{
	struct net *net = (void *)cursor;
	__u32 at = job.nets;

	if ((__u64)BPF_CORE_READ(net, ns.ops) == ops && at < WALK_NAMESPACES && is_alive(net)) {
		describe(&nets[at & (WALK_NAMESPACES - 1)], net);
		describe_settings(&nets[at & (WALK_NAMESPACES - 1)], net);
		job.nets = at + 1;
	}
	cursor = (__u64)BPF_CORE_READ(net, list.next) - OFFSET(net, list);
	return cursor != origin;
}

__noinline int some_nets(void)
{
	for (int i = 0; i < PARTS; i++)
		if (!next_net())
			return 0;
	return 1;
}

SEC("raw_tp/none") int list_namespaces(void *ctx)
{
	struct task_struct *task = (void *)bpf_get_current_task();

	origin = cursor = (__u64)BPF_CORE_READ(task, nsproxy, net_ns);
	ops = (__u64)BPF_CORE_READ((struct net *)origin, ns.ops);
	job.nets = 0;
	if (!bpf_core_field_exists(((struct net *)origin)->ipv4.udp_table))
		common_udp_table = (__u64)BPF_CORE_READ(protocol_of_socket(task), h.udp_table);
	for (int i = 0; i <= WALK_NAMESPACES / PARTS; i++)
		if (!some_nets())
			break;
	return 0;
}

static __always_inline bool is_the_one(struct net *net)
{
	return BPF_CORE_READ(net, ns.inum) == job.inode &&
		(!bpf_core_field_exists(net->net_cookie) || BPF_CORE_READ(net, net_cookie) == job.cookie);
}

/* The reserved ports of a namespace. It may have ended since it was listed, and its memory be another one's. */
SEC("raw_tp/none") int read_reserved(void *ctx)
{
	struct net *net = (void *)job.net;

	bpf_probe_read_kernel(
		reserved_ports, sizeof(reserved_ports), BPF_CORE_READ(net, ipv4.sysctl_local_reserved_ports));
	job.gone = !is_the_one(net);
	return 0;
}

char interface_name[WALK_NAME];

/* A device of the bucket; returns the next one. */
__noinline __u64 device(__u64 node)
{
	struct net_device *dev = (void *)(node - OFFSET(net_device, index_hlist));

	if (BPF_CORE_READ(dev, ifindex) == (int)job.first) {
		bpf_probe_read_kernel(interface_name, sizeof(interface_name), &dev->name);
		return 0;
	}
	return load64(node);
}

__noinline __u64 some_devices(__u64 node)
{
	for (int i = 0; i < DEVICE_CHAIN && node; i++)
		node = device(node);
	return node;
}

/* The name of the interface with the index job.first, as dev_get_by_index_rcu() finds it; "" when there is none. */
SEC("raw_tp/none") int name_interface(void *ctx)
{
	struct net *net = (void *)job.net;
	__u64 node = 0;

	__builtin_memset(interface_name, 0, sizeof(interface_name));
	bpf_probe_read_kernel(&node, sizeof(node), BPF_CORE_READ(net, dev_index_head) + (job.first & (DEVICES - 1)));
	for (int i = 0; i < PARTS && node; i++)
		node = some_devices(node);
	job.gone = !is_the_one(net);
	return 0;
}

struct walk_code code;

/* The function that says which TIME_WAIT sockets connect() may take over. job.fd is a TCP socket. */
SEC("raw_tp/none") int read_takeover(void *ctx)
{
	struct timewait_sock_ops *ops = BPF_CORE_READ(protocol_of_socket((void *)bpf_get_current_task()), twsk_prot);

	code.size = 0;
	code.substate = OFFSET(inet_timewait_sock, tw_substate);
	code.stamp = OFFSET(tcp_timewait_sock, tw_ts_recent_stamp);
	if (bpf_core_field_exists(ops->twsk_unique) &&
		bpf_probe_read_kernel(code.bytes, sizeof(code.bytes), BPF_CORE_READ(ops, twsk_unique)) == 0)
		code.size = sizeof(code.bytes);
	return 0;
}

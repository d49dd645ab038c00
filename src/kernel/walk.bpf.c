/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* walk.bpf.c: walks the kernel's socket tables, all network namespaces at once
 *
 * The programs are attached nowhere: walk_load.c runs them one by one (BPF_PROG_TEST_RUN), so nothing gets slower while
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

#define DEPTH 16 /* steps that all chains of a batch take side by side */
#define ROUNDS 3 /* times that a batch is read at most */
/* The verifier goes through each iteration of a loop with a counter, but looks at a function once: so long loops are
 * PARTS calls of a function with a loop of its own. */
#define PARTS 64
#define SOME 32                    /* of WALK_BUCKETS chains that such a function looks at */
#define SEGMENT 256                /* steps of a chain, of which there are PARTS times as many at most */
#define STEPS 2048                 /* sockets after which a run ends: 0.1 to 0.3 ms */
#define RUN_NS 200000              /* after which it ends on a slow machine */
#define LISTENING_NULLS (1u << 29) /* LISTENING_NULLS_BASE: the numbers of the buckets of listeners begin with it */

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

#include "walk_load.bpf.h"
#include "walk_socket.bpf.h"

/* --- batches of buckets --- */

static __always_inline __u32 end_of_batch(__u32 first)
{
	__u32 end = job.first + job.count;

	return end - first < job.width ? end : first + job.width;
}

/* Reads the heads of some buckets at once. Returns how many: there may be less of them from the first one to the end of
 * the run. */
static __always_inline __u32 read_heads(__u32 first)
{
	__u32 n = end_of_batch(first) - first, bytes = n * head_size;

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

/* Goes through SOME of the `left` chains, from one on: bounded by a mask, since the verifier does not know `from`. */
#define FOR_SOME(at, from) \
	for (__u32 i = 0, at; at = ((from) + i) & (WALK_BUCKETS - 1), i < SOME && (from) + i < left; i++)

__noinline int touch_some_scattered(__u32 from)
{
	FOR_SOME(at, from)
	{
		touch_scattered(nodes[at]);
	}
	return 0;
}

__noinline int touch_some_owners(__u32 from)
{
	FOR_SOME(at, from)
	{
		touch_owner(nodes[at]);
	}
	return 0;
}

__noinline int step_some(__u32 from)
{
	FOR_SOME(at, from)
	{
		place = buckets[at];
		go_on(step(nodes[at]), buckets[at]);
	}
	return 0;
}

__noinline int rest_of_some(__u32 from)
{
	FOR_SOME(at, from)
	{
		place = buckets[at];
		go_on(rest(nodes[at]), buckets[at]);
	}
	return 0;
}

/* One step of each open chain. The cache misses of all overlap: first their nodes are touched. */
__noinline int step_all(void)
{
	left = open;
	if (!scattered)
		for (__u32 i = 0; i < WALK_BUCKETS && i < left; i++)
			touch(nodes[i]);
	else
		for (__u32 from = 0; from < WALK_BUCKETS && from < left; from += SOME)
			touch_some_scattered(from);
	for (__u32 from = 0; direct && job.owners && from < WALK_BUCKETS && from < left; from += SOME)
		touch_some_owners(from);
	open = 0;
	for (__u32 from = 0; from < WALK_BUCKETS && from < left; from += SOME)
		step_some(from);
	return open;
}

__noinline int begin_some(__u32 first, __u32 from)
{
	FOR_SOME(at, from)
	{
		go_on(head_at(at), first + at);
	}
	return 0;
}

/* All chains of a batch; what is longer than most is followed to its end at last. Returns whether they have to be read
 * again. */
__noinline int batch(__u32 first)
{
	left = read_heads(first);
	open = moved = 0;
	scattered = met_time_wait;
	met_time_wait = false;
	for (__u32 from = 0; from < WALK_BUCKETS && from < left; from += SOME)
		begin_some(first, from);
	for (int depth = 0; depth < DEPTH; depth++)
		if (!step_all())
			return moved;
	left = open;
	open = 0;
	for (__u32 from = 0; from < WALK_BUCKETS && from < left; from += SOME)
		rest_of_some(from);
	job.cut |= open != 0;
	return moved;
}

#include "walk_ports.bpf.h"

/* --- runs --- */

/* job.seen, and the time, at which the run ends. */
__u32 enough;
__u64 late;

/* Whether the run has to end here: when it was to look at no more buckets, when it has looked at enough, or when the
 * buffer is half full. */
static __always_inline bool at_end(__u32 bucket)
{
	return bucket - job.first >= job.count || (__s32)(job.seen - enough) >= 0 || job.words > WALK_WORDS / 2;
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
	job.next = end_of_batch(first);
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

__noinline int touch_some_buckets(__u32 from)
{
	FOR_SOME(at, from)
	{
		if (head_at(at))
			touch_bucket(head_at(at));
	}
	return 0;
}

__noinline int bind_some(__u32 first, __u32 from)
{
	FOR_SOME(at, from)
	{
		__u64 node = head_at(at);

		if (node && !bind_once(node, first + at))
			return 0;
		job.next = first + at + 1;
	}
	return 1;
}

__noinline int next_bind(__u32 first)
{
	left = at_end(first) || is_late() ? 0 : read_heads(first);
	for (__u32 from = 0; from < WALK_BUCKETS && from < left; from += SOME)
		touch_some_buckets(from);
	for (__u32 from = 0; from < WALK_BUCKETS && from < left; from += SOME)
		if (!bind_some(first, from))
			return 0;
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
	for (int i = 0; i < WALK_BATCHES; i++)
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
	for (int i = 0; i < WALK_BATCHES; i++)
		if (!next_bind(job.next))
			break;
	return 0;
}

#include "walk_netns.bpf.h"

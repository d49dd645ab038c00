/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* walk_ports.bpf.h: bind buckets: ports as connect() and bind() see them, for walk.bpf.c */
#ifndef PW_KERNEL_WALK_PORTS_BPF_H
#define PW_KERNEL_WALK_PORTS_BPF_H

#define OWNERS 4096 /* sockets of a port and an address (before 6.8, of a port) that are looked at */
#define STATE_CLOSE 7

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

/* A bind bucket, as a socket (copy_image()). */
static __always_inline void copy_bucket(__u64 bucket)
{
	_Static_assert(sizeof(image) == 128, "a bind bucket has some 100 octets");
	if (!direct)
		bpf_probe_read_kernel(image, bpf_core_type_size(struct inet_bind_bucket) & 127, (void *)bucket);
}

#define BUCKET(bucket, member, load) \
	(direct ? load((bucket) + OFFSET(inet_bind_bucket, member)) \
		: (typeof(load(0)))((struct inet_bind_bucket *)image)->member)

/* Asks for it, as touch(). */
static __always_inline void touch_bucket(__u64 node)
{
	ignored += load64(node) + load8(node - OFFSET(inet_bind_bucket, node) + OFFSET(inet_bind_bucket, fastreuse));
}

/* A bind bucket: `at` is the place of the chain that it was found in. */
static __always_inline void bind_bucket(__u32 at)
{
	struct inet_bind_bucket *tb = (void *)(ports - OFFSET(inet_bind_bucket, node));
	__u64 bucket = (__u64)tb, net, *out;
	__u32 vrf;
	__u16 port;
	__s8 reuse, reuseport;

	copy_bucket(bucket);
	reuse = BUCKET(bucket, fastreuse, load8);
	reuseport = BUCKET(bucket, fastreuseport, load8);
	ports = BUCKET(bucket, node.next, load64);
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

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* walk_netns.bpf.h: network namespaces with their settings, tables and interfaces, for walk.bpf.c */
#ifndef PW_KERNEL_WALK_NETNS_BPF_H
#define PW_KERNEL_WALK_NETNS_BPF_H

#define DEVICES 256     /* NETDEV_HASHENTRIES */
#define DEVICE_CHAIN 64 /* of PARTS */

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

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* walk_linux.h: the kernel's types that walk.bpf.c and events.bpf.c touch, and of these only the members that they
 * touch
 *
 * The loader moves every offset to that of the running kernel (CO-RE), so the order here means nothing. A member that
 * not every kernel has is asked for by bpf_core_field_exists() first; a type that changed has a second form, ___NAME,
 * which the loader takes for the same. */
#ifndef PW_KERNEL_WALK_LINUX_H
#define PW_KERNEL_WALK_LINUX_H

#include <linux/bpf.h>
#include <linux/types.h>

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct list_head {
	struct list_head *next;
};
struct hlist_node {
	struct hlist_node *next;
};
struct hlist_head {
	struct hlist_node *first;
};
struct hlist_nulls_node {
	struct hlist_nulls_node *next;
};

/* a 64-bit number, of any address: what a load is made through */
struct timespec64 {
	__s64 tv_sec;
};

/* --- namespaces --- */

typedef struct refcount_struct {
	struct {
		int counter;
	} refs;
} refcount_t;
struct ns_common {
	const void *ops;
	unsigned int inum;
	refcount_t __ns_ref; /* since 6.19, and in stable kernels before */
};
struct ns_common___before_6_19 {
	refcount_t count;
};
struct hlist_nulls_head {
	struct hlist_nulls_node *first;
};
struct inet_listen_hashbucket {
	struct hlist_nulls_head nulls_head;
};
struct inet_hashinfo {
	void *ehash;
	unsigned int ehash_mask;
	void *bhash;
	unsigned int bhash_size;
	unsigned int lhash2_mask;
	struct inet_listen_hashbucket *lhash2;
};
struct inet_hashinfo___before_5_19 {
	struct inet_listen_hashbucket listening_hash[32];
};
struct inet_timewait_death_row {
	struct inet_hashinfo *hashinfo;
};
struct udp_hslot {
	struct hlist_head head;
};
struct udp_table {
	void *hash;
	unsigned int mask;
};
struct local_ports {
	__u32 range; /* low, and high << 16 */
};
struct local_ports___before_6_8 {
	int range[2];
};
struct netns_ipv4 {
	struct inet_timewait_death_row tcp_death_row;
	struct udp_table *udp_table; /* since 6.2 */
	struct local_ports ip_local_ports;
	unsigned long *sysctl_local_reserved_ports;
	__u8 sysctl_tcp_tw_reuse;
	unsigned int sysctl_tcp_tw_reuse_delay; /* since 6.14 */
	__u8 sysctl_tcp_timestamps;
};
struct net_device {
	char name[16];
	int ifindex;
	struct hlist_node index_hlist;
};
struct net {
	struct hlist_head *dev_index_head;
	struct list_head list;
	struct ns_common ns;
	struct netns_ipv4 ipv4;
	__u32 hash_mix;
	__u64 net_cookie;
};
struct net___before_5_11 {
	refcount_t count;
};
struct nsproxy {
	struct net *net_ns;
};

/* --- sockets --- */

typedef struct {
	struct net *net;
} possible_net_t;
struct in6_addr {
	union {
		__u32 u6_addr32[4];
	} in6_u;
};
struct timewait_sock_ops {
	void *twsk_unique; /* not in newer kernels */
};
struct proto {
	union {
		struct udp_table *udp_table;
	} h;
	struct timewait_sock_ops *twsk_prot;
};
struct sock_common {
	__u32 skc_daddr, skc_rcv_saddr;
	__u16 skc_dport, skc_num;
	unsigned short skc_family;
	volatile unsigned char skc_state;
	unsigned char skc_ipv6only : 1;
	int skc_bound_dev_if;
	struct hlist_node skc_bind_node;
	struct proto *skc_prot;
	possible_net_t skc_net;
	struct in6_addr skc_v6_daddr, skc_v6_rcv_saddr;
	struct sock *skc_listener; /* of a request socket */
	struct hlist_nulls_node skc_nulls_node;
};
typedef struct {
	__u32 val;
} kuid_t;
struct kernfs_node {
	__u64 id;
};
struct cgroup {
	struct kernfs_node *kn;
};
struct sock_cgroup_data {
	struct cgroup *cgroup; /* since 5.15 */
};
struct sock_cgroup_data___before_5_15 {
	__u64 val; /* the address, or with bit 0 something else */
};
struct sock {
	struct sock_common __sk_common;
	int sk_err;
	__u16 sk_protocol;
	struct socket *sk_socket;
	kuid_t sk_uid;
	struct sock_cgroup_data sk_cgrp_data;
};
struct inet_sock {
	__u16 inet_sport;
};
struct tcp_sock {
	__u8 repair : 1;
};
struct inet_connection_sock {
	struct inet_bind_bucket *icsk_bind_hash;
};
struct inet_timewait_sock {
	struct sock_common __tw_common;
	struct inet_bind_bucket *tw_tb;
	unsigned char tw_substate;
	__u32 tw_entry_stamp; /* since 6.14 */
};
struct tcp_timewait_sock {
	int tw_ts_recent_stamp;
};

/* --- bind buckets --- */

struct inet_bind_hashbucket {
	struct hlist_head chain;
};
struct inet_bind_bucket {
	possible_net_t ib_net;
	int l3mdev; /* interface index of the VRF that has the port, 0 = none */
	unsigned short port;
	signed char fastreuse, fastreuseport;
	struct hlist_node node;
	struct hlist_head bhash2; /* since 6.8 */
};
struct inet_bind_bucket___before_6_8 {
	struct hlist_head owners;
};
struct inet_bind2_bucket {
	struct hlist_node bhash_node;
	struct hlist_head owners;
};

/* --- from a task to its sockets --- */

struct socket {
	struct sock *sk;
};
struct file {
	void *private_data;
};
struct fdtable {
	struct file **fd;
};
struct files_struct {
	struct fdtable *fdt;
};
struct task_struct {
	struct nsproxy *nsproxy;
	struct files_struct *files;
};

#pragma clang attribute pop

#endif

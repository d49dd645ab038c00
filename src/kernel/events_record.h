/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* events_record.h: what events.bpf.c and connect_events.c tell each other */
#ifndef PW_KERNEL_EVENTS_RECORD_H
#define PW_KERNEL_EVENTS_RECORD_H

/* Pools whose allocations failed that are told apart between two looks. */
#define EVENTS_POOLS 8192

/* Bytes of the ring of processes: some 1,600 of them between two looks. */
#define EVENTS_RING 65536

/* Which allocation failed. No holes: it is a key. */
struct events_pool {
	__u32 local[4], remote[4]; /* network order; IPv4 in the first word */
	__u32 netns;               /* inode number */
	__u32 zone;                /* interface that the socket is bound to, 0 = none */
	__u16 port;                /* remote, network order; 0 = bind() */
	__u8 protocol;
	__u8 family;
};

/* How often. What is said of the process is that of the last time. */
struct events_failures {
	__u64 count;
	__u64 boot_ns; /* CLOCK_BOOTTIME */
	__u64 cgroup;  /* id, as the inode of its folder in the cgroup2 file system */
	__u32 pid;
	char comm[16];
};

/* A process that was refused, once for each refusal as long as the ring has room. */
struct events_process {
	__u32 pid;
	char comm[16];
};

#endif

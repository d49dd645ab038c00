/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* events_record.h: what events.bpf.c and connect_events.c tell each other */
#ifndef PW_KERNEL_EVENTS_RECORD_H
#define PW_KERNEL_EVENTS_RECORD_H

/* Pools whose allocations failed that are told apart between two looks. */
#define EVENTS_POOLS 8192

/* Bytes of the ring of processes, and of that of pools: some 1,600 processes or 1,100 pools between two looks. */
#define EVENTS_RING 65536

/* A power of two. Pools that share a slot ring too early, never too late. */
#define EVENTS_SLOTS 32768

#define EVENTS_INET6 10

/* Which allocation. No holes: it is a key. */
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

/* What happened to the pools of a slot since the last look. The counts differ from the truth by what the kernel did in
 * the same moment on another processor. */
struct events_slot {
	__u32 count;    /* allocations that began */
	__u32 limit;    /* from which on it rings */
	__u32 frees;    /* sockets of the pool `tag` that gave their port back */
	__u32 seen;     /* of user space */
	__s32 high;     /* the highest count - frees before a first socket went to TIME_WAIT ... */
	__s32 top;      /* ... and at any time, as if TIME_WAIT never ended */
	__u32 tag;      /* EVENTS_TAG of its pool, 0 = none yet */
	__u8 rung;      /* it rings once */
	__u8 mixed;     /* there was another pool */
	__u8 lingering; /* a socket went to TIME_WAIT */
	__u8 spare;
};

static inline __u64 events_mix(__u64 hash)
{
	hash ^= hash >> 32;
	return hash * 0x9e3779b97f4a7c15ull;
}

/* The hash of a pool without its zone. IPv4 addresses fill the first word only, mapped ones are IPv4. */
static inline __u64 events_hash(__u64 seed, const struct events_pool *pool)
{
	__u64 hash = events_mix(seed ^ ((__u64)pool->netns << 32 | (__u32)pool->family << 16 | pool->port));

	hash = events_mix(hash + ((__u64)pool->local[0] << 32 | pool->remote[0]));
	if (pool->family == EVENTS_INET6) {
		hash = events_mix(hash + ((__u64)pool->local[1] << 32 | pool->remote[1]));
		hash = events_mix(hash + ((__u64)pool->local[2] << 32 | pool->remote[2]));
		hash = events_mix(hash + ((__u64)pool->local[3] << 32 | pool->remote[3]));
	}
	return events_mix(hash);
}

#define EVENTS_INDEX(hash) ((__u32)((hash) >> 40) & (EVENTS_SLOTS - 1))
#define EVENTS_TAG(hash, zone) ((__u32)(events_mix(hash) >> 32 ^ (zone)) | 1)

/* A process that was refused, once for each refusal as long as the ring has room. */
struct events_process {
	__u32 pid;
	char comm[16];
};

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* walk_record.h: what the programs of walk.bpf.c and the backend (walk_internal.h) tell each other
 *
 * Includes nothing: each side brings __u8 to __u64 with it. */
#ifndef PW_KERNEL_WALK_RECORD_H
#define PW_KERNEL_WALK_RECORD_H

/* Records are words of 64 bits: a head, and what its flags announce, in the order of the flags. */
#define WALK_WORDS 65536     /* of the buffer, 512 KiB */
#define WALK_RECORD_WORDS 9  /* of the longest record */
#define WALK_BUCKETS 256     /* read together, so that their cache misses overlap */
#define WALK_BUCKET_SIZE 64  /* octets that a bucket may have: the locks of real-time kernels are large */
#define WALK_BATCHES 64      /* of a run, at most */
#define WALK_NAME 16         /* IFNAMSIZ */
#define WALK_CODE 512        /* octets of a function */
#define WALK_NAMESPACES 4096 /* that one walk can tell apart, and that the list can hold */
/* include/net/tcp_states.h: TCP_TIME_WAIT, and TCP_NEW_SYN_RECV: a handshake, of which there is the common part of a
 * socket only */
#define WALK_STATE_TIME_WAIT 6
#define WALK_STATE_HALF_OPEN 12

enum walk_flag {
	WALK_V6 = 1,          /* four words: local and remote address; without it one word: both IPv4 addresses */
	WALK_DEVICE = 2,      /* a word: the interface that the socket is bound to; above 32 bits the VRF of its port */
	WALK_OWNER = 4,       /* two words: control group, user */
	WALK_TIME_WAIT = 8,   /* a word: age in ms */
	WALK_V6ONLY = 16,     /* no words */
	WALK_TIMESTAMPS = 32, /* of TIME_WAIT: its peer sent timestamps. No words */
	WALK_BLOCKED = 64 /* no socket: no connect() gets this port. Nothing but the head, and for a VRF WALK_DEVICE */
};

struct walk_head {
	__u16 ns; /* struct walk_filter.index */
	__u16 local_port;
	__u16 remote_port; /* network order */
	__u8 state;
	__u8 flags;
};

/* What is wanted of a namespace: sockets with a local port in low..high. */
struct walk_filter {
	__u32 index;
	__u16 low, high;
	__u32 hash_mix; /* that moves its ports to other buckets (net_hash_mix()) */
};

/* A network namespace of this host. */
struct walk_net {
	__u64 net;                        /* its address is its name; only valid while the namespace is there */
	__u64 cookie;                     /* SO_NETNS_COOKIE; 0 before Linux 5.14 */
	__u64 tcp, listening, bound, udp; /* its tables */
	__u64 reserved;                   /* its bitmap of reserved ports, or 0 */
	__u32 tcp_mask, listening_mask, bound_size, udp_mask;
	__u32 inode; /* of /proc/PID/ns/net */
	__u32 hash_mix;
	__u32 reuse_delay_ms;
	__u16 low, high; /* ip_local_port_range */
	__u8 reuse, timestamps;
	__u8 unused[2];
};

/* The sockets of a wanted namespace, whatever their ports. */
struct walk_count {
	__u32 tcp, time_wait, udp;
};

/* The code of tcp_twsk_unique(), for takeover.h. */
struct walk_code {
	__u32 size; /* of what could be read; 0: there is no such function to ask */
	__u32 substate, stamp;
	__u8 bytes[WALK_CODE];
};

enum walk_table { WALK_TCP, WALK_UDP, WALK_LISTENING };

/* What a run is to do, and what became of it. */
struct walk_job {
	__u64 table;  /* its address */
	__u64 net;    /* the namespace to be looked into, if it still has this ... */
	__u64 cookie; /* ... */
	__u32 inode;  /* ... and this */
	__u32 first;  /* bucket; or the index of an interface */
	__u32 count;  /* of buckets to look at, at most; they are in the table */
	__u32 kind;   /* enum walk_table */
	__u32 width;  /* of a batch: WALK_BUCKETS, or less where their chains are long */
	__u32 mask;   /* of the table: its size less one */
	__u32 next;   /* out: the bucket to go on with */
	__u32 words;  /* out: written to the buffer */
	__u32 full;   /* out: what has to be read in one go does not fit into the buffer */
	__u32 gone;   /* out: the namespace is another one by now */
	__u32 cut;    /* out: a chain is longer than a program may follow, or the table can't be read */
	__u32 redone; /* out, adds up: batches that were read again, since a socket moved away under the walk */
	__u32 seen;   /* out, adds up: entries, wanted or not */
	__u32 nets;   /* out: namespaces listed */
	__s32 fd;     /* of a UDP socket: leads to its table before Linux 6.2; or of a TCP socket */
	__u32 owners; /* whether control groups and users are wanted */
	__u32 alike;  /* whether connect() takes orphans in FIN_WAIT2 over as if they were in TIME_WAIT */
};

#endif

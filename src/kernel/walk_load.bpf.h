/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* walk_load.bpf.h: loads from the kernel's memory, for walk.bpf.c */
#ifndef PW_KERNEL_WALK_LOAD_BPF_H
#define PW_KERNEL_WALK_LOAD_BPF_H

/* Loads straight from an address instead of by a helper, six times as fast: bpf_rdonly_cast(), since 6.2. */
#ifdef WALK_BY_HELPER
#define direct false
#else
#define direct true
#endif

extern void *bpf_rdonly_cast(const void *obj__ign, __u32 btf_id__k) __ksym;

#define CAST(type, address) ((struct type *)bpf_rdonly_cast((void *)(address), bpf_core_type_id_kernel(struct type)))
#define OFFSET(type, member) bpf_core_field_offset(struct type, member)

/* A number of some size, through a member that has it: bpf_rdonly_cast() gives a type, not a number. */
#define LOAD(name, number, type, member) \
	static __always_inline number name(__u64 address) \
	{ \
		number value = 0; \
\
		if (direct) \
			return CAST(type, address - OFFSET(type, member))->member; \
		bpf_probe_read_kernel(&value, sizeof(value), (void *)address); \
		return value; \
	}

LOAD(load64, __u64, timespec64, tv_sec)
LOAD(load32, __u32, sock_common, skc_daddr)
LOAD(load16, __u16, sock_common, skc_num)
LOAD(load8, __u8, sock_common, skc_state)

#endif

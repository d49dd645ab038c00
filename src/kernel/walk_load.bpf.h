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

#endif

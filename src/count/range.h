/* SPDX-License-Identifier: BSD-2-Clause */
/* range.h: the ephemeral port range of a network namespace and the settings that decide about its ports
 *
 * All of it is read anew each poll (kernel/sysctl.h), since each can change at run time. */
#ifndef PW_COUNT_RANGE_H
#define PW_COUNT_RANGE_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "count/portset.h"

/* net.ipv4.tcp_tw_reuse: which TIME_WAIT sockets connect() may take over (tcp_twsk_unique()). The values are the
 * sysctl's; the MIB's pwNsTimeWaitReuse is this plus one. */
enum pw_tw_reuse { PW_TW_REUSE_OFF = 0, PW_TW_REUSE_ON = 1, PW_TW_REUSE_LOOPBACK = 2 };

struct pw_range {
	uint16_t low, high; /* net.ipv4.ip_local_port_range, both included */
	/* sockets of ports beyond these are looked at as well (struct pw_source, ports); 0: of none */
	uint16_t look_low, look_high;
	struct pw_portset reserved; /* net.ipv4.ip_local_reserved_ports, whole list (also outside low..high) */
	enum pw_tw_reuse tw_reuse;  /* net.ipv4.tcp_tw_reuse */
	uint32_t tw_reuse_delay_ms; /* net.ipv4.tcp_tw_reuse_delay; 1000 where the kernel has no such setting */
	bool timestamps;            /* net.ipv4.tcp_timestamps: without them no TIME_WAIT is ever reused */
};

/* The capacity set C: low..high without the reserved ports. */
static inline void pw_range_capacity(const struct pw_range *range, struct pw_portset *out)
{
	pw_portset_clear(out);
	pw_portset_add_range(out, range->low, range->high);
	pw_portset_subtract(out, &range->reserved);
}

/* The ports that sockets are taken from, both included. */
static inline uint16_t pw_range_look_low(const struct pw_range *range)
{
	return range->look_low != 0 && range->look_low < range->low ? range->look_low : range->low;
}

static inline uint16_t pw_range_look_high(const struct pw_range *range)
{
	return range->look_high > range->high ? range->look_high : range->high;
}

/* Whether the kernel's search misses one end of this range: an odd width above 1 (__inet_hash_connect(),
 * `remaining &= ~1U`). */
static inline bool pw_range_is_odd(const struct pw_range *range)
{
	unsigned width = (unsigned)range->high - range->low + 1;

	return width > 1 && width % 2 == 1;
}

/* Whether all settings are the same. */
static inline bool pw_range_equal(const struct pw_range *a, const struct pw_range *b)
{
	return a->low == b->low && a->high == b->high && a->look_low == b->look_low && a->look_high == b->look_high &&
		a->tw_reuse == b->tw_reuse && a->tw_reuse_delay_ms == b->tw_reuse_delay_ms &&
		a->timestamps == b->timestamps &&
		memcmp(a->reserved.word, b->reserved.word, sizeof(a->reserved.word)) == 0;
}

#endif

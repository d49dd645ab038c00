/* SPDX-License-Identifier: BSD-2-Clause */
/* socket.h: one socket as the kernel reported it, before a census adds it up */
#ifndef PW_COUNT_SOCKET_H
#define PW_COUNT_SOCKET_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

/* Socket states as inet_diag numbers them (include/net/tcp_states.h). UDP uses ESTABLISHED for connected and CLOSE for
 * unconnected sockets; a TCP socket in CLOSE is bound but neither connected nor listening. */
enum pw_socket_state {
	PW_ESTABLISHED = 1,
	PW_SYN_SENT,
	PW_SYN_RECV,
	PW_FIN_WAIT1,
	PW_FIN_WAIT2,
	PW_TIME_WAIT,
	PW_CLOSE,
	PW_CLOSE_WAIT,
	PW_LAST_ACK,
	PW_LISTEN,
	PW_CLOSING
};

enum pw_socket_flag {
	PW_SOCKET_V6ONLY = 1,  /* an IPv6 socket that leaves IPv4 alone; by inet_diag known only in LISTEN and CLOSE */
	PW_SOCKET_NO_PORT = 2, /* IP_BIND_ADDRESS_NO_PORT was set: with an automatic port it came from connect() */
	PW_SOCKET_HAS_OWNER = 4, /* uid and cgroup are known; never for TIME_WAIT */
	PW_SOCKET_HALF_OPEN = 8, /* a request socket (SYN_RECV, no inode): owns no bind bucket */
	/* whether both ends used timestamps, of a TIME_WAIT socket where that is known */
	PW_SOCKET_STAMPED = 16,
	PW_SOCKET_UNSTAMPED = 32,
	PW_SOCKET_IN_VRF = 64 /* `vrf` says in which; only by BPF */
};

/* Addresses in network order, ports in host order. An IPv4-mapped socket arrives as AF_INET (pw_socket_set_ipv6()).
 * Only the first 4 bytes of an IPv4 address are used, but all 16 are set. */
struct pw_socket {
	uint8_t local[16];
	uint8_t remote[16];
	/* unique while the machine runs, kept when the socket goes to TIME_WAIT; 0 where unknown (/proc) */
	uint64_t cookie;
	uint64_t cgroup;     /* cgroup v2 id, with PW_SOCKET_HAS_OWNER; 0 = unknown */
	uint32_t uid;        /* with PW_SOCKET_HAS_OWNER */
	uint32_t ifindex;    /* bound device, 0 = none */
	uint32_t expires_ms; /* rest of the running timer; of TIME_WAIT: until it ends */
	union {
		uint32_t inode; /* not by BPF: its number in /proc/PID/fd; 0 = no process has it open */
		uint32_t vrf;   /* with PW_SOCKET_IN_VRF: the interface index of the VRF */
	};
	uint16_t local_port;
	uint16_t remote_port;
	uint8_t family;   /* AF_INET or AF_INET6 */
	uint8_t protocol; /* IPPROTO_TCP or IPPROTO_UDP */
	uint8_t state;    /* enum pw_socket_state */
	uint8_t flags;    /* enum pw_socket_flag */
};

/* Sets family and addresses of an IPv6 socket from 16 bytes each. It is IPv4 when an address is IPv4-mapped; the other
 * one may still be unset. */
static inline void pw_socket_set_ipv6(struct pw_socket *out, const void *local, const void *remote)
{
	static const uint8_t prefix[12] = {[10] = 0xff, [11] = 0xff}, zero[16];
	const bool local_mapped = memcmp(local, prefix, sizeof(prefix)) == 0;
	const bool remote_mapped = memcmp(remote, prefix, sizeof(prefix)) == 0;

	out->family = AF_INET6;
	memcpy(out->local, local, 16);
	memcpy(out->remote, remote, 16);
	if ((!local_mapped && !remote_mapped) || (!local_mapped && memcmp(local, zero, sizeof(zero)) != 0) ||
		(!remote_mapped && memcmp(remote, zero, sizeof(zero)) != 0))
		return;
	out->family = AF_INET;
	memcpy(out->local, out->local + 12, 4);
	memcpy(out->remote, out->remote + 12, 4);
	memset(out->local + 4, 0, 12);
	memset(out->remote + 4, 0, 12);
}

#endif

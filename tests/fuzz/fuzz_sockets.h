/* SPDX-License-Identifier: BSD-2-Clause */
/* fuzz_sockets.h: what must hold for every socket that a parser hands on, whatever it was fed */
#ifndef TESTS_FUZZ_SOCKETS_H
#define TESTS_FUZZ_SOCKETS_H

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "kernel/backend.h"

/* What a run gave, for comparing two runs. */
struct fuzz_sum {
	size_t n;
	uint64_t hash;
	uint8_t protocol; /* expected */
};

static inline void fuzz_must(int condition)
{
	if (!condition)
		abort();
}

static inline void fuzz_check_address(const struct pw_socket *s, const uint8_t address[16])
{
	static const uint8_t zero[12];

	if (s->family == AF_INET)
		fuzz_must(memcmp(address + 4, zero, sizeof(zero)) == 0);
}

static inline void fuzz_check_socket(const struct pw_socket *s, uint8_t protocol)
{
	fuzz_must(s->family == AF_INET || s->family == AF_INET6);
	fuzz_must(s->state >= PW_ESTABLISHED && s->state <= PW_CLOSING);
	fuzz_must(
		(s->flags & ~(PW_SOCKET_V6ONLY | PW_SOCKET_NO_PORT | PW_SOCKET_HAS_OWNER | PW_SOCKET_HALF_OPEN)) == 0);
	fuzz_must((s->flags & PW_SOCKET_HALF_OPEN) == 0 ||
		(s->state == PW_SYN_RECV && (s->flags & PW_SOCKET_HAS_OWNER) == 0));
	fuzz_must(s->protocol == protocol);
	fuzz_check_address(s, s->local);
	fuzz_check_address(s, s->remote);
}

/* A pw_socket_sink; the context is a struct fuzz_sum. */
static inline int fuzz_sink(void *context, const struct pw_socket *sockets, size_t n)
{
	struct fuzz_sum *sum = context;

	fuzz_must(n > 0 && n <= PW_BATCH_MAX);
	for (size_t i = 0; i < n; i++) {
		const uint8_t *bytes = (const uint8_t *)&sockets[i];

		fuzz_check_socket(&sockets[i], sum->protocol);
		for (size_t b = 0; b < sizeof(sockets[i]); b++)
			sum->hash = (sum->hash ^ bytes[b]) * UINT64_C(0x100000001b3);
	}
	sum->n += n;
	return 0;
}

#endif

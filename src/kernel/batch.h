/* SPDX-License-Identifier: BSD-2-Clause */
/* batch.h: hands sockets on in batches, so that a dump calls the census once per 64 sockets and copies none */
#ifndef PW_KERNEL_BATCH_H
#define PW_KERNEL_BATCH_H

#include <stddef.h>

#include "count/socket.h"

/* 64 records are 5 KB: they stay in the first level cache from the parser to the census. */
#define PW_BATCH_MAX 64

/* Takes sockets; a negative return (out of memory) ends the dump. */
typedef int pw_socket_sink(void *context, const struct pw_socket *sockets, size_t n);

struct pw_batch {
	pw_socket_sink *sink;
	void *context;
	size_t n;
	struct pw_socket sockets[PW_BATCH_MAX];
};

/* Where the next socket is to be written; it counts only after pw_batch_push(). */
static inline struct pw_socket *pw_batch_next(struct pw_batch *batch)
{
	return &batch->sockets[batch->n];
}

/* Hands on what is there. Returns 0, or what the sink returned. */
static inline int pw_batch_flush(struct pw_batch *batch)
{
	size_t n = batch->n;

	batch->n = 0;
	return n > 0 ? batch->sink(batch->context, batch->sockets, n) : 0;
}

/* Counts the socket at pw_batch_next(). */
static inline int pw_batch_push(struct pw_batch *batch)
{
	batch->n++;
	return batch->n == PW_BATCH_MAX ? pw_batch_flush(batch) : 0;
}

#endif

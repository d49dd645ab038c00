/* SPDX-License-Identifier: BSD-2-Clause */
/* backend.h: where the sockets of network namespaces come from
 *
 * A backend fills the censuses of all namespaces that a poll wants: one after the other, each from the inside
 * (netlink.h), or all of them at one go. It hands sockets on in batches, so that a census is called once per 64 of
 * them and none is copied. */
#ifndef PW_KERNEL_BACKEND_H
#define PW_KERNEL_BACKEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "count/owner.h"
#include "count/socket.h"
#include "kernel/input.h"

struct pw_namespace;

struct pw_backend {
	const char *name; /* as the configuration has it */
	bool inside;      /* wants one namespace at a time, with the thread in it */
	/* take() may do without the control group and the user of the sockets in these parts (PW_OWNER_PARTS), where
	 * that costs less */
	uint32_t unowned;
	/* why the last take() was refused, be it by the kernel or by a table that several namespaces have, or the own
	 * one; "" when it was not. Want of memory is no such reason, nor is what is the matter with a table of somebody
	 * else. */
	struct pw_error failure;
	/* NULL where namespaces have to be entered, and else: reads the list of all network namespaces of this host
	 * from the outside, once a poll. Returns their inode numbers, valid until the next call, or NULL with an
	 * error. */
	const uint64_t *(*list)(struct pw_backend *backend, size_t *n, struct pw_error *err);
	/* Reads the settings of one of them, with ns->inode, into ns->range and ns->cookie; ns->err unless PW_READ_OK.
	 * What take() adds to that is ns->counts. */
	enum pw_read_status (*settings)(struct pw_backend *backend, struct pw_namespace *ns);
	/* The name of an interface in it; false when there is none. */
	bool (*interface)(struct pw_backend *backend, struct pw_namespace *ns, uint32_t ifindex, char name[16]);
	/* Takes the sockets with a local port in ns->range: from pw_census_begin() to pw_census_finish() of ns->census,
	 * with all that is known about ports. Sets ns->taken, or ns->err, and ns->udp_failed with ns->err where UDP
	 * alone could not be had; adds what it cost to ns->stats. ns->unowned gets the parts that it left out. */
	void (*take)(struct pw_backend *backend, struct pw_namespace *const *wanted, size_t n);
	void (*free)(struct pw_backend *backend);
};

/* What taking the sockets of a namespace cost; netlink only. */
struct pw_take_stats {
	uint32_t messages; /* netlink messages received */
	uint32_t bytes;
	uint32_t retries;     /* dumps done again */
	uint32_t walks;       /* TCP dumps that walked the table of bound ports as well (netlink.h) */
	uint32_t bound_dumps; /* not-AUTO passes */
	uint32_t probes;
	uint64_t dump_us, bound_us, probe_us;
};

/* 64 sockets are 5 KB: they stay in the first level cache from the parser to the census. */
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

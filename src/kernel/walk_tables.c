/* SPDX-License-Identifier: BSD-2-Clause */
/* Walking the tables of sockets and of ports, and what their records say */
#include <netinet/in.h>
#include <string.h>

#include "base/array.h"
#include "kernel/walk_internal.h"

/* Buckets a run: it takes some 0.1 ms, and nobody who shares the CPU has to wait for longer. */
#define TCP_RUN 1024
#define BIND_RUN 4096

/* Sockets a batch: some 40 us, by helper 130. */
#define BATCH 768

/* --- records into sockets --- */

/* Decodes a record of a socket. Returns the words that it takes. */
static size_t decode(const uint64_t *words, const struct walk_head *head, uint8_t protocol, struct pw_socket *out)
{
	const uint64_t *at = words + 1;

	*out = (struct pw_socket){.local_port = head->local_port,
		.remote_port = ntohs(head->remote_port),
		.state = head->state,
		.protocol = protocol};
	if (head->flags & WALK_V6) {
		pw_socket_set_ipv6(out, at, at + 2);
		at += 4;
	} else {
		out->family = AF_INET;
		memcpy(out->remote, at, 4);
		memcpy(out->local, (const uint8_t *)at + 4, 4);
		at++;
	}
	/* it has no bind bucket, but nobody else gets its tuple, also when its listener is gone */
	if (protocol == IPPROTO_TCP && head->state == WALK_STATE_HALF_OPEN) {
		out->state = PW_SYN_RECV;
		out->flags |= PW_SOCKET_HALF_OPEN;
	}
	if (head->flags & WALK_V6ONLY)
		out->flags |= PW_SOCKET_V6ONLY;
	if (head->flags & WALK_DEVICE) {
		out->ifindex = (uint32_t)*at;
		out->vrf = (uint32_t)(*at++ >> 32);
		out->flags |= out->vrf != 0 ? PW_SOCKET_IN_VRF : 0;
	}
	if (head->flags & WALK_OWNER) {
		out->flags |= PW_SOCKET_HAS_OWNER;
		out->cgroup = at[0];
		out->uid = (uint32_t)at[1];
		at += 2;
	}
	if (head->flags & WALK_TIME_WAIT) {
		out->flags |= head->flags & WALK_TIMESTAMPS ? PW_SOCKET_STAMPED : PW_SOCKET_UNSTAMPED;
		out->expires_ms = 60000 - (uint32_t)*at++;
	}
	return (size_t)(at - words);
}

static int keep_bound(struct target *target, const struct pw_socket *socket)
{
	if (!PW_ARRAY_ROOM(target->bound, target->room, target->n_bound + 1))
		return -1;
	target->bound[target->n_bound++] = *socket;
	return 0;
}

static int keep_vrf_blocked(struct target *target, uint32_t vrf, uint16_t port)
{
	if (!PW_ARRAY_ROOM(target->vrf_blocked, target->vrf_room, target->n_vrf_blocked + 1))
		return -1;
	target->vrf_blocked[target->n_vrf_blocked++] = (struct vrf_port){vrf, port};
	return 0;
}

/* Hands on what a run has left in the buffer. */
static void take_records(struct walk *walk, enum walk_pass pass)
{
	const uint64_t *at = walk->records, *end = at + walk->bpf->bss->job.words;
	struct pw_socket bound;

	while (at < end) {
		struct walk_head head;
		struct target *target;
		int rc = 0;

		memcpy(&head, at, sizeof(head));
		target = &walk->targets[head.ns];
		if (head.flags & WALK_BLOCKED && head.flags & WALK_DEVICE) {
			rc = keep_vrf_blocked(target, (uint32_t)(at[1] >> 32), head.local_port);
			at += 2;
		} else if (head.flags & WALK_BLOCKED) {
			pw_portset_add(&target->blocked, head.local_port);
			at++;
		} else if (pass == WALK_PASS_BOUND || pass == WALK_PASS_LISTENING) {
			at += decode(at, &head, IPPROTO_TCP, &bound);
			rc = keep_bound(target, &bound);
		} else {
			at += decode(at, &head, pass == WALK_PASS_TCP ? IPPROTO_TCP : IPPROTO_UDP,
				pw_batch_next(&target->batch));
			rc = pw_batch_push(&target->batch);
		}
		if (rc < 0) {
			pw_error_set(&target->ns->err, "out of memory");
			target->failed = true;
		}
	}
}

/* --- tables --- */

/* Whether the owners of the sockets in a bucket are left out. What belongs together lies together (since 6.14 the ports
 * of a destination follow each other), so a part of a table is made of stripes from all over it. */
static bool is_unowned(const struct walk *walk, uint64_t bucket, uint32_t stripe)
{
	return (walk->backend.unowned >> bucket / stripe % PW_OWNER_PARTS & 1) != 0;
}

/* How many buckets make a batch, after a run that saw so many sockets in so many of them: a run ends with a batch only.
 * Of TIME_WAIT more lines of the cache are read, and those of a large batch would not stay there until then. */
static uint32_t batch_width(const struct walk *walk, uint32_t sockets, uint32_t in_buckets)
{
	const uint64_t width = (uint64_t)BATCH * in_buckets / (sockets + 1);
	const uint32_t most = walk->bpf->bss->met_time_wait ? WALK_BUCKETS / 4 : WALK_BUCKETS;

	return width == 0 ? 1 : width < most ? (uint32_t)width : most;
}

/* The next run: of so many buckets at most, all of them with owners or all without. */
static void set_run(const struct walk *walk, struct walk_job *job, uint64_t first, uint32_t most)
{
	const uint64_t size = (uint64_t)job->mask + 1;
	const uint32_t stripe = size > 32 * TCP_RUN ? TCP_RUN
		: size > 32 * WALK_BUCKETS          ? (uint32_t)size / 32
						    : WALK_BUCKETS;
	const bool unowned = is_unowned(walk, first, stripe);
	uint64_t end = first;

	do
		end = (end / stripe + 1) * stripe;
	while (end < first + most && end < size && is_unowned(walk, end, stripe) == unowned);
	end = end < first + most ? end : first + most;
	end = end < size ? end : size;
	job->first = (uint32_t)first;
	job->count = (uint32_t)(end - first);
	job->owners = !unowned;
}

/* Walks a whole table in pieces. Returns 0, or -1 with an error: of the kernel, or, with *table_failed, of this table
 * alone. */
static int walk_table(
	struct walk *walk, enum walk_pass pass, uint64_t table, uint32_t mask, bool *table_failed, struct pw_error *err)
{
	const struct bpf_program *program = pass == WALK_PASS_BOUND ? walk->bpf->progs.walk_bound
								    : walk->bpf->progs.walk_sockets;
	struct walk_job *job = &walk->bpf->bss->job;

	job->table = table;
	job->kind = pass == WALK_PASS_TCP ? WALK_TCP : pass == WALK_PASS_UDP ? WALK_UDP : WALK_LISTENING;
	job->mask = mask;
	job->width = WALK_BUCKETS / 4;
	for (uint64_t first = 0; first <= mask; first = job->next) {
		const uint32_t seen = job->seen;

		set_run(walk, job, first, pass == WALK_PASS_BOUND ? BIND_RUN : TCP_RUN);
		if (pw_walk_run(walk, program, err) < 0)
			return -1;
		*table_failed = job->cut || (job->full && job->width == 1);
		if (*table_failed)
			return pw_error_set(err, "BPF: a chain of the socket table is too long, or can't be read");
		take_records(walk, pass);
		/* the next batch is too much for the buffer: bucket by bucket then */
		job->width = job->full ? 1 : batch_width(walk, job->seen - seen, job->next - (uint32_t)first);
	}
	return 0;
}

static uint64_t table_of(const struct walk_net *net, enum walk_pass pass, uint32_t *mask)
{
	const uint64_t tables[] = {net->listening, net->bound, net->tcp, net->udp};
	const uint32_t masks[] = {net->listening_mask, net->bound_size - 1, net->tcp_mask, net->udp_mask};

	*mask = masks[pass];
	return tables[pass];
}

/* A namespace may have tables of its own; what is the matter with them is no matter of others. */
static void fail_table(struct walk *walk, enum walk_pass pass, uint64_t table, const struct pw_error *err)
{
	const struct walk_bpf__bss *bss = walk->bpf->bss;
	uint32_t mask, sharing = 0;

	for (size_t i = 0; i < walk->n; i++)
		if (table_of(walk->targets[i].net, pass, &mask) == table) {
			walk->targets[i].failed = true;
			walk->targets[i].ns->err = *err;
			sharing += 2 * (walk->targets[i].ns->outside == NULL);
		}
	for (uint32_t i = 0; i < bss->job.nets; i++)
		sharing += table_of(&bss->nets[i], pass, &mask) == table;
	if (sharing > 1)
		walk->backend.failure = *err;
}

int pw_walk_tables(struct walk *walk, enum walk_pass pass, struct pw_error *err)
{
	for (size_t i = 0; i < walk->n; i++) {
		uint32_t mask, other;
		uint64_t table = table_of(walk->targets[i].net, pass, &mask);
		bool seen = table == 0, table_failed = false;

		for (size_t k = 0; k < i && !seen; k++)
			seen = table_of(walk->targets[k].net, pass, &other) == table;
		if (seen || walk_table(walk, pass, table, mask, &table_failed, err) == 0)
			continue;
		if (!table_failed)
			return -1;
		fail_table(walk, pass, table, err);
	}
	return 0;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* walk_internal.h: what the files of the backend that walks by BPF share: walk_load.c loads and runs the programs,
 * walk_nets.c knows the network namespaces, walk_tables.c walks the tables, walk.c makes a take of all that */
#ifndef PW_KERNEL_WALK_INTERNAL_H
#define PW_KERNEL_WALK_INTERNAL_H

#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "kernel/namespace.h"
#include "kernel/walk.h"
#include "kernel/walk_record.h"
#include "kernel/walk.skel.h"

struct walk {
	struct pw_backend backend;
	struct walk_bpf *bpf;
	const uint64_t *records; /* WALK_WORDS of them, mapped */
	uint64_t *inodes;        /* of the namespaces that were listed */
	size_t inodes_room;
	/* of a take */
	struct pw_walk_stats stats;
	struct target *targets; /* one a namespace that is wanted */
	size_t n, room;
	uint32_t found; /* see pw_walk_find() */
};

/* A namespace that is wanted, and what has been found in it. */
struct target {
	struct pw_namespace *ns;
	const struct walk_net *net;
	struct pw_portset blocked;
	struct pw_socket
		*bound; /* listeners and sockets that are only bound: they are read before the census may have them */
	size_t n_bound, room;
	struct vrf_port {
		uint32_t vrf;
		uint16_t port;
	} * vrf_blocked; /* blocked for the sockets of a VRF alone */
	size_t n_vrf_blocked, vrf_room;
	struct pw_batch batch;
	bool failed; /* ns->err says why */
};

enum walk_pass { WALK_PASS_LISTENING, WALK_PASS_BOUND, WALK_PASS_TCP, WALK_PASS_UDP };

/* Loads the programs: those that load directly where the kernel and `direct` allow it, else those that do it by a
 * helper. Returns 0, or -1 with an error. */
int pw_walk_load(struct walk *walk, bool direct, struct pw_error *err);

/* Runs one, once; adds to walk->stats. */
int pw_walk_run(struct walk *walk, const struct bpf_program *program, struct pw_error *err);

/* Reads the list of network namespaces, with their tables and settings. Returns 0, or -1 with an error. */
int pw_walk_list(struct walk *walk, struct pw_error *err);

/* The namespace of the list with this inode number, or NULL. */
const struct walk_net *pw_walk_find(struct walk *walk, uint64_t inode);

/* See struct pw_backend. */
const uint64_t *pw_walk_inodes(struct pw_backend *backend, size_t *n, struct pw_error *err);
enum pw_read_status pw_walk_settings(struct pw_backend *backend, struct pw_namespace *ns);
bool pw_walk_interface(struct pw_backend *backend, struct pw_namespace *ns, uint32_t ifindex, char name[WALK_NAME]);

/* Walks each distinct table of the targets once: most namespaces share theirs. Their sockets go into what the targets
 * have for them. Returns 0, or -1 with an error of the kernel; what is the matter with one table is the error of the
 * namespaces that have it. */
int pw_walk_tables(struct walk *walk, enum walk_pass pass, struct pw_error *err);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernel/walk.h"

#include <config.h>

#include <stdio.h>
#include <sys/utsname.h>

#include "base/number.h"
/* __sys_bpf(): unprivileged_bpf_disabled stops every command there, and since 5.19 loading alone. */
bool pw_walk_needs_privilege(void)
{
	struct utsname kernel;
	const char *text = kernel.release;
	uint64_t major, minor;

	if (uname(&kernel) < 0 || !pw_number_take(&text, UINT32_MAX, &major) || *text++ != '.' ||
		!pw_number_take(&text, UINT32_MAX, &minor))
		return true;
	return major < 5 || (major == 5 && minor < 19);
}

#ifndef HAVE_BPF

struct pw_backend *pw_walk_backend(struct pw_error *err)
{
	return pw_walk_backend_by_helper(err);
}

struct pw_backend *pw_walk_backend_by_helper(struct pw_error *err)
{
	pw_error_set(err, "built without BPF");
	return NULL;
}

void pw_walk_stats(const struct pw_backend *backend, struct pw_walk_stats *out)
{
	(void)backend;
	*out = (struct pw_walk_stats){0};
}

#else

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/array.h"
#include "kernel/takeover.h"
#include "kernel/walk_internal.h"

/* --- a take --- */

static int sink(void *context, const struct pw_socket *sockets, size_t n)
{
	return pw_census_add(context, sockets, n);
}

/* Tells the programs which ports of a namespace are wanted. Addresses of namespaces are used again, so none is kept
 * until the next take. */
static int add_target(struct walk *walk, struct pw_namespace *ns)
{
	const struct walk_net *net = pw_walk_find(walk, ns->entered);
	struct walk_filter filter;
	struct target *target;

	if (net == NULL) {
		pw_error_set(&ns->err, "BPF: the network namespace is not in the kernel's list");
		if (ns->outside == NULL)
			walk->backend.failure = ns->err;
		return -1;
	}
	if (walk->n == WALK_NAMESPACES || !PW_ARRAY_ROOM(walk->targets, walk->room, walk->n + 1))
		return pw_error_set(&ns->err, "out of memory");
	filter = (struct walk_filter){.index = (uint32_t)walk->n,
		.low = ns->counted_only ? 1 : pw_range_look_low(&ns->range),
		.high = ns->counted_only ? 0 : pw_range_look_high(&ns->range),
		.hash_mix = net->hash_mix};
	if (bpf_map_update_elem(bpf_map__fd(walk->bpf->maps.filters), &net->net, &filter, BPF_ANY) != 0)
		return pw_error_set(&ns->err, "BPF: filter: %s", strerror(errno));
	target = &walk->targets[walk->n++];
	memset(target, 0, sizeof(*target));
	target->ns = ns;
	target->net = net;
	target->batch.sink = sink;
	target->batch.context = ns->census;
	return 0;
}

static void remove_targets(struct walk *walk)
{
	for (size_t i = 0; i < walk->n; i++) {
		bpf_map_delete_elem(bpf_map__fd(walk->bpf->maps.filters), &walk->targets[i].net->net);
		free(walk->targets[i].bound);
		free(walk->targets[i].vrf_blocked);
	}
	walk->n = 0;
}

/* The bind buckets have been read: the censuses may begin. */
static void begin(struct target *target)
{
	int rc = 0;

	if (target->ns->counted_only)
		return;
	pw_census_begin(target->ns->census, &target->ns->range);
	pw_census_set_blocked(target->ns->census, &target->blocked);
	for (size_t i = 0; i < target->n_vrf_blocked && rc == 0; i++)
		rc = pw_census_add_blocked(target->ns->census, target->vrf_blocked[i].vrf, target->vrf_blocked[i].port);
	if (rc < 0 || pw_census_add(target->ns->census, target->bound, target->n_bound) < 0) {
		pw_error_set(&target->ns->err, "out of memory");
		target->failed = true;
	}
}

/* Of a namespace that nobody has been in the walk is what knows the numbers of its sockets. */
static void set_counts(struct pw_namespace *ns, const struct walk_count *count)
{
	if (ns->outside != NULL)
		ns->counts = (struct pw_sockstat){
			.tcp = count->tcp, .tcp_time_wait = count->time_wait, .udp = count->udp};
}

static void end(struct target *target, uint32_t unowned)
{
	if (target->ns->counted_only)
		return;
	if (pw_batch_flush(&target->batch) < 0) {
		pw_error_set(&target->ns->err, "out of memory");
		target->failed = true;
	}
	pw_census_finish(target->ns->census);
	target->ns->taken = !target->failed;
	target->ns->unowned = unowned;
}

/* A namespace with tables of its own may end while these are walked: what could not be read then is no failure. */
static void find_gone(struct walk *walk, struct pw_namespace *const *wanted, size_t n)
{
	const struct walk_net *net;
	bool listed = false;

	for (size_t i = 0; i < n; i++) {
		struct pw_namespace *ns = wanted[i];

		if (ns->outside == NULL || ns->taken || ns->counted_only)
			continue;
		if (!listed && pw_walk_list(walk, NULL) < 0)
			return;
		listed = true;
		net = pw_walk_find(walk, ns->inode);
		if (net == NULL || net->cookie != ns->cookie)
			ns->status = PW_READ_GONE;
	}
}

static void take(struct pw_backend *backend, struct pw_namespace *const *wanted, size_t n)
{
	struct walk *walk = (struct walk *)backend;
	struct pw_error err;
	int rc;

	walk->stats = (struct pw_walk_stats){0};
	backend->failure.text[0] = '\0';
	walk->bpf->bss->job.redone = walk->bpf->bss->job.seen = 0;
	memset(walk->bpf->bss->counts, 0, sizeof(walk->bpf->bss->counts));
	rc = pw_walk_list(walk, &err);
	for (size_t i = 0; i < n && rc == 0; i++) {
		wanted[i]->udp_failed = false;
		add_target(walk, wanted[i]);
	}
	if (rc == 0)
		rc = pw_walk_tables(walk, WALK_PASS_LISTENING, &err);
	if (rc == 0)
		rc = pw_walk_tables(walk, WALK_PASS_BOUND, &err);
	for (size_t i = 0; i < walk->n && rc == 0; i++)
		begin(&walk->targets[i]);
	if (rc == 0)
		rc = pw_walk_tables(walk, WALK_PASS_TCP, &err);
	if (rc == 0)
		rc = pw_walk_tables(walk, WALK_PASS_UDP, &err);
	for (size_t i = 0; i < walk->n && rc == 0; i++) {
		end(&walk->targets[i], backend->unowned);
		set_counts(walk->targets[i].ns, &walk->bpf->bss->counts[i]);
	}
	remove_targets(walk);
	for (size_t i = 0; i < n && rc < 0; i++)
		wanted[i]->err = err;
	if (rc == 0)
		find_gone(walk, wanted, n);
	else
		backend->failure = err;
}

static void walk_free(struct pw_backend *backend)
{
	struct walk *walk = (struct walk *)backend;

	if (walk->records != NULL)
		munmap((void *)(uintptr_t)walk->records, WALK_WORDS * sizeof(uint64_t));
	walk_bpf__destroy(walk->bpf);
	free(walk->targets);
	free(walk->inodes);
	free(walk);
}

/* Where it can't be known, orphans count as used. */
static void find_out_about_orphans(struct walk *walk)
{
	struct walk_bpf__bss *bss = walk->bpf->bss;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	bss->job.fd = fd;
	if (fd < 0 || pw_walk_run(walk, walk->bpf->progs.read_takeover, NULL) < 0)
		bss->code.size = 0;
	bss->job.alike = pw_takeover_ignores_substate(
		bss->code.bytes, bss->code.size, bss->code.substate, bss->code.stamp);
	if (fd >= 0)
		close(fd);
}

static struct pw_backend *open_backend(bool direct, struct pw_error *err)
{
	struct walk *walk = calloc(1, sizeof(*walk));

	if (walk == NULL) {
		pw_error_set(err, "out of memory");
		return NULL;
	}
	walk->backend = (struct pw_backend){.name = "bpf",
		.list = pw_walk_inodes,
		.settings = pw_walk_settings,
		.interface = pw_walk_interface,
		.take = take,
		.free = walk_free};
	if (pw_walk_load(walk, direct, err) == 0) {
		find_out_about_orphans(walk);
		return &walk->backend;
	}
	walk_free(&walk->backend);
	return NULL;
}

struct pw_backend *pw_walk_backend(struct pw_error *err)
{
	return open_backend(true, err);
}

struct pw_backend *pw_walk_backend_by_helper(struct pw_error *err)
{
	return open_backend(false, err);
}

void pw_walk_stats(const struct pw_backend *backend, struct pw_walk_stats *out)
{
	const struct walk *walk = (const struct walk *)backend;

	*out = walk->stats;
	out->redone = walk->bpf->bss->job.redone;
	out->seen = walk->bpf->bss->job.seen;
}

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernel/walk.h"

#include <config.h>

#include <stdio.h>
#include <sys/utsname.h>

/* __sys_bpf(): unprivileged_bpf_disabled stops every command there, and since 5.19 loading alone. */
bool pw_walk_needs_privilege(void)
{
	struct utsname kernel;
	unsigned major, minor;

	if (uname(&kernel) < 0 || sscanf(kernel.release, "%u.%u", &major, &minor) != 2)
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

#include <assert.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/types.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/array.h"
#include "kernel/namespace.h"
#include "kernel/takeover.h"
#include "kernel/walk_record.h"
#include "kernel/walk.skel.h"
#include "kernel/walk_helper.skel.h"

/* Buckets a run: it takes some 0.1 ms, and nobody who shares the CPU has to wait for longer. */
#define TCP_RUN 1024
#define BIND_RUN 4096

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
	uint32_t found; /* see find_net() */
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

/* --- loading --- */

static char load_message[256];

/* The last warning of the library says best what the kernel did not like. */
__attribute__((format(printf, 2, 0))) static int keep_message(
	enum libbpf_print_level level, const char *format, va_list arguments)
{
	if (level == LIBBPF_WARN) {
		vsnprintf(load_message, sizeof(load_message), format, arguments);
		load_message[strcspn(load_message, "\n")] = '\0';
	}
	return 0;
}

/* Whether the kernel has a function that programs may call. Its name alone is looked for: btf__load_vmlinux_btf() would
 * take apart all types of the kernel, for 20 ms and 14 MiB. */
static bool kernel_has(const char *function)
{
	const size_t size = strlen(function) + 2; /* between two zeros */
	char name[64] = "", buffer[65536];
	size_t kept = 0, n;
	bool has = false;
	FILE *file = fopen("/sys/kernel/btf/vmlinux", "re");

	if (file == NULL)
		return false;
	memcpy(name + 1, function, size - 2);
	while (!has && (n = fread(buffer + kept, 1, sizeof(buffer) - kept, file)) > 0) {
		n += kept;
		has = memmem(buffer, n, name, size) != NULL;
		kept = n < size ? n : size - 1;
		memmove(buffer, buffer + n - kept, kept);
	}
	fclose(file);
	return has;
}

/* Both kinds of programs are made from the same text, and the variables of one are taken for those of the other. */
#define SAME_PLACE(variable) \
	static_assert(offsetof(struct walk_bpf__bss, variable) == offsetof(struct walk_helper_bpf__bss, variable), \
		"the programs have " #variable " in different places")

SAME_PLACE(job);
SAME_PLACE(nets);
SAME_PLACE(counts);
SAME_PLACE(reserved_ports);
SAME_PLACE(interface_name);
SAME_PLACE(code);

/* Opens the programs that load directly, or those that do it by a helper. */
static struct walk_bpf *open_programs(bool direct)
{
	struct walk_bpf *bpf = calloc(1, sizeof(*bpf));
	size_t size;

	if (bpf == NULL || walk_bpf__create_skeleton(bpf) != 0) {
		free(bpf);
		errno = ENOMEM;
		return NULL;
	}
	if (!direct) {
		bpf->skeleton->data = (void *)(uintptr_t)walk_helper_bpf__elf_bytes(&size);
		bpf->skeleton->data_sz = size;
	}
	if (bpf_object__open_skeleton(bpf->skeleton, NULL) == 0)
		return bpf;
	walk_bpf__destroy(bpf);
	return NULL;
}

static int load(struct walk *walk, bool direct, struct pw_error *err)
{
	void *records;

	libbpf_set_print(keep_message);
	load_message[0] = '\0';
	walk->bpf = open_programs(direct && kernel_has("bpf_rdonly_cast"));
	if (walk->bpf == NULL)
		return pw_error_set(err, "BPF: %s", strerror(errno));
	if (walk_bpf__load(walk->bpf) != 0) {
		int cause = errno;

		return pw_error_set(err, "BPF: %s%s%s", strerror(cause),
			cause == EPERM || load_message[0] == '\0' ? "" : ": ", cause == EPERM ? "" : load_message);
	}
	records = mmap(
		NULL, WALK_WORDS * sizeof(uint64_t), PROT_READ, MAP_SHARED, bpf_map__fd(walk->bpf->maps.records), 0);
	if (records == MAP_FAILED)
		return pw_error_set(err, "BPF: map: %s", strerror(errno));
	walk->records = records;
	return 0;
}

static uint64_t cpu_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static int run(struct walk *walk, const struct bpf_program *program, struct pw_error *err)
{
	LIBBPF_OPTS(bpf_test_run_opts, options);
	uint64_t start = cpu_ns(), took;
	int rc = bpf_prog_test_run_opts(bpf_program__fd(program), &options);

	if (rc != 0)
		return pw_error_set(err, "BPF: %s: %s", bpf_program__name(program), strerror(-rc));
	took = cpu_ns() - start;
	walk->stats.runs++;
	walk->stats.run_ns += took;
	if (took > walk->stats.longest_run_ns)
		walk->stats.longest_run_ns = took;
	return 0;
}

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

enum pass { LISTENING, BOUND, TCP, UDP };

/* Hands on what a run has left in the buffer. */
static void take_records(struct walk *walk, enum pass pass)
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
		} else if (pass == BOUND || pass == LISTENING) {
			at += decode(at, &head, IPPROTO_TCP, &bound);
			rc = keep_bound(target, &bound);
		} else {
			at += decode(at, &head, pass == TCP ? IPPROTO_TCP : IPPROTO_UDP, pw_batch_next(&target->batch));
			rc = pw_batch_push(&target->batch);
		}
		if (rc < 0) {
			pw_error_set(&target->ns->err, "out of memory");
			target->failed = true;
		}
	}
}

/* --- tables --- */

/* Whether the owners of the sockets in a bucket are left out. What belongs together lies together (since 6.14 the ports of
 * a destination follow each other), so a part of a table is made of stripes from all over it. */
static bool is_unowned(const struct walk *walk, uint64_t bucket, uint32_t stripe)
{
	return (walk->backend.unowned >> bucket / stripe % PW_OWNER_PARTS & 1) != 0;
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
	job->first = (uint32_t)first;
	job->owners = !unowned;
	/* the next batch is too much for the buffer: bucket by bucket then */
	job->width = job->full ? 1 : end - first < WALK_BUCKETS ? (uint32_t)(end - first) : WALK_BUCKETS;
	job->count = (uint32_t)(end - first) / job->width * job->width;
}

/* Walks a whole table in pieces. Returns 0, or -1 with an error: of the kernel, or, with *table_failed, of this table
 * alone. */
static int walk_table(
	struct walk *walk, enum pass pass, uint64_t table, uint32_t mask, bool *table_failed, struct pw_error *err)
{
	const struct bpf_program *program = pass == BOUND ? walk->bpf->progs.walk_bound : walk->bpf->progs.walk_sockets;
	struct walk_job *job = &walk->bpf->bss->job;

	job->table = table;
	job->kind = pass == TCP ? WALK_TCP : pass == UDP ? WALK_UDP : WALK_LISTENING;
	job->mask = mask;
	job->full = 0;
	for (uint64_t first = 0; first <= mask; first = job->next) {
		set_run(walk, job, first, pass == BOUND ? BIND_RUN : TCP_RUN);
		if (run(walk, program, err) < 0)
			return -1;
		*table_failed = job->cut || (job->full && job->width == 1);
		if (*table_failed)
			return pw_error_set(err, "BPF: a chain of the socket table is too long, or can't be read");
		take_records(walk, pass);
	}
	return 0;
}

static uint64_t table_of(const struct walk_net *net, enum pass pass, uint32_t *mask)
{
	const uint64_t tables[] = {net->listening, net->bound, net->tcp, net->udp};
	const uint32_t masks[] = {net->listening_mask, net->bound_size - 1, net->tcp_mask, net->udp_mask};

	*mask = masks[pass];
	return tables[pass];
}

/* A namespace may have tables of its own; what is the matter with them is no matter of others. */
static void fail_table(struct walk *walk, enum pass pass, uint64_t table, const struct pw_error *err)
{
	uint32_t mask;

	for (size_t i = 0; i < walk->n; i++)
		if (table_of(walk->targets[i].net, pass, &mask) == table) {
			walk->targets[i].failed = true;
			walk->targets[i].ns->err = *err;
		}
}

/* Walks each distinct table of the targets once: most namespaces share theirs. */
static int walk_tables(struct walk *walk, enum pass pass, struct pw_error *err)
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

/* --- a take --- */

static int list_namespaces(struct walk *walk, struct pw_error *err)
{
	int rc, fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return pw_error_set(err, "socket: %s", strerror(errno));
	walk->bpf->bss->job.fd = fd;
	rc = run(walk, walk->bpf->progs.list_namespaces, err);
	close(fd);
	return rc;
}

/* They are asked for in their order: each is looked for from where the one before was found. */
static const struct walk_net *find_net(struct walk *walk, uint64_t inode)
{
	const struct walk_bpf__bss *bss = walk->bpf->bss;

	for (uint32_t i = 0; i < bss->job.nets; i++, walk->found++) {
		if (walk->found >= bss->job.nets)
			walk->found = 0;
		if (bss->nets[walk->found].inode == inode)
			return &bss->nets[walk->found];
	}
	return NULL;
}

static const uint64_t *list(struct pw_backend *backend, size_t *n, struct pw_error *err)
{
	struct walk *walk = (struct walk *)backend;
	const struct walk_bpf__bss *bss = walk->bpf->bss;

	if (list_namespaces(walk, err) < 0)
		return NULL;
	*n = bss->job.nets;
	if (!PW_ARRAY_ROOM(walk->inodes, walk->inodes_room, *n + 1)) {
		pw_error_set(err, "out of memory");
		return NULL;
	}
	for (size_t i = 0; i < *n; i++)
		walk->inodes[i] = bss->nets[i].inode;
	return walk->inodes;
}

/* For the programs that look into one namespace. They say whether it is still the same. */
static const struct walk_net *aim(struct walk *walk, struct pw_namespace *ns)
{
	struct walk_job *job = &walk->bpf->bss->job;
	const struct walk_net *net = find_net(walk, ns->inode);

	if (net == NULL)
		return NULL;
	job->net = net->net;
	job->inode = net->inode;
	job->cookie = net->cookie;
	return net;
}

static enum pw_read_status settings(struct pw_backend *backend, struct pw_namespace *ns)
{
	struct walk *walk = (struct walk *)backend;
	const struct walk_bpf__bss *bss = walk->bpf->bss;
	const struct walk_net *net = aim(walk, ns);

	if (net != NULL && run(walk, walk->bpf->progs.read_reserved, &ns->err) < 0)
		return PW_READ_FAILED;
	if (net == NULL || bss->job.gone) {
		pw_error_set(&ns->err, "the network namespace has gone");
		return PW_READ_GONE;
	}
	ns->range = (struct pw_range){.low = net->low,
		.high = net->high,
		.tw_reuse = (enum pw_tw_reuse)net->reuse,
		.tw_reuse_delay_ms = net->reuse_delay_ms,
		.timestamps = net->timestamps};
	memcpy(&ns->range.reserved, bss->reserved_ports, sizeof(ns->range.reserved));
	ns->entered = net->inode;
	ns->cookie = net->cookie;
	return PW_READ_OK;
}

static bool interface(struct pw_backend *backend, struct pw_namespace *ns, uint32_t ifindex, char name[WALK_NAME])
{
	struct walk *walk = (struct walk *)backend;
	struct walk_bpf__bss *bss = walk->bpf->bss;

	bss->job.first = ifindex;
	if (aim(walk, ns) == NULL || run(walk, walk->bpf->progs.name_interface, NULL) < 0 || bss->job.gone)
		return false;
	memcpy(name, bss->interface_name, WALK_NAME);
	return memchr(name, '\0', WALK_NAME) > (void *)name;
}

static int sink(void *context, const struct pw_socket *sockets, size_t n)
{
	return pw_census_add(context, sockets, n);
}

/* Tells the programs which ports of a namespace are wanted. Addresses of namespaces are used again, so none is kept
 * until the next take. */
static int add_target(struct walk *walk, struct pw_namespace *ns)
{
	const struct walk_net *net = find_net(walk, ns->entered);
	struct walk_filter filter;
	struct target *target;

	if (net == NULL)
		return pw_error_set(&ns->err, "BPF: the network namespace is not in the kernel's list");
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
		if (!listed && list_namespaces(walk, NULL) < 0)
			return;
		listed = true;
		net = find_net(walk, ns->inode);
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
	walk->bpf->bss->job.redone = walk->bpf->bss->job.seen = 0;
	memset(walk->bpf->bss->counts, 0, sizeof(walk->bpf->bss->counts));
	rc = list_namespaces(walk, &err);
	for (size_t i = 0; i < n && rc == 0; i++) {
		wanted[i]->udp_failed = false;
		add_target(walk, wanted[i]);
	}
	if (rc == 0)
		rc = walk_tables(walk, LISTENING, &err);
	if (rc == 0)
		rc = walk_tables(walk, BOUND, &err);
	for (size_t i = 0; i < walk->n && rc == 0; i++)
		begin(&walk->targets[i]);
	if (rc == 0)
		rc = walk_tables(walk, TCP, &err);
	if (rc == 0)
		rc = walk_tables(walk, UDP, &err);
	for (size_t i = 0; i < walk->n && rc == 0; i++) {
		end(&walk->targets[i], backend->unowned);
		set_counts(walk->targets[i].ns, &walk->bpf->bss->counts[i]);
	}
	remove_targets(walk);
	for (size_t i = 0; i < n && rc < 0; i++)
		wanted[i]->err = err;
	if (rc == 0)
		find_gone(walk, wanted, n);
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
	if (fd < 0 || run(walk, walk->bpf->progs.read_takeover, NULL) < 0)
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
		.list = list,
		.settings = settings,
		.interface = interface,
		.take = take,
		.free = walk_free};
	if (load(walk, direct, err) == 0) {
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

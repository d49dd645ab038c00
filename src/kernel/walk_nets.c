/* SPDX-License-Identifier: BSD-2-Clause */
/* The network namespaces of this host, read from the outside */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/array.h"
#include "kernel/walk_internal.h"

int pw_walk_list(struct walk *walk, struct pw_error *err)
{
	int rc, fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return pw_error_set(err, "socket: %s", strerror(errno));
	walk->bpf->bss->job.fd = fd;
	rc = pw_walk_run(walk, walk->bpf->progs.list_namespaces, err);
	close(fd);
	return rc;
}

/* They are asked for in their order: each is looked for from where the one before was found. */
const struct walk_net *pw_walk_find(struct walk *walk, uint64_t inode)
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

const uint64_t *pw_walk_inodes(struct pw_backend *backend, size_t *n, struct pw_error *err)
{
	struct walk *walk = (struct walk *)backend;
	const struct walk_bpf__bss *bss = walk->bpf->bss;

	if (pw_walk_list(walk, err) < 0)
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
	const struct walk_net *net = pw_walk_find(walk, ns->inode);

	if (net == NULL)
		return NULL;
	job->net = net->net;
	job->inode = net->inode;
	job->cookie = net->cookie;
	return net;
}

enum pw_read_status pw_walk_settings(struct pw_backend *backend, struct pw_namespace *ns)
{
	struct walk *walk = (struct walk *)backend;
	const struct walk_bpf__bss *bss = walk->bpf->bss;
	const struct walk_net *net = aim(walk, ns);

	if (net != NULL && pw_walk_run(walk, walk->bpf->progs.read_reserved, &ns->err) < 0)
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

bool pw_walk_interface(struct pw_backend *backend, struct pw_namespace *ns, uint32_t ifindex, char name[WALK_NAME])
{
	struct walk *walk = (struct walk *)backend;
	struct walk_bpf__bss *bss = walk->bpf->bss;

	bss->job.first = ifindex;
	if (aim(walk, ns) == NULL || pw_walk_run(walk, walk->bpf->progs.name_interface, NULL) < 0 || bss->job.gone)
		return false;
	memcpy(name, bss->interface_name, WALK_NAME);
	return memchr(name, '\0', WALK_NAME) > (void *)name;
}

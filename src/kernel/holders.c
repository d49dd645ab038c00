/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernel/holders.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/array.h"
#include "base/number.h"
#include "base/utf8.h"
#include "kernel/inet_diag.h"
#include "kernel/sysctl.h"

#define DUMP_TRIES 5
#define COMM_MAX 16
#define PROCESSES_NAMED 3

struct gathered {
	struct pw_holders *holders;
	size_t room;
	uint16_t port;
};

static int gather(void *context, const struct pw_socket *sockets, size_t n)
{
	struct gathered *gathered = context;
	struct pw_holders *holders = gathered->holders;

	for (size_t i = 0; i < n; i++) {
		if (sockets[i].local_port != gathered->port)
			continue; /* a kernel without a filter of this kind */
		if (!PW_ARRAY_ROOM(holders->list, gathered->room, holders->n + 1))
			return -1;
		holders->list[holders->n++] = (struct pw_holder){.socket = sockets[i]};
	}
	return 0;
}

/* The processes of a socket; whether the one that is looked at is among them. */
struct found {
	unsigned n;
	bool here;
};

/* Notes a process that has the socket open. */
static void note_process(struct pw_holder *holder, unsigned *found, const char *pid)
{
	char path[280], comm[COMM_MAX + 1] = "", *text = holder->processes;
	size_t used = strlen(text), size = sizeof(holder->processes);
	int fd;

	if (++*found > PROCESSES_NAMED)
		return;
	snprintf(path, sizeof(path), "/proc/%s/comm", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		ssize_t n = read(fd, comm, COMM_MAX);

		comm[n > 0 ? n : 0] = '\0';
		comm[strcspn(comm, "\n")] = '\0';
		close(fd);
	}
	pw_utf8_clean(comm, sizeof(comm), comm);
	snprintf(text + used, size - used, "%s%s (pid %s)", used > 0 ? ", " : "", comm[0] != '\0' ? comm : "?", pid);
}

/* A process that has a socket open more than once is noted once. */
static void look_into(struct pw_holders *holders, struct found *found, const char *pid)
{
	char path[280], target[64];
	const struct dirent *entry;
	DIR *directory;

	snprintf(path, sizeof(path), "/proc/%s/fd", pid);
	directory = opendir(path);
	if (directory == NULL)
		return; /* another user's, or it has ended */
	while ((entry = readdir(directory)) != NULL) {
		/* "socket:[123]" with the inode number, or another file */
		ssize_t n = readlinkat(dirfd(directory), entry->d_name, target, sizeof(target) - 1);
		const char *text = target + strlen("socket:[");
		uint64_t inode;

		target[n > 0 ? n : 0] = '\0';
		if (strncmp(target, "socket:[", strlen("socket:[")) != 0 ||
			!pw_number_take(&text, UINT64_MAX, &inode) || *text != ']')
			continue;
		for (size_t i = 0; i < holders->n && inode != 0; i++)
			found[i].here = found[i].here || holders->list[i].socket.inode == inode;
	}
	closedir(directory);
	for (size_t i = 0; i < holders->n; i++) {
		if (found[i].here)
			note_process(&holders->list[i], &found[i].n, pid);
		found[i].here = false;
	}
}

static int find_processes(struct pw_holders *holders, struct pw_error *err)
{
	struct found *found = calloc(holders->n + 1, sizeof(*found));
	const struct dirent *entry;
	DIR *proc = opendir("/proc");

	if (found == NULL || proc == NULL) {
		pw_error_set(err, "/proc: %s", strerror(errno));
		if (proc != NULL)
			closedir(proc);
		free(found);
		return -1;
	}
	while ((entry = readdir(proc)) != NULL)
		if (pw_is_digits(entry->d_name))
			look_into(holders, found, entry->d_name);
	closedir(proc);
	for (size_t i = 0; i < holders->n; i++) {
		char *text = holders->list[i].processes;
		size_t used = strlen(text);

		if (found[i].n > PROCESSES_NAMED)
			snprintf(text + used, sizeof(holders->list[i].processes) - used, " and %u more",
				found[i].n - PROCESSES_NAMED);
	}
	free(found);
	return 0;
}

int pw_holders_read(struct pw_holders *out, uint16_t port, struct pw_error *err)
{
	static const enum pw_stream streams[] = {PW_STREAM_DUMP_TCP, PW_STREAM_DUMP_UDP, PW_STREAM_DUMP_UDP6};
	struct gathered gathered = {.holders = out, .port = port};
	struct pw_input input;
	const char *path;
	int result = 0;

	*out = (struct pw_holders){0};
	if (pw_input_kernel(&input, &path) < 0)
		result = pw_error_set(err, "%s: %s", path, strerror(errno));
	else if (pw_sysctl_read(&input, &out->range, err) != PW_READ_OK)
		result = -1;
	for (size_t i = 0; i < sizeof(streams) / sizeof(streams[0]) && result == 0; i++) {
		enum pw_dump_status status = PW_DUMP_AGAIN;
		const size_t before = out->n;

		for (int try = 0; try < DUMP_TRIES && status == PW_DUMP_AGAIN; try++) {
			struct pw_batch batch = {.sink = gather, .context = &gathered};
			struct pw_take_stats stats = {0};

			out->n = before;
			status = pw_inet_diag_dump(&input, streams[i], port, port, &batch, &stats, err);
		}
		result = status == PW_DUMP_OK ? 0 : -1;
	}
	pw_input_free(&input);
	return result == 0 && out->n > 0 ? find_processes(out, err) : result;
}

void pw_holders_clear(struct pw_holders *holders)
{
	free(holders->list);
	*holders = (struct pw_holders){0};
}

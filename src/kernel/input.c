/* SPDX-License-Identifier: BSD-2-Clause */
/* input.c: the input that reads the running kernel, and whole texts of any input */
#include "kernel/input.h"

#include <errno.h>
#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <linux/netlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

/* A dump is made while it is read, so an answer is always there; this keeps a kernel bug from hanging the daemon. */
#define RECEIVE_TIMEOUT_S 10

struct kernel {
	int settings[PW_STREAM_SETTINGS]; /* -1: this kernel does not have it */
	int fd;                           /* the open stream */
	off_t offset;                     /* of a setting: pread(), since the descriptor is used again at every poll */
	enum pw_stream stream;
	struct mnl_socket *netlink;
};

static const char *const setting_paths[PW_STREAM_SETTINGS] = {
	[PW_STREAM_RANGE] = "/proc/sys/net/ipv4/ip_local_port_range",
	[PW_STREAM_RESERVED] = "/proc/sys/net/ipv4/ip_local_reserved_ports",
	[PW_STREAM_TW_REUSE] = "/proc/sys/net/ipv4/tcp_tw_reuse",
	[PW_STREAM_TW_REUSE_DELAY] = "/proc/sys/net/ipv4/tcp_tw_reuse_delay",
	[PW_STREAM_TIMESTAMPS] = "/proc/sys/net/ipv4/tcp_timestamps",
};

const char *pw_input_setting(enum pw_stream stream)
{
	return strrchr(setting_paths[stream], '/') + 1;
}

/* thread-self: /proc/net is the namespace of the process's first thread, and threads may be in different ones. */
static const char *const text_paths[PW_STREAM_COUNT] = {
	[PW_STREAM_SOCKSTAT] = "/proc/thread-self/net/sockstat",
	[PW_STREAM_SOCKSTAT6] = "/proc/thread-self/net/sockstat6",
	[PW_STREAM_PROC_TCP] = "/proc/thread-self/net/tcp",
	[PW_STREAM_PROC_TCP6] = "/proc/thread-self/net/tcp6",
	[PW_STREAM_PROC_UDP] = "/proc/thread-self/net/udp",
	[PW_STREAM_PROC_UDP6] = "/proc/thread-self/net/udp6",
	[PW_STREAM_PROTOCOLS] = "/proc/thread-self/net/protocols",
	/* no setting: it is read on a long period only, and a descriptor would have to be there for good */
	[PW_STREAM_CONNTRACK_COUNT] = "/proc/sys/net/netfilter/nf_conntrack_count",
	[PW_STREAM_CONNTRACK_MAX] = "/proc/sys/net/netfilter/nf_conntrack_max",
};

static int kernel_open(void *self, enum pw_stream stream, const void *request, size_t len)
{
	const struct timeval timeout = {.tv_sec = RECEIVE_TIMEOUT_S};
	struct kernel *kernel = self;
	int saved;

	kernel->stream = stream;
	kernel->offset = 0;
	if (!pw_stream_is_dump(stream)) {
		if (text_paths[stream] != NULL) {
			kernel->fd = open(text_paths[stream], O_RDONLY | O_CLOEXEC);
			return kernel->fd < 0 ? -errno : 0;
		}
		kernel->fd = kernel->settings[stream];
		return kernel->fd < 0 ? -ENOENT : 0;
	}
	kernel->netlink = mnl_socket_open2(
		pw_stream_is_netfilter(stream) ? NETLINK_NETFILTER : NETLINK_SOCK_DIAG, SOCK_CLOEXEC);
	if (kernel->netlink == NULL)
		return -errno;
	kernel->fd = mnl_socket_get_fd(kernel->netlink);
	if (mnl_socket_bind(kernel->netlink, 0, MNL_SOCKET_AUTOPID) == 0 &&
		setsockopt(kernel->fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) == 0 &&
		mnl_socket_sendto(kernel->netlink, request, len) == (ssize_t)len)
		return 0;
	saved = errno;
	mnl_socket_close(kernel->netlink);
	return -saved;
}

static ssize_t kernel_read(void *self, void *buf, size_t size, uint32_t *sender)
{
	struct kernel *kernel = self;
	struct sockaddr_nl from = {.nl_family = AF_NETLINK};
	struct iovec iov = {.iov_base = buf, .iov_len = size};
	struct msghdr msg = {.msg_name = &from, .msg_namelen = sizeof(from), .msg_iov = &iov, .msg_iovlen = 1};
	ssize_t n;

	if (pw_stream_is_dump(kernel->stream)) {
		n = recvmsg(kernel->fd, &msg, 0);
		if (n < 0)
			return -errno;
		*sender = from.nl_pid;
		return (msg.msg_flags & MSG_TRUNC) != 0 ? -EMSGSIZE : n;
	}
	if (kernel->stream >= PW_STREAM_SETTINGS) {
		n = read(kernel->fd, buf, size);
		return n < 0 ? -errno : n;
	}
	n = pread(kernel->fd, buf, size, kernel->offset);
	if (n < 0)
		return -errno;
	kernel->offset += n;
	return n;
}

static void kernel_close(void *self)
{
	struct kernel *kernel = self;

	if (pw_stream_is_dump(kernel->stream))
		mnl_socket_close(kernel->netlink);
	else if (kernel->stream >= PW_STREAM_SETTINGS)
		close(kernel->fd);
}

static void kernel_free(void *self)
{
	struct kernel *kernel = self;

	for (size_t i = 0; i < PW_STREAM_SETTINGS; i++)
		if (kernel->settings[i] >= 0)
			close(kernel->settings[i]);
	free(kernel);
}

int pw_input_kernel(struct pw_input *input, const char **path)
{
	static const struct pw_input_ops ops = {
		.open = kernel_open, .read = kernel_read, .close = kernel_close, .free = kernel_free};
	struct kernel *kernel = calloc(1, sizeof(*kernel));

	*path = "memory";
	*input = (struct pw_input){0};
	if (kernel == NULL)
		return -1;
	*input = (struct pw_input){.ops = &ops, .self = kernel};
	for (size_t i = 0; i < PW_STREAM_SETTINGS; i++)
		kernel->settings[i] = -1;
	/* only the range must be there: the other settings came with one kernel or another */
	for (size_t i = 0; i < PW_STREAM_SETTINGS; i++) {
		*path = setting_paths[i];
		kernel->settings[i] = open(setting_paths[i], O_RDONLY | O_CLOEXEC);
		if (kernel->settings[i] < 0 && (errno != ENOENT || i == PW_STREAM_RANGE))
			return -1;
	}
	return 0;
}

/* --- any input --- */

void pw_input_free(struct pw_input *input)
{
	if (input->ops != NULL && input->ops->free != NULL)
		input->ops->free(input->self);
	input->ops = NULL;
}

ssize_t pw_input_text(struct pw_input *input, enum pw_stream stream, char *buf, size_t size)
{
	int rc = pw_input_open(input, stream, NULL, 0);
	size_t len = 0;
	uint32_t sender;
	ssize_t n = 1;

	if (rc < 0)
		return rc;
	/* until a read gives nothing: /proc may hand out a text in pieces */
	while (len < size && (n = pw_input_read(input, buf + len, size - len, &sender)) > 0)
		len += (size_t)n;
	pw_input_close(input);
	if (n < 0)
		return n;
	if (len == size)
		return -ENOBUFS;
	buf[len] = '\0';
	return strlen(buf) == len ? (ssize_t)len : -EILSEQ;
}

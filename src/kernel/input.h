/* SPDX-License-Identifier: BSD-2-Clause */
/* input.h: where the bytes come from: the running kernel, a capture, or a test
 *
 * Everything that is read of a network namespace is one of these streams. The parsers know nothing but this
 * interface, so a capture runs through the very same code as the kernel does, and a test can make any read fail. */
#ifndef PW_KERNEL_INPUT_H
#define PW_KERNEL_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* The numbers are part of the format of captures (capture.h): append, never renumber. */
enum pw_stream {
	/* settings: one text each, under /proc/sys/net/ipv4 */
	PW_STREAM_RANGE = 0,          /* ip_local_port_range */
	PW_STREAM_RESERVED = 1,       /* ip_local_reserved_ports */
	PW_STREAM_TW_REUSE = 2,       /* tcp_tw_reuse */
	PW_STREAM_TW_REUSE_DELAY = 3, /* tcp_tw_reuse_delay */
	PW_STREAM_TIMESTAMPS = 4,     /* tcp_timestamps */
	/* texts under /proc/thread-self/net */
	PW_STREAM_SOCKSTAT = 5,
	PW_STREAM_SOCKSTAT6 = 6,
	PW_STREAM_PROC_TCP = 7,
	PW_STREAM_PROC_TCP6 = 8,
	PW_STREAM_PROC_UDP = 9,
	PW_STREAM_PROC_UDP6 = 10,
	/* netlink dumps: one datagram a read */
	PW_STREAM_DUMP_TCP = 11,   /* both families */
	PW_STREAM_DUMP_BOUND = 12, /* TCP sockets that are bound to an explicit port */
	PW_STREAM_DUMP_UDP = 13,
	PW_STREAM_DUMP_UDP6 = 14,
	/* as DUMP_TCP, without sockets that are bound but not connected; never in a capture */
	PW_STREAM_DUMP_HASHED = 15,
	/* one more text under /proc/thread-self/net */
	PW_STREAM_PROTOCOLS = 16,
	/* connection tracking; never in a capture */
	PW_STREAM_DUMP_CONNTRACK = 17,       /* its table */
	PW_STREAM_DUMP_CONNTRACK_STATS = 18, /* its counters, a message a CPU */
	PW_STREAM_CONNTRACK_COUNT = 19,      /* /proc/sys/net/netfilter/nf_conntrack_count */
	PW_STREAM_CONNTRACK_MAX = 20,        /* /proc/sys/net/netfilter/nf_conntrack_max */
	PW_STREAM_COUNT = 21
};

#define PW_STREAM_SETTINGS 5 /* the first ones are settings */
#define PW_STREAM_FIRST_DUMP PW_STREAM_DUMP_TCP

/* Whether a stream gives netlink datagrams; the others give text. */
static inline bool pw_stream_is_dump(enum pw_stream stream)
{
	return stream >= PW_STREAM_FIRST_DUMP && stream != PW_STREAM_PROTOCOLS && stream != PW_STREAM_CONNTRACK_COUNT &&
		stream != PW_STREAM_CONNTRACK_MAX;
}

/* Whether it speaks to nfnetlink; the other dumps speak to sock_diag. */
static inline bool pw_stream_is_netfilter(enum pw_stream stream)
{
	return stream == PW_STREAM_DUMP_CONNTRACK || stream == PW_STREAM_DUMP_CONNTRACK_STATS;
}

struct pw_input_ops {
	/* Opens a stream at its start; of a dump, `request` is the netlink message to send. At most one stream is open
	 * at a time. Returns 0 or a negative errno; -ENOENT where this kernel (or capture) has no such stream. */
	int (*open)(void *self, enum pw_stream stream, const void *request, size_t len);
	/* Reads the next bytes, of a dump the next datagram. Returns their number, 0 at the end of a text, or a
	 * negative errno: -EMSGSIZE for a datagram that did not fit. *sender is the port id a datagram came from (0:
	 * the kernel). */
	ssize_t (*read)(void *self, void *buf, size_t size, uint32_t *sender);
	void (*close)(void *self); /* may be NULL, as the next */
	void (*free)(void *self);
};

struct pw_input {
	const struct pw_input_ops *ops; /* NULL: not open */
	void *self;
};

/* What reading a namespace came to. */
enum pw_read_status {
	PW_READ_OK,
	PW_READ_FAILED, /* see the error text; try again at the next poll */
	PW_READ_GONE    /* the namespace does not exist any more (ip_local_port_range: ENOENT) */
};

/* The running kernel. Opens the setting files of the calling thread's network namespace and keeps them, and nothing
 * else: a netlink socket or another /proc file would keep a deleted namespace alive. Returns 0, or -1 with errno
 * (ENOENT: there is no ip_local_port_range) and the path in *path. Free the input in both cases. */
int pw_input_kernel(struct pw_input *input, const char **path);

static inline int pw_input_open(struct pw_input *input, enum pw_stream stream, const void *request, size_t len)
{
	return input->ops->open(input->self, stream, request, len);
}

static inline ssize_t pw_input_read(struct pw_input *input, void *buf, size_t size, uint32_t *sender)
{
	*sender = 0;
	return input->ops->read(input->self, buf, size, sender);
}

static inline void pw_input_close(struct pw_input *input)
{
	if (input->ops->close != NULL)
		input->ops->close(input->self);
}

/* Nothing happens to one that is not open, which it is afterwards. */
void pw_input_free(struct pw_input *input);

/* The name of a setting: "ip_local_port_range". */
const char *pw_input_setting(enum pw_stream stream);

/* Reads a whole text into buf and ends it with a NUL. Returns its length, or a negative errno: -ENOBUFS when
 * buf is too small, -EILSEQ when the text has a NUL in it. */
ssize_t pw_input_text(struct pw_input *input, enum pw_stream stream, char *buf, size_t size);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* dump.h: reads a netlink dump to its end, whatever its messages are (sock_diag, ctnetlink)
 *
 * Inline, with the handler of a message a constant: a dump has a message for each socket, and the compiler makes one
 * loop of it. */
#ifndef PW_KERNEL_DUMP_H
#define PW_KERNEL_DUMP_H

#include <errno.h>
#include <linux/netlink.h>
#include <stdalign.h>
#include <string.h>

#include "base/error.h"
#include "kernel/backend.h"
#include "kernel/input.h"

/* The kernel fills at most 32 KB at a time; more room gives nothing (netlink_recvmsg(), max_recvmsg_len). */
#define PW_NETLINK_RECEIVE_SIZE 32768

/* Every dump has a socket of its own, so one number tells its answers from anything else. */
#define PW_NETLINK_SEQUENCE 1

/* Reads in a row that gave nothing, by signals or strange senders, before a dump is given up. */
#define PW_NETLINK_IDLE_READS_MAX 64

#define PW_NETLINK_ERRNO_MAX 4095

/* What a dump came to; of a message of it PW_DUMP_MORE, else that ends the dump. */
enum pw_dump_status {
	PW_DUMP_OK,
	PW_DUMP_AGAIN,       /* interrupted, inconsistent or incomplete: worth another try */
	PW_DUMP_UNAVAILABLE, /* this kernel, or what confines this process, has no such dump */
	PW_DUMP_FAILED,
	PW_DUMP_MORE
};

struct pw_dump {
	const char *what; /* "TCP sockets": for error texts */
	uint16_t type;    /* of the messages that are wanted */
	void *context;    /* of their handler */
	struct pw_take_stats *stats;
	struct pw_error *err;
};

/* Takes a message of the wanted type. PW_DUMP_MORE, or what pw_dump_stop() returned. */
typedef enum pw_dump_status pw_dump_take(const struct pw_dump *dump, const struct nlmsghdr *message);

static inline enum pw_dump_status pw_dump_stop(const struct pw_dump *dump, enum pw_dump_status status, const char *why)
{
	pw_error_set(dump->err, "dump of the %s: %s", dump->what, why);
	return status;
}

/* What an errno means, from a system call or from the kernel's answer. The second group: no such module, no AF_NETLINK
 * in this sandbox, no permission by a security module. */
static inline enum pw_dump_status pw_dump_failure(const struct pw_dump *dump, int error)
{
	switch (error) {
	case EINTR:
	case ENOBUFS:
	case EMSGSIZE:
	case EBUSY: return pw_dump_stop(dump, PW_DUMP_AGAIN, strerror(error));
	case ENOENT:
	case EPROTONOSUPPORT:
	case EAFNOSUPPORT:
	case EOPNOTSUPP:
	case EACCES:
	case EPERM: return pw_dump_stop(dump, PW_DUMP_UNAVAILABLE, strerror(error));
	case EAGAIN: return pw_dump_stop(dump, PW_DUMP_FAILED, "no answer from the kernel");
	default: return pw_dump_stop(dump, PW_DUMP_FAILED, strerror(error));
	}
}

/* The number at the start of NLMSG_DONE (a dump's error since Linux 4.15, nothing before) and NLMSG_ERROR (0: an
 * acknowledgement). */
static inline enum pw_dump_status pw_dump_end(const struct pw_dump *dump, const struct nlmsghdr *message)
{
	const enum pw_dump_status success = message->nlmsg_type == NLMSG_DONE ? PW_DUMP_OK : PW_DUMP_MORE;
	int error = 0;

	if (message->nlmsg_len >= NLMSG_HDRLEN + sizeof(error))
		memcpy(&error, (const uint8_t *)message + NLMSG_HDRLEN, sizeof(error));
	else if (message->nlmsg_type == NLMSG_ERROR)
		return pw_dump_stop(dump, PW_DUMP_AGAIN, "short error message");
	if (error < -PW_NETLINK_ERRNO_MAX || error > 0)
		return pw_dump_stop(dump, PW_DUMP_FAILED, "no error number");
	return error < 0 ? pw_dump_failure(dump, -error) : success;
}

static inline enum pw_dump_status pw_dump_message(
	const struct pw_dump *dump, const struct nlmsghdr *message, pw_dump_take *take)
{
	if (message->nlmsg_seq != PW_NETLINK_SEQUENCE)
		return PW_DUMP_MORE;
	if ((message->nlmsg_flags & NLM_F_DUMP_INTR) != 0)
		return pw_dump_stop(dump, PW_DUMP_AGAIN, "the tables changed during the dump");
	if (message->nlmsg_type == dump->type)
		return take(dump, message);
	switch (message->nlmsg_type) {
	case NLMSG_DONE:
	case NLMSG_ERROR: return pw_dump_end(dump, message);
	case NLMSG_OVERRUN: return pw_dump_stop(dump, PW_DUMP_AGAIN, "messages were lost");
	default: return PW_DUMP_MORE;
	}
}

static inline enum pw_dump_status pw_dump_datagram(
	const struct pw_dump *dump, const uint8_t *p, size_t rest, pw_dump_take *take)
{
	const struct nlmsghdr *message;
	enum pw_dump_status status = PW_DUMP_MORE;
	uint32_t messages = 0;
	size_t len;

	while (rest >= sizeof(*message) && status == PW_DUMP_MORE) {
		message = (const struct nlmsghdr *)(const void *)p;
		if (message->nlmsg_len < sizeof(*message) || message->nlmsg_len > rest)
			return pw_dump_stop(dump, PW_DUMP_AGAIN, "truncated message");
		status = pw_dump_message(dump, message, take);
		messages++;
		len = NLMSG_ALIGN(message->nlmsg_len);
		len = len < rest ? len : rest;
		p += len;
		rest -= len;
	}
	dump->stats->messages += messages;
	return status == PW_DUMP_MORE && rest > 0 ? pw_dump_stop(dump, PW_DUMP_AGAIN, "truncated message") : status;
}

/* Sends the request of a dump and hands every message of the wanted type to `take`. Counts messages and bytes in
 * dump->stats; fills dump->err unless it returns PW_DUMP_OK. */
static inline enum pw_dump_status pw_dump_run(const struct pw_dump *dump, struct pw_input *input, enum pw_stream stream,
	const void *request, size_t len, pw_dump_take *take)
{
	alignas(struct nlmsghdr) uint8_t buf[PW_NETLINK_RECEIVE_SIZE];
	int rc = pw_input_open(input, stream, request, len);
	enum pw_dump_status status = PW_DUMP_MORE;
	unsigned idle = 0;
	uint32_t sender;
	ssize_t n;

	if (rc < 0)
		return pw_dump_failure(dump, -rc);
	while (status == PW_DUMP_MORE) {
		n = pw_input_read(input, buf, sizeof(buf), &sender);
		if (n == -EINTR ||
			sender != 0) /* a signal interrupts a receive, not the dump, which goes on at the next one */
			status = ++idle < PW_NETLINK_IDLE_READS_MAX ? PW_DUMP_MORE : pw_dump_failure(dump, EINTR);
		else if (n < 0)
			status = pw_dump_failure(dump, (int)-n);
		else if (n == 0)
			status = pw_dump_stop(dump, PW_DUMP_AGAIN, "empty datagram");
		else
			status = pw_dump_datagram(dump, buf, (size_t)n, take);
		dump->stats->bytes += n > 0 ? (uint32_t)n : 0;
	}
	pw_input_close(input);
	return status;
}

#endif

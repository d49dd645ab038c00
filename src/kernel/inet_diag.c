/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernel/inet_diag.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <stdalign.h>
#include <string.h>

/* Timers, as idiag_timer has them (include/uapi/linux/inet_diag.h has no names for them). */
#define TIMER_RETRANSMIT 1

/* States that only the kernel's inside uses, should they ever show (include/net/tcp_states.h). */
#define STATE_NEW_SYN_RECV 12
#define STATE_BOUND_INACTIVE 13

/* --- requests --- */

static bool is_udp(enum pw_stream stream)
{
	return stream == PW_STREAM_DUMP_UDP || stream == PW_STREAM_DUMP_UDP6;
}

/* TCP by the request without a family, which answers for both; UDP has none. */
static uint16_t stream_message_type(enum pw_stream stream)
{
	return is_udp(stream) ? SOCK_DIAG_BY_FAMILY : TCPDIAG_GETSOCK;
}

/* TIME_WAIT is among the states, and that of a bound but unconnected socket, for which the kernel walks a second
 * table. */
static uint32_t stream_states(enum pw_stream stream)
{
	return stream == PW_STREAM_DUMP_HASHED ? ~(UINT32_C(1) << STATE_BOUND_INACTIVE) : ~UINT32_C(0);
}

static struct inet_diag_bc_op port_operand(uint16_t port)
{
	return (struct inet_diag_bc_op){.no = port};
}

/* The program (inet_diag_bc_run()): `yes` and `no` are distances to the next instruction; an end is reached exactly
 * when the socket is wanted, beyond the end when it is not. */
static void put_program(struct nlmsghdr *message, uint16_t low, uint16_t high, bool only_bound)
{
	const unsigned char next = sizeof(struct inet_diag_bc_op), pair = 2 * next;
	const unsigned short tail = only_bound ? 2 * next : 0;
	const struct inet_diag_bc_op program[6] = {
		{.code = INET_DIAG_BC_S_GE, .yes = pair, .no = (unsigned short)(2 * pair + tail + 4)},
		port_operand(low),
		{.code = INET_DIAG_BC_S_LE, .yes = pair, .no = (unsigned short)(pair + tail + 4)},
		port_operand(high),
		/* AUTO is "the port was not chosen by bind()": skip the jump to the outside where it does not hold */
		{.code = INET_DIAG_BC_AUTO, .yes = next, .no = pair},
		{.code = INET_DIAG_BC_JMP, .yes = next, .no = (unsigned short)(next + 4)},
	};

	mnl_attr_put(message, INET_DIAG_REQ_BYTECODE, (only_bound ? 6u : 4u) * sizeof(program[0]), program);
}

size_t pw_inet_diag_request(enum pw_stream stream, uint16_t low, uint16_t high, void *buf)
{
	struct nlmsghdr *message = mnl_nlmsg_put_header(buf);
	struct inet_diag_req_v2 *v2;
	struct inet_diag_req *legacy;

	message->nlmsg_type = stream_message_type(stream);
	message->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	message->nlmsg_seq = PW_NETLINK_SEQUENCE;
	if (is_udp(stream)) {
		v2 = mnl_nlmsg_put_extra_header(message, sizeof(*v2));
		v2->sdiag_family = stream == PW_STREAM_DUMP_UDP ? AF_INET : AF_INET6;
		v2->sdiag_protocol = IPPROTO_UDP;
		v2->idiag_states = stream_states(stream);
	} else {
		legacy = mnl_nlmsg_put_extra_header(message, sizeof(*legacy));
		legacy->idiag_family = AF_INET;
		legacy->idiag_states = stream_states(stream);
	}
	put_program(message, low, high, stream == PW_STREAM_DUMP_BOUND);
	return message->nlmsg_len;
}

/* --- attributes --- */

/* Which attributes a message has, in their order, and where the values are that are wanted. The sockets of one sort
 * all have the same, so this is found out once; after that it takes a comparison of the headers. */
#define LAYOUT_ATTRIBUTES 10

struct layout {
	size_t len;       /* of all attributes */
	unsigned n;       /* more than fit: not to be used again */
	bool full_socket; /* request and TIME_WAIT sockets have no INET_DIAG_SHUTDOWN */
	uint16_t cgroup;  /* offset of the value, 0 = none */
	uint16_t options;
	uint16_t v6only;
	uint16_t at[LAYOUT_ATTRIBUTES]; /* offset of each attribute */
	uint32_t header[LAYOUT_ATTRIBUTES];
};

/* The last layout of each length, hashed. An empty layout is that of a message without attributes. */
#define LAYOUTS 8

static inline bool layout_fits(const struct layout *layout, const uint8_t *p, size_t len)
{
	uint32_t header;

	if (layout->len != len || layout->n > LAYOUT_ATTRIBUTES)
		return false;
	for (unsigned i = 0; i < layout->n; i++) {
		memcpy(&header, p + layout->at[i], sizeof(header));
		if (header != layout->header[i])
			return false;
	}
	return true;
}

/* A walk of our own: the library's calls back for each attribute. Returns 0, or -1 when an attribute ends behind the
 * message. */
static int layout_learn(struct layout *layout, const uint8_t *p, size_t len)
{
	struct nlattr attribute;
	size_t at = 0, value_len;
	uint16_t value;
	unsigned type;

	*layout = (struct layout){.len = len};
	while (at < len && len - at >= sizeof(attribute)) {
		memcpy(&attribute, p + at, sizeof(attribute));
		if (attribute.nla_len < sizeof(attribute) || attribute.nla_len > len - at ||
			at > UINT16_MAX - NLA_HDRLEN) {
			layout->n = LAYOUT_ATTRIBUTES + 1; /* fits nothing */
			return -1;
		}
		type = attribute.nla_type & NLA_TYPE_MASK;
		value = (uint16_t)(at + NLA_HDRLEN);
		value_len = attribute.nla_len - (size_t)NLA_HDRLEN;
		if (layout->n < LAYOUT_ATTRIBUTES) {
			layout->at[layout->n] = (uint16_t)at;
			memcpy(&layout->header[layout->n], &attribute, sizeof(layout->header[0]));
		}
		layout->n++;
		if (type == INET_DIAG_SHUTDOWN)
			layout->full_socket = true;
		else if (type == INET_DIAG_CGROUP_ID && value_len >= sizeof(uint64_t))
			layout->cgroup = value;
		else if (type == INET_DIAG_SOCKOPT && value_len >= sizeof(struct inet_diag_sockopt))
			layout->options = value;
		else if (type == INET_DIAG_SKV6ONLY && value_len >= 1)
			layout->v6only = value;
		at += NLA_ALIGN(attribute.nla_len);
	}
	return 0;
}

/* --- one message --- */

static inline void put_address4(uint8_t out[16], __be32 address)
{
	memset(out, 0, 16);
	memcpy(out, &address, 4);
}

static inline int put_addresses(struct pw_socket *out, const struct inet_diag_msg *msg)
{
	if (msg->idiag_family == AF_INET) {
		out->family = AF_INET;
		put_address4(out->local, msg->id.idiag_src[0]);
		put_address4(out->remote, msg->id.idiag_dst[0]);
	} else if (msg->idiag_family == AF_INET6) {
		pw_socket_set_ipv6(out, msg->id.idiag_src, msg->id.idiag_dst);
	} else {
		return -1;
	}
	return 0;
}

static inline int parse(
	const struct nlmsghdr *message, uint8_t protocol, struct layout layouts[LAYOUTS], struct pw_socket *out)
{
	const struct inet_diag_msg *msg = (const void *)((const uint8_t *)message + NLMSG_HDRLEN);
	const uint8_t *attributes = (const uint8_t *)(msg + 1);
	struct inet_diag_sockopt options;
	struct layout *layout;
	size_t len;

	if (message->nlmsg_len < NLMSG_HDRLEN + sizeof(*msg))
		return -1;
	len = message->nlmsg_len - NLMSG_HDRLEN - sizeof(*msg);
	layout = &layouts[len / NLA_ALIGNTO % LAYOUTS];
	out->state = msg->idiag_state;
	if (out->state == STATE_NEW_SYN_RECV)
		out->state = PW_SYN_RECV;
	else if (out->state == STATE_BOUND_INACTIVE)
		out->state = PW_CLOSE;
	if (put_addresses(out, msg) < 0 || out->state < PW_ESTABLISHED || out->state > PW_CLOSING ||
		(!layout_fits(layout, attributes, len) && layout_learn(layout, attributes, len) < 0))
		return -1;
	out->cookie = (uint64_t)msg->id.idiag_cookie[1] << 32 | msg->id.idiag_cookie[0];
	out->uid = msg->idiag_uid;
	out->ifindex = msg->id.idiag_if;
	out->expires_ms = msg->idiag_expires;
	out->inode = msg->idiag_inode;
	out->local_port = ntohs(msg->id.idiag_sport);
	out->remote_port = ntohs(msg->id.idiag_dport);
	out->protocol = protocol;
	/* uid and cgroup mean nothing without an inode: the socket is an orphan, not yet accepted, or TIME_WAIT */
	out->flags = 0;
	if (msg->idiag_inode != 0)
		out->flags = PW_SOCKET_HAS_OWNER;
	else if (out->state == PW_SYN_RECV && msg->idiag_timer == TIMER_RETRANSMIT && !layout->full_socket)
		out->flags = PW_SOCKET_HALF_OPEN;
	out->cgroup = 0;
	if (layout->cgroup != 0)
		memcpy(&out->cgroup, attributes + layout->cgroup, sizeof(out->cgroup));
	if (layout->options != 0) {
		memcpy(&options, attributes + layout->options, sizeof(options));
		out->flags |= options.bind_address_no_port ? PW_SOCKET_NO_PORT : 0;
	}
	if (layout->v6only != 0)
		out->flags |= attributes[layout->v6only] != 0 ? PW_SOCKET_V6ONLY : 0;
	return 0;
}

int pw_inet_diag_parse(const struct nlmsghdr *message, uint8_t protocol, struct pw_socket *out)
{
	struct layout layouts[LAYOUTS] = {0};

	return parse(message, protocol, layouts, out);
}

/* --- a dump --- */

/* Where the sockets go to. */
struct target {
	struct pw_batch *batch;
	uint8_t protocol;
	struct layout layouts[LAYOUTS];
};

static inline enum pw_dump_status take_socket(const struct pw_dump *dump, const struct nlmsghdr *message)
{
	struct target *target = dump->context;

	if (parse(message, target->protocol, target->layouts, pw_batch_next(target->batch)) < 0)
		return pw_dump_stop(dump, PW_DUMP_AGAIN, "malformed message");
	if (pw_batch_push(target->batch) < 0)
		return pw_dump_stop(dump, PW_DUMP_FAILED, "out of memory");
	return PW_DUMP_MORE;
}

enum pw_dump_status pw_inet_diag_dump(struct pw_input *input, enum pw_stream stream, uint16_t low, uint16_t high,
	struct pw_batch *batch, struct pw_take_stats *stats, struct pw_error *err)
{
	static const char *const names[] = {
		"TCP sockets", "bound TCP sockets", "UDP sockets", "UDP over IPv6 sockets", "TCP sockets"};
	alignas(struct nlmsghdr) uint8_t request[PW_DIAG_REQUEST_MAX];
	struct target target = {.batch = batch, .protocol = is_udp(stream) ? IPPROTO_UDP : IPPROTO_TCP};
	const struct pw_dump dump = {.what = names[stream - PW_STREAM_FIRST_DUMP],
		.type = stream_message_type(stream),
		.context = &target,
		.stats = stats,
		.err = err};
	size_t len = pw_inet_diag_request(stream, low, high, request);
	enum pw_dump_status status = pw_dump_run(&dump, input, stream, request, len, take_socket);

	if (pw_batch_flush(batch) < 0)
		status = pw_dump_stop(&dump, PW_DUMP_FAILED, "out of memory");
	return status;
}

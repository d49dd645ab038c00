#include "collect/inet_diag.h"

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

static uint8_t stream_protocol(enum pw_stream stream)
{
	return is_udp(stream) ? IPPROTO_UDP : IPPROTO_TCP;
}

/* TCP by the request without a family, which answers for both; UDP has none. */
static uint16_t stream_message_type(enum pw_stream stream)
{
	return is_udp(stream) ? SOCK_DIAG_BY_FAMILY : TCPDIAG_GETSOCK;
}

/* TIME_WAIT is among the states, and that of a bound but unconnected socket, for which the kernel walks a second table. */
static uint32_t stream_states(enum pw_stream stream)
{
	return stream == PW_STREAM_DUMP_HASHED ? ~(UINT32_C(1) << STATE_BOUND_INACTIVE) : ~UINT32_C(0);
}

static void put_body(struct nlmsghdr *message, enum pw_stream stream)
{
	struct inet_diag_req_v2 *v2;
	struct inet_diag_req *legacy;

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

	message->nlmsg_type = stream_message_type(stream);
	message->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	message->nlmsg_seq = PW_NETLINK_SEQUENCE;
	put_body(message, stream);
	put_program(message, low, high, stream == PW_STREAM_DUMP_BOUND);
	return message->nlmsg_len;
}

/* --- one message --- */

/* What the attributes of a message say. */
struct attributes {
	uint64_t cgroup;
	bool full_socket; /* request and TIME_WAIT sockets have no INET_DIAG_SHUTDOWN */
	bool v6only;
	bool no_port;
};

static inline void take_attribute(struct attributes *out, unsigned type, const uint8_t *data, size_t len)
{
	struct inet_diag_sockopt options;

	if (type == INET_DIAG_SHUTDOWN) {
		out->full_socket = true;
	} else if (type == INET_DIAG_CGROUP_ID && len >= sizeof(out->cgroup)) {
		memcpy(&out->cgroup, data, sizeof(out->cgroup));
	} else if (type == INET_DIAG_SOCKOPT && len >= sizeof(options)) {
		memcpy(&options, data, sizeof(options));
		out->no_port = options.bind_address_no_port;
	} else if (type == INET_DIAG_SKV6ONLY && len >= 1) {
		out->v6only = data[0] != 0;
	}
}

/* A walk of our own: four library calls for each of four attributes would cost as much as the rest of the message. */
static inline int take_attributes(struct attributes *out, const uint8_t *p, size_t rest)
{
	struct nlattr attribute;
	size_t step;

	while (rest >= sizeof(attribute)) {
		memcpy(&attribute, p, sizeof(attribute));
		if (attribute.nla_len < sizeof(attribute) || attribute.nla_len > rest)
			return -1;
		take_attribute(out, attribute.nla_type & NLA_TYPE_MASK, p + sizeof(attribute),
			attribute.nla_len - sizeof(attribute));
		step = NLA_ALIGN(attribute.nla_len);
		if (step >= rest)
			break;
		p += step;
		rest -= step;
	}
	return 0;
}

static inline bool is_mapped(const __be32 address[4])
{
	return address[0] == 0 && address[1] == 0 && address[2] == htonl(0xffff);
}

static inline bool is_zero(const __be32 address[4])
{
	return (address[0] | address[1] | address[2] | address[3]) == 0;
}

/* An IPv6 socket that is bound or connected to IPv4-mapped addresses; the other one may still be unset. */
static inline bool is_mapped_socket(const struct inet_diag_sockid *id)
{
	if (is_mapped(id->idiag_src))
		return is_mapped(id->idiag_dst) || is_zero(id->idiag_dst);
	return is_zero(id->idiag_src) && is_mapped(id->idiag_dst);
}

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
	} else if (msg->idiag_family != AF_INET6) {
		return -1;
	} else if (is_mapped_socket(&msg->id)) {
		out->family = AF_INET;
		put_address4(out->local, msg->id.idiag_src[3]);
		put_address4(out->remote, msg->id.idiag_dst[3]);
	} else {
		out->family = AF_INET6;
		memcpy(out->local, msg->id.idiag_src, 16);
		memcpy(out->remote, msg->id.idiag_dst, 16);
	}
	return 0;
}

static inline int put_state(struct pw_socket *out, const struct inet_diag_msg *msg)
{
	uint8_t state = msg->idiag_state;

	if (state == STATE_NEW_SYN_RECV)
		state = PW_SYN_RECV;
	else if (state == STATE_BOUND_INACTIVE)
		state = PW_CLOSE;
	out->state = state;
	return state >= PW_ESTABLISHED && state <= PW_CLOSING ? 0 : -1;
}

/* uid and cgroup mean nothing without an inode: the socket is an orphan, not yet accepted, or TIME_WAIT. */
static inline uint8_t socket_flags(const struct inet_diag_msg *msg, const struct attributes *attributes)
{
	uint8_t flags = 0;

	if (attributes->v6only)
		flags |= PW_SOCKET_V6ONLY;
	if (attributes->no_port)
		flags |= PW_SOCKET_NO_PORT;
	if (msg->idiag_inode != 0)
		flags |= PW_SOCKET_HAS_OWNER;
	else if ((msg->idiag_state == PW_SYN_RECV || msg->idiag_state == STATE_NEW_SYN_RECV) &&
		msg->idiag_timer == TIMER_RETRANSMIT && !attributes->full_socket)
		flags |= PW_SOCKET_HALF_OPEN;
	return flags;
}

static inline int parse(const struct nlmsghdr *message, uint8_t protocol, struct pw_socket *out)
{
	const uint8_t *body = (const uint8_t *)message + NLMSG_HDRLEN;
	const size_t len = message->nlmsg_len - NLMSG_HDRLEN;
	struct attributes attributes = {0};
	struct inet_diag_msg msg;

	if (message->nlmsg_len < NLMSG_HDRLEN + sizeof(msg))
		return -1;
	memcpy(&msg, body, sizeof(msg));
	if (put_addresses(out, &msg) < 0 || put_state(out, &msg) < 0 ||
		take_attributes(&attributes, body + sizeof(msg), len - sizeof(msg)) < 0)
		return -1;
	out->cookie = (uint64_t)msg.id.idiag_cookie[1] << 32 | msg.id.idiag_cookie[0];
	out->cgroup = attributes.cgroup;
	out->uid = msg.idiag_uid;
	out->ifindex = msg.id.idiag_if;
	out->expires_ms = msg.idiag_expires;
	out->local_port = ntohs(msg.id.idiag_sport);
	out->remote_port = ntohs(msg.id.idiag_dport);
	out->protocol = protocol;
	out->flags = socket_flags(&msg, &attributes);
	return 0;
}

int pw_inet_diag_parse(const struct nlmsghdr *message, uint8_t protocol, struct pw_socket *out)
{
	return parse(message, protocol, out);
}

/* --- a dump --- */

/* Where the sockets go to. */
struct target {
	struct pw_batch *batch;
	uint8_t protocol;
};

static const char *stream_name(enum pw_stream stream)
{
	static const char *const names[] = {
		"TCP sockets", "bound TCP sockets", "UDP sockets", "UDP over IPv6 sockets", "TCP sockets"};

	return names[stream - PW_STREAM_FIRST_DUMP];
}

static inline enum pw_step take_socket(const struct pw_dump *dump, const struct nlmsghdr *message)
{
	const struct target *target = dump->context;

	if (parse(message, target->protocol, pw_batch_next(target->batch)) < 0)
		return pw_dump_stop(dump, PW_STEP_AGAIN, "malformed message");
	if (pw_batch_push(target->batch) < 0)
		return pw_dump_stop(dump, PW_STEP_FAILED, "out of memory");
	return PW_STEP_MORE;
}

enum pw_dump_status pw_inet_diag_dump(struct pw_input *input, enum pw_stream stream, uint16_t low, uint16_t high,
	struct pw_batch *batch, struct pw_collect_stats *stats, struct pw_error *err)
{
	alignas(struct nlmsghdr) uint8_t request[PW_DIAG_REQUEST_MAX];
	struct target target = {.batch = batch, .protocol = stream_protocol(stream)};
	const struct pw_dump dump = {.what = stream_name(stream),
		.type = stream_message_type(stream),
		.context = &target,
		.stats = stats,
		.err = err};
	size_t len = pw_inet_diag_request(stream, low, high, request);
	enum pw_step step = pw_dump_run(&dump, input, stream, request, len, take_socket);

	if (pw_batch_flush(batch) < 0)
		step = pw_dump_stop(&dump, PW_STEP_FAILED, "out of memory");
	return pw_dump_status(step);
}

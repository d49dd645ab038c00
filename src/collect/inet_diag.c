#include "collect/inet_diag.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <stdalign.h>
#include <string.h>

/* The kernel fills at most 32 KB at a time; more room gives nothing (netlink_recvmsg(), max_recvmsg_len). */
#define RECEIVE_SIZE 32768

/* Every dump has a socket of its own, so one number tells its answers from anything else. */
#define SEQUENCE 1

/* Reads in a row that gave nothing, by signals or strange senders, before a dump is given up. */
#define IDLE_READS_MAX 64

#define ERRNO_MAX 4095

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
	message->nlmsg_seq = SEQUENCE;
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

enum step { STEP_MORE, STEP_DONE, STEP_AGAIN, STEP_UNAVAILABLE, STEP_FAILED };

struct dump {
	enum pw_stream stream;
	struct pw_batch *batch;
	struct pw_collect_stats *stats;
	struct pw_error *err;
};

static const char *stream_name(enum pw_stream stream)
{
	static const char *const names[] = {"TCP", "bound TCP", "UDP", "UDP over IPv6", "TCP"};

	return names[stream - PW_STREAM_FIRST_DUMP];
}

static enum step stop(const struct dump *dump, enum step step, const char *why)
{
	pw_error_set(dump->err, "dump of the %s sockets: %s", stream_name(dump->stream), why);
	return step;
}

/* What an errno means, from a system call or from the kernel's answer. The second group: no such module, no AF_NETLINK
 * in this sandbox, no permission by a security module. */
static enum step failure(const struct dump *dump, int error)
{
	switch (error) {
	case EINTR:
	case ENOBUFS:
	case EMSGSIZE:
	case EBUSY: return stop(dump, STEP_AGAIN, strerror(error));
	case ENOENT:
	case EPROTONOSUPPORT:
	case EAFNOSUPPORT:
	case EOPNOTSUPP:
	case EACCES:
	case EPERM: return stop(dump, STEP_UNAVAILABLE, strerror(error));
	case EAGAIN: return stop(dump, STEP_FAILED, "no answer from the kernel");
	default: return stop(dump, STEP_FAILED, strerror(error));
	}
}

/* The number at the start of NLMSG_DONE (a dump's error since Linux 4.15, nothing before) and NLMSG_ERROR (0: an
 * acknowledgement). */
static enum step end_of_dump(const struct dump *dump, const struct nlmsghdr *message)
{
	const enum step success = message->nlmsg_type == NLMSG_DONE ? STEP_DONE : STEP_MORE;
	int error = 0;

	if (message->nlmsg_len >= NLMSG_HDRLEN + sizeof(error))
		memcpy(&error, (const uint8_t *)message + NLMSG_HDRLEN, sizeof(error));
	else if (message->nlmsg_type == NLMSG_ERROR)
		return stop(dump, STEP_AGAIN, "short error message");
	if (error < -ERRNO_MAX || error > 0)
		return stop(dump, STEP_FAILED, "no error number");
	return error < 0 ? failure(dump, -error) : success;
}

static inline enum step take_socket(const struct dump *dump, const struct nlmsghdr *message)
{
	if (parse(message, stream_protocol(dump->stream), pw_batch_next(dump->batch)) < 0)
		return stop(dump, STEP_AGAIN, "malformed message");
	if (pw_batch_push(dump->batch) < 0)
		return stop(dump, STEP_FAILED, "out of memory");
	return STEP_MORE;
}

static inline enum step take_message(const struct dump *dump, const struct nlmsghdr *message)
{
	if (message->nlmsg_seq != SEQUENCE)
		return STEP_MORE;
	if ((message->nlmsg_flags & NLM_F_DUMP_INTR) != 0)
		return stop(dump, STEP_AGAIN, "the tables changed during the dump");
	if (message->nlmsg_type == stream_message_type(dump->stream))
		return take_socket(dump, message);
	switch (message->nlmsg_type) {
	case NLMSG_DONE:
	case NLMSG_ERROR: return end_of_dump(dump, message);
	case NLMSG_OVERRUN: return stop(dump, STEP_AGAIN, "messages were lost");
	default: return STEP_MORE;
	}
}

static enum step take_datagram(const struct dump *dump, const uint8_t *p, size_t rest)
{
	const struct nlmsghdr *message;
	enum step step = STEP_MORE;
	uint32_t messages = 0;
	size_t len;

	while (rest >= sizeof(*message) && step == STEP_MORE) {
		message = (const struct nlmsghdr *)(const void *)p;
		if (message->nlmsg_len < sizeof(*message) || message->nlmsg_len > rest)
			return stop(dump, STEP_AGAIN, "truncated message");
		step = take_message(dump, message);
		messages++;
		len = NLMSG_ALIGN(message->nlmsg_len);
		len = len < rest ? len : rest;
		p += len;
		rest -= len;
	}
	dump->stats->messages += messages;
	return step == STEP_MORE && rest > 0 ? stop(dump, STEP_AGAIN, "truncated message") : step;
}

/* A signal interrupts a receive, not the dump, which goes on at the next one. */
static enum step receive_all(const struct dump *dump, struct pw_input *input)
{
	alignas(struct nlmsghdr) uint8_t buf[RECEIVE_SIZE];
	enum step step = STEP_MORE;
	unsigned idle = 0;
	uint32_t sender;
	ssize_t n;

	while (step == STEP_MORE) {
		n = pw_input_read(input, buf, sizeof(buf), &sender);
		if (n == -EINTR || sender != 0)
			step = ++idle < IDLE_READS_MAX ? STEP_MORE : failure(dump, EINTR);
		else if (n < 0)
			step = failure(dump, (int)-n);
		else if (n == 0)
			step = stop(dump, STEP_AGAIN, "empty datagram");
		else
			step = take_datagram(dump, buf, (size_t)n);
		dump->stats->bytes += n > 0 ? (uint32_t)n : 0;
	}
	return step;
}

static enum step run(const struct dump *dump, struct pw_input *input, uint16_t low, uint16_t high)
{
	alignas(struct nlmsghdr) uint8_t request[PW_DIAG_REQUEST_MAX];
	size_t len = pw_inet_diag_request(dump->stream, low, high, request);
	int rc = pw_input_open(input, dump->stream, request, len);
	enum step step;

	if (rc < 0)
		return failure(dump, -rc);
	step = receive_all(dump, input);
	pw_input_close(input);
	return step;
}

enum pw_dump_status pw_inet_diag_dump(struct pw_input *input, enum pw_stream stream, uint16_t low, uint16_t high,
	struct pw_batch *batch, struct pw_collect_stats *stats, struct pw_error *err)
{
	const struct dump dump = {.stream = stream, .batch = batch, .stats = stats, .err = err};
	enum step step = run(&dump, input, low, high);

	if (pw_batch_flush(batch) < 0)
		step = stop(&dump, STEP_FAILED, "out of memory");
	switch (step) {
	case STEP_DONE: return PW_DUMP_OK;
	case STEP_AGAIN: return PW_DUMP_AGAIN;
	case STEP_UNAVAILABLE: return PW_DUMP_UNAVAILABLE;
	default: return PW_DUMP_FAILED;
	}
}

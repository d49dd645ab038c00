/* SPDX-License-Identifier: BSD-2-Clause */
/* Netlink: the requests byte by byte, the parser against messages laid out by hand, and every way a dump can end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/inet_diag.h"
#include "kernel_fake.h"
#include "random.h"

#define LOW 40000
#define HIGH 40099

/* --- requests --- */

static uint16_t native16(const uint8_t *p)
{
	uint16_t value;

	memcpy(&value, p, sizeof(value));
	return value;
}

static uint32_t native32(const uint8_t *p)
{
	uint32_t value;

	memcpy(&value, p, sizeof(value));
	return value;
}

static void check_header(const uint8_t *p, size_t len, uint16_t type)
{
	assert_int_equal(native32(p), len);
	assert_int_equal(native16(p + 4), type);
	assert_int_equal(native16(p + 6), NLM_F_REQUEST | NLM_F_DUMP);
	assert_int_equal(native32(p + 8), 1);
}

/* What inet_diag_bc_run() does, for the operations in use: whether a socket is wanted. */
static bool run_program(const uint8_t *program, size_t size, uint16_t port, bool automatic)
{
	const struct inet_diag_bc_op *op = (const struct inet_diag_bc_op *)(const void *)program;
	long left = (long)size;

	while (left > 0) {
		bool yes = true;

		if (op->code == INET_DIAG_BC_S_GE)
			yes = port >= op[1].no;
		else if (op->code == INET_DIAG_BC_S_LE)
			yes = port <= op[1].no;
		else if (op->code == INET_DIAG_BC_AUTO)
			yes = automatic;
		else if (op->code == INET_DIAG_BC_JMP)
			yes = false;
		else
			fail();
		left -= yes ? op->yes : op->no;
		op = (const struct inet_diag_bc_op *)(const void *)((const char *)op + (yes ? op->yes : op->no));
	}
	return left == 0;
}

/* The rules by which inet_diag_bc_audit() takes a program: distances are multiples of 4 and go at most 4 beyond the
 * end. */
static void audit_program(const uint8_t *program, size_t size)
{
	for (size_t pos = 0; pos < size;) {
		uint8_t code = program[pos], yes = program[pos + 1];
		uint16_t no = native16(program + pos + 2);

		assert_true(code == INET_DIAG_BC_JMP || code == INET_DIAG_BC_AUTO || yes >= 8);
		assert_true(no >= 4 && no <= size - pos + 4 && no % 4 == 0);
		assert_true(yes >= 4 && yes <= size - pos + 4 && yes % 4 == 0);
		pos += yes;
	}
}

static const uint8_t *find_program(const uint8_t *request, size_t len, size_t body, size_t *size)
{
	const uint8_t *attribute = request + NLMSG_HDRLEN + body;

	assert_int_equal(native16(attribute + 2), INET_DIAG_REQ_BYTECODE);
	*size = native16(attribute) - (size_t)NLA_HDRLEN;
	assert_int_equal(len, NLMSG_HDRLEN + body + NLA_HDRLEN + *size);
	return attribute + NLA_HDRLEN;
}

static void tcp_request(void **state)
{
	_Alignas(8) uint8_t request[PW_DIAG_REQUEST_MAX];
	size_t len = pw_inet_diag_request(PW_STREAM_DUMP_TCP, LOW, HIGH, request), size;
	const uint8_t *program = find_program(request, len, 60, &size);

	(void)state;
	check_header(request, len, TCPDIAG_GETSOCK);
	assert_int_equal(native32(request + NLMSG_HDRLEN + 52), UINT32_MAX); /* states */
	assert_int_equal(request[NLMSG_HDRLEN + 3], 0);                      /* no extensions */
	assert_int_equal(size, 16);
	audit_program(program, size);
	assert_false(run_program(program, size, LOW - 1, true));
	assert_true(run_program(program, size, LOW, true));
	assert_true(run_program(program, size, HIGH, false));
	assert_false(run_program(program, size, HIGH + 1, true));
}

static void bound_request(void **state)
{
	_Alignas(8) uint8_t request[PW_DIAG_REQUEST_MAX];
	size_t len = pw_inet_diag_request(PW_STREAM_DUMP_BOUND, LOW, HIGH, request), size;
	const uint8_t *program = find_program(request, len, 60, &size);

	(void)state;
	check_header(request, len, TCPDIAG_GETSOCK);
	assert_int_equal(size, 24);
	audit_program(program, size);
	assert_true(run_program(program, size, LOW, false));
	assert_false(run_program(program, size, LOW, true));
	assert_false(run_program(program, size, LOW - 1, false));
	assert_false(run_program(program, size, HIGH + 1, false));
}

static void udp_requests(void **state)
{
	static const enum pw_stream streams[] = {PW_STREAM_DUMP_UDP, PW_STREAM_DUMP_UDP6};
	static const uint8_t families[] = {AF_INET, AF_INET6};
	_Alignas(8) uint8_t request[PW_DIAG_REQUEST_MAX];

	(void)state;
	for (int i = 0; i < 2; i++) {
		size_t len = pw_inet_diag_request(streams[i], LOW, HIGH, request), size;
		const uint8_t *program = find_program(request, len, 56, &size);

		check_header(request, len, SOCK_DIAG_BY_FAMILY);
		assert_int_equal(request[NLMSG_HDRLEN], families[i]);
		assert_int_equal(request[NLMSG_HDRLEN + 1], IPPROTO_UDP);
		assert_int_equal(native32(request + NLMSG_HDRLEN + 4), UINT32_MAX);
		audit_program(program, size);
	}
}

/* --- parser --- */

static int parse(const struct datagram *datagram, struct pw_socket *out)
{
	memset(out, 0xee, sizeof(*out));
	return pw_inet_diag_parse((const struct nlmsghdr *)(const void *)datagram->bytes, IPPROTO_TCP, out);
}

static void check_address(const uint8_t address[16], const char *text)
{
	uint8_t expected[16] = {0};

	if (inet_pton(AF_INET, text, expected) != 1)
		assert_int_equal(inet_pton(AF_INET6, text, expected), 1);
	assert_memory_equal(address, expected, 16);
}

static void established_ipv4(void **state)
{
	static const struct message message = {.local = "10.0.0.1",
		.remote = "10.0.0.9",
		.local_port = 40001,
		.remote_port = 443,
		.state = PW_ESTABLISHED,
		.timer = 2,
		.expires = 7200,
		.uid = 1000,
		.inode = 77,
		.ifindex = 3,
		.cookie = UINT64_C(0x1122334455667788)};
	const uint64_t cgroup = UINT64_C(0xaabbccddeeff0011);
	const struct inet_diag_sockopt options = {.recverr = 1, .is_icsk = 1, .bind_address_no_port = 1};
	const uint8_t shutdown = 0;
	const uint32_t mark = 5;
	struct datagram d = {.len = 0};
	struct pw_socket s;

	(void)state;
	datagram_socket(&d, TCPDIAG_GETSOCK, &message);
	datagram_attribute(&d, INET_DIAG_SHUTDOWN, &shutdown, 1);
	datagram_attribute(&d, INET_DIAG_MARK, &mark, 4);
	datagram_attribute(&d, INET_DIAG_CGROUP_ID, &cgroup, 8);
	datagram_attribute(&d, INET_DIAG_SOCKOPT, &options, 2);
	assert_int_equal(d.len, 124); /* as long as the kernel's */
	assert_int_equal(parse(&d, &s), 0);
	check_address(s.local, "10.0.0.1");
	check_address(s.remote, "10.0.0.9");
	assert_true(s.cookie == message.cookie && s.cgroup == cgroup);
	assert_int_equal(s.uid, 1000);
	assert_int_equal(s.ifindex, 3);
	assert_int_equal(s.expires_ms, 7200);
	assert_int_equal(s.local_port, 40001);
	assert_int_equal(s.remote_port, 443);
	assert_int_equal(s.family, AF_INET);
	assert_int_equal(s.protocol, IPPROTO_TCP);
	assert_int_equal(s.state, PW_ESTABLISHED);
	assert_int_equal(s.flags, PW_SOCKET_HAS_OWNER | PW_SOCKET_NO_PORT);
}

static void addresses_are_normalized(void **state)
{
	static const struct {
		const char *local, *remote, *expected_local, *expected_remote;
		int family;
	} cases[] = {
		{"2001:db8::1", "2001:db8::2", "2001:db8::1", "2001:db8::2", AF_INET6},
		{"::ffff:10.0.0.1", "::ffff:10.0.0.9", "10.0.0.1", "10.0.0.9", AF_INET},
		{"::ffff:10.0.0.1", "::", "10.0.0.1", "0.0.0.0", AF_INET},
		{"::", "::ffff:10.0.0.9", "0.0.0.0", "10.0.0.9", AF_INET},
		{"::", "::", "::", "::", AF_INET6},
		{"::1", "::", "::1", "::", AF_INET6},
		{"::ffff:10.0.0.1", "2001:db8::2", "::ffff:10.0.0.1", "2001:db8::2", AF_INET6},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct message message = {
			.local = cases[i].local, .remote = cases[i].remote, .local_port = 1, .state = 1};
		struct datagram d = {.len = 0};
		struct pw_socket s;

		datagram_socket(&d, TCPDIAG_GETSOCK, &message);
		assert_int_equal(parse(&d, &s), 0);
		assert_int_equal(s.family, cases[i].family);
		check_address(s.local, cases[i].expected_local);
		check_address(s.remote, cases[i].expected_remote);
	}
}

static uint8_t flags_of(const struct message *message, uint16_t attribute, uint8_t value)
{
	struct datagram d = {.len = 0};
	struct pw_socket s;

	datagram_socket(&d, TCPDIAG_GETSOCK, message);
	if (attribute != 0)
		datagram_attribute(&d, attribute, &value, 1);
	assert_int_equal(parse(&d, &s), 0);
	return s.flags;
}

static void flags_are_set(void **state)
{
	const struct message time_wait = {.local = "10.0.0.1", .state = PW_TIME_WAIT, .timer = 3, .expires = 58000};
	const struct message half_open = {.local = "10.0.0.1", .state = PW_SYN_RECV, .timer = 1, .expires = 900};
	const struct message accepted = {.local = "10.0.0.1", .state = PW_SYN_RECV, .timer = 1, .inode = 5};
	const struct message listening = {.local = "::", .state = PW_LISTEN, .inode = 5};

	(void)state;
	assert_int_equal(flags_of(&time_wait, 0, 0), 0);
	assert_int_equal(flags_of(&half_open, 0, 0), PW_SOCKET_HALF_OPEN);
	/* a full socket, of TCP Fast Open: it has a bind bucket */
	assert_int_equal(flags_of(&half_open, INET_DIAG_SHUTDOWN, 0), 0);
	assert_int_equal(flags_of(&accepted, 0, 0), PW_SOCKET_HAS_OWNER);
	assert_int_equal(flags_of(&listening, INET_DIAG_SKV6ONLY, 1), PW_SOCKET_HAS_OWNER | PW_SOCKET_V6ONLY);
	assert_int_equal(flags_of(&listening, INET_DIAG_SKV6ONLY, 0), PW_SOCKET_HAS_OWNER);
}

static void odd_messages_are_refused(void **state)
{
	static const uint8_t states[] = {0, 14, 255};
	struct message message = {.local = "10.0.0.1", .state = PW_ESTABLISHED};
	struct datagram d = {.len = 0};
	struct pw_socket s;

	(void)state;
	datagram_socket(&d, TCPDIAG_GETSOCK, &message);
	((struct nlmsghdr *)(void *)d.bytes)->nlmsg_len--;
	assert_int_equal(parse(&d, &s), -1);
	((struct nlmsghdr *)(void *)d.bytes)->nlmsg_len++;
	d.bytes[NLMSG_HDRLEN] = AF_UNIX;
	assert_int_equal(parse(&d, &s), -1);
	for (size_t i = 0; i < sizeof(states); i++) {
		d.len = 0;
		message.state = states[i];
		datagram_socket(&d, TCPDIAG_GETSOCK, &message);
		assert_int_equal(parse(&d, &s), -1);
	}
}

/* Lengths of attributes that lie: shorter than a header, or beyond the message. */
static void lying_attributes_are_refused(void **state)
{
	static const uint16_t lengths[] = {0, 1, 3, 13, 255, 65535};
	const struct message message = {.local = "10.0.0.1", .state = PW_ESTABLISHED};
	const uint64_t cgroup = 7;
	struct datagram d = {.len = 0};
	struct pw_socket s;

	(void)state;
	datagram_socket(&d, TCPDIAG_GETSOCK, &message);
	datagram_attribute(&d, INET_DIAG_CGROUP_ID, &cgroup, sizeof(cgroup));
	assert_int_equal(parse(&d, &s), 0);
	assert_int_equal(s.cgroup, 7);
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		memcpy(d.bytes + 88, &lengths[i], 2);
		assert_int_equal(parse(&d, &s), -1);
	}
	/* short, but honest: the value is not there */
	memcpy(d.bytes + 88, &(uint16_t){8}, 2);
	((struct nlmsghdr *)(void *)d.bytes)->nlmsg_len = 96;
	assert_int_equal(parse(&d, &s), 0);
	assert_int_equal(s.cgroup, 0);
}

/* --- dumps --- */

static enum pw_dump_status run_dump(struct reading *f)
{
	return pw_inet_diag_dump(&f->input, PW_STREAM_DUMP_TCP, LOW, HIGH, &f->batch, &f->stats, &f->err);
}

static void put_sockets(struct datagram *datagram, uint16_t type, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		const struct message message = {.local = "10.0.0.1",
			.remote = "10.0.0.9",
			.local_port = (uint16_t)(LOW + i),
			.remote_port = 80,
			.state = PW_ESTABLISHED,
			.cookie = i + 1};

		datagram_socket(datagram, type, &message);
	}
}

static void every_socket_arrives(void **state)
{
	static const unsigned sizes[] = {
		0, 1, 63, 1, 50, 13}; /* 128 in all: batches end within and at the end of datagrams */
	struct reading *f = *state;
	struct fake_open *open = fake_add(f->fake, PW_STREAM_DUMP_TCP);
	struct datagram done = {.len = 0};
	unsigned total = 0;

	for (size_t i = 0; i < 6; i++) {
		struct datagram d = {.len = 0};

		put_sockets(&d, TCPDIAG_GETSOCK, sizes[i]);
		if (sizes[i] > 0)
			fake_read_data(open, d.bytes, d.len, 0);
		total += sizes[i];
	}
	datagram_done(&done, 0);
	fake_read_data(open, done.bytes, done.len, 0);
	assert_int_equal(run_dump(f), PW_DUMP_OK);
	assert_int_equal(f->caught.n, total);
	assert_int_equal(f->stats.messages, total + 1);
	assert_int_equal(f->stats.bytes, total * 88 + 20);
	assert_int_equal(f->caught.calls, 2);
	assert_int_equal(f->caught.sockets[64].local_port, LOW);
}

static void done_in_the_same_datagram(void **state)
{
	struct reading *f = *state;
	struct datagram d = {.len = 0};

	put_sockets(&d, TCPDIAG_GETSOCK, 3);
	datagram_done(&d, 0);
	put_sockets(&d, TCPDIAG_GETSOCK, 1); /* nothing counts behind the end */
	fake_read_data(fake_add(f->fake, PW_STREAM_DUMP_TCP), d.bytes, d.len, 0);
	assert_int_equal(run_dump(f), PW_DUMP_OK);
	assert_int_equal(f->caught.n, 3);
}

/* One datagram with one message of this type and body, behind a socket. */
static enum pw_dump_status dump_ending_with(
	struct reading *f, uint16_t type, uint16_t flags, const void *body, size_t len)
{
	struct datagram d = {.len = 0};

	put_sockets(&d, TCPDIAG_GETSOCK, 1);
	datagram_put(&d, type, flags, body, len);
	fake_read_data(fake_add(f->fake, PW_STREAM_DUMP_TCP), d.bytes, d.len, 0);
	return run_dump(f);
}

static enum pw_dump_status dump_ending_with_error(struct reading *f, uint16_t type, int error)
{
	const struct nlmsgerr body = {.error = error};

	return dump_ending_with(f, type, 0, &body, type == NLMSG_ERROR ? sizeof(body) : sizeof(body.error));
}

static void errors_of_the_kernel(void **state)
{
	struct reading *f = *state;

	assert_int_equal(dump_ending_with_error(f, NLMSG_DONE, -ENOENT), PW_DUMP_UNAVAILABLE);
	assert_string_equal(f->err.text, "dump of the TCP sockets: No such file or directory");
	assert_int_equal(dump_ending_with_error(f, NLMSG_ERROR, -ENOENT), PW_DUMP_UNAVAILABLE);
	assert_int_equal(dump_ending_with_error(f, NLMSG_ERROR, -EOPNOTSUPP), PW_DUMP_UNAVAILABLE);
	assert_int_equal(dump_ending_with_error(f, NLMSG_ERROR, -EBUSY), PW_DUMP_AGAIN);
	assert_int_equal(dump_ending_with_error(f, NLMSG_DONE, -EINTR), PW_DUMP_AGAIN);
	assert_int_equal(dump_ending_with_error(f, NLMSG_ERROR, -EINVAL), PW_DUMP_FAILED);
	assert_int_equal(dump_ending_with_error(f, NLMSG_DONE, -ENOMEM), PW_DUMP_FAILED);
	assert_int_equal(dump_ending_with_error(f, NLMSG_ERROR, INT32_MIN), PW_DUMP_FAILED);
	/* before Linux 4.15 NLMSG_DONE had no number */
	assert_int_equal(dump_ending_with(f, NLMSG_DONE, 0, NULL, 0), PW_DUMP_OK);
	assert_int_equal(dump_ending_with(f, NLMSG_ERROR, 0, NULL, 0), PW_DUMP_AGAIN);
}

static void interrupted_dumps_are_not_trusted(void **state)
{
	struct reading *f = *state;
	const int zero = 0;

	assert_int_equal(dump_ending_with(f, NLMSG_DONE, NLM_F_DUMP_INTR, &zero, sizeof(zero)), PW_DUMP_AGAIN);
	assert_int_equal(dump_ending_with(f, NLMSG_OVERRUN, 0, NULL, 0), PW_DUMP_AGAIN);
}

static void unknown_messages_are_passed_over(void **state)
{
	struct reading *f = *state;
	struct datagram d = {.len = 0};

	datagram_put(&d, NLMSG_NOOP, 0, NULL, 0);
	datagram_put(&d, 77, 0, "abcdefgh", 8);
	put_sockets(&d, TCPDIAG_GETSOCK, 1);
	datagram_done(&d, -EINVAL);
	((struct nlmsghdr *)(void *)(d.bytes + d.len - 20))->nlmsg_seq = 2; /* not an answer to us */
	datagram_done(&d, 0);
	fake_read_data(fake_add(f->fake, PW_STREAM_DUMP_TCP), d.bytes, d.len, 0);
	assert_int_equal(run_dump(f), PW_DUMP_OK);
	assert_int_equal(f->caught.n, 1);
}

static void messages_of_other_senders_are_ignored(void **state)
{
	struct reading *f = *state;
	struct fake_open *open = fake_add(f->fake, PW_STREAM_DUMP_TCP);
	struct datagram d = {.len = 0}, forged = {.len = 0};

	put_sockets(&forged, TCPDIAG_GETSOCK, 2);
	datagram_done(&forged, 0);
	put_sockets(&d, TCPDIAG_GETSOCK, 1);
	datagram_done(&d, 0);
	fake_read_data(open, forged.bytes, forged.len, 4711);
	fake_read_data(open, d.bytes, d.len, 0);
	assert_int_equal(run_dump(f), PW_DUMP_OK);
	assert_int_equal(f->caught.n, 1);
}

static void signals_do_not_end_a_dump(void **state)
{
	struct reading *f = *state;
	struct fake_open *open = fake_add(f->fake, PW_STREAM_DUMP_TCP);
	struct datagram d = {.len = 0};

	put_sockets(&d, TCPDIAG_GETSOCK, 2);
	fake_read_error(open, EINTR);
	fake_read_data(open, d.bytes, d.len, 0);
	fake_read_error(open, EINTR);
	fake_read_error(open, EINTR);
	d.len = 0;
	datagram_done(&d, 0);
	fake_read_data(open, d.bytes, d.len, 0);
	assert_int_equal(run_dump(f), PW_DUMP_OK);
	assert_int_equal(f->caught.n, 2);
}

static void a_storm_of_signals_ends(void **state)
{
	struct reading *f = *state;

	fake_add(f->fake, PW_STREAM_DUMP_TCP)->forever = EINTR;
	assert_int_equal(run_dump(f), PW_DUMP_AGAIN);
}

static void failing_receives(void **state)
{
	static const struct {
		int error;
		enum pw_dump_status status;
	} cases[] = {{ENOBUFS, PW_DUMP_AGAIN}, {EMSGSIZE, PW_DUMP_AGAIN}, {EAGAIN, PW_DUMP_FAILED},
		{EIO, PW_DUMP_FAILED}, {ENOMEM, PW_DUMP_FAILED}, {ENODATA, PW_DUMP_FAILED}};
	struct reading *f = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		fake_read_error(fake_add(f->fake, PW_STREAM_DUMP_TCP), cases[i].error);
		assert_int_equal(run_dump(f), cases[i].status);
		assert_non_null(strstr(f->err.text, "dump of the TCP sockets: "));
	}
}

static void failing_opens(void **state)
{
	static const int unavailable[] = {ENOENT, EPROTONOSUPPORT, EAFNOSUPPORT, EACCES, EPERM, EOPNOTSUPP};
	struct reading *f = *state;

	for (size_t i = 0; i < sizeof(unavailable) / sizeof(unavailable[0]); i++) {
		fake_fail(f->fake, PW_STREAM_DUMP_TCP, unavailable[i]);
		assert_int_equal(run_dump(f), PW_DUMP_UNAVAILABLE);
	}
	fake_fail(f->fake, PW_STREAM_DUMP_TCP, EMFILE);
	assert_int_equal(run_dump(f), PW_DUMP_FAILED);
	assert_int_equal(f->fake->closed, 0);
}

static void damaged_datagrams(void **state)
{
	static const uint32_t lengths[] = {0, 15, 89, 4096, UINT32_MAX};
	struct reading *f = *state;
	struct datagram d = {.len = 0};

	put_sockets(&d, TCPDIAG_GETSOCK, 1);
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		memcpy(d.bytes, &lengths[i], 4);
		fake_read_data(fake_add(f->fake, PW_STREAM_DUMP_TCP), d.bytes, d.len, 0);
		assert_int_equal(run_dump(f), PW_DUMP_AGAIN);
	}
	/* cut off at any length: never taken for complete, never read beyond */
	d.len = 0;
	put_sockets(&d, TCPDIAG_GETSOCK, 1);
	for (size_t cut = 0; cut < d.len; cut++) {
		struct fake *fake = fake_new();
		struct pw_input input = fake_input(fake);

		fake_read_data(fake_add(fake, PW_STREAM_DUMP_TCP), d.bytes, cut, 0);
		assert_int_equal(
			pw_inet_diag_dump(&input, PW_STREAM_DUMP_TCP, LOW, HIGH, &f->batch, &f->stats, &f->err),
			PW_DUMP_AGAIN);
		fake_free(fake);
	}
	assert_int_equal(f->caught.n, 0);
}

static void too_large_datagram(void **state)
{
	static uint8_t large[40000];
	struct reading *f = *state;

	fake_read_data(fake_add(f->fake, PW_STREAM_DUMP_TCP), large, sizeof(large), 0);
	assert_int_equal(run_dump(f), PW_DUMP_AGAIN);
}

/* A socket with attributes of any kind, number, order and length, so that many messages are of one length and yet different. */
static void put_any_socket(struct datagram *d, unsigned i)
{
	static const uint16_t types[] = {INET_DIAG_SHUTDOWN, INET_DIAG_MARK, INET_DIAG_CGROUP_ID, INET_DIAG_SOCKOPT,
		INET_DIAG_SKV6ONLY, INET_DIAG_TOS};
	const struct message message = {.local = "10.0.0.1",
		.remote = "10.0.0.9",
		.local_port = (uint16_t)(LOW + i % 100),
		.remote_port = 80,
		.state = chance(2) ? PW_SYN_RECV : PW_ESTABLISHED,
		.timer = 1,
		.inode = chance(2) ? 1 : 0,
		.cookie = i + 1};
	unsigned n = chance(10) ? 9 + pick(5) : pick(4);
	uint8_t value[12];

	datagram_socket(d, TCPDIAG_GETSOCK, &message);
	for (unsigned k = 0; k < n; k++) {
		for (size_t b = 0; b < sizeof(value); b++)
			value[b] = (uint8_t)pick(256);
		datagram_attribute(d, types[pick(6)], value, chance(2) ? 8 : 1 + pick(12));
	}
}

static void assert_same_socket(const struct pw_socket *a, const struct pw_socket *b)
{
	assert_true(a->cookie == b->cookie && a->cgroup == b->cgroup);
	assert_int_equal(a->flags, b->flags);
	assert_int_equal(a->state, b->state);
	assert_int_equal(a->local_port, b->local_port);
}

/* What one message has is never taken for what the one before had. */
static void messages_do_not_colour_each_other(void **state)
{
	struct reading *f = *state;
	struct fake_open *open = fake_add(f->fake, PW_STREAM_DUMP_TCP);
	struct pw_socket alone[240];
	struct datagram d = {.len = 0}, one;

	random_start();
	for (unsigned i = 0; i < 240; i++) {
		one.len = 0;
		put_any_socket(&one, i);
		assert_int_equal(parse(&one, &alone[i]), 0);
		memcpy(d.bytes + d.len, one.bytes, one.len);
		d.len += one.len;
		if (i % 20 != 19)
			continue;
		fake_read_data(open, d.bytes, d.len, 0);
		d.len = 0;
	}
	datagram_done(&d, 0);
	fake_read_data(open, d.bytes, d.len, 0);
	assert_int_equal(run_dump(f), PW_DUMP_OK);
	assert_int_equal(f->caught.n, 240);
	for (unsigned i = 0; i < 240; i++)
		assert_same_socket(&f->caught.sockets[i], &alone[i]);
}

static void sink_can_stop_the_dump(void **state)
{
	struct reading *f = *state;
	struct datagram d = {.len = 0};

	f->caught.result = -1;
	put_sockets(&d, TCPDIAG_GETSOCK, 65);
	fake_dump(f->fake, PW_STREAM_DUMP_TCP, &d);
	assert_int_equal(run_dump(f), PW_DUMP_FAILED);
	assert_string_equal(f->err.text, "dump of the TCP sockets: out of memory");
	/* also when it is the last, incomplete batch that does not fit */
	d.len = 0;
	put_sockets(&d, TCPDIAG_GETSOCK, 1);
	fake_dump(f->fake, PW_STREAM_DUMP_TCP, &d);
	assert_int_equal(run_dump(f), PW_DUMP_FAILED);
}

static void udp_answers_have_another_type(void **state)
{
	struct reading *f = *state;
	struct datagram d = {.len = 0};

	put_sockets(&d, SOCK_DIAG_BY_FAMILY, 2);
	fake_dump(f->fake, PW_STREAM_DUMP_UDP6, &d);
	assert_int_equal(pw_inet_diag_dump(&f->input, PW_STREAM_DUMP_UDP6, LOW, HIGH, &f->batch, &f->stats, &f->err),
		PW_DUMP_OK);
	assert_int_equal(f->caught.n, 2);
	assert_int_equal(f->caught.sockets[1].protocol, IPPROTO_UDP);
}

#define DUMP_TEST(test) cmocka_unit_test_setup_teardown(test, reading_setup, reading_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tcp_request),
		cmocka_unit_test(bound_request),
		cmocka_unit_test(udp_requests),
		cmocka_unit_test(established_ipv4),
		cmocka_unit_test(addresses_are_normalized),
		cmocka_unit_test(flags_are_set),
		cmocka_unit_test(odd_messages_are_refused),
		cmocka_unit_test(lying_attributes_are_refused),
		DUMP_TEST(every_socket_arrives),
		DUMP_TEST(done_in_the_same_datagram),
		DUMP_TEST(errors_of_the_kernel),
		DUMP_TEST(interrupted_dumps_are_not_trusted),
		DUMP_TEST(unknown_messages_are_passed_over),
		DUMP_TEST(messages_of_other_senders_are_ignored),
		DUMP_TEST(signals_do_not_end_a_dump),
		DUMP_TEST(a_storm_of_signals_ends),
		DUMP_TEST(failing_receives),
		DUMP_TEST(failing_opens),
		DUMP_TEST(damaged_datagrams),
		DUMP_TEST(too_large_datagram),
		DUMP_TEST(messages_do_not_colour_each_other),
		DUMP_TEST(sink_can_stop_the_dump),
		DUMP_TEST(udp_answers_have_another_type),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

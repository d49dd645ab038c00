/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernel/proc_net.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/number.h"

/* A line is at most some 250 bytes. */
#define READ_SIZE 16384

#define TIMER_RETRANSMIT 1

/* --- one line --- */

/* What a line says before it becomes a socket. */
struct line {
	uint32_t local[4], remote[4]; /* as printed: machine's numbers that hold bytes of network order */
	uint64_t local_port, remote_port, state, timer, expires, uid, inode;
};

/* min..max hexadecimal digits; advances *text behind them. */
static int take_hex(const char **text, unsigned min, unsigned max, uint64_t *value)
{
	unsigned n;
	int digit;

	*value = 0;
	for (n = 0; n < max && (digit = pw_hex_digit((*text)[n])) >= 0; n++)
		*value = *value << 4 | (uint64_t)digit;
	*text += n;
	return n >= min ? 0 : -1;
}

/* Blanks before a decimal number. */
static int take_decimal(const char **text, uint64_t *value)
{
	*text += strspn(*text, " ");
	return pw_number_take(text, UINT64_MAX, value) ? 0 : -1;
}

static int take_char(const char **text, char c)
{
	if (**text != c)
		return -1;
	(*text)++;
	return 0;
}

static int take_address(const char **text, int family, uint32_t address[4], uint64_t *port)
{
	const int words = family == AF_INET ? 1 : 4;
	uint64_t word;

	for (int i = 0; i < words; i++) {
		if (take_hex(text, 8, 8, &word) < 0)
			return -1;
		address[i] = (uint32_t)word;
	}
	return take_char(text, ':') < 0 ? -1 : take_hex(text, 4, 4, port);
}

/* "00000000:00000000", of which the second number is wanted; `min` digits in the first. */
static int take_pair(const char **text, unsigned min, uint64_t *first, uint64_t *second)
{
	if (take_hex(text, min, 16, first) < 0 || take_char(text, ':') < 0)
		return -1;
	return take_hex(text, 8, 16, second);
}

/* "   7: 0100007F:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 12345 ..." */
static int take_line(const char *p, int family, struct line *out)
{
	uint64_t unused, unused2;

	if (take_decimal(&p, &unused) < 0 || take_char(&p, ':') < 0 || take_char(&p, ' ') < 0 ||
		take_address(&p, family, out->local, &out->local_port) < 0 || take_char(&p, ' ') < 0 ||
		take_address(&p, family, out->remote, &out->remote_port) < 0 || take_char(&p, ' ') < 0 ||
		take_hex(&p, 2, 2, &out->state) < 0 || take_char(&p, ' ') < 0)
		return -1;
	if (take_pair(&p, 8, &unused, &unused2) < 0 || take_char(&p, ' ') < 0 ||
		take_pair(&p, 2, &out->timer, &out->expires) < 0 || take_char(&p, ' ') < 0 ||
		take_hex(&p, 8, 16, &unused) < 0)
		return -1;
	if (take_decimal(&p, &out->uid) < 0 || take_decimal(&p, &unused) < 0)
		return -1;
	return take_decimal(&p, &out->inode);
}

int pw_proc_net_parse(const char *text, int family, uint8_t protocol, struct pw_socket *out)
{
	struct line line = {0};
	uint64_t ms;

	if (take_line(text, family, &line) < 0 || line.state < PW_ESTABLISHED || line.state > PW_CLOSING)
		return -1;
	ms = line.expires < UINT32_MAX ? line.expires * 1000 / (uint64_t)sysconf(_SC_CLK_TCK) : UINT32_MAX;
	*out = (struct pw_socket){
		.uid = (uint32_t)line.uid,
		.expires_ms = ms < UINT32_MAX ? (uint32_t)ms : UINT32_MAX,
		.inode = (uint32_t)line.inode,
		.local_port = (uint16_t)line.local_port,
		.remote_port = (uint16_t)line.remote_port,
		.protocol = protocol,
		.state = (uint8_t)line.state,
	};
	if (line.inode != 0)
		out->flags = PW_SOCKET_HAS_OWNER;
	else if (line.state == PW_SYN_RECV && line.timer == TIMER_RETRANSMIT)
		out->flags = PW_SOCKET_HALF_OPEN;
	if (family == AF_INET) {
		out->family = AF_INET;
		memcpy(out->local, line.local, 4);
		memcpy(out->remote, line.remote, 4);
	} else {
		pw_socket_set_ipv6(out, line.local, line.remote);
	}
	return 0;
}

/* --- a file --- */

struct reader {
	int family;
	uint8_t protocol;
	uint16_t low, high;
	struct pw_batch *batch;
	unsigned line;   /* number of the one at hand, from 1: the first is the heading */
	const char *why; /* what is wrong, or NULL */
};

/* Takes the complete lines in buf and moves the rest to its start. Returns the length of the rest, or -1. */
static ssize_t take_lines(struct reader *reader, char *buf, size_t len)
{
	char *p = buf, *end;

	for (; (end = memchr(p, '\n', len - (size_t)(p - buf))) != NULL; p = end + 1, reader->line++) {
		struct pw_socket *socket = pw_batch_next(reader->batch);

		if (reader->line == 1)
			continue;
		*end = '\0';
		if (pw_proc_net_parse(p, reader->family, reader->protocol, socket) < 0) {
			reader->why = "not understood";
			return -1;
		}
		if (socket->local_port < reader->low || socket->local_port > reader->high)
			continue;
		if (pw_batch_push(reader->batch) < 0) {
			reader->why = "out of memory";
			return -1;
		}
	}
	len -= (size_t)(p - buf);
	memmove(buf, p, len);
	return (ssize_t)len;
}

/* Returns 0, or a negative errno; -EBADMSG with reader->why. */
static int read_lines(struct pw_input *input, struct reader *reader)
{
	char buf[READ_SIZE];
	uint32_t sender;
	ssize_t rest = 0, n;

	while ((n = pw_input_read(input, buf + rest, sizeof(buf) - (size_t)rest, &sender)) > 0) {
		rest = take_lines(reader, buf, (size_t)(rest + n));
		if (rest < 0)
			return -EBADMSG;
		if ((size_t)rest == sizeof(buf))
			break;
	}
	if (n < 0)
		return (int)n;
	if (rest > 0)
		reader->why = "the line has no end";
	return rest > 0 ? -EBADMSG : 0;
}

enum pw_dump_status pw_proc_net_read(struct pw_input *input, enum pw_stream stream, uint16_t low, uint16_t high,
	struct pw_batch *batch, struct pw_error *err)
{
	static const char *const names[] = {"tcp", "tcp6", "udp", "udp6"};
	const char *name = names[stream - PW_STREAM_PROC_TCP];
	const bool ipv6 = stream == PW_STREAM_PROC_TCP6 || stream == PW_STREAM_PROC_UDP6;
	struct reader reader = {
		.family = ipv6 ? AF_INET6 : AF_INET,
		.protocol = name[0] == 'u' ? IPPROTO_UDP : IPPROTO_TCP,
		.low = low,
		.high = high,
		.batch = batch,
		.line = 1,
	};
	int rc = pw_input_open(input, stream, NULL, 0);

	if (rc == -ENOENT && ipv6)
		return PW_DUMP_OK;
	if (rc == 0) {
		rc = read_lines(input, &reader);
		pw_input_close(input);
	}
	if (pw_batch_flush(batch) < 0) {
		reader.why = "out of memory";
		rc = -ENOMEM;
	}
	if (rc == 0)
		return PW_DUMP_OK;
	if (reader.why != NULL)
		pw_error_set(err, "/proc/net/%s: line %u: %s", name, reader.line, reader.why);
	else
		pw_error_set(err, "/proc/net/%s: %s", name, strerror(-rc));
	return PW_DUMP_FAILED;
}

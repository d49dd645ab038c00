/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "kernel_fake.h"

struct fake *fake_new(void)
{
	return calloc(1, sizeof(struct fake));
}

void fake_free(struct fake *fake)
{
	for (size_t s = 0; s < PW_STREAM_COUNT; s++)
		for (size_t o = 0; o < fake->n[s]; o++)
			for (size_t r = 0; r < fake->opens[s][o].n; r++)
				free(fake->opens[s][o].reads[r].data);
	free(fake);
}

static int fake_open(void *self, enum pw_stream stream, const void *request, size_t len)
{
	struct fake *fake = self;
	size_t n = fake->opened[stream]++;

	if (fake->n[stream] == 0)
		return -ENOENT;
	if (request != NULL)
		memcpy(fake->request[stream], request, len);
	fake->request_len[stream] = len;
	fake->current = &fake->opens[stream][n < fake->n[stream] ? n : fake->n[stream] - 1];
	fake->stream = stream;
	fake->read = 0;
	for (size_t r = 0; r < fake->current->n; r++)
		fake->current->reads[r].used = 0;
	fake->total_opened += fake->current->error == 0;
	return -fake->current->error;
}

static ssize_t read_part(struct fake *fake, struct fake_read *read, void *buf, size_t size)
{
	size_t rest = read->len - read->used, n = rest < size ? rest : size;

	memcpy(buf, read->data + read->used, n);
	read->used += n;
	if (pw_stream_is_dump(fake->stream)) {
		fake->read++;
		return n < rest ? -EMSGSIZE : (ssize_t)n;
	}
	fake->read += n == rest;
	return (ssize_t)n;
}

static ssize_t fake_read_next(void *self, void *buf, size_t size, uint32_t *sender)
{
	struct fake *fake = self;
	struct fake_read *read;

	if (fake->current->forever != 0)
		return -fake->current->forever;
	if (fake->read == fake->current->n)
		return pw_stream_is_dump(fake->stream) ? -ENODATA : 0;
	read = &fake->current->reads[fake->read];
	*sender = read->sender;
	if (read->error != 0) {
		fake->read++;
		return -read->error;
	}
	return read_part(fake, read, buf, size);
}

static void fake_close(void *self)
{
	struct fake *fake = self;

	fake->closed++;
}

struct pw_input fake_input(struct fake *fake)
{
	static const struct pw_input_ops ops = {.open = fake_open, .read = fake_read_next, .close = fake_close};

	return (struct pw_input){.ops = &ops, .self = fake};
}

struct fake_open *fake_add(struct fake *fake, enum pw_stream stream)
{
	return &fake->opens[stream][fake->n[stream]++];
}

void fake_fail(struct fake *fake, enum pw_stream stream, int error)
{
	fake_add(fake, stream)->error = error;
}

void fake_read_data(struct fake_open *open, const void *data, size_t len, uint32_t sender)
{
	struct fake_read *read = &open->reads[open->n];

	if (open->n++ == FAKE_STEPS)
		abort(); /* the test wants more than there is room for */
	read->data = malloc(len);
	read->len = len;
	read->sender = sender;
	memcpy(read->data, data, len);
}

void fake_read_error(struct fake_open *open, int error)
{
	open->reads[open->n++].error = error;
}

void fake_text(struct fake *fake, enum pw_stream stream, const char *text)
{
	fake_read_data(fake_add(fake, stream), text, strlen(text), 0);
}

void fake_settings(struct fake *fake)
{
	fake_text(fake, PW_STREAM_RANGE, "40000\t40099\n");
	fake_text(fake, PW_STREAM_RESERVED, "\n");
	fake_text(fake, PW_STREAM_TW_REUSE, "2\n");
	fake_text(fake, PW_STREAM_TW_REUSE_DELAY, "1000\n");
	fake_text(fake, PW_STREAM_TIMESTAMPS, "1\n");
	fake_text(fake, PW_STREAM_SOCKSTAT,
		"sockets: used 20\nTCP: inuse 7 orphan 0 tw 3 alloc 9 mem 1\nUDP: inuse 2 mem 0\nUDPLITE: inuse 0\n");
	fake_text(fake, PW_STREAM_SOCKSTAT6, "TCP6: inuse 4\nUDP6: inuse 1\nUDPLITE6: inuse 0\n");
}

void *datagram_put(struct datagram *datagram, uint16_t type, uint16_t flags, const void *body, size_t len)
{
	struct nlmsghdr header = {
		.nlmsg_len = (uint32_t)(NLMSG_HDRLEN + len), .nlmsg_type = type, .nlmsg_flags = flags, .nlmsg_seq = 1};
	uint8_t *start = datagram->bytes + datagram->len;

	memcpy(start, &header, sizeof(header));
	if (len > 0)
		memcpy(start + NLMSG_HDRLEN, body, len);
	datagram->len += NLMSG_ALIGN(header.nlmsg_len);
	return start + NLMSG_HDRLEN;
}

static int put_address(const char *text, __be32 out[4])
{
	if (text == NULL)
		return AF_INET;
	if (inet_pton(AF_INET, text, out) == 1)
		return AF_INET;
	inet_pton(AF_INET6, text, out);
	return AF_INET6;
}

void datagram_socket(struct datagram *datagram, uint16_t type, const struct message *message)
{
	struct inet_diag_msg body = {
		.idiag_state = message->state,
		.idiag_timer = message->timer,
		.idiag_expires = message->expires,
		.idiag_uid = message->uid,
		.idiag_inode = message->inode,
		.id.idiag_if = message->ifindex,
		.id.idiag_cookie = {(uint32_t)message->cookie, (uint32_t)(message->cookie >> 32)},
	};
	/* bytes, so that the test means the same on a machine of any byte order */
	const uint8_t ports[4] = {(uint8_t)(message->local_port >> 8), (uint8_t)message->local_port,
		(uint8_t)(message->remote_port >> 8), (uint8_t)message->remote_port};

	memcpy(&body.id.idiag_sport, ports, 2);
	memcpy(&body.id.idiag_dport, ports + 2, 2);
	body.idiag_family = (uint8_t)put_address(message->local, body.id.idiag_src);
	put_address(message->remote, body.id.idiag_dst);
	datagram_put(datagram, type, NLM_F_MULTI, &body, sizeof(body));
}

/* The last message grows by an attribute. */
void datagram_attribute(struct datagram *datagram, uint16_t type, const void *data, size_t len)
{
	struct nlattr attribute = {.nla_type = type, .nla_len = (uint16_t)(NLA_HDRLEN + len)};
	struct nlmsghdr *last = (struct nlmsghdr *)(void *)datagram->bytes;

	while ((uint8_t *)last + NLMSG_ALIGN(last->nlmsg_len) < datagram->bytes + datagram->len)
		last = (struct nlmsghdr *)(void *)((uint8_t *)last + NLMSG_ALIGN(last->nlmsg_len));
	memcpy(datagram->bytes + datagram->len, &attribute, sizeof(attribute));
	memcpy(datagram->bytes + datagram->len + NLA_HDRLEN, data, len);
	datagram->len += NLA_ALIGN(attribute.nla_len);
	last->nlmsg_len = NLMSG_ALIGN(last->nlmsg_len) + NLA_ALIGN(attribute.nla_len);
}

void datagram_done(struct datagram *datagram, int result)
{
	datagram_put(datagram, NLMSG_DONE, NLM_F_MULTI, &result, sizeof(result));
}

void fake_dump(struct fake *fake, enum pw_stream stream, const struct datagram *datagram)
{
	struct datagram done = {.len = 0};
	struct fake_open *open = fake_add(fake, stream);

	if (datagram != NULL && datagram->len > 0)
		fake_read_data(open, datagram->bytes, datagram->len, 0);
	datagram_done(&done, 0);
	fake_read_data(open, done.bytes, done.len, 0);
}

int catch_sockets(void *context, const struct pw_socket *sockets, size_t n)
{
	struct caught *caught = context;

	caught->calls++;
	if (caught->result < 0)
		return caught->result;
	memcpy(caught->sockets + caught->n, sockets, n * sizeof(*sockets));
	caught->n += n;
	return 0;
}

int reading_setup(void **state)
{
	struct reading *r = calloc(1, sizeof(*r));

	r->fake = fake_new();
	r->input = fake_input(r->fake);
	r->batch.sink = catch_sockets;
	r->batch.context = &r->caught;
	*state = r;
	return 0;
}

int reading_teardown(void **state)
{
	struct reading *r = *state;

	assert_int_equal(r->fake->closed, r->fake->total_opened);
	assert_int_equal(r->batch.n, 0);
	fake_free(r->fake);
	free(r);
	return 0;
}

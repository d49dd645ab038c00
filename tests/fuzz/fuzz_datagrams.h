/* SPDX-License-Identifier: BSD-2-Clause */
/* An input of the collector that plays netlink datagrams out of a fuzzer's bytes: each has its length (16 bits, low byte first) in
 * front; a length with the top bit set is a failure of recv() instead, its errno in the low byte. */
#ifndef TESTS_FUZZ_DATAGRAMS_H
#define TESTS_FUZZ_DATAGRAMS_H

#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "kernel/input.h"
#include "fuzz_sockets.h"

struct fuzz_datagrams {
	const uint8_t *data;
	size_t rest;
	size_t request_max;
};

static int fuzz_datagrams_open(void *self, enum pw_stream stream, const void *request, size_t len)
{
	const struct fuzz_datagrams *datagrams = self;

	(void)stream;
	fuzz_must(request != NULL && len <= datagrams->request_max);
	return 0;
}

static ssize_t fuzz_datagrams_read(void *self, void *buf, size_t size, uint32_t *sender)
{
	struct fuzz_datagrams *datagrams = self;
	size_t len;

	*sender = 0;
	if (datagrams->rest < 2)
		return -ENODATA;
	len = datagrams->data[0] | (size_t)datagrams->data[1] << 8;
	datagrams->data += 2;
	datagrams->rest -= 2;
	if ((len & 0x8000) != 0)
		return -(ssize_t)(len % 256 + 1);
	len = len < datagrams->rest ? len : datagrams->rest;
	fuzz_must(len <= size);
	memcpy(buf, datagrams->data, len);
	datagrams->data += len;
	datagrams->rest -= len;
	return (ssize_t)len;
}

static void fuzz_datagrams_close(void *self)
{
	(void)self;
}

/* Frees nothing; `datagrams` lives as long as the input. A request is at most request_max bytes long. */
static inline struct pw_input fuzz_datagrams_input(
	struct fuzz_datagrams *datagrams, const uint8_t *data, size_t size, size_t request_max)
{
	static const struct pw_input_ops ops = {
		.open = fuzz_datagrams_open, .read = fuzz_datagrams_read, .close = fuzz_datagrams_close};

	*datagrams = (struct fuzz_datagrams){.data = data, .rest = size, .request_max = request_max};
	return (struct pw_input){.ops = &ops, .self = datagrams};
}

#endif

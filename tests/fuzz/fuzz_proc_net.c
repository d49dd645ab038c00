/* SPDX-License-Identifier: BSD-2-Clause */
/* /proc/net/tcp and its likes. Input: one byte that chooses the file, one for the length of each read, then the text.
 * It must not matter in which pieces a text arrives. */
#include <errno.h>

#include "kernel/proc_net.h"
#include "fuzz_sockets.h"

struct memory {
	const uint8_t *data;
	size_t rest, piece;
};

static int memory_open(void *self, enum pw_stream stream, const void *request, size_t len)
{
	(void)self;
	(void)stream;
	(void)request;
	(void)len;
	return 0;
}

static ssize_t memory_read(void *self, void *buf, size_t size, uint32_t *sender)
{
	struct memory *memory = self;
	size_t len = memory->rest < memory->piece ? memory->rest : memory->piece;

	*sender = 0;
	fuzz_must(size > 0);
	len = len < size ? len : size;
	memcpy(buf, memory->data, len);
	memory->data += len;
	memory->rest -= len;
	return (ssize_t)len;
}

static void memory_close(void *self)
{
	(void)self;
}

static enum pw_dump_status run(
	enum pw_stream stream, const uint8_t *data, size_t size, size_t piece, struct fuzz_sum *sum)
{
	static const struct pw_input_ops ops = {.open = memory_open, .read = memory_read, .close = memory_close};
	struct memory memory = {.data = data, .rest = size, .piece = piece};
	struct pw_input input = {.ops = &ops, .self = &memory};
	struct pw_batch batch = {.sink = fuzz_sink, .context = sum};

	sum->protocol = stream == PW_STREAM_PROC_UDP || stream == PW_STREAM_PROC_UDP6 ? IPPROTO_UDP : IPPROTO_TCP;
	return pw_proc_net_read(&input, stream, 1, 65535, &batch, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_sum whole = {.n = 0}, pieces = {.n = 0};
	enum pw_stream stream;

	if (size < 2)
		return 0;
	stream = (enum pw_stream)(PW_STREAM_PROC_TCP + data[0] % 4);
	fuzz_must(run(stream, data + 2, size - 2, SIZE_MAX, &whole) ==
		run(stream, data + 2, size - 2, data[1] + 1u, &pieces));
	fuzz_must(whole.n == pieces.n && whole.hash == pieces.hash);
	return 0;
}

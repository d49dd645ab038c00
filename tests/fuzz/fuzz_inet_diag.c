/* Netlink dumps. Input: one byte that chooses the dump, then datagrams, each with its length (16 bits, low byte first)
 * in front; a length with the top bit set is a failure of recv() instead, its errno in the low byte. */
#include <errno.h>

#include "collect/inet_diag.h"
#include "fuzz_sockets.h"

struct memory {
	const uint8_t *data;
	size_t rest;
};

static int memory_open(void *self, enum pw_stream stream, const void *request, size_t len)
{
	(void)self;
	(void)stream;
	fuzz_must(request != NULL && len <= PW_DIAG_REQUEST_MAX);
	return 0;
}

static ssize_t memory_read(void *self, void *buf, size_t size, uint32_t *sender)
{
	struct memory *memory = self;
	size_t len;

	*sender = 0;
	if (memory->rest < 2)
		return -ENODATA;
	len = memory->data[0] | (size_t)memory->data[1] << 8;
	memory->data += 2;
	memory->rest -= 2;
	if ((len & 0x8000) != 0)
		return -(ssize_t)(len % 256 + 1);
	len = len < memory->rest ? len : memory->rest;
	fuzz_must(len <= size);
	memcpy(buf, memory->data, len);
	memory->data += len;
	memory->rest -= len;
	return (ssize_t)len;
}

static void memory_close(void *self)
{
	(void)self;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct pw_input_ops ops = {.open = memory_open, .read = memory_read, .close = memory_close};
	struct memory memory;
	struct pw_input input = {.ops = &ops, .self = &memory};
	struct fuzz_sum sum = {.n = 0};
	struct pw_batch batch = {.sink = fuzz_sink, .context = &sum};
	struct pw_collect_stats stats = {0};
	struct pw_error err = {""};
	enum pw_dump_status status;
	enum pw_stream stream;

	if (size == 0)
		return 0;
	memory = (struct memory){.data = data + 1, .rest = size - 1};
	stream = (enum pw_stream)(PW_STREAM_FIRST_DUMP + data[0] % 4);
	sum.protocol = stream == PW_STREAM_DUMP_UDP || stream == PW_STREAM_DUMP_UDP6 ? IPPROTO_UDP : IPPROTO_TCP;
	status = pw_inet_diag_dump(&input, stream, 1, 65535, &batch, &stats, &err);
	fuzz_must((status == PW_DUMP_OK) == (err.text[0] == '\0'));
	fuzz_must(batch.n == 0 && sum.n <= size / 88 && stats.bytes <= size);
	return 0;
}

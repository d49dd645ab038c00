/* SPDX-License-Identifier: BSD-2-Clause */
/* Netlink dumps. Input: one byte that chooses the dump, then datagrams as fuzz_datagrams.h has them. */
#include "kernel/inet_diag.h"
#include "fuzz_datagrams.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_datagrams datagrams;
	struct pw_input input;
	struct fuzz_sum sum = {.n = 0};
	struct pw_batch batch = {.sink = fuzz_sink, .context = &sum};
	struct pw_take_stats stats = {0};
	struct pw_error err = {""};
	enum pw_dump_status status;
	enum pw_stream stream;

	if (size == 0)
		return 0;
	input = fuzz_datagrams_input(&datagrams, data + 1, size - 1, PW_DIAG_REQUEST_MAX);
	stream = (enum pw_stream)(PW_STREAM_FIRST_DUMP + data[0] % 4);
	sum.protocol = stream == PW_STREAM_DUMP_UDP || stream == PW_STREAM_DUMP_UDP6 ? IPPROTO_UDP : IPPROTO_TCP;
	status = pw_inet_diag_dump(&input, stream, 1, 65535, &batch, &stats, &err);
	fuzz_must((status == PW_DUMP_OK) == (err.text[0] == '\0'));
	fuzz_must(batch.n == 0 && sum.n <= size / 88 && stats.bytes <= size);
	return 0;
}

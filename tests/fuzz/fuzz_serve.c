/* SPDX-License-Identifier: BSD-2-Clause */
/* What a master sends, through the stream and the server: PORTWATCH-MIB is answered from a snapshot of two pools. Input: a byte that says how the
 * octets are cut into pieces, then the octets. However they are cut, the same is answered. */
#include <stdlib.h>
#include <string.h>

#include "agent/serve.h"
#include "agent/stream.h"
#include "base/arena.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SESSION = 0x01020304, ANSWERED_MAX = 1 << 16 };

static struct pw_server server;
static struct pw_stream stream;

/* What came out of one run. */
struct run {
	int rc, used;
	size_t passed_len, answered_len, answers;
	uint8_t passed[PW_STREAM_ASKED * (PW_PDU_HEADER + PW_PDU_RESULT)];
	uint8_t answered[ANSWERED_MAX]; /* the first of it */
} runs[2];

static void must(int condition)
{
	if (!condition)
		abort();
}

static const struct pw_snapshot *make_snapshot(void)
{
	struct pw_arena *arena;
	struct pw_snapshot *snapshot = pw_snapshot_new(&arena);
	struct pw_pool_row *rows = pw_arena_array(arena, 2, sizeof(*rows));

	for (uint32_t i = 0; i < 2; i++) {
		uint32_t *index = pw_arena_array(arena, PW_POOL_INDEX_MAX, sizeof(*index));

		rows[i] = (struct pw_pool_row){.key = {.ns = i + 1, .kind = PW_KIND_BIND, .protocol = 17},
			.name = "udp 0.0.0.0 bind",
			.local_text = "0.0.0.0",
			.remote_text = "",
			.owner = "unit",
			.label = "",
			.index = index};
		rows[i].key.local = pw_address_make(2, "\0\0\0\0", 0);
		rows[i].index_len = pw_pool_index(&rows[i].key, index);
	}
	snapshot->pools = rows;
	snapshot->n_pools = 2;
	snapshot->top_ranks = 10;
	snapshot->connect_failures_reason = "";
	return snapshot;
}

static int take_answer(void *context, const uint8_t *octets, size_t n)
{
	struct run *run = context;
	struct pw_pdu pdu;

	must(n >= PW_PDU_HEADER + PW_PDU_RESULT && pw_pdu_header(&pdu, octets) == NULL);
	must(pdu.type == PW_PDU_RESPONSE && pdu.end == octets + n && !pdu.context);
	if (run->answered_len + n <= ANSWERED_MAX) {
		memcpy(run->answered + run->answered_len, octets, n);
		run->answered_len += n;
	}
	run->answers++;
	return 0;
}

static void ask(uint8_t type, uint8_t packet)
{
	const uint8_t pdu[PW_PDU_HEADER] = {1, type, 0x10, 0, 1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0, packet};

	pw_stream_sent(&stream, pdu, sizeof(pdu));
}

static void feed(struct run *run, const uint8_t *data, size_t size, size_t piece)
{
	uint8_t out[sizeof(run->passed)];
	const char *why = NULL;

	pw_stream_reset(&stream);
	stream.send_context = run;
	run->rc = run->used = 0;
	run->passed_len = run->answered_len = run->answers = 0;
	ask(PW_PDU_OPEN, 1);
	for (uint8_t packet = 2; packet < 40; packet++)
		ask(packet < 38 ? PW_PDU_NOTIFY : PW_PDU_PING, packet);
	while (size > 0 && run->rc >= 0) {
		size_t n, len;
		uint8_t *room = pw_stream_room(&stream, &n);

		must(n > 0);
		n = n < piece ? n : piece;
		n = n < size ? n : size;
		memcpy(room, data, n);
		data += n;
		size -= n;
		run->rc = pw_stream_received(&stream, n, out, &len, &why);
		must((run->rc < 0) == (why != NULL));
		if (run->rc < 0)
			return;
		run->used += run->rc;
		must(len % (PW_PDU_HEADER + PW_PDU_RESULT) == 0 && run->passed_len + len <= sizeof(run->passed));
		memcpy(run->passed + run->passed_len, out, len);
		run->passed_len += len;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (server.exchange == NULL) {
		server.exchange = pw_exchange_new(10);
		must(server.exchange != NULL);
		pw_exchange_publish(server.exchange, make_snapshot());
		pw_server_context(&server); /* stays the same: no turn ends */
		stream.respond = pw_server_respond;
		stream.respond_context = &server;
		stream.send = take_answer;
	}
	if (size < 1)
		return 0;
	feed(&runs[0], data + 1, size - 1, SIZE_MAX);
	feed(&runs[1], data + 1, size - 1, 1 + (size_t)data[0] % 64);
	must(runs[0].rc < 0 == runs[1].rc < 0);
	must(runs[0].answers == runs[1].answers && runs[0].answered_len == runs[1].answered_len);
	must(memcmp(runs[0].answered, runs[1].answered, runs[0].answered_len) == 0);
	if (runs[0].rc >= 0)
		must(runs[0].used == runs[1].used && runs[0].passed_len == runs[1].passed_len &&
			memcmp(runs[0].passed, runs[1].passed, runs[0].passed_len) == 0);
	return 0;
}

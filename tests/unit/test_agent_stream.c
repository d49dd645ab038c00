/* SPDX-License-Identifier: BSD-2-Clause */
/* What a master sends, in pieces of any size: requests are answered here, and the library sees nothing but answers to what it asked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "agent/stream.h"
#include "random.h"

enum { SESSION = 77, REDUCED = PW_PDU_HEADER + PW_PDU_RESULT };

static struct pw_stream stream;
static uint8_t library[PW_STREAM_ASKED * REDUCED];
static size_t library_len;
static const char *why;
static int requests, open_requests, sent;

static size_t respond(void *context, struct pw_pdu *request, bool open, uint8_t *out, size_t size)
{
	(void)context;
	assert_true(size >= 4);
	assert_int_not_equal(request->type, PW_PDU_RESPONSE);
	memset(out, 'r', 4);
	requests++;
	open_requests += open;
	return request->type == PW_PDU_PING ? 0 : 4;
}

static int send_ok(void *context, const uint8_t *pdu, size_t n)
{
	(void)context;
	assert_int_equal(n, 4);
	assert_int_equal(pdu[0], 'r');
	sent++;
	return 0;
}

static int send_fails(void *context, const uint8_t *pdu, size_t n)
{
	(void)context;
	(void)pdu;
	(void)n;
	return -1;
}

static void start(void)
{
	stream.respond = respond;
	stream.send = send_ok;
	requests = open_requests = sent = 0;
	pw_stream_reset(&stream);
}

static void put32(uint8_t *p, uint32_t value, bool network_order)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(value >> (network_order ? 24 - 8 * i : 8 * i));
}

/* A header; its numbers in network order, or in little-endian. */
static void make_header(uint8_t *header, uint8_t type, uint32_t packet, uint32_t length, bool network_order)
{
	memset(header, 0, PW_PDU_HEADER);
	header[0] = 1;
	header[1] = type;
	header[2] = network_order ? 0x10 : 0;
	put32(header + 4, SESSION, network_order);
	put32(header + 12, packet, network_order);
	put32(header + 16, length, network_order);
}

static int feed(const uint8_t *octets, size_t n)
{
	int used = 0, rc = 0;

	library_len = 0;
	for (size_t room; n > 0 && rc >= 0; n -= room) {
		uint8_t *to = pw_stream_room(&stream, &room);
		uint8_t out[sizeof(library)];
		size_t len;

		assert_true(room > 0);
		room = room < n ? room : n;
		memcpy(to, octets, room);
		octets += room;
		rc = pw_stream_received(&stream, room, out, &len, &why);
		used += rc;
		if (rc < 0)
			break;
		assert_true(library_len + len <= sizeof(library));
		memcpy(library + library_len, out, len);
		library_len += len;
	}
	return rc < 0 ? -1 : used;
}

static void ask(uint8_t type, uint32_t packet)
{
	uint8_t pdu[PW_PDU_HEADER];

	make_header(pdu, type, packet, 0, false);
	pw_stream_sent(&stream, pdu, sizeof(pdu));
}

/* A Response with so many octets of variable bindings. */
static int answer(uint32_t packet, uint32_t session, uint32_t varbinds, uint8_t flags)
{
	static uint8_t pdu[REDUCED + 200000];

	make_header(pdu, PW_PDU_RESPONSE, packet, PW_PDU_RESULT + varbinds, true);
	pdu[2] |= flags;
	put32(pdu + 4, session, true);
	put32(pdu + PW_PDU_HEADER, 4711, true);
	put32(pdu + PW_PDU_HEADER + 4, 0, true);
	memset(pdu + REDUCED, 0xff, varbinds);
	return feed(pdu, REDUCED + varbinds);
}

static void open_session(void)
{
	start();
	ask(PW_PDU_OPEN, 1);
	assert_int_equal(answer(1, SESSION, 0, 0), 1);
	assert_int_equal(library_len, REDUCED);
}

/* --- framing --------------------------------------------------------------------------------------------------------- */

static int feed_header(uint8_t type, uint32_t length, bool network_order)
{
	uint8_t header[PW_PDU_HEADER];

	start();
	make_header(header, type, 9, length, network_order);
	return feed(header, sizeof(header));
}

static void test_whole_pdus(void **state)
{
	uint8_t octets[3 * PW_PDU_HEADER + 8];

	(void)state;
	open_session();
	make_header(octets, PW_PDU_GET, 2, 8, true);
	memset(octets + PW_PDU_HEADER, 0, 8);
	make_header(octets + PW_PDU_HEADER + 8, PW_PDU_GETNEXT, 3, 0, false);
	make_header(octets + 2 * PW_PDU_HEADER + 8, PW_PDU_TESTSET, 4, 4, false);
	assert_int_equal(feed(octets, sizeof(octets)), 2);
	assert_int_equal(feed((const uint8_t *)"abcd", 4), 1);
	assert_int_equal(requests, 3);
	assert_int_equal(open_requests, 3);
	assert_int_equal(sent, 3);
	assert_int_equal(library_len, 0);
}

static void test_nonsense(void **state)
{
	(void)state;
	assert_int_equal(feed_header(0, 0, true), -1);
	assert_int_equal(feed_header(19, 0, true), -1);
	assert_non_null(strstr(why, "type"));
	assert_int_equal(feed_header(PW_PDU_RESPONSE, 3, true), -1);
	assert_int_equal(feed_header(PW_PDU_RESPONSE, PW_PDU_MAX - PW_PDU_HEADER + 4, true), -1);
	assert_int_equal(
		feed_header(PW_PDU_RESPONSE, UINT32_MAX - 19, true), -1); /* 0 with the header added in 32 bits */
	assert_int_equal(feed_header(PW_PDU_RESPONSE, UINT32_MAX - 3, false), -1);
	assert_non_null(strstr(why, "length"));
	assert_int_equal(feed_header(PW_PDU_CLOSE, 4, true), -1);
	assert_non_null(strstr(why, "closed"));
	start();
	assert_int_equal(feed((const uint8_t *)"HTTP/1.0 400 Bad Request", 24), -1);
	assert_non_null(strstr(why, "version"));
	assert_int_equal(feed_header(PW_PDU_RESPONSE, PW_PDU_MAX - PW_PDU_HEADER, true), 0);
	assert_int_equal(requests, 0);
}

/* Cut anywhere, a stream of right PDUs is counted right. */
static void test_pieces(void **state)
{
	static uint8_t octets[200 * (PW_PDU_HEADER + 100)];

	(void)state;
	random_start();
	for (int round = 0; round < 500; round++) {
		size_t len = 0, done = 0;
		int pdus = 1 + (int)pick(200), found = 0;

		open_session();
		for (int i = 0; i < pdus; i++) {
			uint32_t payload = 4 * pick(26);

			make_header(octets + len, (uint8_t)(PW_PDU_GET + pick(6)), 9, payload, chance(2));
			memset(octets + len + PW_PDU_HEADER, 0xff, payload);
			len += PW_PDU_HEADER + payload;
		}
		while (done < len) {
			size_t piece = 1 + pick(chance(4) ? 500 : 30);
			int rc;

			piece = piece < len - done ? piece : len - done;
			rc = feed(octets + done, piece);
			assert_true(rc >= 0);
			found += rc;
			done += piece;
		}
		assert_int_equal(found, pdus);
		assert_int_equal(requests, pdus);
	}
}

/* The longest PDU fits, whatever is around it. */
static void test_longest(void **state)
{
	static uint8_t octets[PW_PDU_MAX + 2 * PW_PDU_HEADER];

	(void)state;
	open_session();
	make_header(octets, PW_PDU_GET, 2, 0, true);
	make_header(octets + PW_PDU_HEADER, PW_PDU_GET, 3, PW_PDU_MAX - PW_PDU_HEADER, true);
	make_header(octets + PW_PDU_HEADER + PW_PDU_MAX, PW_PDU_GET, 4, 0, true);
	for (int round = 0; round < 3; round++)
		assert_int_equal(feed(octets, sizeof(octets)), 3);
	assert_int_equal(requests, 9);
}

/* --- Responses ------------------------------------------------------------------------------------------------------- */

/* What the library asked reaches it, once, and without the variable bindings that it would only have to parse. */
static void test_answers(void **state)
{
	(void)state;
	open_session();
	ask(PW_PDU_NOTIFY, 5);
	ask(PW_PDU_PING, 6);
	assert_int_equal(answer(6, SESSION, 0, 0), 1);
	assert_int_equal(answer(5, SESSION, 200000, 0), 1);
	assert_int_equal(library_len, REDUCED);
	assert_memory_equal(library + 16, "\0\0\0\x08\0\0\x12\x67\0\0\0\0", 12);
	assert_int_equal(answer(5, SESSION, 0, 0), 0);
	assert_int_equal(library_len, 0);
}

static void test_answers_that_nobody_asked_for(void **state)
{
	(void)state;
	start();
	assert_int_equal(answer(1, SESSION, 0, 0), 0);
	open_session();
	ask(PW_PDU_PING, 6);
	assert_int_equal(answer(7, SESSION, 0, 0), 0);
	assert_int_equal(answer(6, SESSION + 1, 0, 0), 0); /* of another session */
	assert_int_equal(answer(6, SESSION, 4, 0x08), 0);  /* in a context: we ask in none */
	assert_int_equal(feed_header(PW_PDU_RESPONSE, 4, true), 0);
	assert_int_equal(feed((const uint8_t *)"abcd", 4), 0); /* shorter than a Response can be */
	assert_int_equal(library_len, 0);
}

/* More is asked than anybody waits for: the latest are remembered. */
/* The number of a session that has ended opens nothing, before the next one is. */
static void test_answers_of_the_last_connection(void **state)
{
	(void)state;
	start();
	open_session();
	pw_stream_reset(&stream);
	ask(PW_PDU_NOTIFY, 7);
	assert_int_equal(answer(7, SESSION, 0, 0), 0);
	ask(PW_PDU_OPEN, 8);
	assert_int_equal(answer(8, SESSION, 0, 0), 1);
	assert_int_equal(answer(7, SESSION, 0, 0), 1);
}

static void test_many_questions(void **state)
{
	(void)state;
	open_session();
	for (uint32_t i = 0; i < 10 * PW_STREAM_ASKED; i++)
		ask(PW_PDU_NOTIFY, 100 + i);
	assert_int_equal(answer(100, SESSION, 0, 0), 0);
	for (uint32_t i = 9 * PW_STREAM_ASKED; i < 10 * PW_STREAM_ASKED; i++)
		assert_int_equal(answer(100 + i, SESSION, 0, 0), 1);
}

/* --- requests -------------------------------------------------------------------------------------------------------- */

/* A request in a session that is not open is told apart; one without an answer is no use; a master that takes no answer is left. */
static void test_requests(void **state)
{
	uint8_t octets[PW_PDU_HEADER];

	(void)state;
	start();
	make_header(octets, PW_PDU_GET, 2, 0, true);
	assert_int_equal(feed(octets, sizeof(octets)), 1);
	open_session();
	put32(octets + 4, SESSION + 1, true);
	assert_int_equal(feed(octets, sizeof(octets)), 1);
	assert_int_equal(open_requests, 0);
	make_header(octets, PW_PDU_PING, 2, 0, true);
	assert_int_equal(feed(octets, sizeof(octets)), 0);
	assert_int_equal(open_requests, 1);
	stream.send = send_fails;
	make_header(octets, PW_PDU_GET, 2, 0, true);
	assert_int_equal(feed(octets, sizeof(octets)), -1);
	assert_non_null(strstr(why, "no more answers"));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole_pdus),
		cmocka_unit_test(test_nonsense),
		cmocka_unit_test(test_pieces),
		cmocka_unit_test(test_longest),
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_answers_that_nobody_asked_for),
		cmocka_unit_test(test_answers_of_the_last_connection),
		cmocka_unit_test(test_many_questions),
		cmocka_unit_test(test_requests),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* The framing of what a master sends, in pieces of any size. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "agent/frame.h"
#include "random.h"

enum { RESPONSE = 18, HEADER = 20 };

/* A header; the length in network order, or in little-endian. */
static void make_header(uint8_t header[HEADER], uint8_t type, uint32_t length, bool network_order)
{
	memset(header, 0xab, HEADER);
	header[0] = 1;
	header[1] = type;
	header[2] = network_order ? 0x10 : 0;
	for (int i = 0; i < 4; i++)
		header[16 + i] = (uint8_t)(length >> (network_order ? 24 - 8 * i : 8 * i));
}

static int feed_header(uint8_t type, uint32_t length, bool network_order, const char **why)
{
	struct pw_frame frame = {0};
	uint8_t header[HEADER];

	make_header(header, type, length, network_order);
	return pw_frame_feed(&frame, header, sizeof(header), why);
}

static void test_whole_pdus(void **state)
{
	struct pw_frame frame = {0};
	uint8_t stream[3 * HEADER + 8];
	const char *why = NULL;

	(void)state;
	make_header(stream, RESPONSE, 8, true);
	memset(stream + HEADER, 0, 8);
	make_header(stream + HEADER + 8, 5, 0, false);
	make_header(stream + 2 * HEADER + 8, RESPONSE, 4, false);
	assert_int_equal(pw_frame_feed(&frame, stream, sizeof(stream), &why), 2);
	assert_int_equal(pw_frame_feed(&frame, (const uint8_t *)"abcd", 4, &why), 1);
}

static void test_nonsense(void **state)
{
	const char *why = NULL;
	struct pw_frame frame = {0};

	(void)state;
	assert_int_equal(feed_header(0, 0, true, &why), -1);
	assert_int_equal(feed_header(19, 0, true, &why), -1);
	assert_non_null(strstr(why, "type"));
	assert_int_equal(feed_header(RESPONSE, 3, true, &why), -1);
	assert_int_equal(feed_header(RESPONSE, PW_FRAME_PAYLOAD_MAX + 4, true, &why), -1);
	assert_int_equal(
		feed_header(RESPONSE, UINT32_MAX - 19, true, &why), -1); /* 0 with the header added in 32 bits */
	assert_int_equal(feed_header(RESPONSE, UINT32_MAX - 3, false, &why), -1);
	assert_non_null(strstr(why, "length"));
	assert_int_equal(feed_header(2, 4, true, &why), -1);
	assert_non_null(strstr(why, "closed"));
	assert_int_equal(pw_frame_feed(&frame, (const uint8_t *)"HTTP/1.0 400 Bad Request", 24, &why), -1);
	assert_non_null(strstr(why, "version"));
	assert_int_equal(feed_header(RESPONSE, PW_FRAME_PAYLOAD_MAX, true, &why), 0);
}

/* Cut anywhere, a stream of right PDUs is counted right. */
static void test_pieces(void **state)
{
	static uint8_t stream[200 * (HEADER + 100)];

	(void)state;
	random_start();
	for (int round = 0; round < 500; round++) {
		struct pw_frame frame = {0};
		size_t len = 0, done = 0;
		int pdus = 1 + (int)pick(200), found = 0;
		const char *why = NULL;

		for (int i = 0; i < pdus; i++) {
			uint32_t payload = 4 * pick(26);

			make_header(stream + len, (uint8_t)(3 + pick(16)), payload, chance(2));
			memset(stream + len + HEADER, 0xff, payload);
			len += HEADER + payload;
		}
		while (done < len) {
			size_t piece = 1 + pick(chance(4) ? 500 : 30);

			piece = piece < len - done ? piece : len - done;
			found += pw_frame_feed(&frame, stream + done, piece, &why);
			assert_null(why);
			done += piece;
		}
		assert_int_equal(found, pdus);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole_pdus),
		cmocka_unit_test(test_nonsense),
		cmocka_unit_test(test_pieces),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

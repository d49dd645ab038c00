/* SPDX-License-Identifier: BSD-2-Clause */
/* Get and GetNext PDUs of AgentX and the Responses to them, octet by octet as RFC 2741 has them, in both byte orders. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agent/pdu.h"
#include "random.h"

enum { GET = PW_PDU_GET, GETNEXT = PW_PDU_GETNEXT, NETWORK_BYTE_ORDER = 0x10, DEFAULT = 0, ROUNDS = 20000 };

/* --- requests, written as the master writes them --------------------------------------------------------------------- */

struct octets {
	uint8_t at[4096];
	size_t n;
	bool big_endian;
};

static void add32(struct octets *o, uint32_t value)
{
	for (int i = 0; i < 4; i++)
		o->at[o->n++] = (uint8_t)(value >> (o->big_endian ? 24 - 8 * i : 8 * i));
}

static void add_header(struct octets *o, uint8_t type, uint8_t flags)
{
	o->n = 0;
	o->big_endian = (flags & NETWORK_BYTE_ORDER) != 0;
	o->at[o->n++] = 1;
	o->at[o->n++] = type;
	o->at[o->n++] = flags;
	o->at[o->n++] = 0;
	add32(o, 0x01020304);
	add32(o, 0x11121314);
	add32(o, 0x21222324);
	add32(o, 0);
}

static void add_name(struct octets *o, uint8_t prefix, bool include, const uint32_t *id, size_t n)
{
	o->at[o->n++] = (uint8_t)n;
	o->at[o->n++] = prefix;
	o->at[o->n++] = include;
	o->at[o->n++] = 0;
	for (size_t i = 0; i < n; i++)
		add32(o, id[i]);
}

static void end_request(struct octets *o)
{
	size_t n = o->n;

	o->n = 16;
	add32(o, (uint32_t)(n - 20));
	o->n = n;
}

static const uint32_t some[] = {1, 8072, 3000000000};

static void make_request(struct octets *o, uint8_t type, uint8_t flags)
{
	add_header(o, type, flags);
	add_name(o, 4, true, some, 3);
	add_name(o, 0, false, NULL, 0);
	add_name(o, 0, false, some, 2);
	add_name(o, 4, false, some, 1);
	end_request(o);
}

static void assert_name(const struct pw_name *name, bool include, const uint32_t *id, size_t len)
{
	assert_int_equal(name->len, len);
	assert_memory_equal(name->id, id, len * sizeof(*id));
	assert_int_equal(name->include, include);
}

/* --- tests ------------------------------------------------------------------------------------------------------------ */

static void test_search_ranges(void **state)
{
	static const uint8_t flags[] = {DEFAULT, NETWORK_BYTE_ORDER};
	struct pw_name start, end;
	struct octets o;
	struct pw_pdu pdu;

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		make_request(&o, i == 0 ? GET : GETNEXT, flags[i]);
		assert_null(pw_pdu_header(&pdu, o.at));
		assert_int_equal(pdu.type, i == 0 ? GET : GETNEXT);
		assert_false(pdu.context);
		assert_int_equal(pdu.session, 0x01020304);
		assert_int_equal(pdu.transaction, 0x11121314);
		assert_int_equal(pdu.packet, 0x21222324);
		assert_int_equal(pw_pdu_range(&pdu, &start, &end), 1);
		assert_name(&start, true, (const uint32_t[]){1, 3, 6, 1, 4, 1, 8072, 3000000000}, 8);
		assert_name(&end, false, some, 0);
		assert_int_equal(pw_pdu_range(&pdu, &start, &end), 1);
		assert_name(&start, false, some, 2);
		assert_name(&end, false, (const uint32_t[]){1, 3, 6, 1, 4, 1}, 6);
		assert_int_equal(pw_pdu_range(&pdu, &start, &end), 0);
	}
}

static void test_header(void **state)
{
	struct octets o;
	struct pw_pdu pdu;

	(void)state;
	for (unsigned type = 0; type <= UINT8_MAX; type++) {
		make_request(&o, (uint8_t)type, NETWORK_BYTE_ORDER);
		assert_int_equal(pw_pdu_header(&pdu, o.at) == NULL, type >= PW_PDU_OPEN && type <= PW_PDU_RESPONSE);
		assert_int_equal(pdu.type, type);
	}
	make_request(&o, GET, 0x08 | NETWORK_BYTE_ORDER); /* NON_DEFAULT_CONTEXT */
	assert_null(pw_pdu_header(&pdu, o.at));
	assert_true(pdu.context);
	make_request(&o, GET, NETWORK_BYTE_ORDER);
	o.at[0] = 2;
	assert_non_null(strstr(pw_pdu_header(&pdu, o.at), "version"));
}

static void test_bulk(void **state)
{
	static const uint8_t flags[] = {DEFAULT, NETWORK_BYTE_ORDER};
	uint16_t non_repeaters, max_repetitions;
	struct pw_name start, end;
	struct octets o;
	struct pw_pdu pdu;

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		add_header(&o, PW_PDU_GETBULK, flags[i]);
		add32(&o, i == 0 ? 0x03040102 : 0x01020304);
		add_name(&o, 0, false, some, 2);
		add_name(&o, 0, false, some, 0);
		end_request(&o);
		assert_null(pw_pdu_header(&pdu, o.at));
		assert_int_equal(pw_pdu_bulk(&pdu, &non_repeaters, &max_repetitions), 0);
		assert_int_equal(non_repeaters, 0x0102);
		assert_int_equal(max_repetitions, 0x0304);
		assert_int_equal(pw_pdu_range(&pdu, &start, &end), 1);
		assert_name(&start, false, some, 2);
		assert_int_equal(pw_pdu_range(&pdu, &start, &end), 0);
		add_header(&o, PW_PDU_GETBULK, flags[i]);
		end_request(&o);
		assert_null(pw_pdu_header(&pdu, o.at));
		assert_int_equal(pw_pdu_bulk(&pdu, &non_repeaters, &max_repetitions), -1);
	}
}

/* A PDU in memory of just its size, so that a sanitizer sees a step beyond its end. */
static int read_all(const uint8_t *octets, size_t n)
{
	uint8_t *exact = malloc(n > 0 ? n : 1);
	struct pw_name start, end;
	struct pw_pdu pdu;
	int rc = -1;

	memcpy(exact, octets, n);
	if (n >= PW_PDU_HEADER && pw_pdu_header(&pdu, exact) == NULL && pdu.end == exact + n)
		while ((rc = pw_pdu_range(&pdu, &start, &end)) > 0)
			assert_true(start.len <= PW_NAME_MAX && end.len <= PW_NAME_MAX);
	free(exact);
	return rc;
}

static void test_malformed(void **state)
{
	struct octets o, cut;

	(void)state;
	make_request(&o, GETNEXT, NETWORK_BYTE_ORDER);
	assert_int_equal(read_all(o.at, o.n), 0);
	for (size_t n = 0; n < o.n; n++) {
		assert_int_equal(read_all(o.at, n), -1); /* the header says more */
		cut = o;
		cut.n = n;
		if (n < 20)
			continue;
		end_request(&cut);
		/* cut between two search ranges it is a shorter request */
		assert_int_equal(read_all(cut.at, n), n == 20 || n == 20 + 16 + 4 ? 0 : -1);
	}
	for (unsigned i = 0; i < ROUNDS; i++) {
		cut = o;
		for (unsigned bits = 1 + pick(4); bits > 0; bits--)
			cut.at[pick((uint32_t)o.n)] ^= (uint8_t)(1 << pick(8));
		read_all(cut.at, o.n);
	}
}

static void test_name_of_the_greatest_length(void **state)
{
	uint32_t id[PW_NAME_MAX + 1] = {0};
	struct octets o;

	(void)state;
	for (unsigned prefix = 0; prefix <= 1; prefix++)
		for (size_t n = PW_NAME_MAX - 6; n <= PW_NAME_MAX + 1; n++) {
			add_header(&o, GET, DEFAULT);
			add_name(&o, (uint8_t)prefix, false, id, n);
			add_name(&o, 0, false, id, 0);
			end_request(&o);
			assert_int_equal(read_all(o.at, o.n), n + 5 * prefix <= PW_NAME_MAX ? 0 : -1);
		}
}

static void test_response(void **state)
{
	static const uint8_t expected[] = {1, 18, 0x10, 0, 1, 2, 3, 4, 0x11, 0x12, 0x13, 0x14, 0x21, 0x22, 0x23, 0x24,
		0, 0, 0, 92,                                       /* header */
		0, 0, 0, 7, 0, 0, 0, 0,                            /* sysUpTime, error, index */
		0, 66, 0, 0, 1, 4, 0, 0, 0, 0, 0, 9, 0, 0, 0, 5,   /* 1.3.6.1.4.9 = Gauge32: 5 */
		0, 4, 0, 0, 1, 4, 0, 0, 0, 0, 0, 9, 0, 0, 0, 3,    /* the same = ... */
		'a', 'b', 'c', 0,                                  /* ... "abc" */
		0, 6, 0, 0, 1, 4, 0, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, /* = 0.1 */
		0, 0, 0, 0, 0, 0, 1,                               /* */
		0, 129, 0, 0, 1, 0, 0, 0, 0, 0, 0, 2,              /* 2: no such instance */
		0, 2, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xfe};   /* the null name = -2 */
	static const uint32_t name[] = {1, 3, 6, 1, 4, 9};
	struct pw_value value = {.syntax = PW_SYNTAX_GAUGE32, .number = 5};
	struct pw_name two = {.id = {2}, .len = 1};
	uint8_t out[sizeof(expected)];
	struct pw_response r;
	struct octets o;
	struct pw_pdu pdu;

	(void)state;
	make_request(&o, GET, NETWORK_BYTE_ORDER);
	assert_null(pw_pdu_header(&pdu, o.at));
	for (size_t size = sizeof(expected);; size--) {
		pw_response_begin(&r, &pdu, 7, out, size);
		value = (struct pw_value){.syntax = PW_SYNTAX_GAUGE32, .number = 5};
		pw_response_value(&r, name, 6, &value);
		value = (struct pw_value){.syntax = PW_SYNTAX_TEXT, .len = 3, .octets = "abc"};
		pw_response_value(&r, name, 6, &value);
		value = (struct pw_value){.syntax = PW_SYNTAX_ROW, .len = 2, .oid = {0, 1}};
		pw_response_value(&r, name, 6, &value);
		pw_response_exception(&r, &two, PW_NO_SUCH_INSTANCE);
		value = (struct pw_value){.syntax = PW_SYNTAX_INTEGER32, .integer = -2};
		pw_response_value(&r, name, 0, &value);
		if (size < sizeof(expected)) {
			assert_int_equal(pw_response_end(&r), 0);
			return;
		}
		assert_int_equal(pw_response_end(&r), sizeof(expected));
		assert_memory_equal(out, expected, sizeof(expected));
	}
}

static void test_numbers_in_the_other_order(void **state)
{
	static const uint8_t expected[] = {70, 0, 0, 0, 1, 0, 0, 0, 9, 0, 0, 0, 8, 7, 6, 5, 4, 3, 2, 1};
	static const uint32_t name[] = {9};
	struct pw_value value = {.syntax = PW_SYNTAX_COUNTER64, .counter = 0x0102030405060708};
	struct pw_response r;
	uint8_t out[64];
	struct octets o;
	struct pw_pdu pdu;

	(void)state;
	make_request(&o, GET, DEFAULT);
	assert_null(pw_pdu_header(&pdu, o.at));
	pw_response_begin(&r, &pdu, 7, out, sizeof(out));
	pw_response_value(&r, name, 1, &value);
	assert_int_equal(pw_response_end(&r), 28 + sizeof(expected));
	assert_int_equal(out[16], 8 + sizeof(expected));
	assert_memory_equal(out + 28, expected, sizeof(expected));
}

/* An error takes the place of what was written already, also of what did not fit. */
static void test_error(void **state)
{
	static const uint8_t expected[] = {1, 18, 0x10, 0, 1, 2, 3, 4, 0x11, 0x12, 0x13, 0x14, 0x21, 0x22, 0x23, 0x24,
		0, 0, 0, 8, 0, 0, 0, 7, 0, 17, 0, 1};
	struct pw_name two = {.id = {2}, .len = 1};
	uint8_t out[sizeof(expected)];
	struct pw_response r;
	struct octets o;
	struct pw_pdu pdu;

	(void)state;
	make_request(&o, GET, NETWORK_BYTE_ORDER);
	assert_null(pw_pdu_header(&pdu, o.at));
	pw_response_begin(&r, &pdu, 7, out, sizeof(out));
	pw_response_exception(&r, &two, PW_NO_SUCH_INSTANCE);
	assert_int_equal(pw_response_end(&r), 0);
	pw_response_error(&r, PW_PDU_NOT_WRITABLE, 1);
	assert_int_equal(pw_response_end(&r), sizeof(expected));
	assert_memory_equal(out, expected, sizeof(expected));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_search_ranges),
		cmocka_unit_test(test_header),
		cmocka_unit_test(test_bulk),
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_name_of_the_greatest_length),
		cmocka_unit_test(test_response),
		cmocka_unit_test(test_numbers_in_the_other_order),
		cmocka_unit_test(test_error),
	};

	random_start();
	return cmocka_run_group_tests(tests, NULL, NULL);
}

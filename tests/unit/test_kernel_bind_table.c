/* SPDX-License-Identifier: BSD-2-Clause */
/* When a poll may leave out the walk over the table of bound ports. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "kernel/netlink.h"
#include "kernel/inet_diag.h"
#include "kernel/sockstat.h"
#include "kernel_fake.h"

#define HEADING "protocol  size sockets  memory press maxhdr  slab module     cl co di ac io in de sh ss gs se re\n"
#define TCP_LINE "TCP       2304 %6u       4   no     192   yes  kernel      y  y  y  y  y  y  y  y  y  y  y  y\n"
#define UNIX_LINE "UNIX-STREAM 1152     50      -1   NI       0   yes  kernel      y  n  n  n  n  n  n  n  n  n  n\n"

struct fixture {
	struct pw_bind_table table;
	struct pw_range range;
};

static int setup(void **state)
{
	static struct fixture fixture;

	fixture = (struct fixture){.range = {.low = 40000, .high = 40099}};
	*state = &fixture;
	return 0;
}

/* Asks in a namespace that holds `used` sockets, of which `tcp` are in use by TCP and 50 by the UNIX protocol. */
static bool wanted(struct fixture *f, unsigned used, unsigned tcp)
{
	struct fake *fake = fake_new();
	struct pw_input input = fake_input(fake);
	char text[512];
	bool answer;

	snprintf(text, sizeof(text), "sockets: used %u\nTCP: inuse %u orphan 0 tw 9 alloc 1 mem 1\nUDP: inuse 0\n",
		used, tcp);
	fake_text(fake, PW_STREAM_SOCKSTAT, text);
	snprintf(text, sizeof(text), HEADING UNIX_LINE TCP_LINE, tcp);
	fake_text(fake, PW_STREAM_PROTOCOLS, text);
	answer = pw_bind_table_wanted(&f->table, &input, &f->range);
	fake_free(fake);
	return answer;
}

static void walk(struct fixture *f, uint32_t found)
{
	pw_bind_table_walked(&f->table, &f->range, found);
}

static void an_empty_table_is_not_walked_again(void **state)
{
	struct fixture *f = *state;

	assert_true(wanted(f, 20050, 20000));
	walk(f, 0);
	assert_false(wanted(f, 20050, 20000));
	assert_false(wanted(f, 30050, 30000)); /* more connections are no reason */
}

static void every_sixth_poll_walks(void **state)
{
	struct fixture *f = *state;

	wanted(f, 20050, 20000);
	for (int round = 0; round < 3; round++) {
		walk(f, 0);
		for (int i = 0; i < 5; i++)
			assert_false(wanted(f, 20050, 20000));
		assert_true(wanted(f, 20050, 20000));
	}
}

static void a_socket_that_no_protocol_counts_asks_for_a_walk(void **state)
{
	struct fixture *f = *state;

	wanted(f, 20050, 20000);
	walk(f, 0);
	assert_true(wanted(f, 20051, 20000)); /* a new socket */
	walk(f, 0);
	assert_false(wanted(f, 20051, 20000)); /* it was none of those */
	assert_true(wanted(f, 20051, 19999));  /* a connection was reset */
	walk(f, 0);
	assert_true(wanted(f, 20050, 20000)); /* fewer than before: others may hide behind those that went */
}

static void sockets_that_were_found_are_looked_for_each_time(void **state)
{
	struct fixture *f = *state;

	wanted(f, 20051, 20000);
	walk(f, 1);
	assert_true(wanted(f, 20051, 20000));
	walk(f, 0);
	assert_false(wanted(f, 20051, 20000));
}

static void another_range_asks_for_a_walk(void **state)
{
	struct fixture *f = *state;

	wanted(f, 20050, 20000);
	walk(f, 0);
	f->range.low = 39999;
	assert_true(wanted(f, 20050, 20000));
	walk(f, 0);
	f->range.high = 40100;
	assert_true(wanted(f, 20050, 20000));
	walk(f, 0);
	assert_false(wanted(f, 20050, 20000));
}

static void small_hosts_are_always_walked(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 3; i++) {
		assert_true(wanted(f, 9999, 9949));
		walk(f, 0);
	}
	assert_true(wanted(f, 20050, 20000)); /* what was not counted then is no evidence now */
}

static void unreadable_counts_ask_for_a_walk(void **state)
{
	struct fixture *f = *state;
	struct fake *fake = fake_new();
	struct pw_input input = fake_input(fake);

	wanted(f, 20050, 20000);
	walk(f, 0);
	assert_true(pw_bind_table_wanted(&f->table, &input, &f->range));
	fake_settings(fake);
	fake_text(fake, PW_STREAM_PROTOCOLS, HEADING "TCP 2304 many\n");
	assert_true(pw_bind_table_wanted(&f->table, &input, &f->range));
	fake_free(fake);
}

static void protocols_are_added_up(void **state)
{
	int64_t sum;

	(void)state;
	assert_int_equal(pw_protocols_parse(HEADING UNIX_LINE "TCP 2304 7 0\nPACKET 1 -2 3\n", &sum), 0);
	assert_int_equal(sum, 55);
	assert_int_equal(pw_protocols_parse(HEADING, &sum), 0);
	assert_int_equal(sum, 0);
	assert_int_equal(pw_protocols_parse("", &sum), -1);
	assert_int_equal(pw_protocols_parse(HEADING "TCP 2304\n", &sum), -1);
	assert_int_equal(pw_protocols_parse(HEADING UNIX_LINE "cut off", &sum), -1);
}

static void the_request_leaves_out_one_state(void **state)
{
	_Alignas(8) uint8_t with[PW_DIAG_REQUEST_MAX], without[PW_DIAG_REQUEST_MAX];
	size_t len = pw_inet_diag_request(PW_STREAM_DUMP_TCP, 1, 2, with), differences = 0, at = 0;

	(void)state;
	assert_int_equal(pw_inet_diag_request(PW_STREAM_DUMP_HASHED, 1, 2, without), len);
	for (size_t i = 0; i < len; i++)
		if (with[i] != without[i]) {
			differences++;
			at = i;
		}
	assert_int_equal(differences, 1);
	assert_int_equal(with[at] ^ without[at], 1 << (13 - 8)); /* TCP_BOUND_INACTIVE, in the second lowest byte */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(an_empty_table_is_not_walked_again, setup),
		cmocka_unit_test_setup(every_sixth_poll_walks, setup),
		cmocka_unit_test_setup(a_socket_that_no_protocol_counts_asks_for_a_walk, setup),
		cmocka_unit_test_setup(sockets_that_were_found_are_looked_for_each_time, setup),
		cmocka_unit_test_setup(another_range_asks_for_a_walk, setup),
		cmocka_unit_test_setup(small_hosts_are_always_walked, setup),
		cmocka_unit_test_setup(unreadable_counts_ask_for_a_walk, setup),
		cmocka_unit_test(protocols_are_added_up),
		cmocka_unit_test(the_request_leaves_out_one_state),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* What the connection tracking table does to packets: a want of ports, a race, a full table, each told as what it is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "count/snat.h"
#include "watch/conntrack.h"

struct case_ {
	struct pw_conntrack conntrack;
	struct pw_conntrack_counts counts;
	struct pw_snat *snat;
	struct pw_snat_range range;
	struct pw_thresholds thresholds;
	struct pw_event events[PW_CONNTRACK_EVENTS];
	size_t n;
	uint64_t now_ms;
};

static void start(struct case_ *c, uint16_t ports)
{
	*c = (struct case_){.snat = pw_snat_new(1),
		.range = {.low = 2000, .high = (uint16_t)(1999 + ports)},
		.counts = {.maximum = 1000},
		.thresholds = {.warning = {80, 75}, .critical = {95, 90}, .exhausted_fall = 99, .for_polls = 1},
		.now_ms = 1000000};
	assert_int_equal(pw_cidr_parse(&c->range.addresses, "198.51.100.1", NULL), 0);
}

static void step(struct case_ *c, uint32_t ms)
{
	c->now_ms += ms;
	c->n = pw_conntrack_step(
		&c->conntrack, &c->counts, pw_snat_source(c->snat), &c->thresholds, 3, "blue", c->now_ms, c->events);
}

/* A dump that finds so many used ports of the pool towards 192.0.2.9:443. */
static void dump(struct case_ *c, unsigned used)
{
	struct pw_conntrack_entry e = {.family = AF_INET,
		.protocol = IPPROTO_TCP,
		.remote_port = 443,
		.local = {198, 51, 100, 1},
		.remote = {192, 0, 2, 9},
		.client = {10, 0, 0, 2},
		.flags = PW_CONNTRACK_SOURCE_TRANSLATED};

	pw_snat_begin(c->snat, &c->range, 1);
	for (unsigned i = 0; i < used; i++) {
		e.local_port = (uint16_t)(2000 + i);
		assert_int_equal(pw_snat_add(c->snat, &e), 0);
	}
	pw_snat_finish(c->snat);
	pw_snat_source(c->snat)->fresh = true;
}

static void assert_cause(struct case_ *c, enum pw_event_type type, uint32_t failures, const char *words)
{
	assert_int_equal(c->n, 1);
	assert_int_equal(c->events[0].type, type);
	assert_int_equal(c->events[0].failures, failures);
	assert_int_equal(c->events[0].key.ns, 3);
	assert_ptr_equal(strstr(c->events[0].text, "blue: "), c->events[0].text);
	assert_non_null(strstr(c->events[0].text, words));
}

static void test_a_race(void **state)
{
	struct case_ c;

	(void)state;
	start(&c, 1000);
	dump(&c, 30);
	c.counts.failures = 624;
	step(&c, 1000);
	assert_cause(&c, PW_EVENT_SNAT_RACING, 624, "random-fully");
	assert_non_null(strstr(c.events[0].text, "at 3 %"));
	assert_int_equal(c.conntrack.row.races, 624);
	pw_snat_free(c.snat);
}

static void test_no_pool_at_all_is_a_race(void **state)
{
	struct case_ c;

	(void)state;
	start(&c, 1000);
	dump(&c, 0);
	c.counts.failures = 1;
	step(&c, 1000);
	assert_cause(&c, PW_EVENT_SNAT_RACING, 1, "at 0 %");
	pw_snat_free(c.snat);
}

/* Large pools lose packets before they are full, small ones do not. */
static void test_no_port_is_left(void **state)
{
	static const struct {
		uint16_t ports;
		unsigned used;
		enum pw_event_type type;
	} cases[] = {{1000, 840, PW_EVENT_SNAT_RACING}, {1000, 850, PW_EVENT_SNAT_FAILING},
		{1000, 1000, PW_EVENT_SNAT_FAILING}, {100, 90, PW_EVENT_SNAT_RACING}, {100, 100, PW_EVENT_SNAT_FAILING},
		{1, 1, PW_EVENT_SNAT_FAILING}};
	struct case_ c;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		start(&c, cases[i].ports);
		dump(&c, cases[i].used);
		c.counts.failures = 7;
		step(&c, 1000);
		assert_cause(&c, cases[i].type, 7,
			cases[i].type == PW_EVENT_SNAT_FAILING
				? "snat tcp 198.51.100.1 -> 192.0.2.9:443 has no port left"
				: "more ports do not");
		assert_int_equal(c.conntrack.row.races, cases[i].type == PW_EVENT_SNAT_RACING ? 7 : 0);
		pw_snat_free(c.snat);
	}
}

/* Nothing is said before the table was looked at, and nothing is lost meanwhile. */
static void test_the_next_dump_decides(void **state)
{
	struct case_ c;

	(void)state;
	start(&c, 1000);
	dump(&c, 1000);
	pw_snat_source(c.snat)->fresh = false;
	c.counts.failures = 5;
	step(&c, 1000);
	assert_int_equal(c.n, 0);
	c.counts.failures = 8;
	dump(&c, 10);
	step(&c, 1000);
	assert_cause(&c, PW_EVENT_SNAT_RACING, 8, "at 1 %");
	pw_snat_free(c.snat);
}

static void test_once_a_minute_for_each_cause(void **state)
{
	struct case_ c;

	(void)state;
	start(&c, 100);
	for (unsigned i = 0; i < 61; i++) {
		dump(&c, i % 2 != 0 ? 100 : 10);
		c.counts.failures += 10;
		step(&c, 1000);
		if (i == 0)
			assert_cause(&c, PW_EVENT_SNAT_RACING, 10, "random-fully");
		else if (i == 1)
			assert_cause(&c, PW_EVENT_SNAT_FAILING, 10, "has no port left");
		else if (i == 60)
			assert_cause(&c, PW_EVENT_SNAT_RACING, 300, "random-fully");
		else
			assert_int_equal(c.n, 0);
	}
	assert_int_equal(c.conntrack.row.races, 310);
	pw_snat_free(c.snat);
}

static void assert_table(struct case_ *c, enum pw_event_type type, enum pw_state state, uint32_t threshold)
{
	assert_int_equal(c->n, 1);
	assert_int_equal(c->events[0].type, type);
	assert_int_equal(c->events[0].state, state);
	assert_int_equal(c->events[0].threshold, threshold);
	assert_int_equal(c->events[0].counts.used, c->counts.entries);
	assert_int_equal(c->conntrack.row.state, state);
}

static void test_the_table_fills(void **state)
{
	struct case_ c;

	(void)state;
	start(&c, 1000);
	c.counts.entries = 799;
	step(&c, 1000);
	assert_int_equal(c.n, 0);
	assert_int_equal(c.conntrack.row.state, PW_STATE_NORMAL);
	c.counts.entries = 800;
	step(&c, 1000);
	assert_table(&c, PW_EVENT_CONNTRACK_RISING, PW_STATE_WARNING, 80);
	c.counts.entries = 1000;
	step(&c, 1000);
	assert_table(&c, PW_EVENT_CONNTRACK_RISING, PW_STATE_EXHAUSTED, c.events[0].threshold);
	assert_non_null(strstr(c.events[0].text, "1000 of 1000 entries: packets are dropped"));
	c.counts.entries = 920;
	step(&c, 1000);
	assert_int_equal(c.events[0].state, PW_STATE_CRITICAL);
	c.counts.entries = 760;
	step(&c, 1000);
	assert_int_equal(c.events[0].state, PW_STATE_WARNING);
	c.counts.entries = 750;
	step(&c, 1000);
	assert_table(&c, PW_EVENT_CONNTRACK_FALLING, PW_STATE_NORMAL, 75);
	pw_snat_free(c.snat);
}

static void test_a_table_without_limit(void **state)
{
	struct case_ c;

	(void)state;
	start(&c, 1000);
	c.counts = (struct pw_conntrack_counts){.entries = 1000000};
	step(&c, 1000);
	assert_int_equal(c.n, 0);
	c.counts.maximum = 1000001;
	step(&c, 1000);
	assert_table(&c, PW_EVENT_CONNTRACK_RISING, PW_STATE_CRITICAL, 95);
	assert_true(pw_conntrack_end(&c.conntrack, 3, "blue", &c.events[0]));
	assert_int_equal(c.events[0].type, PW_EVENT_CONNTRACK_FALLING);
	assert_false(pw_conntrack_end(&c.conntrack, 3, "blue", &c.events[0]));
	pw_snat_free(c.snat);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_race),
		cmocka_unit_test(test_no_pool_at_all_is_a_race),
		cmocka_unit_test(test_no_port_is_left),
		cmocka_unit_test(test_the_next_dump_decides),
		cmocka_unit_test(test_once_a_minute_for_each_cause),
		cmocka_unit_test(test_the_table_fills),
		cmocka_unit_test(test_a_table_without_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* The pools of source NAT: which entries count, and what the monitor makes of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "count/snat.h"
#include "watch_fixture.h"
#include "random.h"

#define TRANSLATED PW_CONNTRACK_SOURCE_TRANSLATED

static struct pw_snat_range range_of(const char *network, uint16_t low, uint16_t high)
{
	struct pw_snat_range range = {.low = low, .high = high};

	assert_int_equal(pw_cidr_parse(&range.addresses, network, NULL), 0);
	return range;
}

static struct pw_conntrack_entry entry_of(
	const char *local, uint16_t local_port, const char *remote, uint16_t remote_port)
{
	struct pw_conntrack_entry e = {
		.local_port = local_port, .remote_port = remote_port, .protocol = IPPROTO_TCP, .flags = TRANSLATED};
	struct pw_address a, b;

	assert_int_equal(pw_address_parse(&a, local), 0);
	assert_int_equal(pw_address_parse(&b, remote), 0);
	e.family = (uint8_t)a.family;
	memcpy(e.local, a.bytes, sizeof(e.local));
	memcpy(e.remote, b.bytes, sizeof(e.remote));
	return e;
}

static void add(struct pw_snat *snat, struct pw_conntrack_entry entry)
{
	assert_int_equal(pw_snat_add(snat, &entry), 0);
}

static struct pw_pool_key key_of(const char *local, const char *remote, uint16_t port)
{
	struct pw_pool_key key = {.ns = 1, .kind = PW_KIND_SNAT, .protocol = IPPROTO_TCP, .port = port};

	assert_int_equal(pw_address_parse(&key.local, local), 0);
	assert_int_equal(pw_address_parse(&key.remote, remote), 0);
	return key;
}

static struct pw_pool_counts counts_of(struct pw_snat *snat, const char *local, const char *remote, uint16_t port)
{
	struct pw_pool_key key = key_of(local, remote, port);
	struct pw_pool_counts counts;

	pw_source_pool(pw_snat_source(snat), &key, &counts);
	return counts;
}

static int count_visit(const struct pw_pool_key *key, const struct pw_pool_counts *counts, void *context)
{
	size_t *n = context;

	assert_int_equal(key->kind, PW_KIND_SNAT);
	assert_int_equal(key->ns, 1);
	assert_int_equal(counts->used + counts->free, counts->capacity);
	(*n)++;
	return 0;
}

/* A rule without ports keeps the class of the client's port: what is full first is what counts. */
static void test_privileged_clients(void **state)
{
	const struct pw_snat_range ranges[] = {
		range_of("198.51.100.1", PW_SNAT_LOW, PW_SNAT_HIGH), range_of("198.51.100.2", 1024, 2023)};
	struct pw_snat *snat = pw_snat_new(1);
	struct pw_pool_counts c;

	(void)state;
	pw_snat_begin(snat, ranges, 2);
	for (uint16_t port = 600; port < 1024; port++)
		add(snat, entry_of("198.51.100.1", port, "192.0.2.9", 2049));
	for (uint16_t port = 1; port < 100; port++)
		add(snat, entry_of("198.51.100.1", port, "192.0.2.9", 514));
	for (uint16_t port = 700; port < 710; port++)
		add(snat, entry_of("198.51.100.1", port, "192.0.2.9", 80));
	for (uint16_t port = 2000; port < 20000; port++)
		add(snat, entry_of("198.51.100.1", port, "192.0.2.9", 80));
	add(snat, entry_of("198.51.100.2", 600, "192.0.2.9", 2049)); /* its rule has ports, and this is none of them */
	pw_snat_finish(snat);
	c = counts_of(snat, "198.51.100.1", "192.0.2.9", 2049);
	assert_int_equal(c.capacity, 424);
	assert_int_equal(c.used, 424);
	assert_int_equal(c.utilization, 100);
	c = counts_of(snat, "198.51.100.1", "192.0.2.9", 514);
	assert_int_equal(c.capacity, 511);
	assert_int_equal(c.used, 99);
	c = counts_of(snat, "198.51.100.1", "192.0.2.9", 80);
	assert_int_equal(c.capacity, 64512);
	assert_int_equal(c.used, 18000);
	c = counts_of(snat, "198.51.100.2", "192.0.2.9", 2049);
	assert_int_equal(c.capacity, 1000);
	assert_int_equal(c.used, 0);
	pw_snat_free(snat);
}

static const struct pw_portset *list_of_nfs(const struct pw_pool_key *key, void *context)
{
	return key->port == 2049 ? context : NULL;
}

/* Connections from ports below 1024 are translated to ports below 1024. */
static void test_a_pool_with_a_list_of_ports(void **state)
{
	const struct pw_snat_range range = range_of("198.51.100.1", 1024, 65535);
	struct pw_snat *snat = pw_snat_new(1);
	struct pw_portset privileged;
	struct pw_pool_counts c;
	size_t n = 0;

	(void)state;
	pw_portset_clear(&privileged);
	pw_portset_add_range(&privileged, 600, 1023);
	pw_snat_source(snat)->ports = list_of_nfs;
	pw_snat_source(snat)->ports_context = &privileged;
	pw_snat_begin(snat, &range, 1);
	for (uint16_t port = 600; port < 900; port++)
		add(snat, entry_of("198.51.100.1", port, "192.0.2.9", 2049));
	add(snat, entry_of("198.51.100.1", 5000, "192.0.2.9", 2049)); /* of another client, from a port above 1023 */
	add(snat, entry_of("198.51.100.1", 700, "192.0.2.9", 80));
	add(snat, entry_of("198.51.100.1", 5000, "192.0.2.9", 80));
	pw_snat_finish(snat);
	c = counts_of(snat, "198.51.100.1", "192.0.2.9", 2049);
	assert_int_equal(c.capacity, 424);
	assert_int_equal(c.used, 300);
	assert_int_equal(c.free, 124);
	assert_int_equal(c.utilization, 70);
	c = counts_of(snat, "198.51.100.1", "192.0.2.9", 80);
	assert_int_equal(c.capacity, 64512);
	assert_int_equal(c.used, 1);
	assert_int_equal(pw_source_each(pw_snat_source(snat), 1, count_visit, &n), 0);
	assert_int_equal(n, 2);
	pw_snat_free(snat);
}

static void test_a_single_address_counts_whatever_is_translated(void **state)
{
	const struct pw_snat_range range = range_of("198.51.100.1", 2000, 2099);
	struct pw_snat *snat = pw_snat_new(1);
	struct pw_conntrack_entry own = entry_of("198.51.100.1", 2002, "192.0.2.9", 80), udp = own;
	struct pw_pool_counts c;
	size_t n = 0;

	(void)state;
	own.flags = 0;
	udp.protocol = IPPROTO_UDP;
	pw_snat_begin(snat, &range, 1);
	add(snat, entry_of("198.51.100.1", 2000, "192.0.2.9", 80));
	add(snat, entry_of("198.51.100.1", 2099, "192.0.2.9", 80));
	add(snat, own);
	add(snat, udp);
	add(snat, entry_of("198.51.100.1", 2000, "192.0.2.9", 81)); /* another pool */
	add(snat, entry_of("198.51.100.1", 1999, "192.0.2.9", 80)); /* ports that the rule does not give */
	add(snat, entry_of("198.51.100.1", 2100, "192.0.2.9", 80));
	add(snat, entry_of("198.51.100.2", 2000, "192.0.2.9", 80));  /* an address that is not watched */
	add(snat, entry_of("2001:db8::1", 2000, "2001:db8::9", 80)); /* its first four bytes mean nothing */
	assert_false(pw_snat_finish(snat));
	c = counts_of(snat, "198.51.100.1", "192.0.2.9", 80);
	assert_int_equal(c.capacity, 100);
	assert_int_equal(c.used, 3);
	assert_int_equal(c.free, 97);
	assert_int_equal(c.fast_free, 97);
	assert_int_equal(c.blocked, 0);
	assert_int_equal(c.utilization, 3);
	assert_int_equal(pw_snat_source(snat)->pools, 3);
	assert_int_equal(pw_source_each(pw_snat_source(snat), 1, count_visit, &n), 0);
	assert_int_equal(n, 3);
	n = 0;
	assert_int_equal(pw_source_each(pw_snat_source(snat), 3, count_visit, &n), 0);
	assert_int_equal(n, 1);
	assert_int_equal(counts_of(snat, "198.51.100.1", "192.0.2.9", 443).used, 0);
	assert_int_equal(counts_of(snat, "198.51.100.1", "192.0.2.9", 443).capacity, 100);
	assert_int_equal(counts_of(snat, "198.51.100.2", "192.0.2.9", 80).capacity, 0);
	pw_snat_free(snat);
}

static void test_a_network_stands_for_what_is_seen_translated(void **state)
{
	const struct pw_snat_range range = range_of("0.0.0.0/0", PW_SNAT_LOW, PW_SNAT_HIGH);
	struct pw_snat *snat = pw_snat_new(1);
	struct pw_conntrack_entry own = entry_of("198.51.100.1", 5000, "192.0.2.9", 80),
				  inbound = entry_of("203.0.113.7", 5001, "198.51.100.1", 443);

	(void)state;
	own.flags = inbound.flags = 0;
	for (int dump = 0; dump < 2; dump++) {
		pw_snat_begin(snat, &range, 1);
		add(snat, inbound);
		add(snat, own);
		add(snat, entry_of("198.51.100.1", 5002, "192.0.2.9", 80));
		/* the first dump learns too late that the gateway's own connections count */
		assert_int_equal(pw_snat_finish(snat), dump == 0);
		assert_int_equal(counts_of(snat, "198.51.100.1", "192.0.2.9", 80).used, 1 + dump);
	}
	assert_int_equal(pw_snat_source(snat)->pools, 1);
	/* the last translated connection ends: the address is watched for one dump more */
	for (int dump = 0; dump < 3; dump++) {
		pw_snat_begin(snat, &range, 1);
		add(snat, own);
		assert_false(pw_snat_finish(snat));
		assert_int_equal(pw_snat_source(snat)->pools, dump == 0);
	}
	pw_snat_free(snat);
}

static void test_ports_count_once_and_time_wait_apart(void **state)
{
	const struct pw_snat_range range = range_of("198.51.100.1", 2000, 2009);
	struct pw_snat *snat = pw_snat_new(1);
	struct pw_conntrack_entry e = entry_of("198.51.100.1", 2000, "192.0.2.9", 80);
	struct pw_pool_counts c;

	(void)state;
	pw_snat_begin(snat, &range, 1);
	e.flags |= PW_CONNTRACK_TIME_WAIT;
	add(snat, e);
	add(snat, e); /* another conntrack zone */
	e.local_port = 2001;
	add(snat, e);
	e.flags = TRANSLATED;
	add(snat, e);
	pw_snat_finish(snat);
	for (int again = 0; again < 2; again++) {
		c = counts_of(snat, "198.51.100.1", "192.0.2.9", 80);
		assert_int_equal(c.used, 2);
		assert_int_equal(c.time_wait, 1);
		assert_int_equal(c.reusable, 0);
		assert_int_equal(c.utilization, 20);
	}
	pw_snat_free(snat);
}

static void test_states(void **state)
{
	static const uint8_t flags[] = {PW_CONNTRACK_SYN_SENT, PW_CONNTRACK_ESTABLISHED, PW_CONNTRACK_ESTABLISHED,
		PW_CONNTRACK_CLOSE_WAIT, PW_CONNTRACK_FIN_WAIT, PW_CONNTRACK_TIME_WAIT, 0};
	const struct pw_snat_range range = range_of("198.51.100.1", 2000, 2009);
	struct pw_snat *snat = pw_snat_new(1);
	struct pw_conntrack_entry e = entry_of("198.51.100.1", 2000, "192.0.2.9", 80);
	struct pw_pool_key key = {.ns = 1, .kind = PW_KIND_SNAT, .protocol = IPPROTO_TCP, .port = 80};
	struct pw_owners owners;

	(void)state;
	assert_int_equal(pw_address_parse(&key.local, "198.51.100.1"), 0);
	assert_int_equal(pw_address_parse(&key.remote, "192.0.2.9"), 0);
	pw_snat_begin(snat, &range, 1);
	for (size_t i = 0; i < sizeof(flags); i++) {
		e.flags = TRANSLATED | flags[i];
		e.local_port = (uint16_t)(2000 + i);
		add(snat, e);
	}
	pw_snat_finish(snat);
	pw_source_owners(pw_snat_source(snat), &key, &owners);
	assert_int_equal(owners.states.syn_sent, 1);
	assert_int_equal(owners.states.established, 2);
	assert_int_equal(owners.states.close_wait, 1);
	assert_int_equal(owners.states.fin_wait, 1);
	pw_snat_free(snat);
}

static void test_the_first_range_that_contains_an_address_counts(void **state)
{
	const struct pw_snat_range ranges[] = {range_of("198.51.100.1", 1000, 1009),
		range_of("198.51.100.0/24", 2000, 2049), range_of("2001:db8::/64", 1, 65535)};
	struct pw_snat *snat = pw_snat_new(1);

	(void)state;
	pw_snat_begin(snat, ranges, 3);
	add(snat, entry_of("198.51.100.1", 1000, "192.0.2.9", 80));
	add(snat, entry_of("198.51.100.1", 2000, "192.0.2.9", 80));
	add(snat, entry_of("198.51.100.2", 2000, "192.0.2.9", 80));
	add(snat, entry_of("2001:db8::2", 65535, "2001:db8:1::9", 80));
	pw_snat_finish(snat);
	assert_int_equal(counts_of(snat, "198.51.100.1", "192.0.2.9", 80).used, 1);
	assert_int_equal(counts_of(snat, "198.51.100.1", "192.0.2.9", 80).capacity, 10);
	assert_int_equal(counts_of(snat, "198.51.100.2", "192.0.2.9", 80).capacity, 50);
	assert_int_equal(counts_of(snat, "2001:db8::2", "2001:db8:1::9", 80).capacity, 65535);
	assert_int_equal(pw_snat_source(snat)->capacity, 10);
	assert_int_equal(pw_snat_least_capacity(NULL, 0), 0);
	/* another configuration: the address keeps its memory, and gets its new ports */
	pw_snat_begin(snat, &ranges[1], 1);
	add(snat, entry_of("198.51.100.1", 2001, "192.0.2.9", 80));
	pw_snat_finish(snat);
	assert_int_equal(counts_of(snat, "198.51.100.1", "192.0.2.9", 80).used, 1);
	assert_int_equal(counts_of(snat, "198.51.100.1", "192.0.2.9", 80).capacity, 50);
	pw_snat_free(snat);
}

/* Against counting by hand: random entries of a few addresses, remotes and ports. */
static void test_random_entries(void **state)
{
	static uint8_t held[4][4][64];
	const struct pw_snat_range range = range_of("10.0.0.0/8", 1000, 1049);
	struct pw_snat *snat = pw_snat_new(1);

	(void)state;
	random_start();
	for (int dump = 0; dump < 50; dump++) {
		memset(held, 0, sizeof(held));
		pw_snat_begin(snat, &range, 1);
		for (unsigned n = pick(2000); n > 0; n--) {
			struct pw_conntrack_entry e = entry_of("10.0.0.1", (uint16_t)(990 + pick(64)), "192.0.2.1", 80);
			unsigned local = pick(4), remote = pick(4);

			e.local[3] = (uint8_t)local;
			e.remote[3] = (uint8_t)remote;
			add(snat, e);
			if (e.local_port >= 1000 && e.local_port < 1050)
				held[local][remote][e.local_port - 1000] = 1;
		}
		pw_snat_finish(snat);
		for (unsigned local = 0; local < 4; local++)
			for (unsigned remote = 0; remote < 4; remote++) {
				struct pw_pool_key key = key_of("10.0.0.0", "192.0.2.0", 80);
				struct pw_pool_counts counts;
				unsigned expected = 0;

				key.local.bytes[3] = (uint8_t)local;
				key.remote.bytes[3] = (uint8_t)remote;
				for (int i = 0; i < 50; i++)
					expected += held[local][remote][i];
				pw_source_pool(pw_snat_source(snat), &key, &counts);
				assert_int_equal(counts.used, expected);
			}
	}
	pw_snat_free(snat);
}

static void test_many_addresses_and_pools(void **state)
{
	const struct pw_snat_range range = range_of("10.0.0.0/8", 1, 65535);
	struct pw_snat *snat = pw_snat_new(1);
	struct pw_conntrack_entry e = entry_of("10.0.0.0", 1, "192.0.2.0", 80);
	size_t n = 0;

	(void)state;
	for (int dump = 0; dump < 2; dump++) {
		pw_snat_begin(snat, &range, 1);
		for (unsigned i = 0; i < 200000; i++) {
			e.local[2] = (uint8_t)(i >> 8 & 3);
			e.local[3] = (uint8_t)i;
			e.remote[2] = (uint8_t)(i >> 12);
			e.local_port = (uint16_t)(1 + (i >> 4));
			add(snat, e);
		}
		pw_snat_finish(snat);
		assert_int_equal(pw_source_each(pw_snat_source(snat), 1, count_visit, &n), 0);
	}
	assert_int_equal(n, 2 * pw_snat_source(snat)->pools);
	assert_true(pw_snat_source(snat)->pools > 10000);
	/* memory goes back when the peak has passed */
	for (int dump = 0; dump < 2; dump++) {
		pw_snat_begin(snat, &range, 1);
		add(snat, e);
		pw_snat_finish(snat);
	}
	assert_int_equal(pw_snat_source(snat)->pools, 1);
	pw_snat_free(snat);
}

/* --- clients --- */

static void assert_owner(struct pw_snat *snat, const char *remote, const char *expected)
{
	struct pw_pool_key key = key_of("198.51.100.1", remote, 443);
	struct pw_pool_states states;
	char text[PW_OWNER_TEXT_MAX];

	pw_source_owner_text(pw_snat_source(snat), &key, NULL, NULL, NULL, &states, text);
	assert_string_equal(text, expected);
}

static void test_the_client_that_holds_most_is_the_owner(void **state)
{
	const struct pw_snat_range range = range_of("198.51.100.1", 2000, 2999);
	struct pw_snat *snat = pw_snat_new(1);

	(void)state;
	for (int dump = 0; dump < 2; dump++) {
		pw_snat_begin(snat, &range, 1);
		for (unsigned i = 0; i < 100; i++) {
			struct pw_conntrack_entry e = entry_of("198.51.100.1", (uint16_t)(2000 + i), "192.0.2.9", 443);

			e.client[0] = 10;
			e.client[3] = i < 70 ? 2 : (uint8_t)(3 + i % 20);
			add(snat, e);
		}
		for (unsigned i = 0; i < 10; i++) {
			struct pw_conntrack_entry e = entry_of("198.51.100.1", (uint16_t)(2000 + i), "192.0.2.8", 443);

			memcpy(e.client, e.local, sizeof(e.client));
			add(snat, e);
		}
		pw_snat_finish(snat);
		assert_owner(snat, "192.0.2.9", "client 10.0.0.2 (70 %)");
		assert_owner(snat, "192.0.2.8", "this host");
		assert_owner(snat, "192.0.2.7", "");
	}
	pw_snat_free(snat);
}

/* More than can be told apart: those that are known keep their share of all. */
static void test_too_many_clients(void **state)
{
	const struct pw_snat_range range = range_of("198.51.100.1", 1024, 65535);
	struct pw_snat *snat = pw_snat_new(1);
	struct pw_conntrack_entry e = entry_of("198.51.100.1", 1024, "192.0.2.9", 443);

	(void)state;
	pw_snat_begin(snat, &range, 1);
	for (unsigned i = 0; i < 60000; i++) {
		e.local_port = (uint16_t)(1024 + i);
		e.client[0] = 10;
		e.client[2] = (uint8_t)(i < 12000 ? 0 : i >> 8);
		e.client[3] = (uint8_t)(i < 12000 ? 1 : i);
		add(snat, e);
	}
	pw_snat_finish(snat);
	assert_owner(snat, "192.0.2.9", "client 10.0.0.1 (20 %)");
	pw_snat_free(snat);
}

/* --- in the monitor --- */

#define POOL "snat tcp 198.51.100.1 -> 192.0.2.9:443"

/* A poll with this many ports of a pool of 1000 in use. */
static void poll_snat(struct fixture *f, const struct pw_snat_range *range, unsigned n)
{
	pw_snat_begin((struct pw_snat *)f->ns.sources[PW_SOURCE_SNAT], range, 1);
	for (unsigned i = 0; i < n; i++)
		add((struct pw_snat *)f->ns.sources[PW_SOURCE_SNAT],
			entry_of("198.51.100.1", (uint16_t)(2000 + i), "192.0.2.9", 443));
	pw_snat_finish((struct pw_snat *)f->ns.sources[PW_SOURCE_SNAT]);
	f->ns.sources[PW_SOURCE_SNAT]->status = PW_SOURCE_COUNTING;
	f->ns.sources[PW_SOURCE_SNAT]->fresh = true;
	fixture_poll(f);
}

static enum pw_state state_of(const struct fixture *f)
{
	const struct pw_pool_row *row = fixture_row(f, POOL);

	assert_non_null(row);
	return row->state;
}

static void test_states_by_its_own_thresholds(void **state)
{
	const struct pw_snat_range range = range_of("198.51.100.1", 2000, 2999);
	struct pw_snat *snat = pw_snat_new(1);
	struct fixture f;

	(void)state;
	fixture_start(&f);
	f.ns.sources[PW_SOURCE_SNAT] = pw_snat_source(snat);
	poll_snat(&f, &range, 699);
	assert_int_equal(state_of(&f), PW_STATE_NORMAL);
	assert_int_equal(fixture_row(&f, POOL)->warning_threshold, 70);
	poll_snat(&f, &range, 700);
	assert_int_equal(state_of(&f), PW_STATE_WARNING);
	assert_int_equal(f.n_events, 1);
	poll_snat(&f, &range, 900);
	assert_int_equal(state_of(&f), PW_STATE_CRITICAL);
	/* a poll without new numbers keeps them */
	f.ns.sources[PW_SOURCE_SNAT]->fresh = false;
	fixture_poll(&f);
	assert_int_equal(state_of(&f), PW_STATE_CRITICAL);
	assert_int_equal(f.n_events, 0);
	assert_int_equal(fixture_row(&f, POOL)->counts.used, 900);
	f.ns.sources[PW_SOURCE_SNAT]->status = PW_SOURCE_UNAVAILABLE;
	f.ns.sources[PW_SOURCE_SNAT]->reason = "no reason";
	fixture_poll(&f);
	assert_int_equal(state_of(&f), PW_STATE_CRITICAL);
	assert_int_equal(f.snapshot->namespaces[0].sources[PW_SOURCE_SNAT].status, PW_SOURCE_UNAVAILABLE);
	assert_string_equal(f.snapshot->namespaces[0].sources[PW_SOURCE_SNAT].reason, "no reason");
	/* so does a poll that gets no sockets: the two have nothing to do with each other */
	f.ns.sources[PW_SOURCE_SNAT]->reason = "";
	f.ns.status = PW_POLL_FAILED;
	poll_snat(&f, &range, 1000);
	assert_int_equal(state_of(&f), PW_STATE_EXHAUSTED);
	f.ns.status = PW_POLL_COUNTED;
	poll_snat(&f, &range, 0);
	assert_int_equal(state_of(&f), PW_STATE_NORMAL);
	assert_int_equal(f.n_events, 1);
	fixture_stop(&f);
	pw_snat_free(snat);
}

static void test_pools_end_when_they_are_not_watched_any_more(void **state)
{
	const struct pw_snat_range range = range_of("198.51.100.1", 2000, 2999);
	struct pw_snat *snat = pw_snat_new(1);
	struct fixture f;

	(void)state;
	fixture_start(&f);
	f.ns.sources[PW_SOURCE_SNAT] = pw_snat_source(snat);
	poll_snat(&f, &range, 950);
	assert_int_equal(f.n_events, 1);
	assert_int_equal(f.snapshot->pools_seen, 1);
	f.ns.sources[PW_SOURCE_SNAT] = NULL;
	fixture_poll(&f);
	assert_null(fixture_row(&f, POOL));
	assert_int_equal(f.n_events, 1);
	assert_int_equal(f.events[0].state, PW_STATE_NORMAL);
	assert_int_equal(f.snapshot->active_alarms, 0);
	assert_int_equal(f.snapshot->pools_seen, 0);
	fixture_stop(&f);
	pw_snat_free(snat);
}

/* Sockets and connection tracking are asked for apart: rows of one sort need no dump of the other. */
static void test_needs(void **state)
{
	const struct pw_snat_range range = range_of("198.51.100.1", 2000, 2999);
	struct pw_rule rule = {.match.kinds = 1u << PW_KIND_SNAT};
	struct pw_snat *snat = pw_snat_new(1);
	struct fixture f;

	(void)state;
	fixture_start(&f);
	f.ns.sources[PW_SOURCE_SNAT] = pw_snat_source(snat);
	poll_snat(&f, &range, 0);
	assert_false(pw_monitor_needs(f.monitor, 1, PW_SOURCE_SOCKETS));
	assert_false(pw_monitor_needs(f.monitor, 1, PW_SOURCE_SNAT));
	poll_snat(&f, &range, 100);
	assert_false(pw_monitor_needs(f.monitor, 1, PW_SOURCE_SOCKETS));
	assert_true(pw_monitor_needs(f.monitor, 1, PW_SOURCE_SNAT));
	f.policy.rules = &rule;
	f.policy.n_rules = 1;
	assert_false(pw_monitor_needs(f.monitor, 7, PW_SOURCE_SOCKETS));
	assert_true(pw_monitor_needs(f.monitor, 7, PW_SOURCE_SNAT));
	rule.match.kinds = 0;
	assert_true(pw_monitor_needs(f.monitor, 7, PW_SOURCE_SOCKETS));
	rule.match.kinds = 1u << PW_KIND_CONNECT;
	assert_false(pw_monitor_needs(f.monitor, 7, PW_SOURCE_SNAT));
	fixture_stop(&f);
	pw_snat_free(snat);
}

/* Only a section that says kind = snat changes their thresholds; any that matches gives its label. */
static void test_sections(void **state)
{
	const struct pw_snat_range range = range_of("198.51.100.1", 2000, 2999);
	struct pw_rule rule = {.label = (char *)"gateway",
		.thresholds = {.warning = {10, 5}, .critical = {20, 15}, .exhausted_fall = 98, .for_polls = 1}};
	struct pw_snat *snat = pw_snat_new(1);
	struct fixture f;

	(void)state;
	fixture_start(&f);
	f.policy.rules = &rule;
	f.policy.n_rules = 1;
	f.ns.sources[PW_SOURCE_SNAT] = pw_snat_source(snat);
	poll_snat(&f, &range, 5); /* small, but named */
	assert_string_equal(fixture_row(&f, POOL)->label, "gateway");
	assert_int_equal(fixture_row(&f, POOL)->warning_threshold, 70);
	poll_snat(&f, &range, 150);
	assert_int_equal(state_of(&f), PW_STATE_NORMAL);
	rule.match.kinds = 1u << PW_KIND_SNAT;
	pw_monitor_set_policy(f.monitor, &f.policy);
	poll_snat(&f, &range, 150);
	assert_int_equal(state_of(&f), PW_STATE_WARNING);
	fixture_stop(&f);
	pw_snat_free(snat);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_single_address_counts_whatever_is_translated),
		cmocka_unit_test(test_privileged_clients),
		cmocka_unit_test(test_a_pool_with_a_list_of_ports),
		cmocka_unit_test(test_a_network_stands_for_what_is_seen_translated),
		cmocka_unit_test(test_ports_count_once_and_time_wait_apart),
		cmocka_unit_test(test_states),
		cmocka_unit_test(test_the_first_range_that_contains_an_address_counts),
		cmocka_unit_test(test_random_entries),
		cmocka_unit_test(test_many_addresses_and_pools),
		cmocka_unit_test(test_the_client_that_holds_most_is_the_owner),
		cmocka_unit_test(test_too_many_clients),
		cmocka_unit_test(test_states_by_its_own_thresholds),
		cmocka_unit_test(test_pools_end_when_they_are_not_watched_any_more),
		cmocka_unit_test(test_needs),
		cmocka_unit_test(test_sections),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* Which thresholds apply to which pool, which pools a section names, and from how many ports a pool matters. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "watch/policy.h"
#include "random.h"

static struct pw_address address(const char *text)
{
	struct pw_address a;

	assert_int_equal(pw_address_parse(&a, text), 0);
	return a;
}

static struct pw_cidr cidr(const char *text)
{
	struct pw_cidr net;

	assert_int_equal(pw_cidr_parse(&net, text, NULL), 0);
	return net;
}

static struct pw_pool_key connect_key(const char *local, const char *remote, uint16_t port)
{
	return (struct pw_pool_key){.local = address(local),
		.remote = address(remote),
		.ns = 1,
		.port = port,
		.kind = PW_KIND_CONNECT,
		.protocol = IPPROTO_TCP};
}

static struct pw_pool_key bind_key(const char *local, uint8_t protocol)
{
	return (struct pw_pool_key){.local = address(local), .ns = 1, .kind = PW_KIND_BIND, .protocol = protocol};
}

static void empty_match_matches_all(void **unused)
{
	struct pw_match match = {0};
	struct pw_pool_key connect = connect_key("10.0.0.1", "10.0.0.9", 443), bind = bind_key("::", IPPROTO_UDP);

	(void)unused;
	assert_true(pw_match_pool(&match, &connect, ""));
	assert_true(pw_match_pool(&match, &bind, "blue"));
}

static void every_part_must_match(void **unused)
{
	struct pw_cidr local = cidr("10.0.0.0/24"), remote[] = {cidr("203.0.113.0/24"), cidr("2001:db8::/32")};
	uint16_t ports[] = {443, 8443};
	char blue[] = "blue";
	struct pw_match match = {.kinds = 1u << PW_KIND_CONNECT,
		.protocols = PW_MATCH_TCP,
		.local = &local,
		.n_local = 1,
		.remote = remote,
		.n_remote = 2,
		.ports = ports,
		.n_ports = 2,
		.ns = blue};
	struct pw_pool_key key = connect_key("10.0.0.1", "203.0.113.9", 8443);

	(void)unused;
	assert_true(pw_match_pool(&match, &key, "blue"));
	assert_false(pw_match_pool(&match, &key, ""));
	key = connect_key("10.0.1.1", "203.0.113.9", 8443);
	assert_false(pw_match_pool(&match, &key, "blue"));
	key = connect_key("10.0.0.1", "203.0.114.9", 8443);
	assert_false(pw_match_pool(&match, &key, "blue"));
	key = connect_key("10.0.0.1", "203.0.113.9", 80);
	assert_false(pw_match_pool(&match, &key, "blue"));
	key = bind_key("10.0.0.1", IPPROTO_TCP);
	assert_false(pw_match_pool(&match, &key, "blue"));
}

static void remote_side_never_matches_a_bind_pool(void **unused)
{
	struct pw_cidr all4 = cidr("0.0.0.0/0");
	uint16_t port = 443;
	struct pw_match by_remote = {.remote = &all4, .n_remote = 1}, by_port = {.ports = &port, .n_ports = 1};
	struct pw_pool_key bind = bind_key("10.0.0.1", IPPROTO_TCP);

	(void)unused;
	assert_false(pw_match_pool(&by_remote, &bind, ""));
	assert_false(pw_match_pool(&by_port, &bind, ""));
}

static void first_rule_wins(void **unused)
{
	struct pw_cidr narrow = cidr("10.0.0.1"), wide = cidr("10.0.0.0/8");
	struct pw_rule rules[] = {
		{.match = {.local = &narrow, .n_local = 1}}, {.match = {.local = &wide, .n_local = 1}}};
	struct pw_policy policy = {.rules = rules, .n_rules = 2};
	struct pw_pool_key one = connect_key("10.0.0.1", "10.0.0.9", 443),
			   two = connect_key("10.0.0.2", "10.0.0.9", 443),
			   other = connect_key("192.0.2.1", "10.0.0.9", 443);

	(void)unused;
	assert_ptr_equal(pw_policy_rule(&policy, &one, ""), &rules[0]);
	assert_ptr_equal(pw_policy_rule(&policy, &two, ""), &rules[1]);
	assert_null(pw_policy_rule(&policy, &other, ""));
}

static void ignore_is_a_match_of_its_own(void **unused)
{
	struct pw_cidr remote = cidr("198.51.100.1");
	struct pw_match ignore = {.remote = &remote, .n_remote = 1};
	struct pw_policy policy = {.ignore = &ignore, .n_ignore = 1};
	struct pw_pool_key hidden = connect_key("10.0.0.1", "198.51.100.1", 443),
			   shown = connect_key("10.0.0.1", "198.51.100.2", 443);

	(void)unused;
	assert_true(pw_policy_ignores(&policy, &hidden, ""));
	assert_false(pw_policy_ignores(&policy, &shown, ""));
}

/* --- pools named exactly ---------------------------------------------------------------------------------------- */

static size_t count_exact(const struct pw_match *match)
{
	struct pw_pool_key key;
	size_t n = 0, position = 0;

	while (pw_match_next_exact(match, &position, &key)) {
		assert_true(pw_match_pool(match, &key, match->ns != NULL ? match->ns : ""));
		n++;
	}
	return n;
}

static void hosts_and_ports_name_connect_pools(void **unused)
{
	struct pw_cidr local[] = {cidr("10.0.0.1"), cidr("10.0.0.2"), cidr("10.1.0.0/16")},
		       remote[] = {cidr("10.0.0.9"), cidr("2001:db8::9")};
	uint16_t ports[] = {443, 8443};
	struct pw_match match = {
		.local = local, .n_local = 3, .remote = remote, .n_remote = 2, .ports = ports, .n_ports = 2};
	struct pw_pool_key key, expected = connect_key("10.0.0.1", "10.0.0.9", 443);
	size_t position = 0;

	(void)unused;
	expected.ns = 0;
	assert_int_equal(count_exact(&match),
		4); /* two hosts of one family, two ports; networks and mixed families name nothing */
	match.n_local = match.n_remote = match.n_ports = 1;
	assert_int_equal(count_exact(&match), 1);
	assert_true(pw_match_next_exact(&match, &position, &key));
	assert_memory_equal(&key, &expected, sizeof(key));
}

static void what_is_left_open_names_nothing(void **unused)
{
	struct pw_cidr local = cidr("10.0.0.1"), remote = cidr("10.0.0.9"), net = cidr("10.0.0.0/24");
	uint16_t port = 443;
	struct pw_match full = {.local = &local,
				.n_local = 1,
				.remote = &remote,
				.n_remote = 1,
				.ports = &port,
				.n_ports = 1},
			match;

	(void)unused;
	match = full, match.n_ports = 0;
	assert_int_equal(count_exact(&match), 0);
	match = full, match.n_remote = 0;
	assert_int_equal(count_exact(&match), 0);
	match = full, match.n_local = 0;
	assert_int_equal(count_exact(&match), 0);
	match = full, match.local = &net;
	assert_int_equal(count_exact(&match), 0);
	match = full, match.protocols = PW_MATCH_UDP; /* no UDP socket has a connect pool */
	assert_int_equal(count_exact(&match), 0);
	match = full, match.kinds = 1u << PW_KIND_SNAT;
	assert_int_equal(count_exact(&match), 0);
	match = (struct pw_match){.local = &local, .n_local = 1}; /* of no kind */
	assert_int_equal(count_exact(&match), 0);
}

static void bind_pools_are_named_by_local_address(void **unused)
{
	struct pw_cidr local[] = {cidr("10.0.0.1"), cidr("::")};
	struct pw_match match = {.kinds = 1u << PW_KIND_BIND, .protocols = PW_MATCH_UDP, .local = local, .n_local = 2};
	struct pw_pool_key key;
	size_t position = 0;

	(void)unused;
	assert_int_equal(count_exact(&match), 2);
	match.protocols = 0;
	assert_int_equal(count_exact(&match), 4);
	match.protocols = PW_MATCH_TCP;
	match.n_local = 1;
	assert_int_equal(count_exact(&match), 1);
	assert_true(pw_match_next_exact(&match, &position, &key));
	assert_int_equal(key.kind, PW_KIND_BIND);
	assert_int_equal(key.protocol, IPPROTO_TCP);
	assert_int_equal(key.port, 0);
	assert_int_equal(key.remote.family, AF_UNSPEC);
}

static void link_local_addresses_name_nothing(void **unused)
{
	struct pw_cidr local = cidr("fe80::1");
	struct pw_match match = {.kinds = 1u << PW_KIND_BIND, .local = &local, .n_local = 1};

	(void)unused;
	assert_int_equal(count_exact(&match), 0);
}

/* --- floors ----------------------------------------------------------------------------------------------------- */

static void floor_is_min_used_on_a_large_range(void **unused)
{
	struct pw_policy policy;

	(void)unused;
	pw_policy_defaults(&policy);
	assert_int_equal(pw_policy_floor(&policy, 28232), 64);
	assert_int_equal(pw_policy_pool_floor(&policy, PW_SOURCE_SOCKETS, 28232, 0), 64);
	assert_int_equal(pw_policy_pool_floor(&policy, PW_SOURCE_SOCKETS, 28232, 28000), 64);
}

static void floor_follows_the_threshold_on_a_small_range(void **unused)
{
	struct pw_policy policy;

	(void)unused;
	pw_policy_defaults(&policy);
	assert_int_equal(pw_policy_floor(&policy, 100), 50);
	assert_int_equal(pw_policy_pool_floor(&policy, PW_SOURCE_SOCKETS, 100, 0), 50);
	assert_int_equal(pw_policy_pool_floor(&policy, PW_SOURCE_SOCKETS, 100, 30),
		20); /* 20 own and 30 blocked ports are half of the range */
	assert_int_equal(pw_policy_pool_floor(&policy, PW_SOURCE_SOCKETS, 100, 90), 6);
	assert_int_equal(pw_policy_floor(&policy, 1), 1);
	assert_int_equal(pw_policy_floor(&policy, 0), 1);
}

static void floor_knows_the_rules(void **unused)
{
	struct pw_policy policy;
	struct pw_rule rule = {.thresholds = {.free_below = 28200, .for_polls = 1}};

	(void)unused;
	pw_policy_defaults(&policy);
	policy.rules = &rule;
	policy.n_rules = 1;
	assert_int_equal(pw_policy_floor(&policy, 28232), 33); /* 33 used leave 28199 */
	rule.thresholds.free_below = 30000;
	assert_int_equal(pw_policy_floor(&policy, 28232), 1);
	rule.capacity = 64;
	rule.thresholds = (struct pw_thresholds){.warning = {50, 45}, .for_polls = 1};
	assert_int_equal(pw_policy_floor(&policy, 28232), 32); /* half of what the section grants */
	rule.thresholds = (struct pw_thresholds){.fast_free_below = 1, .for_polls = 1};
	assert_int_equal(pw_policy_floor(&policy, 28232), 1);
	rule.capacity = 0;
	rule.thresholds = (struct pw_thresholds){.critical = {20, 10}, .for_polls = 1};
	assert_int_equal(pw_policy_floor(&policy, 200), 40);
	assert_int_equal(
		pw_policy_pool_floor(&policy, PW_SOURCE_SOCKETS, 200, 0), 64); /* of pools that no section matches */
}

static bool alarms(const struct pw_thresholds *t, uint32_t capacity, uint32_t gone)
{
	uint32_t utilization = pw_utilization(capacity, capacity - gone);

	return gone == capacity || (t->warning.rise != 0 && utilization >= t->warning.rise) ||
		(t->critical.rise != 0 && utilization >= t->critical.rise) || capacity - gone < t->free_below;
}

static uint32_t least_that_alarms(const struct pw_thresholds *t, uint32_t capacity)
{
	uint32_t gone = 0;

	while (!alarms(t, capacity, gone))
		gone++;
	return gone;
}

static struct pw_thresholds random_thresholds(uint32_t capacity)
{
	return (struct pw_thresholds){.warning.rise = (uint8_t)pick(101),
		.critical.rise = (uint8_t)pick(101),
		.free_below = chance(2) ? pick(capacity + 10) : 0,
		.for_polls = 1};
}

/* Below the floor nothing can alarm or be listed; at the floor something can. */
static void floor_is_exact(void **unused)
{
	(void)unused;
	random_start();
	for (int i = 0; i < 5000; i++) {
		uint32_t capacity = 1 + pick(chance(3) ? 30000 : 300), expected;
		struct pw_rule rule = {.thresholds = random_thresholds(capacity)};
		struct pw_policy policy = {.defaults = random_thresholds(capacity),
			.rules = &rule,
			.n_rules = pick(2),
			.min_used = 1 + pick(100)};

		expected = least_that_alarms(&policy.defaults, capacity);
		if (policy.n_rules != 0 && least_that_alarms(&rule.thresholds, capacity) < expected)
			expected = least_that_alarms(&rule.thresholds, capacity);
		expected = expected < policy.min_used ? expected : policy.min_used;
		assert_int_equal(pw_policy_floor(&policy, capacity), expected > 0 ? expected : 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(empty_match_matches_all),
		cmocka_unit_test(every_part_must_match),
		cmocka_unit_test(remote_side_never_matches_a_bind_pool),
		cmocka_unit_test(first_rule_wins),
		cmocka_unit_test(ignore_is_a_match_of_its_own),
		cmocka_unit_test(hosts_and_ports_name_connect_pools),
		cmocka_unit_test(what_is_left_open_names_nothing),
		cmocka_unit_test(bind_pools_are_named_by_local_address),
		cmocka_unit_test(link_local_addresses_name_nothing),
		cmocka_unit_test(floor_is_min_used_on_a_large_range),
		cmocka_unit_test(floor_follows_the_threshold_on_a_small_range),
		cmocka_unit_test(floor_knows_the_rules),
		cmocka_unit_test(floor_is_exact),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* Connection tracking: the parser against messages that a kernel gave and against broken ones, every way a dump can end, and when one is
 * made at all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "kernel/conntrack.h"
#include "kernel_fake.h"

#define TYPE_ENTRY (NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_NEW)
#define TYPE_STATS (NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_GET_STATS_CPU)

/* What Linux 6.18 answered for a gateway with "snat ip to 198.51.100.1:20000-20999" for TCP and "masquerade" for the rest: bodies of the
 * messages, from struct nfgenmsg on. Lengths and types of attributes are in the byte order of that machine. */
static const char recorded_time_wait[] =
	"020000003400018014000180080001000a01000208000200c63364091c000280050001000600000006000200bd8000000600030000500000"
	"340002801400018008000100c633640908000200c63364011c00028005000100060000000600020000500000060003004e70000008000300"
	"0000019e080008000000000008000c00fdc9565808000b00000000010800070000000077300004802c000180050001000700000005000200"
	"0a000000050003000a00000006000400270000000600050023000000";
static const char recorded_established[] =
	"020000003400018014000180080001000a01000208000200c63364091c000280050001000600000006000200bd7400000600030000500000"
	"340002801400018008000100c633640908000200c63364011c00028005000100060000000600020000500000060003005183000008000300"
	"0000019e080008000000000008000c00aff3b20008000b0000000001080007000006977f300004802c000180050001000300000005000200"
	"0a000000050003000a00000006000400230000000600050023000000";
static const char recorded_udp6[] =
	"0a0000004c0001802c00018014000300fd0100000000000000000000000000021400040020010db80000000000000000000000091c000280"
	"050001001100000006000200cee4000006000300003500004c0002802c0001801400030020010db800000000000000000000000914000400"
	"20010db80000000000000000000000011c0002800500010011000000060002000035000006000300cee40000080003000000019808000800"
	"0000000008000c0022e5d87f08000b0000000001080007000000001d";
static const char recorded_ping[] =
	"020000003c00018014000180080001000a01000208000200c63364092400028005000100010000000600"
	"0400070f0000050005000800000005000600000000003c0002801400018008000100c633640908000200c633640124000280050001000100"
	"00000600"
	"0400070f000005000500000000000500060000000000080003000000019a080008000000000008000c00fb7fa11d08000b00"
	"00000001080007000000001d";
static const char recorded_stats[] =
	"00000000080002000000002008000400000000000800080000000030080009000000000708000a000000000008000b000000000008000c00"
	"0000000008000d000000000008000e000000000008000f0000000000";

static size_t from_hex(const char *hex, uint8_t *out)
{
	size_t len = strlen(hex) / 2;
	unsigned byte;

	for (size_t i = 0; i < len; i++) {
		assert_int_equal(sscanf(hex + 2 * i, "%2x", &byte), 1);
		out[i] = (uint8_t)byte;
	}
	return len;
}

static void put_recorded(struct datagram *datagram, uint16_t type, const char *hex)
{
	uint8_t body[512];
	size_t len = from_hex(hex, body);

	datagram_put(datagram, type, NLM_F_MULTI, body, len);
}

static int parse_recorded(const char *hex, struct pw_conntrack_entry *out)
{
	struct datagram datagram = {.len = 0};

	put_recorded(&datagram, TYPE_ENTRY, hex);
	return pw_conntrack_parse((const struct nlmsghdr *)(const void *)datagram.bytes, out);
}

static bool recorded_here(void)
{
	return __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__;
}

static void test_recorded_entries(void **state)
{
	static const uint8_t client[16] = {10, 1, 0, 2}, remote[16] = {198, 51, 100, 9}, local[16] = {198, 51, 100, 1},
			     local6[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = 1},
			     remote6[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = 9};
	struct pw_conntrack_entry e;

	(void)state;
	if (!recorded_here())
		skip();
	assert_int_equal(parse_recorded(recorded_time_wait, &e), 1);
	assert_int_equal(e.family, AF_INET);
	assert_int_equal(e.protocol, IPPROTO_TCP);
	assert_memory_equal(e.local, local, 16);
	assert_memory_equal(e.remote, remote, 16);
	assert_int_equal(e.local_port, 0x4e70);
	assert_int_equal(e.remote_port, 80);
	assert_int_equal(e.flags, PW_CONNTRACK_SOURCE_TRANSLATED | PW_CONNTRACK_TIME_WAIT);
	assert_memory_equal(e.client, client, 16);
	assert_int_equal(parse_recorded(recorded_established, &e), 1);
	assert_int_equal(e.local_port, 0x5183);
	assert_int_equal(e.flags, PW_CONNTRACK_SOURCE_TRANSLATED | PW_CONNTRACK_ESTABLISHED);
	assert_int_equal(parse_recorded(recorded_udp6, &e), 1);
	assert_int_equal(e.family, AF_INET6);
	assert_int_equal(e.protocol, IPPROTO_UDP);
	assert_memory_equal(e.local, local6, 16);
	assert_memory_equal(e.remote, remote6, 16);
	assert_int_equal(e.local_port, 0xcee4);
	assert_int_equal(e.remote_port, 53);
	assert_int_equal(parse_recorded(recorded_ping, &e), 0);
}

static void test_recorded_counters(void **state)
{
	struct datagram datagram = {.len = 0};
	struct pw_conntrack_stats sum = {.insert_failed = 5, .full = 1};

	(void)state;
	if (!recorded_here())
		skip();
	put_recorded(&datagram, TYPE_STATS, recorded_stats);
	assert_int_equal(pw_conntrack_parse_stats((const struct nlmsghdr *)(const void *)datagram.bytes, &sum), 0);
	assert_int_equal(sum.insert_failed, 12);
	assert_int_equal(sum.full, 1);
}

/* Cut anywhere, and with any byte changed, it is an entry, none, or malformed, and nothing is read beyond it (sanitizers). */
static void test_broken_entries(void **state)
{
	uint8_t body[512], *copy;
	size_t len = from_hex(recorded_time_wait, body);
	struct pw_conntrack_entry e;

	(void)state;
	for (size_t cut = 0; cut <= len; cut++)
		for (unsigned change = 0; change < 3; change++) {
			struct nlmsghdr header = {
				.nlmsg_len = (uint32_t)(NLMSG_HDRLEN + cut), .nlmsg_type = TYPE_ENTRY};
			int rc;

			copy = malloc(NLMSG_HDRLEN + cut);
			memcpy(copy, &header, sizeof(header));
			memcpy(copy + NLMSG_HDRLEN, body, cut);
			if (change != 0 && cut != 0)
				copy[NLMSG_HDRLEN + cut - 1] = change == 1 ? 0xff : 1;
			rc = pw_conntrack_parse((const struct nlmsghdr *)(const void *)copy, &e);
			assert_in_range(rc + 1, 0, 2);
			if (cut < 56 + 52 && change == 0) /* up to the reply direction, and that */
				assert_int_equal(rc, -1);
			free(copy);
		}
}

static void test_requests(void **state)
{
	static const uint16_t types[] = {NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_GET, TYPE_STATS};
	_Alignas(8) uint8_t buf[PW_CONNTRACK_REQUEST_MAX];

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct nlmsghdr header;
		size_t len = pw_conntrack_request((enum pw_stream)(PW_STREAM_DUMP_CONNTRACK + i), buf);

		memcpy(&header, buf, sizeof(header));
		assert_int_equal(len, NLMSG_HDRLEN + sizeof(struct nfgenmsg));
		assert_int_equal(header.nlmsg_len, len);
		assert_int_equal(header.nlmsg_type, types[i]);
		/* nothing behind the family: a filter in the kernel could keep a CPU for the whole walk */
		assert_int_equal(header.nlmsg_flags, NLM_F_REQUEST | NLM_F_DUMP);
	}
}

/* --- entries laid out by hand, in this machine's byte order --- */

struct maker {
	struct datagram *datagram;
	uint8_t bytes[512];
	size_t len;
};

static size_t open_nest(struct maker *m, uint16_t type)
{
	struct nlattr attribute = {.nla_type = type | NLA_F_NESTED};

	memcpy(m->bytes + m->len, &attribute, sizeof(attribute));
	m->len += sizeof(attribute);
	return m->len - sizeof(attribute);
}

static void close_nest(struct maker *m, size_t start)
{
	uint16_t len = (uint16_t)(m->len - start);

	memcpy(m->bytes + start, &len, sizeof(len));
}

static void put_attribute(struct maker *m, uint16_t type, const void *data, size_t len)
{
	struct nlattr attribute = {.nla_type = type, .nla_len = (uint16_t)(sizeof(attribute) + len)};

	memcpy(m->bytes + m->len, &attribute, sizeof(attribute));
	memcpy(m->bytes + m->len + sizeof(attribute), data, len);
	m->len += NLA_ALIGN(attribute.nla_len);
}

static void put_port(struct maker *m, uint16_t type, uint16_t port)
{
	const uint8_t bytes[2] = {(uint8_t)(port >> 8), (uint8_t)port};

	put_attribute(m, type, bytes, sizeof(bytes));
}

/* An entry whose replies go from 192.0.2.9:80 to 198.51.100.1:port. */
static void put_entry(struct datagram *datagram, uint16_t port)
{
	static const uint8_t local[4] = {198, 51, 100, 1}, remote[4] = {192, 0, 2, 9}, status[4] = {0, 0, 0, 0x10},
			     protocol = IPPROTO_TCP;
	struct maker m = {.len = sizeof(struct nfgenmsg), .bytes = {AF_INET}};
	static const uint8_t client[4] = {10, 1, 0, 2};
	size_t original = open_nest(&m, CTA_TUPLE_ORIG), nest = open_nest(&m, CTA_TUPLE_IP), reply;

	put_attribute(&m, CTA_IP_V4_SRC, client, sizeof(client));
	put_attribute(&m, CTA_IP_V4_DST, remote, sizeof(remote));
	close_nest(&m, nest);
	close_nest(&m, original);
	reply = open_nest(&m, CTA_TUPLE_REPLY);
	nest = open_nest(&m, CTA_TUPLE_IP);
	put_attribute(&m, CTA_IP_V4_SRC, remote, sizeof(remote));
	put_attribute(&m, CTA_IP_V4_DST, local, sizeof(local));
	close_nest(&m, nest);
	nest = open_nest(&m, CTA_TUPLE_PROTO);
	put_attribute(&m, CTA_PROTO_NUM, &protocol, 1);
	put_port(&m, CTA_PROTO_SRC_PORT, 80);
	put_port(&m, CTA_PROTO_DST_PORT, port);
	close_nest(&m, nest);
	close_nest(&m, reply);
	put_attribute(&m, CTA_STATUS, status, sizeof(status));
	datagram_put(datagram, TYPE_ENTRY, NLM_F_MULTI, m.bytes, m.len);
}

static void script_entries(struct fake *fake, unsigned n)
{
	struct datagram datagram = {.len = 0};

	for (unsigned i = 0; i < n; i++)
		put_entry(&datagram, (uint16_t)(2000 + i));
	fake_dump(fake, PW_STREAM_DUMP_CONNTRACK, &datagram);
}

/* One CPU's counters. */
static void script_stats(struct fake *fake, uint8_t failed, uint8_t full)
{
	const uint8_t number[4] = {0, 0, 0, failed}, drop[4] = {0, 0, 0, full};
	struct maker m = {.len = sizeof(struct nfgenmsg)};
	struct datagram datagram = {.len = 0};

	put_attribute(&m, CTA_STATS_INSERT_FAILED, number, sizeof(number));
	put_attribute(&m, CTA_STATS_DROP, drop, sizeof(drop));
	datagram_put(&datagram, TYPE_STATS, NLM_F_MULTI, m.bytes, m.len);
	fake_dump(fake, PW_STREAM_DUMP_CONNTRACK_STATS, &datagram);
}

static void script_failures(struct fake *fake, uint8_t failed)
{
	script_stats(fake, failed, 0);
}

/* --- when a dump is made --- */

struct case_ {
	struct fake *fake;
	struct pw_input input;
	struct pw_snat_watch watch;
	struct pw_snat_range range;
	struct pw_snat_options options;
	struct pw_source *poll;
	uint64_t now_ms;
};

static void start(struct case_ *c)
{
	memset(c, 0, sizeof(*c));
	c->fake = fake_new();
	fake_text(c->fake, PW_STREAM_CONNTRACK_MAX, "1000\n");
	c->input = fake_input(c->fake);
	c->range = (struct pw_snat_range){.low = 2000, .high = 2009};
	assert_int_equal(pw_cidr_parse(&c->range.addresses, "198.51.100.1", NULL), 0);
	c->options = (struct pw_snat_options){.ranges = &c->range, .n = 1, .interval_ms = 60000, .floor = 3};
	c->now_ms = pw_clock_boot_ms();
}

static void stop(struct case_ *c)
{
	pw_snat_watch_clear(&c->watch);
	fake_free(c->fake);
}

static int setup(void **state)
{
	static struct case_ c;

	*state = &c;
	start(&c);
	return 0;
}

static int teardown(void **state)
{
	stop(*state);
	return 0;
}

static void poll_after(struct case_ *c, uint32_t ms)
{
	c->now_ms += ms;
	c->poll = pw_snat_watch_poll(&c->watch, &c->input, &c->options, 1, c->now_ms, NULL);
}

static size_t dumps(const struct case_ *c)
{
	return c->fake->opened[PW_STREAM_DUMP_CONNTRACK];
}

static uint32_t used(const struct case_ *c)
{
	struct pw_pool_key key = {.kind = PW_KIND_SNAT, .protocol = IPPROTO_TCP, .port = 80};
	struct pw_pool_counts counts;

	pw_address_parse(&key.local, "198.51.100.1");
	pw_address_parse(&key.remote, "192.0.2.9");
	pw_source_pool(c->poll, &key, &counts);
	return counts.used;
}

static void test_dumps_on_its_interval(void **state)
{
	struct case_ *c = *state;

	fake_text(c->fake, PW_STREAM_CONNTRACK_COUNT, "4\n");
	script_failures(c->fake, 0);
	script_entries(c->fake, 4);
	script_entries(c->fake, 5);
	poll_after(c, 0);
	assert_int_equal(c->poll->status, PW_SOURCE_COUNTING);
	assert_true(c->poll->fresh);
	assert_int_equal(used(c), 4);
	assert_int_equal(c->fake->closed, c->fake->total_opened);
	poll_after(c, 59000);
	assert_false(c->poll->fresh);
	assert_int_equal(used(c), 4);
	assert_int_equal(dumps(c), 1);
	poll_after(c, 2000);
	assert_true(c->poll->fresh);
	assert_int_equal(used(c), 5);
	assert_int_equal(c->poll->failures, 0);
}

static void test_dumps_at_once_when_packets_find_no_entry(void **state)
{
	struct case_ *c = *state;

	fake_text(c->fake, PW_STREAM_CONNTRACK_COUNT, "4\n");
	script_failures(c->fake, 7); /* before our time */
	script_failures(c->fake, 7);
	script_failures(c->fake, 10);
	script_entries(c->fake, 4);
	poll_after(c, 0);
	poll_after(c, 1000);
	assert_int_equal(dumps(c), 1);
	assert_int_equal(c->poll->failures, 0);
	poll_after(c, 1000);
	assert_int_equal(dumps(c), 2);
	assert_int_equal(c->poll->failures, 3);
	/* unless dumps would then take too much of the time */
	c->watch.took_ms = 1000;
	script_failures(c->fake, 11);
	poll_after(c, 19000);
	assert_int_equal(c->poll->failures, 4);
	assert_int_equal(dumps(c), 2);
	/* the kernel's counters began anew */
	script_failures(c->fake, 2);
	poll_after(c, 100);
	assert_int_equal(c->poll->failures, 6);
}

static void test_few_entries_need_no_dump(void **state)
{
	struct case_ *c = *state;

	fake_text(c->fake, PW_STREAM_CONNTRACK_COUNT, "2\n");
	script_failures(c->fake, 0);
	script_entries(c->fake, 2);
	poll_after(c, 0);
	assert_int_equal(c->poll->status, PW_SOURCE_COUNTING);
	assert_true(c->poll->fresh);
	assert_int_equal(used(c), 0);
	assert_int_equal(dumps(c), 0);
	c->options.floor = 1; /* there is a row that needs numbers */
	poll_after(c, 60000);
	assert_int_equal(used(c), 2);
	assert_int_equal(dumps(c), 1);
}

static void test_off(void **state)
{
	struct case_ *c = *state;

	fake_text(c->fake, PW_STREAM_CONNTRACK_COUNT, "4\n");
	script_failures(c->fake, 0);
	script_entries(c->fake, 4);
	poll_after(c, 0);
	c->options.n = 0;
	poll_after(c, 1000);
	assert_null(c->poll);
	assert_int_equal(c->fake->total_opened, 4);
}

/* The size of the table is for everybody, whether translated addresses are watched or not. */
static void test_size(void **state)
{
	struct case_ *c = *state;

	fake_text(c->fake, PW_STREAM_CONNTRACK_COUNT, "4\n");
	c->options.n = 0;
	c->options.size = true;
	poll_after(c, 0);
	assert_null(c->poll);
	assert_int_equal(c->watch.counts.entries, 4);
	assert_int_equal(c->watch.counts.maximum, 1000);
	assert_int_equal(c->fake->total_opened, 2);
}

static void test_packets_that_find_the_table_full(void **state)
{
	struct case_ *c = *state;

	fake_text(c->fake, PW_STREAM_CONNTRACK_COUNT, "4\n");
	script_stats(c->fake, 3, 5); /* before our time */
	script_entries(c->fake, 4);
	poll_after(c, 0);
	assert_int_equal(c->watch.counts.drops, 0);
	script_stats(c->fake, 4, 12);
	poll_after(c, 1000);
	assert_int_equal(c->watch.counts.drops, 7);
	assert_int_equal(c->watch.counts.failures, 1);
	script_stats(c->fake, 0, 2); /* began anew */
	poll_after(c, 1000);
	assert_int_equal(c->watch.counts.drops, 9);
}

static void test_unavailable(void **state)
{
	struct case_ *c = *state;

	/* a stream without a script is ENOENT */
	poll_after(c, 0);
	assert_int_equal(c->poll->status, PW_SOURCE_UNAVAILABLE);
	assert_string_equal(c->poll->reason, "the kernel has no connection tracking here (nf_conntrack)");
	fake_text(c->fake, PW_STREAM_CONNTRACK_COUNT, "4\n");
	fake_fail(c->fake, PW_STREAM_DUMP_CONNTRACK_STATS, EPERM);
	poll_after(c, 1000);
	assert_int_equal(c->poll->status, PW_SOURCE_UNAVAILABLE);
	assert_string_equal(c->poll->reason,
		"dump of the connection tracking counters: Operation not permitted (it needs CAP_NET_ADMIN)");
	assert_false(c->poll->fresh);
	stop(c);
	start(c);
	fake_text(c->fake, PW_STREAM_CONNTRACK_COUNT, "many\n");
	poll_after(c, 0);
	assert_string_equal(c->poll->reason, "net.netfilter.nf_conntrack_count: not understood: 'many\n'");
}

static void test_dump_is_made_again(void **state)
{
	struct case_ *c = *state;

	fake_text(c->fake, PW_STREAM_CONNTRACK_COUNT, "4\n");
	script_failures(c->fake, 0);
	fake_fail(c->fake, PW_STREAM_DUMP_CONNTRACK, EBUSY);
	script_entries(c->fake, 4);
	poll_after(c, 0);
	assert_true(c->poll->fresh);
	assert_int_equal(used(c), 4);
}

/* What a failed dump left behind is not shown, and the next poll tries again without waiting for the interval. */
static void test_failed_dump(void **state)
{
	struct datagram broken = {.len = 0};
	struct case_ *c = *state;

	fake_text(c->fake, PW_STREAM_CONNTRACK_COUNT, "4\n");
	script_failures(c->fake, 0);
	put_entry(&broken, 2000);
	datagram_put(&broken, TYPE_ENTRY, NLM_F_MULTI, "", 1);
	for (int i = 0; i < 4; i++)
		fake_dump(c->fake, PW_STREAM_DUMP_CONNTRACK, &broken);
	script_entries(c->fake, 4);
	poll_after(c, 0);
	assert_int_equal(c->poll->status, PW_SOURCE_UNAVAILABLE);
	assert_false(c->poll->fresh);
	assert_string_equal(c->poll->reason, "dump of the connection tracking table: malformed message");
	assert_int_equal(dumps(c), 4);
	c->watch.took_ms = 100;
	poll_after(c, 1000);
	assert_int_equal(c->poll->status, PW_SOURCE_UNAVAILABLE); /* a dump takes too long for that */
	c->watch.took_ms = 1;
	poll_after(c, 1000);
	assert_int_equal(c->poll->status, PW_SOURCE_COUNTING);
	assert_int_equal(used(c), 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_recorded_entries),
		cmocka_unit_test(test_recorded_counters),
		cmocka_unit_test(test_broken_entries),
		cmocka_unit_test(test_requests),
		cmocka_unit_test_setup_teardown(test_dumps_on_its_interval, setup, teardown),
		cmocka_unit_test_setup_teardown(test_dumps_at_once_when_packets_find_no_entry, setup, teardown),
		cmocka_unit_test_setup_teardown(test_few_entries_need_no_dump, setup, teardown),
		cmocka_unit_test_setup_teardown(test_off, setup, teardown),
		cmocka_unit_test_setup_teardown(test_size, setup, teardown),
		cmocka_unit_test_setup_teardown(test_packets_that_find_the_table_full, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unavailable, setup, teardown),
		cmocka_unit_test_setup_teardown(test_dump_is_made_again, setup, teardown),
		cmocka_unit_test_setup_teardown(test_failed_dump, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

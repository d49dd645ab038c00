/* SPDX-License-Identifier: BSD-2-Clause */
/* The explanation: which sentences which facts bring, with their numbers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "report/report.h"
#include "report_fixture.h"

static const struct pw_view text_view;

static void print(FILE *out, void *context)
{
	const struct fixture *f = context;

	pw_explain_print(out, &f->report, &text_view);
}

/* The explanation of the only pool; free it. */
static char *explain(struct fixture *f)
{
	char *text;

	fixture_close(f, NULL);
	text = fixture_capture(print, f);
	fixture_free(f);
	return text;
}

/* The explanation in one line, so that a search needs not mind where lines break. */
static char *explain_unwrapped(struct fixture *f)
{
	char *text = explain(f), *out = text;

	for (char *in = text; *in != '\0'; in++) {
		if (*in == '\n' && strncmp(in + 1, "  ", 2) == 0) {
			*out++ = ' ';
			in += 2;
		} else {
			*out++ = *in;
		}
	}
	*out = '\0';
	return text;
}

static void expect_has(struct fixture *f, const char *const *has, const char *const *lacks)
{
	char *text = explain_unwrapped(f);

	for (; *has != NULL; has++)
		if (strstr(text, *has) == NULL)
			fail_msg("'%s' is missing in:\n%s", *has, text);
	for (; *lacks != NULL; lacks++)
		if (strstr(text, *lacks) != NULL)
			fail_msg("'%s' should not be in:\n%s", *lacks, text);
	free(text);
}

#define LIST(...) \
	(const char *const[]) \
	{ \
		__VA_ARGS__, NULL \
	}
#define NOTHING \
	(const char *const[]) \
	{ \
		NULL \
	}

static struct pw_pool_row *one_pool(struct fixture *f, uint32_t used, uint32_t time_wait)
{
	fixture_init(f);
	f->ns[0].tcp = used;
	return fixture_pool(f, IPPROTO_TCP, "192.0.2.1", "198.51.100.9", 443, used, time_wait);
}

static void test_golden(void **state)
{
	struct fixture f;
	char *text;

	(void)state;
	fixture_busy(&f);
	text = explain(&f);
	expect_golden("explain-busy.txt", text);
	free(text);
}

static void test_quiet(void **state)
{
	struct fixture f;

	(void)state;
	one_pool(&f, 2000, 2000);
	expect_has(&f, LIST("is at 7 % (normal)", "nothing needs to be done"), LIST("TIME_WAIT: this side", "range"));
}

static void test_owner(void **state)
{
	struct fixture f;

	(void)state;
	one_pool(&f, 24000, 1000)->owner = "nginx.service (80 %)";
	expect_has(&f, LIST("Its sockets belong to nginx.service (80 %); those in TIME_WAIT have no owner any more."),
		NOTHING);
	one_pool(&f, 24000, 0)->owner = "nginx.service";
	expect_has(&f, LIST("Its sockets belong to nginx.service."), NOTHING);
	one_pool(&f, 24000, 24000);
	expect_has(&f, LIST("All of its sockets are in TIME_WAIT: these have no owner any more."), LIST("belong to"));
	one_pool(&f, 24000, 1000);
	expect_has(&f, LIST("23000 live"), LIST("owner", "belong to"));
}

static void exhaust(struct pw_pool_row *row, uint32_t capacity)
{
	row->counts.capacity = capacity;
	row->counts.free = row->counts.fast_free = 0;
	row->counts.utilization = 100;
	row->state = PW_STATE_EXHAUSTED;
}

static void test_new_destination(void **state)
{
	struct fixture f;
	struct pw_pool_row *row;

	(void)state;
	row = one_pool(&f, 0, 0);
	row->key.local = row->key.remote = (struct pw_address){0};
	row->key.port = 0;
	row->owner = "ftpd.service";
	f.ns[0].blocked = row->counts.blocked = row->counts.capacity;
	exhaust(row, row->counts.capacity);
	expect_has(&f,
		LIST("connect() to any destination fails", "The sockets that block them belong to ftpd.service",
			"closed to every connect()"),
		LIST("port 0"));
}

/* A cloud's NAT gives fewer ports than the range has: its remedies are elsewhere. */
static void test_budget(void **state)
{
	struct fixture f;
	struct pw_pool_row *row;

	(void)state;
	row = one_pool(&f, 64, 0);
	f.ns[0].blocked = 450; /* more than the budget */
	exhaust(row, 64);
	expect_has(&f,
		LIST("None of the 64 ports is left that its pool section gives it", "more addresses in the NAT",
			"gives 64 more"),
		LIST("EADDRNOTAVAIL (\"", "ip_local_port_range =", "closed to every connect()", "parity"));
}

static struct pw_pool_row *snat_pool(struct fixture *f, uint32_t capacity, uint32_t used)
{
	struct pw_pool_row *row = one_pool(f, used, 0);

	row->key.kind = PW_KIND_SNAT;
	row->counts.capacity = capacity;
	row->counts.free = capacity - used;
	row->counts.utilization = pw_utilization(capacity, capacity - used);
	row->state = row->counts.free == 0 ? PW_STATE_EXHAUSTED : PW_STATE_NORMAL;
	return row;
}

/* Lost packets are a race where ports are free, and else what exhaustion looks like. */
static void test_lost_packets(void **state)
{
	struct fixture f;

	(void)state;
	snat_pool(&f, 64512, 1600);
	f.notes[0].insert_failed = 1367;
	expect_has(&f, LIST("1367 packets found no entry", "random-fully"), LIST("nothing needs to be done"));
	snat_pool(&f, 64512, 1600);
	expect_has(&f, LIST("nothing needs to be done"), LIST("insert_failed"));
	snat_pool(&f, 424, 424);
	f.notes[0].insert_failed = 5;
	expect_has(&f, LIST("5 packets found no entry", "use ports below 1024", "they share 424 ports"),
		LIST("random-fully"));
}

static void test_no_pool(void **state)
{
	struct fixture f;

	(void)state;
	fixture_init(&f);
	expect_has(&f, LIST("there is nothing to explain"), NOTHING);
}

static void test_live(void **state)
{
	struct fixture f;

	(void)state;
	one_pool(&f, 24000, 1000);
	expect_has(&f,
		LIST("23000 live connections go from one local address to one destination, 198.51.100.9 port 443",
			"gives 28232 more"),
		LIST("in TIME_WAIT: this side", "bind()", "closed to every"));
}

static void test_other_sources(void **state)
{
	struct fixture f;

	(void)state;
	one_pool(&f, 24000, 0);
	fixture_pool(&f, IPPROTO_TCP, "192.0.2.2", "198.51.100.9", 443, 100, 0);
	fixture_pool(&f, IPPROTO_TCP, "192.0.2.3", "198.51.100.9", 443, 100, 0);
	fixture_pool(&f, IPPROTO_TCP, "192.0.2.3", "198.51.100.9", 80, 100, 0);
	expect_has(&f, LIST("(2 other local addresses use this destination already)"), NOTHING);
}

static void test_time_wait(void **state)
{
	static const struct {
		enum pw_tw_reuse reuse;
		bool timestamps;
		const char *has;
	} cases[] = {
		{PW_TW_REUSE_OFF, true,
			"net.ipv4.tcp_tw_reuse is 0: with 1, connect() takes over a port in TIME_WAIT after 1000 ms"},
		{PW_TW_REUSE_LOOPBACK, true, "net.ipv4.tcp_tw_reuse is 2, which helps loopback addresses only"},
		{PW_TW_REUSE_ON, true,
			"150 of these 18000 can be taken over by connect() right now (net.ipv4.tcp_tw_reuse is 1)"},
		{PW_TW_REUSE_ON, false, "net.ipv4.tcp_timestamps is 0"},
	};
	struct fixture f;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		one_pool(&f, 24000, 18000)->counts.reusable = 150;
		f.ns[0].tw_reuse = cases[i].reuse;
		f.ns[0].timestamps = cases[i].timestamps;
		expect_has(&f,
			LIST("18000 of the 24000 used ports (75 %) are in TIME_WAIT: this side closes about 300 connections a second",
				cases[i].has),
			LIST("live connections"));
	}
}

static void test_loopback_reuse(void **state)
{
	struct fixture f;

	(void)state;
	fixture_init(&f);
	fixture_pool(&f, IPPROTO_TCP, "127.0.0.1", "127.0.0.1", 443, 24000, 18000);
	expect_has(&f, LIST("0 of these 18000 can be taken over by connect() right now (net.ipv4.tcp_tw_reuse is 2)"),
		LIST("helps loopback addresses only"));
}

static void test_blocked(void **state)
{
	struct fixture f;

	(void)state;
	one_pool(&f, 15000, 0);
	f.ns[0].blocked = 2000;
	f.ns[0].bound = 1400;
	expect_has(&f,
		LIST("2000 ports of the range (7 %) are closed to every connect(): 1400 by sockets that took their port by bind()",
			"600 by listeners", "IP_BIND_ADDRESS_NO_PORT", "the 1400 open up again",
			"let it choose outside of 32768-60999", "Listen on ports outside 32768-60999"),
		NOTHING);
	one_pool(&f, 15000, 0);
	f.ns[0].blocked = 200;
	expect_has(&f, LIST("live connections"), LIST("closed to every connect()"));
}

/* Told also where nothing else needs to be done. */
static void test_listeners(void **state)
{
	struct fixture f;

	(void)state;
	one_pool(&f, 2000, 2000);
	f.ns[0].listening = 2;
	f.ns[0].listeners[0] = 33060;
	f.ns[0].listeners[1] = 50051;
	expect_has(&f,
		LIST("nothing needs to be done", "2 ports inside of 32768-60999 that are not reserved (33060,50051)"),
		NOTHING);
	one_pool(&f, 2000, 2000);
	f.ns[0].listening = 9;
	for (uint16_t i = 0; i < PW_LISTENERS_SHOWN; i++)
		f.ns[0].listeners[i] = 40000 + i;
	expect_has(&f, LIST("(40000,40001,40002,40003,40004,40005,40006,40007,...)"), NOTHING);
	one_pool(&f, 2000, 2000);
	expect_has(&f, LIST("nothing needs to be done"), LIST("not reserved"));
}

/* Three states, three people: none of them is told to add an address. */
static void test_states(void **state)
{
	struct pw_pool_row *row;
	struct fixture f;

	(void)state;
	row = one_pool(&f, 15000, 0);
	row->states = (struct pw_pool_states){.syn_sent = 14000, .established = 1000};
	expect_has(&f, LIST("14000 of its connections are in SYN_SENT: 198.51.100.9 port 443 does not answer"),
		LIST("further local address", "CLOSE_WAIT", "FIN_WAIT"));
	row = one_pool(&f, 15000, 0);
	row->states = (struct pw_pool_states){.close_wait = 9000, .established = 6000};
	expect_has(&f, LIST("9000 of its connections are in CLOSE_WAIT", "leaks sockets"),
		LIST("further local address", "SYN_SENT", "FIN_WAIT"));
	row = one_pool(&f, 15000, 0);
	row->states = (struct pw_pool_states){.fin_wait = 8000, .established = 7000};
	expect_has(&f, LIST("8000 of its connections are in FIN_WAIT or LAST_ACK"),
		LIST("further local address", "SYN_SENT", "CLOSE_WAIT"));
	row = one_pool(&f, 15000, 0);
	row->states = (struct pw_pool_states){.fin_wait = 100, .established = 14900};
	expect_has(&f, LIST("further local address"), LIST("SYN_SENT", "CLOSE_WAIT", "FIN_WAIT"));
}

/* Where the ports of that parity are reserved, connect() passes over them and loses no time. */
static void test_reserved_parity(void **state)
{
	struct pw_pool_row *row;
	struct fixture f;

	(void)state;
	row = one_pool(&f, 9000, 0);
	f.ns[0].reserved = 14116;
	f.ns[0].capacity = row->counts.capacity = 14116;
	row->counts.free = 5116;
	row->counts.fast_free = 0;
	row->counts.utilization = 63;
	expect_has(&f, LIST("are reserved by"), LIST("50 times slower"));
}

static void test_failures(void **state)
{
	struct fixture f;
	struct pw_pool_row *row;

	(void)state;
	row = one_pool(&f, 28232, 0);
	row->failures = 289;
	row->failed_ms = f.report.now_ms - 3500;
	expect_has(&f, LIST("289 calls of connect() have failed for want of a port, the last 3s ago."),
		LIST("other pool"));
	/* also when it is over */
	row = one_pool(&f, 10, 0);
	row->failures = 1;
	row->failed_ms = f.report.now_ms - 600000;
	expect_has(&f, LIST("1 call of connect() has failed for want of a port, 10m ago."), LIST("nothing needs"));
	fixture_init(&f);
	row = fixture_pool(&f, IPPROTO_UDP, "0.0.0.0", NULL, 0, 28232, 0);
	row->failures = 2;
	row->failed_ms = f.report.now_ms;
	row = fixture_pool(&f, IPPROTO_TCP, "192.0.2.1", "198.51.100.9", 80, 20, 0);
	row->failures = 7;
	row->failed_ms = f.report.now_ms - 60000;
	row = fixture_pool(&f, IPPROTO_TCP, "192.0.2.1", "198.51.100.9", 443, 10, 0);
	row->failures = 70;
	row->failed_ms = f.report.now_ms - 600000;
	expect_has(&f,
		LIST("2 calls of bind(), connect() or sendto() have failed for want of a port, the last 0s ago.",
			"2 other pools have found no port since portwatchd started: tcp 192.0.2.1 -> 198.51.100.9:80, the "
			"last time 1m ago."),
		NOTHING);
	one_pool(&f, 28232, 0);
	expect_has(&f, LIST("live connections"), LIST("have failed", "other pool"));
}

static void test_slow(void **state)
{
	struct fixture f;
	struct pw_pool_row *row;

	(void)state;
	row = one_pool(&f, 15000, 0);
	row->counts.fast_free = 0;
	row->alloc_latency_us = 850;
	expect_has(&f,
		LIST("None of the 13232 free ports has the parity that connect() tries first (that of port 32768)",
			"took the kernel 850 us"),
		NOTHING);
	row = one_pool(&f, 15000, 0);
	row->alloc_latency_us = 12;
	row->alloc_latency_p99_us = 850;
	expect_has(&f, LIST("takes connect() 12 us in half of the cases, and up to 850 us in 99 of 100"),
		LIST("took the kernel"));
	row = one_pool(&f, 15000, 0);
	row->counts.fast_free = 1;
	expect_has(&f, LIST("live connections"), LIST("parity"));
}

static void test_growth(void **state)
{
	struct fixture f;
	struct pw_pool_row *row;

	(void)state;
	row = one_pool(&f, 15000, 0);
	row->growth = 120;
	row->time_to_exhaustion = 6600;
	expect_has(&f, LIST("It loses 120 free ports a minute; at this rate the last one is gone in 1h."), NOTHING);
	row = one_pool(&f, 15000, 0);
	row->growth = -5;
	expect_has(&f, LIST("live connections"), LIST("It loses"));
}

static void test_exhausted(void **state)
{
	static const struct {
		int protocol;
		const char *local, *remote, *has;
	} cases[] = {
		{IPPROTO_TCP, "192.0.2.1", "198.51.100.9",
			"connect() from 192.0.2.1 to 198.51.100.9 port 443 fails with EADDRNOTAVAIL"},
		{IPPROTO_TCP, "192.0.2.1", NULL,
			"bind() to 192.0.2.1 with port 0 fails with EADDRINUSE (\"Address already in use\")."},
		{IPPROTO_UDP, "::", NULL, "sendto() of a UDP socket without a port with EAGAIN"},
	};
	struct fixture f;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		fixture_init(&f);
		fixture_pool(&f, cases[i].protocol, cases[i].local, cases[i].remote, cases[i].remote != NULL ? 443 : 0,
			28232, 0)
			->growth = 9;
		expect_has(&f, LIST(cases[i].has), LIST("It loses", "parity"));
	}
	one_pool(&f, 28231, 0);
	expect_has(&f, LIST("live connections"), LIST("fails with"));
}

static void test_range(void **state)
{
	struct fixture f;

	(void)state;
	fixture_init(&f);
	f.ns[0].low = 40000;
	f.ns[0].high = 40999;
	f.ns[0].reserved = 100;
	f.ns[0].capacity = 900;
	fixture_pool(&f, IPPROTO_TCP, "192.0.2.1", "198.51.100.9", 443, 600, 0);
	expect_has(&f,
		LIST("The range 40000-40999 has only 1000 ports, the kernel's default has 28232",
			"100 ports of the range (10 %) are reserved"),
		NOTHING);
	one_pool(&f, 15000, 0);
	f.ns[0].low = 1024;
	f.ns[0].high = 65535;
	expect_has(&f, LIST("live connections"), LIST("ip_local_port_range"));
}

static void test_bind(void **state)
{
	struct fixture f;
	struct pw_pool_row *row;

	(void)state;
	fixture_init(&f);
	row = fixture_pool(&f, IPPROTO_TCP, "192.0.2.1", NULL, 0, 26000, 9000);
	row->counts.bound = 1234;
	expect_has(&f,
		LIST("1234 of the 26000 used ports are known to come from bind()", "IP_BIND_ADDRESS_NO_PORT",
			"refused to bind() for the whole 60 s"),
		LIST("No threshold is in force", "live connections"));
	fixture_init(&f);
	row = fixture_pool(&f, IPPROTO_TCP, "192.0.2.1", NULL, 0, 26000, 0);
	row->warning_threshold = row->critical_threshold = 0;
	expect_has(&f, LIST("No threshold is in force"), NOTHING);
}

static void test_udp(void **state)
{
	struct fixture f;

	(void)state;
	fixture_init(&f);
	fixture_pool(&f, IPPROTO_UDP, "0.0.0.0", NULL, 0, 20000, 0);
	expect_has(
		&f, LIST("takes one that is free on every address: 20000 are gone"), LIST("IP_BIND_ADDRESS_NO_PORT"));
	fixture_init(&f);
	fixture_pool(&f, IPPROTO_UDP, "192.0.2.1", NULL, 0, 20000, 0);
	expect_has(&f, LIST("20000 UDP ports of this address are taken"), NOTHING);
}

static void test_doubt(void **state)
{
	struct fixture f;

	(void)state;
	one_pool(&f, 15000, 0);
	f.ns[0].ambiguous = 77;
	f.notes[0].unprobed = "CAP_NET_ADMIN is missing";
	expect_has(&f, LIST("77 ports are in doubt", "(CAP_NET_ADMIN is missing)"), NOTHING);
	one_pool(&f, 15000, 0);
	f.notes[0].unprobed = "CAP_NET_ADMIN is missing";
	expect_has(&f, LIST("live connections"), LIST("in doubt"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_golden),
		cmocka_unit_test(test_quiet),
		cmocka_unit_test(test_owner),
		cmocka_unit_test(test_no_pool),
		cmocka_unit_test(test_live),
		cmocka_unit_test(test_other_sources),
		cmocka_unit_test(test_time_wait),
		cmocka_unit_test(test_loopback_reuse),
		cmocka_unit_test(test_blocked),
		cmocka_unit_test(test_new_destination),
		cmocka_unit_test(test_budget),
		cmocka_unit_test(test_lost_packets),
		cmocka_unit_test(test_listeners),
		cmocka_unit_test(test_states),
		cmocka_unit_test(test_reserved_parity),
		cmocka_unit_test(test_failures),
		cmocka_unit_test(test_slow),
		cmocka_unit_test(test_growth),
		cmocka_unit_test(test_exhausted),
		cmocka_unit_test(test_range),
		cmocka_unit_test(test_bind),
		cmocka_unit_test(test_udp),
		cmocka_unit_test(test_doubt),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

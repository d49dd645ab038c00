/* SPDX-License-Identifier: BSD-2-Clause */
/* What a poll takes against the kernel: real sockets in a namespace of our own, and what is seen of them. Needs root. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <linux/seccomp.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "kernel/inet_diag.h"
#include "kernel/proc_net.h"
#include "kernel/sockstat.h"
#include "kernel/capture.h"
#include "kernel/namespace.h"
#include "kernel/netns.h"
#include "kernel/sysctl.h"
#include "kernel_fake.h"
#include "netns.h"

#define LOW 40000
#define HIGH 40199

struct fixture {
	struct pw_input input;
	struct caught caught;
	struct pw_error err;
	struct pw_take_stats stats;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	const char *path;

	netns_enter();
	netns_loopback(true);
	netns_sysctl("ipv4/ip_local_port_range", "40000 40199");
	assert_int_equal(pw_input_kernel(&f->input, &path), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	pw_input_free(&f->input);
	free(f);
	return 0;
}

static void dump(struct fixture *f, enum pw_stream stream)
{
	struct pw_batch batch = {.sink = catch_sockets, .context = &f->caught};

	f->caught.n = 0;
	assert_int_equal(pw_inet_diag_dump(&f->input, stream, LOW, HIGH, &batch, &f->stats, &f->err), PW_DUMP_OK);
}

static void read_proc(struct fixture *f, enum pw_stream stream, enum pw_stream stream6)
{
	struct pw_batch batch = {.sink = catch_sockets, .context = &f->caught};

	f->caught.n = 0;
	assert_int_equal(pw_proc_net_read(&f->input, stream, LOW, HIGH, &batch, &f->err), PW_DUMP_OK);
	assert_int_equal(pw_proc_net_read(&f->input, stream6, LOW, HIGH, &batch, &f->err), PW_DUMP_OK);
}

/* The socket of this local port and state; there must be exactly one. */
static const struct pw_socket *find(const struct fixture *f, uint16_t port, enum pw_socket_state state)
{
	const struct pw_socket *found = NULL;

	for (size_t i = 0; i < f->caught.n; i++) {
		if (f->caught.sockets[i].local_port != port || f->caught.sockets[i].state != state)
			continue;
		assert_null(found);
		found = &f->caught.sockets[i];
	}
	assert_non_null(found);
	return found;
}

static void check_ends(
	const struct pw_socket *s, int family, const char *local, const char *remote, uint16_t remote_port)
{
	uint8_t expected[2][16] = {{0}};

	assert_int_equal(s->family, family);
	assert_int_equal(inet_pton(family, local, expected[0]), 1);
	assert_int_equal(inet_pton(family, remote, expected[1]), 1);
	assert_memory_equal(s->local, expected[0], 16);
	assert_memory_equal(s->remote, expected[1], 16);
	assert_int_equal(s->remote_port, remote_port);
}

static void connected_sockets(void **state)
{
	static const struct {
		const char *listen, *source, *destination;
		int family;
		const char *local, *remote;
	} cases[] = {
		{"127.0.0.2", "127.0.0.1", "127.0.0.2", AF_INET, "127.0.0.1", "127.0.0.2"},
		{"::1", "::1", "::1", AF_INET6, "::1", "::1"},
		{"127.0.0.3", "::ffff:127.0.0.1", "::ffff:127.0.0.3", AF_INET, "127.0.0.1", "127.0.0.3"},
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int listening = socket_listening(cases[i].listen, 80, 0);
		int plain = socket_connected(SOCK_STREAM, NULL, 0, cases[i].destination, 80, 0);
		int no_port = socket_connected(SOCK_STREAM, cases[i].source, 0, cases[i].destination, 80, OPT_NO_PORT);
		int on_device = socket_connected(
			SOCK_STREAM, cases[i].source, 0, cases[i].destination, 80, OPT_ON_LOOPBACK);
		const struct pw_socket *s;

		dump(f, PW_STREAM_DUMP_TCP);
		assert_int_equal(f->caught.n, 3); /* neither the listener nor the accepted side is in the range */
		s = find(f, socket_port(plain), PW_ESTABLISHED);
		assert_int_equal(s->flags, PW_SOCKET_HAS_OWNER);
		assert_int_equal(s->uid, getuid());
		assert_true(s->cookie != 0);
		assert_int_equal(s->ifindex, 0);
		assert_int_equal(s->protocol, IPPROTO_TCP);
		s = find(f, socket_port(no_port), PW_ESTABLISHED);
		check_ends(s, cases[i].family, cases[i].local, cases[i].remote, 80);
		assert_int_equal(s->flags, PW_SOCKET_HAS_OWNER | PW_SOCKET_NO_PORT);
		assert_int_equal(find(f, socket_port(on_device), PW_ESTABLISHED)->ifindex, 1);
		socket_reset(plain);
		socket_reset(no_port);
		socket_reset(on_device);
		close(listening);
	}
}

/* A socket whose port the kernel chose, and none of the low ones. */
static int bound_above(unsigned port)
{
	char reserved[32];

	snprintf(reserved, sizeof(reserved), "%u-%u", LOW, port);
	netns_sysctl("ipv4/ip_local_reserved_ports", reserved);
	return socket_bound(SOCK_STREAM, "127.0.0.1", 0, 0);
}

static void bound_and_listening_sockets(void **state)
{
	struct fixture *f = *state;
	const int fds[] = {
		socket_bound(SOCK_STREAM, "127.0.0.1", 40001, 0),
		bound_above(40011),
		socket_bound(SOCK_STREAM, "::", 40003, OPT_V6ONLY),
		socket_listening("0.0.0.0", 40005, 0),
		socket_listening("::", 40007, 0),
		socket_listening("::", 40009, OPT_V6ONLY),
		socket_listening("::ffff:127.0.0.1", 40011, 0),
		socket_bound(SOCK_STREAM, "127.0.0.1", 39999, 0),
		socket_bound(SOCK_STREAM, "127.0.0.1", 40200, 0),
	};

	dump(f, PW_STREAM_DUMP_TCP);
	assert_int_equal(f->caught.n, 7);
	check_ends(find(f, 40001, PW_CLOSE), AF_INET, "127.0.0.1", "0.0.0.0", 0);
	check_ends(find(f, socket_port(fds[1]), PW_CLOSE), AF_INET, "127.0.0.1", "0.0.0.0", 0);
	assert_true((find(f, 40003, PW_CLOSE)->flags & PW_SOCKET_V6ONLY) != 0);
	check_ends(find(f, 40005, PW_LISTEN), AF_INET, "0.0.0.0", "0.0.0.0", 0);
	check_ends(find(f, 40007, PW_LISTEN), AF_INET6, "::", "::", 0);
	assert_true((find(f, 40007, PW_LISTEN)->flags & PW_SOCKET_V6ONLY) == 0);
	assert_true((find(f, 40009, PW_LISTEN)->flags & PW_SOCKET_V6ONLY) != 0);
	check_ends(find(f, 40011, PW_LISTEN), AF_INET, "127.0.0.1", "0.0.0.0", 0);
	/* those with a port of their own choice, and only those */
	dump(f, PW_STREAM_DUMP_BOUND);
	assert_int_equal(f->caught.n, 6);
	for (size_t i = 0; i < f->caught.n; i++)
		assert_int_not_equal(f->caught.sockets[i].local_port, socket_port(fds[1]));
	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		close(fds[i]);
}

/* Dumps until the socket of this port is in this state: closing goes on after close(). */
static const struct pw_socket *wait_for(struct fixture *f, uint16_t port, enum pw_socket_state state)
{
	const uint64_t deadline = pw_clock_boot_ms() + 20000;
	const struct timespec pause = {.tv_nsec = 5000000};

	do {
		dump(f, PW_STREAM_DUMP_TCP);
		for (size_t i = 0; i < f->caught.n; i++)
			if (f->caught.sockets[i].local_port == port && f->caught.sockets[i].state == state)
				return find(f, port, state);
		nanosleep(&pause, NULL);
	} while (pw_clock_boot_ms() < deadline);
	return find(f, port, state);
}

static void closing_sockets(void **state)
{
	struct fixture *f = *state;
	int listening = socket_listening("127.0.0.1", 80, 0);
	int time_wait = socket_connected(SOCK_STREAM, NULL, 0, "127.0.0.1", 80, 0), peer = socket_accept(listening);
	int fin_wait = socket_connected(SOCK_STREAM, NULL, 0, "127.0.0.1", 80, 0),
	    other_peer = socket_accept(listening);
	const uint16_t port = socket_port(time_wait), fin_wait_port = socket_port(fin_wait);
	const struct pw_socket *s;
	uint64_t cookie;

	dump(f, PW_STREAM_DUMP_TCP);
	cookie = find(f, port, PW_ESTABLISHED)->cookie;
	close(time_wait);
	close(peer);
	close(fin_wait);
	s = wait_for(f, port, PW_TIME_WAIT);
	check_ends(s, AF_INET, "127.0.0.1", "127.0.0.1", 80);
	assert_true(s->cookie == cookie);
	assert_true(s->expires_ms > 50000 && s->expires_ms <= 60000);
	assert_int_equal(s->flags, 0);
	s = wait_for(f, fin_wait_port, PW_FIN_WAIT2); /* an orphan, kept like TIME_WAIT */
	assert_int_equal(s->flags, 0);
	assert_true(s->expires_ms > 1000 && s->expires_ms <= 60000);
	close(other_peer);
	close(listening);
}

/* A SYN from an address behind which nobody answers. */
static void send_syn(uint16_t port)
{
	struct {
		struct iphdr ip;
		struct tcphdr tcp;
	} packet = {
		.ip = {.version = 4,
			.ihl = 5,
			.ttl = 64,
			.protocol = IPPROTO_TCP,
			.tot_len = htons(sizeof(packet)),
			.saddr = htonl(0x7f000063),
			.daddr = htonl(0x7f000001)},
		.tcp = {.source = htons(1234), .dest = htons(port), .doff = 5, .syn = 1, .window = htons(1000)},
	};
	const uint16_t *words = (const uint16_t *)(const void *)&packet.tcp;
	const struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000001)};
	int fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
	uint32_t sum = htons(IPPROTO_TCP) + htons(sizeof(packet.tcp));

	sum += (packet.ip.saddr & 0xffff) + (packet.ip.saddr >> 16) + (packet.ip.daddr & 0xffff) +
		(packet.ip.daddr >> 16);
	for (size_t i = 0; i < sizeof(packet.tcp) / 2; i++)
		sum += words[i];
	sum = (sum & 0xffff) + (sum >> 16);
	packet.tcp.check = (uint16_t) ~(sum + (sum >> 16));
	assert_int_equal(
		sendto(fd, &packet, sizeof(packet), 0, (const struct sockaddr *)&to, sizeof(to)), sizeof(packet));
	close(fd);
}

/* The answer goes to a listener with a filter that lets nothing through, so nobody resets the connection. */
static void half_open_sockets(void **state)
{
	struct fixture *f = *state;
	int listening = socket_listening("127.0.0.1", 40005, 0);
	int silent = socket_bound(SOCK_STREAM, "127.0.0.99", 1234, 0);
	struct sock_filter nothing = BPF_STMT(BPF_RET | BPF_K, 0);
	const struct sock_fprog drop_all = {.len = 1, .filter = &nothing};
	const struct pw_socket *s;

	assert_int_equal(listen(silent, 1), 0);
	assert_int_equal(setsockopt(silent, SOL_SOCKET, SO_ATTACH_FILTER, &drop_all, sizeof(drop_all)), 0);
	send_syn(40005);
	dump(f, PW_STREAM_DUMP_TCP);
	find(f, 40005, PW_LISTEN);
	s = find(f, 40005, PW_SYN_RECV);
	assert_int_equal(s->flags, PW_SOCKET_HALF_OPEN);
	check_ends(s, AF_INET, "127.0.0.1", "127.0.0.99", 1234);
	read_proc(f, PW_STREAM_PROC_TCP, PW_STREAM_PROC_TCP6);
	assert_int_equal(find(f, 40005, PW_SYN_RECV)->flags, PW_SOCKET_HALF_OPEN);
	close(silent);
	close(listening);
}

static void udp_sockets(void **state)
{
	struct fixture *f = *state;
	int server = socket_bound(SOCK_DGRAM, "127.0.0.1", 53, 0);
	int connected = socket_connected(SOCK_DGRAM, NULL, 0, "127.0.0.1", 53, 0);
	int mapped = socket_connected(SOCK_DGRAM, NULL, 0, "::ffff:127.0.0.1", 53, 0);
	int bound = socket_bound(SOCK_DGRAM, "127.0.0.5", 0, 0);
	int dual = socket_bound(SOCK_DGRAM, "::", 0, 0);
	int v6only = socket_bound(SOCK_DGRAM, "::", 0, OPT_V6ONLY);

	dump(f, PW_STREAM_DUMP_UDP);
	assert_int_equal(f->caught.n, 2);
	check_ends(find(f, socket_port(connected), PW_ESTABLISHED), AF_INET, "127.0.0.1", "127.0.0.1", 53);
	check_ends(find(f, socket_port(bound), PW_CLOSE), AF_INET, "127.0.0.5", "0.0.0.0", 0);
	assert_int_equal(f->caught.sockets[0].protocol, IPPROTO_UDP);
	dump(f, PW_STREAM_DUMP_UDP6);
	assert_int_equal(f->caught.n, 3);
	check_ends(find(f, socket_port(mapped), PW_ESTABLISHED), AF_INET, "127.0.0.1", "127.0.0.1", 53);
	assert_int_equal(find(f, socket_port(dual), PW_CLOSE)->flags, PW_SOCKET_HAS_OWNER);
	assert_int_equal(find(f, socket_port(v6only), PW_CLOSE)->flags, PW_SOCKET_HAS_OWNER | PW_SOCKET_V6ONLY);
	close(server);
	close(connected);
	close(mapped);
	close(bound);
	close(dual);
	close(v6only);
}

static int order(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct pw_socket));
}

/* What both ways of reading must agree on. */
static size_t comparable(struct caught *caught)
{
	size_t n = 0;

	for (size_t i = 0; i < caught->n; i++) {
		struct pw_socket s = caught->sockets[i];

		if (s.state == PW_CLOSE && s.protocol == IPPROTO_TCP)
			continue; /* not in /proc */
		s.cookie = s.cgroup = 0;
		s.ifindex = s.expires_ms = 0;
		s.flags &= PW_SOCKET_HAS_OWNER | PW_SOCKET_HALF_OPEN;
		caught->sockets[n++] = s;
	}
	qsort(caught->sockets, n, sizeof(struct pw_socket), order);
	return n;
}

static void proc_shows_the_same(void **state)
{
	struct fixture *f = *state;
	int listening = socket_listening("127.0.0.1", 40005, 0), listening6 = socket_listening("::", 40007, 0);
	int fds[64], n = 0;
	struct caught *diag = malloc(sizeof(*diag));

	for (int i = 0; i < 10; i++) {
		fds[n++] = socket_connected(SOCK_STREAM, NULL, 0, "127.0.0.1", 40005, 0);
		fds[n++] = socket_accept(listening);
		fds[n++] = socket_connected(SOCK_STREAM, NULL, 0, "::1", 40007, 0);
		fds[n++] = socket_connected(SOCK_STREAM, NULL, 0, "::ffff:127.0.0.2", 40007, 0);
	}
	fds[n++] = socket_bound(SOCK_STREAM, "127.0.0.1", 0, 0);
	close(fds[0]);
	close(fds[1]); /* TIME_WAIT */
	dump(f, PW_STREAM_DUMP_TCP);
	*diag = f->caught;
	read_proc(f, PW_STREAM_PROC_TCP, PW_STREAM_PROC_TCP6);
	assert_int_equal(diag->n, f->caught.n + 1);
	assert_int_equal(comparable(diag), comparable(&f->caught));
	assert_true(f->caught.n >= 61);
	assert_memory_equal(diag->sockets, f->caught.sockets, f->caught.n * sizeof(struct pw_socket));
	free(diag);
	for (int i = 2; i < n; i++)
		socket_reset(fds[i]);
	close(listening);
	close(listening6);
}

static void udp_in_proc(void **state)
{
	struct fixture *f = *state;
	int bound = socket_bound(SOCK_DGRAM, "127.0.0.5", 40001, 0);
	int connected = socket_connected(SOCK_DGRAM, NULL, 0, "::1", 53, 0);

	read_proc(f, PW_STREAM_PROC_UDP, PW_STREAM_PROC_UDP6);
	assert_int_equal(f->caught.n, 2);
	check_ends(find(f, 40001, PW_CLOSE), AF_INET, "127.0.0.5", "0.0.0.0", 0);
	check_ends(find(f, socket_port(connected), PW_ESTABLISHED), AF_INET6, "::1", "::1", 53);
	close(bound);
	close(connected);
}

static void settings_are_read_anew(void **state)
{
	struct fixture *f = *state;
	struct pw_range range;

	assert_int_equal(pw_sysctl_read(&f->input, &range, &f->err), PW_READ_OK);
	assert_int_equal(range.low, LOW);
	assert_int_equal(range.high, HIGH);
	assert_int_equal(pw_portset_count(&range.reserved), 0);
	assert_int_equal(range.tw_reuse, PW_TW_REUSE_LOOPBACK);
	assert_true(range.timestamps);
	netns_sysctl("ipv4/ip_local_port_range", "50000 50010");
	netns_sysctl("ipv4/ip_local_reserved_ports", "50001,50003-50005");
	netns_sysctl("ipv4/tcp_tw_reuse", "1");
	netns_sysctl("ipv4/tcp_timestamps", "0");
	assert_int_equal(pw_sysctl_read(&f->input, &range, &f->err), PW_READ_OK);
	assert_int_equal(range.low, 50000);
	assert_int_equal(range.high, 50010);
	assert_int_equal(pw_portset_count(&range.reserved), 4);
	assert_true(pw_portset_has(&range.reserved, 50001) && pw_portset_has(&range.reserved, 50005));
	assert_int_equal(range.tw_reuse, PW_TW_REUSE_ON);
	assert_false(range.timestamps);
}

/* Some 55,000 bytes: more than one page of the kernel's answer. */
static void many_reserved_ports(void **state)
{
	struct fixture *f = *state;
	char *text = malloc(200000), *p = text;
	struct pw_range range;

	for (unsigned port = 40001; port < 60000; port += 2)
		p += sprintf(p, "%s%u", p > text ? "," : "", port);
	netns_sysctl("ipv4/ip_local_reserved_ports", text);
	free(text);
	assert_int_equal(pw_sysctl_read(&f->input, &range, &f->err), PW_READ_OK);
	assert_int_equal(pw_portset_count(&range.reserved), 10000);
}

static void counts_are_bounds(void **state)
{
	struct fixture *f = *state;
	int listening = socket_listening("::", 80, 0), fds[40], n = 0;
	struct pw_sockstat counts;

	for (int i = 0; i < 8; i++) {
		fds[n++] = socket_connected(SOCK_STREAM, NULL, 0, "127.0.0.1", 80, 0);
		fds[n++] = socket_connected(SOCK_STREAM, NULL, 0, "::1", 80, 0);
		fds[n++] = socket_bound(SOCK_STREAM, "127.0.0.1", 0, 0);
		fds[n++] = socket_bound(SOCK_DGRAM, "127.0.0.1", 0, 0);
	}
	close(socket_connected(SOCK_STREAM, NULL, 0, "127.0.0.1", 80, 0));
	dump(f, PW_STREAM_DUMP_TCP);
	assert_int_equal(pw_sockstat_read(&f->input, &counts, &f->err), PW_READ_OK);
	assert_int_equal(counts.udp, 8);
	assert_in_range(counts.tcp, 1 + 16 * 2, 1 + 16 * 2 + 2);
	assert_in_range(counts.tcp_ports_max, f->caught.n, 200);
	for (int i = 0; i < n; i++)
		socket_reset(fds[i]);
	close(listening);
}

static bool gone_in_time(struct pw_namespace *ns)
{
	const uint64_t deadline = pw_clock_boot_ms() + 20000;
	const struct timespec pause = {.tv_nsec = 5000000};

	while (pw_clock_boot_ms() < deadline) {
		if (pw_namespace_read(ns) == PW_READ_GONE)
			return true;
		nanosleep(&pause, NULL);
	}
	return false;
}

/* Polling keeps no namespace alive, and sees it go. */
static void a_deleted_namespace_is_gone(void **state)
{
	struct pw_namespace *ns = pw_namespace_new(1, "", NULL);

	(void)state;
	assert_non_null(ns);
	assert_int_equal(pw_namespace_read(ns), PW_READ_OK);
	assert_int_equal(pw_netlink_take(ns), 0);
	netns_enter();
	assert_true(gone_in_time(ns));
	pw_namespace_free(ns);
}

static void a_real_poll_can_be_recorded(void **state)
{
	struct fixture *f = *state;
	char path[] = "/tmp/check_host.XXXXXX";
	FILE *file = fdopen(mkstemp(path), "w+");
	struct pw_namespace *live = pw_namespace_new(1, "", NULL), *replay = pw_namespace_new(1, "", NULL);
	struct pw_census_totals totals;
	int fds[100];

	for (int i = 0; i < 100; i++)
		fds[i] = socket_bound(i % 2 == 0 ? SOCK_STREAM : SOCK_DGRAM, "127.0.0.1", 0, 0);
	live->capture = file;
	assert_int_equal(pw_namespace_read(live), PW_READ_OK);
	assert_int_equal(pw_netlink_take(live), 0);
	pw_capture_end(&live->input);
	totals = *pw_census_totals(live->census);
	assert_int_equal(totals.tcp, 50);
	assert_int_equal(totals.udp, 50);
	fclose(file);
	assert_int_equal(pw_capture_input_file(&replay->input, path, &f->err), 0);
	unlink(path);
	assert_int_equal(pw_namespace_read(replay), PW_READ_OK);
	assert_int_equal(pw_netlink_take(replay), 0);
	assert_int_equal(pw_census_totals(replay->census)->tcp, totals.tcp);
	assert_int_equal(pw_census_totals(replay->census)->udp, totals.udp);
	assert_int_equal(pw_census_totals(replay->census)->blocked, totals.blocked);
	for (int i = 0; i < 100; i++)
		close(fds[i]);
	pw_namespace_free(replay);
	pw_namespace_free(live);
}

/* What a sandbox without AF_NETLINK does (RestrictAddressFamilies= of systemd). */
static int forbid_netlink(void)
{
	struct sock_filter program[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_socket, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_NETLINK, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EAFNOSUPPORT),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog filter = {.len = sizeof(program) / sizeof(program[0]), .filter = program};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -1;
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter);
}

/* In a child: a filter cannot be taken off again. Its exit status says what went wrong. */
static int poll_without_netlink(void)
{
	struct pw_namespace *ns = pw_namespace_new(1, "", NULL);
	const struct pw_census_totals *totals = pw_census_totals(ns->census);

	if (pw_namespace_read(ns) != PW_READ_OK || forbid_netlink() < 0)
		return 1;
	for (int poll = 0; poll < 3; poll++) {
		if (pw_namespace_read(ns) != PW_READ_OK || pw_netlink_take(ns) < 0 || ns->udp_failed)
			return 2;
		if (totals->tcp != 2 || totals->udp != 1)
			return 3;
	}
	pw_namespace_free(ns);
	return 0;
}

static void a_sandbox_without_netlink(void **state)
{
	int listening = socket_listening("::1", 40005, 0), udp = socket_bound(SOCK_DGRAM, "127.0.0.1", 0, 0);
	int connected = socket_connected(SOCK_STREAM, "::1", 1000, "::1", 40005, 0);
	int status;
	pid_t child;

	(void)state;
	fflush(NULL);
	child = fork();
	if (child == 0)
		_exit(poll_without_netlink());
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	socket_reset(connected);
	close(udp);
	close(listening);
}

#define IN_NETNS(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

/* What is found under a path now may be another namespace than the one that was found there before. */
static void test_another_namespace_is_not_entered(void **state)
{
	struct pw_error err = {""};
	struct stat st;
	bool gone;

	(void)state;
	assert_int_equal(stat("/proc/self/ns/net", &st), 0);
	assert_int_equal(pw_netns_enter("/proc/self/ns/net", st.st_ino, &gone, &err), 0);
	assert_int_equal(pw_netns_enter("/proc/self/ns/net", 0, &gone, &err), 0);
	assert_int_equal(pw_netns_enter("/proc/self/ns/net", st.st_ino + 1, &gone, &err), -1);
	assert_true(gone);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_NETNS(connected_sockets),
		IN_NETNS(bound_and_listening_sockets),
		IN_NETNS(closing_sockets),
		IN_NETNS(half_open_sockets),
		IN_NETNS(udp_sockets),
		IN_NETNS(proc_shows_the_same),
		IN_NETNS(udp_in_proc),
		IN_NETNS(settings_are_read_anew),
		IN_NETNS(many_reserved_ports),
		IN_NETNS(counts_are_bounds),
		IN_NETNS(a_deleted_namespace_is_gone),
		IN_NETNS(a_real_poll_can_be_recorded),
		IN_NETNS(a_sandbox_without_netlink),
		IN_NETNS(test_another_namespace_is_not_entered),
	};

	if (!netns_possible())
		return EXIT_SKIPPED;
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* VRF: sockets bound to a master device of type vrf, to a device below it, and to none. What is said to be free is what the kernel gives
 * afterwards, port by port. Needs root and a kernel with vrf. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kernel/namespace.h"
#include "kernel/walk.h"
#include "netns.h"

#define PORTS 32
#define FIRST 40000

static struct pw_backend *walk; /* NULL: netlink */

static const char links[] = "link add red type vrf table 10\n"
			    "link set red up\n"
			    "link add v0 type veth peer name v1\n"
			    "link set v0 master red\n"
			    "link set v0 up\n"
			    "link set v1 up\n"
			    "addr add 127.0.0.1/8 dev red\n"
			    "addr add 10.5.0.1/24 dev v0\n";

static bool make_links(void)
{
	FILE *ip = popen("ip -batch - 2>/dev/null", "w");

	if (ip == NULL)
		return false;
	fputs(links, ip);
	return pclose(ip) == 0;
}

/* --- sockets --- */

static int tcp_on(const char *device)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;

	assert_true(fd >= 0);
	if (device != NULL)
		assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, device, (socklen_t)strlen(device) + 1), 0);
	setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
	return fd;
}

static struct sockaddr_in place(const char *address, uint16_t port)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};

	assert_int_equal(inet_pton(AF_INET, address, &in.sin_addr), 1);
	return in;
}

/* A pool, and how to draw from it. */
struct pool {
	const char *device, *local, *remote; /* remote NULL: bind() */
};

/* One allocation from it; -1 when there is none left. */
static int draw(const struct pool *pool)
{
	struct sockaddr_in from = place(pool->local, 0), to;
	int fd = tcp_on(pool->device), off = 0, refusal = pool->remote == NULL ? EADDRINUSE : EADDRNOTAVAIL;

	if (pool->remote == NULL)
		setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &off, sizeof(off));
	if (bind(fd, (struct sockaddr *)&from, sizeof(from)) == 0 && pool->remote != NULL) {
		to = place(pool->remote, 80);
		if (connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0 || errno == EINPROGRESS)
			return fd;
	} else if (pool->remote == NULL && socket_port(fd) != 0) {
		return fd;
	}
	if (errno != refusal)
		fail_msg("%s on %s: %s", pool->local, pool->device != NULL ? pool->device : "-", strerror(errno));
	close(fd);
	return -1;
}

static void listen_on(const char *device, const char *address, uint16_t port)
{
	struct sockaddr_in at = place(address, port);
	int fd = tcp_on(device), on = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(fd, 1024), 0);
}

/* --- what portwatch says --- */

static struct pw_pool_counts ask(const struct pool *pool)
{
	struct pw_pool_key key = {
		.kind = pool->remote != NULL ? PW_KIND_CONNECT : PW_KIND_BIND, .protocol = IPPROTO_TCP, .ns = 1};
	struct pw_namespace *ns = pw_namespace_new(1, "", NULL);
	struct pw_pool_counts counts;

	assert_int_equal(pw_address_parse(&key.local, pool->local), 0);
	key.local.zone = pool->device != NULL ? if_nametoindex(pool->device) : 0;
	if (pool->remote != NULL) {
		assert_int_equal(pw_address_parse(&key.remote, pool->remote), 0);
		key.port = 80;
	}
	ns->probe = true;
	ns->probe_ms = UINT32_MAX;
	assert_int_equal(pw_namespace_read(ns), PW_READ_OK);
	if (walk != NULL) {
		walk->take(walk, &ns, 1);
		assert_true(ns->taken);
	} else {
		assert_int_equal(pw_netlink_take(ns), 0);
	}
	pw_source_pool(pw_census_source(ns->census), &key, &counts);
	pw_namespace_free(ns);
	return counts;
}

/* Fills the pool, and empties it again. */
static void compare(const struct pool *pool, unsigned *wrong)
{
	const struct pw_pool_counts counts = ask(pool);
	int fds[PORTS + 1];
	unsigned n = 0;

	while (n <= PORTS && (fds[n] = draw(pool)) >= 0)
		n++;
	if (counts.free != n)
		print_message("%s%s%s on %s: free %u, the kernel gave %u (used %u, blocked %u)\n", pool->local,
			pool->remote != NULL ? " to " : " bind", pool->remote != NULL ? pool->remote : "",
			pool->device != NULL ? pool->device : "no device", counts.free, n, counts.used, counts.blocked);
	*wrong += counts.free != n;
	for (unsigned i = 0; i < n; i++)
		socket_reset(fds[i]);
}

/* --- tests --- */

static const struct pool pools[] = {
	{NULL, "127.0.0.1", "127.0.0.1"},
	{"red", "127.0.0.1", "127.0.0.1"},
	{"red", "10.5.0.1", "10.5.0.1"},
	{"v0", "10.5.0.1", "10.5.0.1"},
	{NULL, "127.0.0.1", NULL},
	{NULL, "0.0.0.0", NULL},
	{"red", "127.0.0.1", NULL},
	{"red", "10.5.0.1", NULL},
	{"red", "0.0.0.0", NULL},
	{"v0", "10.5.0.1", NULL},
};

#define POOLS (sizeof(pools) / sizeof(pools[0]))

static void draw_some(const struct pool *pool, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		assert_true(draw(pool) >= 0);
}

/* A device below a VRF is known as such from the first socket on. Where all share the ports that is not known, nor that a connection of such a
 * device collides with those of its VRF. */
static bool is_known(size_t k, size_t made, bool shared)
{
	const bool below = pools[k].device != NULL && strcmp(pools[k].device, "v0") == 0;

	return !below || (k <= made && !(shared && pools[k].remote != NULL));
}

static void each_pool_is_right(const char *accept)
{
	const bool shared = accept[0] == '1';
	unsigned wrong = 0;

	netns_enter();
	if (!make_links())
		skip();
	netns_loopback(true);
	netns_sysctl("ipv4/tcp_l3mdev_accept", accept);
	netns_sysctl("ipv4/tcp_tw_reuse", "0");
	netns_sysctl("ipv4/ip_local_port_range", "40000 40031");
	listen_on(NULL, "0.0.0.0", 80);
	if (!shared)
		listen_on("red", "0.0.0.0", 80);
	listen_on(NULL, "127.0.0.1", FIRST + 3);
	listen_on("red", "127.0.0.1", FIRST + 5);
	listen_on("red", "0.0.0.0", FIRST + 7);
	for (size_t i = 0; i < POOLS; i++) {
		draw_some(&pools[i], (unsigned)(i % 3) + 1);
		for (size_t k = 0; k < POOLS; k++)
			if (is_known(k, i, shared))
				compare(&pools[k], &wrong);
	}
	assert_int_equal(wrong, 0);
}

static void vrfs_have_ports_of_their_own(void **state)
{
	(void)state;
	each_pool_is_right("0");
}

static void vrfs_share_the_ports(void **state)
{
	(void)state;
	each_pool_is_right("1");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(vrfs_have_ports_of_their_own),
		cmocka_unit_test(vrfs_share_the_ports),
	};
	int failed;

	if (!netns_possible())
		return EXIT_SKIPPED;
	netns_enter();
	if (!make_links()) {
		printf("skipped: this kernel has no vrf\n");
		return EXIT_SKIPPED;
	}
	walk = netns_walk();
	if (walk == NULL)
		return EXIT_SKIPPED;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	walk->free(walk);
	return failed;
}

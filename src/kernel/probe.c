/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernel/probe.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/descriptors.h"

#ifndef IP_LOCAL_PORT_RANGE /* Linux 6.3 */
#define IP_LOCAL_PORT_RANGE 51
#endif
#ifndef SO_BINDTOIFINDEX /* Linux 5.1 */
#define SO_BINDTOIFINDEX 62
#endif

struct pw_probe {
	int fd; /* -1: broken, nothing can be asked any more */
	int family;
	uint64_t random; /* state of the generator of destinations */
};

union endpoint {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

static socklen_t endpoint_size(const union endpoint *endpoint)
{
	return endpoint->any.sa_family == AF_INET ? sizeof(endpoint->v4) : sizeof(endpoint->v6);
}

static union endpoint make_endpoint(const struct pw_address *address, uint32_t zone, uint16_t port)
{
	union endpoint endpoint = {.v6 = {0}};

	if (address->family == AF_INET) {
		endpoint.v4.sin_family = AF_INET;
		endpoint.v4.sin_port = htons(port);
		memcpy(&endpoint.v4.sin_addr, address->bytes, 4);
	} else {
		endpoint.v6.sin6_family = AF_INET6;
		endpoint.v6.sin6_port = htons(port);
		endpoint.v6.sin6_scope_id = zone;
		memcpy(&endpoint.v6.sin6_addr, address->bytes, 16);
	}
	return endpoint;
}

static int set_option(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value));
}

/* A socket in repair mode that is bound to the address, but to no port. Returns it, or -1 with errno. */
static int repair_socket(const struct pw_address *local)
{
	const union endpoint from = make_endpoint(local, local->zone, 0);
	int fd = socket((int)local->family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	if (set_option(fd, IPPROTO_TCP, TCP_REPAIR, 1) == 0 &&
		set_option(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1) == 0 &&
		(local->zone == 0 || set_option(fd, SOL_SOCKET, SO_BINDTOIFINDEX, (int)local->zone) == 0) &&
		bind(fd, &from.any, endpoint_size(&from)) == 0)
		return fd;
	return pw_close_failed(fd);
}

static int set_port_range(int fd, uint16_t low, uint16_t high)
{
	return set_option(fd, IPPROTO_IP, IP_LOCAL_PORT_RANGE, (int)((uint32_t)high << 16 | low));
}

static struct pw_address loopback(int family)
{
	static const uint8_t v4[4] = {127, 0, 0, 1}, v6[16] = {[15] = 1};

	return pw_address_make(family, family == AF_INET ? v4 : v6, 0);
}

/* A destination that nobody is connected to from this port: 127.64.0.1 to 127.191.255.254, or any port of ::1. */
static union endpoint random_destination(struct pw_probe *probe)
{
	struct pw_address to = loopback(probe->family);
	uint64_t r = probe->random += UINT64_C(0x9e3779b97f4a7c15);

	/* splitmix64: any spread of destinations will do */
	r = (r ^ (r >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	r = (r ^ (r >> 27)) * UINT64_C(0x94d049bb133111eb);
	r ^= r >> 31;
	if (probe->family == AF_INET) {
		to.bytes[1] = (uint8_t)(64 + (r & 127));
		to.bytes[2] = (uint8_t)(r >> 8);
		to.bytes[3] = (uint8_t)(1 + (r >> 16 & 0xffff) % 254);
	}
	return make_endpoint(&to, 0, (uint16_t)(1 + (r >> 32 & 0xffff) % 65535));
}

static uint16_t local_port(int fd)
{
	union endpoint name = {.v6 = {0}};
	socklen_t len = sizeof(name);

	if (getsockname(fd, &name.any, &len) < 0)
		return 0;
	return ntohs(name.any.sa_family == AF_INET ? name.v4.sin_port : name.v6.sin6_port);
}

/* The port of a connect that worked, 0 and errno of one that did not. */
static uint16_t connect_once(struct pw_probe *probe)
{
	const union endpoint to = random_destination(probe);
	const struct sockaddr none = {.sa_family = AF_UNSPEC};
	uint16_t port;

	if (connect(probe->fd, &to.any, endpoint_size(&to)) < 0)
		return 0;
	port = local_port(probe->fd);
	/* gives the port back; the socket stays bound to its address, in repair mode */
	if (connect(probe->fd, &none, sizeof(none)) < 0) {
		close(probe->fd);
		probe->fd = -1;
	}
	errno = 0;
	return port;
}

/* A connect to anywhere must work or find no port: whatever else fails would fail at every question. A namespace whose
 * loopback interface was never up lets a socket be bound to 127.0.0.1, and has no route. */
static int try_family(struct pw_probe *probe, int family)
{
	const struct pw_address from = loopback(family);

	probe->family = family;
	probe->fd = repair_socket(&from);
	if (probe->fd < 0)
		return -1;
	if (set_port_range(probe->fd, 0, 0) == 0 && (connect_once(probe) != 0 || errno == EADDRNOTAVAIL))
		return 0;
	return pw_close_failed(probe->fd);
}

struct pw_probe *pw_probe_open(void)
{
	struct pw_probe *probe = malloc(sizeof(*probe));
	int first_error;

	if (probe == NULL)
		return NULL;
	if (getrandom(&probe->random, sizeof(probe->random), GRND_NONBLOCK) != sizeof(probe->random))
		probe->random = pw_clock_boot_us();
	if (try_family(probe, AF_INET) == 0)
		return probe;
	first_error = errno;
	if (try_family(probe, AF_INET6) == 0)
		return probe;
	free(probe);
	errno = first_error;
	return NULL;
}

void pw_probe_close(struct pw_probe *probe)
{
	if (probe == NULL)
		return;
	if (probe->fd >= 0)
		close(probe->fd);
	free(probe);
}

/* Another port than the one asked for comes when it is no longer in the system's range, which then counts instead. A
 * failure could mean that just this destination is taken: only a second one makes sure. */
enum pw_probe_answer pw_probe_port(struct pw_probe *probe, uint16_t port)
{
	uint16_t got;

	for (int attempt = 0; attempt < 2; attempt++) {
		if (probe->fd < 0 || set_port_range(probe->fd, port, port) < 0)
			return PW_PROBE_UNKNOWN;
		got = connect_once(probe);
		if (got != 0)
			return got == port ? PW_PROBE_FREE : PW_PROBE_UNKNOWN;
		if (errno != EADDRNOTAVAIL)
			return PW_PROBE_UNKNOWN;
	}
	return PW_PROBE_BLOCKED;
}

enum pw_probe_answer pw_probe_reuse(const struct pw_pool_key *key, uint16_t port)
{
	const union endpoint to = make_endpoint(&key->remote, key->local.zone, key->port);
	enum pw_probe_answer answer = PW_PROBE_UNKNOWN;
	int fd = repair_socket(&key->local);

	if (fd < 0)
		return answer;
	if (set_port_range(fd, port, port) == 0) {
		if (connect(fd, &to.any, endpoint_size(&to)) == 0)
			answer = local_port(fd) == port ? PW_PROBE_FREE : PW_PROBE_UNKNOWN;
		else if (errno == EADDRNOTAVAIL)
			answer = PW_PROBE_BLOCKED;
	}
	close(fd);
	return answer;
}

uint32_t pw_probe_alloc(const struct pw_pool_key *key, bool *exhausted)
{
	const union endpoint to = make_endpoint(&key->remote, key->local.zone, key->port);
	uint64_t start, us;
	int fd, rc, error;

	*exhausted = false;
	if (key->kind != PW_KIND_CONNECT || key->protocol != IPPROTO_TCP || key->local.family != key->remote.family)
		return 0;
	fd = repair_socket(&key->local);
	if (fd < 0)
		return 0;
	start = pw_clock_boot_us();
	rc = connect(fd, &to.any, endpoint_size(&to));
	error = errno;
	us = pw_clock_boot_us() - start;
	close(fd);
	if (rc < 0 && error != EADDRNOTAVAIL)
		return 0;
	*exhausted = rc < 0;
	return us == 0 ? 1 : us < UINT32_MAX ? (uint32_t)us : UINT32_MAX;
}

/* The options that decide, on a socket of either family. */
static int try_options(int family)
{
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	if (set_option(fd, IPPROTO_TCP, TCP_REPAIR, 1) < 0 || set_port_range(fd, 0, 0) < 0)
		return pw_close_failed(fd);
	close(fd);
	return 0;
}

bool pw_probe_available(const char **reason)
{
	if (try_options(AF_INET) == 0 || (errno == EAFNOSUPPORT && try_options(AF_INET6) == 0))
		return true;
	if (errno == EPERM)
		*reason = "not permitted: CAP_NET_ADMIN is missing";
	else if (errno == ENOPROTOOPT)
		*reason = "this kernel has no IP_LOCAL_PORT_RANGE, which came with Linux 6.3";
	else
		*reason = "TCP_REPAIR and IP_LOCAL_PORT_RANGE cannot be set";
	return false;
}

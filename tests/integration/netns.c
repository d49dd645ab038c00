/* SPDX-License-Identifier: BSD-2-Clause */
#include "netns.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernel/walk.h"

#ifndef IP_LOCAL_PORT_RANGE
#define IP_LOCAL_PORT_RANGE 51
#endif

union endpoint {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

static void refused(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	abort();
}

bool netns_possible(void)
{
	pid_t child = fork();
	int status = 0;

	if (child == 0)
		_exit(unshare(CLONE_NEWNET) == 0 ? 0 : errno);
	if (child < 0 || waitpid(child, &status, 0) < 0)
		refused("fork");
	if (status == 0)
		return true;
	printf("skipped: no network namespace can be made here: %s\n", strerror(WEXITSTATUS(status)));
	return false;
}

void netns_enter(void)
{
	if (unshare(CLONE_NEWNET) < 0)
		refused("unshare");
}

static int any_socket(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		refused("socket");
	return fd;
}

void netns_loopback(bool up)
{
	struct ifreq request = {.ifr_name = "lo"};
	int fd = any_socket();

	if (ioctl(fd, SIOCGIFFLAGS, &request) < 0)
		refused("SIOCGIFFLAGS");
	request.ifr_flags = (short)(up ? request.ifr_flags | IFF_UP : request.ifr_flags & ~IFF_UP);
	if (ioctl(fd, SIOCSIFFLAGS, &request) < 0)
		refused("SIOCSIFFLAGS");
	close(fd);
}

struct pw_backend *netns_walk(void)
{
	struct pw_error err;
	struct pw_backend *walk = pw_walk_backend(&err);

	if (walk == NULL)
		printf("skipped: the BPF programs are refused here: %s\n", err.text);
	return walk;
}

void netns_without_ipv4(void)
{
	struct ifreq request = {.ifr_name = "lo"};
	int fd = any_socket();

	request.ifr_addr.sa_family = AF_INET; /* 0.0.0.0 deletes (devinet_ioctl()) */
	if (ioctl(fd, SIOCSIFADDR, &request) < 0)
		refused("SIOCSIFADDR");
	close(fd);
}

void netns_sysctl(const char *name, const char *value)
{
	char path[128];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/sys/net/%s", name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	for (; *value != '\0'; value += n) { /* a long list takes several writes */
		n = write(fd, value, strlen(value));
		if (n <= 0)
			refused(path);
	}
	close(fd);
}

static union endpoint make_endpoint(const char *address, uint16_t port)
{
	union endpoint endpoint = {.v6 = {0}};

	if (inet_pton(AF_INET, address, &endpoint.v4.sin_addr) == 1) {
		endpoint.v4.sin_family = AF_INET;
		endpoint.v4.sin_port = htons(port);
		return endpoint;
	}
	endpoint = (union endpoint){.v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)}};
	if (inet_pton(AF_INET6, address, &endpoint.v6.sin6_addr) != 1)
		refused(address);
	return endpoint;
}

static socklen_t endpoint_size(const union endpoint *endpoint)
{
	return endpoint->any.sa_family == AF_INET ? sizeof(endpoint->v4) : sizeof(endpoint->v6);
}

static void set_option(int fd, int level, int option, int value)
{
	if (setsockopt(fd, level, option, &value, sizeof(value)) < 0)
		refused("setsockopt");
}

static int make_socket(int type, int family, unsigned options)
{
	int fd = socket(family, type | SOCK_CLOEXEC, 0);

	if (fd < 0)
		refused("socket");
	if ((options & OPT_V6ONLY) != 0)
		set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
	else if (family == AF_INET6)
		set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
	if ((options & OPT_NO_PORT) != 0)
		set_option(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
	if ((options & OPT_REUSEADDR) != 0)
		set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	if ((options & OPT_ON_LOOPBACK) != 0 && setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3) < 0)
		refused("SO_BINDTODEVICE");
	return fd;
}

static int try_bind(int type, const char *address, uint16_t port, unsigned options)
{
	union endpoint endpoint = make_endpoint(address, port);
	int fd = make_socket(type, endpoint.any.sa_family, options);

	if (bind(fd, &endpoint.any, endpoint_size(&endpoint)) == 0)
		return fd;
	if (errno != EADDRINUSE)
		refused("bind");
	close(fd);
	return -1;
}

int socket_bound(int type, const char *address, uint16_t port, unsigned options)
{
	int fd = try_bind(type, address, port, options);

	if (fd < 0)
		refused("bind");
	return fd;
}

int socket_try_listening(const char *address, uint16_t port, unsigned options)
{
	int fd = try_bind(SOCK_STREAM, address, port, options | OPT_REUSEADDR);

	if (fd < 0 || listen(fd, UINT16_MAX) == 0)
		return fd;
	if (errno != EADDRINUSE)
		refused("listen");
	close(fd);
	return -1;
}

int socket_listening(const char *address, uint16_t port, unsigned options)
{
	int fd = socket_try_listening(address, port, options);

	if (fd < 0)
		refused("listen");
	return fd;
}

int socket_connected(
	int type, const char *source, uint16_t source_port, const char *destination, uint16_t port, unsigned options)
{
	union endpoint to = make_endpoint(destination, port);
	int fd = source != NULL ? socket_bound(type, source, source_port, options)
				: make_socket(type, to.any.sa_family, options);

	if (connect(fd, &to.any, endpoint_size(&to)) < 0)
		refused("connect");
	return fd;
}

int socket_try_connect(const char *source, const char *destination, uint16_t port, uint16_t only_port)
{
	union endpoint to = make_endpoint(destination, port);
	int fd = socket_bound(SOCK_STREAM, source, 0, OPT_NO_PORT);
	int saved;

	/* before 6.3 there is no such option */
	if (only_port != 0)
		set_option(fd, IPPROTO_IP, IP_LOCAL_PORT_RANGE, (int)((uint32_t)only_port << 16 | only_port));
	if (connect(fd, &to.any, endpoint_size(&to)) == 0)
		return fd;
	saved = errno;
	close(fd);
	errno = saved;
	return -1;
}

int socket_accept(int listening)
{
	int fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0)
		refused("accept");
	return fd;
}

uint16_t socket_port(int fd)
{
	union endpoint name = {.v6 = {0}};
	socklen_t len = sizeof(name);

	if (getsockname(fd, &name.any, &len) < 0)
		refused("getsockname");
	return ntohs(name.v4.sin_port); /* at the same place in both */
}

void socket_reset(int fd)
{
	const struct linger linger = {.l_onoff = 1};

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	close(fd);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* netns.h: a network namespace of one's own, and real sockets in it, for checks that take the kernel as the judge */
#ifndef TESTS_NETNS_H
#define TESTS_NETNS_H

#include <stdbool.h>
#include <stdint.h>

/* Exit status by which a test tells automake that it could not run. */
#define EXIT_SKIPPED 77

/* Whether namespaces may be made; says on standard output why not. */
bool netns_possible(void);

/* Moves the process into a new network namespace. The loopback interface is down. */
void netns_enter(void);
void netns_loopback(bool up);

/* The backend that walks by BPF; NULL where this kernel refuses, after saying so. */
struct pw_backend *netns_walk(void);

/* Takes 127.0.0.1/8 from the loopback interface, as on a host that has IPv6 only. */
void netns_without_ipv4(void);

/* Writes to a file under /proc/sys/net. */
void netns_sysctl(const char *name, const char *value);

/* All of the functions below end the test when the kernel refuses. Addresses are texts, ::ffff:0:0/96 makes IPv6
 * sockets; port 0 lets the kernel choose. */

enum socket_option {
	OPT_V6ONLY = 1,
	OPT_NO_PORT = 2,     /* IP_BIND_ADDRESS_NO_PORT */
	OPT_ON_LOOPBACK = 4, /* SO_BINDTODEVICE lo */
	OPT_REUSEADDR = 8
};

/* A socket that is bound; type is SOCK_STREAM or SOCK_DGRAM. */
int socket_bound(int type, const char *address, uint16_t port, unsigned options);
int socket_listening(const char *address, uint16_t port, unsigned options);

/* The same, but returns -1 when the port is in use. */
int socket_try_listening(const char *address, uint16_t port, unsigned options);

/* Without a source when `source` is NULL. */
int socket_connected(
	int type, const char *source, uint16_t source_port, const char *destination, uint16_t port, unsigned options);

/* The same, but returns -1 with errno when connect() fails. */
int socket_try_connect(const char *source, const char *destination, uint16_t port, uint16_t only_port);

int socket_accept(int listening);
uint16_t socket_port(int fd);

/* Closes with a reset: nothing stays behind. */
void socket_reset(int fd);

#endif

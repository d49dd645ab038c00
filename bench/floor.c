/* SPDX-License-Identifier: BSD-2-Clause */
/* floor.c: the least that looking at the sockets can cost
 *
 * Sends the dump requests of a poll (the local port in the ephemeral range, both address families, all states) and throws
 * the answers away. A line "POLLS WALKS" on standard input asks for so many polls (one TCP and two UDP dumps each), of which
 * WALKS also walk the table of bound ports; the answer is one line of "name=value" pairs with their sums. */
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "usage.h"

#define BUFFER_SIZE 32768 /* the kernel makes no larger message (netlink_recvmsg(), max_recvmsg_len) */
#define BOUND_INACTIVE 13 /* TCP_BOUND_INACTIVE: bound, not connected */

static uint16_t range_low, range_high;

struct bytecode {
	struct rtattr attribute;
	struct inet_diag_bc_op op[4];
};

/* low <= local port <= high. `no` of an operation is the rest of the program, itself and 4 bytes more: "reject". */
static struct bytecode port_filter(void)
{
	return (struct bytecode){
		.attribute = {.rta_len = sizeof(struct bytecode), .rta_type = INET_DIAG_REQ_BYTECODE},
		.op =
			{
				{.code = INET_DIAG_BC_S_GE, .yes = 8, .no = 20},
				{.no = range_low},
				{.code = INET_DIAG_BC_S_LE, .yes = 8, .no = 12},
				{.no = range_high},
			},
	};
}

static void fail(const char *what)
{
	perror(what);
	exit(EXIT_FAILURE);
}

/* The last message of a dump stands alone or at the end of a packet: 16 bytes of header and the result. */
static bool is_last(const char *packet, size_t size)
{
	struct nlmsghdr last;

	if (size < NLMSG_LENGTH(sizeof(int)))
		return false;
	memcpy(&last, packet + size - NLMSG_LENGTH(sizeof(int)), sizeof(last));
	return last.nlmsg_len == NLMSG_LENGTH(sizeof(int)) && last.nlmsg_type == NLMSG_DONE && last.nlmsg_seq == 1;
}

static uint64_t dump(const struct nlmsghdr *request)
{
	static char buffer[BUFFER_SIZE];
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	uint64_t bytes = 0;
	ssize_t size;

	if (fd < 0 || send(fd, request, request->nlmsg_len, 0) < 0)
		fail("sock_diag");
	do {
		size = recv(fd, buffer, sizeof(buffer), 0);
		if (size < 0)
			fail("recv");
		if (((struct nlmsghdr *)buffer)->nlmsg_type == NLMSG_ERROR)
			errno = -*(int *)NLMSG_DATA(buffer), fail("dump");
		bytes += (uint64_t)size;
	} while (!is_last(buffer, (size_t)size));
	close(fd);
	return bytes;
}

/* The request of before sock_diag: one pass over the hash table for both families, where the newer one needs two. */
static uint64_t dump_tcp(bool walk)
{
	struct {
		struct nlmsghdr header;
		struct inet_diag_req body;
		struct bytecode filter;
	} request = {
		.header = {.nlmsg_len = sizeof(request),
			.nlmsg_type = TCPDIAG_GETSOCK,
			.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
			.nlmsg_seq = 1},
		.body = {.idiag_family = AF_INET, .idiag_states = walk ? ~0u : ~(1u << BOUND_INACTIVE)},
		.filter = port_filter(),
	};

	return dump(&request.header);
}

static uint64_t dump_udp(uint8_t family)
{
	struct {
		struct nlmsghdr header;
		struct inet_diag_req_v2 body;
		struct bytecode filter;
	} request = {
		.header = {.nlmsg_len = sizeof(request),
			.nlmsg_type = SOCK_DIAG_BY_FAMILY,
			.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
			.nlmsg_seq = 1},
		.body = {.sdiag_family = family, .sdiag_protocol = IPPROTO_UDP, .idiag_states = ~0u},
		.filter = port_filter(),
	};

	return dump(&request.header);
}

static void read_range(void)
{
	FILE *file = fopen("/proc/sys/net/ipv4/ip_local_port_range", "r");

	if (file == NULL || fscanf(file, "%hu %hu", &range_low, &range_high) != 2)
		fail("ip_local_port_range");
	fclose(file);
}

int main(void)
{
	char line[64];
	unsigned polls, walks;

	read_range();
	while (fgets(line, sizeof(line), stdin) != NULL && sscanf(line, "%u %u", &polls, &walks) == 2) {
		struct usage start = usage_now(), cost;
		uint64_t bytes = 0;

		for (unsigned i = 0; i < polls; i++) {
			pause_between_polls();
			bytes += dump_tcp(i < walks) + dump_udp(AF_INET) + dump_udp(AF_INET6);
		}
		cost = usage_since(start);
		printf("cpu_us=%llu wall_us=%llu bytes=%llu\n", (unsigned long long)cost.cpu_us,
			(unsigned long long)cost.wall_us, (unsigned long long)bytes);
		fflush(stdout);
	}
	return EXIT_SUCCESS;
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "report/report.h"

#include <net/if.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

#include "count/address.h"
#include "kernel/holders.h"
#include "kernel/netns.h"
#include "kernel/owner_names.h"
#include "report/text.h"

#define TEXT_WIDTH 80
#define ENDPOINT_MAX (PW_ADDRESS_TEXT_MAX + 8)
#define HELD_MAX (PW_OWNER_TEXT_MAX + PW_HOLDER_PROCESSES_MAX + 4)

static void write_endpoint(
	const struct pw_socket *socket, const uint8_t bytes[16], uint32_t zone, uint16_t port, char text[ENDPOINT_MAX])
{
	const struct pw_address address = pw_address_make(socket->family, bytes, zone);
	char name[IF_NAMESIZE] = "", host[PW_ADDRESS_TEXT_MAX];

	if (port == 0) {
		strcpy(text, "-");
		return;
	}
	if (zone != 0 && if_indextoname(zone, name) != NULL)
		pw_text_safe(name, false, name, sizeof(name));
	pw_address_text(&address, name, host);
	snprintf(text, ENDPOINT_MAX, socket->family == AF_INET6 ? "[%s]:%u" : "%s:%u", host, port);
}

/* An orphan is a connection that its program has closed, and a connection that nobody has accepted. */
static void write_holder(struct pw_owner_names *names, const struct pw_holder *holder, char text[HELD_MAX])
{
	const struct pw_socket *socket = &holder->socket;
	char owner[PW_OWNER_TEXT_MAX];

	if (socket->state == PW_TIME_WAIT) {
		snprintf(text, HELD_MAX, "nobody, for another %u s", (socket->expires_ms + 999) / 1000);
		return;
	}
	if ((socket->flags & PW_SOCKET_HAS_OWNER) == 0) {
		snprintf(text, HELD_MAX, "%s",
			socket->state == PW_ESTABLISHED || socket->state == PW_SYN_RECV ? "nobody yet: not accepted"
											: "nobody: closed");
		return;
	}
	pw_owner_names_find(names, socket->cgroup, socket->uid, owner, sizeof(owner));
	snprintf(text, HELD_MAX, "%s%s%s", owner, holder->processes[0] != '\0' ? ": " : "", holder->processes);
}

static void print_lines(FILE *out, const struct pw_holders *holders, struct pw_owner_names *names)
{
	static const char *const tcp_states[] = {"?", "ESTABLISHED", "SYN_SENT", "SYN_RECV", "FIN_WAIT1", "FIN_WAIT2",
		"TIME_WAIT", "bound", "CLOSE_WAIT", "LAST_ACK", "LISTEN", "CLOSING"};
	char local[ENDPOINT_MAX], remote[ENDPOINT_MAX], held[HELD_MAX];
	int local_width = 5, remote_width = 6;

	/* twice: the first time for the widths */
	for (int pass = 0; pass < 2; pass++) {
		if (pass == 1)
			fprintf(out, "%-5s %-11s %-*s %-*s %s\n", "PROTO", "STATE", local_width, "LOCAL", remote_width,
				"REMOTE", "HELD BY");
		for (size_t i = 0; i < holders->n; i++) {
			const struct pw_socket *s = &holders->list[i].socket;
			const bool udp = s->protocol == IPPROTO_UDP;
			const char *state = !udp             ? tcp_states[s->state]
				: s->state == PW_ESTABLISHED ? "connected"
							     : "bound";

			write_endpoint(s, s->local, s->ifindex, s->local_port, local);
			write_endpoint(s, s->remote, 0, s->remote_port, remote);
			if (pass == 0) {
				local_width = local_width < (int)strlen(local) ? (int)strlen(local) : local_width;
				remote_width = remote_width < (int)strlen(remote) ? (int)strlen(remote) : remote_width;
				continue;
			}
			write_holder(names, &holders->list[i], held);
			fprintf(out, "%-5s %-11s %-*s %-*s %s\n", udp ? "udp" : "tcp", state, local_width, local,
				remote_width, remote, held);
		}
	}
}

/* What the range has to do with it. */
static void advise(FILE *out, const struct pw_holders *holders, uint16_t port, unsigned width)
{
	const struct pw_range *range = &holders->range;
	bool listens = false, udp = false;
	char text[512];

	for (size_t i = 0; i < holders->n; i++) {
		listens = listens || holders->list[i].socket.state == PW_LISTEN;
		udp = udp || holders->list[i].socket.protocol == IPPROTO_UDP;
	}
	if (port < range->low || port > range->high)
		snprintf(text, sizeof(text),
			"Port %u is outside of the ephemeral range %u-%u: only a program that asks for it gets it.",
			port, range->low, range->high);
	else if (pw_portset_has(&range->reserved, port))
		snprintf(text, sizeof(text),
			"Port %u is reserved (net.ipv4.ip_local_reserved_ports): only a program that asks for it "
			"gets it.",
			port);
	else if (listens)
		snprintf(text, sizeof(text),
			"A service listens on port %u inside of the ephemeral range %u-%u, and it is not reserved: "
			"when the service restarts, a connect() may have taken it. "
			"Reserve it: net.ipv4.ip_local_reserved_ports.",
			port, range->low, range->high);
	else if (holders->n > 0 && !udp)
		snprintf(text, sizeof(text),
			"Nobody listens on port %u. It is inside of the ephemeral range %u-%u and not reserved, so "
			"any connect() or bind() without a port may take it; a service that wants it fails with "
			"EADDRINUSE until it is free again. Reserve what services use: "
			"net.ipv4.ip_local_reserved_ports.",
			port, range->low, range->high);
	else
		snprintf(text, sizeof(text),
			"Port %u is inside of the ephemeral range %u-%u and not reserved: it may be given to anybody.",
			port, range->low, range->high);
	pw_text_wrap(out, text, width, "", "");
}

int pw_who_print(FILE *out, const struct pw_options *options, struct pw_error *err)
{
	const uint16_t port = (uint16_t)options->who;
	struct pw_holders holders = {0};
	struct pw_owner_names *names;
	bool gone, hidden = false;
	int result;

	if (options->n_netns > 0 && pw_netns_enter(options->netns[0], 0, &gone, err) < 0)
		return -1;
	names = pw_owner_names_new();
	result = names != NULL ? pw_holders_read(&holders, port, err) : pw_error_set(err, "out of memory");
	/* a socket has a process that was not found: that of another user */
	for (size_t i = 0; i < holders.n; i++)
		hidden = hidden || (holders.list[i].socket.inode != 0 && holders.list[i].processes[0] == '\0');
	if (result == 0) {
		if (holders.n == 0)
			fprintf(out, "Nobody holds port %u.\n", port);
		else /* inside: the names of interfaces are those of the namespace */
			print_lines(out, &holders, names);
		if (hidden && geteuid() != 0)
			fputs("Processes of other users are shown to root only.\n", out);
		advise(out, &holders, port, TEXT_WIDTH);
		if (fflush(out) != 0)
			result = pw_error_set(err, "standard output could not be written");
	}
	if (options->n_netns > 0)
		pw_netns_leave();
	pw_owner_names_free(names);
	pw_holders_clear(&holders);
	return result;
}

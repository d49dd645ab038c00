/* SPDX-License-Identifier: BSD-2-Clause */
#include "ledger.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "count/socket.h"
#include "quirks.h"
#include "space.h"

/* TIME_WAIT timers tick in jiffies: at HZ=250 an age is known to 4 ms; 1 more for the rounding to milliseconds. */
#define TICK_US 5000
#define SETTLE_US 1000000

/* --- the book ----------------------------------------------------------------------------------------------------- */

void ledger_clear(struct ledger *ledger)
{
	free(ledger->entries);
	memset(ledger, 0, sizeof(*ledger));
}

static struct pw_address from_sockaddr(const struct sockaddr_storage *s, uint32_t zone, uint16_t *port)
{
	const struct sockaddr_in *in = (const struct sockaddr_in *)s;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)s;

	if (s->ss_family == AF_INET) {
		*port = ntohs(in->sin_port);
		return pw_address_make(AF_INET, &in->sin_addr, zone);
	}
	*port = ntohs(in6->sin6_port);
	return pw_address_make(AF_INET6, &in6->sin6_addr, zone);
}

uint8_t ledger_tcp_state(int fd)
{
	struct tcp_info info;
	socklen_t len = sizeof(info);

	return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0 ? info.tcpi_state : 0;
}

/* Names, state and v6only of an open socket. */
static void read_socket(struct entry *e)
{
	struct sockaddr_storage name;
	socklen_t len = sizeof(name);
	int v6only = 0;

	e->remote = (struct pw_address){.family = AF_UNSPEC};
	e->remote_port = 0;
	getsockname(e->fd, (struct sockaddr *)&name, &len);
	e->v6_socket = name.ss_family == AF_INET6;
	e->local = from_sockaddr(&name, e->local.zone, &e->port);
	len = sizeof(name);
	if (getpeername(e->fd, (struct sockaddr *)&name, &len) == 0)
		e->remote = from_sockaddr(&name, 0, &e->remote_port);
	len = sizeof(v6only);
	if (e->v6_socket && getsockopt(e->fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6only, &len) == 0)
		e->v6only = v6only != 0;
	if (e->protocol == IPPROTO_UDP)
		e->state = e->remote_port != 0 ? PW_ESTABLISHED : PW_CLOSE;
	else
		e->state = ledger_tcp_state(e->fd);
}

static struct entry *append(struct ledger *ledger)
{
	if (ledger->n == ledger->size) {
		size_t size = ledger->size == 0 ? 64 : ledger->size * 2;
		struct entry *bigger = realloc(ledger->entries, size * sizeof(*bigger));

		if (bigger == NULL)
			abort();
		ledger->entries = bigger;
		ledger->size = size;
	}
	return memset(&ledger->entries[ledger->n++], 0, sizeof(struct entry));
}

int ledger_add(struct ledger *ledger, int fd, uint8_t protocol, enum giver giver, uint32_t zone, const char *story)
{
	struct entry *e = append(ledger);
	int position = (int)(e - ledger->entries);

	e->fd = fd;
	e->peer = -1;
	e->protocol = protocol;
	e->giver = giver;
	e->local.zone = zone;
	snprintf(e->story, sizeof(e->story), "%s", story);
	read_socket(e);
	/* getpeername() fails in SYN_SENT, whose remote end the caller knows */
	e->connected = e->state != PW_CLOSE && e->state != PW_LISTEN;
	if (protocol == IPPROTO_TCP && e->remote_port != 0)
		ledger_taken(ledger, &e->local, e->port, &e->remote, e->remote_port, position);
	return position;
}

int ledger_copy(struct ledger *ledger, const struct entry *entry)
{
	struct entry *e = append(ledger);

	*e = *entry;
	return (int)(e - ledger->entries);
}

void ledger_orphan(struct ledger *ledger, int position, uint8_t state, uint64_t born_us)
{
	struct entry *e = &ledger->entries[position];

	e->fd = -1;
	e->state = state;
	e->confirmed = false;
	e->born_us = born_us;
	e->settled_us = space_now_us();
}

void ledger_gone(struct ledger *ledger, int position)
{
	struct entry *e = &ledger->entries[position];

	e->fd = -1;
	e->gone = true;
}

bool ledger_time_wait(const struct entry *e)
{
	return e->fd < 0 && (e->state == PW_TIME_WAIT || (e->replaced && quirks.takes_orphans));
}

static bool same_ends(const struct entry *e, const struct pw_address *local, uint16_t port,
	const struct pw_address *remote, uint16_t remote_port)
{
	return e->port == port && e->remote_port == remote_port && pw_address_equal(&e->local, local) &&
		pw_address_equal(&e->remote, remote);
}

void ledger_taken(struct ledger *ledger, const struct pw_address *local, uint16_t port, const struct pw_address *remote,
	uint16_t remote_port, int except)
{
	for (size_t i = 0; i < ledger->n; i++) {
		struct entry *e = &ledger->entries[i];

		if ((int)i != except && !e->gone && ledger_time_wait(e) &&
			same_ends(e, local, port, remote, remote_port))
			e->gone = true;
	}
}

/* --- what the kernel says about orphans ------------------------------------------------------------------------------ */

/* portwatch takes dumps. Here one socket is looked up by its ends, as for a packet that comes in. */
struct lookup {
	struct nlmsghdr header;
	struct inet_diag_req_v2 request;
};

struct lookup_answer {
	struct nlmsghdr header;
	union {
		struct inet_diag_msg message;
		struct nlmsgerr error;
		char room[512];
	};
};

static struct lookup lookup_of(const struct entry *e)
{
	struct lookup l = {
		.header = {.nlmsg_len = sizeof(l), .nlmsg_type = SOCK_DIAG_BY_FAMILY, .nlmsg_flags = NLM_F_REQUEST},
		.request = {.sdiag_family = (uint8_t)e->local.family,
			.sdiag_protocol = IPPROTO_TCP,
			.idiag_states = UINT32_MAX}};
	struct inet_diag_sockid *id = &l.request.id;

	id->idiag_sport = htons(e->port);
	id->idiag_dport = htons(e->remote_port);
	memcpy(id->idiag_src, e->local.bytes, sizeof(id->idiag_src));
	memcpy(id->idiag_dst, e->remote.bytes, sizeof(id->idiag_dst));
	id->idiag_if = e->local.zone;
	memset(id->idiag_cookie, 0xff, sizeof(id->idiag_cookie)); /* any */
	return l;
}

#define TIMER_OF_TIME_WAIT 3

/* The state of the socket with the ends of this entry; 0 when there is none. */
static uint8_t look_up(int netlink, struct entry *e)
{
	struct lookup l = lookup_of(e);
	struct lookup_answer answer;
	const struct inet_diag_sockid *id = &answer.message.id;

	if (send(netlink, &l, sizeof(l), 0) < 0 ||
		recv(netlink, &answer, sizeof(answer), 0) < (ssize_t)sizeof(answer.header))
		return 0;
	if (answer.header.nlmsg_type != SOCK_DIAG_BY_FAMILY || id->idiag_dport != l.request.id.idiag_dport)
		return 0; /* nothing, or the listener that such a packet would go to */
	/* what a packet finds may be a twin that is not bound to the device: then there is nothing to be learned */
	if (id->idiag_if != e->local.zone)
		return e->state;
	e->replaced = answer.message.idiag_state == PW_FIN_WAIT2 && answer.message.idiag_timer == TIMER_OF_TIME_WAIT;
	return answer.message.idiag_state;
}

/* What softirqs did late happened before it was seen. */
static void confirm(struct entry *e)
{
	if (!e->confirmed)
		e->settled_us = space_now_us();
	e->confirmed = true;
}

/* Compares the orphans with what the kernel has. Returns how many are not in the expected state; with `adopt` the book takes over what
 * is there. */
static size_t check_orphans(struct ledger *ledger, bool adopt)
{
	int netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	size_t different = 0;

	for (size_t i = 0; i < ledger->n; i++) {
		struct entry *e = &ledger->entries[i];
		uint8_t state = e->gone || e->fd >= 0 ? 0 : look_up(netlink, e);

		if (e->gone || e->fd >= 0)
			continue;
		if (state == e->state)
			confirm(e);
		else
			different++;
		e->gone = adopt && state == 0;
		e->state = adopt ? state : e->state;
	}
	close(netlink);
	return different;
}

void ledger_reread(struct ledger *ledger, int position)
{
	struct entry *e = &ledger->entries[position];
	struct pw_address remote = e->remote;
	uint16_t remote_port = e->remote_port;

	read_socket(e);
	if (e->remote_port == 0 && e->state == PW_SYN_SENT) { /* getpeername() tells nothing yet */
		e->remote = remote;
		e->remote_port = remote_port;
	}
}

/* Whether there are orphans; with `news` only those that were not yet seen. */
static bool has_orphans(const struct ledger *ledger, bool news)
{
	for (size_t i = 0; i < ledger->n; i++)
		if (!ledger->entries[i].gone && ledger->entries[i].fd < 0 && !(news && ledger->entries[i].confirmed))
			return true;
	return false;
}

void ledger_settle(struct ledger *ledger)
{
	uint64_t end = space_now_us() + SETTLE_US;

	while (has_orphans(ledger, true) && check_orphans(ledger, false) != 0 && space_now_us() < end)
		space_sleep_us(500);
}

void ledger_refresh(struct ledger *ledger)
{
	for (size_t i = 0; i < ledger->n; i++)
		if (!ledger->entries[i].gone && ledger->entries[i].fd >= 0)
			ledger_reread(ledger, (int)i);
	ledger_settle(ledger);
	if (has_orphans(ledger, false))
		check_orphans(ledger, true);
}

bool ledger_moved(struct ledger *ledger)
{
	int netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	bool moved = false;

	for (size_t i = 0; i < ledger->n && !moved; i++) {
		struct entry *e = &ledger->entries[i];

		if (e->gone || e->protocol != IPPROTO_TCP || ledger_time_wait(e))
			continue;
		moved = (e->fd >= 0 ? ledger_tcp_state(e->fd) : look_up(netlink, e)) != e->state;
	}
	close(netlink);
	return moved;
}

/* --- the rules ---------------------------------------------------------------------------------------------------------- */

/* Whether the socket sits on a bind bucket: one with an automatic port loses it when the connection is reset. */
static bool holds_port(const struct entry *e)
{
	if (e->gone || e->port == 0)
		return false;
	return e->protocol == IPPROTO_UDP || e->state != PW_CLOSE || e->explicit_port || !e->connected;
}

static bool foreign(const struct entry *e)
{
	return e->protocol == IPPROTO_TCP && holds_port(e) && e->giver != GIVEN_BY_CONNECT && !e->half_open;
}

void ledger_blocked(const struct ledger *ledger, const struct pw_range *range, struct pw_portset *out)
{
	struct pw_portset capacity;

	pw_portset_clear(out);
	for (size_t i = 0; i < ledger->n; i++)
		if (foreign(&ledger->entries[i]))
			pw_portset_add(out, ledger->entries[i].port);
	pw_range_capacity(range, &capacity);
	pw_portset_intersect(out, &capacity);
}

enum readiness { READY_NO, READY_UNSURE, READY_YES };

/* Whether connect() to the same tuple takes this socket over (tcp_twsk_unique()). */
static enum readiness reusable(const struct entry *e, const struct pw_range *range, struct window window)
{
	uint64_t delay_us = (uint64_t)range->tw_reuse_delay_ms * 1000;
	bool loopback = pw_address_is_loopback(&e->local) || pw_address_is_loopback(&e->remote);

	if (!ledger_time_wait(e) || !range->timestamps || range->tw_reuse == PW_TW_REUSE_OFF)
		return READY_NO;
	if (range->tw_reuse == PW_TW_REUSE_LOOPBACK && !loopback && e->local.zone != space_ifindex(DEVICE_LO))
		return READY_NO;
	/* before 6.14 the seconds of the clock have to differ */
	if (space_since(6, 14) && window.to_us + TICK_US - e->born_us <= delay_us)
		return READY_NO;
	return window.from_us > e->settled_us + delay_us + TICK_US ? READY_YES : READY_UNSURE;
}

/* Own sockets of a connect pool, those that collide with it: of the device and, for a pool of a device, without one. */
static bool same_tuple(const struct entry *e, const struct pw_pool_key *key)
{
	struct pw_address local = key->local;

	if (e->protocol != IPPROTO_TCP || !holds_port(e) || e->state == PW_LISTEN || e->state == PW_CLOSE)
		return false;
	if (e->remote_port != key->port || !pw_address_equal(&e->remote, &key->remote))
		return false;
	if (pw_address_equal(&e->local, &local))
		return true;
	local.zone = 0;
	return pw_address_equal(&e->local, &local);
}

static void expect_connect(const struct ledger *ledger, const struct pw_range *range, const struct pw_pool_key *key,
	struct window window, struct expectation *out)
{
	struct pw_portset blocked, listening;

	pw_portset_clear(&listening);
	for (size_t i = 0; i < ledger->n; i++) {
		const struct entry *e = &ledger->entries[i];
		enum readiness ready;

		if (!e->gone && e->protocol == IPPROTO_TCP && e->state == PW_LISTEN)
			pw_portset_add(&listening, e->port);
		if (!same_tuple(e, key))
			continue;
		ready = reusable(e, range, window);
		pw_portset_add(&out->used, e->port);
		if (!ledger_time_wait(e))
			pw_portset_add(&out->active, e->port);
		if (ready == READY_NO)
			pw_portset_remove(&out->open, e->port);
		else if (ready == READY_UNSURE)
			pw_portset_add(&out->unsure, e->port);
	}
	ledger_blocked(ledger, range, &blocked);
	pw_portset_subtract(&out->open, &blocked);
	pw_portset_intersect(&out->unsure, &out->open);
	pw_portset_subtract(&out->used, &listening); /* what sits on a listener's port is inbound */
	pw_portset_subtract(&out->active, &listening);
}

/* inet_rcv_saddr_equal() without relaxation */
static bool bind_conflict(const struct entry *e, const struct pw_pool_key *key)
{
	bool any = pw_address_is_any(&key->local), other_any = pw_address_is_any(&e->local);

	if (e->protocol != key->protocol || !holds_port(e) || e->half_open)
		return false;
	if (e->local.zone != 0 && key->local.zone != 0 && e->local.zone != key->local.zone)
		return false;
	if (e->local.family == key->local.family)
		return any || other_any || memcmp(e->local.bytes, key->local.bytes, sizeof(e->local.bytes)) == 0;
	if (key->local.family == AF_INET6)
		return any;
	return (any || other_any) && !e->v6only;
}

/* Whether a socket's v6only decides, and no dump shows it. */
static bool v6only_hidden(const struct entry *e, const struct pw_pool_key *key)
{
	return key->local.family == AF_INET && e->local.family == AF_INET6 && e->state != PW_LISTEN &&
		e->state != PW_CLOSE && e->protocol == key->protocol && holds_port(e) &&
		(pw_address_is_any(&key->local) || pw_address_is_any(&e->local));
}

static void expect_bind(const struct ledger *ledger, const struct pw_pool_key *key, struct expectation *out)
{
	struct pw_portset sure;

	pw_portset_clear(&sure);
	for (size_t i = 0; i < ledger->n; i++) {
		const struct entry *e = &ledger->entries[i];

		if (v6only_hidden(e, key))
			pw_portset_add(&out->hidden, e->port);
		if (!bind_conflict(e, key))
			continue;
		pw_portset_add(&out->used, e->port);
		pw_portset_remove(&out->open, e->port);
		if (!ledger_time_wait(e))
			pw_portset_add(&out->active, e->port);
		if (!v6only_hidden(e, key))
			pw_portset_add(&sure, e->port);
	}
	out->unsure = out->hidden;
	pw_portset_subtract(&out->unsure, &sure);
}

void ledger_expect(const struct ledger *ledger, const struct pw_range *range, const struct pw_pool_key *key,
	struct window window, struct expectation *out)
{
	struct pw_portset capacity;

	memset(out, 0, sizeof(*out));
	pw_range_capacity(range, &capacity);
	out->open = capacity;
	if (key->kind == PW_KIND_CONNECT)
		expect_connect(ledger, range, key, window, out);
	else
		expect_bind(ledger, key, out);
	pw_portset_intersect(&out->used, &capacity);
	pw_portset_intersect(&out->active, &capacity);
	pw_portset_intersect(&out->unsure, &capacity);
}

/* --- words ------------------------------------------------------------------------------------------------------------- */

static const char *state_name(const struct entry *e)
{
	static const char *const names[] = {"?", "ESTABLISHED", "SYN_SENT", "SYN_RECV", "FIN_WAIT1", "FIN_WAIT2",
		"TIME_WAIT", "CLOSE", "CLOSE_WAIT", "LAST_ACK", "LISTEN", "CLOSING"};

	return e->state < sizeof(names) / sizeof(names[0]) ? names[e->state] : "?";
}

void ledger_explain(const struct ledger *ledger, uint16_t port, FILE *out)
{
	static const char *const givers[] = {"connect", "bind", "listen", "accept"};
	uint64_t now = space_now_us();

	for (size_t i = 0; i < ledger->n; i++) {
		const struct entry *e = &ledger->entries[i];
		char local[PW_ADDRESS_TEXT_MAX], remote[PW_ADDRESS_TEXT_MAX];

		if (e->gone || (port != 0 && e->port != port))
			continue;
		fprintf(out, "  #%-3zu %s %s:%u -> %s:%u %s port by %s%s%s%s%s", i,
			e->protocol == IPPROTO_TCP ? "tcp" : "udp", pw_address_text(&e->local, NULL, local), e->port,
			pw_address_text(&e->remote, NULL, remote), e->remote_port, state_name(e), givers[e->giver],
			e->explicit_port ? " (explicit)" : "", e->v6_socket ? " v6-socket" : "",
			e->v6only ? " v6only" : "", holds_port(e) ? "" : " (holds none)");
		if (e->fd < 0)
			fprintf(out, " orphan for %.1f..%.1f ms", (double)(now - e->settled_us) / 1000,
				(double)(now - e->born_us) / 1000);
		fprintf(out, "%s [%s]\n", e->replaced ? " (no more than a TIME_WAIT)" : "", e->story);
	}
}

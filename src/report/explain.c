/* SPDX-License-Identifier: BSD-2-Clause */
#include "report/explain.h"

#include <netinet/in.h>
#include <stdarg.h>

#include "report/text.h"

/* Below this utilization nothing is wrong that advice could mend. */
#define QUIET_BELOW 25

/* A TIME_WAIT share, a live share, a share of blocked and of reserved ports from which they are worth a sentence
 * (percent). */
#define TIME_WAIT_SHARE 25
#define LIVE_SHARE 50
#define BLOCKED_SHARE 1
#define STATE_SHARE 25
#define RESERVED_SHARE 5

/* Seconds that a TIME_WAIT lasts (TCP_TIMEWAIT_LEN). */
#define TIME_WAIT_S 60

/* The kernel's default range and the widest one that leaves the privileged ports alone. */
#define DEFAULT_WIDTH (60999 - 32768 + 1)
#define WIDEST_LOW 1024
#define WIDEST_HIGH 65535

/* Width of the text where there is no terminal. */
#define TEXT_WIDTH 80

/* The case to be explained. */
struct matter {
	const struct pw_pool_row *row;
	const struct pw_pool_counts *counts;
	const struct pw_ns_row *ns;
	const struct pw_facts *facts;
	const struct pw_report *report;
	const struct pw_view *view;
	unsigned width;
	FILE *out;
};

static uint32_t share(uint32_t part, uint32_t whole)
{
	return whole == 0 ? 0 : (uint32_t)((uint64_t)part * 100 / whole);
}

/* One paragraph of the explanation. */
static void say(const struct matter *m, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void say(const struct matter *m, const char *format, ...)
{
	char text[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	pw_text_wrap(m->out, text, m->width, m->view->unicode ? "• " : "- ", "  ");
}

static bool is_connect(const struct matter *m)
{
	return m->row->key.kind == PW_KIND_CONNECT;
}

static bool is_loopback(const struct matter *m)
{
	return pw_address_is_loopback(&m->row->key.local) || pw_address_is_loopback(&m->row->key.remote);
}

static void headline(const struct matter *m)
{
	const struct pw_pool_counts *c = m->counts;
	char name[PW_POOL_NAME_MAX], text[1024], label[128], title[160] = "";

	pw_text_safe(m->row->name, m->view->unicode, name, sizeof(name));
	pw_text_safe(m->row->label, m->view->unicode, label, sizeof(label));
	if (label[0] != '\0')
		snprintf(title, sizeof(title), " (%s)", label);
	snprintf(text, sizeof(text),
		"%s%s is at %u %% (%s): %u of %u ports free, %u used (%u in TIME_WAIT), %u blocked by other "
		"sockets.",
		name, title, c->utilization, pw_state_name(m->row->state), c->free, c->capacity, c->used, c->time_wait,
		c->blocked);
	pw_text_wrap(m->out, text, m->width, "", "");
}

/* What callers see now: the errors of __inet_hash_connect(), inet_csk_get_port(), and inet_autobind() for UDP. */
static void tell_exhausted(const struct matter *m)
{
	const struct pw_pool_key *key = &m->row->key;

	if (m->counts->free > 0)
		return;
	if (key->kind == PW_KIND_CONNECT)
		say(m,
			"Right now connect() from %s to %s port %u fails with EADDRNOTAVAIL (\"Cannot assign requested "
			"address\").",
			m->row->local_text, m->row->remote_text, key->port);
	else if (key->kind == PW_KIND_BIND)
		say(m, "Right now bind() to %s with port 0 fails with EADDRINUSE (\"Address already in use\")%s.",
			m->row->local_text,
			key->protocol == IPPROTO_UDP && pw_address_is_any(&key->local)
				? ", and connect() and sendto() of a UDP socket without a port with EAGAIN"
				: "");
}

/* nf_nat drops the packet and says nothing to the client. */
static void tell_snat(const struct matter *m)
{
	const struct pw_pool_row *row = m->row;

	if (row->key.kind != PW_KIND_SNAT)
		return;
	if (m->counts->free == 0)
		say(m,
			"Right now the first packet of each further connection through %s to %s port %u is dropped: "
			"the client "
			"waits for an answer until it gives up.",
			row->local_text, row->remote_text, row->key.port);
	else if (m->counts->capacity > 128 && m->counts->utilization >= 85)
		say(m,
			"The search for a free port gives up after 248 tries, and fails now and then although %u are "
			"free.",
			m->counts->free);
	say(m,
		"%u connections through %s to this address and port hold a port each, those of this host itself "
		"included. "
		"A further address in the NAT rule, a wider port range in it, or a further address or port of the "
		"destination "
		"gives as many more.",
		m->counts->used, row->local_text);
	if (m->counts->time_wait > 0)
		say(m,
			"%u of them are closed and wait for net.netfilter.nf_conntrack_tcp_timeout_time_wait to pass: "
			"lower it.",
			m->counts->time_wait);
	if (m->ns->snat_failures > 0)
		say(m, "%llu packets found no entry since the start (insert_failed).",
			(unsigned long long)m->ns->snat_failures);
}

static void tell_slow(const struct matter *m)
{
	if (!is_connect(m) || m->counts->fast_free > 0 || m->counts->free == 0)
		return;
	if (m->ns->reserved >= (m->ns->high - m->ns->low + 1) / 2 &&
		m->counts->used + m->counts->blocked < m->ns->reserved)
		return; /* nearly all of that parity are reserved: they are passed over, and cost little */
	say(m,
		"None of the %u free ports has the parity that connect() tries first (that of port %u), so every "
		"connect() "
		"searches half of the range before it finds one: about 50 times slower than below 50 %%.",
		m->counts->free, m->ns->low);
}

static void tell_latency(const struct matter *m)
{
	if (m->row->alloc_latency_us > 0)
		say(m, "Finding a free port took the kernel %u us just now.", m->row->alloc_latency_us);
}

static void tell_growth(const struct matter *m)
{
	int32_t lost = m->row->recent_growth;
	char left[PW_TEXT_SHORT_MAX];

	if (lost <= 0 || m->counts->free == 0)
		return;
	if (m->row->recent_time_to_exhaustion == PW_NOT_IN_SIGHT)
		say(m, "It loses %d free ports a minute.", lost);
	else
		say(m, "It loses %d free ports a minute; at this rate the last one is gone in %s.", lost,
			pw_text_duration(m->row->recent_time_to_exhaustion, left));
}

/* TIME_WAIT belongs to the kernel alone: the dump has no user for it. */
static void tell_owner(const struct matter *m)
{
	char owner[PW_OWNER_TEXT_MAX];

	pw_text_safe(m->row->owner, m->view->unicode, owner, sizeof(owner));
	if (owner[0] != '\0')
		say(m, "Its sockets belong to %s%s.", owner,
			m->counts->time_wait > 0 ? "; those in TIME_WAIT have no owner any more" : "");
	else if (m->counts->used > 0 && m->counts->time_wait == m->counts->used)
		say(m, "All of its sockets are in TIME_WAIT: these have no owner any more.");
}

/* What tcp_tw_reuse does for this pool, or would do. */
static void tell_reuse(const struct matter *m)
{
	if (!is_connect(m))
		say(m,
			"A port in TIME_WAIT is refused to bind() for the whole %u s, whatever net.ipv4.tcp_tw_reuse "
			"says.",
			TIME_WAIT_S);
	else if (!m->facts->timestamps)
		say(m,
			"net.ipv4.tcp_timestamps is 0, and without timestamps no port in TIME_WAIT is handed out "
			"again: with 1 (and "
			"net.ipv4.tcp_tw_reuse = 1) connect() could take these over after %u ms.",
			m->facts->tw_reuse_delay_ms);
	else if (m->ns->tw_reuse == PW_TW_REUSE_OFF)
		say(m,
			"net.ipv4.tcp_tw_reuse is 0: with 1, connect() takes over a port in TIME_WAIT after %u ms, if "
			"the remote "
			"side uses TCP timestamps.",
			m->facts->tw_reuse_delay_ms);
	else if (m->ns->tw_reuse == PW_TW_REUSE_LOOPBACK && !is_loopback(m))
		say(m,
			"net.ipv4.tcp_tw_reuse is 2, which helps loopback addresses only: with 1, connect() takes over "
			"a port in "
			"TIME_WAIT after %u ms here too, if the remote side uses TCP timestamps.",
			m->facts->tw_reuse_delay_ms);
	else
		say(m,
			"%u of these %u can be taken over by connect() right now (net.ipv4.tcp_tw_reuse is %d) and "
			"count as free; "
			"of the others the remote side sends no TCP timestamps, or they are younger than %u ms.",
			m->counts->reusable, m->counts->time_wait, (int)m->ns->tw_reuse, m->facts->tw_reuse_delay_ms);
}

static void tell_time_wait(const struct matter *m)
{
	const struct pw_pool_counts *c = m->counts;

	if (m->row->key.kind == PW_KIND_SNAT || c->time_wait == 0 || share(c->time_wait, c->used) < TIME_WAIT_SHARE)
		return;
	say(m,
		"%u of the %u used ports (%u %%) are in TIME_WAIT: this side closes about %u connections a second and "
		"each "
		"holds its port for another %u s. Keep connections open (HTTP keep-alive, a connection pool), or let "
		"the peer "
		"close first.",
		c->time_wait, c->used, share(c->time_wait, c->used), (c->time_wait + TIME_WAIT_S - 1) / TIME_WAIT_S,
		TIME_WAIT_S);
	tell_reuse(m);
}

static bool same_destination(const struct pw_pool_key *a, const struct pw_pool_key *b)
{
	return a->ns == b->ns && a->kind == b->kind && a->protocol == b->protocol && a->port == b->port &&
		pw_address_equal(&a->remote, &b->remote);
}

/* Other local addresses that connect to the same address and port. */
static uint32_t other_sources(const struct matter *m)
{
	const struct pw_snapshot *snapshot = m->report->selection.snapshot;
	uint32_t found = 0;

	for (size_t i = 0; i < snapshot->n_pools; i++)
		found += same_destination(&snapshot->pools[i].key, &m->row->key);
	return found > 0 ? found - 1 : 0;
}

/* Each of these has somebody else to mend it, and none is mended by more ports. Returns whether one was told. */
static bool tell_states(const struct matter *m)
{
	const struct pw_pool_states *s = &m->row->states;
	bool syn = share(s->syn_sent, m->counts->used) >= STATE_SHARE;
	bool close = share(s->close_wait, m->counts->used) >= STATE_SHARE;
	bool fin = share(s->fin_wait, m->counts->used) >= STATE_SHARE;

	if (m->row->key.kind == PW_KIND_BIND)
		return false;
	if (syn)
		say(m,
			"%u of its connections are in SYN_SENT: %s port %u does not answer (a dead server, or a "
			"firewall on the "
			"way). Each try holds its port until it is given up (net.ipv4.tcp_syn_retries: about two "
			"minutes). Mend the "
			"destination, or let the client give up sooner.",
			s->syn_sent, m->row->remote_text, m->row->key.port);
	if (close)
		say(m,
			"%u of its connections are in CLOSE_WAIT: %s has closed them, and the program here has not. "
			"They stay until "
			"it calls close() or ends: it leaks sockets. More ports only put off the end.",
			s->close_wait, m->row->remote_text);
	if (fin)
		say(m,
			"%u of its connections are in FIN_WAIT or LAST_ACK: the program here has closed them, and %s "
			"does not go "
			"along. A program that calls shutdown() and keeps the socket holds its port as long as the "
			"other side likes; "
			"after close() it is net.ipv4.tcp_fin_timeout (60 s).",
			s->fin_wait, m->row->remote_text);
	return syn || close || fin;
}

static void tell_destination(const struct matter *m)
{
	const struct pw_pool_counts *c = m->counts;
	uint32_t live = c->used - c->time_wait, others = other_sources(m);
	char more[96] = "";

	if (tell_states(m) || !is_connect(m) || share(live, c->used) < LIVE_SHARE)
		return;
	if (others > 0)
		snprintf(more, sizeof(more), " (%u other local address%s this destination already)", others,
			others == 1 ? " uses" : "es use");
	say(m,
		"%u live connections go from one local address to one destination, %s port %u, and each needs a port "
		"of its own. "
		"A further local address%s, or a further address or port of the destination, gives %u more.",
		live, m->row->remote_text, m->row->key.port, more, c->capacity - m->ns->blocked);
}

static void tell_blocked(const struct matter *m)
{
	uint32_t blocked = m->ns->blocked, bound, others;

	if (!is_connect(m) || blocked == 0 || share(blocked, m->counts->capacity) < BLOCKED_SHARE)
		return;
	bound = m->facts->bound < blocked ? m->facts->bound : blocked;
	others = blocked - bound;
	say(m,
		"%u ports of the range (%u %%) are closed to every connect(): %u by sockets that took their port by "
		"bind() "
		"(or outlived their listener), %u by listeners and the connections that they accepted.",
		blocked, share(blocked, m->counts->capacity), bound, others);
	if (bound > 0)
		say(m,
			"If these are clients that bind() their local address with port 0 before connect(): with "
			"IP_BIND_ADDRESS_NO_PORT they take their ports per destination, and the %u open up again. "
			"Ports that a "
			"program chooses itself stay taken: let it choose outside of %u-%u.",
			bound, m->ns->low, m->ns->high);
	if (share(others, m->counts->capacity) >= BLOCKED_SHARE)
		say(m, "Listen on ports outside %u-%u: %u ports of the range go to inbound connections.", m->ns->low,
			m->ns->high, others);
}

static void tell_range(const struct matter *m)
{
	uint32_t width = m->ns->high - m->ns->low + 1, widest = WIDEST_HIGH - WIDEST_LOW + 1;

	if (m->row->key.kind == PW_KIND_SNAT)
		return;
	if (width < DEFAULT_WIDTH)
		say(m,
			"The range %u-%u has only %u ports, the kernel's default has %u: widen "
			"net.ipv4.ip_local_port_range, up to "
			"%u-%u (%u ports).",
			m->ns->low, m->ns->high, width, DEFAULT_WIDTH, WIDEST_LOW, WIDEST_HIGH, widest);
	else if (width <= widest / 4 * 3)
		say(m,
			"The range %u-%u has %u ports: net.ipv4.ip_local_port_range = %u %u would give %u. Reserve the "
			"ports that "
			"services listen on (net.ipv4.ip_local_reserved_ports) first.",
			m->ns->low, m->ns->high, width, WIDEST_LOW, WIDEST_HIGH, widest);
	if (share(m->ns->reserved, width) >= RESERVED_SHARE)
		say(m, "%u ports of the range (%u %%) are reserved by net.ipv4.ip_local_reserved_ports.",
			m->ns->reserved, share(m->ns->reserved, width));
}

static void tell_tcp_bind(const struct matter *m)
{
	if (m->row->key.kind != PW_KIND_BIND || m->row->key.protocol != IPPROTO_TCP)
		return;
	say(m,
		"bind() with port 0 draws from one pool for each local address, whatever the destination. %u of the %u "
		"used ports "
		"are known to come from bind().",
		m->counts->bound, m->counts->used);
	if (m->row->states.established + m->row->states.syn_sent == 0 && m->counts->time_wait == 0)
		say(m,
			"None of its sockets is connected: listeners on port 0, or sockets that wait for their use. "
			"Close them "
			"sooner, or spread them over more local addresses.");
	else
		say(m,
			"With IP_BIND_ADDRESS_NO_PORT the port of a client is chosen by connect() instead, per "
			"destination.");
	if (!pw_row_has_threshold(m->row))
		say(m,
			"No threshold is in force here: clients that only connect() share ports between destinations "
			"and are not "
			"held up when this pool is full.");
}

static void tell_udp(const struct matter *m)
{
	if (m->row->key.kind != PW_KIND_BIND || m->row->key.protocol != IPPROTO_UDP)
		return;
	if (pw_address_is_any(&m->row->key.local))
		say(m,
			"Each UDP socket that sends or connects without a port of its own takes one that is free on "
			"every address: "
			"%u are gone. A resolver that opens a socket for each query runs out so: let it use fewer "
			"upstream queries at "
			"a time, a local cache, or sockets bound to their local address.",
			m->counts->used);
	else
		say(m,
			"%u UDP ports of this address are taken. One unconnected socket can serve many peers; sockets "
			"of a further "
			"local address have ports of their own.",
			m->counts->used);
}

static void tell_doubt(const struct matter *m)
{
	if (m->facts->unprobed != NULL && m->facts->doubtful > 0)
		say(m,
			"%u ports are in doubt: sockets of unknown origin sit on them (%s). Those that this pool does "
			"not "
			"hold itself count as free, and free can be too high by as many.",
			m->facts->doubtful, m->facts->unprobed);
}

/* Whatever the pool: the next restart of such a service may fail with EADDRINUSE. */
static void tell_listeners(const struct matter *m)
{
	char ports[PW_LISTENERS_SHOWN * 6 + 16] = "";
	size_t len = 0;

	for (uint32_t i = 0; i < m->facts->listening && i < PW_LISTENERS_SHOWN; i++)
		len += (size_t)snprintf(
			ports + len, sizeof(ports) - len, "%s%u", i > 0 ? "," : "", m->facts->listeners[i]);
	if (m->facts->listening > PW_LISTENERS_SHOWN)
		snprintf(ports + len, sizeof(ports) - len, ",...");
	if (len > 0)
		say(m,
			"Services listen on %u %s inside of %u-%u that %s not reserved (%s): when one restarts, a "
			"connect() may have "
			"taken its port. Reserve what they always use: net.ipv4.ip_local_reserved_ports.",
			m->facts->listening, m->facts->listening == 1 ? "port" : "ports", m->ns->low, m->ns->high,
			m->facts->listening == 1 ? "is" : "are", ports);
}

static void advise(const struct matter *m)
{
	static void (*const parts[])(const struct matter *m) = {tell_exhausted, tell_snat, tell_owner, tell_slow,
		tell_latency, tell_growth, tell_time_wait, tell_destination, tell_blocked, tell_tcp_bind, tell_udp,
		tell_range};

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		parts[i](m);
}

void pw_explain_print(FILE *out, const struct pw_report *report, const struct pw_view *view)
{
	const struct pw_selection *selection = &report->selection;
	struct matter m = {
		.report = report, .view = view, .out = out, .width = view->width != 0 ? view->width : TEXT_WIDTH};

	if (selection->n == 0) {
		pw_text_wrap(out, "No pool in sight holds a port: there is nothing to explain.", m.width, "", "");
		return;
	}
	m.row = selection->rows[0];
	m.counts = &m.row->counts;
	m.ns = pw_snapshot_ns(selection->snapshot, m.row->key.ns);
	if (m.ns == NULL)
		return;
	m.facts = pw_report_facts(report, m.ns->index);
	headline(&m);
	if (m.row->state == PW_STATE_NORMAL && m.counts->utilization < QUIET_BELOW)
		say(&m, "That is far from the end (%u %%): nothing needs to be done.", m.counts->utilization);
	else
		advise(&m);
	tell_listeners(&m);
	tell_doubt(&m);
}

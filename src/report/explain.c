/* SPDX-License-Identifier: BSD-2-Clause */
#include "report/explain.h"

#include <ctype.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <string.h>

#include "report/text.h"

/* Below this utilization nothing is wrong that advice could mend. */
#define QUIET_BELOW 25

/* Width of the text where there is no terminal. */
#define TEXT_WIDTH 80

void pw_say(const struct pw_explanation *e, const char *format, ...)
{
	char text[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	pw_text_wrap(e->out, text, e->width, e->view->unicode ? "• " : "- ", "  ");
}

static void headline(const struct pw_explanation *e)
{
	const struct pw_pool_counts *c = e->counts;
	char name[PW_POOL_NAME_MAX], text[1024], label[128], title[160] = "";

	pw_text_safe(e->row->name, e->view->unicode, name, sizeof(name));
	pw_text_safe(e->row->label, e->view->unicode, label, sizeof(label));
	if (label[0] != '\0')
		snprintf(title, sizeof(title), " (%s)", label);
	snprintf(text, sizeof(text),
		"%s%s is at %u %% (%s): %u of %u ports free, %u used (%u in TIME_WAIT), %u blocked by other sockets.",
		name, title, c->utilization, pw_state_name(e->row->state), c->free, c->capacity, c->used, c->time_wait,
		c->blocked);
	pw_text_wrap(e->out, text, e->width, "", "");
}

static void tell_budget(const struct pw_explanation *e)
{
	if (!has_budget(e))
		return;
	if (e->counts->free == 0)
		pw_say(e,
			"None of the %u ports is left that its pool section gives it: what is beyond the budget of a "
			"NAT times out, and a program with a list of ports fails with EADDRINUSE or EADDRNOTAVAIL.",
			e->counts->capacity);
	pw_say(e,
		"More ports come from where these %u do: more ports a machine or more addresses in the NAT, a longer "
		"list in the program. The range %u-%u of this host plays no part.",
		e->counts->capacity, e->ns->low, e->ns->high);
}

/* Where failures are counted, and connects timed. */
static const struct pw_snapshot *counting(const struct pw_explanation *e)
{
	return e->report->beside != NULL ? e->report->beside->snapshot : e->report->selection.snapshot;
}

/* What is explained as it stands there, or NULL. */
static const struct pw_pool_row *counted(const struct pw_explanation *e)
{
	const struct pw_snapshot *snapshot = counting(e);

	for (size_t i = 0; i < snapshot->n_pools; i++)
		if (strcmp(snapshot->pools[i].name, e->row->name) == 0)
			return &snapshot->pools[i];
	return NULL;
}

static void tell_failures(const struct pw_explanation *e)
{
	const struct pw_pool_row *row = counted(e);
	const char *what = e->row->key.kind == PW_KIND_CONNECT ? "connect()"
		: e->row->key.protocol == IPPROTO_TCP          ? "bind()"
							       : "bind(), connect() or sendto()";
	char ago[PW_TEXT_SHORT_MAX];

	if (row == NULL || row->failures == 0)
		return;
	pw_report_failed_ago(e->report, row, ago);
	if (row->failures == 1)
		pw_say(e, "1 call of %s has failed for want of a port, %s ago.", what, ago);
	else
		pw_say(e, "%llu calls of %s have failed for want of a port, the last %s ago.",
			(unsigned long long)row->failures, what, ago);
}

/* Of the pools that are not explained: the one that failed last. */
static void tell_other_failures(const struct pw_explanation *e)
{
	const struct pw_snapshot *snapshot = counting(e);
	const struct pw_pool_row *last = NULL;
	char name[PW_POOL_NAME_MAX], ago[PW_TEXT_SHORT_MAX];
	size_t n = 0;

	for (size_t i = 0; i < snapshot->n_pools; i++) {
		const struct pw_pool_row *row = &snapshot->pools[i];

		if (row->failures == 0 || strcmp(row->name, e->row->name) == 0)
			continue;
		n++;
		if (last == NULL || row->failed_ms > last->failed_ms)
			last = row;
	}
	if (last == NULL)
		return;
	pw_text_safe(last->name, e->view->unicode, name, sizeof(name));
	pw_report_failed_ago(e->report, last, ago);
	pw_say(e, "%zu other %s found no port since portwatchd started: %s, the last time %s ago.", n,
		n == 1 ? "pool has" : "pools have", name, ago);
}

/* What callers see now: the errors of __inet_hash_connect(), inet_csk_get_port(), and inet_autobind() for UDP. */
static void tell_exhausted(const struct pw_explanation *e)
{
	const struct pw_pool_key *key = &e->row->key;

	if (e->counts->free > 0 || has_budget(e))
		return;
	if (pw_pool_is_new_destination(key))
		pw_say(e,
			"Right now connect() to any destination fails with EADDRNOTAVAIL (\"Cannot assign requested "
			"address\"), but where a TIME_WAIT of its own can be taken over.");
	else if (key->kind == PW_KIND_CONNECT)
		pw_say(e,
			"Right now connect() from %s to %s port %u fails with EADDRNOTAVAIL (\"Cannot assign "
			"requested address\").",
			e->row->local_text, e->row->remote_text, key->port);
	else if (key->kind == PW_KIND_BIND)
		pw_say(e, "Right now bind() to %s with port 0 fails with EADDRINUSE (\"Address already in use\")%s.",
			e->row->local_text,
			key->protocol == IPPROTO_UDP && pw_address_is_any(&key->local)
				? ", and connect() and sendto() of a UDP socket without a port with EAGAIN"
				: "");
}

static void tell_slow(const struct pw_explanation *e)
{
	if (!is_connect(e) || has_budget(e) || e->counts->fast_free > 0 || e->counts->free == 0)
		return;
	if (e->ns->reserved >= (e->ns->high - e->ns->low + 1) / 2 &&
		e->counts->used + e->counts->blocked < e->ns->reserved)
		return; /* nearly all of that parity are reserved: they are passed over, and cost little */
	pw_say(e,
		"None of the %u free ports has the parity that connect() tries first (that of port %u), so every "
		"connect() searches half of the range before it finds one: about 50 times slower than below 50 %%.",
		e->counts->free, e->ns->low);
}

static void tell_latency(const struct pw_explanation *e)
{
	const struct pw_pool_row *row = counted(e) != NULL ? counted(e) : e->row;

	if (row->alloc_latency_p99_us > 0)
		pw_say(e,
			"Finding a port takes connect() %u us in half of the cases, and up to %u us in 99 of 100 "
			"(measured in the last seconds).",
			row->alloc_latency_us, row->alloc_latency_p99_us);
	else if (e->row->alloc_latency_us > 0)
		pw_say(e, "Finding a free port took the kernel %u us just now.", e->row->alloc_latency_us);
}

static void tell_growth(const struct pw_explanation *e)
{
	int32_t lost = e->row->recent_growth;
	char left[PW_TEXT_SHORT_MAX];

	if (lost <= 0 || e->counts->free == 0)
		return;
	if (e->row->recent_time_to_exhaustion == PW_NOT_IN_SIGHT)
		pw_say(e, "It loses %d free ports a minute.", lost);
	else
		pw_say(e, "It loses %d free ports a minute; at this rate the last one is gone in %s.", lost,
			pw_text_duration(e->row->recent_time_to_exhaustion, left));
}

/* TIME_WAIT belongs to the kernel alone: the dump has no user for it. */
static void tell_owner(const struct pw_explanation *e)
{
	char owner[PW_OWNER_TEXT_MAX];

	pw_text_safe(e->row->owner, e->view->unicode, owner, sizeof(owner));
	if (owner[0] != '\0')
		pw_say(e, "%s belong to %s%s.",
			pw_pool_is_new_destination(&e->row->key) ? "The sockets that block them" : "Its sockets", owner,
			e->counts->time_wait > 0 ? "; those in TIME_WAIT have no owner any more" : "");
	else if (e->counts->used > 0 && e->counts->time_wait == e->counts->used)
		pw_say(e, "All of its sockets are in TIME_WAIT: these have no owner any more.");
}

/* Whatever the pool: the next restart of such a service may fail with EADDRINUSE. */
static void tell_listeners(const struct pw_explanation *e)
{
	char ports[PW_LISTENERS_SHOWN * 6 + 16] = "";
	size_t len = 0;

	for (uint32_t i = 0; i < e->ns->listening && i < PW_LISTENERS_SHOWN; i++)
		len += (size_t)snprintf(
			ports + len, sizeof(ports) - len, "%s%u", i > 0 ? "," : "", e->ns->listeners[i]);
	if (e->ns->listening > PW_LISTENERS_SHOWN)
		snprintf(ports + len, sizeof(ports) - len, ",...");
	if (len > 0)
		pw_say(e,
			"Services listen on %u %s inside of %u-%u that %s not reserved (%s): when one restarts, a "
			"connect() may have taken its port. Reserve what they always use: "
			"net.ipv4.ip_local_reserved_ports.",
			e->ns->listening, e->ns->listening == 1 ? "port" : "ports", e->ns->low, e->ns->high,
			e->ns->listening == 1 ? "is" : "are", ports);
}

void pw_explain_print(FILE *out, const struct pw_report *report, const struct pw_view *view)
{
	static void (*const advice[])(const struct pw_explanation *e) = {tell_exhausted, tell_failures, tell_budget,
		pw_explain_snat, tell_owner, tell_slow, tell_latency, tell_growth, pw_advise};
	const struct pw_selection *selection = &report->selection;
	const char *unprobed;
	char source[128];
	struct pw_explanation e = {
		.report = report, .view = view, .out = out, .width = view->width != 0 ? view->width : TEXT_WIDTH};

	if (pw_report_source(report, source, sizeof(source))[0] != '\0')
		fprintf(out, "%c%s:\n", toupper((unsigned char)source[0]), source + 1);
	if (selection->n == 0) {
		pw_text_wrap(out, "No pool in sight holds a port: there is nothing to explain.", e.width, "", "");
		return;
	}
	e.row = selection->rows[0];
	e.counts = &e.row->counts;
	e.ns = pw_snapshot_ns(selection->snapshot, e.row->key.ns);
	if (e.ns == NULL)
		return;
	e.notes = pw_report_notes(report, e.ns->index);
	headline(&e);
	if (e.row->state != PW_STATE_NORMAL || e.counts->utilization >= QUIET_BELOW)
		for (size_t i = 0; i < sizeof(advice) / sizeof(advice[0]); i++)
			advice[i](&e);
	else if (pw_explain_races(&e))
		; /* these are lost at any utilization */
	else if (counted(&e) != NULL && counted(&e)->failures != 0)
		tell_failures(&e);
	else
		pw_say(&e, "That is far from the end (%u %%): nothing needs to be done.", e.counts->utilization);
	tell_other_failures(&e);
	tell_listeners(&e);
	unprobed = report->daemon == NULL ? e.notes->unprobed : "portwatchd has not probed them";
	if (unprobed != NULL && e.ns->ambiguous > 0)
		pw_say(&e,
			"%u ports are in doubt: sockets of unknown origin sit on them (%s). Those that this pool does "
			"not hold itself count as free, and free can be too high by as many.",
			e.ns->ambiguous, unprobed);
}

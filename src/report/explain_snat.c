/* SPDX-License-Identifier: BSD-2-Clause */
#include "report/explain.h"

#include <inttypes.h>

/* Utilization of a pool of NAT below which a search for a port finds one (percent). */
#define RACING_BELOW 85

/* Ports that NAT has for clients of ports from 512 to 1023 (600-1023). */
#define PRIVILEGED_PORTS 424

/* nf_nat drops the packet and says nothing to the client. */
static void tell_pool(const struct pw_explanation *e)
{
	const struct pw_pool_row *row = e->row;

	if (e->counts->free == 0)
		pw_say(e,
			"Right now the first packet of each further connection through %s to %s port %u is dropped: "
			"the client waits for an answer until it gives up.",
			row->local_text, row->remote_text, row->key.port);
	else if (e->counts->capacity > 128 && e->counts->utilization >= 85)
		pw_say(e,
			"The search for a free port gives up after 248 tries, and fails now and then although %u are "
			"free.",
			e->counts->free);
	pw_say(e,
		"%u connections through %s to this address and port hold a port each, those of this host itself "
		"included. A further address in the NAT rule, a wider port range in it, or a further address or port "
		"of the destination gives as many more.",
		e->counts->used, row->local_text);
	if (e->counts->time_wait > 0)
		pw_say(e,
			"%u of them are closed and wait for net.netfilter.nf_conntrack_tcp_timeout_time_wait to pass: "
			"lower it.",
			e->counts->time_wait);
	if (e->counts->capacity == PRIVILEGED_PORTS)
		pw_say(e,
			"Its clients use ports below 1024 (NFS does), and NAT keeps these below 1024: they share %u "
			"ports. Let them use other ports (noresvport), or give the NAT rule a range.",
			e->counts->capacity);
}

/* Packets that found no entry: as the kernel counts them, or as the daemon has since it started. */
bool pw_explain_races(const struct pw_explanation *e)
{
	const bool looked = e->report->daemon == NULL;
	const char *since = looked ? "the kernel counts them (insert_failed)" : "portwatchd started";
	const uint64_t lost = looked ? e->notes->insert_failed : e->ns->sources[PW_SOURCE_SNAT].failures;

	if (e->row->key.kind != PW_KIND_SNAT || lost == 0)
		return false;
	if (e->counts->utilization < RACING_BELOW)
		pw_say(e,
			"%" PRIu64 " packets found no entry since %s. If that number moves while "
			"the pool is as empty as this, no port is missing: two packets choose the same one at the "
			"same time, and the second is dropped. random-fully in the NAT rule helps, more ports do not.",
			lost, since);
	else
		pw_say(e, "%" PRIu64 " packets found no entry since %s.", lost, since);
	return true;
}

void pw_explain_snat(const struct pw_explanation *e)
{
	if (e->row->key.kind == PW_KIND_SNAT)
		tell_pool(e);
	pw_explain_races(e);
}

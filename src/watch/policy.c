/* SPDX-License-Identifier: BSD-2-Clause */
#include "watch/policy.h"

#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

void pw_policy_defaults(struct pw_policy *policy)
{
	*policy = (struct pw_policy){
		.defaults = {.warning = {50, 45}, .critical = {80, 75}, .exhausted_fall = 98, .for_polls = 1},
		/* no port is tried before another, so half of them has no meaning. In pools of more than 128 ports a
		 * search gives up after 248 tries (nf_nat_l4proto_unique_tuple()): measured, the first fails at 88 to
		 * 99 percent */
		.snat = {.warning = {70, 65}, .critical = {85, 80}, .exhausted_fall = 98, .for_polls = 1},
		.conntrack = {.warning = {80, 75}, .critical = {95, 90}, .exhausted_fall = 99, .for_polls = 1},
		.min_used = 64,
		.max_rows = 500,
		.max_alarms = 10000,
		.linger_s = 600,
		.top = 10,
	};
}

static uint32_t least(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

/* --- matching --------------------------------------------------------------------------------------------------- */

static bool cidrs_match(const struct pw_cidr *list, size_t n, const struct pw_address *address)
{
	if (n == 0)
		return true;
	for (size_t i = 0; i < n; i++)
		if (pw_cidr_contains(&list[i], address))
			return true;
	return false;
}

bool pw_match_ns(const struct pw_match *match, const char *ns_name)
{
	return match->ns == NULL || strcmp(match->ns, ns_name) == 0;
}

bool pw_match_pool(const struct pw_match *match, const struct pw_pool_key *key, const char *ns_name)
{
	uint32_t protocol = key->protocol == IPPROTO_TCP ? PW_MATCH_TCP
		: key->protocol == IPPROTO_UDP           ? PW_MATCH_UDP
							 : 0;
	bool port = match->n_ports == 0;

	for (size_t i = 0; i < match->n_ports; i++) /* a bind pool has port 0, which no list can hold */
		port |= match->ports[i] == key->port;
	return port && (match->kinds == 0 || (match->kinds & (1u << key->kind)) != 0) &&
		(match->protocols == 0 || (match->protocols & protocol) != 0) &&
		cidrs_match(match->local, match->n_local, &key->local) &&
		cidrs_match(match->remote, match->n_remote, &key->remote) && pw_match_ns(match, ns_name);
}

const struct pw_rule *pw_policy_rule(const struct pw_policy *policy, const struct pw_pool_key *key, const char *ns_name)
{
	for (size_t i = 0; i < policy->n_rules; i++)
		if (pw_match_pool(&policy->rules[i].match, key, ns_name))
			return &policy->rules[i];
	return NULL;
}

bool pw_policy_reaches(const struct pw_policy *policy, const char *ns_name, uint32_t kinds)
{
	for (size_t i = 0; i < policy->n_rules; i++) {
		const struct pw_match *match = &policy->rules[i].match;

		if ((ns_name == NULL || pw_match_ns(match, ns_name)) &&
			(match->kinds == 0 || (match->kinds & kinds) != 0))
			return true;
	}
	return false;
}

bool pw_policy_ignores(const struct pw_policy *policy, const struct pw_pool_key *key, const char *ns_name)
{
	for (size_t i = 0; i < policy->n_ignore; i++)
		if (pw_match_pool(&policy->ignore[i], key, ns_name))
			return true;
	return false;
}

/* --- pools that a section names exactly ------------------------------------------------------------------------- */

/* A link-local address is no pool's without its zone, which a section can't give. */
static const struct pw_address *host(const struct pw_cidr *net)
{
	const struct pw_address *a = &net->address;
	bool link_local = a->family == AF_INET6 && a->bytes[0] == 0xfe && (a->bytes[1] & 0xc0) == 0x80;

	return pw_cidr_is_host(net) && !link_local ? a : NULL;
}

/* The kind that the section names, 0 when it leaves open which. Remote addresses make it a connect pool. */
static enum pw_kind exact_kind(const struct pw_match *match)
{
	if (match->kinds == 1u << PW_KIND_BIND && match->n_remote == 0 && match->n_ports == 0)
		return PW_KIND_BIND;
	if ((match->kinds == 0 || match->kinds == 1u << PW_KIND_CONNECT) && match->n_remote != 0 && match->n_ports != 0)
		return PW_KIND_CONNECT;
	return 0;
}

bool pw_match_next_exact(const struct pw_match *match, size_t *position, struct pw_pool_key *key)
{
	const enum pw_kind kind = exact_kind(match);
	const uint32_t protocols = match->protocols != 0 ? match->protocols : PW_MATCH_TCP | PW_MATCH_UDP;
	size_t places = 0;

	if (kind == PW_KIND_BIND) /* a local address under one protocol */
		places = match->n_local * 2;
	else if (kind == PW_KIND_CONNECT && (protocols & PW_MATCH_TCP) != 0) /* only TCP has these */
		places = match->n_local * match->n_remote * match->n_ports;
	while (*position < places) {
		const size_t place = (*position)++;

		if (kind == PW_KIND_BIND) {
			const struct pw_address *local = host(&match->local[place / 2]);
			const bool tcp = place % 2 == 0;

			if (local == NULL || (protocols & (tcp ? PW_MATCH_TCP : PW_MATCH_UDP)) == 0)
				continue;
			*key = (struct pw_pool_key){
				.local = *local, .kind = PW_KIND_BIND, .protocol = tcp ? IPPROTO_TCP : IPPROTO_UDP};
		} else {
			const size_t of_remotes = place / match->n_ports;
			const struct pw_address *local = host(&match->local[of_remotes / match->n_remote]);
			const struct pw_address *remote = host(&match->remote[of_remotes % match->n_remote]);

			if (local == NULL || remote == NULL || local->family != remote->family ||
				pw_address_is_any(local))
				continue;
			*key = (struct pw_pool_key){.local = *local,
				.remote = *remote,
				.port = match->ports[place % match->n_ports],
				.kind = PW_KIND_CONNECT,
				.protocol = IPPROTO_TCP};
		}
		return true;
	}
	return false;
}

bool pw_policy_look(const struct pw_policy *policy, uint16_t *low, uint16_t *high)
{
	bool any = false;

	for (size_t i = 0; i < policy->n_rules; i++) {
		uint16_t first, last;

		if (policy->rules[i].ports == NULL || !pw_portset_ends(policy->rules[i].ports, &first, &last))
			continue;
		*low = any && *low < first ? *low : first;
		*high = any && *high > last ? *high : last;
		any = true;
	}
	return any;
}

void pw_rule_limit(const struct pw_rule *rule, struct pw_pool_counts *counts)
{
	uint32_t left;

	if (rule == NULL || rule->capacity == 0 || rule->capacity >= counts->capacity)
		return;
	left = rule->capacity > counts->used ? rule->capacity - counts->used : 0;
	counts->capacity = rule->capacity;
	counts->reusable = 0; /* who counts the ports behind us knows nothing of it */
	counts->free = least(counts->free, left);
	counts->fast_free = least(counts->fast_free, counts->free);
	counts->doubt = least(counts->doubt, counts->free);
	counts->blocked = left - counts->free;
	counts->utilization = pw_utilization(counts->capacity, counts->free);
}

/* Whether a section speaks of pools of this kind in so many words. */
static bool names(const struct pw_rule *rule, enum pw_kind kind)
{
	return rule != NULL && (rule->match.kinds & (1u << kind)) != 0;
}

/* A TCP bind pool counts every port in use on its address, and connect() shares these between destinations: that it
 * is full harms nobody but those who call bind(). A healthy proxy has every port in use: thresholds that are meant for
 * its destinations must not reach its bind pool by accident. In SNAT pools nothing gets slow at half of the ports. */
const struct pw_thresholds *pw_policy_thresholds(
	const struct pw_policy *policy, const struct pw_rule *rule, const struct pw_pool_key *key, bool bound_holds)
{
	if (key->kind == PW_KIND_SNAT)
		return names(rule, PW_KIND_SNAT) ? &rule->thresholds : &policy->snat;
	if (key->kind == PW_KIND_BIND && key->protocol == IPPROTO_TCP && !bound_holds && !names(rule, PW_KIND_BIND))
		return NULL;
	return rule != NULL ? &rule->thresholds : &policy->defaults;
}

/* --- the floor -------------------------------------------------------------------------------------------------- */

/* The ports that must be gone for this utilization (rounded down) to be reached. */
static uint32_t ports_at(uint32_t capacity, uint32_t percent)
{
	return (uint32_t)(((uint64_t)capacity * percent + 99) / 100);
}

/* The ports that must be gone before any of these thresholds is reached. */
static uint32_t ports_to_alarm(const struct pw_thresholds *t, uint32_t capacity)
{
	uint32_t ports = capacity;

	if (t->warning.rise != 0)
		ports = least(ports, ports_at(capacity, t->warning.rise));
	if (t->critical.rise != 0)
		ports = least(ports, ports_at(capacity, t->critical.rise));
	if (t->fast_free_below != 0)
		ports = 0; /* how many of them there are is not known here */
	if (t->free_below != 0)
		ports = least(ports, t->free_below > capacity ? 0 : capacity - t->free_below + 1);
	return ports;
}

uint32_t pw_policy_floor(const struct pw_policy *policy, uint32_t capacity)
{
	uint32_t floor = least(policy->min_used, ports_to_alarm(&policy->defaults, capacity));

	for (size_t i = 0; i < policy->n_rules; i++) {
		const struct pw_rule *rule = &policy->rules[i];
		uint32_t left = rule->ports != NULL ? least(capacity, pw_portset_count(rule->ports)) : capacity;

		left = rule->capacity != 0 ? least(left, rule->capacity) : left;
		floor = least(floor, ports_to_alarm(&rule->thresholds, left));
	}
	return floor > 0 ? floor : 1;
}

uint32_t pw_policy_pool_floor(
	const struct pw_policy *policy, enum pw_source_id source, uint32_t capacity, uint32_t gone)
{
	const struct pw_thresholds *thresholds = source == PW_SOURCE_SNAT ? &policy->snat : &policy->defaults;
	uint32_t ports = ports_to_alarm(thresholds, capacity);
	uint32_t own = ports > gone ? ports - gone : 0;

	if (own < ports / 8)
		own = ports / 8;
	own = least(policy->min_used, own);
	return own > 0 ? own : 1;
}

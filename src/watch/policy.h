/* SPDX-License-Identifier: BSD-2-Clause */
/* policy.h: which thresholds apply to which pool
 *
 * What the configuration file says of thresholds, labels and lists: built by config/, immutable afterwards. */
#ifndef PW_WATCH_POLICY_H
#define PW_WATCH_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "count/address.h"
#include "count/source.h"

/* Rising and falling threshold of one severity in percent of the capacity; rise = 0: this severity is off. */
struct pw_threshold {
	uint8_t rise; /* on at utilization >= rise (1..100) */
	uint8_t fall; /* off at utilization <= fall (< rise) */
};

/* The thresholds in force for a pool. */
struct pw_thresholds {
	struct pw_threshold warning;
	struct pw_threshold critical;
	uint8_t exhausted_fall;   /* exhausted is left at this utilization or less (0..99) */
	uint32_t free_below;      /* ports: warning while fewer are free; 0 = off */
	uint32_t fast_free_below; /* the same of the ports that the kernel tries first */
	uint32_t forecast_within; /* seconds: warning while exhaustion is nearer than this; 0 = off */
	uint32_t for_polls;       /* polls in a row that a condition must hold before the state rises; at least 1 */
};

/* What a `pool` or `ignore` section matches: everything that is given must match; what is empty matches all. */
struct pw_match {
	uint32_t kinds;     /* bit (1 << enum pw_kind) */
	uint32_t protocols; /* bit 1: TCP, bit 2: UDP (enum pw_match_protocol) */
	struct pw_cidr *local;
	size_t n_local;
	struct pw_cidr *remote;
	size_t n_remote;
	uint16_t *ports; /* remote ports */
	size_t n_ports;
	char *ns; /* namespace name; NULL = any; "" = the daemon's own */
};

enum pw_match_protocol { PW_MATCH_TCP = 1, PW_MATCH_UDP = 2 };

struct pw_rule {
	struct pw_match match;
	char *label;                     /* title of the `pool` section */
	struct pw_thresholds thresholds; /* complete: what the section left out is inherited */
	struct pw_portset *ports;        /* that its pools draw from, chosen by whoever binds them; NULL: the range */
	uint32_t capacity; /* ports that its pools really get, where these are fewer; 0: as the kernel has it */
};

struct pw_policy {
	struct pw_thresholds defaults;
	struct pw_thresholds snat;      /* of SNAT pools */
	struct pw_thresholds conntrack; /* of connection tracking tables: warning, critical and exhausted only */
	struct pw_rule *rules;          /* `pool` sections in file order: the first match wins */
	size_t n_rules;
	struct pw_match *ignore;
	size_t n_ignore;
	uint32_t min_used;   /* ports a pool must hold to be listed */
	uint32_t max_rows;   /* listed pools without alarm */
	uint32_t max_alarms; /* listed pools with alarm */
	uint32_t linger_s;   /* a row stays this long after it falls below the floor */
	uint32_t top;        /* ranks of pwTopTable */
};

/* The built-in defaults (those of portwatchd.conf(5)): no rules. Nothing in it is allocated. */
void pw_policy_defaults(struct pw_policy *policy);

/* Whether a pool matches; ns_name is "" for the own namespace. */
bool pw_match_pool(const struct pw_match *match, const struct pw_pool_key *key, const char *ns_name);

/* Whether it can match anything in this namespace ("" = the daemon's own). */
bool pw_match_ns(const struct pw_match *match, const char *ns_name);

/* Walks the pools that a match names exactly, by host addresses alone: every combination of its local and remote
 * host addresses and its ports (connect), or every local host address (kind = bind, under each protocol that it
 * matches). The rows of these pools always exist: in the namespace that the match names, in the daemon's own where
 * it names none. Start with *position = 0. Returns false at the end. key->ns stays 0. */
bool pw_match_next_exact(const struct pw_match *match, size_t *position, struct pw_pool_key *key);

/* The thresholds in force for a pool that this rule (NULL: none) is the first to match. For bind pools of TCP, and SNAT
 * pools, those of a section hold only where it says kind = bind, or snat; else SNAT pools have their own, and TCP bind
 * pools none (NULL), unless `bound_holds` makes an exception. */
const struct pw_thresholds *pw_policy_thresholds(
	const struct pw_policy *policy, const struct pw_rule *rule, const struct pw_pool_key *key, bool bound_holds);

/* Whether a rule names the ports of its pools; then the lowest and the highest of all rules are written. */
bool pw_policy_look(const struct pw_policy *policy, uint16_t *low, uint16_t *high);

/* What a rule (NULL: none) says about the ports of its pools, over what was counted: no more than its capacity can be
 * used, whoever gives them out behind the kernel. A port in TIME_WAIT is one of them. */
void pw_rule_limit(const struct pw_rule *rule, struct pw_pool_counts *counts);

/* The first rule that matches, or NULL. */
const struct pw_rule *pw_policy_rule(
	const struct pw_policy *policy, const struct pw_pool_key *key, const char *ns_name);

/* Whether a rule may match a pool of one of these kinds (bits) in a namespace (NULL: whatever its name is). */
bool pw_policy_reaches(const struct pw_policy *policy, const char *ns_name, uint32_t kinds);

bool pw_policy_ignores(const struct pw_policy *policy, const struct pw_pool_key *key, const char *ns_name);

/* The least number of used ports from which a pool of this capacity must be evaluated: the least of min_used, the
 * ports at the lowest rising threshold in force anywhere, and those that a free_below leaves; at least 1. Below
 * this number of sockets in a namespace (one less where the range is odd and loses an end) nothing can be listed. */
uint32_t pw_policy_floor(const struct pw_policy *policy, uint32_t capacity);

/* The number of used ports from which a pool that no `pool` section matches is evaluated and listed: min_used, or
 * fewer where the range is so small (or so many of its ports are blocked or lost) that the pool would alarm before.
 * Never less than an eighth of the ports at the lowest threshold: what little such a pool holds is not what drains
 * the range. At least 1. `gone` of the ports can be used by no pool. */
uint32_t pw_policy_pool_floor(
	const struct pw_policy *policy, enum pw_source_id source, uint32_t capacity, uint32_t gone);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
#include "config/grammar.h"

#include <string.h>

#define HOUR 3600u
#define DAY (24 * HOUR)
#define MS 1000u

/* Where a scope's limits are: those of the file, of its SNAT pools, of a rule. */
#define LIMITS(scope, member) LIMITS_##scope(member)
#define LIMITS_file(member) offsetof(struct pw_file_draft, limits.member)
#define LIMITS_snat(member) offsetof(struct pw_file_draft, snat.member)
#define LIMITS_rule(member) offsetof(struct pw_rule_draft, limits.member)
#define MATCH(member) offsetof(struct pw_rule_draft, match.member)
#define CONFIG(member) PW_INTO_CONFIG, .offset = offsetof(struct pw_config, member)

#define NUMBER(field, most, where) \
	{ \
		.name = (field), .type = PW_VALUE_NUMBER, .max = (most), .offset = (where) \
	}

/* The threshold sections look the same in the file and in a pool; rise = 0 switches a severity off. */
#define THRESHOLD_TABLES(scope) \
	static const struct pw_directive scope##_warning[] = {NUMBER("rise", 100, LIMITS(scope, warning.rise)), \
		NUMBER("fall", 99, LIMITS(scope, warning.fall)), {.name = NULL}}; \
	static const struct pw_directive scope##_critical[] = {NUMBER("rise", 100, LIMITS(scope, critical.rise)), \
		NUMBER("fall", 99, LIMITS(scope, critical.fall)), {.name = NULL}}; \
	static const struct pw_directive scope##_exhausted[] = { \
		NUMBER("fall", 99, LIMITS(scope, exhausted_fall)), {.name = NULL}}; \
	static const struct pw_directive scope##_forecast[] = { \
		NUMBER("warn-within", 7 * DAY, LIMITS(scope, warn_within)), {.name = NULL}}

#define THRESHOLD_SECTIONS(scope) \
	{.name = "warning", \
		.form = PW_FORM_SECTION, \
		.offset = LIMITS(scope, warning.lines), \
		.inside = scope##_warning}, \
		{.name = "critical", \
			.form = PW_FORM_SECTION, \
			.offset = LIMITS(scope, critical.lines), \
			.inside = scope##_critical}, \
		{.name = "exhausted", .form = PW_FORM_SECTION, .offset = PW_NOWHERE, .inside = scope##_exhausted}, \
	{ \
		.name = "forecast", .form = PW_FORM_SECTION, .offset = PW_NOWHERE, .inside = scope##_forecast \
	}

THRESHOLD_TABLES(file);
THRESHOLD_TABLES(snat);
THRESHOLD_TABLES(rule);

#define MATCH_DIRECTIVES \
	{.name = "kind", .form = PW_FORM_LIST, .type = PW_VALUE_KINDS, .offset = MATCH(kinds)}, \
		{.name = "protocol", .form = PW_FORM_LIST, .type = PW_VALUE_PROTOCOLS, .offset = MATCH(protocols)}, \
		{.name = "local", \
			.form = PW_FORM_LIST, \
			.type = PW_VALUE_CIDRS, \
			.offset = MATCH(local), \
			.count_offset = MATCH(n_local)}, \
		{.name = "remote", \
			.form = PW_FORM_LIST, \
			.type = PW_VALUE_CIDRS, \
			.offset = MATCH(remote), \
			.count_offset = MATCH(n_remote)}, \
		{.name = "port", \
			.form = PW_FORM_LIST, \
			.type = PW_VALUE_PORTS, \
			.min = 1, \
			.max = 65535, \
			.offset = MATCH(ports), \
			.count_offset = MATCH(n_ports)}, \
	{ \
		.name = "namespace", .type = PW_VALUE_NAMESPACE, .offset = MATCH(ns) \
	}

static const struct pw_directive ignore_table[] = {MATCH_DIRECTIVES, {.name = NULL}};

static const struct pw_directive pool_table[] = {MATCH_DIRECTIVES, THRESHOLD_SECTIONS(rule),
	{.name = "free-below", .type = PW_VALUE_NUMBER, .max = 65536, .offset = LIMITS(rule, free_below)},
	{.name = "for", .type = PW_VALUE_NUMBER, .min = 1, .max = 1000, .offset = LIMITS(rule, for_polls)},
	{.name = NULL}};

static const struct pw_directive notify_table[] = {
	{.name = "for", .type = PW_VALUE_NUMBER, .min = 1, .max = 1000, .offset = LIMITS(file, for_polls)},
	{.name = "max-per-minute", .type = PW_VALUE_NUMBER, .max = 60000, .target = CONFIG(notify.max_per_minute)},
	{.name = "renotify", .type = PW_VALUE_NUMBER, .max = 7 * DAY, .target = CONFIG(notify.renotify_s)},
	{.name = NULL}};

static const struct pw_directive agentx_table[] = {
	{.name = "socket", .type = PW_VALUE_SOCKET, .max = 255, .target = CONFIG(agentx.socket)},
	{.name = "ping-interval",
		.type = PW_VALUE_SECONDS,
		.min = MS,
		.max = HOUR * MS,
		.target = CONFIG(agentx.ping_interval)},
	{.name = "reconnect-interval",
		.type = PW_VALUE_SECONDS,
		.min = MS / 10,
		.max = HOUR * MS,
		.target = CONFIG(agentx.reconnect_interval)},
	{.name = NULL}};

static const struct pw_directive snmp_table[] = {
	{.name = "include", .type = PW_VALUE_TEXT, .may_be_empty = true, .max = 4095, .target = CONFIG(snmp.include)},
	{.name = NULL}};

static const struct pw_directive namespaces_table[] = {
	{.name = "all", .type = PW_VALUE_BOOL, .target = CONFIG(namespaces.all)},
	{.name = "names",
		.form = PW_FORM_LIST,
		.may_be_empty = true,
		.type = PW_VALUE_NAMES,
		.target = CONFIG(namespaces.names),
		.count_offset = offsetof(struct pw_config, namespaces.n_names)},
	{.name = NULL}};

static const struct pw_directive snat_table[] = {{.name = "addresses",
							 .form = PW_FORM_LIST,
							 .may_be_empty = true,
							 .type = PW_VALUE_SNAT,
							 .target = CONFIG(snat.ranges),
							 .count_offset = offsetof(struct pw_config, snat.n_ranges)},
	{.name = "interval", .type = PW_VALUE_NUMBER, .min = 1, .max = DAY, .target = CONFIG(snat.interval_s)},
	THRESHOLD_SECTIONS(snat), {.name = NULL}};

const struct pw_directive pw_grammar[] = {{.name = "poll-interval",
						  .type = PW_VALUE_MILLISECONDS,
						  .min = 10,
						  .max = HOUR * MS,
						  .target = CONFIG(poll_interval_ms)},
	{.name = "idle-interval", .type = PW_VALUE_MILLISECONDS, .max = DAY * MS, .target = CONFIG(idle_interval_ms)},
	{.name = "min-used", .type = PW_VALUE_NUMBER, .max = 65536, .target = CONFIG(policy.min_used)},
	{.name = "max-rows", .type = PW_VALUE_NUMBER, .max = 100000, .target = CONFIG(policy.max_rows)},
	{.name = "max-alarms", .type = PW_VALUE_NUMBER, .min = 1, .max = 1000000, .target = CONFIG(policy.max_alarms)},
	{.name = "linger", .type = PW_VALUE_NUMBER, .max = DAY, .target = CONFIG(policy.linger_s)},
	{.name = "top", .type = PW_VALUE_NUMBER, .min = 1, .max = 1000, .target = CONFIG(policy.top)},
	{.name = "probe", .type = PW_VALUE_PROBE, .target = CONFIG(probe)},
	{.name = "connect-failures", .type = PW_VALUE_BOOL, .target = CONFIG(connect_failures)},
	THRESHOLD_SECTIONS(file),
	{.name = "pool", .form = PW_FORM_TITLED, .repeats = true, .offset = PW_NOWHERE, .inside = pool_table},
	{.name = "ignore", .form = PW_FORM_SECTION, .repeats = true, .offset = PW_NOWHERE, .inside = ignore_table},
	{.name = "notify", .form = PW_FORM_SECTION, .offset = PW_NOWHERE, .inside = notify_table},
	{.name = "agentx", .form = PW_FORM_SECTION, .offset = PW_NOWHERE, .inside = agentx_table},
	{.name = "snmp", .form = PW_FORM_SECTION, .offset = PW_NOWHERE, .inside = snmp_table},
	{.name = "namespaces", .form = PW_FORM_SECTION, .offset = PW_NOWHERE, .inside = namespaces_table},
	{.name = "snat", .form = PW_FORM_SECTION, .offset = PW_NOWHERE, .inside = snat_table}, {.name = NULL}};

const struct pw_directive *pw_directive_find(const struct pw_directive *table, const char *name, size_t length)
{
	for (; table->name != NULL; table++)
		if (strncmp(table->name, name, length) == 0 && table->name[length] == '\0')
			return table;
	return NULL;
}

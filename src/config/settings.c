/* SPDX-License-Identifier: BSD-2-Clause */
#include "config/settings.h"

#include <string.h>

#include "config/config.h"

#define HOUR 3600u
#define DAY (24 * HOUR)
#define MS 1000u

#define SETTING(name_, type_, struct_, member, min_, max_, initial_) \
	{ \
		.name = (name_), .type = (type_), .offset = offsetof(struct struct_, member), .min = (min_), \
		.max = (max_), .initial = (initial_) \
	}
#define WORDS(name_, type_, struct_, member, words_, initial_) \
	{ \
		.name = (name_), .type = (type_), .offset = offsetof(struct struct_, member), .words = (words_), \
		.initial = (initial_) \
	}
#define LIST(name_, type_, struct_, member, n_member) \
	{ \
		.name = (name_), .type = (type_), .offset = offsetof(struct struct_, member), \
		.count = offsetof(struct struct_, n_member) \
	}
#define SECTION(name_, type_, offset_, inside_) \
	{ \
		.name = (name_), .type = (type_), .offset = (offset_), .inside = (inside_) \
	}
#define END \
	{ \
		.name = NULL \
	}

/* clang-format off */

/* rise = 0 switches a severity off. */
static const struct pw_setting severity_settings[] = {
	SETTING("rise", PW_PERCENT, pw_threshold, rise, 0, 100, NULL),
	SETTING("fall", PW_PERCENT, pw_threshold, fall, 0, 99, NULL),
	END};
static const struct pw_setting exhausted_settings[] = {
	SETTING("fall", PW_PERCENT, pw_thresholds, exhausted_fall, 0, 99, NULL),
	END};
static const struct pw_setting forecast_settings[] = {
	SETTING("warn-within", PW_NUMBER, pw_thresholds, forecast_within, 0, 7 * DAY, NULL),
	END};

/* The threshold sections of the file, of its SNAT pools and of a pool section; `at` is where their struct
 * pw_thresholds lies. */
#define THRESHOLD_SECTIONS(at) \
	SECTION("warning", PW_SECTION, (at) + offsetof(struct pw_thresholds, warning), severity_settings), \
	SECTION("critical", PW_SECTION, (at) + offsetof(struct pw_thresholds, critical), severity_settings), \
	SECTION("exhausted", PW_SECTION, (at), exhausted_settings), \
	SECTION("forecast", PW_SECTION, (at), forecast_settings)

const struct pw_word pw_kind_words[] = {
	{"connect", 1u << PW_KIND_CONNECT}, {"bind", 1u << PW_KIND_BIND}, {"snat", 1u << PW_KIND_SNAT}, {NULL, 0}};
const struct pw_word pw_protocol_words[] = {{"tcp", PW_MATCH_TCP}, {"udp", PW_MATCH_UDP}, {NULL, 0}};

/* A rule begins with its match, so that `pool` and `ignore` share these. */
#define MATCH_SETTINGS \
	WORDS("kind", PW_WORDS, pw_match, kinds, pw_kind_words, NULL), \
	WORDS("protocol", PW_WORDS, pw_match, protocols, pw_protocol_words, NULL), \
	LIST("local", PW_CIDRS, pw_match, local, n_local), \
	LIST("remote", PW_CIDRS, pw_match, remote, n_remote), \
	{.name = "port", .type = PW_PORTS, .offset = offsetof(struct pw_match, ports), \
		.count = offsetof(struct pw_match, n_ports), .min = 1, .max = 65535}, \
	SETTING("namespace", PW_NAMESPACE, pw_match, ns, 0, 0, NULL)
_Static_assert(offsetof(struct pw_rule, match) == 0, "a rule begins with its match");

static const struct pw_setting ignore_settings[] = {MATCH_SETTINGS, END};
static const struct pw_setting pool_settings[] = {
	MATCH_SETTINGS,
	THRESHOLD_SECTIONS(offsetof(struct pw_rule, thresholds)),
	SETTING("free-below", PW_NUMBER, pw_rule, thresholds.free_below, 0, 65536, NULL),
	SETTING("fast-free-below", PW_NUMBER, pw_rule, thresholds.fast_free_below, 0, 65536, NULL),
	SETTING("ports", PW_RANGES, pw_rule, ports, 0, 0, NULL),
	SETTING("capacity", PW_NUMBER, pw_rule, capacity, 1, 65536, NULL),
	SETTING("for", PW_NUMBER, pw_rule, thresholds.for_polls, 1, 1000, NULL),
	END};

static const struct pw_setting notify_settings[] = {
	SETTING("for", PW_NUMBER, pw_config, policy.defaults.for_polls, 1, 1000, NULL),
	SETTING("max-per-minute", PW_NUMBER, pw_config, notify.max_per_minute, 0, 60000, "60"),
	SETTING("max-flaps", PW_NUMBER, pw_config, notify.max_flaps, 0, 1000, "10"),
	SETTING("renotify", PW_NUMBER, pw_config, notify.renotify_s, 0, 7 * DAY, "0"),
	END};
static const struct pw_setting agentx_settings[] = {
	SETTING("socket", PW_SOCKET, pw_config, agentx.socket, 1, 255, "/var/agentx/master"),
	SETTING("ping-interval", PW_SECONDS, pw_config, agentx.ping_interval_ms, MS, HOUR * MS, "15"),
	SETTING("reconnect-interval", PW_SECONDS, pw_config, agentx.reconnect_interval_ms, MS / 10, HOUR * MS, "2"),
	END};
static const struct pw_setting snmp_settings[] = {
	SETTING("include", PW_TEXT, pw_config, snmp.include, 0, 4095, "/etc/portwatch/snmp.conf"),
	END};
static const struct pw_setting metrics_settings[] = {
	SETTING("listen", PW_TEXT, pw_config, metrics.listen, 0, 255, ""),
	END};
static const struct pw_setting control_settings[] = {
	SETTING("socket", PW_TEXT, pw_config, control.socket, 0, 107, PW_CONTROL_SOCKET),
	END};
static const struct pw_setting namespaces_settings[] = {
	SETTING("all", PW_BOOL, pw_config, namespaces.all, 0, 0, "false"),
	LIST("names", PW_NAMES, pw_config, namespaces.names, namespaces.n_names),
	SETTING("max-sockets", PW_NUMBER, pw_config, namespaces.max_sockets, 0, INT32_MAX, "1000000"),
	END};
static const struct pw_setting snat_settings[] = {
	LIST("addresses", PW_SNAT, pw_config, snat.ranges, snat.n_ranges),
	SETTING("interval", PW_NUMBER, pw_config, snat.interval_s, 1, DAY, "60"),
	THRESHOLD_SECTIONS(offsetof(struct pw_config, policy.snat)),
	END};

static const struct pw_setting conntrack_settings[] = {
	SECTION("warning", PW_SECTION, offsetof(struct pw_config, policy.conntrack.warning), severity_settings),
	SECTION("critical", PW_SECTION, offsetof(struct pw_config, policy.conntrack.critical), severity_settings),
	END};

const struct pw_word pw_backend_words[] = {
	{"auto", PW_BACKEND_AUTO}, {"bpf", PW_BACKEND_BPF}, {"netlink", PW_BACKEND_NETLINK}, {NULL, 0}};
static const struct pw_word events_modes[] = {
	{"auto", PW_EVENTS_MODE_AUTO}, {"on", PW_EVENTS_MODE_ON}, {"off", PW_EVENTS_MODE_OFF}, {NULL, 0}};
const struct pw_word pw_probe_words[] = {{"auto", PW_PROBE_AUTO}, {"on", PW_PROBE_ON}, {"off", PW_PROBE_OFF}, {NULL, 0}};

const struct pw_setting pw_settings[] = {
	SETTING("poll-interval", PW_ZERO_OR_SECONDS, pw_config, poll_interval_ms, MS / 100, HOUR * MS, "0"),
	SETTING("idle-interval", PW_SECONDS, pw_config, idle_interval_ms, 0, DAY * MS, "0"),
	SETTING("min-used", PW_NUMBER, pw_config, policy.min_used, 0, 65536, NULL),
	SETTING("max-rows", PW_NUMBER, pw_config, policy.max_rows, 0, 100000, NULL),
	SETTING("max-alarms", PW_NUMBER, pw_config, policy.max_alarms, 1, 1000000, NULL),
	SETTING("linger", PW_NUMBER, pw_config, policy.linger_s, 0, DAY, NULL),
	SETTING("state-file", PW_TEXT, pw_config, state_file, 0, 4095, ""),
	SETTING("top", PW_NUMBER, pw_config, policy.top, 1, 1000, NULL),
	WORDS("backend", PW_WORD, pw_config, backend, pw_backend_words, "auto"),
	WORDS("probe", PW_WORD, pw_config, probe, pw_probe_words, "auto"),
	SETTING("connect-failures", PW_BOOL, pw_config, connect_failures, 0, 0, "true"),
	WORDS("events", PW_WORD, pw_config, events, events_modes, "auto"),
	THRESHOLD_SECTIONS(offsetof(struct pw_config, policy.defaults)),
	SECTION("pool", PW_POOL_SECTION, 0, pool_settings),
	SECTION("ignore", PW_IGNORE_SECTION, 0, ignore_settings),
	SECTION("notify", PW_SECTION, 0, notify_settings),
	SECTION("agentx", PW_SECTION, 0, agentx_settings),
	SECTION("snmp", PW_SECTION, 0, snmp_settings),
	SECTION("metrics", PW_SECTION, 0, metrics_settings),
	SECTION("control", PW_SECTION, 0, control_settings),
	SECTION("namespaces", PW_SECTION, 0, namespaces_settings),
	SECTION("snat", PW_HEIR_SECTION, 0, snat_settings),
	SECTION("conntrack", PW_HEIR_SECTION, 0, conntrack_settings),
	END};

/* clang-format on */

const struct pw_setting *pw_setting_find(const struct pw_setting *table, const char *name, size_t length)
{
	for (; table->name != NULL; table++)
		if (strncmp(table->name, name, length) == 0 && table->name[length] == '\0')
			return table;
	return NULL;
}

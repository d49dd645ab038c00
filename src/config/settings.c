/* SPDX-License-Identifier: BSD-2-Clause */
#include "config/settings.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/number.h"

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

/* --- values --- */

/* One value that is being read. The parsers below return false after an error. */
struct input {
	const struct pw_setting *setting;
	const struct pw_value *value;
	struct pw_arena *arena;
	struct pw_config_errors *errors;
};

static bool wrong(const struct input *in, const char *expected)
{
	const char *text = in->value->text;

	return pw_config_error(in->errors, in->value->line, "\"%s\" %s \"%.60s%s\", expected %s", in->setting->name,
		pw_setting_is_list(in->setting) ? "contains" : "is", text, strlen(text) > 60 ? "..." : "", expected);
}

static bool parse_number(const struct input *in, void *out)
{
	char expected[80];
	uint32_t number;

	snprintf(expected, sizeof(expected), "a whole number from %u to %u", in->setting->min, in->setting->max);
	if (!pw_number32(in->value->text, in->setting->min, in->setting->max, &number))
		return wrong(in, expected);
	if (in->setting->type == PW_PERCENT)
		*(uint8_t *)out = (uint8_t)number;
	else if (in->setting->type == PW_PORTS)
		*(uint16_t *)out = (uint16_t)number;
	else
		*(uint32_t *)out = number;
	return true;
}

static bool parse_seconds(const struct input *in, void *out)
{
	char expected[80];
	bool or_zero = in->setting->type == PW_ZERO_OR_SECONDS;
	uint64_t ms;

	snprintf(expected, sizeof(expected), "%sseconds from %g to %g, with at most three decimals",
		or_zero ? "0 or " : "", in->setting->min / 1000.0, in->setting->max / 1000.0);
	if (!(or_zero && pw_number_seconds(in->value->text, 0, 0, &ms)) &&
		!pw_number_seconds(in->value->text, in->setting->min, in->setting->max, &ms))
		return wrong(in, expected);
	*(uint32_t *)out = (uint32_t)ms;
	return true;
}

/* Returns NULL after an error that names all of the words. */
static const struct pw_word *find_word(const struct input *in, const struct pw_word *words)
{
	char expected[120] = "one of";
	size_t n = strlen(expected);

	for (const struct pw_word *word = words; word->text != NULL; word++) {
		if (strcasecmp(word->text, in->value->text) == 0)
			return word;
		n += (size_t)snprintf(
			expected + n, sizeof(expected) - n, "%s %s", word != words ? "," : "", word->text);
	}
	wrong(in, expected);
	return NULL;
}

static bool parse_word(const struct input *in, void *out)
{
	const struct pw_word *word = find_word(in, in->setting->words);

	if (word != NULL) /* the set, or the one: it is 0 before */
		*(uint32_t *)out = pw_setting_is_list(in->setting) ? *(uint32_t *)out | word->value : word->value;
	return word != NULL;
}

static bool parse_bool(const struct input *in, void *out)
{
	static const struct pw_word words[] = {
		{"true", 1}, {"false", 0}, {"yes", 1}, {"no", 0}, {"on", 1}, {"off", 0}, {NULL, 0}};
	const struct pw_word *word = find_word(in, words);

	if (word != NULL)
		*(bool *)out = word->value != 0;
	return word != NULL;
}

char *pw_value_text(const char *what, const struct pw_value *value, size_t max, struct pw_arena *arena,
	struct pw_config_errors *errors)
{
	size_t length = strlen(value->text);

	if (length == 0 || length > max)
		pw_config_error(errors, value->line, "%s has %zu bytes, expected 1 to %zu", what, length, max);
	else if (strpbrk(value->text, "\t\r") != NULL)
		pw_config_error(errors, value->line, "%s contains a tab or carriage return, expected none", what);
	else
		return (char *)pw_arena_text(arena, value->text);
	return NULL;
}

static bool parse_text_up_to(const struct input *in, size_t max, char **out)
{
	char what[40];

	snprintf(what, sizeof(what), "\"%s\"", in->setting->name);
	*out = pw_value_text(what, in->value, max, in->arena, in->errors);
	return *out != NULL;
}

static bool parse_text(const struct input *in, void *out)
{
	*(char **)out = NULL;
	return in->value->text[0] == '\0' || parse_text_up_to(in, in->setting->max, out);
}

/* The forms that the agent takes; whether there is such a host shows when it connects. */
static bool parse_socket(const struct input *in, void *out)
{
	const char *text = in->value->text, *path = strncmp(text, "unix:", 5) == 0 ? text + 5 : text, *port;
	size_t scheme = strncmp(text, "tcp:", 4) == 0 ? 4 : strncmp(text, "tcp6:", 5) == 0 ? 5 : 0;
	uint64_t number;
	bool good;

	if (!parse_text_up_to(in, in->setting->max, out))
		return false;
	if (scheme == 0) {
		good = path[0] == '/' && strlen(path) < sizeof(((struct sockaddr_un *)NULL)->sun_path);
	} else {
		port = strrchr(text, ':') + 1; /* the scheme has one */
		good = pw_number(port, 0, 65535, &number)
			? number != 0
			: text[scheme] != '\0' && port == text + scheme; /* a host alone */
	}
	return good || wrong(in, "a path of at most 107 bytes from the root, unix:PATH, or tcp:HOST:PORT");
}

/* The name of a namespace is the name of a file below /run/netns (ip-netns(8)). Where one is to be matched "" is the
 * daemon's own; no text would be any. */
static bool parse_name(const struct input *in, void *out)
{
	const char *text = in->value->text;

	if (text[0] == '\0' && in->setting->type == PW_NAMESPACE) {
		*(const char **)out = "";
		return true;
	}

	if (strchr(text, '/') != NULL || strcmp(text, ".") == 0 || strcmp(text, "..") == 0)
		return wrong(in, "a namespace name as ip-netns(8) lists it, not a path");
	return parse_text_up_to(in, NAME_MAX, out);
}

static bool parse_cidr(const struct input *in, void *out)
{
	const char *why;
	char expected[160];

	if (pw_cidr_parse(out, in->value->text, &why) == 0)
		return true;
	snprintf(expected, sizeof(expected), "an address or network such as \"192.0.2.0/24\" or \"2001:db8::/32\" (%s)",
		why);
	return wrong(in, expected);
}

/* "1024-65535" */
static bool parse_range(const char *text, uint16_t *low, uint16_t *high)
{
	uint64_t first, last;

	if (!pw_number_take(&text, 65535, &first) || *text++ != '-' || first == 0 ||
		!pw_number(text, first, 65535, &last))
		return false;
	*low = (uint16_t)first;
	*high = (uint16_t)last;
	return true;
}

static bool parse_ranges(const struct input *in, void *out)
{
	struct pw_portset **set = out;
	uint16_t low, high;

	if (!parse_range(in->value->text, &low, &high))
		return wrong(in, "ports such as \"10000-10499\", from 1 to 65535");
	if (*set == NULL)
		*set = pw_arena_alloc(in->arena, sizeof(**set));
	if (*set != NULL)
		pw_portset_add_range(*set, low, high);
	return true;
}

/* "192.0.2.1", "192.0.2.0/24", "192.0.2.1:1024-65535", "[2001:db8::1]:1024-65535": the network (copied to `network`)
 * and the ports behind it. Returns false when the ports are none. */
static bool split_ports(const char *text, char network[64], struct pw_snat_range *range)
{
	const bool bracket = text[0] == '[';
	const char *end = bracket ? strchr(text, ']') : strchr(text, ':');

	range->low = PW_SNAT_LOW;
	range->high = PW_SNAT_HIGH;
	snprintf(network, 64, "%s", text);
	if (end == NULL || (!bracket && strchr(end + 1, ':') != NULL)) /* without ports, or IPv6 without brackets */
		return true;
	snprintf(network, 64, "%.*s", (int)(end - text) - bracket, text + bracket);
	if (bracket && end[1] == '\0')
		return true;
	return end[bracket] == ':' && parse_range(end + bracket + 1, &range->low, &range->high);
}

static bool parse_snat(const struct input *in, void *out)
{
	struct pw_snat_range *range = out;
	char network[64], expected[200];
	const char *why = "ports are written as in 192.0.2.1:1024-65535 or [2001:db8::1]:1024-65535";

	if (split_ports(in->value->text, network, range) && pw_cidr_parse(&range->addresses, network, &why) == 0)
		return true;
	snprintf(expected, sizeof(expected),
		"an address or network such as \"192.0.2.0/24\", with or without \":1024-65535\" (%s)", why);
	return wrong(in, expected);
}

void pw_setting_store(const struct pw_setting *setting, const struct pw_value *values, void *base,
	struct pw_arena *arena, struct pw_config_errors *errors)
{
	static const struct {
		bool (*parse)(const struct input *, void *);
		size_t size; /* of an element of an array */
	} types[] = {
		[PW_NUMBER] = {parse_number, 0},
		[PW_PERCENT] = {parse_number, 0},
		[PW_SECONDS] = {parse_seconds, 0},
		[PW_ZERO_OR_SECONDS] = {parse_seconds, 0},
		[PW_BOOL] = {parse_bool, 0},
		[PW_WORD] = {parse_word, 0},
		[PW_TEXT] = {parse_text, 0},
		[PW_SOCKET] = {parse_socket, 0},
		[PW_NAMESPACE] = {parse_name, 0},
		[PW_WORDS] = {parse_word, 0},
		[PW_RANGES] = {parse_ranges, 0},
		[PW_PORTS] = {parse_number, sizeof(uint16_t)},
		[PW_CIDRS] = {parse_cidr, sizeof(struct pw_cidr)},
		[PW_SNAT] = {parse_snat, sizeof(struct pw_snat_range)},
		[PW_NAMES] = {parse_name, sizeof(char *)},
	};
	struct input in = {setting, values, arena, errors};
	bool (*const parse)(const struct input *, void *) = types[setting->type].parse;
	const size_t size = types[setting->type].size;
	char *out = (char *)base + setting->offset;
	size_t n = 0;

	if (parse == NULL) /* a section */
		return;
	for (const struct pw_value *value = values; value != NULL; value = value->next)
		n++;
	if (size != 0) {
		*(size_t *)(void *)((char *)base + setting->count) = n;
		*(void **)(void *)out = pw_arena_array(arena, n, size);
		out = *(char **)(void *)out;
	}
	for (; in.value != NULL && out != NULL; in.value = in.value->next, out += size)
		parse(&in, out);
}

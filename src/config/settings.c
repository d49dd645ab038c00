/* SPDX-License-Identifier: BSD-2-Clause */
#include "config/settings.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/number.h"

/* --- values --- */

/* One value that is being read. */
struct pw_input {
	const struct pw_setting *setting;
	const struct pw_value *value;
	struct pw_reader *reader;
};

static __attribute__((format(printf, 2, 3))) void wrong(const struct pw_input *in, const char *format, ...)
{
	const char *text = in->value->text;
	char expected[200];
	va_list args;

	va_start(args, format);
	vsnprintf(expected, sizeof(expected), format, args);
	va_end(args);
	pw_config_error(in->reader, in->value->line, "\"%s\" %s \"%.60s%s\", expected %s", in->setting->name,
		in->setting->type == PW_VALUE ? "is" : "contains", text, strlen(text) > 60 ? "..." : "", expected);
}

static void put_number(const struct pw_input *in, void *out, uint32_t number)
{
	if (in->setting->size == sizeof(uint8_t)) /* or a bool */
		*(uint8_t *)out = (uint8_t)number;
	else if (in->setting->size == sizeof(uint16_t))
		*(uint16_t *)out = (uint16_t)number;
	else /* or an enum */
		*(uint32_t *)out = number;
}

static void parse_number(const struct pw_input *in, void *out)
{
	uint32_t number;

	if (pw_number32(in->value->text, in->setting->min, in->setting->max, &number))
		put_number(in, out, number);
	else
		wrong(in, "a whole number from %u to %u", in->setting->min, in->setting->max);
}

/* Into milliseconds. Where the default is 0, that is good whatever the least is. */
static void parse_seconds(const struct pw_input *in, void *out)
{
	const struct pw_setting *s = in->setting;
	const bool or_zero = s->min > 0 && strcmp(s->initial, "0") == 0;
	uint64_t ms;

	if (pw_number_seconds(in->value->text, s->min, s->max, &ms) ||
		(or_zero && pw_number_seconds(in->value->text, 0, 0, &ms)))
		put_number(in, out, (uint32_t)ms);
	else
		wrong(in, "%sseconds from %g to %g, with at most three decimals", or_zero ? "0 or " : "",
			s->min / 1000.0, s->max / 1000.0);
}

static void parse_word(const struct pw_input *in, void *out)
{
	const struct pw_word *word = in->setting->words;
	char words[80] = "";
	size_t n = 0;

	for (; word->text != NULL && strcasecmp(word->text, in->value->text) != 0; word++)
		n += (size_t)snprintf(words + n, sizeof(words) - n, "%s %s", n > 0 ? "," : "", word->text);
	if (word->text == NULL)
		wrong(in, "one of%s", words);
	else if (in->setting->type == PW_VALUE)
		put_number(in, out, word->value);
	else /* a set */
		*(uint32_t *)out |= word->value;
}

/* "" stays NULL where the least length is 0. */
static void parse_text(const struct pw_input *in, void *out)
{
	const struct pw_setting *s = in->setting;
	const char *title = s->inside != NULL ? "the title of " : "";
	const size_t length = strlen(in->value->text);

	if (length < s->min || length > s->max)
		pw_config_error(in->reader, in->value->line, "%s\"%s\" has %zu bytes, expected 1 to %u", title, s->name,
			length, s->max);
	else if (strpbrk(in->value->text, "\t\r") != NULL)
		pw_config_error(in->reader, in->value->line,
			"%s\"%s\" contains a tab or carriage return, expected none", title, s->name);
	else
		*(const char **)out = length > 0 ? pw_arena_text(&in->reader->config->memory, in->value->text) : NULL;
}

/* The forms that the agent takes; whether there is such a host shows when it connects. */
static void parse_socket(const struct pw_input *in, void *out)
{
	const char *text = in->value->text, *path = strncmp(text, "unix:", 5) == 0 ? text + 5 : text, *port;
	size_t scheme = strncmp(text, "tcp:", 4) == 0 ? 4 : strncmp(text, "tcp6:", 5) == 0 ? 5 : 0;
	const unsigned before = in->reader->errors;
	uint64_t number;
	bool good;

	if (scheme == 0) {
		good = path[0] == '/' && strlen(path) < sizeof(((struct sockaddr_un *)NULL)->sun_path);
	} else {
		port = strrchr(text, ':') + 1; /* the scheme has one */
		good = pw_number(port, 0, 65535, &number)
			? number != 0
			: text[scheme] != '\0' && port == text + scheme; /* a host alone */
	}
	parse_text(in, out);
	if (!good && in->reader->errors == before)
		wrong(in, "a path of at most 107 bytes from the root, unix:PATH, or tcp:HOST:PORT");
}

/* The name of a namespace is the name of a file below /run/netns (ip-netns(8)). Where one is to be matched, "" is the
 * daemon's own; no text would be any. */
static void parse_name(const struct pw_input *in, void *out)
{
	const char *text = in->value->text;

	if (strchr(text, '/') != NULL || strcmp(text, ".") == 0 || strcmp(text, "..") == 0)
		wrong(in, "a namespace name as ip-netns(8) lists it, not a path");
	else if (text[0] == '\0' && in->setting->type == PW_VALUE)
		*(const char **)out = "";
	else
		parse_text(in, out);
}

static void parse_cidr(const struct pw_input *in, void *out)
{
	const char *why;

	if (pw_cidr_parse(out, in->value->text, &why) != 0)
		wrong(in, "an address or network such as \"192.0.2.0/24\" or \"2001:db8::/32\" (%s)", why);
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

/* All of them into one struct pw_portset *. */
static void parse_ranges(const struct pw_input *in, void *out)
{
	struct pw_portset **set = out;
	uint16_t low, high;

	if (*set == NULL)
		*set = pw_arena_alloc(&in->reader->config->memory, sizeof(**set));
	if (!parse_range(in->value->text, &low, &high))
		wrong(in, "ports such as \"10000-10499\", from 1 to 65535");
	else if (*set != NULL)
		pw_portset_add_range(*set, low, high);
}

/* "192.0.2.1", "192.0.2.0/24", "192.0.2.1:1024-65535", "[2001:db8::1]:1024-65535" */
static void parse_snat(const struct pw_input *in, void *out)
{
	struct pw_snat_range *range = out;
	const char *text = in->value->text,
		   *why = "ports are written as in 192.0.2.1:1024-65535 or [2001:db8::1]:1024-65535";
	const bool bracket = text[0] == '[';
	const char *end = strchr(text, bracket ? ']' : ':');
	char network[64];
	bool good = true;

	range->low = PW_SNAT_LOW;
	range->high = PW_SNAT_HIGH;
	snprintf(network, sizeof(network), "%s", text);
	/* IPv6 without brackets has no ports */
	if (end != NULL && (bracket || strchr(end + 1, ':') == NULL)) {
		snprintf(network, sizeof(network), "%.*s", (int)(end - text) - bracket, text + bracket);
		end += bracket;
		good = *end == ':' ? parse_range(end + 1, &range->low, &range->high) : *end == '\0';
	}
	if (!good || pw_cidr_parse(&range->addresses, network, &why) != 0)
		wrong(in, "an address or network such as \"192.0.2.0/24\", with or without \":1024-65535\" (%s)", why);
}

/* --- the table --- */

#define HOUR 3600u
#define DAY (24 * HOUR)
#define MS 1000u

/* clang-format off */
#define PLACE(struct_, member) \
	.offset = offsetof(struct struct_, member), .size = sizeof(((struct struct_ *)NULL)->member)
#define VALUE(name_, parse_, struct_, member, min_, max_, initial_) \
	{.name = (name_), .type = PW_VALUE, .parse = (parse_), PLACE(struct_, member), \
		.min = (min_), .max = (max_), .initial = (initial_)}
#define WORDS(name_, type_, struct_, member, words_, initial_) \
	{.name = (name_), .type = (type_), .parse = parse_word, PLACE(struct_, member), \
		.words = (words_), .initial = (initial_)}
#define LIST(name_, type_, parse_, struct_, member, n_member, min_, max_) \
	{.name = (name_), .type = (type_), .parse = (parse_), .offset = offsetof(struct struct_, member), \
		.size = sizeof(*((struct struct_ *)NULL)->member), .count = offsetof(struct struct_, n_member), \
		.min = (min_), .max = (max_)}
#define INSIDE(...) .inside = (const struct pw_setting[]){__VA_ARGS__, {.name = NULL}}
#define SECTION(name_, type_, offset_, ...) \
	{.name = (name_), .type = (type_), .offset = (offset_), INSIDE(__VA_ARGS__)}

const struct pw_word pw_kind_words[] = {
	{"connect", 1u << PW_KIND_CONNECT}, {"bind", 1u << PW_KIND_BIND}, {"snat", 1u << PW_KIND_SNAT}, {NULL, 0}};
const struct pw_word pw_protocol_words[] = {{"tcp", PW_MATCH_TCP}, {"udp", PW_MATCH_UDP}, {NULL, 0}};
const struct pw_word pw_backend_words[] = {
	{"auto", PW_BACKEND_AUTO}, {"bpf", PW_BACKEND_BPF}, {"netlink", PW_BACKEND_NETLINK}, {NULL, 0}};
const struct pw_word pw_probe_words[] = {
	{"auto", PW_PROBE_AUTO}, {"on", PW_PROBE_ON}, {"off", PW_PROBE_OFF}, {NULL, 0}};
static const struct pw_word booleans[] = {
	{"true", 1}, {"false", 0}, {"yes", 1}, {"no", 0}, {"on", 1}, {"off", 0}, {NULL, 0}};

/* `at` is where the struct pw_thresholds of these sections lies. rise = 0 switches a severity off. */
#define SEVERITY(at, member) \
	SECTION(#member, PW_SECTION, (at) + offsetof(struct pw_thresholds, member), \
		VALUE("rise", parse_number, pw_threshold, rise, 0, 100, NULL), \
		VALUE("fall", parse_number, pw_threshold, fall, 0, 99, NULL))
#define THRESHOLDS(at) \
	SEVERITY(at, warning), \
	SEVERITY(at, critical), \
	SECTION("exhausted", PW_SECTION, (at), \
		VALUE("fall", parse_number, pw_thresholds, exhausted_fall, 0, 99, NULL)), \
	SECTION("forecast", PW_SECTION, (at), \
		VALUE("warn-within", parse_number, pw_thresholds, forecast_within, 0, 7 * DAY, NULL))

/* A rule begins with its match, so that `pool` and `ignore` share these. */
#define MATCH \
	WORDS("kind", PW_LIST, pw_match, kinds, pw_kind_words, NULL), \
	WORDS("protocol", PW_LIST, pw_match, protocols, pw_protocol_words, NULL), \
	LIST("local", PW_LIST, parse_cidr, pw_match, local, n_local, 0, 0), \
	LIST("remote", PW_LIST, parse_cidr, pw_match, remote, n_remote, 0, 0), \
	LIST("port", PW_LIST, parse_number, pw_match, ports, n_ports, 1, 65535), \
	VALUE("namespace", parse_name, pw_match, ns, 1, NAME_MAX, NULL)
_Static_assert(offsetof(struct pw_rule, match) == 0, "a rule begins with its match");

const struct pw_setting pw_settings[] = {
	VALUE("poll-interval", parse_seconds, pw_config, poll_interval_ms, MS / 100, HOUR * MS, "0"),
	VALUE("idle-interval", parse_seconds, pw_config, idle_interval_ms, 0, DAY * MS, "0"),
	VALUE("min-used", parse_number, pw_config, policy.min_used, 0, 65536, NULL),
	VALUE("max-rows", parse_number, pw_config, policy.max_rows, 0, 100000, NULL),
	VALUE("max-alarms", parse_number, pw_config, policy.max_alarms, 1, 1000000, NULL),
	VALUE("linger", parse_number, pw_config, policy.linger_s, 0, DAY, NULL),
	VALUE("state-file", parse_text, pw_config, state_file, 0, 4095, ""),
	VALUE("top", parse_number, pw_config, policy.top, 1, 1000, NULL),
	WORDS("backend", PW_VALUE, pw_config, backend, pw_backend_words, "auto"),
	WORDS("probe", PW_VALUE, pw_config, probe, pw_probe_words, "auto"),
	WORDS("connect-failures", PW_VALUE, pw_config, connect_failures, booleans, "true"),
	WORDS("events", PW_VALUE, pw_config, events, pw_probe_words, "auto"),
	THRESHOLDS(offsetof(struct pw_config, policy.defaults)),
	{.name = "pool", .type = PW_POOL_SECTION,
		.parse = parse_text, PLACE(pw_rule, label), .min = 1, .max = 63, /* as in events */
		INSIDE(MATCH,
			THRESHOLDS(offsetof(struct pw_rule, thresholds)),
			VALUE("free-below", parse_number, pw_rule, thresholds.free_below, 0, 65536, NULL),
			VALUE("fast-free-below", parse_number, pw_rule, thresholds.fast_free_below, 0, 65536, NULL),
			{.name = "ports", .type = PW_LIST, .parse = parse_ranges, PLACE(pw_rule, ports)},
			VALUE("capacity", parse_number, pw_rule, capacity, 1, 65536, NULL),
			VALUE("for", parse_number, pw_rule, thresholds.for_polls, 1, 1000, NULL))},
	SECTION("ignore", PW_IGNORE_SECTION, 0, MATCH),
	SECTION("notify", PW_SECTION, 0,
		VALUE("for", parse_number, pw_config, policy.defaults.for_polls, 1, 1000, NULL),
		VALUE("max-per-minute", parse_number, pw_config, notify.max_per_minute, 0, 60000, "60"),
		VALUE("max-flaps", parse_number, pw_config, notify.max_flaps, 0, 1000, "10"),
		VALUE("renotify", parse_number, pw_config, notify.renotify_s, 0, 7 * DAY, "0")),
	SECTION("agentx", PW_SECTION, 0,
		VALUE("socket", parse_socket, pw_config, agentx.socket, 1, 255, "/var/agentx/master"),
		VALUE("ping-interval", parse_seconds, pw_config, agentx.ping_interval_ms, MS, HOUR * MS, "15"),
		VALUE("reconnect-interval", parse_seconds, pw_config, agentx.reconnect_interval_ms, MS / 10, HOUR * MS,
			"2")),
	SECTION("snmp", PW_SECTION, 0,
		VALUE("include", parse_text, pw_config, snmp.include, 0, 4095, "/etc/portwatch/snmp.conf")),
	SECTION("metrics", PW_SECTION, 0,
		VALUE("listen", parse_text, pw_config, metrics.listen, 0, 255, "")),
	SECTION("control", PW_SECTION, 0,
		VALUE("socket", parse_text, pw_config, control.socket, 0, 107, PW_CONTROL_SOCKET)),
	SECTION("namespaces", PW_SECTION, 0,
		WORDS("all", PW_VALUE, pw_config, namespaces.all, booleans, "false"),
		LIST("names", PW_LIST_OR_NONE, parse_name, pw_config, namespaces.names, namespaces.n_names, 1,
			NAME_MAX),
		VALUE("max-sockets", parse_number, pw_config, namespaces.max_sockets, 0, INT32_MAX, "1000000")),
	SECTION("snat", PW_HEIR_SECTION, 0,
		LIST("addresses", PW_LIST_OR_NONE, parse_snat, pw_config, snat.ranges, snat.n_ranges, 0, 0),
		VALUE("interval", parse_number, pw_config, snat.interval_s, 1, DAY, "60"),
		THRESHOLDS(offsetof(struct pw_config, policy.snat))),
	SECTION("conntrack", PW_HEIR_SECTION, 0,
		SEVERITY(offsetof(struct pw_config, policy.conntrack), warning),
		SEVERITY(offsetof(struct pw_config, policy.conntrack), critical)),
	{.name = NULL}};
/* clang-format on */

const struct pw_setting *pw_setting_find(const struct pw_setting *table, const char *name, size_t length)
{
	for (; table->name != NULL; table++)
		if (strncmp(table->name, name, length) == 0 && table->name[length] == '\0')
			return table;
	return NULL;
}

void pw_setting_store(struct pw_reader *r, const struct pw_setting *setting, const struct pw_value *values, void *base)
{
	struct pw_input in = {setting, values, r};
	char *out = (char *)base + setting->offset;
	size_t n = 0;

	for (const struct pw_value *value = values; value != NULL; value = value->next)
		n++;
	if (setting->count != 0) {
		*(size_t *)(void *)((char *)base + setting->count) = n;
		*(void **)(void *)out = pw_arena_array(&r->config->memory, n, setting->size);
		out = *(char **)(void *)out;
	}
	for (; in.value != NULL && out != NULL; in.value = in.value->next) {
		setting->parse(&in, out);
		out += setting->count != 0 ? setting->size : 0;
	}
}

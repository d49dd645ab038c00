/* SPDX-License-Identifier: BSD-2-Clause */
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/number.h"
#include "config/config.h"
#include "config/syntax.h"

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

	snprintf(expected, sizeof(expected), "a whole number from %u to %u", in->setting->min, in->setting->max);
	return pw_number32(in->value->text, in->setting->min, in->setting->max, out) || wrong(in, expected);
}

static bool parse_percent(const struct input *in, void *out)
{
	uint32_t number;
	bool good = parse_number(in, &number);

	if (good)
		*(uint8_t *)out = (uint8_t)number;
	return good;
}

static bool parse_port(const struct input *in, void *out)
{
	uint32_t number;
	bool good = parse_number(in, &number);

	if (good)
		*(uint16_t *)out = (uint16_t)number;
	return good;
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

static char *copy(const char *text, struct pw_arena *arena)
{
	char *to = pw_arena_alloc(arena, strlen(text) + 1);

	return to != NULL ? strcpy(to, text) : NULL;
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
		return copy(value->text, arena);
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
static bool is_socket(const char *text)
{
	const char *path = strncmp(text, "unix:", 5) == 0 ? text + 5 : text;
	size_t scheme = strncmp(text, "tcp:", 4) == 0 ? 4 : strncmp(text, "tcp6:", 5) == 0 ? 5 : 0;
	const char *port;
	uint64_t number;

	if (scheme == 0)
		return path[0] == '/' && strlen(path) < sizeof(((struct sockaddr_un *)NULL)->sun_path);
	port = strrchr(text, ':') + 1; /* the scheme has one */
	if (pw_number(port, 0, 65535, &number))
		return number != 0;
	return text[scheme] != '\0' && port == text + scheme; /* a host alone */
}

static bool parse_socket(const struct input *in, void *out)
{
	if (!parse_text_up_to(in, in->setting->max, out))
		return false;
	return is_socket(in->value->text) ||
		wrong(in, "a path of at most 107 bytes from the root, unix:PATH, or tcp:HOST:PORT");
}

/* The name of a namespace is the name of a file below /run/netns (ip-netns(8)). */
static bool parse_name(const struct input *in, void *out)
{
	const char *text = in->value->text;

	if (strchr(text, '/') != NULL || strcmp(text, ".") == 0 || strcmp(text, "..") == 0)
		return wrong(in, "a namespace name as ip-netns(8) lists it, not a path");
	return parse_text_up_to(in, NAME_MAX, out);
}

/* "" is the daemon's own; no text would be any. */
static bool parse_namespace(const struct input *in, void *out)
{
	if (in->value->text[0] != '\0')
		return parse_name(in, out);
	*(char **)out = copy("", in->arena);
	return true;
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
		[PW_PERCENT] = {parse_percent, 0},
		[PW_SECONDS] = {parse_seconds, 0},
		[PW_ZERO_OR_SECONDS] = {parse_seconds, 0},
		[PW_BOOL] = {parse_bool, 0},
		[PW_WORD] = {parse_word, 0},
		[PW_TEXT] = {parse_text, 0},
		[PW_SOCKET] = {parse_socket, 0},
		[PW_NAMESPACE] = {parse_namespace, 0},
		[PW_WORDS] = {parse_word, 0},
		[PW_RANGES] = {parse_ranges, 0},
		[PW_PORTS] = {parse_port, sizeof(uint16_t)},
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

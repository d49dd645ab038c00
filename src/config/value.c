/* SPDX-License-Identifier: BSD-2-Clause */
#include "config/value.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>

typedef void store_value(
	const struct pw_directive *d, const struct pw_value *v, void *base, struct pw_mistakes *mistakes);

static void *field(const struct pw_directive *d, void *base)
{
	return (char *)base + d->offset;
}

static void wrong(
	const struct pw_directive *d, const struct pw_value *v, struct pw_mistakes *mistakes, const char *expected)
{
	bool list = d->form == PW_FORM_LIST;

	pw_mistake_add(mistakes, v->line, "\"%s\" %s \"%.60s%s\", expected %s", d->name, list ? "contains" : "is",
		v->text, strlen(v->text) > 60 ? "..." : "", expected);
}

/* Appends one zeroed item to an array of d and returns it, or NULL with a mistake. */
static void *append(
	const struct pw_directive *d, const struct pw_value *v, void *base, size_t size, struct pw_mistakes *mistakes)
{
	size_t *count = (size_t *)(void *)((char *)base + d->count_offset);
	void **array = field(d, base);
	char *grown = reallocarray(*array, *count + 1, size);

	if (grown == NULL) {
		pw_mistake_add(mistakes, v->line, "out of memory");
		return NULL;
	}
	*array = grown;
	return memset(grown + size * (*count)++, 0, size);
}

/* Digits only: strtol() would take " 1", "+1", "0x1f" and "010" for eight. Returns false for anything else, and above max. */
static bool parse_digits(const char *text, size_t length, uint64_t max, uint64_t *out)
{
	*out = 0;
	for (size_t i = 0; i < length; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		*out = *out * 10 + (uint64_t)(text[i] - '0');
		if (*out > max)
			return false;
	}
	return length > 0;
}

static bool parse_number(
	const struct pw_directive *d, const struct pw_value *v, uint32_t *out, struct pw_mistakes *mistakes)
{
	char expected[80];
	uint64_t number;

	if (parse_digits(v->text, strlen(v->text), d->max, &number) && number >= d->min) {
		*out = (uint32_t)number;
		return true;
	}
	snprintf(expected, sizeof(expected), "a whole number from %u to %u", d->min, d->max);
	wrong(d, v, mistakes, expected);
	return false;
}

static void store_number(
	const struct pw_directive *d, const struct pw_value *v, void *base, struct pw_mistakes *mistakes)
{
	parse_number(d, v, field(d, base), mistakes);
}

/* "12", "0.25", ".5", "3.": seconds into milliseconds, exactly, whatever the locale's decimal point is. */
static bool parse_milliseconds(const char *text, uint64_t max, uint64_t *out)
{
	size_t whole = strcspn(text, "."), decimals = text[whole] == '.' ? strlen(text + whole + 1) : 0;
	uint64_t seconds = 0, fraction = 0;

	if (whole + decimals == 0 || decimals > 3)
		return false;
	if (whole > 0 && !parse_digits(text, whole, max / 1000, &seconds))
		return false;
	if (decimals > 0 && !parse_digits(text + whole + 1, decimals, 999, &fraction))
		return false;
	for (; decimals < 3; decimals++)
		fraction *= 10;
	*out = seconds * 1000 + fraction;
	return *out <= max;
}

static bool parse_duration(
	const struct pw_directive *d, const struct pw_value *v, uint64_t *ms, struct pw_mistakes *mistakes)
{
	char expected[80];

	if (parse_milliseconds(v->text, d->max, ms) && *ms >= d->min)
		return true;
	snprintf(expected, sizeof(expected), "seconds from %g to %g, with at most three decimals", d->min / 1000.0,
		d->max / 1000.0);
	wrong(d, v, mistakes, expected);
	return false;
}

static void store_milliseconds(
	const struct pw_directive *d, const struct pw_value *v, void *base, struct pw_mistakes *mistakes)
{
	uint64_t ms;

	if (parse_duration(d, v, &ms, mistakes))
		*(uint32_t *)field(d, base) = (uint32_t)ms;
}

static void store_seconds(
	const struct pw_directive *d, const struct pw_value *v, void *base, struct pw_mistakes *mistakes)
{
	uint64_t ms;

	if (parse_duration(d, v, &ms, mistakes))
		*(double *)field(d, base) = (double)ms / 1000;
}

struct word {
	const char *text;
	int value;
};

/* Looks a word up in a list that ends with NULL. Returns its value, or -1 with a mistake that names them all. */
static int parse_word(
	const struct pw_directive *d, const struct pw_value *v, const struct word *words, struct pw_mistakes *mistakes)
{
	char expected[120] = "one of";
	size_t n = strlen(expected);

	for (size_t i = 0; words[i].text != NULL; i++) {
		if (strcasecmp(words[i].text, v->text) == 0)
			return words[i].value;
		n += (size_t)snprintf(expected + n, sizeof(expected) - n, "%s %s", i > 0 ? "," : "", words[i].text);
	}
	wrong(d, v, mistakes, expected);
	return -1;
}

static void store_bool(const struct pw_directive *d, const struct pw_value *v, void *base, struct pw_mistakes *mistakes)
{
	static const struct word words[] = {
		{"true", 1}, {"false", 0}, {"yes", 1}, {"no", 0}, {"on", 1}, {"off", 0}, {NULL, 0}};
	int value = parse_word(d, v, words, mistakes);

	if (value >= 0)
		*(bool *)field(d, base) = value != 0;
}

static void store_probe(
	const struct pw_directive *d, const struct pw_value *v, void *base, struct pw_mistakes *mistakes)
{
	static const struct word words[] = {
		{"auto", PW_PROBE_AUTO}, {"on", PW_PROBE_ON}, {"off", PW_PROBE_OFF}, {NULL, 0}};
	int value = parse_word(d, v, words, mistakes);

	if (value >= 0)
		*(enum pw_probe_mode *)field(d, base) = (enum pw_probe_mode)value;
}

static void store_kind(const struct pw_directive *d, const struct pw_value *v, void *base, struct pw_mistakes *mistakes)
{
	static const struct word words[] = {
		{"connect", PW_KIND_CONNECT}, {"bind", PW_KIND_BIND}, {"snat", PW_KIND_SNAT}, {NULL, 0}};
	int value = parse_word(d, v, words, mistakes);

	if (value >= 0)
		*(uint32_t *)field(d, base) |= 1u << value;
}

static void store_protocol(
	const struct pw_directive *d, const struct pw_value *v, void *base, struct pw_mistakes *mistakes)
{
	static const struct word words[] = {{"tcp", PW_MATCH_TCP}, {"udp", PW_MATCH_UDP}, {NULL, 0}};
	int value = parse_word(d, v, words, mistakes);

	if (value >= 0)
		*(uint32_t *)field(d, base) |= (uint32_t)value;
}

static void store_cidr(const struct pw_directive *d, const struct pw_value *v, void *base, struct pw_mistakes *mistakes)
{
	struct pw_cidr cidr, *item;
	const char *why;
	char expected[160];

	if (pw_cidr_parse(&cidr, v->text, &why) < 0) {
		snprintf(expected, sizeof(expected),
			"an address or network such as \"192.0.2.0/24\" or \"2001:db8::/32\" (%s)", why);
		wrong(d, v, mistakes, expected);
	} else if ((item = append(d, v, base, sizeof(*item), mistakes)) != NULL) {
		*item = cidr;
	}
}

/* "192.0.2.1", "192.0.2.0/24", "192.0.2.1:1024-65535", "[2001:db8::1]:1024-65535": the network (copied to `network`) and the ports behind
 * it. Returns false when the ports are none. */
static bool split_ports(const char *text, char network[64], uint16_t *low, uint16_t *high)
{
	const bool bracket = text[0] == '[';
	const char *end = bracket ? strchr(text, ']') : strchr(text, ':'), *ports, *dash;
	uint64_t first, last;

	*low = PW_SNAT_LOW;
	*high = PW_SNAT_HIGH;
	snprintf(network, 64, "%s", text);
	if (end == NULL || (!bracket && strchr(end + 1, ':') != NULL)) /* without ports, or IPv6 without brackets */
		return true;
	snprintf(network, 64, "%.*s", (int)(end - text) - bracket, text + bracket);
	if (bracket && end[1] == '\0')
		return true;
	ports = end + 1 + bracket;
	dash = strchr(ports, '-');
	if ((bracket && end[1] != ':') || dash == NULL || !parse_digits(ports, (size_t)(dash - ports), 65535, &first) ||
		!parse_digits(dash + 1, strlen(dash + 1), 65535, &last) || first == 0 || first > last)
		return false;
	*low = (uint16_t)first;
	*high = (uint16_t)last;
	return true;
}

static void store_snat(const struct pw_directive *d, const struct pw_value *v, void *base, struct pw_mistakes *mistakes)
{
	struct pw_snat_range range, *item;
	char network[64], expected[200];
	const char *why = "ports are written as in 192.0.2.1:1024-65535 or [2001:db8::1]:1024-65535";

	if (!split_ports(v->text, network, &range.low, &range.high) ||
		pw_cidr_parse(&range.addresses, network, &why) < 0) {
		snprintf(expected, sizeof(expected),
			"an address or network such as \"192.0.2.0/24\", with or without \":1024-65535\" (%s)", why);
		wrong(d, v, mistakes, expected);
	} else if ((item = append(d, v, base, sizeof(*item), mistakes)) != NULL) {
		*item = range;
	}
}

static void store_port(const struct pw_directive *d, const struct pw_value *v, void *base, struct pw_mistakes *mistakes)
{
	uint32_t port;
	uint16_t *item;

	if (parse_number(d, v, &port, mistakes) && (item = append(d, v, base, sizeof(*item), mistakes)) != NULL)
		*item = (uint16_t)port;
}

char *pw_value_text(const char *what, const struct pw_value *v, size_t max, struct pw_mistakes *mistakes)
{
	size_t length = strlen(v->text);
	char *copy;

	if (length == 0 || length > max) {
		pw_mistake_add(mistakes, v->line, "%s has %zu bytes, expected 1 to %zu", what, length, max);
		return NULL;
	}
	if (strpbrk(v->text, "\t\r") != NULL) {
		pw_mistake_add(mistakes, v->line, "%s contains a tab or carriage return, expected none", what);
		return NULL;
	}
	copy = strdup(v->text);
	if (copy == NULL)
		pw_mistake_add(mistakes, v->line, "out of memory");
	return copy;
}

static char *quoted_text(
	const struct pw_directive *d, const struct pw_value *v, size_t max, struct pw_mistakes *mistakes)
{
	char what[40];

	snprintf(what, sizeof(what), "\"%s\"", d->name);
	return pw_value_text(what, v, max, mistakes);
}

static void replace(char **field, char *text)
{
	if (text == NULL)
		return;
	free(*field);
	*field = text;
}

static void store_text(const struct pw_directive *d, const struct pw_value *v, void *base, struct pw_mistakes *mistakes)
{
	if (d->may_be_empty && v->text[0] == '\0') {
		free(*(char **)field(d, base));
		*(char **)field(d, base) = NULL;
		return;
	}
	replace(field(d, base), quoted_text(d, v, d->max, mistakes));
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
	if (parse_digits(port, strlen(port), 65535, &number))
		return number != 0;
	return text[scheme] != '\0' && port == text + scheme; /* a host alone */
}

static void store_socket(
	const struct pw_directive *d, const struct pw_value *v, void *base, struct pw_mistakes *mistakes)
{
	char *text = quoted_text(d, v, d->max, mistakes);

	if (text != NULL && !is_socket(text)) {
		wrong(d, v, mistakes, "a path of at most 107 bytes from the root, unix:PATH, or tcp:HOST:PORT");
		free(text);
		text = NULL;
	}
	replace(field(d, base), text);
}

/* The name of a namespace is the name of a file below /run/netns (ip-netns(8)). */
static char *namespace_name(const struct pw_directive *d, const struct pw_value *v, struct pw_mistakes *mistakes)
{
	if (strchr(v->text, '/') != NULL || strcmp(v->text, ".") == 0 || strcmp(v->text, "..") == 0) {
		wrong(d, v, mistakes, "a namespace name as ip-netns(8) lists it, not a path");
		return NULL;
	}
	return quoted_text(d, v, NAME_MAX, mistakes);
}

/* "" is the daemon's own; no text would be any. */
static void store_namespace(
	const struct pw_directive *d, const struct pw_value *v, void *base, struct pw_mistakes *mistakes)
{
	char *own = v->text[0] == '\0' ? strdup("") : NULL;

	if (v->text[0] != '\0')
		replace(field(d, base), namespace_name(d, v, mistakes));
	else if (own != NULL)
		replace(field(d, base), own);
	else
		pw_mistake_add(mistakes, v->line, "out of memory");
}

static void store_name(const struct pw_directive *d, const struct pw_value *v, void *base, struct pw_mistakes *mistakes)
{
	char *name = namespace_name(d, v, mistakes), **item;

	if (name == NULL)
		return;
	item = append(d, v, base, sizeof(*item), mistakes);
	if (item != NULL)
		*item = name;
	else
		free(name);
}

void pw_value_store(const struct pw_directive *d, const struct pw_value *v, void *base, struct pw_mistakes *mistakes)
{
	static store_value *const stores[] = {
		[PW_VALUE_NUMBER] = store_number,
		[PW_VALUE_MILLISECONDS] = store_milliseconds,
		[PW_VALUE_SECONDS] = store_seconds,
		[PW_VALUE_BOOL] = store_bool,
		[PW_VALUE_PROBE] = store_probe,
		[PW_VALUE_TEXT] = store_text,
		[PW_VALUE_SOCKET] = store_socket,
		[PW_VALUE_NAMESPACE] = store_namespace,
		[PW_VALUE_NAMES] = store_name,
		[PW_VALUE_CIDRS] = store_cidr,
		[PW_VALUE_SNAT] = store_snat,
		[PW_VALUE_PORTS] = store_port,
		[PW_VALUE_KINDS] = store_kind,
		[PW_VALUE_PROTOCOLS] = store_protocol,
	};

	stores[d->type](d, v, base, mistakes);
}

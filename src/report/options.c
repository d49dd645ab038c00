/* SPDX-License-Identifier: BSD-2-Clause */
#include "report/options.h"

#include <getopt.h>
#include <math.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define DEFAULT_WATCH_MS 2000
#define DEFAULT_TIMEOUT_S 10 /* the limit that the Monitoring Plugins guidelines give a plugin */

const char pw_options_help[] =
	"Usage: portwatch [OPTION]...\n"
	"Shows how near the ephemeral ports of this host are to exhaustion, per pool.\n"
	"\n"
	"Output:\n"
	"      --watch[=SECONDS]   poll again and redraw (default 2 s); q or ^C quits\n"
	"      --json              one JSON document; with --watch one line a poll\n"
	"      --openmetrics       metrics for Prometheus\n"
	"      --explain           why the worst pool is where it is, and what helps\n"
	"      --top N             show the N worst pools (table: 10)\n"
	"      --all               every pool with at least one port\n"
	"      --color WHEN        auto, always or never\n"
	"\n"
	"Filters (lists are separated by commas, options may be repeated):\n"
	"      --kind KIND         connect, bind, snat\n"
	"      --protocol PROTO    tcp, udp\n"
	"      --local NETWORK     local address or network (CIDR)\n"
	"      --remote NETWORK    remote address or network (CIDR)\n"
	"      --port PORT         remote port\n"
	"      --state STATE       normal, warning, critical, exhausted\n"
	"      --netns NAME        look into this network namespace: a name, a path, or '*' for all\n"
	"\n"
	"Monitoring plugin:\n"
	"      --check             one line with performance data; exit status 0, 1, 2, 3\n"
	"  -w, --warning PCT       warning at this utilization or more\n"
	"  -c, --critical PCT      critical at this utilization or more\n"
	"      --free-below N      warning when fewer than N ports are free\n"
	"  -t, --timeout SECONDS   give up after this time (10)\n"
	"\n"
	"Source:\n"
	"      --config FILE       labels and thresholds of a portwatchd.conf\n"
	"      --backend NAME      read sockets by bpf or netlink (auto: by BPF where there are very many)\n"
	"      --probe WHEN        ask the allocator about ports in doubt: auto, on (all), off\n"
	"      --record FILE       also write the raw dump and settings to FILE\n"
	"      --replay FILE       take them from FILE instead of the kernel\n"
	"\n"
	"  -h, --help              this text\n"
	"  -V, --version           the version\n";

/* The number in a text of digits. Returns 0, or -1 when it is none or not in min..max. */
static int parse_number(const char *text, uint32_t min, uint32_t max, uint32_t *out)
{
	char *end;
	unsigned long long value;

	if (text[0] < '0' || text[0] > '9')
		return -1;
	value = strtoull(text, &end, 10);
	if (*end != '\0' || value < min || value > max)
		return -1;
	*out = (uint32_t)value;
	return 0;
}

/* A word and what it stands for. Lists end with a NULL word. */
struct word {
	const char *text;
	uint32_t value;
};

static const struct word *find_word(const struct word *words, const char *text)
{
	for (; words->text != NULL; words++)
		if (strcasecmp(words->text, text) == 0)
			return words;
	return NULL;
}

static int unknown_word(const char *option, const char *text, const struct word *words, struct pw_error *err)
{
	char known[128] = "";

	for (; words->text != NULL; words++) {
		size_t used = strlen(known);

		snprintf(known + used, sizeof(known) - used, "%s%s", used > 0 ? ", " : "", words->text);
	}
	return pw_error_set(err, "--%s: unknown value '%s', expected one of: %s", option, text, known);
}

/* Takes the value of an option, or one part of it where the option is a list. */
typedef int option_handler(struct pw_options *o, const char *value, struct pw_error *err);

/* Calls `take` for each part of a list separated by commas; an empty part is an error of `take`. */
static int each_part(const char *list, struct pw_options *o, struct pw_error *err, option_handler *take)
{
	char *copy = strdup(list), *rest = copy, *part;
	int result = 0;

	if (copy == NULL)
		return pw_error_set(err, "out of memory");
	while (result == 0 && (part = strsep(&rest, ",")) != NULL)
		result = take(o, part, err);
	free(copy);
	return result;
}

/* Makes room for one more element of `size` bytes behind the n in *list; NULL when out of memory. */
static void *grow(void *list, size_t n, size_t size, struct pw_error *err)
{
	void *grown = reallocarray(list, n + 1, size);

	if (grown == NULL)
		pw_error_set(err, "out of memory");
	return grown;
}

static int set_bit(const char *option, const char *text, const struct word *words, uint32_t *bits, struct pw_error *err)
{
	const struct word *word = find_word(words, text);

	if (word == NULL)
		return unknown_word(option, text, words, err);
	*bits |= word->value;
	return 0;
}

static int option_kind(struct pw_options *o, const char *text, struct pw_error *err)
{
	static const struct word words[] = {{"connect", 1u << PW_KIND_CONNECT}, {"bind", 1u << PW_KIND_BIND},
		{"snat", 1u << PW_KIND_SNAT}, {NULL, 0}};

	return set_bit("kind", text, words, &o->match.kinds, err);
}

static int option_protocol(struct pw_options *o, const char *text, struct pw_error *err)
{
	static const struct word words[] = {{"tcp", PW_MATCH_TCP}, {"udp", PW_MATCH_UDP}, {NULL, 0}};

	return set_bit("protocol", text, words, &o->match.protocols, err);
}

static int option_state(struct pw_options *o, const char *text, struct pw_error *err)
{
	static const struct word words[] = {{"normal", 1u << PW_STATE_NORMAL}, {"warning", 1u << PW_STATE_WARNING},
		{"critical", 1u << PW_STATE_CRITICAL}, {"exhausted", 1u << PW_STATE_EXHAUSTED}, {NULL, 0}};

	return set_bit("state", text, words, &o->states, err);
}

static int add_network(const char *option, const char *text, struct pw_cidr **list, size_t *n, struct pw_error *err)
{
	struct pw_cidr *grown, network;
	const char *why;

	if (pw_cidr_parse(&network, text, &why) < 0)
		return pw_error_set(err, "--%s: '%s': %s, expected an address or a network such as 192.0.2.0/24",
			option, text, why);
	grown = grow(*list, *n, sizeof(**list), err);
	if (grown == NULL)
		return -1;
	*list = grown;
	grown[(*n)++] = network;
	return 0;
}

static int option_local(struct pw_options *o, const char *text, struct pw_error *err)
{
	return add_network("local", text, &o->match.local, &o->match.n_local, err);
}

static int option_remote(struct pw_options *o, const char *text, struct pw_error *err)
{
	return add_network("remote", text, &o->match.remote, &o->match.n_remote, err);
}

static int option_port(struct pw_options *o, const char *text, struct pw_error *err)
{
	uint16_t *grown;
	uint32_t port;

	if (parse_number(text, 1, 65535, &port) < 0)
		return pw_error_set(err, "--port: '%s' is no port number, expected 1 to 65535", text);
	grown = grow(o->match.ports, o->match.n_ports, sizeof(*grown), err);
	if (grown == NULL)
		return -1;
	o->match.ports = grown;
	grown[o->match.n_ports++] = (uint16_t)port;
	return 0;
}

static int option_netns(struct pw_options *o, const char *value, struct pw_error *err)
{
	const char **grown;

	if (value[0] == '\0')
		return pw_error_set(err, "--netns: the name is empty");
	if (strcmp(value, "*") == 0) {
		o->all_netns = true;
		return 0;
	}
	grown = grow(o->netns, o->n_netns, sizeof(*grown), err);
	if (grown == NULL)
		return -1;
	o->netns = grown;
	grown[o->n_netns++] = value;
	return 0;
}

static int option_watch(struct pw_options *o, const char *value, struct pw_error *err)
{
	char *end;
	double seconds;

	o->watch_ms = DEFAULT_WATCH_MS;
	if (value == NULL)
		return 0;
	seconds = strtod(value, &end);
	if (end == value || *end != '\0' || !isfinite(seconds) || seconds < 0.1 || seconds > 86400)
		return pw_error_set(err, "--watch: '%s' is no interval, expected 0.1 to 86400 seconds", value);
	o->watch_ms = (uint32_t)(seconds * 1000 + 0.5);
	return 0;
}

static int option_top(struct pw_options *o, const char *value, struct pw_error *err)
{
	if (parse_number(value, 1, 1000000, &o->top) < 0)
		return pw_error_set(err, "--top: '%s' is no number of pools, expected 1 to 1000000", value);
	return 0;
}

static int option_color(struct pw_options *o, const char *value, struct pw_error *err)
{
	static const struct word words[] = {
		{"auto", PW_COLOUR_AUTO}, {"always", PW_COLOUR_ALWAYS}, {"never", PW_COLOUR_NEVER}, {NULL, 0}};
	const struct word *word = find_word(words, value);

	if (word == NULL)
		return unknown_word("color", value, words, err);
	o->colour = (enum pw_colour)word->value;
	return 0;
}

static int option_backend(struct pw_options *o, const char *value, struct pw_error *err)
{
	static const struct word words[] = {
		{"auto", PW_BACKEND_AUTO}, {"bpf", PW_BACKEND_BPF}, {"netlink", PW_BACKEND_NETLINK}, {NULL, 0}};
	const struct word *word = find_word(words, value);

	if (word == NULL)
		return unknown_word("backend", value, words, err);
	o->backend = (enum pw_backend_choice)word->value;
	o->backend_given = true;
	return 0;
}

static int option_probe(struct pw_options *o, const char *value, struct pw_error *err)
{
	static const struct word words[] = {
		{"auto", PW_PROBE_AUTO}, {"on", PW_PROBE_ON}, {"off", PW_PROBE_OFF}, {NULL, 0}};
	const struct word *word = find_word(words, value);

	if (word == NULL)
		return unknown_word("probe", value, words, err);
	o->probe = (enum pw_probe_mode)word->value;
	o->probe_given = true;
	return 0;
}

/* A threshold in percent: "80" or "80%". */
static int percent(const char *option, const char *value, uint32_t *out, struct pw_error *err)
{
	size_t len = strlen(value);
	char digits[8] = "";

	if (len > 0 && value[len - 1] == '%')
		len--;
	if (len < sizeof(digits))
		memcpy(digits, value, len);
	if (parse_number(digits, 1, 100, out) < 0)
		return pw_error_set(err, "%s: '%s' is no threshold, expected 1 to 100 percent", option, value);
	return 0;
}

static int option_warning(struct pw_options *o, const char *value, struct pw_error *err)
{
	return percent("-w", value, &o->warning, err);
}

static int option_critical(struct pw_options *o, const char *value, struct pw_error *err)
{
	return percent("-c", value, &o->critical, err);
}

static int option_free_below(struct pw_options *o, const char *value, struct pw_error *err)
{
	if (parse_number(value, 1, 65536, &o->free_below) < 0)
		return pw_error_set(err, "--free-below: '%s' is no number of ports, expected 1 to 65536", value);
	return 0;
}

static int option_timeout(struct pw_options *o, const char *value, struct pw_error *err)
{
	if (parse_number(value, 1, 3600, &o->timeout_s) < 0)
		return pw_error_set(err, "-t: '%s' is no time, expected 1 to 3600 seconds", value);
	return 0;
}

/* How the value of an option is taken: by its handler, part by part, or right into the member at `offset`. */
enum taking { BY_HANDLER, BY_PARTS, AS_FLAG, AS_STRING, AS_FORMAT, AS_COMMAND };

/* getopt_long() returns FIRST_OPTION + the position in `specs`, or the letter. */
enum { FIRST_OPTION = 256 };

static const struct spec {
	const char *name;
	int argument;
	char letter;
	enum taking taking;
	option_handler *handler;
	size_t offset;
} specs[] = {
	{"help", no_argument, 'h', AS_COMMAND, NULL, PW_COMMAND_HELP},
	{"version", no_argument, 'V', AS_COMMAND, NULL, PW_COMMAND_VERSION},
	{"watch", optional_argument, 0, BY_HANDLER, option_watch, 0},
	{"json", no_argument, 0, AS_FORMAT, NULL, PW_FORMAT_JSON},
	{"openmetrics", no_argument, 0, AS_FORMAT, NULL, PW_FORMAT_OPENMETRICS},
	{"explain", no_argument, 0, AS_FLAG, NULL, offsetof(struct pw_options, explain)},
	{"top", required_argument, 0, BY_HANDLER, option_top, 0},
	{"all", no_argument, 0, AS_FLAG, NULL, offsetof(struct pw_options, all)},
	{"color", required_argument, 0, BY_HANDLER, option_color, 0},
	{"kind", required_argument, 0, BY_PARTS, option_kind, 0},
	{"protocol", required_argument, 0, BY_PARTS, option_protocol, 0},
	{"local", required_argument, 0, BY_PARTS, option_local, 0},
	{"remote", required_argument, 0, BY_PARTS, option_remote, 0},
	{"port", required_argument, 0, BY_PARTS, option_port, 0},
	{"state", required_argument, 0, BY_PARTS, option_state, 0},
	{"netns", required_argument, 0, BY_HANDLER, option_netns, 0},
	{"check", no_argument, 0, AS_FORMAT, NULL, PW_FORMAT_CHECK},
	{"warning", required_argument, 'w', BY_HANDLER, option_warning, 0},
	{"critical", required_argument, 'c', BY_HANDLER, option_critical, 0},
	{"free-below", required_argument, 0, BY_HANDLER, option_free_below, 0},
	{"timeout", required_argument, 't', BY_HANDLER, option_timeout, 0},
	{"config", required_argument, 0, AS_STRING, NULL, offsetof(struct pw_options, config)},
	{"backend", required_argument, 0, BY_HANDLER, option_backend, 0},
	{"probe", required_argument, 0, BY_HANDLER, option_probe, 0},
	{"record", required_argument, 0, AS_STRING, NULL, offsetof(struct pw_options, record)},
	{"replay", required_argument, 0, AS_STRING, NULL, offsetof(struct pw_options, replay)},
};
#define N_SPECS (sizeof(specs) / sizeof(specs[0]))

static const struct spec *find_spec(int value)
{
	if (value >= FIRST_OPTION)
		return &specs[value - FIRST_OPTION];
	for (size_t i = 0; i < N_SPECS; i++)
		if (specs[i].letter == value)
			return &specs[i];
	return NULL;
}

/* What getopt_long() complained of; `word` is the argument that it had just looked at. */
static int getopt_error(int value, const char *word, struct pw_error *err)
{
	if (value == ':')
		return pw_error_set(err, "option '%s' needs a value", word);
	if (optopt >= FIRST_OPTION)
		return pw_error_set(err, "option '--%s' takes no value", specs[optopt - FIRST_OPTION].name);
	if (optopt != 0)
		return pw_error_set(err, "unknown option '-%c'", optopt);
	return pw_error_set(err, "unknown or ambiguous option '%s'", word);
}

/* Two of them are a contradiction; --check stays then, since errors have an exit status of their own with it. */
static int take_format(struct pw_options *o, enum pw_format format, struct pw_error *err)
{
	static const char *const names[] = {"", "--json", "--openmetrics", "--check"};
	enum pw_format before = o->format;

	o->format = format > before ? format : before;
	if (before == PW_FORMAT_TABLE || before == format)
		return 0;
	return pw_error_set(
		err, "%s and %s exclude each other", names[before < format ? before : format], names[o->format]);
}

static int take_option(const struct spec *spec, struct pw_options *o, const char *value, enum pw_command *command,
	struct pw_error *err)
{
	void *member = (char *)o + spec->offset;

	switch (spec->taking) {
	case AS_FORMAT: return take_format(o, (enum pw_format)spec->offset, err);
	case AS_COMMAND: *command = (enum pw_command)spec->offset; return 0;
	case AS_FLAG: *(bool *)member = true; return 0;
	case AS_STRING: *(const char **)member = value; return 0;
	case BY_PARTS: return each_part(value, o, err, spec->handler);
	case BY_HANDLER: break;
	}
	return spec->handler(o, value, err);
}

/* Takes every option, also behind a mistake: whether --check is among them decides about the exit status. Only the
 * first mistake is kept. *command becomes help or version where they are asked for. */
static int parse_options(
	struct pw_options *o, int argc, char *const argv[], enum pw_command *command, struct pw_error *err)
{
	struct option longs[N_SPECS + 1] = {0};
	int value, result = 0;

	for (size_t i = 0; i < N_SPECS; i++)
		longs[i] = (struct option){specs[i].name, specs[i].argument, NULL, FIRST_OPTION + (int)i};
	opterr = 0;
	optind = 0;
	while ((value = getopt_long(argc, argv, ":hVw:c:t:", longs, NULL)) != -1) {
		struct pw_error *first = result == 0 ? err : NULL;
		const struct spec *spec = find_spec(value);

		if (spec == NULL)
			result = getopt_error(value, argv[optind - 1], first);
		else if (take_option(spec, o, optarg, command, first) < 0)
			result = -1;
	}
	if (result == 0 && optind < argc)
		return pw_error_set(err, "unexpected argument '%s'", argv[optind]);
	return result;
}

static int check_conflicts(const struct pw_options *o, struct pw_error *err)
{
	bool check = o->format == PW_FORMAT_CHECK;

	if (!check && (o->warning != 0 || o->critical != 0 || o->free_below != 0 || o->timeout_s != 0))
		return pw_error_set(err, "-w, -c, -t and --free-below belong to --check");
	if (check && o->watch_ms != 0)
		return pw_error_set(err, "--check and --watch exclude each other");
	if (o->format == PW_FORMAT_OPENMETRICS && o->watch_ms != 0)
		return pw_error_set(err, "--openmetrics and --watch exclude each other");
	if (o->explain && o->format != PW_FORMAT_TABLE)
		return pw_error_set(err, "--explain excludes --json, --openmetrics and --check");
	if (o->warning != 0 && o->critical != 0 && o->warning > o->critical)
		return pw_error_set(err, "-w %u is above -c %u", o->warning, o->critical);
	if (o->record != NULL && o->replay != NULL)
		return pw_error_set(err, "--record and --replay exclude each other");
	if (o->watch_ms != 0 && (o->record != NULL || o->replay != NULL))
		return pw_error_set(err, "--watch excludes --record and --replay: a record holds one poll");
	if (o->all_netns && o->n_netns > 0)
		return pw_error_set(err, "--netns '*' excludes other names");
	if (o->replay != NULL && (o->n_netns > 0 || o->all_netns || o->probe_given || o->backend_given))
		return pw_error_set(err, "--replay excludes --netns, --backend and --probe: a record is all there is");
	if (o->record != NULL && o->backend_given && o->backend == PW_BACKEND_BPF)
		return pw_error_set(err, "--record excludes --backend=bpf: a record is made of netlink's answers");
	if (o->record != NULL && (o->n_netns > 1 || o->all_netns))
		return pw_error_set(err, "--record takes one namespace at a time");
	return 0;
}

enum pw_command pw_options_parse(struct pw_options *out, int argc, char *const argv[], struct pw_error *err)
{
	enum pw_command command = PW_COMMAND_REPORT;

	memset(out, 0, sizeof(*out));
	if (parse_options(out, argc, argv, &command, err) < 0)
		return PW_COMMAND_USAGE_ERROR;
	if (command != PW_COMMAND_REPORT)
		return command;
	if (check_conflicts(out, err) < 0)
		return PW_COMMAND_USAGE_ERROR;
	if (out->format == PW_FORMAT_CHECK && out->timeout_s == 0)
		out->timeout_s = DEFAULT_TIMEOUT_S;
	return command;
}

void pw_options_clear(struct pw_options *options)
{
	free(options->match.local);
	free(options->match.remote);
	free(options->match.ports);
	free(options->netns);
	memset(options, 0, sizeof(*options));
}

/* Collects the messages about a configuration file, one a line. */
static void collect_mistake(const char *file, unsigned line, const char *message, void *context)
{
	struct pw_error *err = context;
	size_t used = strlen(err->text);
	char place[16] = "";

	if (line != 0)
		snprintf(place, sizeof(place), "%u: ", line);
	snprintf(err->text + used, sizeof(err->text) - used, "%s%s:%s%s", used > 0 ? "\n" : "", file,
		line != 0 ? place : " ", message);
}

static void override_thresholds(const struct pw_options *o, struct pw_thresholds *t)
{
	if (o->warning != 0)
		t->warning = (struct pw_threshold){.rise = (uint8_t)o->warning, .fall = (uint8_t)(o->warning - 1)};
	if (o->critical != 0)
		t->critical = (struct pw_threshold){.rise = (uint8_t)o->critical, .fall = (uint8_t)(o->critical - 1)};
	if (o->free_below != 0)
		t->free_below = o->free_below;
	/* a single poll can't hold for several */
	if (o->watch_ms == 0)
		t->for_polls = 1;
}

static bool is_filtered(const struct pw_options *o)
{
	return o->match.kinds != 0 || o->match.protocols != 0 || o->match.n_local > 0 || o->match.n_remote > 0 ||
		o->match.n_ports > 0 || o->states != 0;
}

/* Which pools are wanted besides the rows of the daemon: those below min-used too (--all), or only those beyond
 * max-rows, which a filter must see. min-used itself stays, since the thresholds in force hang on it. The ranking is
 * made anew for the pools that pass the filters, so the monitor need not make one; but every alarm needs its row for
 * its state. */
static void set_limits(struct pw_options *o, struct pw_policy *policy)
{
	bool ranked = (o->format != PW_FORMAT_JSON && o->format != PW_FORMAT_OPENMETRICS) || o->top != 0;

	if (o->all || o->explain || o->format == PW_FORMAT_CHECK)
		o->rows = PW_ROWS_ALL;
	else if (is_filtered(o))
		o->rows = PW_ROWS_OMITTED;
	if (o->top == 0)
		o->top = o->all || !ranked ? UINT32_MAX : policy->top;
	o->ranked = ranked;
	policy->top = 1;
	policy->max_alarms = UINT32_MAX;
}

struct pw_config *pw_options_config(struct pw_options *options, struct pw_error *err)
{
	struct pw_config *config;
	const struct pw_thresholds *defaults;

	err->text[0] = '\0';
	config = options->config != NULL ? pw_config_read(options->config, collect_mistake, err) : pw_config_defaults();
	if (config == NULL) {
		if (err->text[0] == '\0')
			pw_error_set(err, "out of memory");
		return NULL;
	}
	if (options->backend_given)
		config->backend = options->backend;
	if (options->probe_given)
		config->probe = options->probe;
	override_thresholds(options, &config->policy.defaults);
	override_thresholds(options, &config->policy.snat);
	for (size_t i = 0; i < config->policy.n_rules; i++)
		override_thresholds(options, &config->policy.rules[i].thresholds);
	set_limits(options, &config->policy);
	defaults = &config->policy.defaults;
	if (options->warning > defaults->critical.rise && defaults->critical.rise != 0) {
		pw_error_set(err, "-w %u is above the critical threshold of %u: give -c too", options->warning,
			defaults->critical.rise);
		pw_config_free(config);
		return NULL;
	}
	return config;
}

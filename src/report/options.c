/* SPDX-License-Identifier: BSD-2-Clause */
#include "report/options.h"

#include <getopt.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/array.h"
#include "base/number.h"
#include "config/settings.h"

#define DEFAULT_WATCH_MS 2000
#define DEFAULT_TIMEOUT_S 10 /* the limit that the Monitoring Plugins guidelines give a plugin */

#define HELP(name, repeats, help) help
#define SPEC(name, repeats, help) {#name, no_argument, 0, AS_FORMAT, 0, PW_FORMAT_##name, NULL, NULL},
#define OPTION(name, repeats, help) "--" #name,
#define OPTIONS(name, repeats, help) ", --" #name
#define REPEATS(name, repeats, help) repeats,

const char pw_options_help[] =
	"Usage: portwatch [OPTION]...\n"
	"Shows how near the ephemeral ports of this host are to exhaustion, per pool.\n"
	"\n"
	"Output:\n"
	"      --watch[=SECONDS]   poll again and redraw (default 2 s); q or ^C quits\n" PW_FORMATS(
		HELP) "      --explain           why the worst pool is where it is, and what helps\n"
		      "      --alarms            the active alarms, as portwatchd knows them\n"
		      "      --events            the last 1,000 events of portwatchd: what happened at night?\n"
		      "      --who PORT          who holds this local port, towards whom, in which state\n"
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
		      "      --no-daemon         look for ourselves, also where portwatchd runs\n"
		      "      --socket FILE       where portwatchd tells what it knows (/run/portwatch/portwatch.sock)\n"
		      "      --config FILE       labels and thresholds of a portwatchd.conf\n"
		      "      --backend NAME      read sockets by bpf or netlink (auto: by BPF where there are "
		      "very many)\n"
		      "      --probe WHEN        ask the allocator about ports in doubt: auto, on (all), off\n"
		      "      --record FILE       also write the raw dump and settings to FILE\n"
		      "      --replay FILE       take them from FILE instead of the kernel\n"
		      "\n"
		      "  -h, --help              this text\n"
		      "  -V, --version           the version\n";

static const struct pw_word states[] = {{"normal", 1u << PW_STATE_NORMAL}, {"warning", 1u << PW_STATE_WARNING},
	{"critical", 1u << PW_STATE_CRITICAL}, {"exhausted", 1u << PW_STATE_EXHAUSTED}, {NULL, 0}};
static const struct pw_word colours[] = {
	{"auto", PW_COLOUR_AUTO}, {"always", PW_COLOUR_ALWAYS}, {"never", PW_COLOUR_NEVER}, {NULL, 0}};

/* What becomes of the value of an option. Those in the middle take it part by part. */
enum taking {
	AS_COMMAND,
	AS_FORMAT,
	AS_FLAG,
	AS_STRING,
	AS_WORD,
	AS_NUMBER,
	AS_PERCENT,
	AS_INTERVAL,
	AS_NAMESPACE,
	AS_WORDS,
	AS_PORTS,
	AS_LOCAL,
	AS_REMOTE
};

/* getopt_long() returns FIRST_OPTION + the position in `specs`, or the letter. */
enum { FIRST_OPTION = 256 };

#define AT(member) offsetof(struct pw_options, member)

/* clang-format off */
static const struct spec {
	const char *name;
	int argument;
	int letter;
	enum taking taking;
	uint32_t max;                /* of a number; the least is 1 */
	size_t to;                   /* the member that gets the value; or which format or command it is */
	const struct pw_word *words; /* of AS_WORD and AS_WORDS */
	const char *what;            /* what a number must be */
} specs[] = {
	{"help", no_argument, 'h', AS_COMMAND, 0, PW_COMMAND_HELP, NULL, NULL},
	{"version", no_argument, 'V', AS_COMMAND, 0, PW_COMMAND_VERSION, NULL, NULL},
	{"watch", optional_argument, 0, AS_INTERVAL, 0, AT(watch_ms), NULL, NULL},
	PW_FORMATS(SPEC)
	{"explain", no_argument, 0, AS_FLAG, 0, AT(explain), NULL, NULL},
	{"alarms", no_argument, 0, AS_FLAG, 0, AT(alarms), NULL, NULL},
	{"events", no_argument, 0, AS_FLAG, 0, AT(events), NULL, NULL},
	{"who", required_argument, 0, AS_NUMBER, 65535, AT(who), NULL, "port number, expected 1 to 65535"},
	{"top", required_argument, 0, AS_NUMBER, 1000000, AT(top), NULL, "number of pools, expected 1 to 1000000"},
	{"all", no_argument, 0, AS_FLAG, 0, AT(all), NULL, NULL},
	{"color", required_argument, 0, AS_WORD, 0, AT(colour), colours, NULL},
	{"kind", required_argument, 0, AS_WORDS, 0, AT(match.kinds), pw_kind_words, NULL},
	{"protocol", required_argument, 0, AS_WORDS, 0, AT(match.protocols), pw_protocol_words, NULL},
	{"local", required_argument, 0, AS_LOCAL, 0, 0, NULL, NULL},
	{"remote", required_argument, 0, AS_REMOTE, 0, 0, NULL, NULL},
	{"port", required_argument, 0, AS_PORTS, 65535, 0, NULL, "port number, expected 1 to 65535"},
	{"state", required_argument, 0, AS_WORDS, 0, AT(states), states, NULL},
	{"netns", required_argument, 0, AS_NAMESPACE, 0, 0, NULL, NULL},
	{"check", no_argument, 0, AS_FORMAT, 0, PW_FORMAT_CHECK, NULL, NULL},
	{"warning", required_argument, 'w', AS_PERCENT, 100, AT(warning), NULL,
		"threshold, expected 1 to 100 percent"},
	{"critical", required_argument, 'c', AS_PERCENT, 100, AT(critical), NULL,
		"threshold, expected 1 to 100 percent"},
	{"free-below", required_argument, 0, AS_NUMBER, 65536, AT(free_below), NULL,
		"number of ports, expected 1 to 65536"},
	{"timeout", required_argument, 't', AS_NUMBER, 3600, AT(timeout_s), NULL, "time, expected 1 to 3600 seconds"},
	{"no-daemon", no_argument, 0, AS_FLAG, 0, AT(no_daemon), NULL, NULL},
	{"socket", required_argument, 0, AS_STRING, 0, AT(socket), NULL, NULL},
	{"config", required_argument, 0, AS_STRING, 0, AT(config), NULL, NULL},
	{"backend", required_argument, 0, AS_WORD, 0, AT(backend), pw_backend_words, NULL},
	{"probe", required_argument, 0, AS_WORD, 0, AT(probe), pw_probe_words, NULL},
	{"record", required_argument, 0, AS_STRING, 0, AT(record), NULL, NULL},
	{"replay", required_argument, 0, AS_STRING, 0, AT(replay), NULL, NULL},
};
/* clang-format on */
#define N_SPECS (sizeof(specs) / sizeof(specs[0]))

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

static const char *const formats[] = {"the table", PW_FORMATS(OPTION) "--check"};
static const char all_formats[] = PW_FORMATS(OPTIONS);
static const bool format_repeats[] = {true, PW_FORMATS(REPEATS) false};

/* Two of them are a contradiction; the later in the list stays. */
static int take_format(struct pw_options *o, enum pw_format format, struct pw_error *err)
{
	enum pw_format before = o->format;

	o->format = format > before ? format : before;
	if (before == PW_FORMAT_TABLE || before == format)
		return 0;
	return pw_error_set(
		err, "%s and %s exclude each other", formats[before < format ? before : format], formats[o->format]);
}

static int take_word(const struct spec *spec, const char *text, uint32_t *value, struct pw_error *err)
{
	char known[128] = "";

	for (const struct pw_word *word = spec->words; word->text != NULL; word++) {
		size_t used = strlen(known);

		if (strcasecmp(word->text, text) == 0) {
			*value = word->value;
			return 0;
		}
		snprintf(known + used, sizeof(known) - used, "%s%s", used > 0 ? ", " : "", word->text);
	}
	return pw_error_set(err, "--%s: unknown value '%s', expected one of: %s", spec->name, text, known);
}

/* A percentage may have its sign behind it: "80%". */
static int take_number(const struct spec *spec, const char *text, uint32_t *value, struct pw_error *err)
{
	const char letter[] = {'-', (char)spec->letter, '\0'};
	char digits[24];
	size_t len = (size_t)snprintf(digits, sizeof(digits), "%s", text);

	if (spec->taking == AS_PERCENT && len > 0 && len < sizeof(digits) && digits[len - 1] == '%')
		digits[len - 1] = '\0';
	if (len < sizeof(digits) && pw_number32(digits, 1, spec->max, value))
		return 0;
	return pw_error_set(err, "%s%s: '%s' is no %s", spec->letter != 0 ? letter : "--",
		spec->letter != 0 ? "" : spec->name, text, spec->what);
}

static int add_network(
	const struct spec *spec, const char *text, struct pw_cidr **list, size_t *n, struct pw_error *err)
{
	size_t room = *n;
	const char *why;

	if (!PW_ARRAY_ROOM(*list, room, *n + 1))
		return pw_error_set(err, "out of memory");
	if (pw_cidr_parse(&(*list)[*n], text, &why) < 0)
		return pw_error_set(err, "--%s: '%s': %s, expected an address or a network such as 192.0.2.0/24",
			spec->name, text, why);
	++*n;
	return 0;
}

/* One part of a list. */
static int take_part(const struct spec *spec, struct pw_options *o, const char *text, struct pw_error *err)
{
	uint32_t value = 0;
	size_t room = o->match.n_ports;

	if (spec->taking == AS_LOCAL)
		return add_network(spec, text, &o->match.local, &o->match.n_local, err);
	if (spec->taking == AS_REMOTE)
		return add_network(spec, text, &o->match.remote, &o->match.n_remote, err);
	if (spec->taking == AS_WORDS) {
		int result = take_word(spec, text, &value, err);

		*(uint32_t *)((char *)o + spec->to) |= value;
		return result;
	}
	if (take_number(spec, text, &value, err) < 0)
		return -1;
	if (!PW_ARRAY_ROOM(o->match.ports, room, room + 1))
		return pw_error_set(err, "out of memory");
	o->match.ports[o->match.n_ports++] = (uint16_t)value;
	return 0;
}

static int take_namespace(struct pw_options *o, const char *name, struct pw_error *err)
{
	size_t room = o->n_netns;

	if (name[0] == '\0')
		return pw_error_set(err, "--netns: the name is empty");
	o->all_netns = o->all_netns || strcmp(name, "*") == 0;
	if (strcmp(name, "*") == 0)
		return 0;
	if (!PW_ARRAY_ROOM(o->netns, room, room + 1))
		return pw_error_set(err, "out of memory");
	o->netns[o->n_netns++] = name;
	return 0;
}

static int take_option(const struct spec *spec, struct pw_options *o, const char *value, enum pw_command *command,
	struct pw_error *err)
{
	void *member = (char *)o + spec->to;
	uint64_t ms = DEFAULT_WATCH_MS;
	char *copy, *rest, *part;
	int result = 0;

	switch (spec->taking) {
	case AS_COMMAND: *command = (enum pw_command)spec->to; return 0;
	case AS_FORMAT: return take_format(o, (enum pw_format)spec->to, err);
	case AS_FLAG: *(bool *)member = true; return 0;
	case AS_STRING: *(const char **)member = value; return 0;
	case AS_WORD:
		o->backend_given = o->backend_given || spec->words == pw_backend_words;
		o->probe_given = o->probe_given || spec->words == pw_probe_words;
		return take_word(spec, value, member, err);
	case AS_NUMBER:
	case AS_PERCENT: return take_number(spec, value, member, err);
	case AS_INTERVAL:
		if (value != NULL && !pw_number_seconds(value, 100, 86400000, &ms))
			return pw_error_set(err, "--watch: '%s' is no interval, expected 0.1 to 86400 seconds", value);
		o->watch_ms = (uint32_t)ms;
		return 0;
	case AS_NAMESPACE: return take_namespace(o, value, err);
	case AS_WORDS:
	case AS_PORTS:
	case AS_LOCAL:
	case AS_REMOTE: break;
	}
	/* a list separated by commas, of which an empty part is a mistake */
	rest = copy = strdup(value);
	if (copy == NULL)
		return pw_error_set(err, "out of memory");
	while (result == 0 && (part = strsep(&rest, ",")) != NULL)
		result = take_part(spec, o, part, err);
	free(copy);
	return result;
}

const char *pw_options_only_local(const struct pw_options *o)
{
	const struct {
		bool given;
		const char *name;
	} local[] = {
		{o->no_daemon, "--no-daemon"},
		{o->all, "--all"},
		{o->all_netns, "--netns '*'"},
		{o->config != NULL, "--config"},
		{o->backend_given, "--backend"},
		{o->probe_given, "--probe"},
		{o->record != NULL, "--record"},
		{o->replay != NULL, "--replay"},
	};

	for (size_t i = 0; i < sizeof(local) / sizeof(local[0]); i++)
		if (local[i].given)
			return local[i].name;
	return NULL;
}

static int check_conflicts(const struct pw_options *o, struct pw_error *err)
{
	bool check = o->format == PW_FORMAT_CHECK;

	if (!check && (o->warning != 0 || o->critical != 0 || o->free_below != 0 || o->timeout_s != 0))
		return pw_error_set(err, "-w, -c, -t and --free-below belong to --check");
	if (o->watch_ms != 0 && !format_repeats[o->format])
		return pw_error_set(err, "%s and --watch exclude each other", formats[o->format]);
	if (o->explain && o->format != PW_FORMAT_TABLE)
		return pw_error_set(err, "--explain excludes %s and --check", &all_formats[2]);
	if ((o->alarms && o->events) || ((o->alarms || o->events) && (o->explain || o->watch_ms != 0 || check)))
		return pw_error_set(err, "--alarms, --events, --explain, --watch and --check exclude each other");
	if ((o->alarms || o->events) && o->format != PW_FORMAT_TABLE)
		return pw_error_set(err, "--alarms and --events exclude %s: --json tells both", formats[o->format]);
	if ((o->alarms || o->events) && o->n_netns > 0)
		return pw_error_set(err, "--netns is not for --alarms and --events");
	if ((o->alarms || o->events || o->socket != NULL) && pw_options_only_local(o) != NULL)
		return pw_error_set(err, "%s is not for what portwatchd tells", pw_options_only_local(o));
	if (o->who != 0 &&
		(o->format != PW_FORMAT_TABLE || o->explain || o->alarms || o->events || o->watch_ms != 0 ||
			o->record != NULL || o->replay != NULL || o->all_netns || o->n_netns > 1))
		return pw_error_set(
			err, "--who shows the sockets of one port in one namespace: it excludes other views");
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
	struct option longs[N_SPECS + 1] = {0};
	int value, result = 0;

	memset(out, 0, sizeof(*out));
	for (size_t i = 0; i < N_SPECS; i++)
		longs[i] = (struct option){specs[i].name, specs[i].argument, NULL, FIRST_OPTION + (int)i};
	opterr = 0;
	optind = 0;
	/* every option, also behind a mistake, of which only the first is kept: whether --check is among them decides
	 * about the exit status */
	while ((value = getopt_long(argc, argv, ":hVw:c:t:", longs, NULL)) != -1) {
		struct pw_error *first = result == 0 ? err : NULL;
		const struct spec *spec = NULL;

		for (size_t i = 0; i < N_SPECS && spec == NULL; i++)
			if (value == FIRST_OPTION + (int)i || value == specs[i].letter)
				spec = &specs[i];
		if (spec == NULL)
			result = getopt_error(value, argv[optind - 1], first);
		else if (take_option(spec, out, optarg, &command, first) < 0)
			result = -1;
	}
	if (result == 0 && optind < argc)
		result = pw_error_set(err, "unexpected argument '%s'", argv[optind]);
	if (result < 0 || (command == PW_COMMAND_REPORT && check_conflicts(out, err) < 0))
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

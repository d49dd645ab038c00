/* SPDX-License-Identifier: BSD-2-Clause */
/* agent_driver: the real agent thread without a collector, for tests
 *
 * agent_driver [-L] [-i INCLUDE] [-p PING-SECONDS] [-r RECONNECT-SECONDS] [-d] ADDRESS
 * agent_driver -o             prints what the agent knows of the MIB: objects, their units and enumerations, notifications; and the
 *                             members of the JSON document, "extra" those of the daemon's only
 *
 * Snapshots and notifications are made by commands on standard input, one a line; each is answered by one line:
 *   rows N             publishes a snapshot of N pools, of which every tenth has an alarm
 *   churn N MS         publishes one of up to N pools every MS milliseconds, until the next command
 *   rise N | fall N    posts an event for each of the first N pools
 *   longest N          posts a rising event of an IPv6 pool whose texts are as long as can be, in a namespace with a name of
 *                      N characters
 *   collector failed | collector recovered | connects N
 *   rate N             notifications a minute, 0 without limit
 *   stats              {"connected": ..., "acknowledged": ..., ...}
 *   stop MS            ends the agent: {"stopped": ..., "ms": ...}
 *   quit               also at the end of standard input */
#include <arpa/inet.h>
#include <ctype.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/agent.h"
#include "agent/object.h"
#include "base/clock.h"
#include "base/log.h"
#include "config.h"
#include "watch/snapshot.h"

enum { CAPACITY = 28232, STOP_MS = 2000 };

static struct {
	struct pw_exchange *exchange;
	struct pw_agent *agent;
	struct timespec start;
	uint32_t generation;
	uint32_t events;
	unsigned churn_rows, churn_ms;
} driver;

/* --- pools --------------------------------------------------------------------------------------------------------- */

static struct pw_address address4(uint32_t number)
{
	uint32_t bytes = htonl(0x0a000000 + number);

	return pw_address_make(AF_INET, &bytes, 0);
}

static struct pw_address address6(uint32_t number, uint32_t zone)
{
	uint8_t bytes[16] = {0xfd, 0xb8, 0xad, 0xba, 0xda, 0xba, 0xca, 0xda, 0xfe, 0xda, 0xfa, 0xca};

	number = htonl(0xfafbfc00 + number);
	memcpy(bytes + 12, &number, 4);
	return pw_address_make(AF_INET6, bytes, zone);
}

/* Every kind of key: connect, bind and snat pools, both families, with and without zone. */
static struct pw_pool_key pool_key(uint32_t i)
{
	struct pw_pool_key key;

	memset(&key, 0, sizeof(key));
	key.ns = 1 + i % 2;
	key.kind = i % 7 == 3 ? PW_KIND_BIND : i % 11 == 5 ? PW_KIND_SNAT : PW_KIND_CONNECT;
	key.protocol = i % 3 == 2 && key.kind != PW_KIND_CONNECT ? IPPROTO_UDP : IPPROTO_TCP;
	key.local = i % 5 == 4 ? address6(i, i % 2 == 0 ? 0 : 7) : address4(i);
	if (key.kind == PW_KIND_BIND)
		return key;
	key.remote = i % 5 == 4 ? address6(i / 2, 0) : address4(1u << 20 | i);
	key.port = (uint16_t)(1 + i % 65535);
	return key;
}

static const char *ns_name(const struct pw_pool_key *key)
{
	return key->ns == 2 ? "blue" : "";
}

static enum pw_state pool_state(uint32_t i)
{
	return i % 10 == 0 ? (enum pw_state)(PW_STATE_WARNING + i / 10 % 3) : PW_STATE_NORMAL;
}

static struct pw_pool_counts pool_counts(uint32_t i)
{
	struct pw_pool_counts counts = {.capacity = CAPACITY, .used = i % CAPACITY, .time_wait = i % 100};

	counts.free = CAPACITY - counts.used;
	counts.fast_free = counts.free / 2;
	counts.utilization = pw_utilization(CAPACITY, counts.free);
	return counts;
}

static const char *numbered(struct pw_arena *arena, const char *what, uint32_t i, const char *rest)
{
	char buf[256];

	snprintf(buf, sizeof(buf), "%s%u%s", what, i, rest);
	return pw_arena_text(arena, buf);
}

static void fill_row(struct pw_arena *arena, struct pw_pool_row *row, uint32_t i)
{
	uint32_t *index = pw_arena_array(arena, PW_POOL_INDEX_MAX, sizeof(*index));
	char name[PW_POOL_NAME_MAX], address[PW_ADDRESS_TEXT_MAX];

	row->key = pool_key(i);
	row->counts = pool_counts(i);
	row->index_len = pw_pool_index(&row->key, index);
	row->index = index;
	row->name = pw_arena_text(arena, pw_pool_name(&row->key, "eth0", ns_name(&row->key), name));
	row->local_text = pw_arena_text(arena, pw_address_text(&row->key.local, "eth0", address));
	row->remote_text = pw_arena_text(arena, pw_address_text(&row->key.remote, NULL, address));
	row->owner = numbered(arena, "unit", i, ".service (uid 33)");
	row->label = i % 4 == 0 ? numbered(arena, "label ", i, "") : "";
	row->peak = row->counts.used + 1;
	row->peak_ms = row->state_ms = pw_clock_boot_ms();
	row->growth = -(int32_t)i;
	row->time_to_exhaustion = i % 2 == 0 ? PW_NOT_IN_SIGHT : i;
	row->alloc_latency_us = i;
	row->state = pool_state(i);
	row->reason = row->state == PW_STATE_NORMAL ? PW_REASON_NONE : PW_REASON_UTILIZATION;
	row->basis = i % 2 == 0 ? PW_BASIS_INFERRED : PW_BASIS_PROBED;
	row->warning_threshold = 50;
	row->critical_threshold = 80;
	row->free_threshold = i % 3;
}

static int compare_rows(const void *a, const void *b)
{
	return pw_pool_key_compare(&((const struct pw_pool_row *)a)->key, &((const struct pw_pool_row *)b)->key);
}

static void fill_pools(struct pw_arena *arena, struct pw_snapshot *snapshot, unsigned n)
{
	struct pw_pool_row *rows = pw_arena_array(arena, n, sizeof(*rows));

	for (unsigned i = 0; i < n; i++)
		fill_row(arena, &rows[i], i);
	qsort(rows, n, sizeof(*rows), compare_rows);
	snapshot->pools = rows;
	snapshot->n_pools = n;
}

static void fill_alarms(struct pw_arena *arena, struct pw_snapshot *snapshot)
{
	struct pw_alarm_row *alarms = pw_arena_array(arena, snapshot->n_pools / 10 + 1, sizeof(*alarms));

	for (uint32_t i = 0; i < snapshot->n_pools; i++) {
		const struct pw_pool_row *pool = &snapshot->pools[i];

		if (pool->state == PW_STATE_NORMAL)
			continue;
		alarms[snapshot->n_alarms] = (struct pw_alarm_row){.index = (uint32_t)snapshot->n_alarms * 3 + 1,
			.pool = i,
			.severity = pool->state,
			.since = driver.start,
			.event_id = pw_exchange_last_id(driver.exchange, &pool->key)};
		snapshot->n_alarms++;
	}
	snapshot->alarms = alarms;
}

static void fill_top(struct pw_arena *arena, struct pw_snapshot *snapshot)
{
	uint32_t *top = pw_arena_array(arena, 10, sizeof(*top));

	snapshot->top_ranks = 10;
	snapshot->n_top = snapshot->n_pools < 7 ? snapshot->n_pools
						: 7; /* ranks without a pool are always among them */
	for (uint32_t i = 0; i < snapshot->n_top; i++)
		top[i] = (uint32_t)snapshot->n_pools - 1 - i;
	snapshot->top = top;
}

static void fill_namespaces(struct pw_arena *arena, struct pw_snapshot *snapshot)
{
	struct pw_ns_row *ns = pw_arena_array(arena, 2, sizeof(*ns));

	ns[0] = (struct pw_ns_row){.index = 1,
		.name = "",
		.low = 32768,
		.high = 60999,
		.capacity = CAPACITY,
		.tcp = 11,
		.tcp_time_wait = 12,
		.udp = 13,
		.tw_reuse = PW_TW_REUSE_LOOPBACK,
		.basis = PW_BASIS_PROBED,
		.sources[PW_SOURCE_SNAT].status = PW_SOURCE_OFF,
		.basis_reason = "",
		.sources[PW_SOURCE_SNAT].reason = ""};
	ns[1] = (struct pw_ns_row){.index = 2,
		.name = "blue",
		.low = 40000,
		.high = 40999,
		.reserved = 1,
		.capacity = 999,
		.tw_reuse = PW_TW_REUSE_OFF,
		.blocked = 5,
		.basis = PW_BASIS_INFERRED,
		.failing = true,
		.sources[PW_SOURCE_SNAT].failures = 12000000000000u,
		.sources[PW_SOURCE_SNAT].status = PW_SOURCE_UNAVAILABLE,
		.basis_reason = "",
		.sources[PW_SOURCE_SNAT].reason = "no privilege"};
	snapshot->namespaces = ns;
	snapshot->n_namespaces = 2;
}

static void publish(unsigned n)
{
	struct pw_arena *arena;
	struct pw_snapshot *snapshot = pw_snapshot_new(&arena);

	if (snapshot == NULL)
		exit(1);
	snapshot->generation = ++driver.generation;
	snapshot->poll_ms = snapshot->alarms_changed_ms = pw_clock_boot_ms();
	snapshot->poll_interval_ms = 10000;
	snapshot->poll_duration_us = 1234;
	snapshot->polls = driver.generation + (UINT64_C(1) << 40);
	snapshot->poll_errors = 3;
	snapshot->sockets_seen = UINT64_C(1) << 33; /* more than a gauge can show */
	snapshot->pools_seen = n + 1;
	snapshot->pools_listed = n;
	snapshot->pools_omitted = 1;
	snapshot->connect_failures_reason = "no privilege";
	snapshot->start_time = driver.start;
	fill_pools(arena, snapshot, n);
	fill_alarms(arena, snapshot);
	snapshot->active_alarms = (uint32_t)snapshot->n_alarms;
	fill_top(arena, snapshot);
	fill_namespaces(arena, snapshot);
	pw_exchange_publish(driver.exchange, snapshot);
}

/* --- events -------------------------------------------------------------------------------------------------------- */

static struct pw_event new_event(enum pw_event_type type)
{
	struct pw_event event;

	memset(&event, 0, sizeof(event));
	event.type = type;
	event.id = ++driver.events;
	event.time = pw_clock_wall();
	return event;
}

static void fill_crossing(
	struct pw_event *event, const struct pw_pool_key *key, enum pw_state state, const char *zone, const char *ns)
{
	event->key = *key;
	event->state = state;
	event->previous = state == PW_STATE_NORMAL ? PW_STATE_WARNING : PW_STATE_NORMAL;
	event->reason = state == PW_STATE_NORMAL ? PW_REASON_NONE : PW_REASON_UTILIZATION;
	event->threshold = state == PW_STATE_NORMAL ? 45 : 50;
	event->rise = (struct pw_crossing){PW_REASON_UTILIZATION, 50};
	event->fall = (struct pw_crossing){PW_REASON_UTILIZATION, 45};
	event->time_to_exhaustion = PW_NOT_IN_SIGHT;
	pw_pool_name(key, zone, ns, event->name);
	pw_address_text(&key->local, zone, event->local_text);
	pw_address_text(&key->remote, NULL, event->remote_text);
}

static struct pw_pool_key given_up;

static void post_crossings(unsigned n, enum pw_state state)
{
	for (unsigned i = 0; i < n; i++) {
		struct pw_event event = new_event(state == PW_STATE_NORMAL ? PW_EVENT_FALLING : PW_EVENT_RISING);
		struct pw_pool_key key = pool_key(i);

		fill_crossing(&event, &key, state, "eth0", ns_name(&key));
		event.counts = pool_counts(i);
		snprintf(event.label, sizeof(event.label), "label %u", i);
		snprintf(event.owner, sizeof(event.owner), "unit%u.service (uid 33)", i);
		pw_exchange_post(driver.exchange, &event, &given_up);
	}
}

static void post_longest(unsigned ns_len)
{
	char ns[256] = "";
	struct pw_event event = new_event(PW_EVENT_RISING);
	struct pw_pool_key key = {.local = address6(0x7ff, UINT32_MAX),
		.remote = address6(0xfff, 0),
		.ns = UINT32_MAX,
		.port = (uint16_t)(65535 - ns_len),
		.kind = PW_KIND_CONNECT,
		.protocol = IPPROTO_TCP};

	memset(ns, 'n', ns_len < sizeof(ns) ? ns_len : sizeof(ns) - 1);
	fill_crossing(&event, &key, PW_STATE_EXHAUSTED, "fifteen-charact", ns);
	event.counts = (struct pw_pool_counts){
		.capacity = 64512, .used = 64512, .time_wait = 64512, .utilization = 100};
	memset(event.label, 'L', sizeof(event.label) - 1);
	memset(event.owner, 'O', sizeof(event.owner) - 1);
	pw_exchange_post(driver.exchange, &event, &given_up);
}

static void post_other(enum pw_event_type type, const char *what, uint32_t failures)
{
	struct pw_event event = new_event(type);

	event.failures = failures;
	snprintf(event.text, sizeof(event.text), "%s", what);
	pw_exchange_post(driver.exchange, &event, &given_up);
}

/* --- commands ------------------------------------------------------------------------------------------------------ */

static const char *access_of(const struct pw_fields *fields, const struct pw_field *field)
{
	if (field->index)
		return "not-accessible";
	return fields->readable ? "read-only" : "accessible-for-notify";
}

/* The name in the MIB: the prefix of the table, and the field's with a capital. */
static const char *object_name(const struct pw_fields *fields, const struct pw_field *field)
{
	static char name[64];
	size_t len = strlen(fields->prefix);

	snprintf(name, sizeof(name), "%s%s", fields->prefix, field->object != NULL ? field->object : field->name);
	name[len] = (char)toupper((unsigned char)name[len]);
	return name;
}

static void print_object(const struct pw_fields *fields, const struct pw_field *field)
{
	static const char *const syntaxes[] = {"Integer32", "INTEGER", "Gauge32", "Unsigned32", "Counter32",
		"Counter64", "TimeStamp", "SnmpAdminString", "DateAndTime", "RowPointer"};
	uint32_t path[4];
	size_t n = pw_object_path(fields, field, path);

	printf("object %s " PW_OID_BASE_TEXT, object_name(fields, field));
	for (size_t i = 0; i < n; i++)
		printf(".%" PRIu32, path[i]);
	printf(" %s %s\n", access_of(fields, field), field->index ? "-" : syntaxes[field->syntax]);
}

/* Of an object the unit and the names of its values, of a JSON member the same names or its type. */
static void print_field(const struct pw_fields *fields, const struct pw_field *field)
{
	if (field->number != 0)
		print_object(fields, field);
	if (field->unit != NULL && field->number != 0)
		printf("unit %s %s\n", object_name(fields, field), field->unit);
	if (field->help != NULL && field->number != 0)
		printf("help %s %s\n", object_name(fields, field), field->help);
	if (pw_field_in_json(field, true))
		printf("%s %s %s %s\n", pw_field_in_json(field, false) ? "member" : "extra", fields->prefix,
			field->name,
			field->syntax == PW_SYNTAX_ENUM                                              ? "enum"
				: field->syntax == PW_SYNTAX_TEXT || field->syntax == PW_SYNTAX_DATE ? "string"
				: field->syntax == PW_SYNTAX_SERIES                                  ? "array"
												     : "integer");
	for (unsigned value = 1; field->word != NULL && value < 256; value++)
		if (strcmp(field->word(value), "unknown") != 0)
			printf("value %s %u %s\n", object_name(fields, field), value, field->word(value));
}

static void print_enumerations(void)
{
	for (int i = PW_KIND_CONNECT; i <= PW_KIND_SNAT; i++)
		printf("enumeration PwKind %d %s\n", i, pw_kind_name((enum pw_kind)i));
	for (int i = PW_STATE_NORMAL; i <= PW_STATE_EXHAUSTED; i++)
		printf("enumeration PwState %d %s\n", i, pw_state_name((enum pw_state)i));
	for (int i = PW_REASON_NONE; i <= PW_REASON_FAST_FREE; i++)
		printf("enumeration PwReason %d %s\n", i, pw_reason_name((enum pw_reason)i));
	for (int i = PW_BASIS_INFERRED; i <= PW_BASIS_READ; i++)
		printf("enumeration PwBasis %d %s\n", i, pw_basis_name((enum pw_basis)i));
	printf("enumeration PwProtocol %d %s\n", IPPROTO_TCP, pw_protocol_name(IPPROTO_TCP));
	printf("enumeration PwProtocol %d %s\n", IPPROTO_UDP, pw_protocol_name(IPPROTO_UDP));
}

static void print_notification(enum pw_event_type type)
{
	size_t n;
	const uint8_t *numbers = pw_notification_objects(type, &n);

	printf("notification " PW_OID_BASE_TEXT ".0.%d", (int)type);
	for (size_t i = 0; i < n; i++)
		printf(" %s", object_name(&pw_event_fields, pw_field_from(&pw_event_fields, numbers[i])));
	printf("\n");
}

static void print_mib(void)
{
	for (size_t g = 0; g < pw_n_groups; g++)
		for (size_t i = 0; i < pw_groups[g].fields->n; i++)
			print_field(pw_groups[g].fields, &pw_groups[g].fields->fields[i]);
	print_enumerations();
	for (int type = PW_EVENT_RISING; type <= PW_EVENT_CONNTRACK_FALLING; type++)
		print_notification((enum pw_event_type)type);
}

static void print_stats(void)
{
	struct pw_exchange_stats stats;

	pw_exchange_stats(driver.exchange, &stats);
	printf("{\"connected\": %s, \"acknowledged\": %" PRIu64 ", \"suppressed\": %" PRIu64
	       ", \"owed\": %zu, \"in_flight\": %zu}\n",
		driver.agent != NULL && pw_agent_connected(driver.agent) ? "true" : "false", stats.acknowledged,
		stats.suppressed, stats.owed, stats.in_flight);
}

static void stop(unsigned timeout_ms)
{
	uint64_t before = pw_clock_boot_ms();
	bool stopped = driver.agent == NULL || pw_agent_stop(driver.agent, timeout_ms);

	driver.agent = NULL;
	printf("{\"stopped\": %s, \"ms\": %" PRIu64 "}\n", stopped ? "true" : "false", pw_clock_boot_ms() - before);
	fflush(stdout);
	if (!stopped)
		_exit(3);
}

/* Returns false at "quit". */
static bool command(const char *line)
{
	unsigned n, ms;

	driver.churn_ms = 0;
	if (strcmp(line, "quit") == 0)
		return false;
	if (strcmp(line, "stats") == 0) {
		print_stats();
		return true;
	}
	if (sscanf(line, "stop %u", &n) == 1) {
		stop(n);
		return true;
	}
	if (sscanf(line, "rows %u", &n) == 1) {
		publish(n);
	} else if (sscanf(line, "churn %u %u", &n, &ms) == 2) {
		driver.churn_rows = n;
		driver.churn_ms = ms;
	} else if (sscanf(line, "rise %u", &n) == 1) {
		post_crossings(n, PW_STATE_WARNING);
	} else if (sscanf(line, "fall %u", &n) == 1) {
		post_crossings(n, PW_STATE_NORMAL);
	} else if (sscanf(line, "longest %u", &n) == 1) {
		post_longest(n);
	} else if (sscanf(line, "rate %u", &n) == 1) {
		pw_exchange_set_rate(driver.exchange, n);
	} else if (strcmp(line, "collector failed") == 0) {
		post_other(PW_EVENT_COLLECTOR_FAILED, "netlink: Permission denied", 0);
	} else if (strcmp(line, "collector recovered") == 0) {
		post_other(PW_EVENT_COLLECTOR_RECOVERED, "", 0);
	} else if (sscanf(line, "connects %u", &n) == 1) {
		post_other(PW_EVENT_CONNECT_FAILING, "curl\n(pid 1) f\xc3\xbcr \xff", n);
	} else {
		printf("error: unknown command\n");
		return true;
	}
	printf("ok\n");
	return true;
}

/* Waits for a command; publishes meanwhile where that is wanted. */
static void wait_for_command(void)
{
	struct pollfd p = {.fd = STDIN_FILENO, .events = POLLIN};

	while (driver.churn_ms > 0 && poll(&p, 1, (int)driver.churn_ms) == 0)
		publish(1 + (driver.generation * 7919) % driver.churn_rows);
}

static struct pw_agent_options options_of(int argc, char **argv)
{
	struct pw_agent_options options = {.role = PW_AGENT_SUBAGENT, .ping_interval = 15, .reconnect_interval = 0.5};
	int option;

	while ((option = getopt(argc, argv, "Li:p:r:do")) != -1) {
		switch (option) {
		case 'L': options.role = PW_AGENT_STANDALONE; break;
		case 'i': options.snmp_include = optarg; break;
		case 'p': options.ping_interval = atof(optarg); break;
		case 'r': options.reconnect_interval = atof(optarg); break;
		case 'd': pw_log_open(PW_LOG_STDERR, "agent_driver", LOG_DEBUG); break;
		case 'o': print_mib(); exit(0);
		default: exit(2);
		}
	}
	options.address = optind < argc ? argv[optind] : "";
	return options;
}

int main(int argc, char **argv)
{
	struct pw_agent_options options = options_of(argc, argv);
	struct pw_error error = {""};
	char line[256];

	setvbuf(stdout, NULL, _IOLBF, 0);
	setvbuf(stdin, NULL, _IONBF, 0); /* wait_for_command() polls the descriptor */
	driver.start = pw_clock_wall();
	driver.exchange = pw_exchange_new(100000);
	driver.agent = pw_agent_start(&options, driver.exchange, &error);
	if (driver.agent == NULL) {
		fprintf(stderr, "%s\n", error.text);
		pw_exchange_free(driver.exchange);
		return 1;
	}
	printf("started\n");
	for (wait_for_command(); fgets(line, sizeof(line), stdin) != NULL; wait_for_command()) {
		line[strcspn(line, "\n")] = '\0';
		if (!command(line))
			break;
	}
	if (driver.agent != NULL)
		stop(STOP_MS);
	pw_exchange_free(driver.exchange);
	return 0;
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include <config.h>

#include "watch/fields.h"

/* --- how a line of the tables is written; KEPT_IN is the structure that it reads ---------------------------------- */

/* FIELD: also in the JSON document. SNMP: not there. INDEX: a part of the index that only the MIB has. */
#define SNMP(number_, name_, syntax_, unit_, help_, ...) \
	{ \
		.number = (number_), .name = (name_), .syntax = PW_SYNTAX_##syntax_, .unit = (unit_), .help = (help_), \
		__VA_ARGS__ \
	}
#define FIELD(...) SNMP(__VA_ARGS__, .json = true)
#define INDEX(number_, name_) \
	{ \
		.number = (number_), .name = (name_), .index = true \
	}

/* The member of the row that has it; of an enumeration, with the function that names its values. Or the function that
 * computes it. */
#define IN(member) MEMBER(KEPT_IN, member)
#define OF_CONTEXT(member) MEMBER(struct pw_context, member), .of = PW_OF_CONTEXT
#define OF_POOL(member) MEMBER(struct pw_pool_row, member), .of = PW_OF_POOL
#define MEMBER(struct_, member) \
	.offset = offsetof(struct_, member), .size = sizeof(((const struct_ *)0)->member), \
	.storage = _Generic(((const struct_ *)0)->member, \
		uint8_t: PW_IN_U8, \
		uint16_t: PW_IN_U16, \
		uint32_t: PW_IN_U32, \
		int32_t: PW_IN_I32, \
		uint64_t: PW_IN_U64, \
		struct timespec: PW_IN_DATE, \
		struct pw_series: PW_IN_SERIES, \
		struct pw_pool_key: PW_IN_KEY, \
		/* also an array, that decays to it: its address tells */ \
		const char *: _Generic(&((const struct_ *)0)->member, \
			const char *const *: PW_IN_TEXT, \
			default: PW_IN_CHARS))
#define WORD(member, names) IN(member), .word = (names)
#define FLAG(member, yes_, names) \
	.offset = offsetof(KEPT_IN, member), .storage = PW_IN_FLAG, .yes = (yes_), .word = (names)
#define AGE(member) .offset = offsetof(KEPT_IN, member), .storage = PW_IN_AGE
#define CALL(function) .storage = PW_IN_CALL, .get = (function)
#define CALL_WORD(function, names) CALL(function), .word = (names)
#define BOTH(get_, set_) CALL(get_), .set = (set_)
#define BOTH_WORD(get_, set_, names) BOTH(get_, set_), .word = (names)
#define NO_UNIT NULL

#define FIELDS(table_, prefix_, number_, is_table, is_readable, lines) \
	const struct pw_fields table_ = {.prefix = (prefix_), \
		.number = (number_), \
		.table = (is_table), \
		.readable = (is_readable), \
		.fields = (lines), \
		.n = sizeof(lines) / sizeof((lines)[0])}

/* --- names of enumerations that only stand here ------------------------------------------------------------------- */

static PW_NAMES(reuse_name, "off", "on", "loopback") static PW_NAMES(ns_status_name, "ok", "failing") static PW_NAMES(
	failures_status_name, "counting", "unavailable") static PW_NAMES(ringing_status_name, "ringing",
	"unavailable") static PW_NAMES(config_status_name, "ok", "reloadFailed")

	/* A source that was never asked for has 0. */
	static const char *snat_status_name(unsigned value)
{
	static const char *const names[] = {"off", "off", "counting", "unavailable"};

	return value <= PW_SOURCE_UNAVAILABLE ? names[value] : "unknown";
}

/* --- the agent: the snapshot itself ------------------------------------------------------------------------------- */

static void get_version(const struct pw_context *context, const void *row, struct pw_field_value *value)
{
	(void)context;
	(void)row;
	value->text = PACKAGE_VERSION;
}

static void get_poll_age(const struct pw_context *context, const void *row, struct pw_field_value *value)
{
	const struct pw_snapshot *snapshot = row;

	value->number = snapshot->poll_ms == 0 ? UINT32_MAX : pw_age_ms(context, snapshot->poll_ms);
}

static void get_worst_utilization(const struct pw_context *context, const void *row, struct pw_field_value *value)
{
	const struct pw_pool_row *pool = pw_snapshot_worst(row);

	(void)context;
	value->number = pool != NULL ? pool->counts.utilization : 0;
}

static void get_worst_name(const struct pw_context *context, const void *row, struct pw_field_value *value)
{
	const struct pw_pool_row *pool = pw_snapshot_worst(row);

	(void)context;
	value->text = pool != NULL ? pool->name : "";
}

/* RFC 2579, TimeStamp: 0 when it happened before sysUpTime was 0. */
static void get_alarms_last_change(const struct pw_context *context, const void *row, struct pw_field_value *value)
{
	const struct pw_snapshot *snapshot = row;
	int64_t age = pw_age_ms(context, snapshot->alarms_changed_ms) / 10;

	value->number = snapshot->alarms_changed_ms == 0 || age > context->uptime ? 0 : context->uptime - age;
}

#define KEPT_IN struct pw_snapshot
static const struct pw_field agent_fields[] = {
	FIELD(1, "version", TEXT, NO_UNIT, "The version of the program", CALL(get_version)),
	FIELD(0, "time", DATE, NO_UNIT, "When the poll took place", OF_CONTEXT(wall)),
	SNMP(2, "pollInterval", GAUGE32, "milliseconds", "From one poll to the next", IN(poll_interval_ms)),
	SNMP(3, "pollAge", GAUGE32, "milliseconds", "Since the last complete poll", CALL(get_poll_age)),
	FIELD(4, "pollDuration", GAUGE32, "microseconds", "How long the last poll took", IN(poll_duration_us)),
	SNMP(5, "polls", COUNTER64, "polls", "Polls since the start, failed ones included", IN(polls)),
	SNMP(6, "pollErrors", COUNTER64, "polls", "Polls since the start that gave no numbers", IN(poll_errors)),
	FIELD(7, "socketsSeen", GAUGE32, "sockets", "Sockets that the last poll looked at", IN(sockets_seen)),
	FIELD(8, "poolsSeen", GAUGE32, "pools", "Pools with at least one used port", IN(pools_seen)),
	FIELD(9, "poolsListed", GAUGE32, "pools", "Pools that are listed", IN(pools_listed)),
	FIELD(10, "poolsOmitted", GAUGE32, "pools", "Pools that max-rows keeps out of the list", IN(pools_omitted)),
	SNMP(0, "minUsed", GAUGE32, "ports", "Ports from which a pool is listed", IN(min_used)),
	SNMP(11, "worstUtilization", GAUGE32, "percent", "Utilization of the worst pool", CALL(get_worst_utilization)),
	SNMP(12, "worstPoolName", TEXT, NO_UNIT, "The worst pool", CALL(get_worst_name)),
	SNMP(13, "connectFailures", COUNTER64, "failures", "Allocations that failed for want of a port",
		IN(connect_failures)),
	SNMP(14, "connectFailuresStatus", ENUM, NO_UNIT, "Whether allocations that fail are counted",
		FLAG(connect_failures_counting, 1, failures_status_name)),
	SNMP(15, "notificationsSent", COUNTER64, "notifications", "Notifications that arrived",
		OF_CONTEXT(exchange.acknowledged)),
	SNMP(16, "notificationsSuppressed", COUNTER64, "notifications", "Notifications that the rate limit held back",
		OF_CONTEXT(exchange.suppressed)),
	SNMP(17, "activeAlarms", GAUGE32, "alarms", "Pools whose state is not normal", IN(active_alarms)),
	SNMP(18, "alarmsLastChange", TIMESTAMP, NO_UNIT, "When an alarm last changed", CALL(get_alarms_last_change)),
	SNMP(19, "configStatus", ENUM, NO_UNIT, "Whether the configuration was read without a mistake",
		FLAG(config_failed, 2, config_status_name)),
	SNMP(20, "generation", COUNTER32, NO_UNIT, "Changes with every poll", IN(generation)),
	SNMP(21, "startTime", DATE, NO_UNIT, "When the counters were 0", IN(start_time)),
	SNMP(22, "connectFailuresReason", TEXT, NO_UNIT, "Which allocations that fail are not counted, and why",
		IN(connect_failures_reason)),
	SNMP(23, "ringingStatus", ENUM, NO_UNIT, "Whether the kernel itself tells when a threshold is reached",
		FLAG(ringing, 1, ringing_status_name)),
	SNMP(24, "ringingReason", TEXT, NO_UNIT, "Why it does not", IN(ringing_reason)),
	SNMP(25, "rings", COUNTER64, "polls", "Polls that began because a threshold may have been reached", IN(rings)),
	SNMP(26, "ringsMissed", COUNTER64, "thresholds", "Thresholds reached that the kernel had not told of",
		IN(rings_missed)),
};
#undef KEPT_IN
FIELDS(pw_agent_fields, "pw", 1, false, true, agent_fields);

/* --- namespaces --------------------------------------------------------------------------------------------------- */

static void get_tw_reuse(const struct pw_context *context, const void *row, struct pw_field_value *value)
{
	(void)context;
	value->number = (int)((const struct pw_ns_row *)row)->tw_reuse + 1;
}

static void set_tw_reuse(struct pw_context *context, void *row, const struct pw_field_value *value)
{
	(void)context;
	((struct pw_ns_row *)row)->tw_reuse = (enum pw_tw_reuse)(value->number - 1);
}

static void get_listeners(const struct pw_context *context, const void *row, struct pw_field_value *value)
{
	const struct pw_ns_row *ns = row;

	(void)context;
	value->series = (struct pw_series){
		ns->listeners, ns->listening < PW_LISTENERS_SHOWN ? ns->listening : PW_LISTENERS_SHOWN};
}

static void set_listeners(struct pw_context *context, void *row, const struct pw_field_value *value)
{
	struct pw_ns_row *ns = row;

	(void)context;
	for (size_t i = 0; i < value->series.n && i < PW_LISTENERS_SHOWN; i++)
		ns->listeners[i] = value->series.numbers[i];
}

#define KEPT_IN struct pw_ns_row
static const struct pw_field namespace_fields[] = {
	FIELD(1, "index", UNSIGNED32, NO_UNIT, "The number of the namespace", IN(index), .index = true),
	FIELD(2, "name", TEXT, NO_UNIT, "The namespace; empty for the own one", IN(name)),
	FIELD(3, "low", GAUGE32, NO_UNIT, "First port of the ephemeral range", IN(low)),
	FIELD(4, "high", GAUGE32, NO_UNIT, "Last port of the ephemeral range", IN(high)),
	FIELD(5, "reserved", GAUGE32, "ports", "Ports of the range that are reserved", IN(reserved)),
	FIELD(6, "capacity", GAUGE32, "ports", "Ports of the range without the reserved ones", IN(capacity)),
	FIELD(7, "tcpSockets", GAUGE32, "sockets", "TCP sockets that are not in TIME_WAIT", IN(tcp)),
	FIELD(8, "tcpTimeWait", GAUGE32, "sockets", "TCP sockets in TIME_WAIT", IN(tcp_time_wait)),
	FIELD(9, "udpSockets", GAUGE32, "sockets", "UDP sockets", IN(udp)),
	FIELD(10, "timeWaitReuse", ENUM, NO_UNIT, "Which ports in TIME_WAIT connect() may take over",
		BOTH_WORD(get_tw_reuse, set_tw_reuse, reuse_name)),
	FIELD(11, "blocked", GAUGE32, "ports", "Ports that no connect() can get, whatever its destination",
		IN(blocked)),
	FIELD(12, "basis", ENUM, NO_UNIT, "How the blocked ports are known", WORD(basis, pw_basis_name)),
	FIELD(13, "status", ENUM, NO_UNIT, "Whether the last poll got all numbers", FLAG(failing, 2, ns_status_name)),
	FIELD(14, "snatFailures", COUNTER64, "failures", "Packets that found no connection tracking entry",
		IN(sources[PW_SOURCE_SNAT].failures)),
	FIELD(15, "snatStatus", ENUM, NO_UNIT, "Whether SNAT pools are known",
		WORD(sources[PW_SOURCE_SNAT].status, snat_status_name)),
	FIELD(17, "failures", COUNTER64, "failures", "Allocations that failed for want of a port", IN(failures)),
	FIELD(16, "snatReason", TEXT, NO_UNIT, "Why SNAT pools are not known", IN(sources[PW_SOURCE_SNAT].reason)),
	FIELD(18, "snatRaces", COUNTER64, "failures",
		"Packets that lost a race for a port, while no SNAT pool was full", IN(conntrack.races)),
	FIELD(19, "conntrackEntries", GAUGE32, "entries", "Entries of the connection tracking table",
		IN(conntrack.entries)),
	FIELD(20, "conntrackMaximum", GAUGE32, "entries", "Entries that it can have, 0: no limit",
		IN(conntrack.maximum)),
	FIELD(21, "conntrackState", ENUM, NO_UNIT, "Its state by the thresholds in force",
		WORD(conntrack.state, pw_state_name)),
	FIELD(22, "conntrackDrops", COUNTER64, "packets", "Packets dropped because it was full", IN(conntrack.drops)),
	FIELD(23, "basisReason", TEXT, NO_UNIT, "Why the blocked ports are not read by BPF", IN(basis_reason)),
	SNMP(0, "ambiguous", GAUGE32, "ports", "Ports whose sockets may or may not block them", IN(ambiguous)),
	SNMP(0, "bound", GAUGE32, "ports", "Blocked ports that bind() holds, without a listener", IN(bound)),
	SNMP(0, "listening", GAUGE32, "ports", "Ports of the range with a listener", IN(listening)),
	SNMP(0, "listeners", SERIES, NO_UNIT, "The lowest of them", BOTH(get_listeners, set_listeners)),
	SNMP(0, "timestamps", GAUGE32, NO_UNIT, "Whether net.ipv4.tcp_timestamps is on", IN(timestamps)),
	SNMP(0, "timeWaitReuseDelay", GAUGE32, "milliseconds", "net.ipv4.tcp_tw_reuse_delay", IN(tw_reuse_delay_ms)),
};
#undef KEPT_IN
FIELDS(pw_namespace_fields, "pwNs", 2, true, true, namespace_fields);

/* --- pools -------------------------------------------------------------------------------------------------------- */

#define KEPT_IN struct pw_pool_row
static const struct pw_field pool_fields[] = {
	FIELD(0, "nsIndex", UNSIGNED32, NO_UNIT, "The number of the namespace", IN(key.ns), .index = true),
	FIELD(1, "kind", ENUM, NO_UNIT, "What takes the ports", WORD(key.kind, pw_kind_name), .index = true),
	FIELD(2, "protocol", ENUM, NO_UNIT, "The protocol", WORD(key.protocol, pw_protocol_name), .index = true),
	INDEX(3, "localAddressType"),
	INDEX(4, "localAddress"),
	INDEX(5, "remoteAddressType"),
	INDEX(6, "remoteAddress"),
	INDEX(7, "remotePort"),
	FIELD(8, "name", TEXT, NO_UNIT, "A unique name of the pool", IN(name)),
	FIELD(9, "local", TEXT, NO_UNIT, "The local address", IN(local_text), .object = "LocalText"),
	FIELD(10, "remote", TEXT, NO_UNIT, "The remote address, if any", IN(remote_text), .object = "RemoteText"),
	FIELD(11, "port", UNSIGNED32, NO_UNIT, "The remote port, if any", IN(key.port)),
	FIELD(12, "capacity", GAUGE32, "ports", "Ports that the pool can have", IN(counts.capacity)),
	FIELD(13, "used", GAUGE32, "ports", "Ports that the pool's own sockets hold", IN(counts.used)),
	FIELD(14, "timeWait", GAUGE32, "ports", "Used ports that only TIME_WAIT holds", IN(counts.time_wait)),
	FIELD(15, "blocked", GAUGE32, "ports", "Ports that sockets of others deny to the pool", IN(counts.blocked)),
	FIELD(34, "synSent", GAUGE32, "sockets", "Its sockets in SYN_SENT", IN(states.syn_sent)),
	FIELD(35, "established", GAUGE32, "sockets", "Its sockets in ESTABLISHED", IN(states.established)),
	FIELD(36, "closeWait", GAUGE32, "sockets", "Its sockets in CLOSE_WAIT", IN(states.close_wait)),
	FIELD(37, "finWait", GAUGE32, "sockets", "Its sockets in FIN_WAIT1, FIN_WAIT2, CLOSING and LAST_ACK",
		IN(states.fin_wait)),
	FIELD(31, "reusable", GAUGE32, "ports", "Used ports that would be handed out again now", IN(counts.reusable)),
	FIELD(16, "free", GAUGE32, "ports", "Allocations that would succeed now", IN(counts.free)),
	SNMP(0, "doubt", GAUGE32, "ports", "Free ports that may not be free, for all that is known", IN(counts.doubt)),
	FIELD(17, "fastFree", GAUGE32, "ports", "Free ports that the kernel tries first", IN(counts.fast_free)),
	FIELD(18, "utilization", GAUGE32, "percent", "Share of the ports that is not free", IN(counts.utilization)),
	FIELD(19, "peak", GAUGE32, "ports", "Most used ports since the start", IN(peak)),
	FIELD(20, "peakAge", GAUGE32, "seconds", "Since the peak", AGE(peak_ms)),
	FIELD(21, "growth", INTEGER32, "ports per minute", "Free ports lost per minute", IN(growth)),
	FIELD(22, "timeToExhaustion", GAUGE32, "seconds", "Until nothing is free at this growth",
		IN(time_to_exhaustion)),
	SNMP(0, "recentGrowth", INTEGER32, "ports per minute", "Free ports lost in the last minute", IN(recent_growth)),
	SNMP(0, "recentTimeToExhaustion", GAUGE32, "seconds", "Until nothing is free at that pace",
		IN(recent_time_to_exhaustion)),
	SNMP(0, "history", SERIES, "percent", "Its utilization in steps of 10 s, the newest last", IN(history)),
	FIELD(23, "allocLatency", GAUGE32, "microseconds", "What the kernel needs for one port; 0 is not measured",
		IN(alloc_latency_us)),
	FIELD(24, "state", ENUM, NO_UNIT, "The state", WORD(state, pw_state_name)),
	FIELD(25, "stateAge", GAUGE32, "seconds", "Since the state last changed", AGE(state_ms)),
	FIELD(29, "stateReason", ENUM, NO_UNIT, "Why the state is not normal", WORD(reason, pw_reason_name)),
	FIELD(26, "warningThreshold", GAUGE32, "percent", "Utilization that is a warning; 0 is none",
		IN(warning_threshold)),
	FIELD(27, "criticalThreshold", GAUGE32, "percent", "Utilization that is critical; 0 is none",
		IN(critical_threshold)),
	FIELD(32, "freeThreshold", GAUGE32, "ports", "Fewer free ports are a warning; 0 is none", IN(free_threshold)),
	FIELD(30, "basis", ENUM, NO_UNIT, "How the blocked ports are known", WORD(basis, pw_basis_name)),
	FIELD(38, "failures", COUNTER64, "failures", "Allocations that failed for want of a port", IN(failures)),
	FIELD(39, "failureAge", GAUGE32, "seconds", "Since the last of these; 4294967295 is never", AGE(failed_ms),
		.never = true),
	FIELD(40, "peakBound", GAUGE32, "ports", "The peak was no higher than this", IN(peak_bound)),
	FIELD(41, "allocLatencyP99", GAUGE32, "microseconds",
		"What 99 of 100 ports took at most; 0 is not measured, or by a probe only", IN(alloc_latency_p99_us)),
	FIELD(33, "label", TEXT, NO_UNIT, "The pool section that matches", IN(label)),
	FIELD(28, "owner", TEXT, NO_UNIT, "Who holds most of the sockets", IN(owner)),
};
FIELDS(pw_pool_fields, "pwPool", 3, true, true, pool_fields);

/* Rows of pwPoolTable again, by rank. */
static const struct pw_field top_fields[] = {
	INDEX(1, "rank"),
	FIELD(2, "name", TEXT, NO_UNIT, "The pool", IN(name)),
	FIELD(3, "capacity", GAUGE32, "ports", "Its ports", IN(counts.capacity)),
	FIELD(4, "used", GAUGE32, "ports", "Ports that its sockets hold", IN(counts.used)),
	FIELD(5, "timeWait", GAUGE32, "ports", "Used ports that only TIME_WAIT holds", IN(counts.time_wait)),
	FIELD(6, "free", GAUGE32, "ports", "Allocations that would succeed now", IN(counts.free)),
	FIELD(7, "utilization", GAUGE32, "percent", "Share of the ports that is not free", IN(counts.utilization)),
	FIELD(8, "state", ENUM, NO_UNIT, "Its state", WORD(state, pw_state_name)),
	FIELD(9, "timeToExhaustion", GAUGE32, "seconds", "Until nothing is free", IN(time_to_exhaustion)),
	FIELD(10, "owner", TEXT, NO_UNIT, "Who holds most of the sockets", IN(owner)),
};
#undef KEPT_IN
FIELDS(pw_top_fields, "pwTop", 4, true, true, top_fields);

/* --- alarms ------------------------------------------------------------------------------------------------------- */

#define KEPT_IN struct pw_alarm_row
static const struct pw_field alarm_fields[] = {
	FIELD(1, "index", UNSIGNED32, NO_UNIT, "The number of the alarm", IN(index), .index = true),
	FIELD(2, "poolName", TEXT, NO_UNIT, "The pool", OF_POOL(name)),
	FIELD(3, "severity", ENUM, NO_UNIT, "Its state", WORD(severity, pw_state_name)),
	FIELD(4, "since", DATE, NO_UNIT, "When the state left normal", IN(since)),
	FIELD(5, "utilization", GAUGE32, "percent", "Share of the ports that is not free", OF_POOL(counts.utilization)),
	FIELD(6, "free", GAUGE32, "ports", "Allocations that would succeed now", OF_POOL(counts.free)),
	SNMP(7, "pool", ROW, NO_UNIT, "The row of the pool", OF_POOL(key)),
	FIELD(8, "eventId", UNSIGNED32, NO_UNIT, "The last notification; 0 is none", IN(event_id)),
};
#undef KEPT_IN
FIELDS(pw_alarm_fields, "pwAlarm", 5, true, true, alarm_fields);

/* --- events ------------------------------------------------------------------------------------------------------- */

#define KEPT_IN struct pw_event
static const struct pw_field event_fields[] = {
	FIELD(1, "id", UNSIGNED32, NO_UNIT, "The number of the event", IN(id)),
	FIELD(0, "type", ENUM, NO_UNIT, "What happened, as the notification is called", WORD(type, pw_event_type_name)),
	FIELD(2, "time", DATE, NO_UNIT, "When the poll that saw it ended", IN(time)),
	FIELD(3, "poolName", TEXT, NO_UNIT, "The pool", IN(name)),
	FIELD(4, "label", TEXT, NO_UNIT, "The pool section that matches", IN(label)),
	FIELD(5, "kind", ENUM, NO_UNIT, "What takes the ports", WORD(key.kind, pw_kind_name)),
	FIELD(6, "protocol", ENUM, NO_UNIT, "The protocol", WORD(key.protocol, pw_protocol_name)),
	FIELD(7, "localText", TEXT, NO_UNIT, "The local address", IN(local_text)),
	FIELD(8, "remoteText", TEXT, NO_UNIT, "The remote address, if any", IN(remote_text)),
	FIELD(9, "port", UNSIGNED32, NO_UNIT, "The remote port, if any", IN(key.port)),
	FIELD(10, "capacity", GAUGE32, "ports", "Ports that the pool can have", IN(counts.capacity)),
	FIELD(11, "used", GAUGE32, "ports", "Ports that the pool's own sockets hold", IN(counts.used)),
	FIELD(12, "timeWait", GAUGE32, "ports", "Used ports that only TIME_WAIT holds", IN(counts.time_wait)),
	FIELD(13, "free", GAUGE32, "ports", "Allocations that would succeed", IN(counts.free)),
	FIELD(14, "utilization", GAUGE32, "percent", "Share of the ports that is not free", IN(counts.utilization)),
	FIELD(15, "state", ENUM, NO_UNIT, "The state after the event", WORD(state, pw_state_name)),
	FIELD(16, "previousState", ENUM, NO_UNIT, "The state before", WORD(previous, pw_state_name)),
	FIELD(17, "threshold", GAUGE32, NO_UNIT, "The threshold that was crossed", IN(threshold)),
	FIELD(18, "reason", ENUM, NO_UNIT, "What it is a threshold of", WORD(reason, pw_reason_name)),
	FIELD(19, "timeToExhaustion", GAUGE32, "seconds", "Until nothing is free", IN(time_to_exhaustion)),
	FIELD(20, "owner", TEXT, NO_UNIT, "Who holds most of the sockets", IN(owner)),
	SNMP(21, "pool", ROW, NO_UNIT, "The row of the pool", IN(key)),
	FIELD(22, "text", TEXT, NO_UNIT, "What happened", IN(text)),
	FIELD(23, "failures", GAUGE32, "failures", "Failures since the last notification", IN(failures)),
};
#undef KEPT_IN
FIELDS(pw_event_fields, "pwEvent", 6, false, false, event_fields);

/* --- labels ------------------------------------------------------------------------------------------------------- */

#define KEPT_IN struct pw_label_row
static const struct pw_field label_fields[] = {
	FIELD(1, "index", UNSIGNED32, NO_UNIT, "Place of the first section with this title", IN(index), .index = true),
	FIELD(2, "name", TEXT, NO_UNIT, "The title of the pool sections", IN(name)),
	FIELD(3, "pools", GAUGE32, "pools", "Pools that the sections have thresholds for", IN(pools)),
	FIELD(4, "capacity", GAUGE32, "ports", "Ports that these pools can have", IN(capacity)),
	FIELD(5, "used", GAUGE32, "ports", "Ports that their sockets hold", IN(used)),
	FIELD(6, "free", GAUGE32, "ports", "Allocations that would succeed now", IN(free)),
	FIELD(7, "worstUtilization", GAUGE32, "percent", "The highest utilization of these pools",
		IN(worst_utilization)),
	FIELD(8, "failures", COUNTER64, "failures", "Allocations that failed for want of a port", IN(failures)),
};
#undef KEPT_IN
FIELDS(pw_label_fields, "pwLabel", 7, true, true, label_fields);

/* SPDX-License-Identifier: BSD-2-Clause */
/* pwNamespaceTable, pwPoolTable, pwTopTable, pwAlarmTable: rows found by binary search in the snapshot */
#include "agent/object.h"

#include <string.h>

/* --- tables with one number as index ------------------------------------------------------------------------------- */

typedef uint32_t row_number(const struct pw_snapshot *snapshot, size_t position);

/* The position of the row with this index or, with next, of the first one behind it; `count` when there is none. */
static size_t search(const struct pw_snapshot *snapshot, size_t count, row_number *number, bool next,
	const uint32_t *index, size_t len)
{
	size_t low = 0, high = count;

	if (len == 0)
		return next ? 0 : count;
	if (!next && len > 1)
		return count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		uint32_t value = number(snapshot, middle);

		if (value < index[0] || (next && value == index[0]))
			low = middle + 1;
		else
			high = middle;
	}
	return next || (low < count && number(snapshot, low) == index[0]) ? low : count;
}

/* --- pwNamespaceTable ---------------------------------------------------------------------------------------------- */

static void get_tw_reuse(const struct pw_scene *scene, const void *row, struct pw_value *value)
{
	const struct pw_ns_row *ns = row;

	(void)scene;
	pw_value_set_number(value, (int)ns->tw_reuse + 1);
}

static void get_ns_status(const struct pw_scene *scene, const void *row, struct pw_value *value)
{
	const struct pw_ns_row *ns = row;

	(void)scene;
	pw_value_set_number(value, ns->failing ? 2 : 1);
}

static const struct pw_object namespace_objects[] = {
	PW_OBJECT_INDEX(1, "pwNsIndex"),
	PW_OBJECT(2, "pwNsName", TEXT, struct pw_ns_row, name),
	PW_OBJECT(3, "pwNsLow", GAUGE32, struct pw_ns_row, low),
	PW_OBJECT(4, "pwNsHigh", GAUGE32, struct pw_ns_row, high),
	PW_OBJECT(5, "pwNsReserved", GAUGE32, struct pw_ns_row, reserved),
	PW_OBJECT(6, "pwNsCapacity", GAUGE32, struct pw_ns_row, capacity),
	PW_OBJECT(7, "pwNsTcpSockets", GAUGE32, struct pw_ns_row, tcp),
	PW_OBJECT(8, "pwNsTcpTimeWait", GAUGE32, struct pw_ns_row, tcp_time_wait),
	PW_OBJECT(9, "pwNsUdpSockets", GAUGE32, struct pw_ns_row, udp),
	PW_OBJECT_CALL(10, "pwNsTimeWaitReuse", ENUM, get_tw_reuse),
	PW_OBJECT(11, "pwNsBlocked", GAUGE32, struct pw_ns_row, blocked),
	PW_OBJECT(12, "pwNsBasis", ENUM, struct pw_ns_row, basis),
	PW_OBJECT_CALL(13, "pwNsStatus", ENUM, get_ns_status),
	PW_OBJECT(14, "pwNsSnatFailures", COUNTER64, struct pw_ns_row, snat_failures),
	PW_OBJECT(15, "pwNsSnatStatus", ENUM, struct pw_ns_row, snat_status),
	PW_OBJECT(16, "pwNsSnatReason", TEXT, struct pw_ns_row, snat_reason),
};

static uint32_t ns_number(const struct pw_snapshot *snapshot, size_t position)
{
	return snapshot->namespaces[position].index;
}

static const void *find_ns(const struct pw_snapshot *snapshot, bool next, const uint32_t *index, size_t len,
	uint32_t *found, size_t *found_len)
{
	size_t at = search(snapshot, snapshot->n_namespaces, ns_number, next, index, len);

	if (at == snapshot->n_namespaces)
		return NULL;
	found[0] = snapshot->namespaces[at].index;
	*found_len = 1;
	return &snapshot->namespaces[at];
}

const struct pw_group pw_namespace_group = {
	.number = 2,
	.table = true,
	.readable = true,
	.objects = namespace_objects,
	.n_objects = sizeof(namespace_objects) / sizeof(namespace_objects[0]),
	.row = find_ns,
};

/* --- pwPoolTable --------------------------------------------------------------------------------------------------- */

static void put_age(const struct pw_scene *scene, uint64_t since_ms, struct pw_value *value)
{
	pw_value_set_number(value, scene->now_ms > since_ms ? (int64_t)((scene->now_ms - since_ms) / 1000) : 0);
}

static void get_peak_age(const struct pw_scene *scene, const void *row, struct pw_value *value)
{
	put_age(scene, ((const struct pw_pool_row *)row)->peak_ms, value);
}

static void get_state_age(const struct pw_scene *scene, const void *row, struct pw_value *value)
{
	put_age(scene, ((const struct pw_pool_row *)row)->state_ms, value);
}

static const struct pw_object pool_objects[] = {
	PW_OBJECT_INDEX(1, "pwPoolKind"),
	PW_OBJECT_INDEX(2, "pwPoolProtocol"),
	PW_OBJECT_INDEX(3, "pwPoolLocalAddressType"),
	PW_OBJECT_INDEX(4, "pwPoolLocalAddress"),
	PW_OBJECT_INDEX(5, "pwPoolRemoteAddressType"),
	PW_OBJECT_INDEX(6, "pwPoolRemoteAddress"),
	PW_OBJECT_INDEX(7, "pwPoolRemotePort"),
	PW_OBJECT(8, "pwPoolName", TEXT, struct pw_pool_row, name),
	PW_OBJECT(9, "pwPoolLocalText", TEXT, struct pw_pool_row, local_text),
	PW_OBJECT(10, "pwPoolRemoteText", TEXT, struct pw_pool_row, remote_text),
	PW_OBJECT(11, "pwPoolPort", UNSIGNED32, struct pw_pool_row, key.port),
	PW_OBJECT(12, "pwPoolCapacity", GAUGE32, struct pw_pool_row, counts.capacity),
	PW_OBJECT(13, "pwPoolUsed", GAUGE32, struct pw_pool_row, counts.used),
	PW_OBJECT(14, "pwPoolTimeWait", GAUGE32, struct pw_pool_row, counts.time_wait),
	PW_OBJECT(15, "pwPoolBlocked", GAUGE32, struct pw_pool_row, counts.blocked),
	PW_OBJECT(16, "pwPoolFree", GAUGE32, struct pw_pool_row, counts.free),
	PW_OBJECT(17, "pwPoolFastFree", GAUGE32, struct pw_pool_row, counts.fast_free),
	PW_OBJECT(18, "pwPoolUtilization", GAUGE32, struct pw_pool_row, counts.utilization),
	PW_OBJECT(19, "pwPoolPeak", GAUGE32, struct pw_pool_row, peak),
	PW_OBJECT_CALL(20, "pwPoolPeakAge", GAUGE32, get_peak_age),
	PW_OBJECT(21, "pwPoolGrowth", INTEGER32, struct pw_pool_row, growth),
	PW_OBJECT(22, "pwPoolTimeToExhaustion", GAUGE32, struct pw_pool_row, time_to_exhaustion),
	PW_OBJECT(23, "pwPoolAllocLatency", GAUGE32, struct pw_pool_row, alloc_latency_us),
	PW_OBJECT(24, "pwPoolState", ENUM, struct pw_pool_row, state),
	PW_OBJECT_CALL(25, "pwPoolStateAge", GAUGE32, get_state_age),
	PW_OBJECT(26, "pwPoolWarningThreshold", GAUGE32, struct pw_pool_row, warning_threshold),
	PW_OBJECT(27, "pwPoolCriticalThreshold", GAUGE32, struct pw_pool_row, critical_threshold),
	PW_OBJECT(28, "pwPoolOwner", TEXT, struct pw_pool_row, owner),
	PW_OBJECT(29, "pwPoolStateReason", ENUM, struct pw_pool_row, reason),
	PW_OBJECT(30, "pwPoolBasis", ENUM, struct pw_pool_row, basis),
	PW_OBJECT(31, "pwPoolReusable", GAUGE32, struct pw_pool_row, counts.reusable),
	PW_OBJECT(32, "pwPoolFreeThreshold", GAUGE32, struct pw_pool_row, free_threshold),
	PW_OBJECT(33, "pwPoolLabel", TEXT, struct pw_pool_row, label),
};

static const struct pw_pool_row *pool_after(const struct pw_snapshot *snapshot, const uint32_t *index, size_t len)
{
	size_t at = pw_snapshot_pool_after(snapshot, index, len);

	return at < snapshot->n_pools ? &snapshot->pools[at] : NULL;
}

static const void *find_pool(const struct pw_snapshot *snapshot, bool next, const uint32_t *index, size_t len,
	uint32_t *found, size_t *found_len)
{
	const struct pw_pool_row *pool = next ? pool_after(snapshot, index, len)
					      : pw_snapshot_pool(snapshot, index, len);

	if (pool == NULL)
		return NULL;
	memcpy(found, pool->index, pool->index_len * sizeof(*found));
	*found_len = pool->index_len;
	return pool;
}

const struct pw_group pw_pool_group = {
	.number = 3,
	.table = true,
	.readable = true,
	.objects = pool_objects,
	.n_objects = sizeof(pool_objects) / sizeof(pool_objects[0]),
	.row = find_pool,
};

/* --- pwTopTable: rows of pwPoolTable again, by rank ---------------------------------------------------------------- */

static const struct pw_object top_objects[] = {
	PW_OBJECT_INDEX(1, "pwTopRank"),
	PW_OBJECT(2, "pwTopName", TEXT, struct pw_pool_row, name),
	PW_OBJECT(3, "pwTopCapacity", GAUGE32, struct pw_pool_row, counts.capacity),
	PW_OBJECT(4, "pwTopUsed", GAUGE32, struct pw_pool_row, counts.used),
	PW_OBJECT(5, "pwTopTimeWait", GAUGE32, struct pw_pool_row, counts.time_wait),
	PW_OBJECT(6, "pwTopFree", GAUGE32, struct pw_pool_row, counts.free),
	PW_OBJECT(7, "pwTopUtilization", GAUGE32, struct pw_pool_row, counts.utilization),
	PW_OBJECT(8, "pwTopState", ENUM, struct pw_pool_row, state),
	PW_OBJECT(9, "pwTopTimeToExhaustion", GAUGE32, struct pw_pool_row, time_to_exhaustion),
	PW_OBJECT(10, "pwTopOwner", TEXT, struct pw_pool_row, owner),
};

/* A rank without a pool. */
static const struct pw_pool_row no_pool = {
	.name = "",
	.local_text = "",
	.remote_text = "",
	.owner = "",
	.label = "",
	.time_to_exhaustion = PW_NOT_IN_SIGHT,
	.state = PW_STATE_NORMAL,
	.reason = PW_REASON_NONE,
	.basis = PW_BASIS_INFERRED,
};

static uint32_t rank(const struct pw_snapshot *snapshot, size_t position)
{
	(void)snapshot;
	return (uint32_t)position + 1;
}

static const void *find_top(const struct pw_snapshot *snapshot, bool next, const uint32_t *index, size_t len,
	uint32_t *found, size_t *found_len)
{
	size_t at = search(snapshot, snapshot->top_ranks, rank, next, index, len);

	if (at == snapshot->top_ranks)
		return NULL;
	found[0] = rank(snapshot, at);
	*found_len = 1;
	return at < snapshot->n_top ? &snapshot->pools[snapshot->top[at]] : &no_pool;
}

const struct pw_group pw_top_group = {
	.number = 4,
	.table = true,
	.readable = true,
	.objects = top_objects,
	.n_objects = sizeof(top_objects) / sizeof(top_objects[0]),
	.row = find_top,
};

/* --- pwAlarmTable -------------------------------------------------------------------------------------------------- */

static const struct pw_pool_row *alarm_pool(const struct pw_scene *scene, const void *row)
{
	return &scene->snapshot->pools[((const struct pw_alarm_row *)row)->pool];
}

static void get_alarm_pool_name(const struct pw_scene *scene, const void *row, struct pw_value *value)
{
	pw_value_set_text(value, alarm_pool(scene, row)->name);
}

static void get_alarm_utilization(const struct pw_scene *scene, const void *row, struct pw_value *value)
{
	pw_value_set_number(value, alarm_pool(scene, row)->counts.utilization);
}

static void get_alarm_free(const struct pw_scene *scene, const void *row, struct pw_value *value)
{
	pw_value_set_number(value, alarm_pool(scene, row)->counts.free);
}

static void get_alarm_pool(const struct pw_scene *scene, const void *row, struct pw_value *value)
{
	pw_value_set_pool_row(value, &alarm_pool(scene, row)->key);
}

static const struct pw_object alarm_objects[] = {
	PW_OBJECT_INDEX(1, "pwAlarmIndex"),
	PW_OBJECT_CALL(2, "pwAlarmPoolName", TEXT, get_alarm_pool_name),
	PW_OBJECT(3, "pwAlarmSeverity", ENUM, struct pw_alarm_row, severity),
	PW_OBJECT(4, "pwAlarmSince", DATE, struct pw_alarm_row, since),
	PW_OBJECT_CALL(5, "pwAlarmUtilization", GAUGE32, get_alarm_utilization),
	PW_OBJECT_CALL(6, "pwAlarmFree", GAUGE32, get_alarm_free),
	PW_OBJECT_CALL(7, "pwAlarmPool", ROW, get_alarm_pool),
	PW_OBJECT(8, "pwAlarmEventId", UNSIGNED32, struct pw_alarm_row, event_id),
};

static uint32_t alarm_number(const struct pw_snapshot *snapshot, size_t position)
{
	return snapshot->alarms[position].index;
}

static const void *find_alarm(const struct pw_snapshot *snapshot, bool next, const uint32_t *index, size_t len,
	uint32_t *found, size_t *found_len)
{
	size_t at = search(snapshot, snapshot->n_alarms, alarm_number, next, index, len);

	if (at == snapshot->n_alarms)
		return NULL;
	found[0] = snapshot->alarms[at].index;
	*found_len = 1;
	return &snapshot->alarms[at];
}

const struct pw_group pw_alarm_group = {
	.number = 5,
	.table = true,
	.readable = true,
	.objects = alarm_objects,
	.n_objects = sizeof(alarm_objects) / sizeof(alarm_objects[0]),
	.row = find_alarm,
};

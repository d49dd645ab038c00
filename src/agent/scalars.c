/* SPDX-License-Identifier: BSD-2-Clause */
/* pwAgent: how the agent itself is doing, and totals */
#include "agent/object.h"

#include "config.h"

/* An age in milliseconds; a stamp of the future counts as now. */
static int64_t age_ms(const struct pw_scene *scene, uint64_t since_ms)
{
	return scene->now_ms > since_ms ? (int64_t)(scene->now_ms - since_ms) : 0;
}

static const struct pw_pool_row *worst(const struct pw_snapshot *snapshot)
{
	return pw_snapshot_worst(snapshot);
}

static void get_version(const struct pw_scene *scene, const void *row, struct pw_value *value)
{
	(void)scene;
	(void)row;
	pw_value_set_text(value, PACKAGE_VERSION);
}

static void get_poll_age(const struct pw_scene *scene, const void *row, struct pw_value *value)
{
	const struct pw_snapshot *snapshot = row;

	pw_value_set_number(value, snapshot->poll_ms == 0 ? UINT32_MAX : age_ms(scene, snapshot->poll_ms));
}

static void get_worst_utilization(const struct pw_scene *scene, const void *row, struct pw_value *value)
{
	const struct pw_pool_row *pool = worst(row);

	(void)scene;
	pw_value_set_number(value, pool != NULL ? pool->counts.utilization : 0);
}

static void get_worst_name(const struct pw_scene *scene, const void *row, struct pw_value *value)
{
	const struct pw_pool_row *pool = worst(row);

	(void)scene;
	pw_value_set_text(value, pool != NULL ? pool->name : "");
}

static void get_connect_failures_status(const struct pw_scene *scene, const void *row, struct pw_value *value)
{
	const struct pw_snapshot *snapshot = row;

	(void)scene;
	pw_value_set_number(value, snapshot->connect_failures_counting ? 1 : 2);
}

static void get_connect_failures_reason(const struct pw_scene *scene, const void *row, struct pw_value *value)
{
	const struct pw_snapshot *snapshot = row;
	const char *reason = snapshot->connect_failures_reason;

	(void)scene;
	pw_value_set_text(value, reason != NULL ? reason : "");
}

static void get_sent(const struct pw_scene *scene, const void *row, struct pw_value *value)
{
	(void)row;
	pw_value_set_number(value, (int64_t)scene->exchange.acknowledged);
}

static void get_suppressed(const struct pw_scene *scene, const void *row, struct pw_value *value)
{
	(void)row;
	pw_value_set_number(value, (int64_t)scene->exchange.suppressed);
}

/* RFC 2579, TimeStamp: 0 when it happened before sysUpTime was 0. */
static void get_alarms_last_change(const struct pw_scene *scene, const void *row, struct pw_value *value)
{
	const struct pw_snapshot *snapshot = row;
	int64_t age = age_ms(scene, snapshot->alarms_changed_ms) / 10;

	pw_value_set_number(value, snapshot->alarms_changed_ms == 0 || age > scene->uptime ? 0 : scene->uptime - age);
}

static void get_config_status(const struct pw_scene *scene, const void *row, struct pw_value *value)
{
	const struct pw_snapshot *snapshot = row;

	(void)scene;
	pw_value_set_number(value, snapshot->config_failed ? 2 : 1);
}

static const struct pw_object objects[] = {
	PW_OBJECT_CALL(1, "pwVersion", TEXT, get_version),
	PW_OBJECT(2, "pwPollInterval", GAUGE32, struct pw_snapshot, poll_interval_ms),
	PW_OBJECT_CALL(3, "pwPollAge", GAUGE32, get_poll_age),
	PW_OBJECT(4, "pwPollDuration", GAUGE32, struct pw_snapshot, poll_duration_us),
	PW_OBJECT(5, "pwPolls", COUNTER64, struct pw_snapshot, polls),
	PW_OBJECT(6, "pwPollErrors", COUNTER64, struct pw_snapshot, poll_errors),
	PW_OBJECT(7, "pwSocketsSeen", GAUGE32, struct pw_snapshot, sockets_seen),
	PW_OBJECT(8, "pwPoolsSeen", GAUGE32, struct pw_snapshot, pools_seen),
	PW_OBJECT(9, "pwPoolsListed", GAUGE32, struct pw_snapshot, pools_listed),
	PW_OBJECT(10, "pwPoolsOmitted", GAUGE32, struct pw_snapshot, pools_omitted),
	PW_OBJECT_CALL(11, "pwWorstUtilization", GAUGE32, get_worst_utilization),
	PW_OBJECT_CALL(12, "pwWorstPoolName", TEXT, get_worst_name),
	PW_OBJECT(13, "pwConnectFailures", COUNTER64, struct pw_snapshot, connect_failures),
	PW_OBJECT_CALL(14, "pwConnectFailuresStatus", ENUM, get_connect_failures_status),
	PW_OBJECT_CALL(15, "pwNotificationsSent", COUNTER64, get_sent),
	PW_OBJECT_CALL(16, "pwNotificationsSuppressed", COUNTER64, get_suppressed),
	PW_OBJECT(17, "pwActiveAlarms", GAUGE32, struct pw_snapshot, active_alarms),
	PW_OBJECT_CALL(18, "pwAlarmsLastChange", TIMESTAMP, get_alarms_last_change),
	PW_OBJECT_CALL(19, "pwConfigStatus", ENUM, get_config_status),
	PW_OBJECT(20, "pwGeneration", COUNTER32, struct pw_snapshot, generation),
	PW_OBJECT(21, "pwStartTime", DATE, struct pw_snapshot, start_time),
	PW_OBJECT_CALL(22, "pwConnectFailuresReason", TEXT, get_connect_failures_reason),
};

/* The snapshot is the row, and .0 its index. */
static const void *find(const struct pw_snapshot *snapshot, bool next, const uint32_t *index, size_t len,
	uint32_t *found, size_t *found_len)
{
	found[0] = 0;
	*found_len = 1;
	if (next)
		return len == 0 ? snapshot : NULL;
	return len == 1 && index[0] == 0 ? snapshot : NULL;
}

const struct pw_group pw_agent_group = {
	.number = 1,
	.readable = true,
	.objects = objects,
	.n_objects = sizeof(objects) / sizeof(objects[0]),
	.row = find,
};

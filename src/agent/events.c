/* SPDX-License-Identifier: BSD-2-Clause */
/* pwEvent: what notifications carry */
#include "agent/object.h"

void pw_value_set_pool_row(struct pw_value *value, const struct pw_pool_key *key)
{
	uint32_t below[4 + PW_POOL_INDEX_MAX] = {1, 3, 1, 8}; /* pwPoolName */

	pw_value_set_row(value, below, 4 + pw_pool_index(key, below + 4));
}

static void get_pool(const struct pw_scene *scene, const void *row, struct pw_value *value)
{
	(void)scene;
	pw_value_set_pool_row(value, &((const struct pw_event *)row)->key);
}

static const struct pw_object objects[] = {
	PW_OBJECT(1, "pwEventId", UNSIGNED32, struct pw_event, id),
	PW_OBJECT(2, "pwEventTime", DATE, struct pw_event, time),
	PW_OBJECT_CHARS(3, "pwEventPoolName", struct pw_event, name),
	PW_OBJECT_CHARS(4, "pwEventLabel", struct pw_event, label),
	PW_OBJECT(5, "pwEventKind", ENUM, struct pw_event, key.kind),
	PW_OBJECT(6, "pwEventProtocol", ENUM, struct pw_event, key.protocol),
	PW_OBJECT_CHARS(7, "pwEventLocalText", struct pw_event, local_text),
	PW_OBJECT_CHARS(8, "pwEventRemoteText", struct pw_event, remote_text),
	PW_OBJECT(9, "pwEventPort", UNSIGNED32, struct pw_event, key.port),
	PW_OBJECT(10, "pwEventCapacity", GAUGE32, struct pw_event, counts.capacity),
	PW_OBJECT(11, "pwEventUsed", GAUGE32, struct pw_event, counts.used),
	PW_OBJECT(12, "pwEventTimeWait", GAUGE32, struct pw_event, counts.time_wait),
	PW_OBJECT(13, "pwEventFree", GAUGE32, struct pw_event, counts.free),
	PW_OBJECT(14, "pwEventUtilization", GAUGE32, struct pw_event, counts.utilization),
	PW_OBJECT(15, "pwEventState", ENUM, struct pw_event, state),
	PW_OBJECT(16, "pwEventPreviousState", ENUM, struct pw_event, previous),
	PW_OBJECT(17, "pwEventThreshold", GAUGE32, struct pw_event, threshold),
	PW_OBJECT(18, "pwEventReason", ENUM, struct pw_event, reason),
	PW_OBJECT(19, "pwEventTimeToExhaustion", GAUGE32, struct pw_event, time_to_exhaustion),
	PW_OBJECT_CHARS(20, "pwEventOwner", struct pw_event, owner),
	PW_OBJECT_CALL(21, "pwEventPool", ROW, get_pool),
	PW_OBJECT_CHARS(22, "pwEventText", struct pw_event, text),
	PW_OBJECT(23, "pwEventFailures", GAUGE32, struct pw_event, failures),
};

/* Nothing of it can be read; the row function is never called. */
const struct pw_group pw_event_group = {
	.number = 6,
	.objects = objects,
	.n_objects = sizeof(objects) / sizeof(objects[0]),
};

const struct pw_object *const *pw_notification_objects(enum pw_event_type type, size_t *n)
{
#define O(number) &objects[(number)-1]
	static const struct pw_object *const crossing[] = {O(1), O(2), O(3), O(4), O(5), O(6), O(7), O(8), O(9), O(10),
		O(11), O(12), O(13), O(14), O(15), O(16), O(17), O(18), O(19), O(20), O(21)};
	static const struct pw_object *const connects[] = {O(1), O(2), O(22), O(23)};
	static const struct pw_object *const collector[] = {O(1), O(2), O(22)};
#undef O

	switch (type) {
	case PW_EVENT_RISING:
	case PW_EVENT_FALLING: *n = sizeof(crossing) / sizeof(crossing[0]); return crossing;
	case PW_EVENT_CONNECT_FAILING: *n = sizeof(connects) / sizeof(connects[0]); return connects;
	default: *n = sizeof(collector) / sizeof(collector[0]); return collector;
	}
}

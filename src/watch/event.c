/* SPDX-License-Identifier: BSD-2-Clause */
#include "watch/event.h"

#include <stdarg.h>
#include <stdio.h>
#include <syslog.h>

void pw_event_of_ns(struct pw_event *event, enum pw_event_type type, uint32_t ns, const char *ns_name, const char *text)
{
	*event = (struct pw_event){.type = type, .key.ns = ns};
	snprintf(event->text, sizeof(event->text), "%s%s%s", ns_name, ns_name[0] != '\0' ? ": " : "", text);
}

void pw_event_set_previous(struct pw_event *event, enum pw_state previous)
{
	const struct pw_crossing *crossing = event->state < previous ? &event->fall : &event->rise;

	event->previous = previous;
	event->type = event->state < previous ? PW_EVENT_FALLING : PW_EVENT_RISING;
	event->reason = crossing->reason;
	event->threshold = crossing->threshold;
}

uint64_t pw_event_urgency(const struct pw_event *event)
{
	const struct pw_pool_counts *c = &event->counts;
	uint64_t direction = event->state > event->previous ? 2 : event->state < event->previous;
	uint64_t gone = c->capacity > c->free ? c->capacity - c->free : 0;

	return direction << 60 | gone * event->state << 16 | (uint64_t)event->state << 8 | c->utilization;
}

PW_NAMES(pw_event_type_name, "poolRising", "poolFalling", "connectFailing", "collectorFailed", "collectorRecovered",
	"snatFailing", "snatRacing", "conntrackRising", "conntrackFalling")

int pw_event_priority(const struct pw_event *event)
{
	switch (event->type) {
	case PW_EVENT_FALLING:
	case PW_EVENT_CONNTRACK_FALLING:
	case PW_EVENT_COLLECTOR_RECOVERED: return LOG_NOTICE;
	case PW_EVENT_COLLECTOR_FAILED: return LOG_ERR;
	default: return LOG_WARNING;
	}
}

/* A text that grows to the right and is cut at its end. */
struct line {
	char *buf;
	size_t size, len;
};

static __attribute__((format(printf, 2, 3))) void put(struct line *line, const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(line->buf + line->len, line->size - line->len, format, args);
	va_end(args);
	if (n > 0)
		line->len += (size_t)n < line->size - line->len ? (size_t)n : line->size - line->len - 1;
}

static void put_pool(struct line *line, const struct pw_event *e)
{
	const struct pw_pool_counts *c = &e->counts;
	const char *verb = e->type == PW_EVENT_FALLING ? "back from" : "reached";

	if (e->state == e->previous)
		put(line, "%s: still %s", e->name, pw_state_name(e->state));
	else
		put(line, "%s: %s, was %s", e->name, pw_state_name(e->state), pw_state_name(e->previous));
	put(line, ": utilization %u %%", c->utilization);
	if (e->reason == PW_REASON_UTILIZATION)
		put(line, ", threshold %u %%", e->threshold);
	else if (e->reason == PW_REASON_FREE)
		put(line, ", %s the limit of %u free ports", verb, e->threshold);
	else if (e->reason == PW_REASON_FAST_FREE)
		put(line, ", %s the limit of %u free ports of those tried first", verb, e->threshold);
	else if (e->reason == PW_REASON_FORECAST)
		put(line, ", %s the forecast limit of %u s", verb, e->threshold);
	put(line, ", used %u of %u (%u in TIME_WAIT), free %u", c->used, c->capacity, c->time_wait, c->free);
	if (e->time_to_exhaustion != PW_NOT_IN_SIGHT)
		put(line, ", exhausted in %u s", e->time_to_exhaustion);
	if (e->owner[0] != '\0')
		put(line, ", owner %s", e->owner);
	if (e->label[0] != '\0')
		put(line, ", label \"%s\"", e->label);
	if (e->text[0] != '\0')
		put(line, " (%s)", e->text);
	put(line, ", event %u", e->id);
}

char *pw_event_text(const struct pw_event *event, char *buf, size_t size)
{
	struct line line = {.buf = buf, .size = size};

	if (event->type == PW_EVENT_RISING || event->type == PW_EVENT_FALLING)
		put_pool(&line, event);
	else if (event->type == PW_EVENT_CONNECT_FAILING)
		put(&line, "connects fail for want of a port: %u since the last notification%s%s%s%s, event %u",
			event->failures, event->name[0] != '\0' ? ", mostly of " : "", event->name,
			event->text[0] != '\0' ? ", " : "", event->text, event->id);
	else if (event->type == PW_EVENT_SNAT_FAILING || event->type == PW_EVENT_SNAT_RACING)
		put(&line,
			"translated connections lose their first packet: %u since the last notification, %s, event %u",
			event->failures, event->text, event->id);
	else if (event->type == PW_EVENT_CONNTRACK_RISING || event->type == PW_EVENT_CONNTRACK_FALLING)
		put(&line, "%s: %s, was %s, utilization %u %%, event %u", event->text, pw_state_name(event->state),
			pw_state_name(event->previous), event->counts.utilization, event->id);
	else if (event->type == PW_EVENT_COLLECTOR_FAILED)
		put(&line, "the collector fails: %s, event %u", event->text, event->id);
	else
		put(&line, "the collector has recovered: %s, event %u", event->text, event->id);
	return buf;
}

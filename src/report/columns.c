/* SPDX-License-Identifier: BSD-2-Clause */
#include "report/columns.h"

#include <stdio.h>
#include <string.h>

#include "report/text.h"

static bool always(const struct pw_layout *l)
{
	(void)l;
	return true;
}

static bool with_bar(const struct pw_layout *l)
{
	return l->bar > 0;
}

static bool when_wide(const struct pw_layout *l)
{
	return l->wide;
}

static bool when_watching(const struct pw_layout *l)
{
	return l->report->watching;
}

static bool with_owner(const struct pw_layout *l)
{
	return l->owner;
}

static void format_utilization(const struct pw_layout *l, const struct pw_pool_row *row, char *buf, size_t size)
{
	(void)l;
	snprintf(buf, size, "%3u%%", row->counts.utilization);
}

/* Only an exhausted pool has a full bar, and only an empty one has none. */
static unsigned bar_units(unsigned utilization, unsigned units)
{
	unsigned filled = utilization * units / 100;

	return utilization > 0 && filled == 0 ? 1 : filled;
}

static void format_bar(const struct pw_layout *l, const struct pw_pool_row *row, char *buf, size_t size)
{
	static const char *const eighths[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
	unsigned steps = l->view->fine_bars ? 8 : l->view->unicode ? 2 : 1;
	unsigned filled = bar_units(row->counts.utilization, l->bar * steps), at = 0;
	size_t len = 0;

	for (; at < filled / steps; at++)
		len += (size_t)snprintf(buf + len, size - len, "%s", l->view->unicode ? "█" : "#");
	if (filled % steps != 0) {
		len += (size_t)snprintf(buf + len, size - len, "%s", eighths[filled % steps * (8 / steps)]);
		at++;
	}
	for (; at < l->bar; at++)
		len += (size_t)snprintf(buf + len, size - len, "%s", l->view->unicode ? " " : ".");
}

static void format_used(const struct pw_layout *l, const struct pw_pool_row *row, char *buf, size_t size)
{
	(void)l;
	snprintf(buf, size, "%5u", row->counts.used);
}

static void format_free(const struct pw_layout *l, const struct pw_pool_row *row, char *buf, size_t size)
{
	(void)l;
	snprintf(buf, size, "%5u", row->counts.free);
}

static void format_time_wait(const struct pw_layout *l, const struct pw_pool_row *row, char *buf, size_t size)
{
	(void)l;
	snprintf(buf, size, "%5u", row->counts.time_wait);
}

static void format_blocked(const struct pw_layout *l, const struct pw_pool_row *row, char *buf, size_t size)
{
	(void)l;
	snprintf(buf, size, "%7u", row->counts.blocked);
}

static void format_fast(const struct pw_layout *l, const struct pw_pool_row *row, char *buf, size_t size)
{
	(void)l;
	snprintf(buf, size, "%5u", row->counts.fast_free);
}

static void format_growth(const struct pw_layout *l, const struct pw_pool_row *row, char *buf, size_t size)
{
	int32_t growth = pw_pace_growth(l->report->pace, row).per_minute;

	snprintf(buf, size, growth > 0 ? "%+6d" : "%6d", growth);
}

static void format_left(const struct pw_layout *l, const struct pw_pool_row *row, char *buf, size_t size)
{
	char text[PW_TEXT_SHORT_MAX];

	snprintf(buf, size, "%4s", pw_text_duration(pw_pace_growth(l->report->pace, row).left_s, text));
}

static void format_state(const struct pw_layout *l, const struct pw_pool_row *row, char *buf, size_t size)
{
	(void)l;
	snprintf(buf, size, "%-9s", pw_state_name(row->state));
}

void pw_format_owner(const struct pw_layout *l, const struct pw_pool_row *row, char *buf, size_t size)
{
	pw_text_safe(row->owner, l->view->unicode, buf, size);
}

void pw_format_full_name(const struct pw_layout *l, const struct pw_pool_row *row, char *buf, size_t size)
{
	size_t len;

	pw_text_safe(row->name, l->view->unicode, buf, size);
	len = strlen(buf);
	if (row->label[0] == '\0' || len + 4 > size)
		return;
	memcpy(buf + len, " (", 2);
	pw_text_safe(row->label, l->view->unicode, buf + len + 2, size - len - 3);
	strcat(buf, ")");
}

static void format_name(const struct pw_layout *l, const struct pw_pool_row *row, char *buf, size_t size)
{
	pw_format_full_name(l, row, buf, size);
	if (!l->plain && pw_text_width(buf) > l->name_width)
		buf[0] = '\0';
}

const struct pw_column pw_columns[] = {
	{"UTIL", 4, true, true, always, format_utilization},
	{"", 0, false, true, with_bar, format_bar},
	{"USED", 5, true, false, always, format_used},
	{"FREE", 5, true, false, always, format_free},
	{"TWAIT", 5, true, false, always, format_time_wait},
	{"BLOCKED", 7, true, false, when_wide, format_blocked},
	{"FAST", 5, true, false, when_wide, format_fast},
	{"+/MIN", 6, true, false, when_watching, format_growth},
	{"LEFT", 4, true, false, when_watching, format_left},
	{"STATE", 9, false, true, always, format_state},
	{"POOL", 0, false, false, always, format_name},
	{"OWNER", 0, false, false, with_owner, pw_format_owner},
	{NULL, 0, false, false, NULL, NULL},
};

/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include "base/clock.h"

static enum pw_log_target log_target = PW_LOG_STDERR;
static int log_max = LOG_INFO;

static const char *priority_name(int priority)
{
	static const char *const names[] = {"emerg", "alert", "crit", "error", "warning", "notice", "info", "debug"};

	return names[priority & 7];
}

void pw_log_open(enum pw_log_target target, const char *ident, int max_priority)
{
	log_target = target;
	log_max = max_priority;
	if (target == PW_LOG_SYSLOG)
		openlog(ident, LOG_PID | LOG_NDELAY, LOG_DAEMON);
}

bool pw_log_enabled(int priority)
{
	return priority <= log_max;
}

static void log_stderr(int priority, const char *text)
{
	struct timespec now = pw_clock_wall();
	struct tm tm;
	char stamp[32];

	localtime_r(&now.tv_sec, &tm);
	strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S", &tm);
	/* one call, so that lines of two threads do not mix */
	fprintf(stderr, "%s.%03ld %s: %s\n", stamp, now.tv_nsec / 1000000, priority_name(priority), text);
}

void pw_log(int priority, const char *format, ...)
{
	char text[1024];
	va_list args;

	if (!pw_log_enabled(priority))
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (log_target == PW_LOG_SYSLOG)
		syslog(priority, "%s", text);
	else
		log_stderr(priority, text);
}

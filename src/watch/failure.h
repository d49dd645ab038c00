/* SPDX-License-Identifier: BSD-2-Clause */
/* failure.h: when failing polls, and failing calls of connect(), are worth a notification
 *
 * A single failed poll is done again at the next interval and only logged; several in a row, for some time, mean that
 * nothing is watched. Failing connects are worth one at once, and then one a minute as long as they go on. */
#ifndef PW_WATCH_FAILURE_H
#define PW_WATCH_FAILURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "watch/event.h"

/* Failed polls in a row, and the time from the first to the last of them, that make a failure: what passes within
 * seconds is none, however often there are polls. Every 10 s it is the third one. */
#define PW_FAILURE_POLLS 3
#define PW_FAILURE_MS 15000

/* Of one source (a namespace). Zeroed = nothing has failed yet. */
struct pw_failure {
	uint32_t polls;    /* failed in a row, up to PW_FAILURE_POLLS */
	uint64_t first_ms; /* when the first of them did */
	bool announced;
};

/* Takes one poll into account. `error` is the cause (NULL = the poll was good), `ns` the pwNsIndex and `ns_name`
 * its name ("" = the daemon's own), `now_ms` of CLOCK_BOOTTIME. Returns true when there is something to notify: *out
 * then is complete but for id and time, which the caller sets (pw_monitor_next_event_id()). */
bool pw_failure_step(struct pw_failure *failure, uint32_t ns, const char *ns_name, const char *error, uint64_t now_ms,
	struct pw_event *out);

/* The source is not watched any more: a failure that was announced ends with it. Returns true when there is something
 * to notify, as pw_failure_step() does. */
bool pw_failure_end(struct pw_failure *failure, uint32_t ns, const char *ns_name, struct pw_event *out);

/* Between two notifications of failing connects. */
#define PW_FAILING_EVERY_MS 60000

/* Processes whose connect() failed that are told apart, at one poll and in one notification. */
#define PW_FAILING_PROCESSES 16

/* A process whose connect() failed. */
struct pw_failing_process {
	uint32_t pid;   /* 0 = of a pid namespace that is not visible from here */
	uint32_t times; /* as far as they were sampled */
	char name[16];  /* its comm(5); "" when it had ended before it was looked at */
};

/* The processes, those that failed most first. */
struct pw_failing_processes {
	size_t n;
	bool more; /* there were others */
	struct pw_failing_process process[PW_FAILING_PROCESSES];
};

/* Counts `times` failures of a process. `name` is kept when it is not known yet; it may be "". */
void pw_failing_add(struct pw_failing_processes *processes, uint32_t pid, const char *name, uint32_t times);

/* Failing connects between two notifications. Zeroed = none yet. */
struct pw_failing {
	uint64_t total; /* of the last step */
	uint64_t failures;
	struct pw_failing_processes processes;
	uint64_t notified_ms;    /* 0 = never */
	struct pw_pool_key pool; /* that failed most in one poll; ns 0 = not known */
	char pool_name[PW_POOL_NAME_MAX];
	uint64_t pool_failures;
};

/* Before pw_failing_step(): `count` of these failures were of this pool. */
void pw_failing_pool(struct pw_failing *failing, const struct pw_pool_key *key, const char *ns_name, uint64_t count);

/* Takes one poll into account: the counter of failed connects since the start, and the processes that they were
 * sampled from. Returns true when there is something to notify, *out as above: it names the pool that failed most, if
 * one is known, and in its text the processes. */
bool pw_failing_step(struct pw_failing *failing, uint64_t total, const struct pw_failing_processes *processes,
	uint64_t now_ms, struct pw_event *out);

#endif

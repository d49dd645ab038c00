/* SPDX-License-Identifier: BSD-2-Clause */
#include "watch/failure.h"

#include <stdio.h>
#include <string.h>

#include "base/array.h"

bool pw_failure_step(struct pw_failure *failure, uint32_t ns, const char *ns_name, const char *error, uint64_t now_ms,
	struct pw_event *out)
{
	bool announce;

	if (error == NULL) {
		announce = failure->announced;
		*failure = (struct pw_failure){0};
		if (announce)
			pw_event_of_ns(out, PW_EVENT_COLLECTOR_RECOVERED, ns, ns_name, "polls succeed again");
		return announce;
	}
	if (failure->polls == 0)
		failure->first_ms = now_ms;
	failure->polls += failure->polls < PW_FAILURE_POLLS;
	announce = failure->polls == PW_FAILURE_POLLS && now_ms - failure->first_ms >= PW_FAILURE_MS &&
		!failure->announced;
	if (announce) {
		failure->announced = true;
		pw_event_of_ns(out, PW_EVENT_COLLECTOR_FAILED, ns, ns_name, error);
	}
	return announce;
}

bool pw_failure_end(struct pw_failure *failure, uint32_t ns, const char *ns_name, struct pw_event *out)
{
	bool announced = failure->announced;

	*failure = (struct pw_failure){0};
	if (announced)
		pw_event_of_ns(out, PW_EVENT_COLLECTOR_RECOVERED, ns, ns_name,
			"the network namespace is not watched any more");
	return announced;
}

/* --- failing connects --- */

static int by_times(const void *a, const void *b)
{
	const struct pw_failing_process *x = a, *y = b;

	return (y->times > x->times) - (y->times < x->times);
}

void pw_failing_add(struct pw_failing_processes *processes, uint32_t pid, const char *name, uint32_t times)
{
	struct pw_failing_process process = {.pid = pid};
	size_t at = 0;

	while (at < processes->n && processes->process[at].pid != pid)
		at++;
	if (at == PW_FAILING_PROCESSES) {
		processes->more = true;
		return;
	}
	if (at < processes->n) { /* out of its old place */
		process = processes->process[at];
		processes->n--;
		memmove(&processes->process[at], &processes->process[at + 1], (processes->n - at) * sizeof(process));
	}
	process.times += times;
	if (process.name[0] == '\0')
		snprintf(process.name, sizeof(process.name), "%s", name);
	processes->n = pw_array_keep_first(
		processes->process, processes->n, PW_FAILING_PROCESSES, sizeof(process), &process, by_times);
}

/* As many names as fit, with room for a last word on the others. */
static void put_processes(const struct pw_failing_processes *processes, char *buf, size_t size)
{
	static const char others[] = " and others";
	size_t len = 0, i;

	buf[0] = '\0';
	for (i = 0; i < processes->n; i++) {
		const size_t room = size - len - sizeof(others);
		const struct pw_failing_process *process = &processes->process[i];
		const char *before = i > 0 ? ", " : "";
		int n;

		if (process->pid == 0)
			n = snprintf(buf + len, room, "%sa process of another pid namespace", before);
		else if (process->name[0] == '\0')
			n = snprintf(buf + len, room, "%spid %u (ended)", before, process->pid);
		else
			n = snprintf(buf + len, room, "%s%s (pid %u)", before, process->name, process->pid);

		if (n < 0 || (size_t)n >= room)
			break;
		len += (size_t)n;
	}
	buf[len] = '\0';
	if (len > 0 && (i < processes->n || processes->more))
		snprintf(buf + len, size - len, "%s", others);
}

void pw_failing_pool(struct pw_failing *failing, const struct pw_pool_key *key, const char *ns_name, uint64_t count)
{
	if (count <= failing->pool_failures)
		return;
	failing->pool = *key;
	failing->pool_failures = count;
	pw_pool_name(key, NULL, ns_name, failing->pool_name);
}

bool pw_failing_step(struct pw_failing *failing, uint64_t total, const struct pw_failing_processes *processes,
	uint64_t now_ms, struct pw_event *out)
{
	failing->failures += total - failing->total;
	failing->total = total;
	for (size_t i = 0; i < processes->n; i++)
		pw_failing_add(&failing->processes, processes->process[i].pid, processes->process[i].name,
			processes->process[i].times);
	failing->processes.more = failing->processes.more || processes->more;
	if (failing->failures == 0 ||
		(failing->notified_ms != 0 && now_ms - failing->notified_ms < PW_FAILING_EVERY_MS))
		return false;
	*out = (struct pw_event){.type = PW_EVENT_CONNECT_FAILING,
		.failures = failing->failures < UINT32_MAX ? (uint32_t)failing->failures : UINT32_MAX};
	put_processes(&failing->processes, out->text, sizeof(out->text));
	out->key = failing->pool;
	snprintf(out->name, sizeof(out->name), "%s", failing->pool_name);
	pw_address_text(&failing->pool.local, NULL, out->local_text);
	pw_address_text(&failing->pool.remote, NULL, out->remote_text);
	*failing = (struct pw_failing){.total = total, .notified_ms = now_ms};
	return true;
}

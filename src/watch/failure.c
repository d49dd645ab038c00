/* SPDX-License-Identifier: BSD-2-Clause */
#include "watch/failure.h"

#include <stdio.h>

static void describe(
	struct pw_event *event, enum pw_event_type type, uint32_t ns, const char *ns_name, const char *text)
{
	*event = (struct pw_event){.type = type, .key.ns = ns};
	snprintf(event->text, sizeof(event->text), "%s%s%s", ns_name, ns_name[0] != '\0' ? ": " : "", text);
}

bool pw_failure_step(
	struct pw_failure *failure, uint32_t ns, const char *ns_name, const char *error, struct pw_event *out)
{
	bool announce;

	if (error == NULL) {
		announce = failure->announced;
		*failure = (struct pw_failure){0};
		if (announce)
			describe(out, PW_EVENT_COLLECTOR_RECOVERED, ns, ns_name, "polls succeed again");
		return announce;
	}
	failure->polls += failure->polls < PW_FAILURE_POLLS;
	announce = failure->polls == PW_FAILURE_POLLS && !failure->announced;
	if (announce) {
		failure->announced = true;
		describe(out, PW_EVENT_COLLECTOR_FAILED, ns, ns_name, error);
	}
	return announce;
}

bool pw_failure_end(struct pw_failure *failure, uint32_t ns, const char *ns_name, struct pw_event *out)
{
	bool announced = failure->announced;

	*failure = (struct pw_failure){0};
	if (announced)
		describe(out, PW_EVENT_COLLECTOR_RECOVERED, ns, ns_name,
			"the network namespace is not watched any more");
	return announced;
}

/* --- failing connects
 * ----------------------------------------------------------------------------------------------- */

/* The position of a process, or where it would be added. */
static size_t find_process(const struct pw_failing_processes *processes, uint32_t pid)
{
	size_t at = 0;

	while (at < processes->n && processes->process[at].pid != pid)
		at++;
	return at;
}

void pw_failing_add(struct pw_failing_processes *processes, uint32_t pid, const char *name, uint32_t times)
{
	size_t at = find_process(processes, pid);
	struct pw_failing_process process;

	if (at == PW_FAILING_PROCESSES) {
		processes->more = true;
		return;
	}
	if (at == processes->n)
		processes->process[processes->n++] = (struct pw_failing_process){.pid = pid};
	process = processes->process[at];
	process.times += times;
	if (process.name[0] == '\0')
		snprintf(process.name, sizeof(process.name), "%s", name);
	for (; at > 0 && processes->process[at - 1].times < process.times; at--)
		processes->process[at] = processes->process[at - 1];
	processes->process[at] = process;
}

static int put_process(const struct pw_failing_process *process, const char *before, char *buf, size_t size)
{
	if (process->pid == 0)
		return snprintf(buf, size, "%sa process of another pid namespace", before);
	if (process->name[0] == '\0')
		return snprintf(buf, size, "%spid %u (ended)", before, process->pid);
	return snprintf(buf, size, "%s%s (pid %u)", before, process->name, process->pid);
}

/* As many names as fit, with room for a last word on the others. */
static void put_processes(const struct pw_failing_processes *processes, char *buf, size_t size)
{
	static const char others[] = " and others";
	size_t len = 0, i;

	buf[0] = '\0';
	for (i = 0; i < processes->n; i++) {
		const size_t room = size - len - sizeof(others);
		int n = put_process(&processes->process[i], i > 0 ? ", " : "", buf + len, room);

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

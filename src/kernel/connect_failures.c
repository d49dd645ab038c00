/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernel/connect_failures.h"

#include <ctype.h>
#include <errno.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/error.h"
#include "base/utf8.h"

/* Where tracefs is mounted, today and in former times. */
#define TRACEPOINT "events/syscalls/sys_exit_connect/id"
static const char *const tracepoints[] = {"/sys/kernel/tracing/" TRACEPOINT, "/sys/kernel/debug/tracing/" TRACEPOINT};

#define ONLINE "/sys/devices/system/cpu/online"

/* Pages of a ring's data; a power of two. */
#define RING_PAGES 1

/* A counter of one CPU. */
struct counter {
	int cpu;
	int fd;
	uint64_t count;                    /* when it was last read */
	uint64_t enabled_ns;               /* how long it had been enabled then */
	struct perf_event_mmap_page *ring; /* NULL: no samples */
};

/* What read() of a counter gives, with PERF_FORMAT_TOTAL_TIME_ENABLED. */
struct reading {
	uint64_t count;
	uint64_t enabled_ns;
};

struct pw_connect_failures {
	int tracepoint; /* its id, -1 = not known */
	struct counter *counters;
	size_t n, size;
	uint64_t gone; /* counted by counters that are closed */
};

/* --- texts of the kernel -------------------------------------------------------------------------------------------- */

/* Reads the first line of a small file. Returns 0 or an errno. */
static int read_line(const char *path, char *buf, size_t size)
{
	FILE *file = fopen(path, "re");
	int error = 0;

	buf[0] = '\0';
	if (file == NULL)
		return errno;
	errno = 0;
	if (fgets(buf, (int)size, file) == NULL)
		error = errno != 0 ? errno : ENODATA;
	else
		buf[strcspn(buf, "\n")] = '\0';
	fclose(file);
	return error;
}

/* A number and what follows it; -1 when there is none. */
static long take_number(const char **text)
{
	char *end;
	long number;

	if (!isdigit((unsigned char)**text))
		return -1;
	number = strtol(*text, &end, 10);
	*text = end;
	return number < PW_CPUS_MAX ? number : -1;
}

int pw_cpus_parse(const char *list, struct pw_cpus *out)
{
	long first, last;

	memset(out, 0, sizeof(*out));
	do {
		first = last = take_number(&list);
		if (*list == '-') {
			list++;
			last = take_number(&list);
		}
		if (first < 0 || last < first)
			return -1;
		for (long cpu = first; cpu <= last; cpu++)
			out->word[cpu / 64] |= UINT64_C(1) << (cpu % 64);
	} while (*list++ == ',');
	return list[-1] == '\0' ? 0 : -1;
}

static bool has_cpu(const struct pw_cpus *cpus, int cpu)
{
	return (cpus->word[cpu / 64] >> (cpu % 64) & 1) != 0;
}

/* Finds the tracepoint's id. The error that says most is that of the usual place, unless only there is nothing. */
static int find_tracepoint(struct pw_connect_failures *failures, struct pw_error *err)
{
	char text[32];
	int error = ENOENT;

	for (size_t i = 0; i < sizeof(tracepoints) / sizeof(tracepoints[0]) && failures->tracepoint < 0; i++) {
		int found = read_line(tracepoints[i], text, sizeof(text));

		if (found == 0)
			failures->tracepoint = atoi(text);
		error = found != ENOENT ? found : error;
	}
	if (failures->tracepoint >= 0)
		return 0;
	if (error == ENOENT)
		return pw_error_set(err,
			"tracefs is not mounted at /sys/kernel/tracing, or the kernel has no system call tracepoints");
	return pw_error_set(err, "%s: %s%s", tracepoints[0], strerror(error),
		error == EACCES ? " (reading it needs root or CAP_DAC_READ_SEARCH)" : "");
}

/* --- one counter ---------------------------------------------------------------------------------------------------- */

static size_t ring_size(void)
{
	return (1 + RING_PAGES) * (size_t)sysconf(_SC_PAGESIZE);
}

/* Enabled only with its filter: not even for a moment shall every connect() be counted. */
static int open_counter(int tracepoint, int cpu)
{
	struct perf_event_attr attr = {.type = PERF_TYPE_TRACEPOINT,
		.size = sizeof(attr),
		.config = (uint64_t)tracepoint,
		.sample_period = 1,
		.sample_type = PERF_SAMPLE_TID,
		.read_format = PERF_FORMAT_TOTAL_TIME_ENABLED,
		.disabled = 1};
	int fd = (int)syscall(SYS_perf_event_open, &attr, -1, cpu, -1, PERF_FLAG_FD_CLOEXEC), error;
	char filter[32];

	if (fd < 0)
		return -1;
	snprintf(filter, sizeof(filter), "ret == -%d", EADDRNOTAVAIL);
	if (ioctl(fd, PERF_EVENT_IOC_SET_FILTER, filter) == 0 && ioctl(fd, PERF_EVENT_IOC_ENABLE, 0) == 0)
		return fd;
	error = errno;
	close(fd);
	errno = error;
	return -1;
}

/* Without a ring (RLIMIT_MEMLOCK, perf_event_mlock_kb) there are no names, and the counter counts all the same. */
static void *map_ring(int fd)
{
	void *ring = mmap(NULL, ring_size(), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	/* cppcheck-suppress memleak */
	return ring == MAP_FAILED ? NULL : ring;
}

static int add_counter(struct pw_connect_failures *failures, int cpu)
{
	int fd;

	if (failures->n == failures->size) {
		size_t size = failures->size == 0 ? 16 : failures->size * 2;
		struct counter *bigger = realloc(failures->counters, size * sizeof(*bigger));

		if (bigger == NULL)
			return -1;
		failures->counters = bigger;
		failures->size = size;
	}
	fd = open_counter(failures->tracepoint, cpu);
	if (fd < 0)
		return -1;
	failures->counters[failures->n++] = (struct counter){.cpu = cpu, .fd = fd, .ring = map_ring(fd)};
	return 0;
}

/* Reads a counter. Returns whether it runs: one whose CPU went off stands still even when that is back. */
static bool read_counter(struct counter *counter)
{
	struct reading reading;
	bool runs;

	if (read(counter->fd, &reading, sizeof(reading)) != (ssize_t)sizeof(reading))
		return false;
	runs = reading.enabled_ns > counter->enabled_ns;
	counter->count = reading.count;
	counter->enabled_ns = reading.enabled_ns;
	return runs;
}

/* --- samples -------------------------------------------------------------------------------------------------------- */

/* What the kernel says of a process that is being taken down (perf_event_pid_type()). */
#define PID_DEAD UINT32_MAX

/* As the kernel lays it out for PERF_SAMPLE_TID. */
struct sample {
	struct perf_event_header header;
	uint32_t pid, tid;
};

/* Copies out of a ring, around its end. */
static void copy_out(const struct counter *counter, uint64_t at, void *out, size_t size)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE), data_size = RING_PAGES * page;
	const uint8_t *data = (const uint8_t *)counter->ring + page;

	for (size_t i = 0; i < size; i++)
		((uint8_t *)out)[i] = data[(at + i) & (data_size - 1)];
}

/* Takes what waits in a ring (perf_event_open(2), MMAP layout: the head is the kernel's, the tail is ours). */
static void take_samples(const struct counter *counter, struct pw_failing_processes *processes)
{
	uint64_t head = __atomic_load_n(&counter->ring->data_head, __ATOMIC_ACQUIRE), tail = counter->ring->data_tail;
	struct sample sample;

	while (tail < head) {
		copy_out(counter, tail, &sample.header, sizeof(sample.header));
		if (sample.header.size < sizeof(sample.header))
			break;
		if (sample.header.type == PERF_RECORD_SAMPLE && sample.header.size >= sizeof(sample)) {
			copy_out(counter, tail, &sample, sizeof(sample));
			if (sample.pid != PID_DEAD)
				pw_failing_add(processes, sample.pid, "", 1);
		}
		tail += sample.header.size;
	}
	__atomic_store_n(&counter->ring->data_tail, head, __ATOMIC_RELEASE);
}

/* The names of processes, "" of those that have ended. */
static void name_processes(struct pw_failing_processes *processes)
{
	char path[32];

	for (size_t i = 0; i < processes->n; i++) {
		struct pw_failing_process *process = &processes->process[i];

		snprintf(path, sizeof(path), "/proc/%u/comm", process->pid);
		if (process->pid == 0 || read_line(path, process->name, sizeof(process->name)) != 0)
			process->name[0] = '\0';
		pw_utf8_clean(process->name, sizeof(process->name), process->name);
	}
}

/* --- all of them ---------------------------------------------------------------------------------------------------- */

struct pw_connect_failures *pw_connect_failures_new(void)
{
	struct pw_connect_failures *failures = calloc(1, sizeof(*failures));

	if (failures == NULL)
		return NULL;
	failures->tracepoint = -1;
	find_tracepoint(failures, NULL);
	return failures;
}

static void close_counter(struct pw_connect_failures *failures, const struct counter *counter)
{
	failures->gone += counter->count;
	if (counter->ring != NULL)
		munmap(counter->ring, ring_size());
	close(counter->fd);
}

static void close_all(struct pw_connect_failures *failures)
{
	for (size_t i = 0; i < failures->n; i++) {
		read_counter(&failures->counters[i]);
		close_counter(failures, &failures->counters[i]);
	}
	failures->n = 0;
}

void pw_connect_failures_free(struct pw_connect_failures *failures)
{
	if (failures == NULL)
		return;
	close_all(failures);
	free(failures->counters);
	free(failures);
}

/* Reads the counters, and lets go of those that do not run any more or whose CPU has gone. CPUs with a counter are taken out of `missing`,
 * which begins as the CPUs that are online. */
static void read_all(
	struct pw_connect_failures *failures, struct pw_cpus *missing, struct pw_failing_processes *processes)
{
	size_t kept = 0;

	for (size_t i = 0; i < failures->n; i++) {
		struct counter *counter = &failures->counters[i];
		bool runs = read_counter(counter);

		if (counter->ring != NULL)
			take_samples(counter, processes);
		if (!runs || !has_cpu(missing, counter->cpu)) {
			close_counter(failures, counter);
			continue;
		}
		missing->word[counter->cpu / 64] &= ~(UINT64_C(1) << (counter->cpu % 64));
		failures->counters[kept++] = *counter;
	}
	failures->n = kept;
}

/* A CPU that went off just now gets its counter when it is back. */
static int arm(struct pw_connect_failures *failures, const struct pw_cpus *missing, struct pw_error *err)
{
	for (int cpu = 0; cpu < PW_CPUS_MAX; cpu++) {
		if (!has_cpu(missing, cpu) || add_counter(failures, cpu) == 0 || errno == ENODEV)
			continue;
		return pw_error_set(err, "perf_event_open: %s%s", strerror(errno),
			errno == EACCES || errno == EPERM ? " (it needs root or CAP_PERFMON)" : "");
	}
	return 0;
}

static uint64_t total(const struct pw_connect_failures *failures)
{
	uint64_t sum = failures->gone;

	for (size_t i = 0; i < failures->n; i++)
		sum += failures->counters[i].count;
	return sum;
}

static int poll_cpus(struct pw_connect_failures *failures, const char *online, struct pw_failing_processes *processes,
	struct pw_error *err)
{
	struct pw_cpus cpus;

	if (failures->tracepoint < 0 && find_tracepoint(failures, err) < 0)
		return -1;
	if (pw_cpus_parse(online, &cpus) < 0)
		return pw_error_set(err, ONLINE ": \"%s\" is no list of CPUs", online);
	read_all(failures, &cpus, processes);
	if (arm(failures, &cpus, err) == 0)
		return 0;
	close_all(failures);
	return -1;
}

void pw_connect_failures_poll_cpus(
	struct pw_connect_failures *failures, const char *online, struct pw_connect_failures_poll *out)
{
	struct pw_error err = {.text = ""};

	*out = (struct pw_connect_failures_poll){0};
	out->counting = poll_cpus(failures, online, &out->processes, &err) == 0;
	snprintf(out->reason, sizeof(out->reason), "%s", err.text);
	name_processes(&out->processes);
	out->total = total(failures);
}

void pw_connect_failures_poll(struct pw_connect_failures *failures, bool wanted, struct pw_connect_failures_poll *out)
{
	char online[4096];

	if (!wanted) {
		close_all(failures);
		*out = (struct pw_connect_failures_poll){.total = total(failures)};
		snprintf(out->reason, sizeof(out->reason), "connect-failures = false");
		return;
	}
	if (read_line(ONLINE, online, sizeof(online)) != 0)
		snprintf(online, sizeof(online), "0-%ld", sysconf(_SC_NPROCESSORS_ONLN) - 1);
	pw_connect_failures_poll_cpus(failures, online, out);
}

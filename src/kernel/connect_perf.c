/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernel/connect_perf.h"

#include <errno.h>
#include <linux/perf_event.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/array.h"
#include "base/clock.h"
#include "base/descriptors.h"
#include "base/error.h"
#include "base/number.h"
#include "base/utf8.h"

/* Where tracefs is mounted, today and in former times. */
#define TRACEPOINT "events/sock/inet_sock_set_state/"
static const char *const tracepoints[] = {"/sys/kernel/tracing/" TRACEPOINT, "/sys/kernel/debug/tracing/" TRACEPOINT};

/* A connect() that found no port: from SYN_SENT to CLOSE without one (events.bpf.c). Probes of portwatch look the
 * same. */
#define FILTER \
	"oldstate == 2 && newstate == 7 && sport == 0 && protocol == 6 && comm != \"portwatch\" && comm != " \
	"\"portwatchd\""

#define ONLINE "/sys/devices/system/cpu/online"

/* Pages of a ring's data, a power of two: 300 samples. One that is not allowed so much has 39. */
#define RING_PAGES 8

/* A counter of one CPU. */
struct counter {
	int cpu;
	int fd;
	uint64_t count;                    /* when it was last read */
	uint64_t enabled_ns;               /* how long it had been enabled then */
	struct perf_event_mmap_page *ring; /* NULL: no samples */
	size_t pages;
};

/* The members of the tracepoint that are read, by its format file. */
enum member { DPORT, FAMILY, SADDR, DADDR, SADDR_V6, DADDR_V6, MEMBERS };
static const char *const member_names[MEMBERS] = {"dport", "family", "saddr", "daddr", "saddr_v6", "daddr_v6"};

struct pw_connect_perf {
	int tracepoint; /* its id, -1 = not known */
	unsigned offset[MEMBERS];
	struct counter *counters;
	size_t n, size;
	uint64_t gone; /* counted by counters that are closed */
	int epoll;     /* readable when a counter has a sample */
	pw_connect_perf_sample *sample;
	void *context;
};

/* --- texts of the kernel --- */

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

int pw_cpus_parse(const char *list, struct pw_cpus *out)
{
	uint64_t first, last;

	memset(out, 0, sizeof(*out));
	do {
		if (!pw_number_range_take(&list, PW_CPUS_MAX - 1, &first, &last))
			return -1;
		for (uint64_t cpu = first; cpu <= last; cpu++)
			out->word[cpu / 64] |= UINT64_C(1) << (cpu % 64);
	} while (*list++ == ',');
	return list[-1] == '\0' ? 0 : -1;
}

static bool has_cpu(const struct pw_cpus *cpus, int cpu)
{
	return (cpus->word[cpu / 64] >> (cpu % 64) & 1) != 0;
}

/* Reads where the members are, from lines such as "	field:__u16 sport;	offset:24;	size:2; signed:0;".
 * Returns 0 or an errno. */
static int read_format(struct pw_connect_perf *perf, const char *directory)
{
	char path[100], line[200], name[64];
	unsigned found = 0, offset;
	FILE *file;

	snprintf(path, sizeof(path), "%sformat", directory);
	file = fopen(path, "re");
	if (file == NULL)
		return errno;
	while (fgets(line, sizeof(line), file) != NULL) {
		if (sscanf(line, " field:%*s %63[a-z0-9_]%*[^;]; offset:%u;", name, &offset) != 2 &&
			sscanf(line, " field:%*s %63[a-z0-9_]; offset:%u;", name, &offset) != 2)
			continue;
		for (unsigned i = 0; i < MEMBERS; i++)
			if (strcmp(name, member_names[i]) == 0) {
				perf->offset[i] = offset;
				found |= 1U << i;
			}
	}
	fclose(file);
	return found == (1U << MEMBERS) - 1 ? 0 : ENODATA;
}

/* Finds the tracepoint. The error that says most is that of the usual place, unless only there is nothing. */
static int find_tracepoint(struct pw_connect_perf *perf, struct pw_error *err)
{
	int error = ENOENT;

	for (size_t i = 0; i < sizeof(tracepoints) / sizeof(tracepoints[0]) && perf->tracepoint < 0; i++) {
		char path[100], text[32];
		const char *digits = text;
		uint64_t id;
		int found;

		snprintf(path, sizeof(path), "%sid", tracepoints[i]);
		found = read_line(path, text, sizeof(text));
		if (found == 0)
			found = read_format(perf, tracepoints[i]);
		if (found == 0 && pw_number_take(&digits, INT32_MAX, &id))
			perf->tracepoint = (int)id;
		error = found != ENOENT ? found : error;
	}
	if (perf->tracepoint >= 0)
		return 0;
	if (error == ENOENT)
		return pw_error_set(err,
			"tracefs is not mounted at /sys/kernel/tracing, or the kernel has no tracepoint "
			"sock:inet_sock_set_state");
	return pw_error_set(err, "%sid: %s%s", tracepoints[0], strerror(error),
		error == EACCES ? " (reading it needs root or CAP_DAC_READ_SEARCH)" : "");
}

/* --- one counter --- */

static size_t ring_size(size_t pages)
{
	return (1 + pages) * (size_t)sysconf(_SC_PAGESIZE);
}

/* Enabled only with its filter: not even for a moment shall every connect() be counted. */
static int open_counter(int tracepoint, int cpu)
{
	struct perf_event_attr attr = {.type = PERF_TYPE_TRACEPOINT,
		.size = sizeof(attr),
		.config = (uint64_t)tracepoint,
		.sample_period = 1,
		.sample_type = PERF_SAMPLE_TID | PERF_SAMPLE_RAW,
		.read_format = PERF_FORMAT_TOTAL_TIME_ENABLED,
		.wakeup_events = 1,
		.disabled = 1};
	int fd = (int)syscall(SYS_perf_event_open, &attr, -1, cpu, -1, PERF_FLAG_FD_CLOEXEC);

	if (fd < 0)
		return -1;
	if (ioctl(fd, PERF_EVENT_IOC_SET_FILTER, FILTER) == 0 && ioctl(fd, PERF_EVENT_IOC_ENABLE, 0) == 0)
		return fd;
	return pw_close_failed(fd);
}

static int add_counter(struct pw_connect_perf *perf, int cpu)
{
	struct epoll_event readable = {.events = EPOLLIN};
	struct counter counter = {.cpu = cpu};

	if (!PW_ARRAY_ROOM(perf->counters, perf->size, perf->n + 1)) {
		errno = ENOMEM;
		return -1;
	}
	counter.fd = open_counter(perf->tracepoint, cpu);
	if (counter.fd < 0)
		return -1;
	/* without a ring (RLIMIT_MEMLOCK, perf_event_mlock_kb) no pool and no name is known, and the counter counts all
	 * the same */
	for (counter.pages = RING_PAGES; counter.pages > 0; counter.pages /= RING_PAGES) {
		void *ring = mmap(NULL, ring_size(counter.pages), PROT_READ | PROT_WRITE, MAP_SHARED, counter.fd, 0);

		if (ring == MAP_FAILED)
			continue;
		counter.ring = ring;
		epoll_ctl(perf->epoll, EPOLL_CTL_ADD, counter.fd, &readable);
		break;
	}
	perf->counters[perf->n++] = counter;
	return 0;
}

/* Reads a counter. Returns whether it runs: one whose CPU went off stands still even when that is back. */
static bool read_counter(struct counter *counter)
{
	/* with PERF_FORMAT_TOTAL_TIME_ENABLED */
	struct {
		uint64_t count, enabled_ns;
	} reading;
	bool runs;

	if (read(counter->fd, &reading, sizeof(reading)) != (ssize_t)sizeof(reading))
		return false;
	runs = reading.enabled_ns > counter->enabled_ns;
	counter->count = reading.count;
	counter->enabled_ns = reading.enabled_ns;
	return runs;
}

/* --- samples --- */

/* What the kernel says of a process that is being taken down (perf_event_pid_type()). */
#define PID_DEAD UINT32_MAX

/* As the kernel lays it out for PERF_SAMPLE_TID and PERF_SAMPLE_RAW. */
struct sample {
	struct perf_event_header header;
	uint32_t pid, tid;
	uint32_t raw_size;
	uint8_t raw[128];
};

/* Copies out of a ring, around its end. */
static void copy_out(const struct counter *counter, uint64_t at, void *out, size_t size)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE), data_size = counter->pages * page;
	const uint8_t *data = (const uint8_t *)counter->ring + page;

	for (size_t i = 0; i < size; i++)
		((uint8_t *)out)[i] = data[(at + i) & (data_size - 1)];
}

/* What is known of the process as long as it lives: its name, and its namespace. */
static void take_sample(const struct pw_connect_perf *perf, const struct sample *sample)
{
	struct pw_refusals refusal = {.key = {.protocol = IPPROTO_TCP, .kind = PW_KIND_CONNECT},
		.count = 1,
		.last_ms = pw_clock_boot_ms(),
		.process = {.pid = sample->pid == PID_DEAD ? 0 : sample->pid, .times = 1}};
	struct pw_pool_key *key = &refusal.key;
	char path[32];
	uint16_t family;
	struct stat st;

	memcpy(&family, sample->raw + perf->offset[FAMILY], sizeof(family));
	memcpy(&key->port, sample->raw + perf->offset[DPORT], sizeof(key->port));
	key->local = pw_address_make(family, sample->raw + perf->offset[family == AF_INET ? SADDR : SADDR_V6], 0);
	key->remote = pw_address_make(family, sample->raw + perf->offset[family == AF_INET ? DADDR : DADDR_V6], 0);
	snprintf(path, sizeof(path), "/proc/%u/comm", refusal.process.pid);
	if (refusal.process.pid == 0 || read_line(path, refusal.process.name, sizeof(refusal.process.name)) != 0)
		refusal.process.name[0] = '\0';
	snprintf(path, sizeof(path), "/proc/%u/ns/net", refusal.process.pid);
	if (refusal.process.pid != 0 && stat(path, &st) == 0)
		refusal.netns = st.st_ino;
	perf->sample(&refusal, perf->context);
}

/* Takes what waits in a ring (perf_event_open(2), MMAP layout: the head is the kernel's, the tail is ours). */
static void take_samples(const struct pw_connect_perf *perf, const struct counter *counter)
{
	uint64_t head = __atomic_load_n(&counter->ring->data_head, __ATOMIC_ACQUIRE), tail = counter->ring->data_tail;
	const size_t least = offsetof(struct sample, raw);

	while (tail < head) {
		struct sample sample = {.raw_size = 0};
		size_t size;

		copy_out(counter, tail, &sample.header, sizeof(sample.header));
		size = sample.header.size;
		if (size < sizeof(sample.header))
			break;
		if (sample.header.type == PERF_RECORD_SAMPLE && size >= least) {
			copy_out(counter, tail, &sample, size < sizeof(sample) ? size : sizeof(sample));
			take_sample(perf, &sample);
		}
		tail += size;
	}
	__atomic_store_n(&counter->ring->data_tail, head, __ATOMIC_RELEASE);
}

/* --- all of them --- */

struct pw_connect_perf *pw_connect_perf_new(pw_connect_perf_sample *sample, void *context)
{
	struct pw_connect_perf *perf = calloc(1, sizeof(*perf));

	if (perf == NULL)
		return NULL;
	perf->tracepoint = -1;
	perf->epoll = epoll_create1(EPOLL_CLOEXEC);
	perf->sample = sample;
	perf->context = context;
	find_tracepoint(perf, NULL);
	return perf;
}

static void close_counter(struct pw_connect_perf *perf, const struct counter *counter)
{
	perf->gone += counter->count;
	if (counter->ring != NULL)
		munmap(counter->ring, ring_size(counter->pages));
	close(counter->fd);
}

static void close_all(struct pw_connect_perf *perf)
{
	for (size_t i = 0; i < perf->n; i++) {
		read_counter(&perf->counters[i]);
		close_counter(perf, &perf->counters[i]);
	}
	perf->n = 0;
}

void pw_connect_perf_free(struct pw_connect_perf *perf)
{
	if (perf == NULL)
		return;
	close_all(perf);
	if (perf->epoll >= 0)
		close(perf->epoll);
	free(perf->counters);
	free(perf);
}

/* Reads the counters, and closes those that no longer run or whose CPU has gone. CPUs with a counter are
 * taken out of `missing`, which begins as the CPUs that are online. */
static void read_all(struct pw_connect_perf *perf, struct pw_cpus *missing)
{
	size_t kept = 0;

	for (size_t i = 0; i < perf->n; i++) {
		struct counter *counter = &perf->counters[i];
		bool runs = read_counter(counter);

		if (counter->ring != NULL)
			take_samples(perf, counter);
		if (!runs || !has_cpu(missing, counter->cpu)) {
			close_counter(perf, counter);
			continue;
		}
		missing->word[counter->cpu / 64] &= ~(UINT64_C(1) << (counter->cpu % 64));
		perf->counters[kept++] = *counter;
	}
	perf->n = kept;
}

static uint64_t total(const struct pw_connect_perf *perf)
{
	uint64_t sum = perf->gone;

	for (size_t i = 0; i < perf->n; i++)
		sum += perf->counters[i].count;
	return sum;
}

int pw_connect_perf_poll(struct pw_connect_perf *perf, const char *online, uint64_t *counted, struct pw_error *err)
{
	struct pw_cpus cpus;
	char list[4096];
	int rc = 0;

	if (online == NULL && read_line(ONLINE, list, sizeof(list)) != 0)
		snprintf(list, sizeof(list), "0-%ld", sysconf(_SC_NPROCESSORS_ONLN) - 1);
	online = online != NULL ? online : list;
	*counted = total(perf);
	if (perf->tracepoint < 0 && find_tracepoint(perf, err) < 0)
		return -1;
	if (pw_cpus_parse(online, &cpus) < 0)
		return pw_error_set(err, ONLINE ": \"%s\" is no list of CPUs", online);
	read_all(perf, &cpus);
	for (int cpu = 0; cpu < PW_CPUS_MAX && rc == 0; cpu++) {
		/* a CPU that went off just now gets its counter when it is back */
		if (!has_cpu(&cpus, cpu) || add_counter(perf, cpu) == 0 || errno == ENODEV)
			continue;
		rc = pw_error_set(err, "perf_event_open: %s%s", strerror(errno),
			errno == EACCES || errno == EPERM ? " (it needs root or CAP_PERFMON)" : "");
	}
	if (rc < 0)
		close_all(perf);
	*counted = total(perf);
	return rc;
}

uint64_t pw_connect_perf_stop(struct pw_connect_perf *perf)
{
	close_all(perf);
	return total(perf);
}

int pw_connect_perf_fd(const struct pw_connect_perf *perf)
{
	return perf->epoll;
}

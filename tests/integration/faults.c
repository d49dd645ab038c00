/* SPDX-License-Identifier: BSD-2-Clause */
/* faults.c: portwatchd whose system calls and allocations fail when a test says so
 *
 * Linked with --wrap into a portwatchd that is the same in everything else, so that the calls of our own code (not those of the
 * libraries) go through here. PW_FAULTS names a file of numbers, one for each fault below, which the test changes while the daemon
 * runs: tests/integration/faults.py. */
#include <config.h>

#ifdef HAVE_BPF
#include <bpf/bpf.h>
#endif
#include <errno.h>
#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "daemon/daemon.h"

/* The names are read by faults.py from here. */
enum fault {
	FAULT_MEMORY_AT,     /* the allocation that fails, 1 = the next one; counted down */
	FAULT_MEMORY_ONE_IN, /* one of so many allocations fails */
	FAULT_MEMORY_FAILED, /* how many have failed: written here */
	FAULT_NETLINK,       /* errno of opening a netlink socket */
	FAULT_RECEIVE,       /* errno of receiving from one */
	FAULT_DATAGRAM,      /* what becomes of a received datagram: enum damage */
	FAULT_RECEIVES,      /* how many receives the last two concern, counted down; -1 = all */
	FAULT_WALK,          /* errno of running a BPF program that walks */
	FAULT_WALKS,         /* how many runs that concerns, counted down; -1 = all */
	FAULT_PROC_NET,      /* errno of opening a file of /proc/net */
	FAULT_SETTING,       /* errno of reading a sysctl */
	FAULT_SETTING_TEXT,  /* the text that is read instead, one of texts[] */
	FAULT_SETTING_MS,    /* how long reading a sysctl takes */
	FAULT_WALL_S,        /* seconds that the wall clock has jumped */
	FAULT_BOOT_S,        /* seconds of CLOCK_BOOTTIME that were slept through */
	FAULTS
};

enum damage { WHOLE, CUT, NO_LENGTH, HUGE_LENGTH, DONE_WITH_ERROR, DONE_EARLY, INTERRUPTED, RANDOM, EMPTY, OVERRUN };

static const char *const texts[] = {"", "some text\n", "60000 40000\n", "0 0\n", "40000\n", "-5 70000\n", "\n"};

static atomic_int_fast64_t none[FAULTS];
static atomic_int_fast64_t *faults = none;

static int64_t get(enum fault fault)
{
	return atomic_load(&faults[fault]);
}

/* Whether a fault of which there are so many (-1: without end) strikes this time. */
static bool strikes(enum fault count)
{
	int64_t left = get(count);

	if (left > 0)
		atomic_store(&faults[count], left - 1);
	return left != 0;
}

/* --- memory --- */

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *old, size_t size);
void *__real_reallocarray(void *old, size_t n, size_t size);
char *__real_strdup(const char *text);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *old, size_t size);
void *__wrap_reallocarray(void *old, size_t n, size_t size);
char *__wrap_strdup(const char *text);
int __wrap_asprintf(char **out, const char *format, ...) __attribute__((format(printf, 2, 3)));

static bool out_of_memory(void)
{
	static atomic_uint_fast32_t calls;
	int64_t at = get(FAULT_MEMORY_AT), one_in = get(FAULT_MEMORY_ONE_IN);
	/* a hash of the number of the call: the same ones at each run, without a rhythm that meets the rhythm of the polls */
	uint32_t draw = ((uint32_t)atomic_fetch_add(&calls, 1) * 2654435761u) >> 8;
	bool fails = one_in > 0 && draw % (uint32_t)one_in == 0;

	if (at > 0)
		fails = atomic_fetch_sub(&faults[FAULT_MEMORY_AT], 1) == 1;
	if (fails) {
		atomic_fetch_add(&faults[FAULT_MEMORY_FAILED], 1);
		errno = ENOMEM;
	}
	return fails;
}

void *__wrap_malloc(size_t size)
{
	return out_of_memory() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return out_of_memory() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *old, size_t size)
{
	return out_of_memory() ? NULL : __real_realloc(old, size);
}

void *__wrap_reallocarray(void *old, size_t n, size_t size)
{
	return out_of_memory() ? NULL : __real_reallocarray(old, n, size);
}

char *__wrap_strdup(const char *text)
{
	return out_of_memory() ? NULL : __real_strdup(text);
}

int __wrap_asprintf(char **out, const char *format, ...)
{
	va_list args;
	int n;

	if (out_of_memory())
		return -1;
	va_start(args, format);
	n = vasprintf(out, format, args);
	va_end(args);
	return n;
}

/* --- netlink --- */

struct mnl_socket *__real_mnl_socket_open2(int bus, int flags);
struct mnl_socket *__wrap_mnl_socket_open2(int bus, int flags);
ssize_t __real_recvmsg(int fd, struct msghdr *msg, int flags);
ssize_t __wrap_recvmsg(int fd, struct msghdr *msg, int flags);

struct mnl_socket *__wrap_mnl_socket_open2(int bus, int flags)
{
	if (get(FAULT_NETLINK) == 0)
		return __real_mnl_socket_open2(bus, flags);
	errno = (int)get(FAULT_NETLINK);
	return NULL;
}

static ssize_t done(struct nlmsghdr *message, int error)
{
	message->nlmsg_type = NLMSG_DONE;
	message->nlmsg_len = NLMSG_HDRLEN + sizeof(error);
	memcpy(message + 1, &error, sizeof(error));
	return message->nlmsg_len;
}

static ssize_t damaged(enum damage damage, struct msghdr *msg, ssize_t n)
{
	struct nlmsghdr *first = msg->msg_iov->iov_base;

	switch (damage) {
	case CUT: return n - 7;
	case NO_LENGTH: first->nlmsg_len = 3; break;
	case HUGE_LENGTH: first->nlmsg_len = UINT32_MAX; break;
	case DONE_WITH_ERROR: return done(first, -EIO);
	case DONE_EARLY: return done(first, 0);
	case INTERRUPTED: first->nlmsg_flags |= NLM_F_DUMP_INTR; break;
	case OVERRUN: first->nlmsg_type = NLMSG_OVERRUN; break;
	case RANDOM:
		for (ssize_t i = 0; i < n; i++)
			((uint8_t *)first)[i] = (uint8_t)(((uint32_t)i * 2654435761u) >> 24);
		break;
	case EMPTY: return 0;
	default: break;
	}
	return n;
}

ssize_t __wrap_recvmsg(int fd, struct msghdr *msg, int flags)
{
	const int64_t error = get(FAULT_RECEIVE), damage = get(FAULT_DATAGRAM);
	bool strike = (error != 0 || damage != 0) && strikes(FAULT_RECEIVES);
	ssize_t n;

	if (strike && error != 0) {
		errno = (int)error;
		return -1;
	}
	n = __real_recvmsg(fd, msg, flags);
	return strike && n > 0 ? damaged((enum damage)damage, msg, n) : n;
}

/* --- BPF --- */

#ifdef HAVE_BPF
int __real_bpf_prog_test_run_opts(int fd, struct bpf_test_run_opts *options);
int __wrap_bpf_prog_test_run_opts(int fd, struct bpf_test_run_opts *options);

int __wrap_bpf_prog_test_run_opts(int fd, struct bpf_test_run_opts *options)
{
	if (get(FAULT_WALK) != 0 && strikes(FAULT_WALKS))
		return -(int)get(FAULT_WALK);
	return __real_bpf_prog_test_run_opts(fd, options);
}
#endif

/* --- /proc --- */

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
ssize_t __real_pread(int fd, void *buf, size_t size, off_t offset);
ssize_t __wrap_pread(int fd, void *buf, size_t size, off_t offset);

/* Nothing of portwatchd creates files: there is no third argument. */
int __wrap_open(const char *path, int flags, ...)
{
	if (get(FAULT_PROC_NET) == 0 || strncmp(path, "/proc/thread-self/net/", 22) != 0)
		return __real_open(path, flags);
	errno = (int)get(FAULT_PROC_NET);
	return -1;
}

ssize_t __wrap_pread(int fd, void *buf, size_t size, off_t offset)
{
	const char *text = texts[get(FAULT_SETTING_TEXT)];

	usleep((useconds_t)get(FAULT_SETTING_MS) * 1000);
	if (get(FAULT_SETTING) != 0) {
		errno = (int)get(FAULT_SETTING);
		return -1;
	}
	if (text[0] == '\0')
		return __real_pread(fd, buf, size, offset);
	if (offset != 0 || size < strlen(text))
		return 0;
	memcpy(buf, text, strlen(text));
	return (ssize_t)strlen(text);
}

/* --- clocks --- */

int __real_clock_gettime(clockid_t id, struct timespec *out);
int __wrap_clock_gettime(clockid_t id, struct timespec *out);

int __wrap_clock_gettime(clockid_t id, struct timespec *out)
{
	int rc = __real_clock_gettime(id, out);

	if (id == CLOCK_REALTIME)
		out->tv_sec += (time_t)get(FAULT_WALL_S);
	else if (id == CLOCK_BOOTTIME)
		out->tv_sec += (time_t)get(FAULT_BOOT_S);
	return rc;
}

/* --- start --- */

static void map_faults(const char *path)
{
	int fd = __real_open(path, O_RDWR | O_CLOEXEC);
	void *mapped = fd >= 0 ? mmap(NULL, sizeof(none), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) : MAP_FAILED;

	if (mapped == MAP_FAILED) {
		perror(path);
		exit(3);
	}
	close(fd);
	faults = mapped;
}

static void interrupt(int number)
{
	(void)number; /* it has interrupted a system call */
}

int main(int argc, char **argv)
{
	const struct sigaction action = {.sa_handler = interrupt}; /* no SA_RESTART: EINTR */

	sigaction(SIGUSR1, &action, NULL);
	if (getenv("PW_FAULTS") != NULL)
		map_faults(getenv("PW_FAULTS"));
	return pw_daemon_main(argc, argv);
}

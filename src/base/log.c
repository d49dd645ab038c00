/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/utf8.h"

#define BUFFER_SIZE 65536

/* A line with its stamp. A pipe that is ready to be written takes as much at once (PIPE_BUF). */
#define LINE_MAX_SIZE 1200

static struct {
	pthread_mutex_t mutex;
	enum pw_log_target target;
	const char *ident;
	int max;
	int fd;         /* what is written to; -1: syslog is not connected */
	bool is_socket; /* of fd: journald's, or syslogd's */
	/* Lines that wait, each ended by NUL; the first may have been written up to `done`. */
	char lines[BUFFER_SIZE];
	size_t used, done;
	uint64_t lost; /* lines, since the last time that this was said */
} logger = {.mutex = PTHREAD_MUTEX_INITIALIZER, .target = PW_LOG_STDERR, .max = LOG_INFO, .fd = STDERR_FILENO};

/* --- where it goes --- */

/* Stderr is shared with others, whose writes must not fail because ours may not wait: a pipe or a terminal is opened
 * a second time instead. Where that can't be, is_ready() has to do. A regular file has no reader, and its offset is
 * shared as well. */
static void open_stderr(void)
{
	struct stat st;

	logger.fd = STDERR_FILENO;
	logger.is_socket = false;
	if (fstat(STDERR_FILENO, &st) < 0)
		return;
	logger.is_socket = S_ISSOCK(st.st_mode);
	if (S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode)) {
		logger.fd = open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
		if (logger.fd < 0)
			logger.fd = STDERR_FILENO;
	}
}

static void open_syslog(void)
{
	const struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "/dev/log"};

	logger.is_socket = true;
	logger.fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (logger.fd >= 0 && connect(logger.fd, (const struct sockaddr *)&address, sizeof(address)) < 0) {
		close(logger.fd);
		logger.fd = -1;
	}
}

void pw_log_open(enum pw_log_target target, const char *ident, int max_priority)
{
	pthread_mutex_lock(&logger.mutex);
	if (logger.fd > STDERR_FILENO)
		close(logger.fd);
	logger.target = target;
	logger.ident = ident;
	logger.max = max_priority;
	if (target == PW_LOG_STDERR)
		open_stderr();
	else
		open_syslog();
	pthread_mutex_unlock(&logger.mutex);
}

bool pw_log_enabled(int priority)
{
	return priority <= logger.max;
}

/* --- writing without waiting --- */

static bool is_ready(int fd)
{
	struct pollfd poll_fd = {.fd = fd, .events = POLLOUT};

	return poll(&poll_fd, 1, 0) == 1;
}

/* Writes once. Returns the bytes, 0 when it would have to wait, -1 when nobody can read it. */
static ssize_t write_some(const char *text, size_t len)
{
	ssize_t n;

	do {
		if (logger.is_socket)
			n = send(logger.fd, text, len, MSG_DONTWAIT | MSG_NOSIGNAL);
		else
			n = is_ready(logger.fd) ? write(logger.fd, text, len) : 0;
	} while (n < 0 && errno == EINTR);
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS))
		return 0;
	return n;
}

/* Writes what is left of a line, of which *done bytes are written. Returns 1 when all of it is, 0 when the rest must
 * wait, -1 when nobody can read it. */
static int write_line(const char *line, size_t len, size_t *done)
{
	ssize_t n = -1;

	if (logger.fd >= 0)
		n = write_some(line + *done, len - *done);
	/* syslogd was restarted, or starts only now; a datagram goes whole */
	if (n < 0 && logger.target == PW_LOG_SYSLOG) {
		if (logger.fd >= 0)
			close(logger.fd);
		open_syslog();
		n = logger.fd >= 0 ? write_some(line, len) : -1;
	}
	if (n < 0)
		return -1;
	*done += (size_t)n;
	return *done >= len;
}

/* The line as it leaves; the newline is for stderr only. Returns its length. */
static size_t format_line(int priority, const char *text, char line[LINE_MAX_SIZE])
{
	static const char *const names[] = {"emerg", "alert", "crit", "error", "warning", "notice", "info", "debug"};
	struct timespec now = pw_clock_wall();
	struct tm tm;
	char stamp[32];
	int n;

	localtime_r(&now.tv_sec, &tm);
	if (logger.target == PW_LOG_SYSLOG) {
		strftime(stamp, sizeof(stamp), "%b %e %H:%M:%S", &tm);
		n = snprintf(line, LINE_MAX_SIZE, "<%d>%s %s[%d]: %s", LOG_DAEMON | priority, stamp, logger.ident,
			(int)getpid(), text);
	} else {
		strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S", &tm);
		n = snprintf(line, LINE_MAX_SIZE, "%s.%03ld %s: %s\n", stamp, now.tv_nsec / 1000000,
			names[priority & 7], text);
	}
	return (size_t)n;
}

/* --- the buffer --- */

static void flush(void)
{
	size_t at = 0;

	while (at < logger.used) {
		size_t len = strlen(logger.lines + at);
		int written = write_line(logger.lines + at, len, &logger.done);

		if (written == 0)
			break;
		logger.lost += written < 0;
		logger.done = 0;
		at += len + 1;
	}
	memmove(logger.lines, logger.lines + at, logger.used - at);
	logger.used -= at;
}

/* Writes a line, or has it wait behind others. Returns false when it is lost. */
static bool put(int priority, const char *text)
{
	char line[LINE_MAX_SIZE];
	size_t len = format_line(priority, text, line), done = 0;
	int written = logger.used == 0 ? write_line(line, len, &done) : 0;

	if (written != 0)
		return written > 0;
	if (len + 1 > BUFFER_SIZE - logger.used)
		return false;
	if (logger.used == 0)
		logger.done = done;
	memcpy(logger.lines + logger.used, line, len + 1);
	logger.used += len + 1;
	return true;
}

/* Says how many lines are missing, at the place where they are. Returns whether the log is complete again. */
static bool tell_lost(void)
{
	char text[100];

	if (logger.lost == 0)
		return true;
	snprintf(
		text, sizeof(text), "%llu lines of the log were lost: nobody read it", (unsigned long long)logger.lost);
	if (logger.used > BUFFER_SIZE / 2 || !put(LOG_WARNING, text))
		return false;
	logger.lost = 0;
	return true;
}

bool pw_log_flush(void)
{
	bool left;

	pthread_mutex_lock(&logger.mutex);
	flush();
	tell_lost();
	left = logger.used != 0;
	pthread_mutex_unlock(&logger.mutex);
	return left;
}

void pw_log(int priority, const char *format, ...)
{
	char text[1024];
	size_t len;
	va_list args;

	if (!pw_log_enabled(priority))
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	len = strlen(text);
	if (len > 0 && text[len - 1] == '\n')
		text[len - 1] = '\0';
	pw_utf8_clean(text, sizeof(text), text);
	pthread_mutex_lock(&logger.mutex);
	flush();
	if (!tell_lost() || !put(priority, text))
		logger.lost++;
	pthread_mutex_unlock(&logger.mutex);
}

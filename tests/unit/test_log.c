/* SPDX-License-Identifier: BSD-2-Clause */
/* A log whose reader stands still: no line waits for it, and what is lost is counted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"

#define LINES 3000

/* How stderr leads to its reader. */
enum way { PIPE, PIPE_OF_OTHERS, STREAM_SOCKET };

static int saved_stderr;

/* Puts the writing end of a new pipe or socket (of journald's kind) in the place of stderr. Returns the reading end. */
static int take_stderr(enum way way)
{
	int fds[2];

	if (way == STREAM_SOCKET)
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	else
		assert_int_equal(pipe(fds), 0);
	fflush(stderr);
	saved_stderr = dup(STDERR_FILENO);
	dup2(fds[1], STDERR_FILENO);
	close(fds[1]);
	return fds[0];
}

static void give_stderr_back(void)
{
	dup2(saved_stderr, STDERR_FILENO);
	close(saved_stderr);
	pw_log_open(PW_LOG_STDERR, "test", LOG_INFO);
}

/* Reads all that is there; the caller frees it. */
static char *drain(int fd)
{
	struct pollfd ready = {.fd = fd, .events = POLLIN};
	size_t len = 0, size = 1 << 20;
	char *text = malloc(size);

	assert_non_null(text);
	while (poll(&ready, 1, 0) == 1) {
		ssize_t n = read(fd, text + len, size - len - 1);

		if (n <= 0)
			break;
		len += (size_t)n;
	}
	text[len] = '\0';
	return text;
}

/* Follows the numbers in the lines from *next on; a line that says so stands for lost ones. Returns how many were lost. */
static unsigned follow(const char *text, unsigned *next)
{
	unsigned lost = 0, number;

	for (const char *line = text; *line != '\0'; line = strchr(line, '\n') + 1) {
		const char *body = strstr(line, "number "), *missing = strstr(line, " lines of the log were lost");

		if (missing != NULL && missing < strchr(line, '\n')) {
			number = (unsigned)strtoul(strstr(line, "warning: ") + 9, NULL, 10);
			lost += number;
			*next += number;
			continue;
		}
		assert_non_null(body);
		assert_int_equal(strtoul(body + 7, NULL, 10), *next);
		++*next;
	}
	return lost;
}

/* Writes far more than the pipe and the buffer take, lets them flow, goes on: each line came, or is among those that were said to be lost,
 * at the place where they are missing. */
static void stands_still(enum way way)
{
	const int small = 1 << 16; /* a socket's own buffer differs between machines */
	int reader = take_stderr(way);
	unsigned next = 0, lost = 0;
	bool left = true;

	if (way == PIPE_OF_OTHERS && seteuid(65534) < 0) /* who may not open it a second time */
		fail();
	setsockopt(STDERR_FILENO, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	pw_log_open(PW_LOG_STDERR, "test", LOG_INFO);
	if (way == PIPE_OF_OTHERS && seteuid(0) < 0)
		fail();
	for (unsigned i = 0; i < LINES; i++)
		pw_log(LOG_INFO,
			"number %u of a log that nobody reads, whoever ought to; it takes its time, if not for ever",
			i);
	while (left) {
		char *text = drain(reader);

		lost += follow(text, &next);
		free(text);
		left = pw_log_flush();
	}
	pw_log(LOG_INFO, "number %u", LINES);
	char *text = drain(reader);
	lost += follow(text, &next);
	free(text);
	give_stderr_back();
	close(reader);
	assert_int_equal(next, LINES + 1);
	assert_in_range(lost, LINES / 10, LINES - LINES / 10);
}

static void test_pipe(void **state)
{
	(void)state;
	stands_still(PIPE);
}

static void test_pipe_of_others(void **state)
{
	(void)state;
	if (geteuid() != 0)
		skip();
	stands_still(PIPE_OF_OTHERS);
}

static void test_stream_socket(void **state)
{
	(void)state;
	stands_still(STREAM_SOCKET);
}

/* The flags of a pipe are those of all that write to it. */
static void test_others_keep_waiting(void **state)
{
	int reader = take_stderr(PIPE), flags;

	(void)state;
	pw_log_open(PW_LOG_STDERR, "test", LOG_INFO);
	pw_log(LOG_INFO, "a line");
	flags = fcntl(STDERR_FILENO, F_GETFL);
	give_stderr_back();
	close(reader);
	assert_int_equal(flags & O_NONBLOCK, 0);
}

static void test_a_line_stays_one_line(void **state)
{
	int reader = take_stderr(PIPE);
	char *text, *end;

	(void)state;
	pw_log_open(PW_LOG_STDERR, "test", LOG_INFO);
	pw_log(LOG_INFO, "eth\x1b[2J\n2026-01-01T00:00:00.000 error: forged \xe2\x80\xae\xff end\n");
	text = drain(reader);
	give_stderr_back();
	close(reader);
	end = strchr(text, '\n');
	assert_non_null(end);
	assert_int_equal(end[1], '\0');
	assert_non_null(strstr(text, "info: eth?[2J?2026-01-01T00:00:00.000 error: forged ?? end\n"));
	free(text);
}

/* As stands_still(), with a syslogd that is not there at first, and then reads nothing for a while. In a /dev of its own. */
static int syslogd_stands_still(void)
{
	const struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "/dev/log"};
	int reader = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	unsigned next = 0, lost = 0;
	char line[2048], *text = calloc(LINES + 1, 200), *end = text;
	ssize_t n;

	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		mount("tmpfs", "/dev", "tmpfs", 0, NULL) < 0)
		return 77;
	pw_log_open(PW_LOG_SYSLOG, "test", LOG_INFO);
	for (unsigned i = 0; i < LINES; i++) {
		if (i == 7 && bind(reader, (const struct sockaddr *)&address, sizeof(address)) < 0)
			return 1;
		pw_log(LOG_INFO,
			"number %u of a log that nobody reads, whoever ought to; it takes its time, if not for ever",
			i);
	}
	for (bool left = true; left;) {
		while ((n = recv(reader, line, sizeof(line) - 1, 0)) > 0) {
			line[n] = '\0';
			/* <30>Nov 28 09:00:00 test[PID]: TEXT */
			if (strncmp(line, "<3", 2) != 0 && strncmp(line, "<28>", 4) != 0)
				return 2;
			end += sprintf(end, "warning: %s\n", strstr(line, "]: ") + 3);
		}
		left = pw_log_flush();
	}
	while ((n = recv(reader, line, sizeof(line) - 1, 0)) > 0) {
		line[n] = '\0';
		end += sprintf(end, "warning: %s\n", strstr(line, "]: ") + 3);
	}
	lost = follow(text, &next);
	free(text);
	return next == LINES && lost >= LINES / 10 && lost <= LINES - LINES / 10 ? 0 : 3;
}

static void test_syslog(void **state)
{
	int status;
	pid_t pid = fork();

	(void)state;
	if (pid == 0)
		_exit(syslogd_stands_still());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pipe),
		cmocka_unit_test(test_pipe_of_others),
		cmocka_unit_test(test_stream_socket),
		cmocka_unit_test(test_syslog),
		cmocka_unit_test(test_others_keep_waiting),
		cmocka_unit_test(test_a_line_stays_one_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

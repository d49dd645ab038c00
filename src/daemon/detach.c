/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/detach.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

static void wait_for_child(int fd)
{
	uint8_t status = 1; /* also when the child dies without a word */
	ssize_t n;

	do
		n = read(fd, &status, 1);
	while (n < 0 && errno == EINTR);
	_exit(status);
}

int pw_detach(struct pw_error *err)
{
	int fds[2];
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return pw_error_set(err, "pipe: %s", strerror(errno));
	pid = fork();
	if (pid < 0) {
		close(fds[0]);
		close(fds[1]);
		return pw_error_set(err, "fork: %s", strerror(errno));
	}
	if (pid > 0) {
		close(fds[1]);
		wait_for_child(fds[0]);
	}
	close(fds[0]);
	setsid();
	return fds[1];
}

void pw_detach_done(int fd, int status)
{
	uint8_t byte = (uint8_t)status;
	int null;

	if (status == 0 && chdir("/") == 0 && (null = open("/dev/null", O_RDWR | O_CLOEXEC)) >= 0) {
		for (int i = 0; i <= 2; i++)
			dup2(null, i);
		if (null > 2)
			close(null);
	}
	while (write(fd, &byte, 1) < 0 && errno == EINTR)
		;
	close(fd);
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/descriptors.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

void pw_descriptors_start(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
		int opened = fcntl(fd, F_GETFD) < 0 ? open("/dev/null", O_RDWR) : fd; /* the lowest that is free */

		if (opened != fd)
			_exit(EXIT_FAILURE); /* nowhere to say why */
					     /* cppcheck-suppress resourceLeak ; it is to stay open */
	}
}

void pw_descriptors_raise_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur == limit.rlim_max)
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

int pw_close_failed(int fd)
{
	const int error = errno;

	close(fd);
	errno = error;
	return -1;
}

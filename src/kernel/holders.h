/* SPDX-License-Identifier: BSD-2-Clause */
/* holders.h: the sockets of one local port, and the processes that have them open */
#ifndef PW_KERNEL_HOLDERS_H
#define PW_KERNEL_HOLDERS_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "count/range.h"
#include "count/socket.h"

#define PW_HOLDER_PROCESSES_MAX 160

struct pw_holder {
	struct pw_socket socket;
	/* "nginx (pid 12), nginx (pid 13) and 4 more"; "" where there is none, or where this process may not look into
	 * /proc/PID/fd of the one that has it. Safe text (pw_utf8_clean()). */
	char processes[PW_HOLDER_PROCESSES_MAX];
};

struct pw_holders {
	struct pw_holder *list; /* TCP before UDP; of each, as the kernel's tables have them */
	size_t n;
	struct pw_range range; /* the settings of the namespace */
};

/* Reads them in the network namespace of the calling thread, by netlink: no privilege is needed but for the processes
 * of other users (CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH). Returns 0, or -1 with an error. Release with
 * pw_holders_clear() whatever is returned. */
int pw_holders_read(struct pw_holders *out, uint16_t port, struct pw_error *err);

void pw_holders_clear(struct pw_holders *holders);

#endif

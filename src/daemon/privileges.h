/* SPDX-License-Identifier: BSD-2-Clause */
/* privileges.h: giving up root */
#ifndef PW_DAEMON_PRIVILEGES_H
#define PW_DAEMON_PRIVILEGES_H

#include <stdbool.h>

#include "base/error.h"

/* What has to work after root is given up. */
struct pw_privileges {
	bool net_admin; /* CAP_NET_ADMIN: TCP_REPAIR probes, connection tracking */
	bool low_port;  /* CAP_NET_BIND_SERVICE: a listen address below port 1024 */
	bool failures;  /* CAP_PERFMON: counting failed connects */
	bool namespaces; /* CAP_SYS_ADMIN: entering other network namespaces; CAP_SYS_PTRACE: finding those of other users' processes */
};

/* Becomes the user with its groups and no more than these capabilities, as far as the process has them (none is inherited by other programs,
 * none can be gained again). Call it before any thread is started. Returns 0, or -1 with an error; the process then must end. */
int pw_privileges_drop(const char *user, const struct pw_privileges *keep, struct pw_error *err);

#endif

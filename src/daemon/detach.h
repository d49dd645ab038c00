/* SPDX-License-Identifier: BSD-2-Clause */
/* detach.h: going to the background, as init scripts expect it */
#ifndef PW_DAEMON_DETACH_H
#define PW_DAEMON_DETACH_H

#include "base/error.h"

/* Forks into a session of its own. In the child it returns a descriptor for pw_detach_done(); the parent waits for that and exits
 * with its status, so that whoever started the daemon learns whether it runs. Returns -1 with an error when it can't fork. */
int pw_detach(struct pw_error *err);

/* Tells the parent the exit status and, with status 0, lets go of the terminal. */
void pw_detach_done(int fd, int status);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* daemon.h: portwatchd from start to end */
#ifndef PW_DAEMON_DAEMON_H
#define PW_DAEMON_DAEMON_H

/* Runs portwatchd with the arguments of main(). Returns its exit status: 0 after SIGTERM or SIGINT or a good -t, 1
 * when it could not start or the configuration has mistakes, 2 for wrong usage. */
int pw_daemon_main(int argc, char **argv);

#endif

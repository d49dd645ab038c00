/* SPDX-License-Identifier: BSD-2-Clause */
/* descriptors.h: the descriptors that a program is started with, and those that it opened in vain */
#ifndef PW_BASE_DESCRIPTORS_H
#define PW_BASE_DESCRIPTORS_H

/* To be called first. Cron, init scripts and supervisors start programs with some of the descriptors 0 to 2 closed;
 * the next files and sockets would be these, and a line for stderr would go to a master agent. /dev/null is opened in
 * their place. Ends the program where it can't be. */
void pw_descriptors_start(void);

/* Raises the soft limit of open descriptors to the hard one. The soft one, 1024 mostly, is there for programs that
 * use select(2). */
void pw_descriptors_raise_limit(void);

/* Closes a descriptor with which something has failed, and keeps errno. Returns -1. */
int pw_close_failed(int fd);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* library.h: the headers of net-snmp, and small wrappers around what of it is clumsy; only files of src/agent may
 * include it */
#ifndef PW_AGENT_LIBRARY_H
#define PW_AGENT_LIBRARY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <net-snmp/net-snmp-config.h>
#include <net-snmp/net-snmp-includes.h>
#include <net-snmp/agent/net-snmp-agent-includes.h>
#include <net-snmp/agent/agent_callbacks.h>

#include "agent/object.h"

/* What the library calls this program (names of its log messages and of its state file). */
#define PW_LIBRARY_NAME "portwatchd"

/* Writes the OID of PORTWATCH-MIB and what is below it; returns its length. */
size_t pw_full_oid(oid out[MAX_OID_LEN], const uint32_t *below, size_t len);

/* A one-shot timer in the library's loop. Zeroed = not running. */
struct pw_timer {
	unsigned alarm; /* 0 = not running */
	void (*expired)(void *context);
	void *context;
};

/* Starts the timer anew: expired(context) is called after so many milliseconds. Without memory it does not run. */
void pw_timer_start(struct pw_timer *timer, uint64_t ms, void (*expired)(void *context), void *context);

void pw_timer_stop(struct pw_timer *timer);

static inline bool pw_timer_runs(const struct pw_timer *timer)
{
	return timer->alarm != 0;
}

/* Below this nothing can be read or written: where the library is to keep its state, unless it is told otherwise. */
#define PW_NO_DIRECTORY "/dev/null"

/* Keeps the library from everything outside of our own files: no snmp.conf, no state, no certificates. (MIB files it
 * finds by the environment only: see pw_agent_start().) Before init_agent(). */
void pw_library_isolate(void);

/* Sends the library's messages to pw_log(), at most a few a second and none twice in a row. Its chatter (LOG_INFO)
 * needs -d. */
void pw_library_log_open(void);

/* The errors that the library has logged so far: the only way in which it tells of mistakes in a configuration file. */
unsigned pw_library_log_errors(char *last, size_t size);

/* Sets the value of a varbind. Returns 0, or -1 when out of memory. */
int pw_varbind_set(netsnmp_variable_list *varbind, const struct pw_value *value);

/* Appends a varbind to a list. Returns 0, or -1 when out of memory. */
int pw_varbind_add(netsnmp_variable_list **list, const oid *name, size_t len, const struct pw_value *value);

/* sysUpTime in hundredths of a second: the master's once a session is open. */
static inline uint32_t pw_uptime(void)
{
	return (uint32_t)netsnmp_get_agent_uptime();
}

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* observer.h: portwatch, asked through its libraries or through the command */
#ifndef ORACLE_OBSERVER_H
#define ORACLE_OBSERVER_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "ledger.h"
#include "count/census.h"

/* With probes or without privilege; watching since the population's beginning, as the daemon, or fresh, as the command. */
enum observer_id { PROBED_WATCHING, PROBED_FRESH, INFERRED_WATCHING, INFERRED_FRESH, OBSERVERS };

/* Populations that can be examined at once. */
#define OBSERVER_SLOTS 64

struct observer {
	const char *name;
	bool probe, fresh;
	struct pw_host *host;
	struct pw_census *census; /* of its namespace */
	struct window window;     /* of its last poll; to_us is its end */
};

/* Those with probes read by BPF instead: loads the programs for populations that are examined at once, one a slot. Returns 0,
 * or -1 with a line on stderr. */
int observers_read_by_bpf(unsigned slots);

/* Which of the slots this process has; before the first begin. */
void observers_set_slot(unsigned slot);

/* Whether they do, and so what they say must be right where no privilege to ask would do. */
bool observers_read(void);

void observers_begin(struct observer observers[OBSERVERS]);
void observers_end(struct observer observers[OBSERVERS]);

/* Lets those that watch poll once, between two stages of a population. Returns 0, or -1 with a line on `log`. */
int observers_watch(struct observer observers[OBSERVERS], FILE *log);

/* Polls; a fresh one starts from nothing. With probes it polls until no port is in doubt; as each poll probes up to 256 ports, so many
 * polls as that takes are allowed. Returns 0, or -1 with a line on `log`. */
int observer_poll(struct observer *observer, FILE *log);

#endif

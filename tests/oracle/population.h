/* SPDX-License-Identifier: BSD-2-Clause */
/* population.h: makes one population by a scenario: settings first, then a random mix of sockets */
#ifndef ORACLE_POPULATION_H
#define ORACLE_POPULATION_H

#include <stdio.h>

#include "judge.h"
#include "making.h"
#include "scenario.h"

struct population {
	const struct scenario *scenario;
	struct maker maker;
	unsigned questions; /* how many to ask */
	uint64_t begun_us;
	FILE *log; /* what was done, for -v; may be /dev/null */
};

/* A new namespace with settings and servers. Returns 0, or -1 with a line on stderr. */
int population_begin(struct population *p, const struct scenario *scenario, uint64_t seed, FILE *log);
void population_end(struct population *p);

/* The first and, if the scenario has one, a later stage of the mix. The twist of the scenario comes after the first. */
void population_grow(struct population *p);
void population_change(struct population *p);

/* Lets TIME_WAIT sockets grow older, if it matters here. */
void population_age(struct population *p);

/* A pool to ask about, and how; prefers those that have sockets. */
void population_question(struct population *p, struct question *out);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* judge.h: asks the kernel itself: takes ports of a pool until it refuses */
#ifndef ORACLE_JUDGE_H
#define ORACLE_JUDGE_H

#include <stdbool.h>
#include <stdint.h>

#include "making.h"
#include "count/pool.h"
#include "count/portset.h"

struct question {
	struct pw_pool_key key;
	struct spec spec; /* the client that asks */
};

struct verdict {
	struct pw_portset given;  /* handed out until the first refusal */
	struct pw_portset missed; /* refused by the search, but to be had by IP_LOCAL_PORT_RANGE=p..p: the odd end */
	unsigned n_given, n_missed;
	unsigned fast; /* of these, with the parity that comes first */
	bool in_order; /* none of the first parity came after one of the other, ends of an odd range aside */
	bool endless;  /* ports are handed out again and again: the asking stopped after some times the capacity */
	int refusal;   /* errno */
	struct window window;
};

/* Fills the pool until the kernel refuses, tries the rest one by one, then takes everything back. Returns 0; -1 with a line on `log` when a call failed for another reason than a lack of ports. */
int judge_pool(struct maker *maker, const struct question *question, struct verdict *out, FILE *log);

/* Takes the TIME_WAIT sockets that the filling took over out of the ledger. */
void judge_settle(struct maker *maker, const struct question *question, const struct verdict *verdict);

/* The ports of the capacity that connect() gets for no destination, each asked by itself. */
int judge_blocked(struct maker *maker, struct pw_portset *out, FILE *log);

#endif

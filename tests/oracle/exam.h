/* SPDX-License-Identifier: BSD-2-Clause */
/* exam.h: asks portwatch and the kernel the same questions about a population, and compares the answers */
#ifndef ORACLE_EXAM_H
#define ORACLE_EXAM_H

#include <stdint.h>
#include <stdio.h>

#include "observer.h"
#include "scenario.h"

/* The answers of one observer about free ports. */
struct marks {
	uint32_t exact;  /* the one right number */
	uint32_t inside; /* right, where more than one number is: odd widths, TIME_WAIT at the edge, unknown v6only */
	uint32_t high, low;             /* wrong ones, by side */
	uint32_t worst_high, worst_low; /* in ports */
};

/* What came of one population. */
struct report {
	struct marks marks[OBSERVERS];
	uint32_t questions;
	uint32_t intervals; /* questions with more than one right answer */
	uint32_t commands;  /* answers of the portwatch command that were compared */
	uint32_t wrong;     /* answers that break a promise */
	uint32_t faults;    /* the oracle itself is at odds with the kernel, or could not ask */
	uint32_t populations, left_out;
	bool stale; /* it took so long that the kernel's own timers changed the population: no judgement */
};

void report_add(struct report *sum, const struct report *one);

struct exam_options {
	const struct scenario *scenario;
	uint64_t seed;
	const char *command; /* path of portwatch, to ask it as well; NULL: do not */
};

/* Makes the population of a seed and examines portwatch on it. What was done and found goes to `log`. Call it in a process
 * of its own: it changes the network namespace. */
void examine(const struct exam_options *options, struct report *out, FILE *log);

#endif

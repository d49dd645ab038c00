/* SPDX-License-Identifier: BSD-2-Clause */
/* scenario.h: kinds of populations: what they are mixed from, and what must hold for them */
#ifndef ORACLE_SCENARIO_H
#define ORACLE_SCENARIO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "making.h"

/* One step in the making of a population. */
enum step {
	STEP_CONNECT, /* a few connections to one place */
	STEP_BIND,    /* bound and not connected */
	STEP_LISTEN,  /* a listener with a few accepted connections */
	STEP_UDP,
	STEP_PEAK,       /* fills most of a tuple by plain connects, then the ports of the first parity end */
	STEP_HALF_OPEN,  /* half-open connections at a listener */
	STEP_REUSE_BIND, /* an explicit bind to a port in use */
	STEP_END,        /* ends a connection made earlier, or connects a bound socket */
	STEPS
};

/* On which side a wrong answer of inference may be. */
enum side { SIDE_NONE, SIDE_HIGH, SIDE_LOW, SIDE_EITHER };

enum twist {
	TWIST_NONE,
	TWIST_NO_TIMESTAMPS,      /* tcp_timestamps = 0 from the start */
	TWIST_TIMESTAMPS_LATE,    /* connections made without timestamps, then tcp_timestamps = 1 */
	TWIST_TIMESTAMPS_DROPPED, /* connections made with timestamps, then tcp_timestamps = 0 */
	TWIST_AUTOBIND_REUSE,     /* ip_autobind_reuse = 1; the client that asks sets no SO_REUSEADDR */
	TWIST_AUTOBIND_CLIENT     /* the same, and the client that asks sets SO_REUSEADDR */
};

struct scenario {
	const char *name;
	const char *title;
	bool proxy;         /* occurs on real proxies: inference must be exact */
	enum side inferred; /* the documented side of inference */
	enum side probed;   /* SIDE_NONE: every answer must be right */
	enum twist twist;
	uint8_t steps[STEPS];     /* weights */
	uint8_t hows[HOWS];       /* weights */
	uint8_t endings[ENDINGS]; /* weights */
	/* percent */
	uint8_t v6, mapped, device, close_listener, second_stage, range_change;
	uint8_t reuse;        /* SO_REUSEADDR, and half as often SO_REUSEPORT, of sockets that bind() gives a port */
	uint8_t client_reuse; /* SO_REUSEADDR of the others */
};

extern const struct scenario scenarios[];
extern const unsigned n_scenarios;

/* The one that has everything. */
extern const struct scenario *const scenario_mix;

/* NULL when there is none of this name. */
const struct scenario *scenario_find(const char *name);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* watch_fixture.h: a monitor that is fed by hand-made sockets, for tests */
#ifndef PW_TESTS_WATCH_FIXTURE_H
#define PW_TESTS_WATCH_FIXTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "count/census.h"
#include "watch/monitor.h"

#define FIXTURE_SOCKETS 200000
#define FIXTURE_EVENTS 40000

/* One namespace; the range is 40000 to 40999 unless a test changes it before it adds sockets. */
struct fixture {
	struct pw_policy policy;
	struct pw_monitor *monitor;
	struct pw_range range;
	struct pw_census *census;
	struct pw_socket *sockets; /* of the next poll */
	size_t n_sockets;
	uint64_t last_cookie;
	struct pw_ns_poll ns; /* what the next poll says of the namespace */
	struct pw_poll poll;
	const struct pw_snapshot *snapshot; /* of the last poll; NULL when there was no memory for one */
	struct pw_event *events;            /* of the last poll */
	size_t n_events;
	uint32_t (*last_id)(const struct pw_pool_key *key); /* of the last notification of a pool; NULL = none */
	uint32_t (*median)(const struct pw_pool_key *key);  /* what connect() takes, 0 = not known; NULL = of none */
	/* the host's answers; each may be NULL */
	const char *(*ifname)(uint32_t ifindex);
	uint32_t (*alloc_latency)(const struct pw_pool_key *key); /* us, 0 = not measured */
	pw_owner_name *owner_name;
	void *context; /* of owner_name() */
};

/* Everything with its defaults. The monitor is made at the first poll. */
void fixture_start(struct fixture *f);
void fixture_stop(struct fixture *f);

/* Changes the range, with no ports reserved. */
void fixture_range(struct fixture *f, uint16_t low, uint16_t high);

/* Adds n TCP sockets in a state, on the local ports first, first + step... */
void fixture_add(struct fixture *f, const char *local, const char *remote, uint16_t port, uint16_t first, unsigned step,
	unsigned n, enum pw_socket_state state);

/* n established connections on ports of both parities from the low end on. */
void fixture_connects(struct fixture *f, const char *local, const char *remote, uint16_t port, unsigned n);

/* n UDP sockets, each bound to a port of the address. */
void fixture_udp(struct fixture *f, const char *local, unsigned n);

/* n TCP sockets bound to ports of the address, from the high end on, and not connected. */
void fixture_binds(struct fixture *f, const char *local, unsigned n);

/* Answers what the monitor wants to know after it has taken a poll; fixture_poll() does it. */
void fixture_answer(struct fixture *f);

/* Polls ten seconds after the last poll, and forgets the sockets. */
void fixture_poll(struct fixture *f);

/* Polls with n connections from 10.0.0.1 to 10.0.0.9:443, and nothing else. */
void fixture_poll_connects(struct fixture *f, unsigned n);

/* The row of a pool by its name, or NULL. */
const struct pw_pool_row *fixture_row(const struct fixture *f, const char *name);

#define FIXTURE_POOL "tcp 10.0.0.1 -> 10.0.0.9:443"

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* share.h: a limit a minute, divided between network namespaces
 *
 * Whoever may make a network namespace can make its pools cross thresholds as often as they like. What these take
 * must not be missing when a pool of the host itself crosses one: one half of the limit is for the host's own
 * namespace alone, and of the other half a namespace may take half of what the others leave. So there is always some
 * left for the next one. */
#ifndef PW_WATCH_SHARE_H
#define PW_WATCH_SHARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One that takes: a namespace. Zeroed but for `own`. */
struct pw_share_user {
	bool own;        /* the host's own namespace */
	uint32_t recent; /* taken in the last minute */
};

struct pw_share_taken {
	uint64_t ms;
	struct pw_share_user *user;
};

/* Zeroed = no limit. */
struct pw_share {
	uint32_t max;                 /* a minute, 0 = no limit */
	uint32_t n, others;           /* taken in the last minute; of these by other namespaces than the own */
	uint32_t newest;              /* position in taken[] */
	struct pw_share_taken *taken; /* the last n of at most max */
};

/* Changes the limit; what was taken in the last minute counts on. More than 100,000 are no limit. Returns -1 when out
 * of memory: nothing has changed then. */
int pw_share_set(struct pw_share *share, uint32_t max);
void pw_share_clear(struct pw_share *share);

/* Whether this user may take one now; now_ms is CLOCK_BOOTTIME. */
bool pw_share_may(struct pw_share *share, const struct pw_share_user *user, uint64_t now_ms);
void pw_share_take(struct pw_share *share, struct pw_share_user *user, uint64_t now_ms);

/* Milliseconds until something changes for one that may not. */
uint32_t pw_share_wait(const struct pw_share *share, uint64_t now_ms);

/* This user ends, and its memory with it. */
void pw_share_forget(struct pw_share *share, const struct pw_share_user *user);

/* Of `max` places for other namespaces than the own, how many one of them may hold while the others hold `taken`. */
static inline size_t pw_share_of(size_t max, size_t taken)
{
	return max > taken ? (max - taken + 1) / 2 : 0;
}

#endif

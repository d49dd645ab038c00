/* SPDX-License-Identifier: BSD-2-Clause */
#include "watch/share.h"

#include <stdlib.h>

/* More a minute than any receiver can take: the same as no limit. */
#define MAX 100000
#define MINUTE_MS 60000

static struct pw_share_taken *oldest(const struct pw_share *share)
{
	return &share->taken[(share->newest + share->max + 1 - share->n) % share->max];
}

static void drop_oldest(struct pw_share *share)
{
	struct pw_share_user *user = oldest(share)->user;

	share->n--;
	if (user == NULL)
		return;
	user->recent--;
	share->others -= !user->own;
}

static void expire(struct pw_share *share, uint64_t now_ms)
{
	while (share->n > 0 && now_ms - oldest(share)->ms >= MINUTE_MS)
		drop_oldest(share);
}

bool pw_share_may(struct pw_share *share, const struct pw_share_user *user, uint64_t now_ms)
{
	uint32_t half = (share->max + 1) / 2;

	if (share->max == 0)
		return true;
	expire(share, now_ms);
	if (share->n >= share->max)
		return false;
	return user->own || (share->others < half && user->recent < pw_share_of(half, share->others - user->recent));
}

void pw_share_take(struct pw_share *share, struct pw_share_user *user, uint64_t now_ms)
{
	if (share->max == 0)
		return;
	expire(share, now_ms);
	if (share->n == share->max)
		drop_oldest(share);
	share->newest = (share->newest + 1) % share->max;
	share->taken[share->newest] = (struct pw_share_taken){now_ms, user};
	share->n++;
	if (user == NULL)
		return;
	user->recent++;
	share->others += !user->own;
}

uint32_t pw_share_wait(const struct pw_share *share, uint64_t now_ms)
{
	uint64_t age = share->n > 0 ? now_ms - oldest(share)->ms : MINUTE_MS;

	return age < MINUTE_MS ? (uint32_t)(MINUTE_MS - age) : 0;
}

void pw_share_forget(struct pw_share *share, const struct pw_share_user *user)
{
	for (uint32_t i = 0; user->recent > 0 && i < share->n; i++) {
		struct pw_share_taken *taken = &share->taken[(share->newest + share->max - i) % share->max];

		if (taken->user != user)
			continue;
		share->others -= !user->own;
		taken->user = NULL;
	}
}

int pw_share_set(struct pw_share *share, uint32_t max)
{
	struct pw_share bigger = {.max = max > MAX ? 0 : max};

	if (bigger.max == share->max)
		return 0;
	if (bigger.max != 0 && (bigger.taken = calloc(bigger.max, sizeof(*bigger.taken))) == NULL)
		return -1;
	while (share->n > bigger.max)
		drop_oldest(share);
	for (; share->n > 0;) {
		const struct pw_share_taken taken = *oldest(share);

		drop_oldest(share);
		pw_share_take(&bigger, taken.user, taken.ms);
	}
	free(share->taken);
	*share = bigger;
	return 0;
}

void pw_share_clear(struct pw_share *share)
{
	while (share->n > 0)
		drop_oldest(share);
	free(share->taken);
	*share = (struct pw_share){0};
}

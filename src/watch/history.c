/* SPDX-License-Identifier: BSD-2-Clause */
#include "watch/history.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* How growth is found
 *
 * Polls are gathered into slots of about 10 s, and the last slots kept. Two slots that lie one, two or three
 * TIME_WAIT periods (60 s, TCP_TIMEWAIT_LEN) apart give one estimate of the slope; over that distance a wave of
 * that period is back where it was, and adds nothing. The growth is the median of these estimates: a Theil-Sen
 * line, restricted to the distances that TIME_WAIT leaves alone. It takes more than a quarter of odd slots to move
 * it. It counts only when two thirds of the estimates agree on the sign; otherwise what is seen is noise, or a wave
 * of another period, and the growth is 0. docs/forecast.md shows what that is worth. */

#define SLOT_MS 9500            /* a bit below 10 s, so that polls each 10 s get one slot each whatever their jitter */
#define SLOTS PW_HISTORY_POINTS /* the window and one to spare */
#define WINDOW_S 360            /* six TIME_WAIT periods */
#define WINDOW_SLOTS 12         /* or so many polls, where the interval is long */
#define PERIOD_S 60.0f
#define PERIODS 3
#define TOLERANCE_S 6.0f /* of the distance between two slots */
#define MIN_PERIODS 3.1f /* that must be covered: before, the rise after a start passes for growth */
#define MIN_ESTIMATES 6
#define MIN_POINTS 4 /* fewer can't make as many estimates */
#define MAX_S 1e9f   /* further away than 30 years is not in sight */

/* How far back the recent growth looks, and the least that it needs. */
#define RECENT_MS 60000
#define RECENT_MIN_MS 1000

/* The share of the estimates that must have the sign of the growth. A step 80 to 120 s after the first poll reaches
 * it, until STEP_PERIODS are covered: so long more is wanted. */
#define AGREE_NUM 2
#define AGREE_DEN 3
#define STEP_PERIODS 4

/* The means of the polls of one slot. */
struct slot {
	uint32_t time_ds; /* tenths of seconds since the first poll of all */
	float free;
};

/* The polls of the newest slot. */
struct gathering {
	uint64_t start_ms;
	uint64_t offset_sum_ms; /* of the times, from start_ms on */
	int64_t free_sum;
	uint32_t polls;
};

struct pw_history {
	uint64_t first_ms, last_ms; /* first and last poll */
	struct gathering gathering;
	int32_t first_free;
	uint32_t free; /* at these */
	uint8_t newest, n;
	struct slot slots[SLOTS];
};

struct pw_history *pw_history_new(void)
{
	return calloc(1, sizeof(struct pw_history));
}

void pw_history_free(struct pw_history *history)
{
	free(history);
}

void pw_history_add(struct pw_history *h, uint64_t now_ms, uint32_t free_ports)
{
	struct gathering *g = &h->gathering;

	if (h->n == 0) {
		h->first_ms = now_ms;
		h->first_free = (int32_t)free_ports;
	} else if (now_ms <= h->last_ms) {
		return;
	}
	if (h->n == 0 || now_ms - g->start_ms >= SLOT_MS) {
		h->newest = h->n == 0 ? 0 : (uint8_t)((h->newest + 1) % SLOTS);
		h->n += h->n < SLOTS;
		*g = (struct gathering){.start_ms = now_ms};
	}
	g->polls++;
	g->offset_sum_ms += now_ms - g->start_ms;
	g->free_sum += free_ports;
	h->slots[h->newest].time_ds = (uint32_t)((g->start_ms - h->first_ms + g->offset_sum_ms / g->polls) / 100);
	h->slots[h->newest].free = (float)((double)g->free_sum / g->polls);
	h->last_ms = now_ms;
	h->free = free_ports;
}

void pw_history_shift(struct pw_history *h, int32_t ports)
{
	for (unsigned i = 0; i < SLOTS; i++)
		h->slots[i].free += (float)ports;
	h->gathering.free_sum += (int64_t)ports * h->gathering.polls;
	h->first_free += ports;
}

unsigned pw_history_points(const struct pw_history *h, struct pw_history_point out[PW_HISTORY_POINTS])
{
	for (unsigned i = 0; i < h->n; i++) {
		const struct slot *slot = &h->slots[(h->newest + SLOTS + 1u - h->n + i) % SLOTS];

		out[i] = (struct pw_history_point){
			h->first_ms + (uint64_t)slot->time_ds * 100, (uint32_t)lroundf(fmaxf(slot->free, 0))};
	}
	return h->n;
}

unsigned pw_history_steps(const struct pw_history *h, uint32_t out[PW_HISTORY_STEPS])
{
	struct pw_history_point points[PW_HISTORY_POINTS];
	unsigned at = h != NULL ? pw_history_points(h, points) : 0, n = 0;

	if (at == 0)
		return 0;
	out[n++] = h->free;
	for (uint64_t back_ms = PW_HISTORY_STEP_MS; n < PW_HISTORY_STEPS && back_ms < h->last_ms; n++) {
		/* polls are never quite on time: half of a step makes no difference */
		const uint64_t limit_ms = h->last_ms - back_ms + PW_HISTORY_STEP_MS / 2;

		while (at > 0 && points[at - 1].ms > limit_ms)
			at--;
		if (at == 0)
			break;
		out[n] = points[at - 1].free;
		back_ms += PW_HISTORY_STEP_MS;
	}
	return n;
}

/* --- the slots of the window, in order -------------------------------------------------------------------------- */

struct point {
	float time_s; /* since the oldest slot kept */
	float free;
};

struct window {
	struct point points[SLOTS];
	unsigned n;
	float gap_s; /* mean distance between two points */
};

static void fill_window(const struct pw_history *h, struct window *w)
{
	unsigned oldest = (h->newest + SLOTS + 1u - h->n) % SLOTS, newest = h->newest;
	unsigned skip = 0;

	while (h->n - skip > WINDOW_SLOTS &&
		h->slots[newest].time_ds - h->slots[(oldest + skip) % SLOTS].time_ds > WINDOW_S * 10)
		skip++;
	w->n = h->n - skip;
	for (unsigned i = 0; i < w->n; i++) {
		const struct slot *slot = &h->slots[(oldest + skip + i) % SLOTS];

		w->points[i].time_s = (float)(slot->time_ds - h->slots[oldest].time_ds) / 10;
		w->points[i].free = slot->free;
	}
	w->gap_s = w->n > 1 ? (w->points[w->n - 1].time_s - w->points[0].time_s) / (float)(w->n - 1) : 0;
}

/* --- growth ----------------------------------------------------------------------------------------------------- */

#define ESTIMATES_MAX (PERIODS * SLOTS)

/* Appends the slopes (ports a second by which free shrinks) between points that lie `distance_s` apart, as near as
 * there are. */
static unsigned estimate(const struct window *w, float distance_s, float tolerance_s, float *out)
{
	unsigned n = 0, from = 0;

	for (unsigned to = 1; to < w->n; to++) {
		const struct point *end = &w->points[to], *start;
		float target = end->time_s - distance_s;

		while (from + 1 < to &&
			fabsf(w->points[from + 1].time_s - target) <= fabsf(w->points[from].time_s - target))
			from++;
		start = &w->points[from];
		if (fabsf(start->time_s - target) <= tolerance_s)
			out[n++] = (start->free - end->free) / (end->time_s - start->time_s);
	}
	return n;
}

/* The value that would stand at place k if the values were sorted (Hoare's selection); reorders them so that none
 * before it is greater. */
static float select_kth(float *values, unsigned n, unsigned k)
{
	unsigned low = 0, high = n - 1;

	while (low < high) {
		float pivot = values[(low + high) / 2], swapped;
		unsigned i = low, j = high;

		for (;; i++, j--) {
			while (values[i] < pivot)
				i++;
			while (values[j] > pivot)
				j--;
			if (i >= j)
				break;
			swapped = values[i];
			values[i] = values[j];
			values[j] = swapped;
		}
		if (k <= j)
			high = j;
		else
			low = j + 1;
	}
	return values[k];
}

static float median(float *values, unsigned n)
{
	float upper = select_kth(values, n, n / 2);

	return n % 2 != 0 ? upper : (upper + select_kth(values, n / 2, n / 2 - 1)) / 2;
}

/* Ports a second. */
static float slope(const struct pw_history *h)
{
	float values[ESTIMATES_MAX], middle, period_s, tolerance_s, covered_s;
	struct window w = {.n = 0};
	unsigned n = 0, same = 0;
	bool young;

	if (h->n < MIN_POINTS)
		return 0;
	fill_window(h, &w);
	period_s = fmaxf(PERIOD_S, w.gap_s);
	tolerance_s = fmaxf(TOLERANCE_S, w.gap_s / 2);
	covered_s = w.points[w.n - 1].time_s - w.points[0].time_s;
	if (covered_s < MIN_PERIODS * period_s)
		return 0;
	for (unsigned i = 1; i <= PERIODS; i++)
		n += estimate(&w, (float)i * period_s, tolerance_s, values + n);
	if (n < MIN_ESTIMATES)
		return 0;
	middle = median(values, n);
	/* so many must have the sign of their median that it is no accident; of a young history, one that may have seen
	 * nothing but a step */
	young = covered_s < STEP_PERIODS * period_s;
	for (unsigned i = 0; i < n; i++)
		same += middle > 0 ? values[i] > 0 : values[i] < 0;
	return same * AGREE_DEN >= n * AGREE_NUM + young ? middle : 0;
}

/* The growth by the difference to a minute ago: the newest slot that is as old, or to the first poll. Where polls are
 * further apart, to the last one. A single connection is not taken for hundreds a minute: a second is the least. */
static void set_recent(const struct pw_history *h, struct pw_trend *trend)
{
	int64_t then_ms = (int64_t)h->first_ms, then_free = h->first_free, span_ms, lost;

	for (unsigned i = 1; i < h->n && h->last_ms - h->first_ms > RECENT_MS; i++) {
		const struct slot *slot = &h->slots[(h->newest + SLOTS - i) % SLOTS];

		then_ms = (int64_t)h->first_ms + (int64_t)slot->time_ds * 100;
		then_free = lroundf(slot->free);
		if ((int64_t)h->last_ms - then_ms >= RECENT_MS)
			break;
	}
	span_ms = (int64_t)h->last_ms - then_ms;
	lost = then_free - h->free;
	if (span_ms < RECENT_MIN_MS)
		return;
	trend->recent_growth = (int32_t)(lost * 60000 / span_ms);
	if (lost > 0 && h->free * span_ms / lost / 1000 < PW_NOT_IN_SIGHT)
		trend->recent_time_to_exhaustion = (uint32_t)(h->free * span_ms / lost / 1000);
}

struct pw_trend pw_history_trend(const struct pw_history *history)
{
	struct pw_trend trend = {0, PW_NOT_IN_SIGHT, 0, PW_NOT_IN_SIGHT};
	float growth;

	if (history == NULL || history->n == 0)
		return trend;
	growth = slope(history);
	trend.growth = trend.recent_growth = (int32_t)lroundf(growth * 60);
	if (history->free == 0)
		trend.time_to_exhaustion = 0;
	else if (trend.growth > 0 && (float)history->free / growth < MAX_S)
		trend.time_to_exhaustion = (uint32_t)((float)history->free / growth);
	trend.recent_time_to_exhaustion = trend.time_to_exhaustion;
	if (trend.growth == 0 && history->free != 0)
		set_recent(history, &trend);
	return trend;
}

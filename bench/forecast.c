/* SPDX-License-Identifier: BSD-2-Clause */
/* forecast.c: how early and how falsely the forecast warns
 *
 *   forecast leaks [INTERVAL]          every simulated scenario that ends in exhaustion, as a table: how early it
 *   is told
 *   forecast calm [INTERVAL]           every other one: how often it warns for nothing
 *   forecast recorded FILE...          the same of series that were recorded on a real host (bench/record_series.py)
 *   forecast series NAME|FILE [SEED]   one run as columns: seconds, free, growth, seconds to exhaustion, forecast
 *   on, threshold on
 *
 * The series go through src/watch/history.c and src/watch/alarm.c as in the monitor, each poll once. INTERVAL is
 * that of the polls in seconds, 10 by default. Runs are reproducible: run i of a scenario has the seed i. */
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "watch/alarm.h"
#include "watch/history.h"
#include "watch/policy.h"

#define CAPACITY 28232          /* of the default range, in every scenario */
#define RECORDED_CAPACITY 10000 /* of the series that record_series.py makes */
#define WITHIN_S 600
#define RUNS 200

static double poll_s = 10;

/* --- random numbers: the same on every machine ------------------------------------------------------------------ */

static uint64_t random_state;

static double uniform(void)
{
	uint64_t x = random_state += UINT64_C(0x9e3779b97f4a7c15);

	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return (double)((x ^ x >> 31) >> 11) * 0x1p-53;
}

static double gauss(void)
{
	return sqrt(-2 * log(1 - uniform())) * cos(2 * M_PI * uniform());
}

/* --- what holds ports ------------------------------------------------------------------------------------------- */

/* A scenario is a sum of parts; a part that is left out adds nothing. Times in seconds, everything else in ports. */
struct scenario {
	const char *name, *what;
	double seconds;
	bool exhausts; /* a warning is right; elsewhere each is false */
	double level;  /* what is held all the time */
	double leak;   /* a minute, from LEAK_S on */
	struct {
		double in, ports;
	} ramp; /* more of them within this time, from about RAMP_S on */
	struct {
		double period, ports;
	} sawtooth; /* pile up for a period, and are given back at its end */
	struct {
		double period, busy, rate;
	} batch;      /* short connections, `rate` a second while busy: TIME_WAIT holds them */
	double noise; /* deviation from poll to poll */
	struct {
		double deviation, memory;
	} wander;   /* an Ornstein-Uhlenbeck process */
	double day; /* half the height of the wave of a day */
	double odd; /* share of the polls that tell nonsense */
};

#define LEAK_S 600
#define RAMP_S 1000

static const struct scenario scenarios[] = {
	{"leak-300", "steady leak, 300 ports a minute", 8000, true, .level = 2000, .leak = 300},
	{"leak-1000", "steady leak, 1,000 ports a minute", 4000, true, .level = 2000, .leak = 1000},
	{"leak-3000", "steady leak, 3,000 ports a minute", 2000, true, .level = 2000, .leak = 3000},
	{"leak-10000", "steady leak, 10,000 ports a minute", 1200, true, .level = 2000, .leak = 10000},
	{"leak-noise", "leak of 1,000 a minute under noise (deviation 200)", 4000, true, .level = 2000, .leak = 1000,
		.noise = 200},
	{"leak-saw-60", "leak of 1,000 a minute under a sawtooth of 5,000 each 60 s", 4000, true, .level = 2000,
		.leak = 1000, .sawtooth = {60, 5000}},
	{"leak-batch-90", "leak of 1,000 a minute under batches of 4,500 each 90 s", 4000, true, .level = 2000,
		.leak = 1000, .batch = {90, 15, 300}},
	{"steady", "steady traffic, 9,000 ports, Poisson noise", 36000, false, .level = 9000, .noise = 95},
	{"noise-500", "wandering load, deviation 500, memory 30 s", 36000, false, .level = 12000, .wander = {500, 30}},
	{"noise-2000", "wandering load, deviation 2,000, memory 60 s", 36000, false, .level = 12000,
		.wander = {2000, 60}},
	{"saw-60", "sawtooth of 8,000 ports with the period of TIME_WAIT, 60 s", 36000, false, .level = 4000,
		.sawtooth = {60, 8000}},
	{"saw-90", "sawtooth of 8,000 ports each 90 s", 36000, false, .level = 4000, .sawtooth = {90, 8000}},
	{"batch-45", "6,000 short connections each 45 s", 36000, false, .level = 4000, .batch = {45, 10, 600}},
	{"batch-65", "10,000 short connections each 65 s", 36000, false, .level = 4000, .batch = {65, 10, 1000}},
	{"batch-90", "10,000 short connections each 90 s", 36000, false, .level = 4000, .batch = {90, 10, 1000}},
	{"batch-120", "10,000 short connections each 120 s", 36000, false, .level = 4000, .batch = {120, 10, 1000}},
	{"batch-200", "10,000 short connections each 200 s", 36000, false, .level = 4000, .batch = {200, 20, 500}},
	{"batch-300", "15,000 short connections each 300 s", 36000, false, .level = 4000, .batch = {300, 30, 500}},
	{"burst", "10,000 short connections each 10 min", 36000, false, .level = 3000, .batch = {600, 20, 500}},
	{"step", "10,000 ports more from one poll to the next, then level", 4000, false, .level = 3000,
		.ramp = {0.001, 10000}},
	{"ramp-180", "load rises by 9,000 ports in 3 min, then level", 4000, false, .level = 3000, .ramp = {180, 9000}},
	{"ramp-600", "load rises by 9,000 ports in 10 min, then level", 4000, false, .level = 3000,
		.ramp = {600, 9000}},
	{"day", "the wave of a day: 3,000 to 21,000 ports", 86400, false, .level = 12000, .noise = 100, .day = 9000},
	{"odd-polls", "one poll in twenty tells nonsense", 36000, false, .level = 9000, .noise = 95, .odd = 0.05},
};

/* What a run has of its own. */
struct run {
	double phase; /* 0..1: where in their period waves begin */
	double walk;
};

static double risen(double t, double from, double in, double ports)
{
	return t <= from ? 0 : t >= from + in ? ports : (t - from) / in * ports;
}

/* The connections of the last minute. */
static double in_time_wait(double t, double period, double busy, double rate)
{
	double from = fmax(t - 60, 0), sum = 0;

	for (double start = floor(from / period) * period; start < t; start += period) {
		double begin = fmax(start, from), end = fmin(start + busy, t);

		sum += end > begin ? (end - begin) * rate : 0;
	}
	return sum;
}

static double wandered(double *value, double deviation, double memory)
{
	double keep = exp(-poll_s / memory);

	*value = *value * keep + gauss() * deviation * sqrt(1 - keep * keep);
	return *value;
}

static double used_ports(const struct scenario *s, double t, struct run *run)
{
	double used = s->level;

	if (s->odd != 0 && uniform() < s->odd)
		return uniform() * CAPACITY;
	used += t > LEAK_S ? (t - LEAK_S) / 60 * s->leak : 0;
	used += s->ramp.in != 0 ? risen(t, RAMP_S + 100 * run->phase, s->ramp.in, s->ramp.ports) : 0;
	if (s->sawtooth.period != 0)
		used += fmod(t / s->sawtooth.period + run->phase, 1) * s->sawtooth.ports;
	if (s->batch.period != 0)
		used += in_time_wait(t + s->batch.period * run->phase, s->batch.period, s->batch.busy, s->batch.rate);
	used += s->noise != 0 ? gauss() * s->noise : 0;
	used += s->wander.memory != 0 ? wandered(&run->walk, s->wander.deviation, s->wander.memory) : 0;
	return used + s->day * sin(2 * M_PI * (t / 86400 + run->phase));
}

#define N_SCENARIOS (sizeof(scenarios) / sizeof(scenarios[0]))

/* --- running one ------------------------------------------------------------------------------------------------ */

struct outcome {
	double forecast_s, threshold_s, exhausted_s; /* first time; NAN = never */
	unsigned onsets;                             /* of the forecast */
	double on_s, seconds;                        /* how long it was on, and the series lasted */
};

struct watch {
	struct pw_policy policy;
	struct pw_thresholds forecast;
	struct pw_history *history;
	struct pw_alarm by_forecast, by_threshold; /* the forecast alone, and the default thresholds alone */
	uint32_t capacity;
	double last_s;
	FILE *series;
	struct outcome outcome;
};

static void watch_start(struct watch *w, uint32_t capacity, FILE *series)
{
	*w = (struct watch){.capacity = capacity,
		.series = series,
		.history = pw_history_new(),
		.forecast = {.exhausted_fall = 98, .forecast_within = WITHIN_S, .for_polls = 1},
		.outcome = {NAN, NAN, NAN, 0, 0, 0}};
	pw_policy_defaults(&w->policy);
	if (w->history == NULL)
		exit(1);
}

static void note_first(double *first, bool now, double t)
{
	if (now && isnan(*first))
		*first = t;
}

static void watch_poll(struct watch *w, double t, uint32_t free_ports, bool exhausted)
{
	struct outcome *o = &w->outcome;
	bool was_on = w->by_forecast.on[PW_LEVEL_FORECAST], on, threshold;
	struct pw_alarm_input in = {pw_utilization(w->capacity, free_ports), free_ports, 0};
	struct pw_trend trend;

	pw_history_add(w->history, (uint64_t)(t * 1000) + 1, free_ports);
	trend = pw_history_trend(w->history);
	in.time_to_exhaustion = trend.time_to_exhaustion;
	pw_alarm_step(&w->by_forecast, &w->forecast, &in);
	on = w->by_forecast.on[PW_LEVEL_FORECAST];
	threshold = pw_alarm_step(&w->by_threshold, &w->policy.defaults, &in).state != PW_STATE_NORMAL;
	o->onsets += on && !was_on;
	o->on_s += was_on ? t - w->last_s : 0;
	o->seconds = w->last_s = t;
	note_first(&o->forecast_s, on, t);
	note_first(&o->threshold_s, threshold, t);
	note_first(&o->exhausted_s, exhausted, t);
	if (w->series != NULL)
		fprintf(w->series, "%.0f %u %d %u %d %d\n", t, free_ports, trend.growth, trend.time_to_exhaustion, on,
			threshold);
}

static struct outcome watch_end(struct watch *w)
{
	pw_history_free(w->history);
	return w->outcome;
}

static uint32_t free_of(double used)
{
	return used >= CAPACITY ? 0 : used < 0 ? CAPACITY : (uint32_t)(CAPACITY - used);
}

/* To the end, or to exhaustion. */
static struct outcome run_scenario(const struct scenario *s, uint64_t seed, FILE *series)
{
	struct watch w;
	struct run run;
	double phase;

	random_state = seed;
	run = (struct run){.phase = uniform()};
	phase = uniform() * poll_s;
	watch_start(&w, CAPACITY, series);
	for (double t = phase; t < s->seconds && isnan(w.outcome.exhausted_s); t += poll_s) {
		uint32_t free_ports = free_of(used_ports(s, t, &run));

		watch_poll(&w, t + uniform() * 0.05, free_ports, free_ports == 0);
	}
	return watch_end(&w);
}

/* A recorded series: lines of "seconds free refused". It is exhausted when a connect was refused. */
static struct outcome run_file(const char *path, FILE *series)
{
	FILE *file = fopen(path, "r");
	struct watch w;
	double t;
	unsigned free_ports, refused;

	if (file == NULL) {
		perror(path);
		exit(1);
	}
	watch_start(&w, RECORDED_CAPACITY, series);
	while (isnan(w.outcome.exhausted_s) && fscanf(file, "%lf %u %u", &t, &free_ports, &refused) == 3)
		watch_poll(&w, t, free_ports, free_ports == 0 || refused != 0);
	fclose(file);
	return watch_end(&w);
}

/* --- tables ----------------------------------------------------------------------------------------------------- */

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Median and extremes of how long before exhaustion something came; `n` of RUNS came at all. */
static void print_leads(double *lead, unsigned n)
{
	qsort(lead, n, sizeof(*lead), by_value);
	if (n == 0)
		printf(" never |");
	else if (n == RUNS)
		printf(" %.0f s (%.0f to %.0f) |", lead[n / 2], lead[0], lead[n - 1]);
	else
		printf(" %.0f s (%.0f to %.0f) in %u of %u |", lead[n / 2], lead[0], lead[n - 1], n, RUNS);
}

static void print_leak(const struct scenario *s)
{
	double forecast[RUNS], threshold[RUNS], onsets = 0;
	unsigned n = 0, m = 0;

	for (unsigned i = 0; i < RUNS; i++) {
		struct outcome o = run_scenario(s, i + 1, NULL);

		onsets += o.onsets;
		if (o.forecast_s < o.exhausted_s) /* also false when it never came */
			forecast[n++] = o.exhausted_s - o.forecast_s;
		if (o.threshold_s < o.exhausted_s)
			threshold[m++] = o.exhausted_s - o.threshold_s;
	}
	printf("| %s | %s |", s->name, s->what);
	print_leads(forecast, n);
	print_leads(threshold, m);
	printf(" %.2f |\n", onsets / RUNS);
}

static void print_calm(const struct scenario *s)
{
	double onsets = 0, on_s = 0, seconds = 0;

	for (unsigned i = 0; i < RUNS; i++) {
		struct outcome o = run_scenario(s, i + 1, NULL);

		onsets += o.onsets;
		on_s += o.on_s;
		seconds += o.seconds;
	}
	printf("| %s | %s | %.0f | %.0f | %.2f | %.2f %% |\n", s->name, s->what, seconds / 3600, onsets,
		onsets / (seconds / 3600), on_s / seconds * 100);
}

static void print_table(bool exhausts)
{
	for (size_t i = 0; i < N_SCENARIOS; i++) {
		if (scenarios[i].exhausts != exhausts)
			continue;
		if (exhausts)
			print_leak(&scenarios[i]);
		else
			print_calm(&scenarios[i]);
	}
}

static void print_before(double first, double exhausted)
{
	if (isnan(first))
		printf(" never |");
	else if (isnan(exhausted))
		printf(" at %.0f s |", first);
	else
		printf(" %.0f s before |", exhausted - first);
}

static void print_recorded(const char *path)
{
	struct outcome o = run_file(path, NULL);
	const char *name = strrchr(path, '/') != NULL ? strrchr(path, '/') + 1 : path;

	printf("| %.*s | %.0f s |", (int)strcspn(name, "."), name, o.seconds);
	if (isnan(o.exhausted_s))
		printf(" no |");
	else
		printf(" at %.0f s |", o.exhausted_s);
	print_before(o.forecast_s, o.exhausted_s);
	print_before(o.threshold_s, o.exhausted_s);
	printf(" %u |\n", o.onsets);
}

static const struct scenario *find(const char *name)
{
	for (size_t i = 0; i < N_SCENARIOS; i++)
		if (strcmp(scenarios[i].name, name) == 0)
			return &scenarios[i];
	return NULL;
}

static void print_series(const char *name, uint64_t seed)
{
	const struct scenario *s = find(name);

	if (s != NULL)
		run_scenario(s, seed, stdout);
	else
		run_file(name, stdout);
}

static bool set_interval(const char *text)
{
	poll_s = text != NULL ? strtod(text, NULL) : poll_s;
	return poll_s > 0;
}

int main(int argc, char **argv)
{
	const char *command = argc > 1 ? argv[1] : "";

	if ((strcmp(command, "leaks") == 0 || strcmp(command, "calm") == 0) && set_interval(argv[2])) {
		print_table(command[0] == 'l');
	} else if (strcmp(command, "recorded") == 0) {
		for (int i = 2; i < argc; i++)
			print_recorded(argv[i]);
	} else if (strcmp(command, "series") == 0 && argc > 2) {
		print_series(argv[2], argc > 3 ? strtoull(argv[3], NULL, 10) : 1);
	} else {
		fprintf(stderr, "usage: forecast leaks|calm [INTERVAL] | recorded FILE... | series NAME|FILE [SEED]\n");
		return 2;
	}
	return 0;
}

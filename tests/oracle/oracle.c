/* SPDX-License-Identifier: BSD-2-Clause */
/* oracle: random populations of sockets, each in a network namespace of its own: does portwatch say what the kernel does? */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "exam.h"
#include "observer.h"
#include "quirks.h"
#include "random.h"
#include "scenario.h"
#include "space.h"

/* A population takes well under a second; one that hangs is a fault. */
#define POPULATION_TIMEOUT_S 120

/* How often a population is made when the machine is too busy for it. After that it is left out: sockets have ended by their own timers under the
 * questions. One in so many may be. */
#define MAX_TRIES 4
#define MAX_LEFT_OUT 20

struct options {
	const char *scenario; /* NULL: the mix; "all": each in turn */
	const char *command;
	const char *backend; /* "bpf": what is probed otherwise is read from the kernel */
	unsigned populations;
	unsigned seconds; /* after which no population is begun, 0 = all are */
	unsigned jobs;
	uint64_t seed;
	bool replay; /* seed is that of one population */
	bool verbose;
};

/* A population under way in a child process. */
struct job {
	pid_t pid;
	struct report *report; /* shared with the child */
	FILE *log;
	const struct scenario *scenario;
	uint64_t seed;
	unsigned tries;
	unsigned slot;
};

/* --- one population in a child ---------------------------------------------------------------------------------------------- */

static void child(const struct options *options, const struct job *job)
{
	struct exam_options exam = {.scenario = job->scenario, .seed = job->seed, .command = options->command};

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	observers_set_slot(job->slot);
	alarm(POPULATION_TIMEOUT_S);
	examine(&exam, job->report, job->log);
	fflush(job->log);
	_exit(0);
}

static int start(const struct options *options, struct job *job)
{
	job->tries++;
	job->log = tmpfile();
	if (job->log == NULL)
		return -1;
	memset(job->report, 0, sizeof(*job->report));
	fflush(NULL);
	job->pid = fork();
	if (job->pid == 0)
		child(options, job);
	return job->pid > 0 ? 0 : -1;
}

static void copy_log(FILE *log)
{
	char buffer[4096];
	size_t n;

	rewind(log);
	while ((n = fread(buffer, 1, sizeof(buffer), log)) > 0)
		fwrite(buffer, 1, n, stdout);
}

/* Whether the result of a child says more about the load of the machine than about portwatch. */
static bool was_too_slow(const struct job *job, int status)
{
	return job->report->stale || (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM);
}

/* Takes the result of a child that has ended. */
static void collect(const struct options *options, struct job *job, int status, struct report *sum)
{
	bool died = !WIFEXITED(status) || WEXITSTATUS(status) != 0;

	if (was_too_slow(job, status)) {
		bool again = job->tries < MAX_TRIES;

		fprintf(stderr, "population %#llx: %s, the machine was too busy\n", (unsigned long long)job->seed,
			again ? "made again" : "left out");
		fclose(job->log);
		if (!again) {
			sum->left_out++;
			job->pid = 0;
			return;
		}
		if (start(options, job) == 0)
			return;
		perror("a child");
		exit(2);
	}
	job->report->faults += died;
	if (died)
		printf("population %#llx: the process ended by status %#x\n", (unsigned long long)job->seed,
			(unsigned)status);
	if (job->report->wrong != 0 || job->report->faults != 0)
		printf("population %#llx: %u wrong answers, %u faults\n", (unsigned long long)job->seed,
			job->report->wrong, job->report->faults);
	if (options->verbose || job->report->wrong != 0 || job->report->faults != 0)
		copy_log(job->log);
	fclose(job->log);
	report_add(sum, job->report);
	sum->populations++;
	job->pid = 0;
}

/* --- many ---------------------------------------------------------------------------------------------------------------------- */

static struct job *find_job(struct job *jobs, unsigned n, pid_t pid)
{
	for (unsigned i = 0; i < n; i++)
		if (jobs[i].pid == pid)
			return &jobs[i];
	return NULL;
}

static void wait_one(const struct options *options, struct job *jobs, struct report *sum)
{
	int status;
	pid_t pid = wait(&status);
	struct job *job = pid > 0 ? find_job(jobs, options->jobs, pid) : NULL;

	if (job != NULL)
		collect(options, job, status, sum);
}

static bool any_running(const struct job *jobs, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (jobs[i].pid != 0)
			return true;
	return false;
}

/* The seeds of the populations follow from the run's seed and the scenario's name, not from their order. */
static uint64_t population_seed(const struct options *options, const struct scenario *scenario, unsigned i)
{
	struct rng rng = {.state = options->seed};

	if (options->replay)
		return options->seed;
	for (const char *c = scenario->name; *c != '\0'; c++)
		rng.state = rng_next(&rng) ^ (uint8_t)*c;
	rng.state = rng_next(&rng) + i;
	return rng_next(&rng);
}

static int run_scenario(
	const struct options *options, const struct scenario *scenario, struct job *jobs, struct report *sum)
{
	const uint64_t end = space_now_us() + options->seconds * UINT64_C(1000000);

	memset(sum, 0, sizeof(*sum));
	for (unsigned i = 0; i < options->populations; i++) {
		struct job *job;

		if (options->seconds != 0 && space_now_us() >= end)
			break;
		while ((job = find_job(jobs, options->jobs, 0)) == NULL)
			wait_one(options, jobs, sum);
		job->scenario = scenario;
		job->seed = population_seed(options, scenario, i);
		job->tries = 0;
		if (start(options, job) < 0) {
			perror("a child");
			return -1;
		}
	}
	while (any_running(jobs, options->jobs))
		wait_one(options, jobs, sum);
	return 0;
}

/* --- output ---------------------------------------------------------------------------------------------------------------------- */

static void print_share(const struct marks *m)
{
	unsigned right = m->exact + m->inside, all = right + m->high + m->low;

	/* 100.0 only when it is true */
	if (right == all)
		printf(" 100 %%");
	else
		printf(" %.1f %%", 99.9 < 100.0 * right / all ? 99.9 : 100.0 * right / all);
	if (m->high != 0)
		printf(" (%u too high, by up to %u)", m->high, m->worst_high);
	if (m->low != 0)
		printf(" (%u too low, by up to %u)", m->low, m->worst_low);
	printf(" |");
}

static bool reads(const struct options *options)
{
	return options->backend != NULL && strcmp(options->backend, "bpf") == 0;
}

static void print_head(const struct options *options)
{
	const char *how = reads(options) ? "read" : "probed";

	printf("| scenario | populations | questions | of these with an interval | %s, watching | %s, fresh | inferred, watching "
	       "| inferred, fresh |\n|---|---|---|---|---|---|---|---|\n",
		how, how);
}

static void print_row(const struct scenario *scenario, const struct report *r)
{
	printf("| %s | %u | %u | %u |", scenario->title, r->populations, r->questions, r->intervals);
	for (int i = 0; i < OBSERVERS; i++)
		print_share(&r->marks[i]);
	printf("\n");
	fflush(stdout);
}

static void print_line(const struct options *options, const struct report *r)
{
	printf("oracle: seed %llu: %u populations, %u questions (%u with an interval), %u answers of the command, %u wrong, %u faults, %u "
	       "left out\n",
		(unsigned long long)options->seed, r->populations, r->questions, r->intervals, r->commands, r->wrong,
		r->faults, r->left_out);
}

/* --- the program ------------------------------------------------------------------------------------------------------------------ */

static int run_all(const struct options *options, struct job *jobs)
{
	struct report sum = {.questions = 0}, one;

	print_head(options);
	for (unsigned i = 0; i < n_scenarios; i++) {
		const struct scenario *s = &scenarios[i];

		if (strcmp(options->scenario, "all") != 0 && strcmp(options->scenario, s->name) != 0)
			continue;
		if (run_scenario(options, s, jobs, &one) < 0)
			return -1;
		print_row(s, &one);
		report_add(&sum, &one);
	}
	print_line(options, &sum);
	if (sum.populations == 0 || sum.left_out > sum.populations / MAX_LEFT_OUT + 1)
		return -1;
	return sum.wrong == 0 && sum.faults == 0 ? 0 : -1;
}

static int prepare_jobs(const struct options *options, struct job *jobs)
{
	struct report *shared = mmap(
		NULL, options->jobs * sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (shared == MAP_FAILED)
		return -1;
	for (unsigned i = 0; i < options->jobs; i++)
		jobs[i] = (struct job){.report = &shared[i], .slot = i};
	return 0;
}

static void usage(FILE *out)
{
	fprintf(out,
		"usage: oracle [-n POPULATIONS] [-T SECONDS] [-s SEED] [-S SCENARIO|all] [-j JOBS] [-b PORTWATCH] [-B bpf|netlink] [-v]\n"
		"       oracle -r SEED-OF-A-POPULATION [-S SCENARIO] [-v]\n"
		"scenarios:\n");
	for (unsigned i = 0; i < n_scenarios; i++)
		fprintf(out, "  %-20s %s\n", scenarios[i].name, scenarios[i].title);
}

static uint64_t random_seed(void)
{
	uint32_t seed = 1;

	if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
		perror("getrandom");
	return seed;
}

static int parse(int argc, char **argv, struct options *options)
{
	*options = (struct options){
		.scenario = scenario_mix->name, .populations = 100, .jobs = 3, .seed = random_seed()};
	for (int c; (c = getopt(argc, argv, "n:T:s:S:j:b:B:r:vh")) != -1;) {
		switch (c) {
		case 'n': options->populations = (unsigned)strtoul(optarg, NULL, 0); break;
		case 'T': options->seconds = (unsigned)strtoul(optarg, NULL, 0); break;
		case 's': options->seed = strtoull(optarg, NULL, 0); break;
		case 'S': options->scenario = optarg; break;
		case 'j': options->jobs = (unsigned)strtoul(optarg, NULL, 0); break;
		case 'b': options->command = optarg; break;
		case 'B': options->backend = optarg; break;
		case 'v': options->verbose = true; break;
		case 'r':
			options->replay = true;
			options->seed = strtoull(optarg, NULL, 0);
			options->populations = 1;
			break;
		default: return -1;
		}
	}
	if (strcmp(options->scenario, "all") != 0 && scenario_find(options->scenario) == NULL)
		return -1;
	return optind == argc && options->jobs >= 1 && options->jobs <= OBSERVER_SLOTS ? 0 : -1;
}

static void raise_limits(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

int main(int argc, char **argv)
{
	struct options options;
	struct job jobs[OBSERVER_SLOTS];

	if (parse(argc, argv, &options) < 0) {
		usage(stderr);
		return 2;
	}
	raise_limits();
	if (quirks_learn() < 0)
		return 2;
	if (reads(&options) && observers_read_by_bpf(options.jobs) < 0)
		return 2;
	if (prepare_jobs(&options, jobs) < 0) {
		perror("memory");
		return 2;
	}
	return run_all(&options, jobs) == 0 ? 0 : 1;
}

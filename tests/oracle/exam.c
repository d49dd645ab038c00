/* SPDX-License-Identifier: BSD-2-Clause */
#include "exam.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/probe.h"
#include "command.h"
#include "judge.h"
#include "count/socket.h"
#include "population.h"

/* Of the questions, the part that the command answers as well: it takes as long as all the rest of a question. */
#define COMMAND_PERCENT 10

/* What one poll probes at most. */
#define PROBES_A_POLL 256

/* The book is compared pool by pool, which takes its square. */
#define LISTING_MAX 200

/* How long a half-open connection surely lives. */
#define HALF_OPEN_US 900000

struct exam {
	struct population population;
	struct observer observers[OBSERVERS];
	const struct exam_options *options;
	struct report *report;
	FILE *log;
};

/* The observers' answers, then that of the command. */
enum { COMMAND = OBSERVERS, ANSWERS };

struct answer {
	const char *name;
	bool given; /* the command is only asked now and then */
	bool probed;
	struct pw_pool_counts counts;
	struct window window; /* of the poll behind it */
};

/* One question with everything that is known about it. */
struct inquiry {
	struct question question;
	struct answer answers[ANSWERS];
	struct verdict verdict;
	struct pw_portset truth;   /* given or missed */
	struct pw_portset blocked; /* as the kernel answered */
	bool unlisted;             /* the command was asked and did not list the pool */
	unsigned odd;              /* 1 where the search may lose an end of the range */
};

/* The right answers: a number from low to high. */
struct interval {
	unsigned low, high;
};

static struct interval around(unsigned value, unsigned less, unsigned more)
{
	return (struct interval){.low = value > less ? value - less : 0, .high = value + more};
}

static unsigned count_common(const struct pw_portset *a, const struct pw_portset *b)
{
	struct pw_portset both = *a;

	pw_portset_intersect(&both, b);
	return pw_portset_count(&both);
}

static unsigned count_without(const struct pw_portset *a, const struct pw_portset *b)
{
	return pw_portset_count(a) - count_common(a, b);
}

/* --- words ---------------------------------------------------------------------------------------------------------------- */

static void print_ports(FILE *out, const char *title, const struct pw_portset *set)
{
	fprintf(out, "  %s:", title);
	for (unsigned port = 0; port < 65536; port++)
		if (pw_portset_has(set, (uint16_t)port))
			fprintf(out, " %u", port);
	fputc('\n', out);
}

static void describe(const struct exam *exam, const struct inquiry *q)
{
	char name[PW_POOL_NAME_MAX];
	const struct verdict *v = &q->verdict;

	fprintf(exam->log, "question %s (how %d%s): the kernel gave %u%s, %u more by the port, fast %u%s\n",
		pw_pool_name(&q->question.key, NULL, NULL, name), q->question.spec.how,
		q->question.spec.mapped ? ", mapped" : "", v->n_given, v->endless ? " and on" : "", v->n_missed,
		v->fast, v->in_order ? "" : ", out of order");
	for (int i = 0; i < ANSWERS; i++) {
		const struct pw_pool_counts *c = &q->answers[i].counts;

		if (q->answers[i].given)
			fprintf(exam->log,
				"  %-18s capacity %u used %u time_wait %u blocked %u reusable %u free %u fast %u utilization %u\n",
				q->answers[i].name, c->capacity, c->used, c->time_wait, c->blocked, c->reusable,
				c->free, c->fast_free, c->utilization);
	}
}

/* A wrong answer or a fault: everything that helps to find out why. */
static void explain(struct exam *exam, const struct inquiry *q, const char *what)
{
	struct pw_portset given = q->verdict.given;

	fprintf(exam->log, "*** %s\n", what);
	describe(exam, q);
	print_ports(exam->log, "given", &given);
	print_ports(exam->log, "missed", &q->verdict.missed);
	print_ports(exam->log, "blocked, says the kernel", &q->blocked);
	for (int i = 0; i < OBSERVERS; i++)
		print_ports(exam->log, exam->observers[i].name, pw_census_blocked(exam->observers[i].census));
	ledger_explain(&exam->population.maker.ledger, 0, exam->log);
}

static void wrong(struct exam *exam, const struct inquiry *q, const char *what)
{
	exam->report->wrong++;
	explain(exam, q, what);
}

static void fault(struct exam *exam, const struct inquiry *q, const char *what)
{
	exam->report->faults++;
	explain(exam, q, what);
}

/* --- what the kernel's answer allows ------------------------------------------------------------------------------------ */

static bool is_tcp_bind(const struct inquiry *q)
{
	return q->question.key.kind == PW_KIND_BIND && q->question.key.protocol == IPPROTO_TCP;
}

static bool searches_by_parity(const struct inquiry *q)
{
	return q->question.key.protocol == IPPROTO_TCP;
}

/* An odd width above 1 loses one end when one of them is among the free ports. UDP loses nothing. */
static unsigned odd_loss(const struct exam *exam, const struct inquiry *q)
{
	const struct pw_range *range = &exam->population.maker.range;

	if (!searches_by_parity(q) || !pw_range_is_odd(range))
		return 0;
	return pw_portset_has(&q->truth, range->low) || pw_portset_has(&q->truth, range->high);
}

/* Of the truth: the ports of the parity that is tried first. */
static unsigned fast_truth(const struct exam *exam, const struct inquiry *q)
{
	unsigned low_parity = exam->population.maker.range.low & 1;

	if (!searches_by_parity(q))
		return pw_portset_count(&q->truth);
	return pw_portset_count_parity(&q->truth, is_tcp_bind(q) ? !low_parity : low_parity);
}

/* --- the oracle against the kernel -------------------------------------------------------------------------------------- */

/* The search must have kept to the rules: all but one end of an odd range, parity by parity. */
static void check_search(struct exam *exam, const struct inquiry *q)
{
	const struct verdict *v = &q->verdict;
	const struct pw_range *range = &exam->population.maker.range;
	bool edge = pw_portset_has(&v->missed, range->low) || pw_portset_has(&v->missed, range->high);

	if (v->n_missed > q->odd || (v->n_missed == 1 && !edge))
		fault(exam, q, "the search missed a port that is no end of an odd range");
	else if (searches_by_parity(q) && !v->in_order)
		fault(exam, q, "the kernel did not hand out parity by parity");
}

/* The book must say the same as the kernel, or its explanations are worth nothing. */
static void check_book(struct exam *exam, const struct inquiry *q, const struct expectation *e)
{
	const struct ledger *ledger = &exam->population.maker.ledger;
	struct pw_portset different = e->open, blocked;

	for (int i = 0; i < PW_PORTSET_WORDS; i++)
		different.word[i] = (e->open.word[i] ^ q->truth.word[i]) & ~e->unsure.word[i];
	if (pw_portset_count(&different) != 0) {
		print_ports(exam->log, "book and kernel disagree about", &different);
		fault(exam, q, "the book does not expect what the kernel gave");
	}
	ledger_blocked(ledger, &exam->population.maker.range, &blocked);
	if (memcmp(&blocked, &q->blocked, sizeof(blocked)) != 0)
		fault(exam, q, "the book does not expect what the kernel blocks");
}

/* --- portwatch against the kernel ------------------------------------------------------------------------------------------ */

/* The side on which those may be wrong who may not ask. Of kernels before 6.18 nothing is promised without that: they keep
 * ports blocked that nobody holds any more. */
static enum side inferred_side(const struct exam *exam)
{
	return space_since(6, 18) ? exam->options->scenario->inferred : SIDE_EITHER;
}

/* Of the others. What is read leaves nothing open but what depends on who asks. */
static enum side known_side(const struct exam *exam)
{
	const struct scenario *scenario = exam->options->scenario;

	return observers_read() && scenario->twist != TWIST_AUTOBIND_CLIENT ? SIDE_NONE : scenario->probed;
}

/* Whether a number lies inside, and else whether this scenario may be wrong on that side. */
static bool acceptable(unsigned value, struct interval right, enum side side)
{
	if (value > right.high)
		return side == SIDE_HIGH || side == SIDE_EITHER;
	return value >= right.low || side == SIDE_LOW || side == SIDE_EITHER;
}

static void mark(struct marks *marks, unsigned value, struct interval right)
{
	if (value > right.high) {
		marks->high++;
		marks->worst_high = value - right.high > marks->worst_high ? value - right.high : marks->worst_high;
	} else if (value < right.low) {
		marks->low++;
		marks->worst_low = right.low - value > marks->worst_low ? right.low - value : marks->worst_low;
	} else if (right.low == right.high) {
		marks->exact++;
	} else {
		marks->inside++;
	}
}

static void check_number(struct exam *exam, const struct inquiry *q, const char *name, unsigned value,
	struct interval right, enum side side, const char *who)
{
	char what[128];

	if (acceptable(value, right, side))
		return;
	snprintf(what, sizeof(what), "%s: %s is %u, right is %u..%u", who, name, value, right.low, right.high);
	wrong(exam, q, what);
}

/* used + blocked + free - reusable = capacity, less 1 where an end is lost; utilization follows from free. */
static void check_identity(struct exam *exam, const struct inquiry *q, const struct pw_pool_counts *c)
{
	unsigned sum = c->used + c->blocked + c->free - c->reusable,
		 width = pw_range_is_odd(&exam->population.maker.range);
	unsigned percent = c->capacity == 0 || c->free == 0 ? 100 : (c->capacity - c->free) * 100 / c->capacity;

	if (sum > c->capacity || sum + width < c->capacity)
		wrong(exam, q, "used + blocked + free - reusable is not the capacity");
	if (c->utilization != percent || (c->utilization == 100) != (c->free == 0) || c->fast_free > c->free ||
		c->time_wait > c->used)
		wrong(exam, q, "numbers that do not go together");
}

/* The numbers beside free. */
static void check_details(struct exam *exam, const struct inquiry *q, const struct answer *a,
	const struct expectation *e, unsigned unsure)
{
	const struct pw_pool_counts *c = &a->counts;
	bool bind = q->question.key.kind == PW_KIND_BIND;
	enum side side = a->probed || space_since(6, 18) ? SIDE_NONE : SIDE_EITHER;
	unsigned loose = bind ? unsure : 0, hidden = pw_portset_count(&e->hidden);
	struct pw_portset capacity;

	pw_range_capacity(&exam->population.maker.range, &capacity);
	check_number(exam, q, "capacity", c->capacity, around(pw_portset_count(&capacity), 0, 0), SIDE_NONE, a->name);
	check_number(exam, q, "used", c->used, around(pw_portset_count(&e->used), loose, loose), side, a->name);
	check_number(exam, q, "time_wait", c->time_wait, around(count_without(&e->used, &e->active), hidden, hidden),
		side, a->name);
	if (!a->probed)
		return;
	check_number(exam, q, "blocked", c->blocked, around(bind ? 0 : count_without(&q->blocked, &e->used), 0, 0),
		SIDE_NONE, a->name);
	check_number(exam, q, "reusable", c->reusable,
		around(bind ? 0 : count_common(&q->truth, &e->used), unsure, unsure), known_side(exam), a->name);
}

/* The set of blocked ports: with probes the kernel's, without a part of it, unless a scenario says otherwise. */
static void check_blocked(struct exam *exam, const struct inquiry *q, const struct observer *o)
{
	const struct pw_portset *said = pw_census_blocked(o->census);
	enum side side = inferred_side(exam);

	if (o->probe && memcmp(said, &q->blocked, sizeof(*said)) != 0)
		wrong(exam, q, "probed, and the blocked ports are not the kernel's");
	else if (count_without(said, &q->blocked) != 0 && side != SIDE_LOW && side != SIDE_EITHER)
		wrong(exam, q, "a port is called blocked that is not");
}

/* Free and fast free, which the kernel has told by what it gave. Returns whether more than one answer is right. */
static bool check_free(
	struct exam *exam, const struct inquiry *q, const struct answer *a, struct marks *marks, unsigned unsure)
{
	enum side side = a->probed ? known_side(exam) : inferred_side(exam);
	struct interval right = around(pw_portset_count(&q->truth), q->odd + unsure, unsure);
	struct interval fast = around(fast_truth(exam, q), (is_tcp_bind(q) ? 0 : q->odd) + unsure, unsure);

	if (q->verdict.endless)
		right.low = right.high = q->verdict.n_given;
	mark(marks, a->counts.free, right);
	check_number(exam, q, "free", a->counts.free, right, side, a->name);
	if (!q->verdict.endless)
		check_number(exam, q, "fast_free", a->counts.fast_free, fast, side, a->name);
	return right.low != right.high;
}

/* Returns whether more than one answer is right. */
static bool check_answer(struct exam *exam, const struct inquiry *q, const struct answer *a, struct marks *marks)
{
	struct window window = {.from_us = a->window.from_us, .to_us = q->verdict.window.to_us};
	struct expectation e;
	unsigned unsure;
	bool loose;

	ledger_expect(&exam->population.maker.ledger, &exam->population.maker.range, &q->question.key, window, &e);
	unsure = pw_portset_count(&e.unsure);
	loose = check_free(exam, q, a, marks, unsure);
	check_identity(exam, q, &a->counts);
	if (exam->options->scenario->twist != TWIST_AUTOBIND_CLIENT)
		check_details(exam, q, a, &e, unsure);
	return loose;
}

/* --- asking ------------------------------------------------------------------------------------------------------------------ */

/* TIME_WAIT sockets in the book. */
static unsigned count_time_wait(const struct ledger *ledger)
{
	unsigned n = 0;

	for (size_t i = 0; i < ledger->n; i++)
		n += !ledger->entries[i].gone && ledger_time_wait(&ledger->entries[i]);
	return n;
}

/* The command polls once, so it can be sure of no more ports than one poll probes. When it measures the latency of a pool, the allocator
 * may give its probe the port of a TIME_WAIT, which then ends: such an answer is one about the time before, and not compared. */
static int ask_command(struct exam *exam, struct inquiry *q)
{
	struct maker *maker = &exam->population.maker;
	struct answer *a = &q->answers[COMMAND];
	unsigned time_wait = count_time_wait(&maker->ledger);
	int found;

	if (exam->options->command == NULL || (unsigned)maker->range.high - maker->range.low >= PROBES_A_POLL ||
		!rng_chance(&maker->rng, COMMAND_PERCENT))
		return 0;
	*a = (struct answer){.name = "the command", .probed = true, .window.from_us = space_now_us()};
	found = command_ask(exam->options->command, &q->question.key, &a->counts, exam->log);
	ledger_refresh(&maker->ledger);
	if (found < 0 || count_time_wait(&maker->ledger) != time_wait)
		return found < 0 ? -1 : 0;
	exam->report->commands++;
	q->unlisted = found == 0;
	a->given = found > 0;
	return 0;
}

static int ask_observer(struct exam *exam, struct inquiry *q, unsigned i)
{
	struct observer *o = &exam->observers[i];

	if (observer_poll(o, exam->log) < 0)
		return -1;
	q->answers[i] = (struct answer){.name = o->name, .given = true, .probed = o->probe, .window = o->window};
	pw_source_pool(pw_census_source(o->census), &q->question.key, &q->answers[i].counts);
	return 0;
}

/* The command, the observers in turn, then the kernel. Returns 0, or -1 when somebody could not be asked. */
static int inquire(struct exam *exam, struct inquiry *q)
{
	struct maker *maker = &exam->population.maker;
	unsigned first = rng_below(&maker->rng, OBSERVERS);

	population_question(&exam->population, &q->question);
	ledger_refresh(&maker->ledger);
	if (judge_blocked(maker, &q->blocked, exam->log) < 0 || ask_command(exam, q) < 0)
		return -1;
	for (unsigned i = 0; i < OBSERVERS; i++)
		if (ask_observer(exam, q, (first + i) % OBSERVERS) < 0)
			return -1;
	return judge_pool(maker, &q->question, &q->verdict, exam->log);
}

/* The oracle against the kernel: where even the book is unsure, or a scenario is about what the rules leave out, it claims nothing. */
static void check_oracle(struct exam *exam, const struct inquiry *q)
{
	const struct maker *maker = &exam->population.maker;
	struct expectation e;

	/* its rules are those of 6.18 */
	if (exam->options->scenario->twist != TWIST_NONE || !space_since(6, 18))
		return;
	ledger_expect(&maker->ledger, &maker->range, &q->question.key, q->verdict.window, &e);
	check_book(exam, q, &e);
	if (pw_portset_count(&e.unsure) == 0)
		check_search(exam, q);
}

/* One allocation by a probe must succeed where there are ports, and fail where there is none. The last ones are never asked for. */
static void check_latency(struct exam *exam, const struct inquiry *q)
{
	const struct maker *maker = &exam->population.maker;
	struct window window = {.from_us = q->verdict.window.from_us};
	unsigned n = pw_portset_count(&q->truth);
	struct expectation e;
	bool exhausted;
	uint32_t us;

	if (q->question.key.kind != PW_KIND_CONNECT || (n > 0 && n <= 2) ||
		exam->options->scenario->probed != SIDE_NONE)
		return;
	us = pw_probe_alloc(&q->question.key, &exhausted);
	window.to_us = space_now_us();
	ledger_expect(&maker->ledger, &maker->range, &q->question.key, window, &e);
	if (pw_portset_count(&e.unsure) != 0)
		return; /* a TIME_WAIT has come of age meanwhile */
	if (us == 0)
		wrong(exam, q, "the latency of an allocation could not be measured");
	else if (exhausted != (n == 0))
		wrong(exam, q, "a probe of the pool says otherwise than the kernel");
}

static void check_all(struct exam *exam, struct inquiry *q)
{
	struct marks unlisted = {0};

	check_oracle(exam, q);
	/* a bind pool is listed for addresses that have sockets of their own */
	if (q->unlisted && q->answers[PROBED_FRESH].counts.used != 0 && q->question.key.kind == PW_KIND_CONNECT)
		wrong(exam, q, "the command does not list a pool with ports in use");
	for (int i = 0; i < ANSWERS; i++) {
		bool loose = q->answers[i].given &&
			check_answer(exam, q, &q->answers[i], i < OBSERVERS ? &exam->report->marks[i] : &unlisted);

		exam->report->intervals += i == 0 && loose;
		if (i < OBSERVERS)
			check_blocked(exam, q, &exam->observers[i]);
	}
}

/* How often a question is asked when sockets end by themselves in the middle of it. */
#define MAX_QUESTIONS 10

/* Everybody is asked about the same sockets: when some have moved on in between, as on a busy machine, it is asked once more. */
static int inquire_at_rest(struct exam *exam, struct inquiry *q)
{
	struct maker *maker = &exam->population.maker;
	const struct rng dice = maker->rng;
	const uint32_t commands = exam->report->commands;

	for (unsigned i = 0; i < MAX_QUESTIONS; i++) {
		*q = (struct inquiry){.odd = 0};
		maker->rng = dice;
		exam->report->commands = commands;
		if (inquire(exam, q) < 0)
			return -1;
		if (!ledger_moved(&maker->ledger))
			return 0;
		fprintf(exam->log, "the population has moved: the question is asked again\n");
		judge_settle(maker, &q->question, &q->verdict);
	}
	return -1;
}

static void ask(struct exam *exam)
{
	struct inquiry q;

	exam->report->questions++;
	if (inquire_at_rest(exam, &q) < 0) {
		fault(exam, &q, "a question could not be asked");
		return;
	}
	q.truth = q.verdict.given;
	pw_portset_union(&q.truth, &q.verdict.missed);
	q.odd = odd_loss(exam, &q);
	describe(exam, &q);
	check_all(exam, &q);
	judge_settle(&exam->population.maker, &q.question, &q.verdict);
	check_latency(exam, &q);
}

/* --- the list of pools ------------------------------------------------------------------------------------------------------- */

struct listing {
	struct exam *exam;
	struct pw_pool_key *keys;
	size_t n, size;
	unsigned different;
};

/* What is listed must have the same numbers as when it is asked for. */
static int list_pool(const struct pw_pool_key *key, const struct pw_pool_counts *counts, void *context)
{
	struct listing *listing = context;
	struct pw_pool_counts again;

	pw_source_pool(pw_census_source(listing->exam->observers[PROBED_WATCHING].census), key, &again);
	listing->different += memcmp(&again, counts, sizeof(again)) != 0;
	if (listing->n < listing->size)
		listing->keys[listing->n++] = *key;
	return 0;
}

static bool is_listed(const struct listing *listing, const struct pw_pool_key *key)
{
	for (size_t i = 0; i < listing->n; i++)
		if (memcmp(&listing->keys[i], key, sizeof(*key)) == 0)
			return true;
	return false;
}

/* Whether an entry's own pool, if its port is one of those in use there, is in the list. */
static bool entry_listed(const struct listing *listing, const struct entry *e)
{
	const struct maker *maker = &listing->exam->population.maker;
	struct pw_pool_key key = {.local = e->local,
		.remote = e->remote,
		.ns = 1,
		.port = e->remote_port,
		.kind = PW_KIND_CONNECT,
		.protocol = e->protocol};
	struct window now = {.from_us = space_now_us(), .to_us = space_now_us()};
	struct expectation expected;

	if (e->gone || e->protocol != IPPROTO_TCP || e->remote_port == 0)
		return true;
	/* without a listener it ends at its first retransmission, after a second */
	if (e->half_open && now.to_us > e->born_us + HALF_OPEN_US)
		return true;
	ledger_expect(&maker->ledger, &maker->range, &key, now, &expected);
	/* by a port that is blocked nobody is in this pool, even if one of a device shares ports of others that are in use */
	return !pw_portset_has(&expected.used, e->port) || is_listed(listing, &key);
}

/* Every pool with a port in use by a socket of its own must be listed, once. */
static void check_listing(struct exam *exam)
{
	const struct ledger *ledger = &exam->population.maker.ledger;
	struct listing listing = {.exam = exam, .size = 4 * LISTING_MAX};
	struct inquiry nothing = {.odd = 0};

	if (ledger->n > LISTING_MAX)
		return;
	listing.keys = calloc(listing.size, sizeof(*listing.keys));
	if (listing.keys == NULL)
		return;
	ledger_refresh(&exam->population.maker.ledger);
	if (observer_poll(&exam->observers[PROBED_WATCHING], exam->log) < 0)
		fault(exam, &nothing, "no poll for the list");
	pw_source_each(pw_census_source(exam->observers[PROBED_WATCHING].census), 1, list_pool, &listing);
	if (listing.different != 0)
		wrong(exam, &nothing, "a pool has other numbers in the list");
	for (size_t i = 0; i < ledger->n; i++)
		if (!entry_listed(&listing, &ledger->entries[i])) {
			fprintf(exam->log, "the pool of #%zu:\n", i);
			wrong(exam, &nothing, "a pool is not in the list");
		}
	free(listing.keys);
}

/* --- a population ------------------------------------------------------------------------------------------------------------ */

static int watch(struct exam *exam)
{
	struct inquiry nothing = {.odd = 0};

	if (observers_watch(exam->observers, exam->log) == 0)
		return 0;
	fault(exam, &nothing, "a poll failed");
	return -1;
}

static void run(struct exam *exam)
{
	struct population *p = &exam->population;

	observers_begin(exam->observers);
	population_grow(p);
	if (watch(exam) == 0) {
		population_change(p);
		population_age(p);
		for (unsigned i = 0; i < p->questions; i++)
			ask(exam);
		check_listing(exam);
	}
	observers_end(exam->observers);
}

/* TIME_WAIT ends after a minute: on a machine so busy nothing is known any more. What else ends by itself is noticed, see ledger_moved(). */
#define STALE_US 50000000

void examine(const struct exam_options *options, struct report *out, FILE *log)
{
	struct exam exam = {.options = options, .report = out, .log = log};
	uint64_t took_us;

	memset(out, 0, sizeof(*out));
	if (population_begin(&exam.population, options->scenario, options->seed, log) < 0)
		out->faults++;
	else
		run(&exam);
	took_us = space_now_us() - exam.population.begun_us;
	out->stale = took_us > STALE_US;
	fprintf(log, "took %.1f ms\n", (double)took_us / 1000);
	population_end(&exam.population);
}

void report_add(struct report *sum, const struct report *one)
{
	for (int i = 0; i < OBSERVERS; i++) {
		struct marks *s = &sum->marks[i];
		const struct marks *o = &one->marks[i];

		s->exact += o->exact;
		s->inside += o->inside;
		s->high += o->high;
		s->low += o->low;
		s->worst_high = o->worst_high > s->worst_high ? o->worst_high : s->worst_high;
		s->worst_low = o->worst_low > s->worst_low ? o->worst_low : s->worst_low;
	}
	sum->populations += one->populations;
	sum->left_out += one->left_out;
	sum->questions += one->questions;
	sum->intervals += one->intervals;
	sum->commands += one->commands;
	sum->wrong += one->wrong;
	sum->faults += one->faults;
}

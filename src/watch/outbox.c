/* SPDX-License-Identifier: BSD-2-Clause */
#include "watch/outbox.h"

#include <stdlib.h>
#include <string.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

/* Beside the pools: failing collectors (one entry a namespace) and failing connects. A full outbox must not refuse
 * these. */
#define SPECIAL_ENTRIES 64

/* More a minute than any receiver can take: the same as no limit. */
#define RATE_MAX 100000
#define MINUTE_MS 60000
#define RETRY_MS 1000 /* after want of memory */

#define NOT_WAITING SIZE_MAX

/* What makes an entry that is no pool's, in the place of its kind. */
enum { KIND_COLLECTOR = 0, KIND_CONNECTS = 255 };

/* In which order entries go out. */
enum rank {
	RANK_COLLECTOR,
	RANK_AGAIN, /* was under way when the connection was lost */
	RANK_CONNECTS,
	RANK_EXHAUSTED,
	RANK_CRITICAL,
	RANK_WARNING,
	RANK_FALLING,
	RANK_REPEATED /* no news: else the repetitions of many bad alarms would keep all news waiting at the rate limit */
};

/* What the receiver knows of one pool, and what it has still to learn. An entry waits (has a place in the heap), is
 * in flight, or owes nothing; one that owes nothing is kept only while the receiver believes in an alarm. */
struct entry {
	struct pw_pool_key key;
	enum pw_state acknowledged;
	uint32_t last_id;
	bool has_pending; /* `pending` is the newest state, not yet sent */
	bool repeat;      /* and is owed although the receiver knows this state */
	bool in_flight;
	struct pw_event *sent; /* taken and not acknowledged: under way, or waiting to go again */
	struct pw_event pending;

	size_t place; /* in the heap, or NOT_WAITING */
	enum rank rank;
	uint32_t utilization;
	uint64_t order;      /* older first */
	uint64_t held_epoch; /* see hold_back() */
	uint32_t sent_id;    /* sent->id */
	UT_hash_handle by_key, by_id;
};

/* The times of the last notifications taken, as many as one minute allows. */
struct rate {
	uint32_t max;
	uint32_t n, next;
	uint64_t *taken_ms;
};

struct pw_outbox {
	size_t max_entries;
	struct entry *by_key, *by_id;
	struct entry **heap; /* room for max_entries + SPECIAL_ENTRIES from the start: waiting never fails */
	size_t n_heap, n_in_flight, n_pools;
	uint64_t next_order;
	struct rate rate;
	uint64_t epoch; /* of the last time that the rate limit held something back */
	size_t fresh;   /* waiting entries that no such time has counted yet */
	uint64_t acknowledged, suppressed;
};

/* --- the heap of waiting entries -------------------------------------------------------------------------------- */

static bool goes_before(const struct entry *a, const struct entry *b)
{
	if (a->rank != b->rank)
		return a->rank < b->rank;
	if (a->utilization != b->utilization)
		return a->utilization > b->utilization;
	return a->order < b->order;
}

static void heap_set(struct pw_outbox *box, size_t place, struct entry *e)
{
	box->heap[place] = e;
	e->place = place;
}

static void heap_up(struct pw_outbox *box, struct entry *e)
{
	size_t place = e->place;

	while (place > 0 && goes_before(e, box->heap[(place - 1) / 2])) {
		heap_set(box, place, box->heap[(place - 1) / 2]);
		place = (place - 1) / 2;
	}
	heap_set(box, place, e);
}

static void heap_down(struct pw_outbox *box, struct entry *e)
{
	size_t place = e->place;

	for (;;) {
		size_t child = 2 * place + 1;

		if (child + 1 < box->n_heap && goes_before(box->heap[child + 1], box->heap[child]))
			child++;
		if (child >= box->n_heap || goes_before(e, box->heap[child]))
			break;
		heap_set(box, place, box->heap[child]);
		place = child;
	}
	heap_set(box, place, e);
}

static void stop_waiting(struct pw_outbox *box, struct entry *e)
{
	struct entry *last;

	if (e->place == NOT_WAITING)
		return;
	last = box->heap[--box->n_heap];
	if (last != e) {
		heap_set(box, e->place, last);
		heap_up(box, last);
		heap_down(box, last);
	}
	e->place = NOT_WAITING;
	box->fresh -= e->held_epoch == box->epoch;
}

static enum rank pool_rank(const struct entry *e)
{
	static const enum rank ranks[] = {[PW_STATE_WARNING] = RANK_WARNING,
		[PW_STATE_CRITICAL] = RANK_CRITICAL,
		[PW_STATE_EXHAUSTED] = RANK_EXHAUSTED};

	if (e->repeat && e->pending.state == e->acknowledged)
		return RANK_REPEATED;
	return e->pending.state < e->acknowledged ? RANK_FALLING : ranks[e->pending.state];
}

static enum rank rank_of(const struct entry *e)
{
	if (e->key.kind == KIND_COLLECTOR)
		return RANK_COLLECTOR;
	if (e->sent != NULL)
		return RANK_AGAIN;
	return e->key.kind == KIND_CONNECTS ? RANK_CONNECTS : pool_rank(e);
}

static void start_waiting(struct pw_outbox *box, struct entry *e)
{
	stop_waiting(box, e);
	e->rank = rank_of(e);
	e->utilization = e->rank >= RANK_EXHAUSTED ? e->pending.counts.utilization : 0;
	e->order = box->next_order++;
	e->held_epoch = box->epoch;
	e->place = box->n_heap++;
	box->fresh++;
	heap_up(box, e);
}

/* --- the rate limit --------------------------------------------------------------------------------------------- */

/* Milliseconds until the next one may go. The oldest of the last `max` is next in line to be overwritten. */
static uint32_t rate_wait(const struct rate *rate, uint64_t now_ms)
{
	uint64_t age;

	if (rate->max == 0 || rate->n < rate->max)
		return 0;
	age = now_ms - rate->taken_ms[rate->next];
	return age < MINUTE_MS ? (uint32_t)(MINUTE_MS - age) : 0;
}

static void rate_note(struct rate *rate, uint64_t now_ms)
{
	if (rate->max == 0)
		return;
	rate->taken_ms[rate->next] = now_ms;
	rate->next = (rate->next + 1) % rate->max;
	rate->n += rate->n < rate->max;
}

/* Everything that waits is held back by the limit; each notification is counted once. */
static void hold_back(struct pw_outbox *box)
{
	box->suppressed += box->fresh;
	box->fresh = 0;
	box->epoch++;
}

void pw_outbox_set_rate(struct pw_outbox *box, uint32_t max_per_minute)
{
	const struct rate *old = &box->rate;
	struct rate rate = {.max = max_per_minute > RATE_MAX ? 0 : max_per_minute};
	uint32_t keep;

	if (rate.max == old->max)
		return;
	if (rate.max != 0) {
		rate.taken_ms = calloc(rate.max, sizeof(*rate.taken_ms));
		if (rate.taken_ms == NULL)
			return;
	}
	keep = old->n < rate.max ? old->n : rate.max;
	for (uint32_t i = keep; i > 0; i--)
		rate_note(&rate, old->taken_ms[(old->next + old->max - i) % old->max]);
	free(old->taken_ms);
	box->rate = rate;
}

/* --- entries ---------------------------------------------------------------------------------------------------- */

struct pw_outbox *pw_outbox_new(size_t max_entries)
{
	struct pw_outbox *box = calloc(1, sizeof(*box));

	if (box == NULL)
		return NULL;
	box->max_entries = max_entries;
	box->heap = calloc(max_entries + SPECIAL_ENTRIES, sizeof(struct entry *));
	if (box->heap == NULL) {
		free(box);
		return NULL;
	}
	return box;
}

static void forget_sent(struct pw_outbox *box, struct entry *e)
{
	if (e->sent == NULL)
		return;
	HASH_DELETE(by_id, box->by_id, e);
	box->n_in_flight -= e->in_flight;
	e->in_flight = false;
	free(e->sent);
	e->sent = NULL;
}

static bool is_pool(const struct pw_pool_key *key)
{
	return key->kind != KIND_COLLECTOR && key->kind != KIND_CONNECTS;
}

static void remove_entry(struct pw_outbox *box, struct entry *e)
{
	stop_waiting(box, e);
	forget_sent(box, e);
	HASH_DELETE(by_key, box->by_key, e);
	box->n_pools -= is_pool(&e->key);
	free(e);
}

void pw_outbox_free(struct pw_outbox *box)
{
	struct entry *e, *next;

	if (box == NULL)
		return;
	HASH_ITER(by_key, box->by_key, e, next)
	remove_entry(box, e);
	free(box->rate.taken_ms);
	free(box->heap);
	free(box);
}

static struct entry *find_entry(const struct pw_outbox *box, const struct pw_pool_key *key)
{
	struct entry *e;

	HASH_FIND(by_key, box->by_key, key, sizeof(*key), e);
	return e;
}

static struct entry *new_entry(struct pw_outbox *box, const struct pw_pool_key *key)
{
	size_t used = is_pool(key) ? box->n_pools : HASH_CNT(by_key, box->by_key) - box->n_pools;
	struct entry *e;

	if (used >= (is_pool(key) ? box->max_entries : SPECIAL_ENTRIES))
		return NULL;
	e = calloc(1, sizeof(*e));
	if (e == NULL)
		return NULL;
	e->key = *key;
	e->acknowledged = PW_STATE_NORMAL;
	e->place = NOT_WAITING;
	HASH_ADD(by_key, box->by_key, key, sizeof(e->key), e);
	if (find_entry(box, key) == NULL) { /* the table could not grow */
		free(e);
		return NULL;
	}
	box->n_pools += is_pool(key);
	return e;
}

/* The state that an event tells of. A failing collector is an alarm like others; failing connects have no state,
 * each is owed. */
static enum pw_state event_state(const struct pw_event *event)
{
	switch (event->type) {
	case PW_EVENT_RISING:
	case PW_EVENT_FALLING: return event->state;
	case PW_EVENT_COLLECTOR_FAILED: return PW_STATE_EXHAUSTED;
	default: return PW_STATE_NORMAL;
	}
}

static struct pw_pool_key event_key(const struct pw_event *event)
{
	switch (event->type) {
	case PW_EVENT_RISING:
	case PW_EVENT_FALLING: return event->key;
	case PW_EVENT_CONNECT_FAILING: return (struct pw_pool_key){.kind = KIND_CONNECTS};
	default: return (struct pw_pool_key){.kind = KIND_COLLECTOR, .ns = event->key.ns};
	}
}

static bool always_owed(const struct pw_event *event)
{
	return event->type == PW_EVENT_CONNECT_FAILING ||
		(event->type == PW_EVENT_RISING && event->state == event->previous);
}

/* Compares what is to be told with what the receiver knows, when nothing is under way: queues the entry, or frees
 * it. */
static void settle(struct pw_outbox *box, struct entry *e)
{
	if (e->has_pending && !e->repeat && event_state(&e->pending) == e->acknowledged)
		e->has_pending = false;
	if (e->has_pending)
		start_waiting(box, e);
	else if (e->acknowledged == PW_STATE_NORMAL)
		remove_entry(box, e);
	else
		stop_waiting(box, e);
}

/* --- posting ---------------------------------------------------------------------------------------------------- */

/* Whether the entry will tell of this state anyway, so that a repetition adds nothing. */
static bool will_tell(const struct entry *e, enum pw_state state)
{
	if (e->has_pending)
		return event_state(&e->pending) == state;
	return e->sent != NULL && event_state(e->sent) == state;
}

static uint32_t add_failures(uint32_t a, uint32_t b)
{
	return a < UINT32_MAX - b ? a + b : UINT32_MAX;
}

int pw_outbox_post(struct pw_outbox *box, const struct pw_event *event)
{
	struct pw_pool_key key = event_key(event);
	struct entry *e = find_entry(box, &key);
	uint32_t earlier = 0;

	if (e == NULL && event_state(event) == PW_STATE_NORMAL && event->type != PW_EVENT_CONNECT_FAILING)
		return 0; /* of what ended here the receiver has never heard */
	if (e == NULL)
		e = new_entry(box, &key);
	if (e == NULL)
		return -1;
	if (event->type == PW_EVENT_CONNECT_FAILING)
		earlier = e->has_pending ? e->pending.failures : 0;
	else if (always_owed(event) && will_tell(e, event->state))
		return 0;
	e->pending = *event;
	e->pending.failures = add_failures(event->failures, earlier);
	e->has_pending = true;
	e->repeat = always_owed(event);
	if (e->sent == NULL)
		settle(box, e);
	return 0;
}

/* --- sending ---------------------------------------------------------------------------------------------------- */

/* Makes the pending event the one under way. Returns -1 when out of memory, and nothing has changed. */
static int send_pending(struct pw_outbox *box, struct entry *e)
{
	struct pw_event *copy = malloc(sizeof(*copy));
	struct entry *found;

	if (copy == NULL)
		return -1;
	*copy = e->pending;
	if (is_pool(&e->key))
		pw_event_set_previous(copy, e->acknowledged);
	e->sent_id = copy->id;
	HASH_ADD(by_id, box->by_id, sent_id, sizeof(e->sent_id), e);
	HASH_FIND(by_id, box->by_id, &e->sent_id, sizeof(e->sent_id), found);
	if (found == NULL) {
		free(copy);
		return -1;
	}
	e->sent = copy;
	e->has_pending = false;
	return 0;
}

bool pw_outbox_take(struct pw_outbox *box, uint64_t now_ms, struct pw_event *out, uint32_t *wait_ms)
{
	uint32_t unused, wait = rate_wait(&box->rate, now_ms);
	struct entry *e;

	wait_ms = wait_ms != NULL ? wait_ms : &unused;
	*wait_ms = UINT32_MAX;
	if (box->n_heap == 0)
		return false;
	if (wait != 0) {
		*wait_ms = wait;
		hold_back(box);
		return false;
	}
	e = box->heap[0];
	if (e->sent == NULL && send_pending(box, e) < 0) {
		*wait_ms = RETRY_MS;
		return false;
	}
	stop_waiting(box, e);
	rate_note(&box->rate, now_ms);
	e->in_flight = true;
	e->last_id = e->sent_id;
	box->n_in_flight++;
	*out = *e->sent;
	*wait_ms = 0;
	return true;
}

static struct entry *find_sent(const struct pw_outbox *box, uint32_t id)
{
	struct entry *e;

	HASH_FIND(by_id, box->by_id, &id, sizeof(id), e);
	return e;
}

void pw_outbox_acknowledge(struct pw_outbox *box, uint32_t id)
{
	struct entry *e = find_sent(box, id);

	if (e == NULL)
		return;
	e->acknowledged = event_state(e->sent);
	box->acknowledged++;
	stop_waiting(box, e);
	forget_sent(box, e);
	settle(box, e);
}

static void send_again(struct pw_outbox *box, struct entry *e)
{
	if (!e->in_flight)
		return;
	e->in_flight = false;
	box->n_in_flight--;
	start_waiting(box, e);
}

void pw_outbox_return(struct pw_outbox *box, uint32_t id)
{
	struct entry *e = find_sent(box, id);

	if (e != NULL)
		send_again(box, e);
}

/* The table of what is sent keeps the order of sending, so that it goes out again in the same order. */
void pw_outbox_return_all(struct pw_outbox *box)
{
	struct entry *e, *next;

	HASH_ITER(by_id, box->by_id, e, next)
	send_again(box, e);
}

void pw_outbox_stats(const struct pw_outbox *box, struct pw_outbox_stats *out)
{
	*out = (struct pw_outbox_stats){.acknowledged = box->acknowledged,
		.suppressed = box->suppressed,
		.owed = box->n_heap + box->n_in_flight,
		.in_flight = box->n_in_flight};
}

uint32_t pw_outbox_last_id(const struct pw_outbox *box, const struct pw_pool_key *key)
{
	const struct entry *e = find_entry(box, key);

	return e != NULL ? e->last_id : 0;
}

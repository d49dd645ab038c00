/* SPDX-License-Identifier: BSD-2-Clause */
#include "watch/owed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "base/array.h"
#include "watch/share.h"

#define RETRY_MS 1000 /* after want of memory */
#define OWN_NS 1      /* pwNsIndex of the host's own namespace */

#define NOT_WAITING SIZE_MAX

/* Above what pw_event_urgency() says of pools: these go first. */
#define URGENCY_CONNECTS (UINT64_C(5) << 60)
#define URGENCY_AGAIN (UINT64_C(6) << 60) /* was under way when the connection was lost */
#define URGENCY_COLLECTOR (UINT64_C(7) << 60)

/* What the receiver knows of one pool, and what it has still to learn. An entry waits (has a place in the heap of its
 * namespace), is in flight, or owes nothing; one that owes nothing is kept only while the receiver believes in an
 * alarm. */
struct entry {
	struct pw_pool_key key;
	struct member *member;
	enum pw_state acknowledged;
	uint32_t last_id;
	bool has_pending; /* `pending` is the newest state, not yet sent */
	bool repeat;      /* and is owed although the receiver knows this state */
	bool uncertain;   /* `acknowledged` is a guess, since a restart */
	bool in_flight;
	struct pw_event *sent; /* taken and not acknowledged: under way, or waiting to go again */
	struct pw_event pending;

	size_t place; /* in the heap, or NOT_WAITING */
	uint64_t urgency;
	uint64_t order;      /* older first */
	uint64_t held_epoch; /* see pw_owed_take() */
	uint32_t sent_id;    /* sent->id */
	UT_hash_handle by_key, by_id;
};

/* A namespace with its entries; kept while it has any, or has taken some in the last minute. */
struct member {
	uint32_t ns; /* pwNsIndex */
	struct pw_share_user user;
	size_t n_pools;      /* entries of pools, waiting or not */
	struct entry **heap; /* of the waiting entries; there is always room for all: waiting never fails */
	size_t n_heap, room, n_entries;
	uint64_t least_urgent; /* nothing that could be given up is less urgent; 0 = not known */
	UT_hash_handle hh;
};

struct pw_owed {
	size_t max_entries;
	struct entry *by_key, *by_id;
	struct member *members;
	size_t n_waiting, n_in_flight, n_others; /* the last: entries of pools of other namespaces than the own */
	uint64_t next_order;
	struct pw_share rate;
	uint64_t epoch; /* of the last time that the rate limit held something back */
	size_t fresh;   /* waiting entries that no such time has counted yet */
	uint64_t acknowledged, suppressed, changes;
};

/* --- the waiting entries of a namespace --- */

static bool goes_before(const struct entry *a, const struct entry *b)
{
	return a->urgency != b->urgency ? a->urgency > b->urgency : a->order < b->order;
}

static void heap_set(struct entry **heap, size_t place, struct entry *e)
{
	heap[place] = e;
	e->place = place;
}

static void heap_up(struct entry **heap, struct entry *e)
{
	size_t place = e->place;

	for (; place > 0 && goes_before(e, heap[(place - 1) / 2]); place = (place - 1) / 2)
		heap_set(heap, place, heap[(place - 1) / 2]);
	heap_set(heap, place, e);
}

static void heap_down(struct entry **heap, size_t n, struct entry *e)
{
	size_t place = e->place, child;

	for (; (child = 2 * place + 1) < n; place = child) {
		child += child + 1 < n && goes_before(heap[child + 1], heap[child]);
		if (!goes_before(heap[child], e))
			break;
		heap_set(heap, place, heap[child]);
	}
	heap_set(heap, place, e);
}

static void stop_waiting(struct pw_owed *x, struct entry *e)
{
	struct member *m = e->member;
	struct entry *last;

	if (e->place == NOT_WAITING)
		return;
	last = m->heap[--m->n_heap];
	if (last != e) {
		heap_set(m->heap, e->place, last);
		heap_up(m->heap, last);
		heap_down(m->heap, m->n_heap, last);
	}
	e->place = NOT_WAITING;
	x->n_waiting--;
	x->fresh -= e->held_epoch == x->epoch;
}

static uint64_t urgency_of(const struct entry *e)
{
	if (e->key.kind == PW_TOLD_COLLECTOR)
		return URGENCY_COLLECTOR;
	if (e->sent != NULL)
		return URGENCY_AGAIN;
	return e->key.kind >= PW_TOLD_OTHERS ? URGENCY_CONNECTS : pw_event_urgency(&e->pending);
}

static void start_waiting(struct pw_owed *x, struct entry *e)
{
	struct member *m = e->member;

	stop_waiting(x, e);
	e->urgency = urgency_of(e);
	e->order = x->next_order++;
	e->held_epoch = x->epoch;
	x->fresh++;
	x->n_waiting++;
	m->least_urgent = 0;
	e->place = m->n_heap++;
	heap_up(m->heap, e);
}

/* --- entries --- */

static void forget_sent(struct pw_owed *x, struct entry *e)
{
	if (e->sent == NULL)
		return;
	HASH_DELETE(by_id, x->by_id, e);
	x->n_in_flight -= e->in_flight;
	e->in_flight = false;
	free(e->sent);
	e->sent = NULL;
}

static void remove_entry(struct pw_owed *x, struct entry *e)
{
	struct member *m = e->member;

	stop_waiting(x, e);
	forget_sent(x, e);
	/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): uthash frees its table with the last item only */
	HASH_DELETE(by_key, x->by_key, e);
	m->n_entries--;
	m->n_pools -= pw_told_is_pool(&e->key);
	x->n_others -= pw_told_is_pool(&e->key) && !m->user.own;
	free(e);
}

static void remove_member(struct pw_owed *x, struct member *m)
{
	HASH_DELETE(hh, x->members, m);
	pw_share_forget(&x->rate, &m->user);
	free(m->heap);
	free(m);
}

static struct member *find_member(struct pw_owed *x, uint32_t ns)
{
	struct member *m, *found;

	HASH_FIND(hh, x->members, &ns, sizeof(ns), m);
	if (m != NULL)
		return m;
	m = calloc(1, sizeof(*m));
	if (m == NULL)
		return NULL;
	m->ns = ns;
	m->user.own = ns == OWN_NS;
	HASH_ADD(hh, x->members, ns, sizeof(m->ns), m);
	HASH_FIND(hh, x->members, &ns, sizeof(ns), found);
	if (found == NULL) /* the table could not grow */
		free(m);
	return found;
}

static struct entry *find_entry(const struct pw_owed *x, const struct pw_pool_key *key)
{
	struct entry *e;

	HASH_FIND(by_key, x->by_key, key, sizeof(*key), e);
	return e;
}

/* The least urgent entry of a namespace of which the receiver has heard nothing, if it is less urgent than this. */
static struct entry *least_urgent(struct member *m, uint64_t urgency)
{
	struct entry *least = NULL;

	if (m->least_urgent != 0 && urgency <= m->least_urgent)
		return NULL;
	for (size_t i = 0; i < m->n_heap; i++) {
		struct entry *e = m->heap[i];

		if (pw_told_is_pool(&e->key) && e->sent == NULL && e->acknowledged == PW_STATE_NORMAL &&
			(least == NULL || goes_before(least, e)))
			least = e;
	}
	m->least_urgent = least != NULL ? least->urgency : UINT64_MAX;
	return least != NULL && least->urgency < urgency ? least : NULL;
}

static struct entry *add_entry(struct pw_owed *x, struct member *m, const struct pw_pool_key *key)
{
	struct entry *e = calloc(1, sizeof(*e));

	if (e == NULL || !PW_ARRAY_ROOM(m->heap, m->room, m->n_entries + 1)) {
		free(e);
		return NULL;
	}
	e->key = *key;
	e->member = m;
	e->acknowledged = PW_STATE_NORMAL;
	e->place = NOT_WAITING;
	HASH_ADD(by_key, x->by_key, key, sizeof(e->key), e);
	if (find_entry(x, key) == NULL) { /* the table could not grow */
		free(e);
		return NULL;
	}
	m->n_entries++;
	m->n_pools += pw_told_is_pool(key);
	x->n_others += pw_told_is_pool(key) && !m->user.own;
	return e;
}

/* --- posting --- */

/* The state that an event tells of. A failing collector is an alarm like others; failing connects have no state, each
 * is owed. */
static enum pw_state event_state(const struct pw_event *event)
{
	switch (event->type) {
	case PW_EVENT_RISING:
	case PW_EVENT_FALLING:
	case PW_EVENT_CONNTRACK_RISING:
	case PW_EVENT_CONNTRACK_FALLING: return event->state;
	case PW_EVENT_COLLECTOR_FAILED: return PW_STATE_EXHAUSTED;
	default: return PW_STATE_NORMAL;
	}
}

static struct pw_pool_key event_key(const struct pw_event *event)
{
	switch (event->type) {
	case PW_EVENT_RISING:
	case PW_EVENT_FALLING: return event->key;
	case PW_EVENT_COLLECTOR_FAILED:
	case PW_EVENT_COLLECTOR_RECOVERED: return (struct pw_pool_key){.kind = PW_TOLD_COLLECTOR, .ns = event->key.ns};
	case PW_EVENT_CONNECT_FAILING:
		return (struct pw_pool_key){.kind = PW_TOLD_OTHERS + PW_EVENT_CONNECT_FAILING, .ns = OWN_NS};
	case PW_EVENT_CONNTRACK_FALLING: return (struct pw_pool_key){.kind = PW_TOLD_CONNTRACK, .ns = event->key.ns};
	default: return (struct pw_pool_key){.kind = (uint8_t)(PW_TOLD_OTHERS + event->type), .ns = event->key.ns};
	}
}

static bool always_owed(const struct pw_event *event)
{
	return pw_event_is_count(event) || (event->type == PW_EVENT_RISING && event->state == event->previous);
}

/* Compares what is to be told with what the receiver knows, when nothing is under way: queues the entry, or frees
 * it. */
static void settle(struct pw_owed *x, struct entry *e)
{
	if (e->has_pending && !e->repeat && !e->uncertain && event_state(&e->pending) == e->acknowledged)
		e->has_pending = false;
	if (e->has_pending && pw_told_is_pool(&e->key))
		pw_event_set_previous(&e->pending, e->acknowledged);
	if (e->has_pending && e->key.kind == PW_TOLD_CONNTRACK) {
		e->pending.previous = e->acknowledged;
		e->pending.type = e->pending.state < e->acknowledged ? PW_EVENT_CONNTRACK_FALLING
								     : PW_EVENT_CONNTRACK_RISING;
	}
	if (e->has_pending)
		start_waiting(x, e);
	else if (e->acknowledged == PW_STATE_NORMAL)
		remove_entry(x, e);
	else
		stop_waiting(x, e);
}

static void put(struct pw_owed *x, struct entry *e, const struct pw_event *event)
{
	const struct pw_event *latest = e->has_pending ? &e->pending : e->sent;
	uint32_t earlier = 0;

	if (pw_event_is_count(event))
		earlier = e->has_pending ? e->pending.failures : 0;
	else if (always_owed(event) && latest != NULL && event_state(latest) == event->state)
		return; /* it will tell of this state anyway: a repetition adds nothing */
	e->pending = *event;
	e->pending.failures = earlier < UINT32_MAX - event->failures ? earlier + event->failures : UINT32_MAX;
	e->has_pending = true;
	x->changes++;
	e->repeat = always_owed(event);
	if (e->sent == NULL)
		settle(x, e);
}

enum pw_posted pw_owed_post(struct pw_owed *x, const struct pw_event *event, struct pw_pool_key *given_up)
{
	struct pw_pool_key key = event_key(event);
	struct entry *e = find_entry(x, &key), *less = NULL;
	struct member *m;
	size_t places;

	if (e == NULL && event_state(event) == PW_STATE_NORMAL && !pw_event_is_count(event))
		return PW_POSTED; /* of what ended here the receiver has never heard */
	if (e == NULL) {
		m = find_member(x, key.ns);
		if (m == NULL)
			return PW_NOT_POSTED;
		places = m->user.own ? x->max_entries : pw_share_of(x->max_entries, x->n_others - m->n_pools);
		if (pw_told_is_pool(&key) && m->n_pools >= places &&
			(less = least_urgent(m, pw_event_urgency(event))) == NULL)
			return PW_NOT_POSTED;
		e = add_entry(x, m, &key);
		if (e == NULL)
			return PW_NOT_POSTED;
	}
	put(x, e, event);
	if (less == NULL)
		return PW_POSTED;
	*given_up = less->key;
	remove_entry(x, less);
	return PW_POSTED_INSTEAD;
}

/* --- sending --- */

static unsigned direction(const struct member *m)
{
	return (unsigned)(m->heap[0]->urgency >> 60);
}

/* Rising before falling, then the host's own, then who had least, then the most urgent. */
static bool member_first(const struct member *a, const struct member *b)
{
	if (direction(a) != direction(b))
		return direction(a) > direction(b);
	if (a->user.own != b->user.own)
		return a->user.own;
	if (a->user.recent != b->user.recent)
		return a->user.recent < b->user.recent;
	return goes_before(a->heap[0], b->heap[0]);
}

/* The namespace whose turn it is, or NULL; forgets those that have nothing left. */
static struct member *next_member(struct pw_owed *x, uint64_t now_ms)
{
	struct member *m, *next, *first = NULL;

	HASH_ITER(hh, x->members, m, next)
	{
		if (m->n_heap != 0 && pw_share_may(&x->rate, &m->user, now_ms) &&
			(first == NULL || member_first(m, first)))
			first = m;
		else if (m->n_entries == 0 && m->user.recent == 0)
			remove_member(x, m);
	}
	return first;
}

/* Says how many others are held back, and where most of them are. */
static void tell_held_back(const struct pw_owed *x, struct pw_event *event)
{
	const struct member *most = NULL;
	size_t held = x->n_waiting - x->fresh, len = strlen(event->text);
	const struct entry *one;
	const char *at;

	for (const struct member *m = x->members; m != NULL; m = m->hh.next)
		if (most == NULL || m->n_heap > most->n_heap)
			most = m;
	if (held == 0 || most == NULL || most->n_heap == 0)
		return;
	one = most->heap[0];
	at = most->user.own ? NULL : strrchr(one->sent != NULL ? one->sent->name : one->pending.name, '@');
	snprintf(event->text + len, sizeof(event->text) - len,
		"%s%zu more notifications wait for max-per-minute, %zu of them of %s%s", len != 0 ? "; " : "", held,
		most->n_heap, at != NULL ? "the network namespace " : "the host itself", at != NULL ? at + 1 : "");
}

/* Makes the pending event the one under way. Returns -1 when out of memory, and nothing has changed. */
static int send_pending(struct pw_owed *x, struct entry *e)
{
	struct pw_event *copy = malloc(sizeof(*copy));
	struct entry *found;

	if (copy == NULL)
		return -1;
	*copy = e->pending;
	e->sent_id = copy->id;
	HASH_ADD(by_id, x->by_id, sent_id, sizeof(e->sent_id), e);
	HASH_FIND(by_id, x->by_id, &e->sent_id, sizeof(e->sent_id), found);
	if (found == NULL) {
		free(copy);
		return -1;
	}
	stop_waiting(x, e);
	if (pw_told_is_pool(&e->key))
		tell_held_back(x, copy);
	e->sent = copy;
	e->has_pending = false;
	return 0;
}

bool pw_owed_take(struct pw_owed *x, uint64_t now_ms, struct pw_event *out, uint32_t *wait_ms)
{
	struct member *m = next_member(x, now_ms);
	struct entry *e;

	*wait_ms = UINT32_MAX;
	if (m == NULL) {
		if (x->n_waiting != 0) {
			*wait_ms = pw_share_wait(&x->rate, now_ms);
			/* all that waits is held back by the limit; each notification is counted once */
			x->suppressed += x->fresh;
			x->fresh = 0;
			x->epoch++;
		}
		return false;
	}
	e = m->heap[0];
	if (e->sent == NULL && send_pending(x, e) < 0) {
		*wait_ms = RETRY_MS;
		return false;
	}
	stop_waiting(x, e);
	pw_share_take(&x->rate, &m->user, now_ms);
	e->in_flight = true;
	x->changes++;
	e->last_id = e->sent_id;
	x->n_in_flight++;
	*out = *e->sent;
	*wait_ms = 0;
	return true;
}

static struct entry *find_sent(const struct pw_owed *x, uint32_t id)
{
	struct entry *e;

	HASH_FIND(by_id, x->by_id, &id, sizeof(id), e);
	return e;
}

void pw_owed_acknowledge(struct pw_owed *x, uint32_t id)
{
	struct entry *e = find_sent(x, id);

	if (e == NULL)
		return;
	e->acknowledged = event_state(e->sent);
	e->uncertain = false;
	x->acknowledged++;
	x->changes++;
	stop_waiting(x, e);
	forget_sent(x, e);
	settle(x, e);
}

static void send_again(struct pw_owed *x, struct entry *e)
{
	if (!e->in_flight)
		return;
	e->in_flight = false;
	x->n_in_flight--;
	start_waiting(x, e);
}

/* --- life, and what was told --- */

struct pw_owed *pw_owed_new(size_t max_entries)
{
	struct pw_owed *x = calloc(1, sizeof(*x));

	if (x != NULL)
		x->max_entries = max_entries;
	return x;
}

void pw_owed_free(struct pw_owed *x)
{
	struct entry *e, *next;
	struct member *m, *next_m;

	if (x == NULL)
		return;
	HASH_ITER(by_key, x->by_key, e, next)
	remove_entry(x, e);
	HASH_ITER(hh, x->members, m, next_m)
	remove_member(x, m);
	pw_share_clear(&x->rate);
	free(x);
}

void pw_owed_set_rate(struct pw_owed *x, uint32_t max_per_minute)
{
	pw_share_set(&x->rate, max_per_minute);
}

void pw_owed_return(struct pw_owed *x, uint32_t id)
{
	struct entry *e = find_sent(x, id);

	if (e != NULL)
		send_again(x, e);
}

/* The table of what is sent keeps the order of sending, so that it goes out again in the same order. */
void pw_owed_return_all(struct pw_owed *x)
{
	struct entry *e, *next;

	HASH_ITER(by_id, x->by_id, e, next)
	send_again(x, e);
}

void pw_owed_stats(const struct pw_owed *x, struct pw_exchange_stats *out)
{
	*out = (struct pw_exchange_stats){.acknowledged = x->acknowledged,
		.suppressed = x->suppressed,
		.owed = x->n_waiting + x->n_in_flight,
		.in_flight = x->n_in_flight,
		.changes = x->changes};
}

uint32_t pw_owed_last_id(const struct pw_owed *x, const struct pw_pool_key *key)
{
	const struct entry *e = find_entry(x, key);

	return e != NULL ? e->last_id : 0;
}

/* Another state than the acknowledged one that the receiver may know; the acknowledged one when that is certain. */
static enum pw_state maybe_told(const struct entry *e, bool agent_ended)
{
	if (e->sent != NULL && event_state(e->sent) != e->acknowledged)
		return event_state(e->sent);
	if (!agent_ended && e->has_pending && event_state(&e->pending) != e->acknowledged)
		return event_state(&e->pending);
	if (!e->uncertain)
		return e->acknowledged;
	return e->acknowledged != PW_STATE_NORMAL ? PW_STATE_NORMAL : PW_STATE_WARNING;
}

int pw_owed_told(struct pw_owed *x, bool agent_ended, struct pw_told **told, size_t *n)
{
	*n = 0;
	*told = calloc(HASH_CNT(by_key, x->by_key) + 1, sizeof(**told));
	for (const struct entry *e = x->by_key; *told != NULL && e != NULL; e = e->by_key.next) {
		struct pw_told *one = &(*told)[*n];

		*one = (struct pw_told){e->key, e->acknowledged, maybe_told(e, agent_ended), e->last_id, ""};
		if (one->state == PW_STATE_NORMAL && one->maybe == PW_STATE_NORMAL)
			continue;
		snprintf(one->name, sizeof(one->name), "%s", e->sent != NULL ? e->sent->name : e->pending.name);
		++*n;
	}
	return *told != NULL ? 0 : -1;
}

int pw_owed_learn(struct pw_owed *x, const struct pw_told *told)
{
	struct member *m;
	struct entry *e;

	e = find_entry(x, &told->key);
	m = e == NULL ? find_member(x, told->key.ns) : NULL;
	if (m != NULL)
		e = add_entry(x, m, &told->key);
	if (e != NULL) {
		e->acknowledged = told->state;
		e->uncertain = told->maybe != told->state;
		e->last_id = told->event_id;
		snprintf(e->pending.name, sizeof(e->pending.name), "%s", told->name);
	}
	return e != NULL ? 0 : -1;
}

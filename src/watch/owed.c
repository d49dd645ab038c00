/* SPDX-License-Identifier: BSD-2-Clause */
#include "watch/owed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"

#define OWN_NS 1 /* pwNsIndex of the host's own namespace */

/* Above what pw_event_urgency() says of pools: these go first. */
#define URGENCY_CONNECTS (UINT64_C(5) << 60)
#define URGENCY_AGAIN (UINT64_C(6) << 60) /* was under way when the connection was lost */
#define URGENCY_COLLECTOR (UINT64_C(7) << 60)

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

void pw_owed_stop_waiting(struct pw_exchange *x, struct entry *e)
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

void pw_owed_start_waiting(struct pw_exchange *x, struct entry *e)
{
	struct member *m = e->member;

	pw_owed_stop_waiting(x, e);
	if (e->key.kind == PW_TOLD_COLLECTOR)
		e->urgency = URGENCY_COLLECTOR;
	else if (e->sent != NULL)
		e->urgency = URGENCY_AGAIN;
	else
		e->urgency = e->key.kind >= PW_TOLD_OTHERS ? URGENCY_CONNECTS : pw_event_urgency(&e->pending);
	e->order = x->next_order++;
	e->held_epoch = x->epoch;
	x->fresh++;
	x->n_waiting++;
	m->least_urgent = 0;
	e->place = m->n_heap++;
	heap_up(m->heap, e);
}

/* --- entries --- */

void pw_owed_forget_sent(struct pw_exchange *x, struct entry *e)
{
	if (e->sent == NULL)
		return;
	HASH_DELETE(by_id, x->by_id, e);
	x->n_in_flight -= e->in_flight;
	e->in_flight = false;
	free(e->sent);
	e->sent = NULL;
}

void pw_owed_remove(struct pw_exchange *x, struct entry *e)
{
	struct member *m = e->member;

	pw_owed_stop_waiting(x, e);
	pw_owed_forget_sent(x, e);
	/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): uthash frees its table with the last item only */
	HASH_DELETE(by_key, x->by_key, e);
	m->n_entries--;
	m->n_pools -= pw_told_is_pool(&e->key);
	x->n_others -= pw_told_is_pool(&e->key) && !m->user.own;
	free(e);
}

void pw_owed_remove_member(struct pw_exchange *x, struct member *m)
{
	HASH_DELETE(hh, x->members, m);
	pw_share_forget(&x->rate, &m->user);
	free(m->heap);
	free(m);
}

struct member *pw_owed_member(struct pw_exchange *x, uint32_t ns)
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

struct entry *pw_owed_find(const struct pw_exchange *x, const struct pw_pool_key *key)
{
	struct entry *e;

	HASH_FIND(by_key, x->by_key, key, sizeof(*key), e);
	return e;
}

struct entry *pw_owed_least_urgent(struct member *m, uint64_t urgency)
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

struct entry *pw_owed_add(struct pw_exchange *x, struct member *m, const struct pw_pool_key *key)
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
	if (pw_owed_find(x, key) == NULL) { /* the table could not grow */
		free(e);
		return NULL;
	}
	m->n_entries++;
	m->n_pools += pw_told_is_pool(key);
	x->n_others += pw_told_is_pool(key) && !m->user.own;
	return e;
}

/* --- what an event owes --- */

enum pw_state pw_owed_state(const struct pw_event *event)
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

struct pw_pool_key pw_owed_key(const struct pw_event *event)
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

bool pw_owed_always(const struct pw_event *event)
{
	return pw_event_is_count(event) || (event->type == PW_EVENT_RISING && event->state == event->previous);
}

void pw_owed_settle(struct pw_exchange *x, struct entry *e)
{
	if (e->has_pending && !e->repeat && !e->uncertain && pw_owed_state(&e->pending) == e->acknowledged)
		e->has_pending = false;
	if (e->has_pending && pw_told_is_pool(&e->key))
		pw_event_set_previous(&e->pending, e->acknowledged);
	if (e->has_pending && e->key.kind == PW_TOLD_CONNTRACK) {
		e->pending.previous = e->acknowledged;
		e->pending.type = e->pending.state < e->acknowledged ? PW_EVENT_CONNTRACK_FALLING
								     : PW_EVENT_CONNTRACK_RISING;
	}
	if (e->has_pending)
		pw_owed_start_waiting(x, e);
	else if (e->acknowledged == PW_STATE_NORMAL)
		pw_owed_remove(x, e);
	else
		pw_owed_stop_waiting(x, e);
}

/* --- whose turn it is --- */

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

struct member *pw_owed_next_member(struct pw_exchange *x, uint64_t now_ms)
{
	struct member *m, *next, *first = NULL;

	HASH_ITER(hh, x->members, m, next)
	{
		if (m->n_heap != 0 && pw_share_may(&x->rate, &m->user, now_ms) &&
			(first == NULL || member_first(m, first)))
			first = m;
		else if (m->n_entries == 0 && m->user.recent == 0)
			pw_owed_remove_member(x, m);
	}
	return first;
}

void pw_owed_tell_held_back(const struct pw_exchange *x, struct pw_event *event)
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

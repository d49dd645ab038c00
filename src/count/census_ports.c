/* SPDX-License-Identifier: BSD-2-Clause */
/* census_ports.c: which ports are blocked, for whatever destination, and which are ambiguous */
#include <string.h>

#include "count/census_internal.h"

/* What is held by state, by an explicit bind or by a cookie is blocked; an answer of the allocator about just these
 * sockets outranks the cookie. What remains is ambiguous, and free: inference never calls a port blocked on
 * suspicion. */
static void classify_port(struct pw_census *c, uint16_t port)
{
	const struct port_history *history = &c->history;
	bool state = pw_portset_has(&c->listening, port) || pw_portset_has(&c->bound, port);
	bool known = pw_portset_has(&c->known, port);
	bool open = known || pw_portset_has(&c->unknown, port) || (!c->bound_pass && pw_portset_has(&c->no_port, port));
	bool answered = c->probing && history->probed[port] != PROBED_NONE &&
		history->probed_signature[port] == history->signature[port];

	if (state)
		history->probed[port] =
			PROBED_NONE; /* before 6.18 a port can stay blocked when these are gone: ask again then */
	if (state || (answered && open ? history->probed[port] == PROBED_BLOCKED : known))
		pw_portset_add(&c->blocked, port);
	if (!state && open && !answered && (c->probing || !known))
		pw_portset_add(&c->ambiguous, port);
}

/* Ports without sockets are free, so whole words without any bit are skipped. */
static void classify_ports(struct pw_census *c)
{
	pw_portset_clear(&c->ambiguous);
	if (c->read) {
		pw_portset_intersect(&c->blocked, &c->capacity);
		return;
	}
	pw_portset_clear(&c->blocked);
	for (unsigned i = c->range.low >> 6; i <= (unsigned)c->range.high >> 6; i++) {
		uint64_t held = c->listening.word[i] | c->bound.word[i] | c->unknown.word[i] | c->no_port.word[i] |
			c->known.word[i];

		for (held &= c->capacity.word[i]; held != 0; held &= held - 1)
			classify_port(c, (uint16_t)(i * 64 + (unsigned)__builtin_ctzll(held)));
	}
}

static void note_pass(struct pw_census *c)
{
	memcpy(c->history.pass_signature + c->range.low, c->history.signature + c->range.low, range_bytes(c));
	c->polls_since_pass = 0;
}

/* A local address is a bind pool of its own; UDP always has the two wildcard pools, from which connect() and sendto()
 * draw. */
static uint32_t count_pools(const struct pw_census *c)
{
	return c->n_tuples + c->n_locals;
}

/* Ports of a set get a bit. */
static void mark_ports(struct pw_census *c, const struct pw_portset *set, uint8_t bit)
{
	for (unsigned i = c->view.low >> 6; i <= (unsigned)c->view.high >> 6; i++)
		for (uint64_t rest = set->word[i]; rest != 0; rest &= rest - 1)
			c->ports[i * 64 + (unsigned)__builtin_ctzll(rest)] |= bit;
}

void pw_census_use(struct pw_census *c, const struct pw_portset *list, bool automatic)
{
	const uint16_t low = pw_range_look_low(&c->range), high = pw_range_look_high(&c->range);
	struct pw_portset set = list != NULL ? *list : c->capacity, blocked = automatic ? c->blocked : c->listening;
	struct view *view = &c->view;

	if (c->finished && view->list == list && view->automatic == automatic)
		return;
	*view = (struct view){.list = list, .automatic = automatic, .low = c->range.low, .high = c->range.high};
	if (list != NULL && automatic)
		pw_portset_intersect(&set, &c->capacity);
	if (list != NULL)
		pw_portset_ends(&set, &view->low, &view->high);
	pw_portset_intersect(&blocked, &set);
	memset(c->ports + low, PORT_OUTSIDE, (size_t)high - low + 1);
	for (unsigned i = view->low >> 6; i <= (unsigned)view->high >> 6; i++)
		if (set.word[i] == UINT64_MAX)
			memset(c->ports + i * 64, 0, 64);
		else
			for (uint64_t rest = set.word[i]; rest != 0; rest &= rest - 1)
				c->ports[i * 64 + (unsigned)__builtin_ctzll(rest)] = 0;
	mark_ports(c, &c->listening, PORT_LISTENING);
	mark_ports(c, &blocked, PORT_BLOCKED);
	view->capacity = pw_portset_count(&set);
	view->blocked = pw_portset_count(&blocked);
	view->odd = list == NULL ? pw_range_is_odd(&c->range)
				 : automatic && view->capacity > 1 && view->capacity % 2 == 1 &&
			view->capacity == (uint32_t)view->high - view->low + 1;
	view->other = pw_portset_count_parity(&set, (view->low & 1) ^ 1);
	pw_portset_subtract(&set, &blocked);
	view->free = pw_portset_count(&set);
	view->free_fast = pw_portset_count_parity(&set, view->low & 1);
}

void pw_census_finish(struct pw_census *c)
{
	if (c->bound_pass && c->polls_since_pass != 0)
		note_pass(c);
	classify_ports(c);
	c->finished = false; /* whatever the ports stood for */
	pw_census_use(c, NULL, true);
	c->totals.sockets = (uint64_t)c->totals.tcp + c->totals.udp;
	c->totals.capacity = pw_portset_count(&c->capacity);
	c->totals.blocked = pw_portset_count(&c->blocked);
	c->totals.ambiguous = pw_portset_count(&c->ambiguous);
	c->totals.pools = count_pools(c);
	if (c->read)
		c->totals.basis = PW_BASIS_READ;
	else
		c->totals.basis = c->probing && c->totals.ambiguous == 0 ? PW_BASIS_PROBED : PW_BASIS_INFERRED;
	c->source.pools = c->totals.pools;
	c->source.capacity = c->totals.capacity;
	/* an end of an odd range is as good as blocked */
	c->source.gone = c->totals.blocked + pw_range_is_odd(&c->range);
	c->finished = true;
}

bool pw_census_wants_bound(const struct pw_census *c)
{
	bool any = c->polls_since_pass >= BOUND_PASS_EVERY;

	if (c->bound_pass || c->read)
		return false;
	for (unsigned i = c->range.low >> 6; i <= (unsigned)c->range.high >> 6; i++)
		for (uint64_t rest = c->ambiguous.word[i]; rest != 0; rest &= rest - 1) {
			unsigned port = i * 64 + (unsigned)__builtin_ctzll(rest);

			if ((any || ((port ^ c->range.low) & 1)) &&
				c->history.signature[port] != c->history.pass_signature[port])
				return true;
		}
	return false;
}

void pw_census_set_probing(struct pw_census *c, bool probing)
{
	if (!probing && c->probing)
		memset(c->history.probed, PROBED_NONE, PORTS);
	c->probing = probing;
}

size_t pw_census_ambiguous(const struct pw_census *c, uint16_t *ports, size_t max)
{
	size_t n = 0;

	const uint64_t even = UINT64_C(0x5555555555555555);

	for (unsigned pass = 0; pass < 2; pass++) {
		uint64_t mask = ((c->range.low + pass) & 1) != 0 ? even
								 : even << 1; /* first the parity that is not low's */

		for (unsigned i = c->range.low >> 6; i <= (unsigned)c->range.high >> 6; i++)
			for (uint64_t rest = c->ambiguous.word[i] & mask; rest != 0 && n < max; rest &= rest - 1)
				ports[n++] = (uint16_t)(i * 64 + (unsigned)__builtin_ctzll(rest));
	}
	return n;
}

void pw_census_set_probed(struct pw_census *c, uint16_t port, bool blocked)
{
	c->history.probed[port] = blocked ? PROBED_BLOCKED : PROBED_FREE;
	c->history.probed_signature[port] = c->history.signature[port];
}

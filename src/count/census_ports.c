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
	bool by_cookie = pw_portset_has(&c->known, port), known = by_cookie || pw_portset_has(&c->by_parity, port);
	bool open = by_cookie || pw_portset_has(&c->unknown, port) ||
		(!c->bound_pass && pw_portset_has(&c->no_port, port));
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
	pw_portset_clear(&c->blocked);
	for (unsigned i = c->range.low >> 6; i <= (unsigned)c->range.high >> 6; i++) {
		uint64_t held = c->listening.word[i] | c->bound.word[i] | c->unknown.word[i] | c->no_port.word[i] |
			c->known.word[i];

		for (held &= c->capacity.word[i]; held != 0; held &= held - 1)
			classify_port(c, (uint16_t)(i * 64 + (unsigned)__builtin_ctzll(held)));
	}
}

/* --- parity --- */

/* So many sockets say something about their address; of as many destinations, none with more than half of them: what
 * is left of one that had more than half of the range looks the same when its oldest connections end first. Where
 * one destination has most, its own pool tells. */
#define EVIDENCE_MIN 16
#define DESTINATIONS_MIN 3

/* The ports of one local address by their parity, where the state of their sockets does not show what they are. */
struct parity_tally {
	uint32_t of_connect, of_bind; /* not in TIME_WAIT */
	uint32_t all_of_bind;         /* in whatever state */
	uint32_t shared;              /* sockets on a port that has another one: bind() hands out each but once */
	uint32_t most;                /* of_bind of the destination that has most of them */
	uint32_t destinations;        /* that have any */
	bool filled;                  /* a destination has used up connect()'s parity */
	bool sliced;                  /* a destination has a part of the range to itself */
};

/* What both parities hold in this namespace. */
struct parity {
	uint32_t connect_ports, bind_ports; /* of the capacity */
	uint32_t blocked;                   /* of connect()'s */
	struct pw_portset explained;        /* ports of bind()'s parity that connect() may have given out */
	bool spilled;                       /* bind() has used up its parity at some address, and takes the other one */
};

static bool is_open(const struct pw_census *c, uint16_t port)
{
	return (pw_portset_has(&c->unknown, port) || pw_portset_has(&c->known, port)) &&
		!pw_portset_has(&c->listening, port) && !pw_portset_has(&c->bound, port);
}

/* Whether a port of the range has bind()'s parity; connect()'s is the other one. */
static bool is_of_bind(const struct pw_census *c, uint16_t port)
{
	return ((port ^ c->range.low) & 1) != 0 && port >= c->range.low && port <= c->range.high;
}

static bool is_of_connect(const struct pw_census *c, uint16_t port)
{
	return ((port ^ c->range.low) & 1) == 0 && port >= c->range.low && port <= c->range.high;
}

/* A destination whose every port of low's parity, or nearly, is used or blocked, gets the others from connect() too. */
static bool is_filled(const struct pw_census *c, const struct parity *parity, struct pw_list_part part)
{
	uint32_t used = parity->blocked + parity->connect_ports / 50 + 2;

	for (; part.n != 0; part = pw_list_next(&c->entries, part))
		for (unsigned i = 0; i < part.n; i++)
			used += is_of_connect(c, (uint16_t)part.values[i]);
	return used >= parity->connect_ports;
}

static void tally_parity(struct pw_census *c, struct pw_list_part part, struct parity_tally *tally)
{
	for (; part.n != 0; part = pw_list_next(&c->entries, part))
		for (unsigned i = 0; i < part.n; i++) {
			uint32_t entry = part.values[i];
			bool of_bind = is_of_bind(c, (uint16_t)entry);
			uint8_t *notes = &c->ports[(uint16_t)entry];

			if (entry_kind(entry) == ENTRY_HALF_OPEN || (!of_bind && !is_of_connect(c, (uint16_t)entry)))
				continue;
			if ((*notes & PORT_USED) != 0) {
				tally->shared += of_bind;
				continue;
			}
			*notes |= PORT_USED;
			tally->all_of_bind += of_bind;
			if ((entry_bits(entry) & PORT_NOT_TIME_WAIT) == 0 || !is_open(c, (uint16_t)entry))
				continue;
			tally->of_bind += of_bind;
			tally->of_connect += !of_bind;
		}
}

/* Ports of bind()'s parity into a set: all of these entries, or those that are in no TIME_WAIT. */
static void add_of_bind(const struct pw_census *c, struct pw_list_part part, uint8_t bits, struct pw_portset *set)
{
	for (; part.n != 0; part = pw_list_next(&c->entries, part))
		for (unsigned i = 0; i < part.n; i++)
			if (is_of_bind(c, (uint16_t)part.values[i]) && (entry_bits(part.values[i]) & bits) == bits)
				pw_portset_add(set, (uint16_t)part.values[i]);
}

/* Whether a destination's ports fill a part of the range: IP_LOCAL_PORT_RANGE gives such slices, and bind() spreads
 * ports over all of it. */
static bool is_slice(const struct pw_census *c, struct pw_list_part part)
{
	uint32_t width = (uint32_t)c->range.high - c->range.low + 1, low = UINT16_MAX, high = 0, n = 0;

	for (; part.n != 0; part = pw_list_next(&c->entries, part))
		for (unsigned i = 0; i < part.n; i++, n++) {
			uint16_t port = (uint16_t)part.values[i];

			low = port < low ? port : low;
			high = port > high ? port : high;
		}
	return n >= 4 && n * 2 >= high - low && (high - low) * 2 < width;
}

/* Whether the sockets of a local address came from bind(). */
static bool infer_local(struct pw_census *c, const struct local *local, struct parity *parity)
{
	struct parity_tally tally = {0};
	bool full;

	if (local->count < EVIDENCE_MIN)
		return false;
	memset(c->ports + c->range.low, 0, (size_t)c->range.high - c->range.low + 1);
	for (uint32_t t = local->first_tuple; t != NONE; t = c->next_tuple[t]) {
		if (is_filled(c, parity, tuple_entries(c, t))) {
			add_of_bind(c, tuple_entries(c, t), 0, &parity->explained);
			tally.filled = true;
		} else {
			uint32_t before = tally.of_bind, more;

			tally_parity(c, tuple_entries(c, t), &tally);
			more = tally.of_bind - before;
			tally.most = more > tally.most ? more : tally.most;
			tally.destinations += more != 0;
			tally.sliced = tally.sliced || is_slice(c, tuple_entries(c, t));
		}
	}
	full = !tally.filled && !tally.sliced && tally.all_of_bind + parity->bind_ports / 50 >= parity->bind_ports;
	if (tally.of_bind < EVIDENCE_MIN || tally.destinations < DESTINATIONS_MIN || tally.most * 2 > tally.of_bind ||
		tally.shared * 8 > tally.all_of_bind || (tally.of_connect * 8 > tally.of_bind && !full))
		return false;
	parity->spilled = parity->spilled || full;
	for (uint32_t t = local->first_tuple; t != NONE; t = c->next_tuple[t])
		if (!is_filled(c, parity, tuple_entries(c, t)))
			add_of_bind(c, tuple_entries(c, t), PORT_NOT_TIME_WAIT, &c->by_parity);
	return true;
}

/* One bit for each port of a parity. */
static uint64_t parity_mask(unsigned port)
{
	const uint64_t even = UINT64_C(0x5555555555555555);

	return (port & 1) == 0 ? even : even << 1;
}

static bool has_of_bind(const struct pw_census *c)
{
	uint64_t found = 0;

	for (unsigned i = c->range.low >> 6; i <= (unsigned)c->range.high >> 6; i++)
		found |= (c->unknown.word[i] | c->known.word[i]) & c->capacity.word[i];
	return (found & parity_mask(c->range.low + 1u)) != 0;
}

/* Finds the ports that are blocked by all that parity tells, and those that may be. On a host that only calls
 * connect() there is nothing to be looked at, as long as no destination has half of the range. */
static void infer_parity(struct pw_census *c)
{
	const unsigned low = c->range.low & 1;
	struct parity parity = {.connect_ports = pw_portset_count_parity(&c->capacity, low),
		.bind_ports = pw_portset_count_parity(&c->capacity, low ^ 1),
		.blocked = pw_portset_count_parity(&c->blocked, low)};

	pw_cookies_clear(&c->binding);
	c->parity_holds = true;
	for (uint32_t i = 0; i < c->n_locals; i++) {
		const struct local *l = &c->locals[i];
		bool binds = l->first_tuple != NONE && infer_local(c, l, &parity);

		/* without memory it is found out again at the next poll */
		if (binds)
			pw_cookies_add(&c->binding, local_hash(c, l->address, l->zone, l->family, l->protocol) | 1);
		c->parity_holds = c->parity_holds && (binds || !l->binds);
	}
	classify_ports(c);
	for (unsigned i = c->range.low >> 6; i <= (unsigned)c->range.high >> 6; i++) {
		uint64_t of_bind = parity_mask(low ^ 1) & ~parity.explained.word[i];

		c->suspect.word[i] = c->ambiguous.word[i] & (of_bind | (parity.spilled ? parity_mask(low) : 0));
	}
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
	struct pw_portset suspect = {{0}};
	struct view *view = &c->view;

	if (c->finished && view->list == list && view->automatic == automatic)
		return;
	*view = (struct view){.list = list, .automatic = automatic, .low = c->range.low, .high = c->range.high};
	if (list != NULL && automatic)
		pw_portset_intersect(&set, &c->capacity);
	if (automatic)
		suspect = c->suspect;
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
	pw_portset_intersect(&suspect, &set);
	mark_ports(c, &suspect, PORT_SUSPECT);
	view->suspect = pw_portset_count(&suspect);
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
	if (c->bound_pass && c->polls_since_pass != 0) {
		memcpy(c->history.pass_signature + c->range.low, c->history.signature + c->range.low, range_bytes(c));
		c->polls_since_pass = 0;
	}
	pw_portset_clear(&c->by_parity);
	pw_portset_clear(&c->suspect);
	c->parity_holds = false;
	if (c->read) {
		pw_portset_clear(&c->ambiguous);
		pw_portset_intersect(&c->blocked, &c->capacity);
	} else {
		classify_ports(c);
		if (has_of_bind(c))
			infer_parity(c);
	}
	c->finished = false; /* whatever the ports stood for */
	pw_census_use(c, NULL, true);
	c->totals.sockets = (uint64_t)c->totals.tcp + c->totals.udp;
	c->totals.capacity = pw_portset_count(&c->capacity);
	c->totals.blocked = pw_portset_count(&c->blocked);
	c->totals.ambiguous = pw_portset_count(&c->ambiguous);
	c->totals.suspect = pw_portset_count(&c->suspect);
	/* a local address is a bind pool of its own; UDP always has the two wildcard pools, from which connect() and
	 * sendto() draw */
	c->totals.pools = c->n_tuples + c->n_locals;
	if (c->read)
		c->totals.basis = PW_BASIS_READ;
	else
		c->totals.basis = c->probing && c->totals.ambiguous == 0 ? PW_BASIS_PROBED : PW_BASIS_INFERRED;
	c->source.pools = c->totals.pools;
	c->source.capacity = c->totals.capacity;
	/* an end of an odd range is as good as blocked */
	c->source.gone = c->totals.blocked + pw_range_is_odd(&c->range);
	if (c->vrf == 0)
		pw_census_finish_vrfs(c);
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

	for (unsigned pass = 0; pass < 2; pass++) {
		uint64_t mask = parity_mask(c->range.low + 1u + pass); /* first the parity that is not low's */

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

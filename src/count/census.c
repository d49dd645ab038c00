/* SPDX-License-Identifier: BSD-2-Clause */
#include "count/census.h"

#include <stdlib.h>
#include <string.h>

#include "count/census_internal.h"

struct pw_census *pw_census_new(uint32_t ns)
{
	struct pw_census *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->source.ops = &pw_census_ops;
	c->ns = ns;
	c->history.signature = calloc(PORTS, sizeof(uint64_t));
	c->history.probed_signature = calloc(PORTS, sizeof(uint64_t));
	c->history.pass_signature = calloc(PORTS, sizeof(uint64_t));
	c->history.probed = calloc(PORTS, 1);
	c->ports = calloc(PORTS, 1);
	if (c->history.signature == NULL || c->history.probed_signature == NULL || c->history.pass_signature == NULL ||
		c->history.probed == NULL || c->ports == NULL) {
		pw_census_free(c);
		return NULL;
	}
	c->polls_since_pass = BOUND_PASS_EVERY;
	pw_seed_fill(c->seed);
	return c;
}

static void free_tuples(struct pw_census *c)
{
	free(c->tuples);
	free(c->next_tuple);
	free(c->remotes6);
	free(c->tuple_index.slot);
	c->tuples = NULL;
	c->next_tuple = NULL;
	c->remotes6 = NULL;
	c->tuple_index.slot = NULL;
	c->size_tuples = 0;
	c->size_remotes6 = 0;
}

void pw_census_free(struct pw_census *c)
{
	if (c == NULL)
		return;
	for (struct pw_census *vrf = c->vrf == 0 ? c->next : NULL, *next; vrf != NULL; vrf = next) {
		next = vrf->next;
		pw_census_free(vrf);
	}
	pw_lists_free(&c->entries);
	free_tuples(c);
	free(c->locals);
	free(c->local_index.slot);
	free(c->bound_cookies.slot);
	free(c->bound_cookies_next.slot);
	free(c->listeners.slot);
	free(c->binding.slot);
	free(c->parity_cookies.slot);
	free(c->stamped.slot);
	free(c->unstamped.slot);
	free(c->history.signature);
	free(c->history.probed_signature);
	free(c->history.pass_signature);
	free(c->history.probed);
	free(c->special);
	free(c->ports);
	pw_owner_table_free(&c->owners);
	free(c);
}

void pw_census_begin(struct pw_census *c, const struct pw_range *range)
{
	static const struct pw_portset nothing;

	if (c->finished) {
		struct pw_cookies last = c->bound_cookies;

		c->bound_cookies = c->bound_cookies_next;
		c->bound_cookies_next = last;
		for (size_t i = 0; c->parity_holds && i < c->parity_cookies.size; i++)
			pw_cookies_add(&c->bound_cookies, c->parity_cookies.slot[i]);
		c->polls_since_pass += c->polls_since_pass < BOUND_PASS_EVERY;
		/* memory goes back after a peak that has passed */
		if (c->entries.size > 16384 && c->entries.n < c->entries.size / 16)
			pw_lists_free(&c->entries);
		if (c->size_tuples > 16384 && c->n_tuples < c->size_tuples / 16)
			free_tuples(c);
	}
	pw_cookies_clear(&c->bound_cookies_next);
	pw_cookies_clear(&c->parity_cookies);
	pw_cookies_clear(&c->stamped);
	pw_cookies_clear(&c->unstamped);
	c->range = *range;
	pw_range_capacity(range, &c->capacity);
	pw_portset_clear(&c->listening);
	pw_portset_clear(&c->listening_any4);
	pw_portset_clear(&c->listening_any6);
	pw_cookies_clear(&c->listeners);
	pw_portset_clear(&c->bound);
	pw_portset_clear(&c->unknown);
	pw_portset_clear(&c->no_port);
	pw_portset_clear(&c->known);
	memset(c->history.signature + c->range.low, 0, range_bytes(c));
	if (c->n_locals != 0 && c->local_index.slot != NULL)
		pw_index_reset(&c->local_index, c->local_index.mask + 1);
	if (c->n_tuples != 0 && c->tuple_index.slot != NULL)
		pw_index_reset(&c->tuple_index, c->tuple_index.mask + 1);
	c->n_locals = c->n_tuples = c->n_remotes6 = c->n_special = 0;
	pw_lists_clear(&c->entries);
	pw_owner_table_clear(&c->owners);
	c->bound_pass = c->finished = c->read = false;
	memset(&c->totals, 0, sizeof(c->totals));
	for (struct pw_census *vrf = c->vrf == 0 ? c->next : NULL; vrf != NULL; vrf = vrf->next) {
		pw_census_begin(vrf, range);
		pw_census_set_blocked(vrf, &nothing);
	}
}

void pw_census_set_blocked(struct pw_census *c, const struct pw_portset *blocked)
{
	c->read = true;
	c->blocked = *blocked;
}

/* --- VRFs: a census of its own for each, behind that of the namespace --- */

/* The census of a VRF, a new one if need be. NULL when out of memory. */
static struct pw_census *of_vrf(struct pw_census *c, uint32_t vrf)
{
	static const struct pw_portset nothing;
	struct pw_census *found = c->next;

	while (found != NULL && found->vrf != vrf)
		found = found->next;
	if (found != NULL || (found = pw_census_new(c->ns)) == NULL)
		return found;
	found->vrf = vrf;
	found->next = c->next;
	c->next = found;
	pw_census_begin(found, &c->range);
	pw_census_set_blocked(found, &nothing);
	return found;
}

int pw_census_add_blocked(struct pw_census *c, uint32_t vrf, uint16_t port)
{
	struct pw_census *found = of_vrf(c, vrf);

	if (found == NULL)
		return -1;
	pw_portset_add(&found->blocked, port);
	return 0;
}

int pw_census_add_in_vrf(struct pw_census *c, const struct pw_socket *s)
{
	struct pw_census *found = of_vrf(c, s->vrf);
	struct pw_socket socket = *s;

	socket.flags &= (uint8_t)~PW_SOCKET_IN_VRF;
	return found == NULL ? -1 : pw_census_add(found, &socket, 1);
}

/* A device is known by the sockets that are bound to it. */
static bool has_device(const struct pw_census *c, uint32_t zone)
{
	for (uint32_t i = 0; i < c->n_locals; i++)
		if (c->locals[i].zone == zone)
			return true;
	return false;
}

struct pw_census *pw_census_of_device(struct pw_census *c, uint32_t zone)
{
	for (struct pw_census *vrf = zone != 0 ? c->next : NULL; vrf != NULL; vrf = vrf->next)
		if (vrf->vrf == zone || has_device(vrf, zone)) {
			vrf->source.ports = c->source.ports;
			vrf->source.ports_context = c->source.ports_context;
			return vrf;
		}
	return c;
}

void pw_census_finish_vrfs(struct pw_census *c)
{
	for (struct pw_census *vrf = c->next; vrf != NULL; vrf = vrf->next) {
		pw_census_finish(vrf);
		c->totals.sockets += vrf->totals.sockets;
		c->totals.tcp += vrf->totals.tcp;
		c->totals.tcp_time_wait += vrf->totals.tcp_time_wait;
		c->totals.tcp_bound += vrf->totals.tcp_bound;
		c->totals.pools += vrf->totals.pools;
		c->source.pools += vrf->source.pools;
		if (vrf->source.gone > c->source.gone)
			c->source.gone = vrf->source.gone;
	}
}

/* --- what it counted --- */

struct pw_source *pw_census_source(struct pw_census *c)
{
	return &c->source;
}

void pw_census_listening(const struct pw_census *c, struct pw_portset *out)
{
	*out = c->listening;
	pw_portset_intersect(out, &c->capacity);
}

const struct pw_census_totals *pw_census_totals(const struct pw_census *c)
{
	return &c->totals;
}

const struct pw_range *pw_census_range(const struct pw_census *c)
{
	return &c->range;
}

const struct pw_portset *pw_census_blocked(const struct pw_census *c)
{
	return &c->blocked;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* census_vrf.c: the ports of VRFs, each counted apart */
#include <netinet/in.h>

#include "count/census_internal.h"

static struct pw_census *find(struct pw_census *c, uint32_t vrf)
{
	while (c != NULL && c->vrf != vrf)
		c = c->next;
	return c;
}

/* The census of a VRF, a new one if need be. NULL when out of memory. */
static struct pw_census *of_vrf(struct pw_census *c, uint32_t vrf)
{
	static const struct pw_portset nothing;
	struct pw_census *found = find(c->next, vrf);

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

void pw_census_begin_vrfs(struct pw_census *c)
{
	static const struct pw_portset nothing;

	for (struct pw_census *vrf = c->next; vrf != NULL; vrf = vrf->next) {
		pw_census_begin(vrf, &c->range);
		pw_census_set_blocked(vrf, &nothing);
	}
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

int pw_census_each_in_vrfs(struct pw_census *c, uint32_t floor, pw_pool_visit *visit, void *context)
{
	int status = 0;

	for (struct pw_census *vrf = c->next; vrf != NULL && status == 0; vrf = vrf->next) {
		vrf->source.ports = c->source.ports;
		vrf->source.ports_context = c->source.ports_context;
		status = pw_census_each(vrf, floor, visit, context);
	}
	return status;
}

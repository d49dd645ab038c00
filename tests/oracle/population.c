/* SPDX-License-Identifier: BSD-2-Clause */
#include "population.h"

#include <arpa/inet.h>
#include <errno.h>

#include <stdarg.h>
#include <string.h>

#include "count/socket.h"
#include "quirks.h"

static void say(struct population *p, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void say(struct population *p, const char *format, ...)
{
	va_list args;

	fprintf(p->log, "%6.1f ms: ", (double)(space_now_us() - p->begun_us) / 1000);
	va_start(args, format);
	vfprintf(p->log, format, args);
	va_end(args);
	fputc('\n', p->log);
}

static struct rng *dice(struct population *p)
{
	return &p->maker.rng;
}

/* --- settings ----------------------------------------------------------------------------------------------------------- */

/* Mostly small ones, where each port matters; odd and even. */
static unsigned random_width(struct rng *rng)
{
	unsigned r = rng_below(rng, 100);

	if (r < 2)
		return rng_between(rng, 600, 1500); /* more ports in doubt than one poll probes */
	if (r < 10)
		return rng_between(rng, 32, 300);
	return r < 14 ? rng_between(rng, 1, 7) : rng_between(rng, 8, 31);
}

static int set_range(struct population *p, uint16_t low, uint16_t high)
{
	p->maker.range.low = low;
	p->maker.range.high = high;
	return space_set("ipv4/ip_local_port_range", "%u %u", low, high);
}

static int set_reserved(struct population *p)
{
	struct pw_range *range = &p->maker.range;
	char list[2048] = "\n"; /* an empty text would change nothing */
	size_t len = 0;

	pw_portset_clear(&range->reserved);
	for (unsigned i = rng_chance(dice(p), 30) ? rng_between(dice(p), 1, 6) : 0; i > 0; i--) {
		uint16_t from = (uint16_t)rng_between(dice(p), range->low - 2u, range->high + 2u);
		uint16_t to = (uint16_t)(from + rng_below(dice(p), 3));

		len += (size_t)snprintf(list + len, sizeof(list) - len, "%s%u-%u", len > 0 ? "," : "", from, to);
		pw_portset_add_range(&range->reserved, from, to);
	}
	return space_set("ipv4/ip_local_reserved_ports", "%s", list);
}

static int set_time_wait(struct population *p)
{
	static const uint16_t delays[] = {1, 20, 60, 150, 400, 1000};
	static const uint8_t weights[] = {20, 25, 25, 20, 8, 2};
	static const uint16_t fin_timeouts[] = {30, 60, 120};
	struct pw_range *range = &p->maker.range;

	range->tw_reuse = (enum pw_tw_reuse)rng_below(dice(p), 3);
	range->tw_reuse_delay_ms = delays[rng_weighted(dice(p), weights, sizeof(weights))];
	if (!space_since(6, 14)) /* a second for all */
		range->tw_reuse_delay_ms = 1000;
	range->timestamps = p->scenario->twist != TWIST_NO_TIMESTAMPS && p->scenario->twist != TWIST_TIMESTAMPS_LATE;
	if (space_set("ipv4/tcp_tw_reuse", "%u", range->tw_reuse) < 0 ||
		(space_since(6, 14) && space_set("ipv4/tcp_tw_reuse_delay", "%u", range->tw_reuse_delay_ms) < 0) ||
		space_set("ipv4/tcp_timestamps", "%u", range->timestamps) < 0)
		return -1;
	return space_set("ipv4/tcp_fin_timeout", "%u", fin_timeouts[rng_below(dice(p), 3)]);
}

static int set_autobind(struct population *p)
{
	bool on = p->scenario->twist == TWIST_AUTOBIND_REUSE || p->scenario->twist == TWIST_AUTOBIND_CLIENT;

	return space_set("ipv4/ip_autobind_reuse", "%u", on);
}

int population_begin(struct population *p, const struct scenario *scenario, uint64_t seed, FILE *log)
{
	unsigned low, width;

	memset(p, 0, sizeof(*p));
	p->scenario = scenario;
	p->log = log;
	p->begun_us = space_now_us();
	dice(p)->state = seed;
	width = random_width(dice(p));
	low = rng_between(dice(p), 12000, 60000);
	p->questions = rng_between(dice(p), 3, 5);
	if (space_enter() < 0 || set_range(p, (uint16_t)low, (uint16_t)(low + width - 1)) < 0 || set_reserved(p) < 0 ||
		set_time_wait(p) < 0 || set_autobind(p) < 0)
		return -1;
	say(p, "scenario %s, range %u-%u (width %u), tw_reuse %d after %u ms", scenario->name, low, low + width - 1,
		width, p->maker.range.tw_reuse, p->maker.range.tw_reuse_delay_ms);
	return maker_start(&p->maker);
}

void population_end(struct population *p)
{
	maker_stop(&p->maker);
}

/* --- choices -------------------------------------------------------------------------------------------------------------- */

static int random_family(struct population *p)
{
	return rng_chance(dice(p), p->scenario->v6) ? AF_INET6 : AF_INET;
}

enum want { WANT_LOCAL, WANT_BINDABLE };

/* A place of this family that is here; with WANT_BINDABLE also the wildcard, which comes more often then. */
static const struct place *random_place(struct population *p, int family, enum want want)
{
	for (;;) {
		const struct place *place = &space_places[rng_below(dice(p), space_n_places)];

		if (place->family != family || place->far)
			continue;
		if (place->any ? want == WANT_BINDABLE : !(want == WANT_BINDABLE && rng_chance(dice(p), 30)))
			return place;
	}
}

static const struct place *wildcard(int family)
{
	for (unsigned i = 0; i < space_n_places; i++)
		if (space_places[i].any && space_places[i].family == family)
			return &space_places[i];
	return NULL;
}

static uint16_t random_port(struct population *p)
{
	return (uint16_t)rng_between(dice(p), p->maker.range.low, p->maker.range.high);
}

/* The ends, and a device that leads from one to the other. */
static void random_route(struct population *p, struct spec *spec)
{
	int family = random_family(p);

	do {
		spec->local = random_place(p, family, WANT_LOCAL);
		spec->remote = &space_places[rng_below(dice(p), space_n_places)];
	} while (!space_reaches(spec->local, spec->remote));
	spec->mapped = family == AF_INET && rng_chance(dice(p), p->scenario->mapped);
	spec->remote_port = space_server_ports[rng_below(dice(p), SPACE_SERVER_PORTS)];
	spec->device = DEVICE_NONE;
	if (rng_chance(dice(p), p->scenario->device) && !spec->remote->link_local)
		spec->device = space_device_between(spec->local, spec->remote);
}

static void random_reuse(struct population *p, struct spec *spec)
{
	spec->reuseaddr = rng_chance(dice(p), p->scenario->reuse);
	spec->reuseport = rng_chance(dice(p), p->scenario->reuse / 2);
}

/* A range of the socket's own: partly inside the sysctl's. */
static void random_range(struct population *p, struct spec *spec)
{
	unsigned a = random_port(p), b = random_port(p);

	spec->range_low = (uint16_t)(a < b ? a : b);
	spec->range_high = (uint16_t)(a < b ? b : a);
}

static void random_client(struct population *p, struct spec *spec)
{
	*spec = (struct spec){.protocol = IPPROTO_TCP};
	random_route(p, spec);
	spec->how = (enum how)rng_weighted(dice(p), p->scenario->hows, HOWS);
	if (spec->how == HOW_PLAIN || (spec->how == HOW_RANGE && rng_chance(dice(p), 50)))
		spec->local = NULL;
	if (spec->how == HOW_BIND_PORT)
		spec->port = random_port(p);
	if (spec->how == HOW_RANGE)
		random_range(p, spec);
	if (spec->how == HOW_BIND_PORT || spec->how == HOW_BIND_AUTO)
		random_reuse(p, spec);
	else
		spec->reuseaddr = rng_chance(dice(p), p->scenario->client_reuse);
}

static enum ending random_ending(struct population *p)
{
	return (enum ending)rng_weighted(dice(p), p->scenario->endings, ENDINGS);
}

/* An end that suits the connection; either end may be the near one. */
static void end_somehow(struct population *p, int position, enum ending ending)
{
	int peer = p->maker.ledger.entries[position].peer;

	make_end(&p->maker, peer >= 0 && rng_chance(dice(p), 15) ? peer : position, ending);
}

/* --- steps ---------------------------------------------------------------------------------------------------------------- */

/* Connections of one kind. They are ended together, so that later ones of the tuple find the earlier ones' ports in use. */
static void step_connect(struct population *p)
{
	unsigned width = (unsigned)p->maker.range.high - p->maker.range.low + 1;
	unsigned n = rng_chance(dice(p), 80) ? rng_between(dice(p), 1, 4) : rng_between(dice(p), 1, 1 + width / 3);
	int from = (int)p->maker.ledger.n, made = 0;
	struct spec spec;

	random_client(p, &spec);
	for (unsigned i = 0; i < n; i++) {
		made += make_connection(&p->maker, &spec, -1) >= 0;
		if (spec.how == HOW_BIND_PORT)
			spec.port = random_port(p);
	}
	say(p, "%d of %u connections (how %d%s, device %d) from %s to %s:%u", made, n, spec.how,
		spec.mapped ? ", mapped" : "", spec.device, spec.local != NULL ? spec.local->text : "-",
		spec.remote->text, spec.remote_port);
	for (int i = from, to = (int)p->maker.ledger.n; i < to; i++)
		if (p->maker.ledger.entries[i].giver != GIVEN_BY_ACCEPT)
			end_somehow(p, i, random_ending(p));
}

static enum device random_device(struct population *p, const struct place *place)
{
	enum device device = rng_chance(dice(p), p->scenario->device)
		? (enum device)rng_between(dice(p), DEVICE_LO, DEVICE_D1)
		: DEVICE_NONE;

	return space_bindable(place, device) && !place->link_local ? device : DEVICE_NONE;
}

/* Something to bind: any address of either family. */
static void random_bound(struct population *p, struct spec *spec, int protocol)
{
	int family = random_family(p);

	*spec = (struct spec){.protocol = protocol, .local = random_place(p, family, WANT_BINDABLE)};
	spec->mapped = family == AF_INET && rng_chance(dice(p), p->scenario->mapped);
	spec->how = rng_chance(dice(p), 50) ? HOW_BIND_PORT : HOW_BIND_AUTO;
	spec->port = random_port(p);
	spec->v6only = rng_chance(dice(p), 40);
	spec->device = random_device(p, spec->local);
	random_reuse(p, spec);
}

/* Whether the scenario has clients of this kind at all. */
static bool uses(const struct population *p, enum how how)
{
	return p->scenario->hows[how] > 0;
}

static void step_bind(struct population *p)
{
	struct spec spec;

	random_bound(p, &spec, IPPROTO_TCP);
	if (!uses(p, spec.how))
		spec.how = spec.how == HOW_BIND_PORT ? HOW_BIND_AUTO : HOW_BIND_PORT;
	if (uses(p, HOW_NO_PORT) && rng_chance(dice(p), 15))
		spec.how = HOW_NO_PORT; /* has no port, and must not count */
	for (unsigned i = rng_between(dice(p), 1, 3); i > 0; i--) {
		say(p, "bind %s: %d", spec.local->text, make_bound(&p->maker, &spec));
		spec.port = random_port(p);
	}
}

/* An explicit bind of a port that is in use: on another address, or with SO_REUSEADDR; connected, listening, or neither. */
static void step_reuse_bind(struct population *p)
{
	struct ledger *ledger = &p->maker.ledger;
	const struct entry *e;
	struct spec spec;
	int position;

	if (ledger->n == 0)
		return;
	random_client(p, &spec);
	e = &ledger->entries[rng_below(dice(p), (unsigned)ledger->n)];
	spec.local = random_place(p, spec.remote->family, WANT_LOCAL);
	if (rng_chance(dice(p), p->scenario->client_reuse) && space_place_of(&e->local) != NULL)
		spec.local = space_place_of(&e->local);
	spec.how = HOW_BIND_PORT;
	spec.port = e->port;
	spec.reuseaddr = rng_chance(dice(p), 50 + p->scenario->client_reuse / 2);
	if (spec.port < p->maker.range.low || spec.port > p->maker.range.high ||
		!space_reaches(spec.local, spec.remote))
		return;
	if (rng_chance(dice(p), 40)) {
		position = make_connection(&p->maker, &spec, -1);
	} else {
		spec.remote = NULL;
		position = rng_chance(dice(p), 50) ? make_bound(&p->maker, &spec) : make_listener(&p->maker, &spec);
	}
	say(p, "bind of port %u, in use: %d", spec.port, position);
}

/* A client of an own listener. Half of them come from ports outside the range. */
static bool listener_client(struct population *p, const struct spec *at, uint16_t port, struct spec *out)
{
	int family = at->local != NULL ? at->local->family : AF_INET;

	*out = (struct spec){.protocol = IPPROTO_TCP, .remote_port = port, .how = HOW_NO_PORT};
	if (family == AF_INET6 && at->local->any && !at->v6only && rng_chance(dice(p), 50))
		family = AF_INET;
	out->remote = at->local == NULL || at->local->any ? random_place(p, family, WANT_LOCAL) : at->local;
	out->local = random_place(p, family, WANT_LOCAL);
	if (out->remote->link_local || !space_reaches(out->local, out->remote))
		return false;
	out->device = at->device == DEVICE_LO ? space_device_between(out->local, out->remote) : DEVICE_NONE;
	if (rng_chance(dice(p), 50)) {
		out->how = HOW_BIND_PORT;
		out->port = p->maker.outside_port++;
	}
	return at->device == out->device;
}

static int random_listener(struct population *p, struct spec *spec)
{
	random_bound(p, spec, IPPROTO_TCP);
	if (rng_chance(dice(p), 15) && spec->device == DEVICE_NONE) {
		spec->how = HOW_PLAIN; /* listen() takes a port of its own, on the wildcard */
		spec->mapped = false;
		spec->local = wildcard(spec->local->family);
	}
	return make_listener(&p->maker, spec);
}

static void accept_some(struct population *p, const struct spec *at, int listener)
{
	uint16_t port = p->maker.ledger.entries[listener].port;
	struct spec client;
	int position;

	for (unsigned i = rng_below(dice(p), 4); i > 0; i--) {
		if (!listener_client(p, at, port, &client))
			continue;
		position = make_connection(&p->maker, &client, listener);
		say(p, "client of the listener from %s: %d", client.local->text, position);
		if (position < 0)
			continue;
		if (p->maker.ledger.entries[position].peer >= 0 && rng_chance(dice(p), 50))
			position = p->maker.ledger.entries[position].peer;
		make_end(&p->maker, position, random_ending(p));
	}
}

static void step_listen(struct population *p)
{
	struct spec spec;
	int listener = random_listener(p, &spec);

	say(p, "listen on %s: %d", spec.local->text, listener);
	if (listener < 0)
		return;
	if (!spec.mapped || !spec.local->any)
		accept_some(p, &spec, listener);
	if (rng_chance(dice(p), p->scenario->close_listener)) {
		say(p, "close the listener");
		make_reset(&p->maker, listener);
	}
}

static void step_half_open(struct population *p)
{
	struct spec spec, client;
	int listener = random_listener(p, &spec);

	if (listener < 0 || !listener_client(p, &spec, p->maker.ledger.entries[listener].port, &client))
		return;
	say(p, "half-open at %s: %d", spec.local->text, make_half_open(&p->maker, &client, listener));
	if (rng_chance(dice(p), p->scenario->close_listener))
		make_reset(&p->maker, listener);
}

static void step_udp(struct population *p)
{
	struct spec spec;
	int made = 0;

	random_bound(p, &spec, IPPROTO_UDP);
	if (rng_chance(dice(p), 60)) {
		spec.device = DEVICE_NONE;
		random_route(p, &spec);
		spec.v6only = spec.v6only && spec.remote->family == AF_INET6;
		if (rng_chance(dice(p), 60)) {
			spec.how = HOW_PLAIN; /* the kernel binds the wildcard, then narrows */
			spec.local = NULL;
		}
	}
	for (unsigned i = rng_between(dice(p), 1, 4); i > 0; i--) {
		made += make_bound(&p->maker, &spec) >= 0;
		spec.port = random_port(p);
	}
	say(p, "%d UDP sockets, %s", made, spec.remote != NULL ? "connected" : "bound");
}

/* A load peak: a tuple filled until it has taken ports of the second parity too. Then most of those of the first parity end. */
static void step_peak(struct population *p)
{
	unsigned width = (unsigned)p->maker.range.high - p->maker.range.low + 1;
	unsigned n = width * rng_between(dice(p), 60, 100) / 100;
	int from = (int)p->maker.ledger.n;
	struct spec spec;

	random_client(p, &spec);
	if (spec.how > HOW_NO_PORT) {
		spec.how = HOW_PLAIN;
		spec.local = NULL;
	}
	for (unsigned i = 0; i < n && make_connection(&p->maker, &spec, -1) >= 0; i++)
		;
	say(p, "peak of %u to %s:%u", n, spec.remote->text, spec.remote_port);
	for (int i = from, to = (int)p->maker.ledger.n; i < to; i++) {
		const struct entry *e = &p->maker.ledger.entries[i];

		if (e->giver == GIVEN_BY_CONNECT && ((e->port ^ p->maker.range.low) & 1) == 0 &&
			rng_chance(dice(p), 90))
			make_end(&p->maker, i, rng_chance(dice(p), 30) ? END_TIME_WAIT : END_RESET);
	}
}

/* Connections end here. A listener that ends leaves orphans behind: only where the scenario is about them. */
static bool may_end(const struct population *p, const struct entry *e)
{
	return e->fd >= 0 && (e->state != PW_LISTEN || p->scenario->close_listener > 0);
}

/* A socket that was bound some time ago connects now. */
static void connect_bound(struct population *p, int position)
{
	const struct entry *e = &p->maker.ledger.entries[position];
	const struct place *local = space_place_of(&e->local),
			   *remote = random_place(p, (int)e->local.family, WANT_LOCAL);
	uint16_t port = space_server_ports[rng_below(dice(p), SPACE_SERVER_PORTS)];

	if (local == NULL || remote->link_local || e->local.zone != 0 || (!local->any && !space_reaches(local, remote)))
		return;
	say(p, "#%d connects to %s:%u: %d", position, remote->text, port,
		make_connect_bound(&p->maker, position, remote, port));
}

static void step_end(struct population *p)
{
	unsigned n = (unsigned)p->maker.ledger.n;

	for (unsigned i = rng_between(dice(p), 1, 3); n > 0 && i > 0; i--) {
		int position = (int)rng_below(dice(p), n);
		const struct entry *e = &p->maker.ledger.entries[position];

		if (!may_end(p, e))
			continue;
		if (e->protocol == IPPROTO_TCP && e->state == PW_CLOSE && !e->connected && e->port != 0 &&
			rng_chance(dice(p), 70)) {
			connect_bound(p, position);
			continue;
		}
		say(p, "end of #%d", position);
		end_somehow(p, position, random_ending(p));
	}
}

static void take_steps(struct population *p, unsigned n)
{
	static void (*const functions[STEPS])(struct population *) = {
		step_connect, step_bind, step_listen, step_udp, step_peak, step_half_open, step_reuse_bind, step_end};

	while (n-- > 0) {
		functions[rng_weighted(dice(p), p->scenario->steps, STEPS)](p);
		ledger_settle(&p->maker.ledger);
	}
}

void population_grow(struct population *p)
{
	bool late = p->scenario->twist == TWIST_TIMESTAMPS_LATE,
	     dropped = p->scenario->twist == TWIST_TIMESTAMPS_DROPPED;

	take_steps(p, rng_below(dice(p), 13));
	/* what the kernel goes by is what the connections were made with, and that is what the book keeps */
	if (late || dropped)
		space_set("ipv4/tcp_timestamps", "%d", late);
}

/* The range moves, grows or shrinks by a few ports, and other ones are reserved. */
static void change_range(struct population *p)
{
	int low = p->maker.range.low + (int)rng_below(dice(p), 9) - 4;
	int high = p->maker.range.high + (int)rng_below(dice(p), 9) - 4;

	if (high < low)
		high = low;
	set_range(p, (uint16_t)low, (uint16_t)high);
	set_reserved(p);
	say(p, "range is now %d-%d", low, high);
}

void population_change(struct population *p)
{
	if (!rng_chance(dice(p), p->scenario->second_stage))
		return;
	if (rng_chance(dice(p), p->scenario->range_change))
		change_range(p);
	take_steps(p, rng_between(dice(p), 1, 6));
}

static bool has_time_wait(const struct population *p)
{
	for (size_t i = 0; i < p->maker.ledger.n; i++)
		if (!p->maker.ledger.entries[i].gone && p->maker.ledger.entries[i].state == PW_TIME_WAIT)
			return true;
	return false;
}

void population_age(struct population *p)
{
	if (p->maker.range.tw_reuse != PW_TW_REUSE_OFF && has_time_wait(p) && rng_chance(dice(p), 60))
		space_sleep_us((uint64_t)p->maker.range.tw_reuse_delay_ms * rng_between(dice(p), 300, 1400));
}

/* --- questions -------------------------------------------------------------------------------------------------------------- */

static enum device device_of(uint32_t zone)
{
	for (enum device d = DEVICE_LO; d < DEVICES; d++)
		if (space_ifindex(d) == zone)
			return d;
	return DEVICE_NONE;
}

static bool is_server_port(uint16_t port)
{
	for (unsigned i = 0; i < SPACE_SERVER_PORTS; i++)
		if (space_server_ports[i] == port)
			return true;
	return false;
}

/* A tuple that somebody uses. */
static bool question_from_ledger(struct population *p, struct spec *spec)
{
	const struct ledger *ledger = &p->maker.ledger;

	for (unsigned tries = 0; tries < 20 && ledger->n > 0; tries++) {
		const struct entry *e = &ledger->entries[rng_below(dice(p), (unsigned)ledger->n)];

		if (e->gone || e->protocol != IPPROTO_TCP || !is_server_port(e->remote_port))
			continue;
		spec->local = space_place_of(&e->local);
		spec->remote = space_place_of(&e->remote);
		spec->remote_port = e->remote_port;
		spec->device = device_of(e->local.zone);
		if (spec->local == NULL || spec->remote == NULL || !space_reaches(spec->local, spec->remote))
			continue;
		if (spec->remote->link_local)
			spec->device = DEVICE_NONE;
		return true;
	}
	return false;
}

static void question_connect(struct population *p, struct question *out)
{
	struct spec *spec = &out->spec;

	*spec = (struct spec){.protocol = IPPROTO_TCP};
	if (!rng_chance(dice(p), 75) || !question_from_ledger(p, spec))
		random_route(p, spec);
	spec->mapped = spec->local->family == AF_INET && rng_chance(dice(p), 15);
	spec->how = HOW_NO_PORT;
	out->key = (struct pw_pool_key){.local = space_address(spec->local, spec->device),
		.remote = space_address(spec->remote, DEVICE_NONE),
		.ns = 1,
		.port = spec->remote_port,
		.kind = PW_KIND_CONNECT,
		.protocol = IPPROTO_TCP};
	out->key.remote.zone = 0;
	if (space_natural_source(spec->remote) == spec->local && rng_chance(dice(p), 60)) {
		spec->how = HOW_PLAIN;
		spec->local = NULL;
	}
}

static void question_bind(struct population *p, struct question *out, int protocol)
{
	struct spec *spec = &out->spec;
	int family = rng_chance(dice(p), p->scenario->v6) ? AF_INET6 : AF_INET;

	*spec = (struct spec){
		.protocol = protocol, .how = HOW_BIND_AUTO, .local = random_place(p, family, WANT_BINDABLE)};
	spec->mapped = family == AF_INET && rng_chance(dice(p), 15) &&
		!(protocol == IPPROTO_TCP && quirks.mapped_is_special);
	spec->device = random_device(p, spec->local);
	spec->reuseaddr = p->scenario->twist == TWIST_AUTOBIND_CLIENT;
	out->key = (struct pw_pool_key){.local = space_address(spec->local, spec->device),
		.ns = 1,
		.kind = PW_KIND_BIND,
		.protocol = (uint8_t)protocol};
}

/* connect() of an unbound UDP socket draws from the wildcard, whatever the destination. */
static void question_udp_connect(struct population *p, struct question *out)
{
	struct spec *spec = &out->spec;

	*spec = (struct spec){.protocol = IPPROTO_UDP, .how = HOW_PLAIN};
	do
		random_route(p, spec);
	while (spec->remote->link_local); /* its connect() would bind the device first */
	spec->local = NULL;
	spec->mapped = false;
	spec->device = DEVICE_NONE;
	out->key = (struct pw_pool_key){.local = space_address(wildcard(spec->remote->family), DEVICE_NONE),
		.ns = 1,
		.kind = PW_KIND_BIND,
		.protocol = IPPROTO_UDP};
}

/* Which kinds of sockets the scenario has decides what is asked. */
void population_question(struct population *p, struct question *out)
{
	unsigned udp = p->scenario->steps[STEP_UDP], r = rng_below(dice(p), 100);

	memset(out, 0, sizeof(*out));
	if (p->scenario->twist == TWIST_AUTOBIND_CLIENT)
		question_bind(p, out, IPPROTO_TCP);
	else if (udp > 50 || (udp > 0 && r < 15))
		rng_chance(dice(p), 50) ? question_bind(p, out, IPPROTO_UDP) : question_udp_connect(p, out);
	else if (r < 40)
		question_bind(p, out, IPPROTO_TCP);
	else
		question_connect(p, out);
}

#include "model/census.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "model/chain.h"
#include "model/index.h"

/* How the sockets are kept
 *
 *   local ──> tuple ──> record ──> record     a local address (per protocol and device) has tuples, one for each remote
 *     │         └─────> tuple ──> record      address and port; a tuple has a list of 4-byte records, one a socket
 *     └─────> record ──> record               sockets without a pool of their own (listening, bound, inbound, UDP)
 *
 * All is kept in arrays that only grow during a poll. Pools are added up afterwards with a byte of notes for each port, so
 * that a port held by several sockets counts once. */

#define NONE UINT32_MAX
#define PORTS 65536
#define CACHE_LINE 64
#define SMALL_POOL 256     /* ports */
#define BOUND_PASS_EVERY 6 /* polls between two not-AUTO passes that nothing suspicious asks for */

/* A record is a word: the port, flags, and the number of the owner (0 = none). */
#define RECORD_NOT_TIME_WAIT (UINT32_C(1) << 16)
#define RECORD_HARD (UINT32_C(1) << 17)      /* no TIME_WAIT that connect() to the same tuple may take over now */
#define RECORD_HALF_OPEN (UINT32_C(1) << 18) /* holds its tuple, but no bind bucket */
#define RECORD_V6ONLY (UINT32_C(1) << 19)    /* an IPv6 socket that leaves the IPv4 wildcard alone */
#define RECORD_FLAGS_SHIFT 16
#define RECORD_OWNER_SHIFT 20

_Static_assert(PW_OWNER_NUMBERS <= UINT32_MAX >> RECORD_OWNER_SHIFT, "an owner's number fits into a record");

struct local {
	uint8_t address[16];
	uint32_t zone;
	uint8_t family, protocol;
	uint8_t any;      /* the wildcard address */
	uint8_t loopback; /* 127/8 or ::1 */
	uint32_t first_tuple;
	uint32_t records;   /* list of the sockets without tuple */
	uint32_t n_records; /* of these */
	uint32_t count;     /* sockets, with and without tuple */
};

struct tuple { /* 32 bytes: half a line of the cache */
	uint8_t remote[16];
	uint32_t local;
	uint16_t port;
	uint16_t count;   /* sockets; stays at its largest value */
	uint32_t records; /* list of them */
	uint32_t next;    /* of the same local */
};

struct cookie_set {
	uint64_t *slot; /* 0 is empty */
	size_t size, used;
};

enum verdict { VERDICT_NONE, VERDICT_FREE, VERDICT_BLOCKED };

/* What lasts about the ports, each array by port. A signature stands for the set of sockets on a port whose origin their state does
 * not show; it is a sum, so that order plays no part. */
struct port_facts {
	uint64_t *signature;         /* of this poll */
	uint64_t *verdict_signature; /* when the verdict was given */
	uint64_t *pass_signature;    /* at the last not-AUTO pass */
	uint8_t *verdict;            /* enum verdict */
};

/* What is known of a port while pools are added up. The first three are of the pool that is being counted; two of them have the places of
 * the flags of a record. The others last until the next poll: one load answers everything. */
enum port_bit {
	PORT_NOT_TIME_WAIT = RECORD_NOT_TIME_WAIT >> RECORD_FLAGS_SHIFT, /* it has more than TIME_WAIT */
	PORT_HARD = RECORD_HARD >> RECORD_FLAGS_SHIFT,
	PORT_USED = 4,
	PORT_OF_POOL = PORT_NOT_TIME_WAIT | PORT_HARD | PORT_USED,
	PORT_OUTSIDE = 8, /* reserved */
	PORT_LISTENING = 16,
	PORT_BLOCKED = 32
};

struct pw_census {
	uint32_t ns;
	struct pw_range range;
	struct pw_portset capacity;

	struct pw_chains records;
	struct local *locals;
	struct tuple *tuples;
	uint32_t n_locals, n_tuples;
	uint32_t size_locals, size_tuples;
	struct pw_index local_index, tuple_index;
	uint32_t last_local; /* most sockets in a row share one */
	uint32_t *special;   /* locals that conflict beyond their own address: wildcards and those bound to a device */
	uint32_t n_special, size_special;
	uint64_t seed[3];

	struct pw_portset listening,
		bound; /* ports of listeners; ports of bound-only and of explicitly bound sockets */
	struct pw_portset listening_any4,
		listening_any6;     /* of these listeners, those of a wildcard address, by what they accept */
	struct pw_portset unproven; /* ports with a socket that may be foreign */
	struct pw_portset no_port;  /* ports with a socket that is connect-owned unless explicitly bound */
	struct pw_portset known;    /* ports with a socket known by its cookie as foreign */
	struct cookie_set foreign, foreign_next;
	struct cookie_set listeners; /* those of one address, by listener_id() */
	struct port_facts facts;
	bool probing, bound_pass, finished;
	unsigned polls_since_pass;

	struct pw_portset blocked, doubtful; /* results of finish; subsets of the capacity */
	uint32_t free_ports, fast_ports;     /* |C - blocked|, and of these with low's parity */
	struct pw_census_totals totals;
	uint8_t *ports; /* enum port_bit, by port */
	struct pw_owner_table owners;
};

/* --- known foreign sockets ------------------------------------------------------------------------------------------ */

static bool cookie_known(const struct cookie_set *set, uint64_t cookie)
{
	if (set->used == 0 || cookie == 0)
		return false;
	for (size_t i = cookie * UINT64_C(0x9e3779b97f4a7c15) & (set->size - 1); set->slot[i] != 0;
		i = (i + 1) & (set->size - 1))
		if (set->slot[i] == cookie)
			return true;
	return false;
}

static void cookie_store(struct cookie_set *set, uint64_t cookie)
{
	size_t i = cookie * UINT64_C(0x9e3779b97f4a7c15) & (set->size - 1);

	while (set->slot[i] != 0 && set->slot[i] != cookie)
		i = (i + 1) & (set->size - 1);
	set->used += set->slot[i] == 0;
	set->slot[i] = cookie;
}

static int cookie_resize(struct cookie_set *set, size_t size)
{
	struct cookie_set bigger = {.slot = calloc(size, sizeof(uint64_t)), .size = size};

	if (bigger.slot == NULL)
		return -1;
	for (size_t i = 0; i < set->size; i++)
		if (set->slot[i] != 0)
			cookie_store(&bigger, set->slot[i]);
	free(set->slot);
	*set = bigger;
	return 0;
}

static int cookie_add(struct cookie_set *set, uint64_t cookie)
{
	if (cookie == 0)
		return 0;
	if (set->used * 2 >= set->size && cookie_resize(set, set->size == 0 ? 256 : set->size * 2) < 0)
		return -1;
	cookie_store(set, cookie);
	return 0;
}

static void cookie_clear(struct cookie_set *set)
{
	if (set->used != 0)
		memset(set->slot, 0, set->size * sizeof(*set->slot));
	set->used = 0;
}

/* --- a census's life -------------------------------------------------------------------------------------------------- */

struct pw_census *pw_census_new(uint32_t ns)
{
	struct pw_census *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->ns = ns;
	c->facts.signature = calloc(PORTS, sizeof(uint64_t));
	c->facts.verdict_signature = calloc(PORTS, sizeof(uint64_t));
	c->facts.pass_signature = calloc(PORTS, sizeof(uint64_t));
	c->facts.verdict = calloc(PORTS, 1);
	c->ports = calloc(PORTS, 1);
	if (c->facts.signature == NULL || c->facts.verdict_signature == NULL || c->facts.pass_signature == NULL ||
		c->facts.verdict == NULL || c->ports == NULL) {
		pw_census_free(c);
		return NULL;
	}
	c->polls_since_pass = BOUND_PASS_EVERY;
	pw_seed_fill(c->seed);
	return c;
}

void pw_census_free(struct pw_census *c)
{
	if (c == NULL)
		return;
	pw_chains_free(&c->records);
	free(c->locals);
	free(c->tuples);
	free(c->local_index.slot);
	free(c->tuple_index.slot);
	free(c->foreign.slot);
	free(c->foreign_next.slot);
	free(c->listeners.slot);
	free(c->facts.signature);
	free(c->facts.verdict_signature);
	free(c->facts.pass_signature);
	free(c->facts.verdict);
	free(c->special);
	free(c->ports);
	pw_owner_table_free(&c->owners);
	free(c);
}

/* Gives memory back after a peak that has passed. */
static void shrink(struct pw_census *c)
{
	if (c->records.size > 16384 && c->records.n < c->records.size / 16)
		pw_chains_free(&c->records);
	if (c->size_tuples > 16384 && c->n_tuples < c->size_tuples / 16) {
		free(c->tuples);
		free(c->tuple_index.slot);
		c->tuples = NULL;
		c->tuple_index.slot = NULL;
		c->size_tuples = 0;
	}
}

/* The size of the range's part of an array of signatures. */
static size_t range_bytes(const struct pw_census *c)
{
	return ((size_t)c->range.high - c->range.low + 1) * sizeof(uint64_t);
}

static void clear_sets(struct pw_census *c)
{
	pw_portset_clear(&c->listening);
	pw_portset_clear(&c->listening_any4);
	pw_portset_clear(&c->listening_any6);
	cookie_clear(&c->listeners);
	pw_portset_clear(&c->bound);
	pw_portset_clear(&c->unproven);
	pw_portset_clear(&c->no_port);
	pw_portset_clear(&c->known);
	memset(c->facts.signature + c->range.low, 0, range_bytes(c));
}

void pw_census_begin(struct pw_census *c, const struct pw_range *range)
{
	if (c->finished) {
		struct cookie_set last = c->foreign;

		c->foreign = c->foreign_next;
		c->foreign_next = last;
		c->polls_since_pass += c->polls_since_pass < BOUND_PASS_EVERY;
		shrink(c);
	}
	cookie_clear(&c->foreign_next);
	c->range = *range;
	pw_range_capacity(range, &c->capacity);
	clear_sets(c);
	if (c->n_locals != 0 && c->local_index.slot != NULL)
		pw_index_reset(&c->local_index, c->local_index.mask + 1);
	if (c->n_tuples != 0 && c->tuple_index.slot != NULL)
		pw_index_reset(&c->tuple_index, c->tuple_index.mask + 1);
	c->n_locals = c->n_tuples = c->n_special = 0;
	pw_chains_clear(&c->records);
	pw_owner_table_clear(&c->owners);
	c->last_local = NONE;
	c->bound_pass = c->finished = false;
	memset(&c->totals, 0, sizeof(c->totals));
}

/* --- adding sockets --------------------------------------------------------------------------------------------------- */

static bool local_is(
	const struct local *local, const uint8_t address[16], uint32_t zone, uint8_t family, uint8_t protocol)
{
	return local->zone == zone && local->family == family && local->protocol == protocol &&
		memcmp(local->address, address, sizeof(local->address)) == 0;
}

static uint64_t local_hash(
	const struct pw_census *c, const uint8_t address[16], uint32_t zone, uint8_t family, uint8_t protocol)
{
	return pw_hash_address(c->seed, address, (uint64_t)zone << 16 | (uint64_t)family << 8 | protocol);
}

static int index_locals(struct pw_census *c)
{
	if (pw_index_reset(&c->local_index, c->local_index.slot == NULL ? 64 : (c->local_index.mask + 1) * 2) < 0)
		return -1;
	for (uint32_t i = 0; i < c->n_locals; i++) {
		const struct local *l = &c->locals[i];

		pw_index_put(&c->local_index, local_hash(c, l->address, l->zone, l->family, l->protocol), i);
	}
	return 0;
}

static bool is_loopback(uint8_t family, const uint8_t address[16])
{
	static const uint8_t one[16] = {[15] = 1};

	return family == AF_INET ? address[0] == 127 : memcmp(address, one, sizeof(one)) == 0;
}

static uint32_t new_local(struct pw_census *c, const struct pw_socket *s, uint64_t hash)
{
	static const uint8_t any[16];
	struct local *local;

	if (c->n_locals == c->size_locals && pw_grow(&c->locals, &c->size_locals, sizeof(*c->locals)) < 0)
		return NONE;
	if (pw_index_full(&c->local_index, c->n_locals) && index_locals(c) < 0)
		return NONE;
	local = &c->locals[c->n_locals];
	*local = (struct local){.zone = s->ifindex, .family = s->family, .protocol = s->protocol, .first_tuple = NONE};
	memcpy(local->address, s->local, sizeof(local->address));
	local->any = memcmp(s->local, any, sizeof(any)) == 0;
	local->loopback = is_loopback(s->family, s->local);
	if (local->any || local->zone != 0) {
		if (c->n_special == c->size_special && pw_grow(&c->special, &c->size_special, sizeof(*c->special)) < 0)
			return NONE;
		c->special[c->n_special++] = c->n_locals;
	}
	pw_index_put(&c->local_index, hash, c->n_locals);
	return c->n_locals++;
}

static uint32_t lookup_local(const struct pw_census *c, const uint8_t address[16], uint32_t zone, uint8_t family,
	uint8_t protocol, uint64_t hash)
{
	const struct pw_index *index = &c->local_index;

	if (index->slot == NULL)
		return NONE;
	for (uint32_t i = pw_index_start(index, hash); index->slot[i] != 0; i = (i + 1) & index->mask) {
		uint32_t position = pw_index_position(index, index->slot[i]);

		if (pw_index_tag_matches(index, index->slot[i], hash) &&
			local_is(&c->locals[position], address, zone, family, protocol))
			return position;
	}
	return NONE;
}

static uint32_t find_local(struct pw_census *c, const struct pw_socket *s)
{
	uint64_t hash;
	uint32_t found;

	if (c->last_local != NONE && local_is(&c->locals[c->last_local], s->local, s->ifindex, s->family, s->protocol))
		return c->last_local;
	hash = local_hash(c, s->local, s->ifindex, s->family, s->protocol);
	found = lookup_local(c, s->local, s->ifindex, s->family, s->protocol, hash);
	return c->last_local = found != NONE ? found : new_local(c, s, hash);
}

static uint64_t tuple_hash(const struct pw_census *c, uint32_t local, const uint8_t remote[16], uint16_t port)
{
	return pw_hash_address(c->seed, remote, (uint64_t)local << 16 | port);
}

static int index_tuples(struct pw_census *c)
{
	if (pw_index_reset(&c->tuple_index, c->tuple_index.slot == NULL ? 1024 : (c->tuple_index.mask + 1) * 2) < 0)
		return -1;
	for (uint32_t i = 0; i < c->n_tuples; i++)
		pw_index_put(
			&c->tuple_index, tuple_hash(c, c->tuples[i].local, c->tuples[i].remote, c->tuples[i].port), i);
	return 0;
}

/* As pw_grow(), but so that no tuple lies across two lines of the cache. */
static int grow_tuples(struct pw_census *c)
{
	uint32_t new_size = c->size_tuples == 0 ? 256 : c->size_tuples * 2;
	struct tuple *bigger;

	if (new_size < c->size_tuples)
		return -1;
	bigger = aligned_alloc(CACHE_LINE, (size_t)new_size * sizeof(*bigger));
	if (bigger == NULL)
		return -1;
	if (c->n_tuples != 0)
		memcpy(bigger, c->tuples, (size_t)c->n_tuples * sizeof(*bigger));
	free(c->tuples);
	c->tuples = bigger;
	c->size_tuples = new_size;
	return 0;
}

static uint32_t new_tuple(struct pw_census *c, uint32_t local, const struct pw_socket *s, uint64_t hash)
{
	struct tuple *tuple;

	if (c->n_tuples == c->size_tuples && grow_tuples(c) < 0)
		return NONE;
	if (pw_index_full(&c->tuple_index, c->n_tuples) && index_tuples(c) < 0)
		return NONE;
	tuple = &c->tuples[c->n_tuples];
	*tuple = (struct tuple){.local = local, .port = s->remote_port, .next = c->locals[local].first_tuple};
	memcpy(tuple->remote, s->remote, sizeof(tuple->remote));
	pw_index_put(&c->tuple_index, hash, c->n_tuples);
	c->locals[local].first_tuple = c->n_tuples;
	return c->n_tuples++;
}

static bool tuple_is(const struct tuple *t, uint32_t local, const uint8_t remote[16], uint16_t port)
{
	return t->local == local && t->port == port && memcmp(t->remote, remote, sizeof(t->remote)) == 0;
}

static uint32_t lookup_tuple(
	const struct pw_census *c, uint32_t local, const uint8_t remote[16], uint16_t port, uint64_t hash)
{
	const struct pw_index *index = &c->tuple_index;

	if (index->slot == NULL)
		return NONE;
	for (uint32_t i = pw_index_start(index, hash); index->slot[i] != 0; i = (i + 1) & index->mask) {
		uint32_t position = pw_index_position(index, index->slot[i]);

		if (pw_index_tag_matches(index, index->slot[i], hash) &&
			tuple_is(&c->tuples[position], local, remote, port))
			return position;
	}
	return NONE;
}

/* tcp_twsk_unique(): which TIME_WAIT sockets connect() may take over. Its age is what has passed of TCP_TIMEWAIT_LEN. Whether both ends used
 * timestamps is not visible; the sysctl stands for it. */
static bool reusable(const struct pw_census *c, const struct local *local, const struct pw_socket *s)
{
	const uint32_t timewait_len_ms = 60000;

	if (c->range.tw_reuse == PW_TW_REUSE_OFF || !c->range.timestamps || s->expires_ms >= timewait_len_ms ||
		timewait_len_ms - s->expires_ms <= c->range.tw_reuse_delay_ms)
		return false;
	return c->range.tw_reuse == PW_TW_REUSE_ON || s->ifindex == 1 || local->loopback ||
		is_loopback(s->family, s->remote);
}

static inline uint32_t make_record(
	struct pw_census *c, const struct local *local, const struct pw_socket *s, bool foreign)
{
	uint32_t record = s->local_port;

	if (s->flags & PW_SOCKET_HAS_OWNER)
		record |= (uint32_t)pw_owner_table_number(&c->owners, s->cgroup, s->uid) << RECORD_OWNER_SHIFT;
	if (s->protocol != IPPROTO_TCP || s->state != PW_TIME_WAIT)
		record |= RECORD_NOT_TIME_WAIT | RECORD_HARD;
	else if (!reusable(c, local, s))
		record |= RECORD_HARD;
	if (s->flags & PW_SOCKET_HALF_OPEN)
		record |= RECORD_HALF_OPEN;
	/* an explicit bind to a specific IPv6 address makes the socket v6only (__inet6_bind()), which diag does not show later on */
	if (s->flags & PW_SOCKET_V6ONLY ||
		(foreign && s->family == AF_INET6 && s->state != PW_LISTEN && s->state != PW_CLOSE))
		record |= RECORD_V6ONLY;
	return record;
}

/* What a foreign socket is known by: it stays foreign as long as it has this port, but a socket that disconnects and connects again gets
 * another one from connect(). 0 where the cookie is unknown. */
static uint64_t origin(const struct pw_socket *s)
{
	return s->cookie == 0 ? 0 : s->cookie ^ (uint64_t)s->local_port << 48;
}

/* Sorts a connected TCP socket by what is known about the origin of its port. Returns whether it is known as foreign. */
static inline bool classify(struct pw_census *c, const struct pw_socket *s)
{
	uint64_t id = s->cookie;

	if (s->flags & PW_SOCKET_HALF_OPEN)
		return false;
	if (id == 0)
		id = pw_hash_address(c->seed, s->remote, (uint64_t)s->remote_port << 32 | s->state);
	c->facts.signature[s->local_port] += pw_fold(id ^ c->seed[0], c->seed[1]);
	if (cookie_known(&c->foreign, origin(s))) {
		pw_portset_add(&c->known, s->local_port);
		return true;
	}
	pw_portset_add(s->flags & PW_SOCKET_NO_PORT ? &c->no_port : &c->unproven, s->local_port);
	return false;
}

/* Where a socket belongs. */
struct place {
	uint32_t local; /* NONE: outside the range */
	uint32_t tuple; /* a guess, to be compared; NONE: there is none */
	uint64_t hash;  /* of the tuple */
};

static uint32_t place_tuple(const struct pw_census *c, const struct place *place, const struct pw_socket *s)
{
	if (place->tuple < c->n_tuples && tuple_is(&c->tuples[place->tuple], place->local, s->remote, s->remote_port))
		return place->tuple;
	return lookup_tuple(c, place->local, s->remote, s->remote_port, place->hash);
}

static inline int add_tuple_socket(struct pw_census *c, const struct place *place, const struct pw_socket *s)
{
	uint32_t local = place->local, tuple = place_tuple(c, place, s);
	bool foreign = classify(c, s);
	struct tuple *t;

	if (foreign && cookie_add(&c->foreign_next, origin(s)) < 0)
		return -1;
	if (tuple == NONE && (tuple = new_tuple(c, local, s, place->hash)) == NONE)
		return -1;
	t = &c->tuples[tuple];
	if (pw_chain_add(&c->records, &t->records, t->count, make_record(c, &c->locals[local], s, foreign)) < 0)
		return -1;
	t->count += t->count != UINT16_MAX;
	return 0;
}

/* A socket without tuple. */
static int add_local_socket(struct pw_census *c, uint32_t local, const struct pw_socket *s)
{
	struct local *l = &c->locals[local];

	if (pw_chain_add(&c->records, &l->records, l->n_records, make_record(c, l, s, false)) < 0)
		return -1;
	l->n_records++;
	return 0;
}

static uint64_t listener_id(uint32_t local, uint16_t port)
{
	return ((uint64_t)local + 1) << 16 | port;
}

static int add_listener(struct pw_census *c, uint32_t local, const struct pw_socket *s)
{
	pw_portset_add(&c->listening, s->local_port);
	if (!c->locals[local].any)
		return cookie_add(&c->listeners, listener_id(local, s->local_port));
	if (s->family == AF_INET6)
		pw_portset_add(&c->listening_any6, s->local_port);
	if (s->family == AF_INET || (s->flags & PW_SOCKET_V6ONLY) == 0)
		pw_portset_add(&c->listening_any4, s->local_port);
	return 0;
}

/* Whether a socket on a listener's port came from a listener: then it is foreign also when that is gone. A connection of another address
 * or family may have had the port before the listener, and owns it still. */
static bool accepted(const struct pw_census *c, uint32_t local, const struct pw_socket *s)
{
	const struct pw_portset *any = s->family == AF_INET ? &c->listening_any4 : &c->listening_any6;

	return (s->flags & PW_SOCKET_HALF_OPEN) == 0 &&
		(pw_portset_has(any, s->local_port) || cookie_known(&c->listeners, listener_id(local, s->local_port)));
}

static inline int add_tcp(struct pw_census *c, const struct place *place, const struct pw_socket *s)
{
	uint32_t local = place->local;

	c->totals.tcp++;
	c->totals.tcp_time_wait += s->state == PW_TIME_WAIT;
	if (s->state == PW_LISTEN) {
		if (add_listener(c, local, s) < 0)
			return -1;
	} else if (s->state == PW_CLOSE) {
		c->totals.tcp_bound++;
		pw_portset_add(&c->bound, s->local_port);
		if (cookie_add(&c->foreign_next, origin(s)) < 0)
			return -1;
	} else if (!pw_portset_has(&c->listening, s->local_port)) {
		return add_tuple_socket(c, place, s);
	} else if ((accepted(c, local, s) || cookie_known(&c->foreign, origin(s))) &&
		cookie_add(&c->foreign_next, origin(s)) < 0) {
		return -1;
	}
	return add_local_socket(c, local, s);
}

static inline int add_one(struct pw_census *c, const struct place *place, const struct pw_socket *s)
{
	c->locals[place->local].count++;
	if (s->protocol == IPPROTO_TCP)
		return add_tcp(c, place, s);
	c->totals.udp++;
	return add_local_socket(c, place->local, s);
}

#define AHEAD 64

/* Each socket would wait for memory three times: for the facts of its port (ports come in no order, and the kernel's dump has emptied the
 * caches), and with many destinations for its slot of the index and for its tuple. Asked for ahead, many come at once. It is
 * only a hint: the index may grow before they are used. Inlined by force: to gcc a function that only prefetches has no effect,
 * and it drops the call. */
#define PREFETCHES static inline __attribute__((always_inline)) void

PREFETCHES fetch_slot(const struct pw_census *c, uint16_t port, uint64_t hash)
{
	__builtin_prefetch(&c->facts.signature[port], 1);
	if (c->tuple_index.slot != NULL)
		__builtin_prefetch(&c->tuple_index.slot[hash & c->tuple_index.mask]);
}

static int find_places(struct pw_census *c, const struct pw_socket *sockets, size_t n, struct place places[AHEAD])
{
	for (size_t i = 0; i < n; i++) {
		const struct pw_socket *s = &sockets[i];

		places[i] = (struct place){.local = NONE, .tuple = NONE};
		if (s->local_port < c->range.low || s->local_port > c->range.high)
			continue;
		places[i].local = find_local(c, s);
		if (places[i].local == NONE)
			return -1;
		if (s->protocol == IPPROTO_TCP)
			places[i].hash = tuple_hash(c, places[i].local, s->remote, s->remote_port);
		fetch_slot(c, s->local_port, places[i].hash);
	}
	return 0;
}

/* The slot of a key, as far as the first two that it can be in tell. No branch: it would wait for each slot in turn. */
static inline uint32_t likely_slot(const struct pw_index *index, uint64_t hash)
{
	uint32_t i = pw_index_start(index, hash);
	uint32_t first = index->slot[i], second = index->slot[(i + 1) & index->mask];

	return pw_index_tag_matches(index, first, hash) ? first : second;
}

PREFETCHES guess_tuples(const struct pw_census *c, struct place *places, size_t n)
{
	const struct pw_index *index = &c->tuple_index;

	for (size_t i = 0; i < n && c->n_tuples != 0; i++) {
		uint32_t slot = likely_slot(index, places[i].hash);

		places[i].tuple = slot != 0 ? pw_index_position(index, slot) : 0;
		__builtin_prefetch(&c->tuples[places[i].tuple], 1);
	}
}

static int add_ahead(struct pw_census *c, const struct pw_socket *sockets, size_t n)
{
	struct place places[AHEAD];

	if (find_places(c, sockets, n, places) < 0)
		return -1;
	guess_tuples(c, places, n);
	for (size_t i = 0; i < n; i++)
		if (places[i].local != NONE && add_one(c, &places[i], &sockets[i]) < 0)
			return -1;
	return 0;
}

int pw_census_add(struct pw_census *c, const struct pw_socket *sockets, size_t n)
{
	for (size_t i = 0; i < n; i += AHEAD)
		if (add_ahead(c, sockets + i, n - i < AHEAD ? n - i : AHEAD) < 0)
			return -1;
	return 0;
}

int pw_census_add_bound(struct pw_census *c, const struct pw_socket *sockets, size_t n)
{
	c->bound_pass = true;
	for (size_t i = 0; i < n; i++) {
		if (sockets[i].local_port < c->range.low || sockets[i].local_port > c->range.high)
			continue;
		pw_portset_add(&c->bound, sockets[i].local_port);
		if (sockets[i].state != PW_LISTEN && cookie_add(&c->foreign_next, origin(&sockets[i])) < 0)
			return -1;
	}
	return 0;
}

/* --- which ports are blocked -------------------------------------------------------------------------------------------- */

/* What is held by state, by an explicit bind or by a cookie is blocked; a verdict on just these sockets outranks the cookie. What
 * remains is in doubt, and free: inference never calls a port blocked on suspicion. */
static void judge_port(struct pw_census *c, uint16_t port)
{
	const struct port_facts *facts = &c->facts;
	bool state = pw_portset_has(&c->listening, port) || pw_portset_has(&c->bound, port);
	bool known = pw_portset_has(&c->known, port);
	bool open = known || pw_portset_has(&c->unproven, port) ||
		(!c->bound_pass && pw_portset_has(&c->no_port, port));
	bool judged = c->probing && facts->verdict[port] != VERDICT_NONE &&
		facts->verdict_signature[port] == facts->signature[port];

	if (state)
		facts->verdict[port] =
			VERDICT_NONE; /* before 6.18 a port can stay blocked when these are gone: ask again then */
	if (state || (judged && open ? facts->verdict[port] == VERDICT_BLOCKED : known))
		pw_portset_add(&c->blocked, port);
	if (!state && open && !judged && (c->probing || !known))
		pw_portset_add(&c->doubtful, port);
}

/* Ports that nothing is known about need no judgement, so whole words without any bit are skipped. */
static void judge(struct pw_census *c)
{
	pw_portset_clear(&c->blocked);
	pw_portset_clear(&c->doubtful);
	for (unsigned i = c->range.low >> 6; i <= (unsigned)c->range.high >> 6; i++) {
		uint64_t held = c->listening.word[i] | c->bound.word[i] | c->unproven.word[i] | c->no_port.word[i] |
			c->known.word[i];

		for (held &= c->capacity.word[i]; held != 0; held &= held - 1)
			judge_port(c, (uint16_t)(i * 64 + (unsigned)__builtin_ctzll(held)));
	}
}

static void note_pass(struct pw_census *c)
{
	memcpy(c->facts.pass_signature + c->range.low, c->facts.signature + c->range.low, range_bytes(c));
	c->polls_since_pass = 0;
}

/* A local address is a bind pool of its own; UDP always has the two wildcard pools, from which connect() and sendto() draw. */
static uint32_t count_pools(const struct pw_census *c)
{
	return c->n_tuples + c->n_locals;
}

/* Ports of a set get a bit. */
static void mark_ports(struct pw_census *c, const struct pw_portset *set, uint8_t bit)
{
	for (unsigned i = c->range.low >> 6; i <= (unsigned)c->range.high >> 6; i++)
		for (uint64_t rest = set->word[i]; rest != 0; rest &= rest - 1)
			c->ports[i * 64 + (unsigned)__builtin_ctzll(rest)] |= bit;
}

/* What no pool changes. */
static void mark_all_ports(struct pw_census *c)
{
	struct pw_portset outside;

	pw_portset_clear(&outside);
	pw_portset_add_range(&outside, c->range.low, c->range.high);
	pw_portset_subtract(&outside, &c->capacity);
	memset(c->ports + c->range.low, 0, (size_t)c->range.high - c->range.low + 1);
	mark_ports(c, &outside, PORT_OUTSIDE);
	mark_ports(c, &c->listening, PORT_LISTENING);
	mark_ports(c, &c->blocked, PORT_BLOCKED);
}

int pw_census_finish(struct pw_census *c)
{
	struct pw_portset free_set;

	if (c->bound_pass && c->polls_since_pass != 0)
		note_pass(c);
	judge(c);
	mark_all_ports(c);
	free_set = c->capacity;
	pw_portset_subtract(&free_set, &c->blocked);
	c->free_ports = pw_portset_count(&free_set);
	c->fast_ports = pw_portset_count_parity(&free_set, c->range.low & 1);
	c->totals.sockets = (uint64_t)c->totals.tcp + c->totals.udp;
	c->totals.capacity = pw_portset_count(&c->capacity);
	c->totals.blocked = pw_portset_count(&c->blocked);
	c->totals.doubtful = pw_portset_count(&c->doubtful);
	c->totals.pools = count_pools(c);
	c->totals.basis = c->probing && c->totals.doubtful == 0 ? PW_BASIS_PROBED : PW_BASIS_INFERRED;
	c->finished = true;
	return 0;
}

bool pw_census_wants_bound(const struct pw_census *c)
{
	bool any = c->polls_since_pass >= BOUND_PASS_EVERY;

	if (c->bound_pass)
		return false;
	for (unsigned i = c->range.low >> 6; i <= (unsigned)c->range.high >> 6; i++)
		for (uint64_t rest = c->doubtful.word[i]; rest != 0; rest &= rest - 1) {
			unsigned port = i * 64 + (unsigned)__builtin_ctzll(rest);

			if ((any || ((port ^ c->range.low) & 1)) &&
				c->facts.signature[port] != c->facts.pass_signature[port])
				return true;
		}
	return false;
}

void pw_census_set_probing(struct pw_census *c, bool probing)
{
	if (!probing && c->probing)
		memset(c->facts.verdict, VERDICT_NONE, PORTS);
	c->probing = probing;
}

size_t pw_census_doubts(const struct pw_census *c, uint16_t *ports, size_t max)
{
	size_t n = 0;

	const uint64_t even = UINT64_C(0x5555555555555555);

	for (unsigned pass = 0; pass < 2; pass++) {
		uint64_t mask = ((c->range.low + pass) & 1) != 0 ? even
								 : even << 1; /* first the parity that is not low's */

		for (unsigned i = c->range.low >> 6; i <= (unsigned)c->range.high >> 6; i++)
			for (uint64_t rest = c->doubtful.word[i] & mask; rest != 0 && n < max; rest &= rest - 1)
				ports[n++] = (uint16_t)(i * 64 + (unsigned)__builtin_ctzll(rest));
	}
	return n;
}

void pw_census_verdict(struct pw_census *c, uint16_t port, bool blocked)
{
	c->facts.verdict[port] = blocked ? VERDICT_BLOCKED : VERDICT_FREE;
	c->facts.verdict_signature[port] = c->facts.signature[port];
}

/* --- connect pools -------------------------------------------------------------------------------------------------- */

/* The first part of a tuple's records; NONE has none. */
static struct pw_chain_part tuple_records(const struct pw_census *c, uint32_t tuple)
{
	return tuple == NONE ? (struct pw_chain_part){0}
			     : pw_chain_first(&c->records, &c->tuples[tuple].records, c->tuples[tuple].count);
}

/* Ports of a connect pool. */
struct connect_tally {
	uint32_t used, not_time_wait;
	uint32_t blocked;    /* of the used ones */
	uint32_t taken;      /* that connect() could have but for this pool */
	uint32_t taken_fast; /* of these, with low's parity */
};

/* Each port counts once, whatever is on it. What sits on a listener's port is inbound, and no part of a connect pool. No branches but the
 * one that is nearly always the same: they would be taken at random. */
static void connect_tuple(struct pw_census *c, uint32_t tuple, struct connect_tally *tally)
{
	struct connect_tally sum = *tally;
	uint8_t *ports = c->ports;
	uint16_t low = c->range.low;

	for (struct pw_chain_part part = tuple_records(c, tuple); part.n != 0; part = pw_chain_next(&c->records, part))
		for (unsigned i = 0; i < part.n; i++) {
			uint16_t port = (uint16_t)part.values[i];
			uint8_t flags = part.values[i] >> RECORD_FLAGS_SHIFT & (PORT_NOT_TIME_WAIT | PORT_HARD);
			uint8_t old = ports[port], news = (flags | PORT_USED) & ~old;
			bool used = (news & PORT_USED) != 0, blocked = (old & PORT_BLOCKED) != 0;
			bool taken = (news & PORT_HARD) != 0 && !blocked;

			if (news == 0 || (old & (PORT_OUTSIDE | PORT_LISTENING)) != 0)
				continue;
			ports[port] = old | news;
			sum.used += used;
			sum.not_time_wait += (news & PORT_NOT_TIME_WAIT) != 0;
			sum.blocked += used & blocked;
			sum.taken += taken;
			sum.taken_fast += taken & ~(port ^ low) & 1;
		}
	*tally = sum;
}

/* Eight ports at a time: this is done once for each pool of some size. */
static void clear_ports(struct pw_census *c)
{
	const uint64_t keep = ~(UINT64_C(0x0101010101010101) * PORT_OF_POOL);
	uint64_t word;

	for (unsigned port = c->range.low & ~7u; port <= c->range.high; port += sizeof(word)) {
		memcpy(&word, c->ports + port, sizeof(word));
		word &= keep;
		memcpy(c->ports + port, &word, sizeof(word));
	}
}

/* After a small pool: most are, and clearing the whole range would cost more than their counting. */
static void clear_tuple(struct pw_census *c, uint32_t tuple)
{
	for (struct pw_chain_part part = tuple_records(c, tuple); part.n != 0; part = pw_chain_next(&c->records, part))
		for (unsigned i = 0; i < part.n; i++)
			c->ports[(uint16_t)part.values[i]] &= (uint8_t)~PORT_OF_POOL;
}

static bool port_is_free(const struct pw_census *c, uint16_t port)
{
	return (c->ports[port] & (PORT_OUTSIDE | PORT_BLOCKED | PORT_HARD)) == 0;
}

/* A range of odd width above 1 loses its low or high end in every search (__inet_hash_connect(): `remaining &= ~1U`); both have
 * the parity that is tried first. Counted when such a port is free: then it may be the one that is missed. */
static void lose_odd_end(const struct pw_census *c, struct pw_pool_counts *out)
{
	if (!pw_range_is_odd(&c->range) || !(port_is_free(c, c->range.low) || port_is_free(c, c->range.high)))
		return;
	out->free--;
	out->fast_free--;
}

/* The counts of a connect pool from its tuple and, for a pool of a device, the tuple without device, either of which may be NONE: a socket
 * bound to a device collides with both (inet_match()), one without only with its like. */
static void count_connect(struct pw_census *c, uint32_t tuple, uint32_t twin, struct pw_pool_counts *out)
{
	struct connect_tally tally = {0};

	connect_tuple(c, tuple, &tally);
	connect_tuple(c, twin, &tally);
	*out = (struct pw_pool_counts){.capacity = c->totals.capacity,
		.used = tally.used,
		.time_wait = tally.used - tally.not_time_wait,
		.reusable = tally.used - tally.blocked - tally.taken,
		.blocked = c->totals.blocked - tally.blocked,
		.free = c->free_ports - tally.taken,
		.fast_free = c->fast_ports - tally.taken_fast};
	lose_odd_end(c, out);
	if (tally.used > SMALL_POOL) {
		clear_ports(c);
	} else {
		clear_tuple(c, tuple);
		clear_tuple(c, twin);
	}
	out->utilization = pw_utilization(out->capacity, out->free);
}

/* --- bind pools ------------------------------------------------------------------------------------------------------- */

/* Who conflicts with bind(address, 0): inet_rcv_saddr_equal() and ipv6_rcv_saddr_equal(). Devices: one side without, or the same.
 * *unless says which records do not, a mask of their flags. */
static bool bind_conflict(const struct local *pool, const struct local *other, uint32_t *unless)
{
	*unless = 0;
	if (pool->protocol != other->protocol || (pool->zone != 0 && other->zone != 0 && pool->zone != other->zone))
		return false;
	if (pool->family == other->family)
		return pool->any || other->any || memcmp(pool->address, other->address, sizeof(pool->address)) == 0;
	if (pool->family == AF_INET6) /* only the dual-stack wildcard reaches over to IPv4 */
		return pool->any;
	*unless = RECORD_V6ONLY;
	return other->any || pool->any;
}

struct bind_tally {
	struct pw_census *census;
	const struct local *pool;
	bool owners; /* are counted, not the ports */
	uint32_t used, not_time_wait, bound;
	uint32_t used_first; /* used ports of the parity that bind() tries first */
};

/* As connect_tuple(). A half-open socket owns no bind bucket. */
static void bind_records(struct bind_tally *tally, struct pw_chain_part part, uint32_t unless)
{
	const struct pw_chains *records = &tally->census->records;
	uint8_t *ports = tally->census->ports;
	uint16_t low = tally->census->range.low;
	struct bind_tally sum = *tally;

	unless |= RECORD_HALF_OPEN;
	for (; part.n != 0; part = pw_chain_next(records, part))
		for (unsigned i = 0; i < part.n; i++) {
			uint32_t record = part.values[i];
			uint16_t port = (uint16_t)record;
			uint8_t flags = record >> RECORD_FLAGS_SHIFT & PORT_NOT_TIME_WAIT;
			uint8_t old = ports[port], news = (flags | PORT_USED) & ~old;
			bool used = (news & PORT_USED) != 0;

			if (news == 0 || (old & PORT_OUTSIDE) != 0 || (record & unless) != 0)
				continue;
			ports[port] = old | news;
			sum.used += used;
			sum.not_time_wait += (news & PORT_NOT_TIME_WAIT) != 0;
			sum.bound += used & ((old & (PORT_BLOCKED | PORT_LISTENING)) == PORT_BLOCKED);
			sum.used_first += used & (port ^ low) & 1;
		}
	*tally = sum;
}

static void count_owner(struct pw_census *c, uint32_t record)
{
	if ((c->ports[(uint16_t)record] & PORT_OUTSIDE) == 0)
		pw_owner_table_count(&c->owners, record >> RECORD_OWNER_SHIFT);
}

static void bind_owners(struct bind_tally *tally, struct pw_chain_part part, uint32_t unless)
{
	struct pw_census *c = tally->census;

	for (; part.n != 0; part = pw_chain_next(&c->records, part))
		for (unsigned i = 0; i < part.n; i++)
			if ((part.values[i] & unless) == 0)
				count_owner(c, part.values[i]);
}

static void walk_records(struct bind_tally *tally, struct pw_chain_part part, uint32_t unless)
{
	if (tally->owners)
		bind_owners(tally, part, unless);
	else
		bind_records(tally, part, unless);
}

static void walk_local(struct bind_tally *tally, uint32_t id)
{
	const struct pw_census *c = tally->census;
	const struct local *other = &c->locals[id];
	uint32_t unless;

	if (!bind_conflict(tally->pool, other, &unless))
		return;
	walk_records(tally, pw_chain_first(&c->records, &other->records, other->n_records), unless);
	for (uint32_t t = other->first_tuple; t != NONE; t = c->tuples[t].next)
		walk_records(tally, tuple_records(c, t), unless);
}

/* The local of an address without device, NONE when it has no sockets. */
static uint32_t plain_local(const struct pw_census *c, const struct local *pool)
{
	return lookup_local(c, pool->address, 0, pool->family, pool->protocol,
		local_hash(c, pool->address, 0, pool->family, pool->protocol));
}

/* Every record that may conflict: a wildcard pool has to see all local addresses, another one only its own, the wildcards, and its
 * twins bound to devices. */
static void walk_conflicts(struct bind_tally *tally)
{
	const struct pw_census *c = tally->census;
	uint32_t plain;

	if (tally->pool->any) {
		for (uint32_t i = 0; i < c->n_locals; i++)
			walk_local(tally, i);
		return;
	}
	for (uint32_t i = 0; i < c->n_special; i++)
		walk_local(tally, c->special[i]);
	plain = plain_local(c, tally->pool);
	if (plain != NONE)
		walk_local(tally, plain);
}

/* bind() of TCP tries the other parity than low's first (inet_csk_find_open_port()); UDP knows no parity. */
static void count_bind(struct pw_census *c, const struct local *pool, struct pw_pool_counts *out)
{
	struct bind_tally tally = {.census = c, .pool = pool};

	walk_conflicts(&tally);
	clear_ports(c);
	*out = (struct pw_pool_counts){.capacity = c->totals.capacity,
		.used = tally.used,
		.time_wait = tally.used - tally.not_time_wait,
		.free = c->totals.capacity - tally.used,
		.fast_free = c->totals.capacity - tally.used};
	if (pool->protocol == IPPROTO_TCP) {
		out->bound = tally.bound;
		out->fast_free = pw_portset_count_parity(&c->capacity, (c->range.low & 1) ^ 1) - tally.used_first;
	}
	out->utilization = pw_utilization(out->capacity, out->free);
}

/* --- walking the pools ------------------------------------------------------------------------------------------------ */

static struct pw_address local_address(const struct local *l)
{
	struct pw_address a = {.family = l->family, .zone = l->zone};

	memcpy(a.bytes, l->address, sizeof(a.bytes));
	return a;
}

/* The tuple of the same ends without device, NONE when there is none or this one has no device. */
static uint32_t twin_of(const struct pw_census *c, const struct local *local, const uint8_t remote[16], uint16_t port)
{
	uint32_t plain = local->zone != 0 ? plain_local(c, local) : NONE;

	return plain == NONE ? NONE : lookup_tuple(c, plain, remote, port, tuple_hash(c, plain, remote, port));
}

static int visit_tuple(struct pw_census *c, uint32_t id, uint32_t floor, pw_census_visit *visit, void *context)
{
	const struct tuple *t = &c->tuples[id];
	const struct local *local = &c->locals[t->local];
	uint32_t twin = twin_of(c, local, t->remote, t->port);
	struct pw_pool_key key = {.ns = c->ns, .kind = PW_KIND_CONNECT, .protocol = IPPROTO_TCP, .port = t->port};
	struct pw_pool_counts counts;

	if (t->count + (twin != NONE ? c->tuples[twin].count : 0u) < floor)
		return 0;
	count_connect(c, id, twin, &counts);
	if (counts.used < floor)
		return 0;
	key.local = local_address(local);
	key.remote.family = local->family;
	memcpy(key.remote.bytes, t->remote, sizeof(t->remote));
	return visit(&key, &counts, context);
}

/* The sockets that may conflict with any specific address. */
static uint32_t special_count(const struct pw_census *c)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < c->n_special; i++)
		count += c->locals[c->special[i]].count;
	return count;
}

static int visit_bind(
	struct pw_census *c, const struct local *pool, uint32_t floor, pw_census_visit *visit, void *context)
{
	struct pw_pool_key key = {.ns = c->ns, .kind = PW_KIND_BIND, .protocol = pool->protocol};
	struct pw_pool_counts counts;

	count_bind(c, pool, &counts);
	if (counts.used < floor)
		return 0;
	key.local = local_address(pool);
	return visit(&key, &counts, context);
}

/* connect() and sendto() of an unbound UDP socket draw from the wildcard, so these two pools exist without any socket on them. */
static int visit_udp_wildcards(struct pw_census *c, uint32_t floor, pw_census_visit *visit, void *context)
{
	static const uint8_t families[] = {AF_INET, AF_INET6};

	for (size_t i = 0; c->totals.udp != 0 && i < sizeof(families); i++) {
		struct local pool = {.family = families[i], .protocol = IPPROTO_UDP, .any = 1};
		int status = plain_local(c, &pool) == NONE ? visit_bind(c, &pool, floor, visit, context) : 0;

		if (status != 0)
			return status;
	}
	return 0;
}

int pw_census_each(struct pw_census *c, uint32_t floor, pw_census_visit *visit, void *context)
{
	uint32_t shared = special_count(c);
	int status = 0;

	for (uint32_t i = 0; i < c->n_tuples && status == 0; i++)
		status = visit_tuple(c, i, floor, visit, context);
	for (uint32_t i = 0; i < c->n_locals && status == 0; i++)
		if (c->locals[i].any || c->locals[i].count + shared >= floor)
			status = visit_bind(c, &c->locals[i], floor, visit, context);
	return status != 0 ? status : visit_udp_wildcards(c, floor, visit, context);
}

static struct local key_local(const struct pw_pool_key *key)
{
	struct local local = {.zone = key->local.zone,
		.family = (uint8_t)key->local.family,
		.protocol = key->protocol,
		.any = pw_address_is_any(&key->local)};

	memcpy(local.address, key->local.bytes, sizeof(local.address));
	return local;
}

/* The tuple of a connect pool, or NONE. */
static uint32_t key_tuple(const struct pw_census *c, const struct local *local, const struct pw_pool_key *key)
{
	uint32_t id = lookup_local(c, local->address, local->zone, local->family, local->protocol,
		local_hash(c, local->address, local->zone, local->family, local->protocol));

	return id == NONE
		? NONE
		: lookup_tuple(c, id, key->remote.bytes, key->port, tuple_hash(c, id, key->remote.bytes, key->port));
}

void pw_census_pool(struct pw_census *c, const struct pw_pool_key *key, struct pw_pool_counts *out)
{
	struct local local = key_local(key);

	if (key->kind == PW_KIND_CONNECT)
		count_connect(c, key_tuple(c, &local, key), twin_of(c, &local, key->remote.bytes, key->port), out);
	else
		count_bind(c, &local, out);
}

static void connect_owners(struct pw_census *c, uint32_t tuple)
{
	for (struct pw_chain_part part = tuple_records(c, tuple); part.n != 0; part = pw_chain_next(&c->records, part))
		for (unsigned i = 0; i < part.n; i++)
			if ((c->ports[(uint16_t)part.values[i]] & PORT_LISTENING) == 0)
				count_owner(c, part.values[i]);
}

void pw_census_owners(struct pw_census *c, const struct pw_pool_key *key, struct pw_owners *out)
{
	struct local local = key_local(key);
	struct bind_tally tally = {.census = c, .pool = &local, .owners = true};

	pw_owner_table_start(&c->owners);
	if (key->kind == PW_KIND_CONNECT) {
		connect_owners(c, key_tuple(c, &local, key));
		connect_owners(c, twin_of(c, &local, key->remote.bytes, key->port));
	} else {
		walk_conflicts(&tally);
	}
	pw_owner_table_result(&c->owners, out);
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

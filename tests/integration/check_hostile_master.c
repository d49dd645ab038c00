/* SPDX-License-Identifier: BSD-2-Clause */
/* The whole connection with a master that is a fuzzer: the real agent thread, with libnetsnmp behind it, against a master that knows AgentX and
 * breaks it.
 *
 * It takes the PDUs of recorded sessions (tests/fuzz/seeds/serve) and makes some of its own, as they are, changed, cut, lengthened, in any pieces;
 * answers what it is asked rightly, wrongly, twice, later or never; ends connections in the middle of anything. Meanwhile snapshots change and
 * notifications are posted. At the end a good master must be served and get all that is owed, and the agent must stop in time.
 *
 * PW_PDUS=10000000 for a long run, in a build with --enable-sanitizers; PW_SEED=N repeats one. */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/agent.h"
#include "agent/pdu.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "random.h"
#include "watch/exchange.h"

enum {
	SEEDS_MAX = 4096,
	PDU_MAX = 1 << 16,
	OUT_MAX = 1 << 18,
	IN_MAX = PW_PDU_MAX,
	DEADLINE_MS = 60000,
	STOP_MS = 5000
};

struct pdu {
	uint8_t octets[PDU_MAX];
	size_t len;
};

static struct {
	uint64_t pdus, connections, responses, broken, notified;
	uint8_t *seeds[SEEDS_MAX];
	size_t seed_len[SEEDS_MAX], n_seeds;
	struct pw_exchange *exchange;
	struct pw_agent *agent;
	int listener;
	uint32_t event_id, packet;
} fuzz;

/* The connection of the moment. */
static struct {
	int fd;
	uint32_t session;
	bool over;
	uint8_t out[OUT_MAX], in[IN_MAX];
	size_t out_len, in_len;
} peer;

static void fail(const char *what)
{
	printf("FAILED: %s after %llu PDUs\n", what, (unsigned long long)fuzz.pdus);
	exit(1);
}

/* --- octets ---------------------------------------------------------------------------------------------------------- */

static void put32(uint8_t *p, uint32_t value)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(value >> (24 - 8 * i));
}

static uint32_t interesting(void)
{
	static const uint32_t values[] = {0, 1, 2, 3, 4, 8, 127, 128, 129, 255, 256, 1161, 8072, 9999, 28232, 65535,
		65536, 0x7fffffff, 0x80000000, 0xfffffffc, 0xfffffffe, 0xffffffff};

	return chance(8) ? pick(UINT32_MAX) : values[pick(sizeof(values) / sizeof(values[0]))];
}

static void add(struct pdu *pdu, uint32_t value)
{
	if (pdu->len + 4 > PDU_MAX)
		return;
	put32(pdu->octets + pdu->len, value);
	pdu->len += 4;
}

/* The header's numbers: the length is right but for one in so many. */
static void seal(struct pdu *pdu, uint32_t session, uint32_t packet, uint32_t wrong_length)
{
	pdu->octets[2] |= 0x10;
	put32(pdu->octets + 4, session);
	put32(pdu->octets + 12, packet);
	put32(pdu->octets + 16, chance(wrong_length) ? interesting() : (uint32_t)(pdu->len - PW_PDU_HEADER));
}

static void begin(struct pdu *pdu, uint8_t type, uint8_t flags)
{
	memset(pdu->octets, 0, PW_PDU_HEADER);
	pdu->octets[0] = 1;
	pdu->octets[1] = type;
	pdu->octets[2] = flags;
	pdu->len = PW_PDU_HEADER;
}

/* An OID: ours, shortened, lengthened, or any. */
static void add_oid(struct pdu *pdu)
{
	uint32_t keep = chance(4) ? pick((uint32_t)pw_base_len + 1) : (uint32_t)pw_base_len,
		 more = pick(chance(20) ? 130 : 9);
	bool lies = chance(100);

	add(pdu, (lies ? pick(256) : keep + more) << 24 | (chance(10) ? pick(256) : 0) << 16 | pick(2) << 8);
	for (uint32_t i = 0; i < keep; i++)
		add(pdu, pw_base[i]);
	for (uint32_t i = 0; i < more; i++)
		add(pdu, chance(2) ? 1 + pick(8) : interesting());
}

static void add_context(struct pdu *pdu)
{
	uint32_t len = pick(9);

	add(pdu, chance(50) ? interesting() : len);
	for (uint32_t i = 0; i < (len + 3) / 4; i++)
		add(pdu, chance(2) ? 0x00626c75 : interesting());
}

static void build(struct pdu *pdu)
{
	uint8_t type = (uint8_t)(chance(3) ? 1 + pick(18) : PW_PDU_GET + pick(7));
	uint32_t parts = pick(chance(50) ? 300 : 5);
	bool context = chance(5);

	type = type == PW_PDU_CLOSE ? PW_PDU_GET : type;
	begin(pdu, type, (uint8_t)(context ? 0x08 : 0));
	if (context)
		add_context(pdu);
	if (type == PW_PDU_GETBULK)
		add(pdu, interesting());
	if (type == PW_PDU_RESPONSE) {
		add(pdu, interesting());
		add(pdu, interesting());
	}
	for (uint32_t i = 0; i < parts; i++) {
		if (type == PW_PDU_TESTSET || type == PW_PDU_RESPONSE)
			add(pdu, chance(4) ? interesting() : 2u << 16);
		add_oid(pdu);
		if (type == PW_PDU_TESTSET || type == PW_PDU_RESPONSE)
			add(pdu, interesting());
		else
			add_oid(pdu);
	}
}

static void mutate(struct pdu *pdu)
{
	for (uint32_t n = 1 + pick(6); n > 0; n--) {
		size_t payload = pdu->len - PW_PDU_HEADER,
		       at = payload >= 4 ? PW_PDU_HEADER + 4 * pick((uint32_t)payload / 4) : 0;

		switch (pick(7)) {
		case 0: pdu->octets[1] = (uint8_t)(3 + pick(16)); break;
		case 1: pdu->octets[2] ^= 0x08; break;
		case 2: add(pdu, interesting()); break;
		case 3: pdu->len -= payload >= 4 ? 4 : 0; break;
		case 4:
			if (at != 0)
				put32(pdu->octets + at, interesting());
			break;
		case 5:
			if (at != 0)
				pdu->octets[at + pick(4)] ^= (uint8_t)(1 << pick(8));
			break;
		default:
			if (at != 0 && pdu->len + 64 <= PDU_MAX) { /* a part of it twice */
				memmove(pdu->octets + at + 64, pdu->octets + at, pdu->len - at);
				pdu->len += 64;
			}
			break;
		}
	}
	pdu->octets[1] = pdu->octets[1] == PW_PDU_CLOSE ? PW_PDU_GET : pdu->octets[1];
}

/* --- the connection ---------------------------------------------------------------------------------------------------- */

static void push(const uint8_t *octets, size_t len)
{
	if (peer.out_len + len > OUT_MAX)
		return;
	memcpy(peer.out + peer.out_len, octets, len);
	peer.out_len += len;
	fuzz.pdus++;
}

/* A Response to what the agent asked; good ones are as they should be. */
static void answer(uint32_t packet, uint16_t error, bool good)
{
	struct pdu pdu;

	begin(&pdu, PW_PDU_RESPONSE, 0);
	add(&pdu, (uint32_t)(pw_clock_boot_ms() / 10));
	add(&pdu, (uint32_t)error << 16);
	if (good) {
		seal(&pdu, peer.session, packet, UINT32_MAX);
	} else {
		if (chance(10))
			mutate(&pdu);
		seal(&pdu, chance(100) ? interesting() : peer.session, chance(100) ? interesting() : packet, 100000);
	}
	push(pdu.octets, pdu.len);
}

/* What the agent says is always right. */
static void take(const struct pw_pdu *pdu, bool good)
{
	switch (pdu->type) {
	case PW_PDU_RESPONSE:
		if (pdu->end - pdu->at < PW_PDU_RESULT || pdu->context)
			fail("a Response that is none");
		fuzz.responses++;
		return;
	case PW_PDU_CLOSE: peer.over = true; return;
	case PW_PDU_OPEN: peer.session = 1 + pick(1000); break;
	case PW_PDU_NOTIFY: fuzz.notified++; break;
	case PW_PDU_REGISTER:
	case PW_PDU_PING: break;
	default: fail("a PDU that no subagent sends");
	}
	if (good || !chance(20))
		answer(pdu->packet, 0, good || !chance(20));
	else if (chance(2))
		answer(pdu->packet, (uint16_t)interesting(), true);
	if (!good && chance(20))
		answer(pdu->packet, 0, true); /* twice, or late */
}

static void take_all(bool good)
{
	size_t at = 0;

	while (peer.in_len - at >= PW_PDU_HEADER) {
		struct pw_pdu pdu;
		const char *fault = pw_pdu_header(&pdu, peer.in + at);

		if (fault != NULL)
			fail(fault);
		if (pdu.end > peer.in + peer.in_len)
			break;
		take(&pdu, good);
		at = (size_t)(pdu.end - peer.in);
	}
	peer.in_len -= at;
	memmove(peer.in, peer.in + at, peer.in_len);
}

/* Sends a piece, and takes what there is; waits so long for either. */
static void exchange(bool good, int wait_ms)
{
	struct pollfd p = {.fd = peer.fd, .events = (short)(POLLIN | (peer.out_len > 0 ? POLLOUT : 0))};
	size_t piece = chance(30) ? 1 + pick(40) : peer.out_len;
	ssize_t n;

	if (poll(&p, 1, wait_ms) <= 0)
		return;
	if ((p.revents & (POLLIN | POLLHUP)) != 0) {
		n = recv(peer.fd, peer.in + peer.in_len, IN_MAX - peer.in_len, MSG_DONTWAIT);
		if (n > 0)
			peer.in_len += (size_t)n;
		else if (n == 0 || (errno != EAGAIN && errno != EINTR))
			peer.over = true;
		take_all(good);
	}
	if ((p.revents & POLLOUT) == 0 || peer.over)
		return;
	piece = piece < peer.out_len ? piece : peer.out_len;
	n = send(peer.fd, peer.out, piece, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n > 0) {
		peer.out_len -= (size_t)n;
		memmove(peer.out, peer.out + n, peer.out_len);
	} else if (n < 0 && errno != EAGAIN && errno != EINTR) {
		peer.over = true;
	}
}

static void accept_peer(void)
{
	struct pollfd p = {.fd = fuzz.listener, .events = POLLIN};

	if (poll(&p, 1, DEADLINE_MS) != 1)
		fail("the agent does not come back");
	peer.fd = accept(fuzz.listener, NULL, NULL);
	peer.in_len = peer.out_len = 0;
	peer.session = 0;
	peer.over = false;
	fuzz.connections++;
}

/* --- what happens in it ------------------------------------------------------------------------------------------------ */

static void publish(void)
{
	struct pw_arena *arena;
	struct pw_snapshot *snapshot = pw_snapshot_new(&arena);
	uint32_t n = pick(20);
	struct pw_pool_row *rows = pw_arena_array(arena, n + 1, sizeof(*rows));

	for (uint32_t i = 0; i < n; i++) {
		uint32_t *index = pw_arena_array(arena, PW_POOL_INDEX_MAX, sizeof(*index));

		rows[i] = (struct pw_pool_row){.key = {.ns = i + 1, .kind = PW_KIND_BIND, .protocol = 17},
			.name = "udp 0.0.0.0 bind",
			.local_text = "0.0.0.0",
			.remote_text = "",
			.owner = "unit",
			.label = "",
			.index = index};
		rows[i].key.local = pw_address_make(AF_INET, "\0\0\0\0", 0);
		rows[i].index_len = pw_pool_index(&rows[i].key, index);
	}
	snapshot->generation = (uint32_t)fuzz.pdus;
	snapshot->pools = rows;
	snapshot->n_pools = n;
	snapshot->top_ranks = 10;
	snapshot->connect_failures_reason = "";
	pw_exchange_publish(fuzz.exchange, snapshot);
}

static void post(void)
{
	struct pw_event event;
	struct pw_pool_key given_up;

	memset(&event, 0, sizeof(event));
	event.id = ++fuzz.event_id;
	event.type = chance(2) ? PW_EVENT_COLLECTOR_FAILED : PW_EVENT_COLLECTOR_RECOVERED;
	event.time = pw_clock_wall();
	pw_exchange_post(fuzz.exchange, &event, &given_up);
}

static void request(void)
{
	struct pdu pdu;

	if (fuzz.n_seeds > 0 && chance(2)) {
		size_t i = pick((uint32_t)fuzz.n_seeds);

		memcpy(pdu.octets, fuzz.seeds[i], fuzz.seed_len[i]);
		pdu.len = fuzz.seed_len[i];
	} else {
		build(&pdu);
	}
	if (chance(2))
		mutate(&pdu);
	seal(&pdu, chance(50) ? interesting() : peer.session, ++fuzz.packet, 20000);
	if (chance(20000))
		pdu.octets[pick(2)] = (uint8_t)pick(256); /* no AgentX, or of a type that there is not */
	push(pdu.octets, pdu.len);
}

static void play(uint64_t until)
{
	accept_peer();
	while (!peer.over && fuzz.pdus < until) {
		for (uint32_t n = pick(40); n > 0; n--)
			request();
		if (chance(200))
			publish();
		if (chance(500))
			post();
		exchange(false, chance(10) ? 0 : 1000);
		peer.over |= chance(3000);
	}
	fuzz.broken += peer.out_len > 0;
	close(peer.fd);
}

/* The end: a good master gets all that is owed, and an answer. */
static void reconcile(void)
{
	uint64_t deadline = pw_clock_boot_ms() + DEADLINE_MS, responses = fuzz.responses;
	struct pw_exchange_stats stats;
	struct pdu get;

	post();
	accept_peer();
	do {
		if (peer.session != 0 && peer.out_len == 0) {
			begin(&get, PW_PDU_GET, 0);
			add(&get, 0);
			add(&get, 0);
			seal(&get, peer.session, ++fuzz.packet, UINT32_MAX);
			push(get.octets, get.len);
		}
		exchange(true, 100);
		if (peer.over) { /* what an earlier master did is noticed late */
			close(peer.fd);
			accept_peer();
		}
		pw_exchange_stats(fuzz.exchange, &stats);
		if (pw_clock_boot_ms() > deadline)
			fail("a good master is not served, or not told");
	} while (stats.owed > 0 || fuzz.responses == responses || !pw_agent_connected(fuzz.agent));
	close(peer.fd);
}

/* --- start ------------------------------------------------------------------------------------------------------------- */

/* Each PDU of the recorded sessions. */
static void read_seeds(void)
{
	static uint8_t file[1 << 20];
	const char *top = getenv("PW_SRCDIR");
	char path[4096];
	DIR *folder;

	snprintf(path, sizeof(path), "%s/tests/fuzz/seeds/serve", top != NULL ? top : ".");
	folder = opendir(path);
	for (struct dirent *entry; folder != NULL && (entry = readdir(folder)) != NULL;) {
		char name[8192];
		size_t len, at = 1; /* behind the octet that says how to cut them */
		struct pw_pdu pdu;
		FILE *f;

		snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
		f = entry->d_name[0] != '.' ? fopen(name, "r") : NULL;
		len = f != NULL ? fread(file, 1, sizeof(file), f) : 0;
		while (fuzz.n_seeds < SEEDS_MAX && at + PW_PDU_HEADER <= len &&
			pw_pdu_header(&pdu, file + at) == NULL) {
			size_t size = (size_t)(pdu.end - (file + at));

			if (at + size > len || size > PDU_MAX)
				break;
			fuzz.seeds[fuzz.n_seeds] = memcpy(malloc(size), file + at, size);
			fuzz.seed_len[fuzz.n_seeds++] = size;
			at += size;
		}
		if (f != NULL)
			fclose(f);
	}
	if (folder != NULL)
		closedir(folder);
	if (fuzz.n_seeds == 0)
		fail("no seeds");
}

int main(void)
{
	const char *wanted = getenv("PW_PDUS");
	uint64_t pdus = wanted != NULL ? strtoull(wanted, NULL, 10) : 100000;
	char directory[] = "/tmp/hostile-master.XXXXXX";
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	struct pw_agent_options options = {
		.role = PW_AGENT_SUBAGENT, .address = sa.sun_path, .ping_interval = 1, .reconnect_interval = 0.1};
	struct pw_error err = {.text = ""};

	pw_log_open(PW_LOG_STDERR, "check_hostile_master", LOG_ERR);
	random_start();
	read_seeds();
	if (mkdtemp(directory) == NULL)
		fail("no directory");
	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s/master", directory);
	fuzz.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(fuzz.listener, (struct sockaddr *)&sa, sizeof(sa)) < 0 || listen(fuzz.listener, 16) < 0)
		fail("no socket");
	fuzz.exchange = pw_exchange_new(1000);
	pw_exchange_set_rate(fuzz.exchange, 0);
	publish();
	fuzz.agent = pw_agent_start(&options, fuzz.exchange, &err);
	if (fuzz.agent == NULL)
		fail(err.text);
	while (fuzz.pdus < pdus)
		play(pdus);
	reconcile();
	if (!pw_agent_stop(fuzz.agent, STOP_MS))
		fail("the agent does not end");
	pw_exchange_free(fuzz.exchange);
	printf("%llu PDUs in %llu connections, %llu of these ended in the middle; %llu Responses, %llu notifications\n",
		(unsigned long long)fuzz.pdus, (unsigned long long)fuzz.connections, (unsigned long long)fuzz.broken,
		(unsigned long long)fuzz.responses, (unsigned long long)fuzz.notified);
	close(fuzz.listener);
	unlink(sa.sun_path);
	rmdir(directory);
	for (size_t i = 0; i < fuzz.n_seeds; i++)
		free(fuzz.seeds[i]);
	return 0;
}

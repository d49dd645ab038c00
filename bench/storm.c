/* SPDX-License-Identifier: BSD-2-Clause */
/* storm.c: connections to many destinations that come and go, with bursts of which it tells the truth
 *
 * Usage: storm -p POOLS [-l LEVEL] [-r RATE] [-b BURSTS] [-n NUMBER] [-c CAPACITY] [-h HOLD] [-t SECONDS] [-w WORKERS] [-s SEED]
 *
 * Each destination is an address of 127.1.0.0/16 and keeps about LEVEL connections, while RATE connections a second are
 * opened and as many closed, all over them. BURSTS a minute (NUMBER in all, 0 = no end) fill one destination to between
 * 55 % and 98 % of CAPACITY at full speed, keep that for up to HOLD milliseconds, and take it back. The destinations take
 * turns. Writes "ready" when all levels are reached and begins when a line comes; then a line for each burst, when it is over:
 *
 *   burst ADDRESS PORT HEIGHT BEGAN TOP ENDED      (milliseconds of CLOCK_BOOTTIME)
 *
 * and at the end "end CONNECTS MILLISECONDS" for each worker. Closing is by reset: no TIME_WAIT. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PORT 9000 /* of the first worker's listener, below the ephemeral range */
#define LEAST_PERCENT 55
#define MOST_PERCENT 98

struct connection {
	int client, server;
};

struct pool {
	struct sockaddr_in name;
	struct connection *connections;
	unsigned level, top; /* what it has, and keeps about */
};

static struct {
	unsigned pools, level, rate, bursts, number, capacity, hold_ms, seconds, workers, seed;
} plan = {.pools = 100, .level = 20, .capacity = 1000, .seconds = 60, .workers = 8, .seed = 1};

/* Of one worker. */
static struct pool *pools;
static unsigned n_pools;
static int listener;
static uint64_t connects;

static uint64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void fail(const char *what)
{
	perror(what);
	exit(EXIT_FAILURE);
}

static unsigned below(unsigned n)
{
	return n > 0 ? (unsigned)rand() % n : 0;
}

/* The worker is alone at its listener: what it accepts is what it has just connected. */
static void take(struct pool *pool)
{
	static const struct linger reset = {.l_onoff = 1};
	struct connection *connection = &pool->connections[pool->level];

	connection->client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (connection->client < 0)
		fail("storm: socket");
	setsockopt(connection->client, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	if (connect(connection->client, (const struct sockaddr *)&pool->name, sizeof(pool->name)) < 0)
		fail("storm: connect");
	connection->server = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	if (connection->server < 0)
		fail("storm: accept");
	pool->level++;
	connects++;
}

/* Any of its connections: ports are freed in no order. */
static void give_back(struct pool *pool)
{
	unsigned at = below(pool->level);
	struct connection connection = pool->connections[at];

	pool->connections[at] = pool->connections[--pool->level];
	close(connection.client);
	close(connection.server);
}

static void churn(struct pool *pool)
{
	give_back(pool);
	take(pool);
}

static void prepare(unsigned worker)
{
	struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons((uint16_t)(PORT + worker))};

	srand(plan.seed * 1000 + worker);
	listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(listener, (const struct sockaddr *)&any, sizeof(any)) < 0 || listen(listener, 1000) < 0)
		fail("storm: listener");
	n_pools = plan.pools / plan.workers + (worker < plan.pools % plan.workers);
	pools = calloc(n_pools, sizeof(*pools));
	for (unsigned i = 0; pools != NULL && i < n_pools; i++) {
		struct pool *pool = &pools[i];

		pool->name = any;
		pool->name.sin_addr.s_addr = htonl(0x7f010001 + i);
		pool->top = plan.level / 2 + below(plan.level) + 1;
		pool->connections = calloc(plan.capacity, sizeof(*pool->connections));
		while (pool->connections != NULL && pool->level < pool->top)
			take(pool);
	}
}

/* One that is under way. */
struct burst {
	struct pool *pool; /* NULL: none */
	unsigned height;
	uint64_t began_us, top_us, until_us;
};

static void begin_burst(struct burst *burst)
{
	static unsigned turn;

	burst->pool = &pools[turn++ % n_pools];
	burst->height = plan.capacity * (LEAST_PERCENT + below(MOST_PERCENT - LEAST_PERCENT + 1)) / 100;
	burst->began_us = now_us();
	while (burst->pool->level < burst->height)
		take(burst->pool);
	burst->top_us = now_us();
	burst->until_us = burst->top_us + below(plan.hold_ms * 1000 + 1);
}

static void end_burst(struct burst *burst)
{
	struct pool *pool = burst->pool;
	char address[INET_ADDRSTRLEN];

	while (pool->level > pool->top)
		give_back(pool);
	inet_ntop(AF_INET, &pool->name.sin_addr, address, sizeof(address));
	printf("burst %s %u %u %llu %llu %llu\n", address, ntohs(pool->name.sin_port), burst->height,
		(unsigned long long)burst->began_us / 1000, (unsigned long long)burst->top_us / 1000,
		(unsigned long long)now_us() / 1000);
	burst->pool = NULL;
}

/* Microseconds to the next of so many a second, at random. */
static uint64_t pause_us(double a_second)
{
	return (uint64_t)(2e6 / a_second * (0.05 + 0.9 * (double)rand() / RAND_MAX));
}

static void blow(void)
{
	const uint64_t start_us = now_us(), end_us = start_us + plan.seconds * UINT64_C(1000000);
	const double bursts = plan.bursts / 60.0 / plan.workers, rate = (double)plan.rate / plan.workers;
	const unsigned number = plan.number != 0 ? plan.number / plan.workers : UINT32_MAX;
	uint64_t next_us = plan.bursts != 0 ? start_us + pause_us(bursts) : UINT64_MAX, done = 0;
	struct burst burst = {.pool = NULL};
	unsigned made = 0;

	connects = 0;
	for (uint64_t now = start_us; now < end_us || burst.pool != NULL; now = now_us()) {
		const uint64_t due = (uint64_t)((double)(now - start_us) / 1e6 * rate);

		if (burst.pool != NULL && now >= burst.until_us) {
			end_burst(&burst);
			made++;
		} else if (burst.pool == NULL && now >= next_us && now < end_us && made < number) {
			begin_burst(&burst);
			next_us = now + pause_us(bursts);
		}
		for (unsigned i = 0; i < 64 && done < due; i++, done++)
			churn(&pools[below(n_pools)]);
		if (done >= due)
			usleep(1000);
		if (made >= number && plan.number != 0)
			break;
	}
	printf("end %llu %llu\n", (unsigned long long)connects, (unsigned long long)(now_us() - start_us) / 1000);
}

static void work(unsigned worker, int ready, int go)
{
	char byte = 0;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setvbuf(stdout, NULL, _IOLBF, 0);
	prepare(worker);
	if (write(ready, &byte, 1) == 1 && read(go, &byte, 1) >= 0)
		blow();
	exit(EXIT_SUCCESS);
}

static void parse(int argc, char **argv)
{
	static const char letters[] = "plrbnchtws";
	unsigned *const numbers[] = {&plan.pools, &plan.level, &plan.rate, &plan.bursts, &plan.number, &plan.capacity,
		&plan.hold_ms, &plan.seconds, &plan.workers, &plan.seed};
	int option;

	while ((option = getopt(argc, argv, "p:l:r:b:n:c:h:t:w:s:")) != -1) {
		const char *at = option != '?' ? strchr(letters, option) : NULL;

		if (at == NULL)
			exit(2);
		*numbers[at - letters] = (unsigned)strtoul(optarg, NULL, 10);
	}
	if (plan.pools < plan.workers || plan.workers == 0)
		exit(2);
}

int main(int argc, char **argv)
{
	struct rlimit files;
	int ready[2], go[2], status = 0, result = EXIT_SUCCESS;
	char line[16];

	parse(argc, argv);
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	if (pipe(ready) < 0 || pipe(go) < 0)
		fail("storm: pipe");
	for (unsigned i = 0; i < plan.workers; i++)
		if (fork() == 0) {
			close(go[1]);
			work(i, ready[1], go[0]);
		}
	close(ready[1]);
	for (unsigned i = 0; i < plan.workers; i++)
		if (read(ready[0], line, 1) != 1)
			fail("storm: a worker ended");
	puts("ready");
	fflush(stdout);
	if (fgets(line, sizeof(line), stdin) == NULL)
		exit(EXIT_FAILURE);
	close(go[1]);
	while (wait(&status) > 0)
		if (status != 0)
			result = EXIT_FAILURE;
	return result;
}

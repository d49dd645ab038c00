/* SPDX-License-Identifier: BSD-2-Clause */
/* manager.c: an SNMP manager with a stop watch: v2c, one request under way at a time
 *
 *   manager ADDRESS COMMUNITY get OID COUNT PAUSE_US     COUNT GetRequests of one OID
 *   manager ADDRESS COMMUNITY next OID COUNT PAUSE_US    COUNT GetNextRequests, each starts at OID again
 *   manager ADDRESS COMMUNITY walk REPETITIONS OID...    GetBulkRequests through the subtrees, all of them in each
 *
 * get and next print "p50_us=... p99_us=... max_us=... mean_us=... errors=...", walk prints "varbinds=... wall_us=... pdus=...". */
#include <net-snmp/net-snmp-config.h>
#include <net-snmp/net-snmp-includes.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "usage.h"

#define MAX_WALKS 64 /* more than pwPoolTable has columns */

struct name {
	oid id[MAX_OID_LEN];
	size_t len;
};

static void fail(const char *what)
{
	fprintf(stderr, "manager: %s\n", what);
	exit(EXIT_FAILURE);
}

static netsnmp_session *open_session(char *address, char *community)
{
	netsnmp_session wanted, *session;

	/* no configuration and no MIB files: names are numbers here */
	setenv("MIBS", "", 1);
	netsnmp_ds_set_boolean(NETSNMP_DS_LIBRARY_ID, NETSNMP_DS_LIB_DONT_READ_CONFIGS, 1);
	init_snmp("portwatch-bench");
	snmp_sess_init(&wanted);
	wanted.version = SNMP_VERSION_2c;
	wanted.peername = address;
	wanted.community = (u_char *)community;
	wanted.community_len = strlen(community);
	wanted.timeout = 20 * 1000000L;
	wanted.retries = 0;
	session = snmp_open(&wanted);
	if (session == NULL)
		fail("can't open the session");
	return session;
}

/* One request and its answer; NULL when there was none or it says an error. */
static netsnmp_pdu *ask(netsnmp_session *session, int type, const struct name *names, unsigned n, long repetitions)
{
	netsnmp_pdu *request = snmp_pdu_create(type), *response = NULL;

	if (type == SNMP_MSG_GETBULK) {
		request->non_repeaters = 0;
		request->max_repetitions = repetitions;
	}
	for (unsigned i = 0; i < n; i++)
		snmp_add_null_var(request, names[i].id, names[i].len);
	if (snmp_synch_response(session, request, &response) == STAT_SUCCESS && response->errstat == SNMP_ERR_NOERROR)
		return response;
	if (response != NULL)
		snmp_free_pdu(response);
	return NULL;
}

static int by_value(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static void print_latencies(uint64_t *us, unsigned n, unsigned errors)
{
	uint64_t sum = 0;

	if (n == 0)
		fail("no answer at all");
	qsort(us, n, sizeof(*us), by_value);
	for (unsigned i = 0; i < n; i++)
		sum += us[i];
	printf("p50_us=%llu p99_us=%llu max_us=%llu mean_us=%llu errors=%u\n", (unsigned long long)us[n / 2],
		(unsigned long long)us[(uint64_t)n * 99 / 100], (unsigned long long)us[n - 1],
		(unsigned long long)(sum / n), errors);
}

static void time_requests(
	netsnmp_session *session, int type, const struct name *name, unsigned count, unsigned pause_us)
{
	uint64_t *us = calloc(count, sizeof(*us));
	unsigned n = 0, errors = 0;

	if (us == NULL)
		fail("out of memory");
	for (unsigned i = 0; i < count; i++) {
		struct usage start = usage_now();
		netsnmp_pdu *response = ask(session, type, name, 1, 0);

		if (response != NULL)
			us[n++] = usage_since(start).wall_us;
		else
			errors++;
		snmp_free_pdu(response);
		usleep(pause_us);
	}
	print_latencies(us, n, errors);
	free(us);
}

/* A subtree that is walked: a table, or one of its columns. */
struct walk {
	struct name root, at;
	bool done;
};

/* Takes one varbind of a walk; returns whether it belongs to the subtree. */
static bool advance(struct walk *walk, const netsnmp_variable_list *v)
{
	const struct name *root = &walk->root;

	walk->done = walk->done || v->type == SNMP_ENDOFMIBVIEW ||
		snmp_oidtree_compare(root->id, root->len, v->name, v->name_length) != 0;
	if (walk->done)
		return false;
	if (snmp_oid_compare(v->name, v->name_length, walk->at.id, walk->at.len) <= 0)
		fail("the walk does not increase");
	memcpy(walk->at.id, v->name, v->name_length * sizeof(oid));
	walk->at.len = v->name_length;
	return true;
}

/* One GetBulkRequest: the varbinds of the answer go round the subtrees. Returns how many belong to them. */
static unsigned walk_on(netsnmp_session *session, struct walk *walks, unsigned n, long repetitions)
{
	struct name names[MAX_WALKS];
	netsnmp_pdu *response;
	unsigned got = 0, i = 0;

	for (i = 0; i < n; i++)
		names[i] = walks[i].at;
	response = ask(session, SNMP_MSG_GETBULK, names, n, repetitions);
	if (response == NULL)
		fail("no answer");
	i = 0;
	for (netsnmp_variable_list *v = response->variables; v != NULL; v = v->next_variable)
		got += advance(&walks[i++ % n], v);
	snmp_free_pdu(response);
	return got;
}

static void time_walk(netsnmp_session *session, struct walk *walks, unsigned n, long repetitions)
{
	struct usage start = usage_now();
	unsigned varbinds = 0, pdus = 0, got;
	bool done;

	do {
		got = walk_on(session, walks, n, repetitions);
		varbinds += got;
		pdus++;
		done = got == 0;
		for (unsigned i = 0; i < n && !done; i++)
			done = walks[i].done;
	} while (!done);
	printf("varbinds=%u wall_us=%llu pdus=%u\n", varbinds, (unsigned long long)usage_since(start).wall_us, pdus);
}

static struct name parse_name(const char *text)
{
	struct name name = {.len = MAX_OID_LEN};

	if (!read_objid(text, name.id, &name.len))
		fail("not an OID");
	return name;
}

static void walk_subtrees(netsnmp_session *session, char **texts, unsigned n, long repetitions)
{
	struct walk walks[MAX_WALKS] = {0};

	if (n > MAX_WALKS)
		fail("too many subtrees");
	for (unsigned i = 0; i < n; i++)
		walks[i].root = walks[i].at = parse_name(texts[i]);
	time_walk(session, walks, n, repetitions);
}

static unsigned number(const char *text)
{
	return (unsigned)strtoul(text, NULL, 10);
}

int main(int argc, char **argv)
{
	netsnmp_session *session;
	struct name name;

	if (argc < 6 || (strcmp(argv[3], "walk") != 0 && argc != 7))
		fail("usage: ADDRESS COMMUNITY {get|next} OID COUNT PAUSE_US, or ADDRESS COMMUNITY walk REPETITIONS OID...");
	session = open_session(argv[1], argv[2]);
	if (strcmp(argv[3], "walk") == 0) {
		walk_subtrees(session, argv + 5, (unsigned)argc - 5, (long)number(argv[4]));
	} else {
		name = parse_name(argv[4]);
		time_requests(session, strcmp(argv[3], "get") == 0 ? SNMP_MSG_GET : SNMP_MSG_GETNEXT, &name,
			number(argv[5]), number(argv[6]));
	}
	snmp_close(session);
	return EXIT_SUCCESS;
}

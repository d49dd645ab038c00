/* manager.c: an SNMP manager with a stop watch: v2c, one request under way at a time
 *
 *   manager ADDRESS COMMUNITY get OID COUNT PAUSE_US     COUNT GetRequests of one OID
 *   manager ADDRESS COMMUNITY next OID COUNT PAUSE_US    COUNT GetNextRequests, each starts at OID again
 *   manager ADDRESS COMMUNITY walk OID REPETITIONS       GetBulkRequests through the subtree
 *
 * get and next print "p50_us=... p99_us=... max_us=... mean_us=... errors=...", walk prints "varbinds=... wall_us=... pdus=...". */
#include <net-snmp/net-snmp-config.h>
#include <net-snmp/net-snmp-includes.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "usage.h"

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
static netsnmp_pdu *ask(netsnmp_session *session, int type, const struct name *name, long repetitions)
{
	netsnmp_pdu *request = snmp_pdu_create(type), *response = NULL;

	if (type == SNMP_MSG_GETBULK) {
		request->non_repeaters = 0;
		request->max_repetitions = repetitions;
	}
	snmp_add_null_var(request, name->id, name->len);
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
		(unsigned long long)us[(uint64_t)n * 99 / 100], (unsigned long long)us[n - 1], (unsigned long long)(sum / n), errors);
}

static void time_requests(netsnmp_session *session, int type, const struct name *name, unsigned count, unsigned pause_us)
{
	uint64_t *us = calloc(count, sizeof(*us));
	unsigned n = 0, errors = 0;

	if (us == NULL)
		fail("out of memory");
	for (unsigned i = 0; i < count; i++) {
		struct usage start = usage_now();
		netsnmp_pdu *response = ask(session, type, name, 0);

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

/* Moves `at` to the last name of the response that lies in the subtree; returns how many do. */
static unsigned advance(const netsnmp_pdu *response, const struct name *root, struct name *at)
{
	unsigned n = 0;

	for (netsnmp_variable_list *v = response->variables; v != NULL; v = v->next_variable) {
		if (v->type == SNMP_ENDOFMIBVIEW || snmp_oidtree_compare(root->id, root->len, v->name, v->name_length) != 0)
			break;
		if (snmp_oid_compare(v->name, v->name_length, at->id, at->len) <= 0)
			fail("the walk does not increase");
		memcpy(at->id, v->name, v->name_length * sizeof(oid));
		at->len = v->name_length;
		n++;
	}
	return n;
}

static void time_walk(netsnmp_session *session, const struct name *root, long repetitions)
{
	struct usage start = usage_now();
	struct name at = *root;
	unsigned varbinds = 0, pdus = 0, got, wanted;

	do {
		netsnmp_pdu *response = ask(session, SNMP_MSG_GETBULK, &at, repetitions);

		if (response == NULL)
			fail("no answer");
		wanted = (unsigned)count_varbinds(response->variables);
		got = advance(response, root, &at);
		varbinds += got;
		pdus++;
		snmp_free_pdu(response);
	} while (got == wanted && got > 0);
	printf("varbinds=%u wall_us=%llu pdus=%u\n", varbinds, (unsigned long long)usage_since(start).wall_us, pdus);
}

static unsigned number(int argc, char **argv, int index)
{
	return index < argc ? (unsigned)strtoul(argv[index], NULL, 10) : 0;
}

int main(int argc, char **argv)
{
	struct name name = {.len = MAX_OID_LEN};
	netsnmp_session *session;

	if (argc < 6)
		fail("usage: ADDRESS COMMUNITY {get|next} OID COUNT PAUSE_US, or ADDRESS COMMUNITY walk OID REPETITIONS");
	session = open_session(argv[1], argv[2]);
	if (!read_objid(argv[4], name.id, &name.len))
		fail("not an OID");
	if (strcmp(argv[3], "walk") == 0)
		time_walk(session, &name, (long)number(argc, argv, 5));
	else
		time_requests(session, strcmp(argv[3], "get") == 0 ? SNMP_MSG_GET : SNMP_MSG_GETNEXT, &name, number(argc, argv, 5),
			number(argc, argv, 6));
	snmp_close(session);
	return EXIT_SUCCESS;
}

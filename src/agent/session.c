/* SPDX-License-Identifier: BSD-2-Clause */
#include "agent/session.h"

#include <stdlib.h>
#include <string.h>

#include "agent/transport.h"
#include "base/clock.h"
#include "base/log.h"

enum { CLOSE_SHUTDOWN = 5 }; /* RFC 2741 6.2.2 */

/* How long the library waits for the answer to the Open-PDU: a busy master may take a second or two, and only this
 * thread waits. */
enum { OPEN_SECONDS = 3 };
/* Answers are not timed one by one, since a master can be slow for good reasons (an SNMPv3 inform to a silent
 * receiver blocks snmpd for seconds): watch() judges whether it is still there. */
#define ANSWER_US (600L * 1000000)
/* A master that has said nothing for so many ping intervals, and at least so long, is gone. */
enum { SILENT_PINGS = 3, SILENT_MIN_MS = 10000 };
enum { RECONNECT_MIN_MS = 100 };
enum { REGISTER_AGAIN_MS = 5000 };

static void attempt(void *context);
static void watch(void *context);
static void enlist(void *context);

/* --- open and closed -------------------------------------------------------------------------------------------- */

static void set_session(struct pw_session *s, netsnmp_session *session)
{
	s->session = session;
	atomic_store(&s->open, session != NULL);
}

/* The same trouble is logged once, however often it comes back at the retries. */
static void tell_trouble(struct pw_session *s, const char *what)
{
	const char *why = pw_transport_error();

	if (strcmp(s->trouble, why) == 0)
		return;
	snprintf(s->trouble, sizeof(s->trouble), "%s", why);
	pw_log(LOG_WARNING, "%s the AgentX master agent at %s: %s; trying again every %.1f s", what, s->address, why,
		(double)s->reconnect_ms / 1000);
}

/* Some versions of the library use the number of this callback for something else, too, with another argument. */
static int on_start(int major, int minor, void *session, void *context)
{
	struct pw_session *s = context;

	(void)major;
	(void)minor;
	if (!s->connecting)
		return 0;
	s->connecting = false;
	pw_log(LOG_INFO, "connected to the AgentX master agent at %s", s->address);
	s->trouble[0] = '\0';
	s->ping_under_way = false;
	s->refusal_told = false;
	((netsnmp_session *)session)->timeout = ANSWER_US;
	set_session(s, session);
	enlist(s);
	watch(s);
	s->changed(s->context);
	return 0;
}

/* The library also calls this when a connection ends that never became a session. */
static int on_stop(int major, int minor, void *session, void *context)
{
	struct pw_session *s = context;

	(void)major;
	(void)minor;
	if (session != s->session)
		return 0;
	pw_timer_stop(&s->watch);
	pw_timer_stop(&s->registration);
	set_session(s, NULL);
	if (s->closing)
		return 0;
	tell_trouble(s, "lost");
	pw_timer_start(&s->retry, s->reconnect_ms, attempt, s);
	s->changed(s->context);
	return 0;
}

/* With the library's ping interval at 0, this callback makes it try to connect once, and nothing else. */
static void attempt(void *context)
{
	struct pw_session *s = context;

	s->connecting = true;
	snmp_call_callbacks(SNMP_CALLBACK_LIBRARY, SNMP_CALLBACK_POST_READ_CONFIG, NULL);
	pw_session_keep(s);
}

void pw_session_keep(struct pw_session *s)
{
	s->connecting = false;
	if (s->session != NULL) {
		if (!pw_timer_runs(&s->watch))
			watch(s);
	} else if (!pw_timer_runs(&s->retry)) {
		tell_trouble(s, "can't connect to");
		pw_timer_start(&s->retry, s->reconnect_ms, attempt, s);
	}
}

/* --- requests to the master ------------------------------------------------------------------------------------- */

static netsnmp_pdu *new_pdu(const struct pw_session *s, int type)
{
	netsnmp_pdu *pdu = snmp_pdu_create(type);

	if (pdu == NULL)
		return NULL;
	pdu->version = s->session->version;
	pdu->sessid = s->session->sessid;
	return pdu;
}

static int send_pdu(struct pw_session *s, netsnmp_pdu *pdu, snmp_callback done, void *magic)
{
	if (pdu == NULL)
		return -1;
	if (snmp_async_send(s->session, pdu, done, magic) != 0)
		return 0;
	snmp_free_pdu(pdu);
	return -1;
}

/* Every answer carries the master's sysUpTime (RFC 2741 6.2.16). */
static void synchronize(const netsnmp_pdu *pdu)
{
	netsnmp_set_agent_uptime((u_long)pdu->time);
}

/* Whether this is the answer of the session that is open now. The library calls back for each unanswered request when
 * it frees a session, too, and at a failed send. */
static bool answered(const struct pw_session *s, int operation, const netsnmp_session *session)
{
	return operation == NETSNMP_CALLBACK_OP_RECEIVED_MESSAGE && session == s->session;
}

static int on_registered(int operation, netsnmp_session *session, int request, netsnmp_pdu *pdu, void *magic)
{
	struct pw_session *s = magic;

	(void)request;
	if (!answered(s, operation, session))
		return 1;
	synchronize(pdu);
	if (pdu->errstat == 0) {
		if (s->refusal_told)
			pw_log(LOG_NOTICE, "PORTWATCH-MIB is registered with the master agent at last");
		s->refusal_told = false;
		return 1;
	}
	if (pdu->errstat == PW_PDU_NOT_OPEN) {
		pw_transport_cut("it forgot the session");
		return 1;
	}
	if (!s->refusal_told)
		pw_log(LOG_WARNING,
			"the AgentX master agent at %s refuses PORTWATCH-MIB: %s (error %ld); trying again every %d s",
			s->address,
			pdu->errstat == PW_PDU_DUPLICATE_REGISTRATION ? "another subagent serves it"
								      : "no reason given",
			pdu->errstat, REGISTER_AGAIN_MS / 1000);
	s->refusal_told = true;
	pw_timer_start(&s->registration, REGISTER_AGAIN_MS, enlist, s);
	return 1;
}

/* One registration for the whole subtree. The library would do it for us, but synchronously, and it tells of a
 * refusal only in a line of its log. */
static void enlist(void *context)
{
	struct pw_session *s = context;
	netsnmp_pdu *pdu = new_pdu(s, PW_PDU_REGISTER);
	oid base[MAX_OID_LEN];

	if (pdu != NULL) {
		pdu->priority = DEFAULT_MIB_PRIORITY;
		snmp_add_null_var(pdu, base, pw_full_oid(base, NULL, 0));
	}
	if (send_pdu(s, pdu, on_registered, s) < 0)
		pw_timer_start(&s->registration, REGISTER_AGAIN_MS, enlist, s);
}

static int on_ping(int operation, netsnmp_session *session, int request, netsnmp_pdu *pdu, void *magic)
{
	struct pw_session *s = magic;

	(void)request;
	if (!answered(s, operation, session))
		return 1;
	s->ping_under_way = false;
	if (pdu->errstat == 0)
		synchronize(pdu);
	else
		pw_transport_cut("it forgot the session");
	return 1;
}

/* Pings a master that has been silent for an interval, and gives up one that stays silent. Whatever arrives is a sign
 * of life: a master that is busy with our notifications is not pinged, and not given up. Neither is one after a
 * suspend, before it was asked. */
static void watch(void *context)
{
	struct pw_session *s = context;
	uint64_t silent = pw_clock_boot_ms() - pw_transport_heard_ms();
	uint64_t next = s->ping_ms, limit = SILENT_PINGS * s->ping_ms;

	if (s->ping_under_way && silent >= (limit > SILENT_MIN_MS ? limit : SILENT_MIN_MS)) {
		pw_transport_cut("it does not answer");
		return;
	}
	if (silent < s->ping_ms)
		next = s->ping_ms - silent;
	else if (!s->ping_under_way)
		s->ping_under_way = send_pdu(s, new_pdu(s, PW_PDU_PING), on_ping, s) == 0;
	pw_timer_start(&s->watch, next, watch, s);
}

int pw_session_notify(struct pw_session *s, netsnmp_variable_list *varbinds, snmp_callback done, void *magic)
{
	netsnmp_pdu *pdu = new_pdu(s, PW_PDU_NOTIFY);

	if (pdu == NULL) {
		snmp_free_varbind(varbinds);
		return -1;
	}
	pdu->variables = varbinds;
	return send_pdu(s, pdu, done, magic);
}

/* --- life ------------------------------------------------------------------------------------------------------- */

static uint64_t milliseconds(double seconds, uint64_t least)
{
	return seconds * 1000 > (double)least ? (uint64_t)(seconds * 1000) : least;
}

int pw_session_open(struct pw_session *s, const struct pw_agent_options *options, void (*changed)(void *context),
	void *context, struct pw_error *err)
{
	char *address = pw_transport_address(options->address, err);

	if (address == NULL)
		return -1;
	netsnmp_ds_set_string(NETSNMP_DS_APPLICATION_ID, NETSNMP_DS_AGENT_X_SOCKET, address);
	netsnmp_ds_set_boolean(NETSNMP_DS_APPLICATION_ID, NETSNMP_DS_AGENT_NO_CONNECTION_WARNINGS, 1);
	netsnmp_ds_set_int(NETSNMP_DS_APPLICATION_ID, NETSNMP_DS_AGENT_AGENTX_PING_INTERVAL, 0);
	netsnmp_ds_set_int(NETSNMP_DS_LIBRARY_ID, NETSNMP_DS_LIB_TIMEOUT, OPEN_SECONDS);
	netsnmp_ds_set_int(NETSNMP_DS_LIBRARY_ID, NETSNMP_DS_LIB_RETRIES, 0);
	free(address);
	s->address = strdup(options->address);
	if (s->address == NULL)
		return pw_error_set(err, "out of memory");
	s->ping_ms = milliseconds(options->ping_interval, 1000);
	s->reconnect_ms = milliseconds(options->reconnect_interval, RECONNECT_MIN_MS);
	s->connecting = true; /* by init_snmp() */
	s->changed = changed;
	s->context = context;
	snmp_register_callback(SNMP_CALLBACK_APPLICATION, SNMPD_CALLBACK_INDEX_START, on_start, s);
	snmp_register_callback(SNMP_CALLBACK_APPLICATION, SNMPD_CALLBACK_INDEX_STOP, on_stop, s);
	return 0;
}

void pw_session_close(struct pw_session *s)
{
	netsnmp_pdu *pdu = s->session != NULL ? new_pdu(s, PW_PDU_CLOSE) : NULL;

	s->closing = true;
	/* Good-bye, without waiting for an answer. The library's own way, in snmp_shutdown(), waits, and uses freed
	 * memory when the connection ends meanwhile. */
	if (pdu != NULL) {
		pdu->errstat = CLOSE_SHUTDOWN;
		send_pdu(s, pdu, NULL, NULL);
	}
	if (s->session != NULL)
		pw_transport_cut("portwatchd stops");
	/* What arrived before the end is read first, a buffer full of requests at most. */
	for (int turn = 0; s->session != NULL && turn < 1000; turn++)
		agent_check_and_process(0);
	pw_timer_stop(&s->retry);
	pw_timer_stop(&s->watch);
	pw_timer_stop(&s->registration);
	/* the library would free our argument */
	snmp_unregister_callback(SNMP_CALLBACK_APPLICATION, SNMPD_CALLBACK_INDEX_START, on_start, s, 1);
	snmp_unregister_callback(SNMP_CALLBACK_APPLICATION, SNMPD_CALLBACK_INDEX_STOP, on_stop, s, 1);
	free(s->address);
	s->address = NULL;
}

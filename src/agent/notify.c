/* SPDX-License-Identifier: BSD-2-Clause */
#include "agent/notify.h"

#include <string.h>

#include "agent/object.h"
#include "agent/transport.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/utf8.h"

/* UDP payload of an Ethernet frame (1500 - 20 - 8), and what an SNMPv3 authPriv message adds to its varbinds at most,
 * with engine IDs, user and context names of 32 octets and SHA-512: RFC 3412 6, RFC 3414 2.4. */
enum { DATAGRAM = 1472, MESSAGE_OVERHEAD = 276 };

/* The pace: snmpd forwards as fast as it is told, and what overruns a receiver's socket buffer is lost without a
 * trace. */
enum { PACE_US = 2000, BURST = 32 };

/* After a failure to send, memory perhaps, or a connection that has just ended; and after the master refused one. */
enum { AGAIN_MS = 1000, REFUSED_MS = 5000 };

/* --- varbinds --------------------------------------------------------------------------------------------------- */

static netsnmp_variable_list *build(const struct pw_event *event)
{
	static const oid uptime_name[] = {1, 3, 6, 1, 2, 1, 1, 3, 0};
	static const oid trap_name[] = {1, 3, 6, 1, 6, 3, 1, 1, 4, 1, 0};
	struct pw_value value = {.syntax = PW_SYNTAX_TIMESTAMP, .number = pw_uptime()};
	netsnmp_variable_list *list = NULL;
	size_t n;
	const uint8_t *numbers = pw_notification_objects(event->type, &n);
	int rc = pw_varbind_add(&list, uptime_name, OID_LENGTH(uptime_name), &value);

	value.syntax = PW_SYNTAX_ROW;
	pw_value_set_row(&value, (const uint32_t[]){0, event->type}, 2); /* pwNotifications */
	if (rc == 0)
		rc = pw_varbind_add(&list, trap_name, OID_LENGTH(trap_name), &value);
	for (size_t i = 0; i < n && rc == 0; i++) {
		const struct pw_field *field = pw_field_from(&pw_event_fields, numbers[i]);
		uint32_t below[5] = {0};
		size_t len = pw_object_path(&pw_event_fields, field, below) + 1; /* with the .0 of a scalar */
		oid name[MAX_OID_LEN];

		pw_object_read(field, NULL, event, &value);
		rc = pw_varbind_add(&list, name, pw_full_oid(name, below, len), &value);
	}
	if (rc == 0)
		return list;
	snmp_free_varbind(list);
	return NULL;
}

/* --- size in BER ------------------------------------------------------------------------------------------------ */

static size_t ber_oid(const oid *name, size_t len)
{
	size_t size = len > 1 ? len - 1 : 1; /* the first two share an octet */

	for (size_t i = 2; i < len; i++)
		for (oid rest = name[i] >> 7; rest > 0; rest >>= 7)
			size++;
	return size;
}

static size_t ber_header(size_t content)
{
	return content < 128 ? 2 : content < 256 ? 3 : 4;
}

static size_t ber_varbinds(const netsnmp_variable_list *list)
{
	size_t total = 0;

	for (const netsnmp_variable_list *v = list; v != NULL; v = v->next_variable) {
		size_t name = ber_oid(v->name, v->name_length), value = 5, pair; /* no number here is longer */

		if (v->type == ASN_OCTET_STR)
			value = v->val_len;
		else if (v->type == ASN_OBJECT_ID)
			value = ber_oid(v->val.objid, v->val_len / sizeof(oid));
		pair = ber_header(name) + name + ber_header(value) + value;

		total += ber_header(pair) + pair;
	}
	return total;
}

/* Cuts a text by up to `excess` octets, not inside a character; returns what is left of the excess. */
static size_t shorten(char *text, size_t excess)
{
	size_t len = strlen(text), keep = len > excess ? len - excess : 0;

	pw_utf8_clean(text, keep + 1, text);
	keep = strlen(text);
	return excess > len - keep ? excess - (len - keep) : 0;
}

/* sysUpTime.0, snmpTrapOID.0 and the objects of a notification; NULL when out of memory. Text, owner and label are
 * cut where an SNMPv3 message would not fit into an Ethernet frame otherwise: receivers lose fragments, or refuse
 * larger messages. */
static netsnmp_variable_list *varbinds_of(const struct pw_event *event)
{
	netsnmp_variable_list *list = build(event);
	size_t size = ber_varbinds(list);
	struct pw_event cut;

	if (list == NULL || size <= DATAGRAM - MESSAGE_OVERHEAD)
		return list;
	snmp_free_varbind(list);
	cut = *event;
	size = shorten(cut.text, size - (DATAGRAM - MESSAGE_OVERHEAD));
	size = shorten(cut.owner, size);
	shorten(cut.label, size);
	return build(&cut);
}

/* --- to the master ---------------------------------------------------------------------------------------------- */

static struct pw_slot *free_slot(struct pw_notifier *n)
{
	for (size_t i = 0; i < PW_WINDOW_SIZE; i++)
		if (n->slots[i].session == NULL)
			return &n->slots[i];
	return NULL;
}

/* Milliseconds until the pace lets the next one go: a burst at once, then one each PACE_US. */
static uint64_t pace_wait_ms(const struct pw_notifier *n, uint64_t now_us)
{
	uint64_t ahead = n->paced_us > now_us ? n->paced_us - now_us : 0;

	return ahead <= BURST * PACE_US ? 0 : (ahead - BURST * PACE_US + 999) / 1000;
}

/* Lets the next one wait for so long. */
static void hold(struct pw_notifier *n, uint64_t ms)
{
	n->paced_us = pw_clock_boot_us() + ms * 1000 + BURST * PACE_US;
}

/* The library also calls this for what was under way when it frees an ended session (that is owed again already, and
 * the slot may belong to a newer one), and when a send fails (the sender tells that itself). */
static int on_answer(int operation, netsnmp_session *session, int request, netsnmp_pdu *pdu, void *magic)
{
	struct pw_slot *slot = magic;
	struct pw_notifier *n = slot->notifier;

	(void)request;
	if (slot->session == NULL || session != slot->session)
		return 1;
	if (operation == NETSNMP_CALLBACK_OP_TIMED_OUT)
		pw_transport_cut("it does not answer a notification");
	if (operation != NETSNMP_CALLBACK_OP_RECEIVED_MESSAGE)
		return 1;
	slot->session = NULL;
	if (pdu->errstat == 0) {
		pw_exchange_acknowledge(n->exchange, slot->id);
	} else {
		pw_log(LOG_ERR, "the AgentX master agent refuses notification %u (error %ld); trying again in %d s",
			slot->id, pdu->errstat, REFUSED_MS / 1000);
		pw_exchange_return(n->exchange, slot->id);
		hold(n, REFUSED_MS);
	}
	pw_notifier_pump(n);
	return 1;
}

void pw_notifier_session_changed(struct pw_notifier *n)
{
	for (size_t i = 0; i < PW_WINDOW_SIZE; i++)
		n->slots[i].session = NULL;
	if (pace_wait_ms(n, pw_clock_boot_us()) > 0)
		hold(n, 0);
	if (n->session->session == NULL)
		pw_exchange_return_all(n->exchange);
	else
		pw_notifier_pump(n);
}

/* --- sending ---------------------------------------------------------------------------------------------------- */

/* Sends one notification, if one is owed. Returns the milliseconds until it is worth trying again: 0 at once,
 * UINT64_MAX never. */
static uint64_t send_one(struct pw_notifier *n)
{
	uint64_t now_us = pw_clock_boot_us(), wait_ms = pace_wait_ms(n, now_us);
	struct pw_slot *slot = free_slot(n);
	netsnmp_variable_list *varbinds;
	struct pw_event event;
	uint32_t rate_ms;

	if (wait_ms > 0)
		return wait_ms;
	if (!pw_exchange_take(n->exchange, now_us / 1000, &event, &rate_ms))
		return rate_ms == UINT32_MAX ? UINT64_MAX : rate_ms + 1;
	varbinds = varbinds_of(&event);
	if (varbinds != NULL && n->session == NULL) {
		send_v2trap(varbinds);
		snmp_free_varbind(varbinds);
		pw_exchange_acknowledge(n->exchange, event.id);
	} else if (varbinds != NULL) {
		slot->notifier = n;
		slot->id = event.id;
		if (pw_session_notify(n->session, varbinds, on_answer, slot) == 0)
			slot->session = n->session->session;
		else
			varbinds = NULL;
	}
	if (varbinds == NULL) { /* nothing was sent */
		pw_exchange_return(n->exchange, event.id);
		return AGAIN_MS;
	}
	n->paced_us = (n->paced_us > now_us ? n->paced_us : now_us) + PACE_US;
	return 0;
}

static void pump_again(void *notifier)
{
	pw_notifier_pump(notifier);
}

void pw_notifier_pump(struct pw_notifier *n)
{
	uint64_t wait_ms = 0;

	pw_timer_stop(&n->timer);
	while (wait_ms == 0 && (n->session == NULL || (n->session->session != NULL && free_slot(n) != NULL)))
		wait_ms = send_one(n);
	if (wait_ms != 0 && wait_ms != UINT64_MAX)
		pw_timer_start(&n->timer, wait_ms, pump_again, n);
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "agent/library.h"

#include <string.h>

#include "base/clock.h"
#include "base/log.h"

size_t pw_full_oid(oid out[MAX_OID_LEN], const uint32_t *below, size_t len)
{
	for (size_t i = 0; i < pw_base_len; i++)
		out[i] = pw_base[i];
	for (size_t i = 0; i < len; i++)
		out[pw_base_len + i] = below[i];
	return pw_base_len + len;
}

void pw_library_isolate(void)
{
	netsnmp_ds_set_boolean(NETSNMP_DS_LIBRARY_ID, NETSNMP_DS_LIB_DONT_READ_CONFIGS, 1);
	netsnmp_ds_set_boolean(NETSNMP_DS_LIBRARY_ID, NETSNMP_DS_LIB_DISABLE_PERSISTENT_LOAD, 1);
	netsnmp_ds_set_boolean(NETSNMP_DS_LIBRARY_ID, NETSNMP_DS_LIB_DISABLE_PERSISTENT_SAVE, 1);
	netsnmp_ds_set_string(NETSNMP_DS_LIBRARY_ID, NETSNMP_DS_LIB_PERSISTENT_DIR, PW_NO_DIRECTORY);
}

/* --- timers ----------------------------------------------------------------------------------------------------- */

static void timer_expired(unsigned alarm, void *context)
{
	struct pw_timer *timer = context;

	(void)alarm;
	timer->alarm = 0;
	timer->expired(timer->context);
}

void pw_timer_start(struct pw_timer *timer, uint64_t ms, void (*expired)(void *context), void *context)
{
	struct timeval delay = {.tv_sec = (time_t)(ms / 1000), .tv_usec = (suseconds_t)(ms % 1000 * 1000)};

	pw_timer_stop(timer);
	timer->expired = expired;
	timer->context = context;
	timer->alarm = snmp_alarm_register_hr(delay, 0, timer_expired, timer);
}

void pw_timer_stop(struct pw_timer *timer)
{
	if (timer->alarm != 0)
		snmp_alarm_unregister(timer->alarm);
	timer->alarm = 0;
}

/* --- the library's log ------------------------------------------------------------------------------------------ */

/* Lines a second that pass; a library that reports every packet of a broken peer must not fill the disk. */
enum { LINES_PER_SECOND = 5 };

static struct {
	char last[512];
	unsigned repeated;   /* times that `last` was not written again */
	unsigned passed;     /* lines in this second */
	unsigned suppressed; /* lines beyond LINES_PER_SECOND */
	uint64_t second;
	unsigned errors; /* since the start */
	char error[512]; /* the last of them */
} library_log;

static bool may_pass(const char *text)
{
	uint64_t second = pw_clock_boot_ms() / 1000;

	if (strcmp(text, library_log.last) == 0) {
		library_log.repeated++;
		return false;
	}
	if (second != library_log.second) {
		library_log.second = second;
		library_log.passed = 0;
	}
	if (library_log.passed >= LINES_PER_SECOND) {
		library_log.suppressed++;
		return false;
	}
	library_log.passed++;
	return true;
}

static int on_log(int major, int minor, void *message, void *context)
{
	const struct snmp_log_message *m = message;
	char text[sizeof(library_log.last)];
	/* LOG_INFO is about the library's inner life, some of it misleading ("not reconnecting": we do) */
	int priority = m->priority >= LOG_INFO ? LOG_DEBUG : m->priority < LOG_ERR ? LOG_ERR : m->priority;

	(void)major;
	(void)minor;
	(void)context;
	snprintf(text, sizeof(text), "%s", m->msg);
	text[strcspn(text, "\n")] = '\0';
	if (text[0] == '\0')
		return 0;
	if (priority == LOG_ERR) {
		library_log.errors++;
		memcpy(library_log.error, text, sizeof(text));
	}
	if (!pw_log_enabled(priority) || !may_pass(text))
		return 0;
	/* what was held back is said once something else is to be said */
	if (library_log.repeated > 0)
		pw_log(LOG_INFO, "net-snmp: the last message was repeated %u times", library_log.repeated);
	if (library_log.suppressed > 0)
		pw_log(LOG_INFO, "net-snmp: %u further messages were suppressed", library_log.suppressed);
	library_log.repeated = library_log.suppressed = 0;
	memcpy(library_log.last, text, sizeof(text));
	pw_log(priority, "net-snmp: %s", text);
	return 0;
}

void pw_library_log_open(void)
{
	snmp_disable_log();
	snmp_enable_calllog();
	snmp_register_callback(SNMP_CALLBACK_LIBRARY, SNMP_CALLBACK_LOGGING, on_log, NULL);
}

unsigned pw_library_log_errors(char *last, size_t size)
{
	snprintf(last, size, "%s", library_log.error);
	return library_log.errors;
}

/* --- varbinds --------------------------------------------------------------------------------------------------- */

/* A value in the library's own types. */
struct wire {
	u_char type;
	const void *data;
	size_t size;
	union {
		long integer;
		u_long number;
		struct counter64 counter;
		oid objid[PW_OID_MAX];
	} as;
};

#define WIRE(wire_, type_, member) \
	((wire_)->type = (type_), (wire_)->data = &(wire_)->as.member, (wire_)->size = sizeof((wire_)->as.member))

static void wire_number(const struct pw_value *value, u_char type, struct wire *wire)
{
	wire->as.number = value->number;
	WIRE(wire, type, number);
}

static void to_wire(const struct pw_value *value, struct wire *wire)
{
	switch (value->syntax) {
	case PW_SYNTAX_INTEGER32:
	case PW_SYNTAX_ENUM:
		wire->as.integer = value->integer;
		WIRE(wire, ASN_INTEGER, integer);
		break;
	case PW_SYNTAX_GAUGE32:
	case PW_SYNTAX_UNSIGNED32: wire_number(value, ASN_GAUGE, wire); break;
	case PW_SYNTAX_COUNTER32: wire_number(value, ASN_COUNTER, wire); break;
	case PW_SYNTAX_TIMESTAMP: wire_number(value, ASN_TIMETICKS, wire); break;
	case PW_SYNTAX_COUNTER64:
		wire->as.counter.high = (u_long)(value->counter >> 32);
		wire->as.counter.low = (u_long)(value->counter & UINT32_MAX);
		WIRE(wire, ASN_COUNTER64, counter);
		break;
	case PW_SYNTAX_TEXT:
	case PW_SYNTAX_DATE:
		wire->type = ASN_OCTET_STR;
		wire->data = value->octets;
		wire->size = value->len;
		break;
	case PW_SYNTAX_ROW:
		for (size_t i = 0; i < value->len; i++)
			wire->as.objid[i] = value->oid[i];
		wire->type = ASN_OBJECT_ID;
		wire->data = wire->as.objid;
		wire->size = value->len * sizeof(oid);
		break;
	case PW_SYNTAX_SERIES: break; /* no object has it */
	}
}

int pw_varbind_set(netsnmp_variable_list *varbind, const struct pw_value *value)
{
	struct wire wire = {0};

	to_wire(value, &wire);
	return snmp_set_var_typed_value(varbind, wire.type, wire.data, wire.size) == 0 ? 0 : -1;
}

int pw_varbind_add(netsnmp_variable_list **list, const oid *name, size_t len, const struct pw_value *value)
{
	struct wire wire = {0};

	to_wire(value, &wire);
	return snmp_varlist_add_variable(list, name, len, wire.type, wire.data, wire.size) != NULL ? 0 : -1;
}

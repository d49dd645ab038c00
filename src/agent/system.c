/* SPDX-License-Identifier: BSD-2-Clause */
/* The system group of SNMPv2-MIB for the stand-alone agent; sysContact, sysName and sysLocation come from the include file */
#include "agent/standalone.h"

#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

enum {
	NUMBER_DESCR = 1,
	NUMBER_OBJECT_ID,
	NUMBER_UPTIME,
	NUMBER_CONTACT,
	NUMBER_NAME,
	NUMBER_LOCATION,
	NUMBER_SERVICES
};

static char texts[NUMBER_SERVICES + 1][PW_TEXT_MAX + 1]; /* of those that are texts */

static void parse_text(char *text, const char *line)
{
	snprintf(text, PW_TEXT_MAX + 1, "%s", line);
}

static void parse_contact(const char *token, char *line)
{
	(void)token;
	parse_text(texts[NUMBER_CONTACT], line);
}

static void parse_name(const char *token, char *line)
{
	(void)token;
	parse_text(texts[NUMBER_NAME], line);
}

static void parse_location(const char *token, char *line)
{
	(void)token;
	parse_text(texts[NUMBER_LOCATION], line);
}

static void value_of(oid number, struct pw_value *value)
{
	switch (number) {
	case NUMBER_OBJECT_ID:
		value->syntax = PW_SYNTAX_ROW;
		pw_value_set_row(value, NULL, 0);
		break;
	case NUMBER_UPTIME:
		value->syntax = PW_SYNTAX_TIMESTAMP;
		value->number = pw_uptime();
		break;
	case NUMBER_SERVICES:
		value->syntax = PW_SYNTAX_ENUM;
		value->integer = 72; /* RFC 3418: a host that offers application services */
		break;
	default:
		value->syntax = PW_SYNTAX_TEXT;
		pw_value_set_text(value, texts[number]);
		break;
	}
}

/* The library's scalar helper sees to GETNEXT and to names that do not exist. */
static int handle(netsnmp_mib_handler *handler, netsnmp_handler_registration *registration,
	netsnmp_agent_request_info *info, netsnmp_request_info *requests)
{
	struct pw_value value;

	(void)handler;
	if (info->mode != MODE_GET)
		return SNMP_ERR_NOERROR;
	value_of(registration->rootoid[registration->rootoid_len - 2], &value);
	return pw_varbind_set(requests->requestvb, &value) == 0 ? SNMP_ERR_NOERROR : SNMP_ERR_GENERR;
}

static int register_scalar(oid number)
{
	const oid name[] = {1, 3, 6, 1, 2, 1, 1, number};
	netsnmp_handler_registration *registration = netsnmp_create_handler_registration(
		"system", handle, name, OID_LENGTH(name), HANDLER_CAN_RONLY);

	return registration != NULL && netsnmp_register_read_only_scalar(registration) == MIB_REGISTERED_OK ? 0 : -1;
}

int pw_system_open(struct pw_error *err)
{
	struct utsname host;

	if (uname(&host) == 0) {
		snprintf(texts[NUMBER_DESCR], sizeof(texts[0]), "portwatchd on %s %s %s", host.sysname, host.release,
			host.machine);
		snprintf(texts[NUMBER_NAME], sizeof(texts[0]), "%s", host.nodename);
	}
	snmpd_register_config_handler("sysContact", parse_contact, NULL, "contact-name");
	snmpd_register_config_handler("sysName", parse_name, NULL, "node-name");
	snmpd_register_config_handler("sysLocation", parse_location, NULL, "location");
	for (oid number = NUMBER_DESCR; number <= NUMBER_SERVICES; number++)
		if (register_scalar(number) < 0)
			return pw_error_set(err, "the system group can't be registered with libnetsnmpagent");
	return 0;
}

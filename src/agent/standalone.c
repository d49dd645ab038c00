/* SPDX-License-Identifier: BSD-2-Clause */
#include "agent/standalone.h"

#include <errno.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "agent/library.h"
#include "agent/listen.h"
#include "base/log.h"

/* --- PORTWATCH-MIB ---------------------------------------------------------------------------------------------- */

/* A GETNEXT that finds nothing is left alone: the library goes on behind the subtree then. */
static int handle_mib(netsnmp_mib_handler *handler, netsnmp_handler_registration *registration,
	netsnmp_agent_request_info *info, netsnmp_request_info *requests)
{
	const struct pw_context *s = pw_server_context(handler->myvoid);

	(void)registration;
	for (netsnmp_request_info *request = requests; request != NULL; request = request->next) {
		enum pw_lookup lookup = PW_LOOKUP_FOUND;
		struct pw_instance found;
		struct pw_value value;
		struct pw_name name = {.len = 0};
		oid full[MAX_OID_LEN];
		int error = 0;

		if (request->processed || (info->mode != MODE_GET && info->mode != MODE_GETNEXT))
			continue;
		for (size_t i = 0; i < request->requestvb->name_length && i < PW_NAME_MAX; i++) {
			oid number = request->requestvb->name[i];

			name.id[name.len++] = number < UINT32_MAX ? (uint32_t)number : UINT32_MAX;
		}
		if (info->mode == MODE_GET)
			lookup = pw_server_get(s, &name, &found);
		else if (!pw_server_next(s, &name, &found))
			continue;
		else if (snmp_set_var_objid(request->requestvb, full, pw_full_oid(full, found.oid, found.len)) != 0)
			error = SNMP_ERR_GENERR;
		if (lookup != PW_LOOKUP_FOUND)
			error = lookup == PW_LOOKUP_NO_INSTANCE ? SNMP_NOSUCHINSTANCE : SNMP_NOSUCHOBJECT;
		if (error == 0) {
			pw_object_read(found.field, s, found.row, &value);
			if (pw_varbind_set(request->requestvb, &value) < 0)
				error = SNMP_ERR_GENERR;
		}
		if (error != 0)
			netsnmp_set_request_error(info, request, error);
	}
	return SNMP_ERR_NOERROR;
}

/* One registration for the whole subtree, so that all varbinds of a request are answered from one snapshot, whichever
 * tables they ask for. */
static int open_mib(struct pw_server *server, struct pw_error *err)
{
	oid base[MAX_OID_LEN];
	size_t len = pw_full_oid(base, NULL, 0);
	netsnmp_handler_registration *registration = netsnmp_create_handler_registration(
		"portwatch", handle_mib, base, len, HANDLER_CAN_RONLY);

	if (registration == NULL)
		return pw_error_set(err, "out of memory");
	registration->handler->myvoid = server;
	if (netsnmp_register_handler(registration) != MIB_REGISTERED_OK)
		return pw_error_set(err, "PORTWATCH-MIB can't be registered with libnetsnmpagent");
	return 0;
}

/* --- the system group: sysContact, sysName and sysLocation come from the include file --------------------------- */

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

static void parse_text(const char *token, char *line)
{
	const int number = strcasecmp(token, "sysContact") == 0 ? NUMBER_CONTACT
		: strcasecmp(token, "sysName") == 0             ? NUMBER_NAME
								: NUMBER_LOCATION;

	snprintf(texts[number], sizeof(texts[number]), "%s", line);
}

/* The library's scalar helper sees to GETNEXT and to names that do not exist. */
static int handle_system(netsnmp_mib_handler *handler, netsnmp_handler_registration *registration,
	netsnmp_agent_request_info *info, netsnmp_request_info *requests)
{
	const oid number = registration->rootoid[registration->rootoid_len - 2];
	struct pw_value value;

	(void)handler;
	if (info->mode != MODE_GET)
		return SNMP_ERR_NOERROR;
	switch (number) {
	case NUMBER_OBJECT_ID:
		value.syntax = PW_SYNTAX_ROW;
		pw_value_set_row(&value, NULL, 0);
		break;
	case NUMBER_UPTIME:
		value.syntax = PW_SYNTAX_TIMESTAMP;
		value.number = pw_uptime();
		break;
	case NUMBER_SERVICES:
		value.syntax = PW_SYNTAX_ENUM;
		value.integer = 72; /* RFC 3418: a host that offers application services */
		break;
	default:
		value.syntax = PW_SYNTAX_TEXT;
		pw_value_set_text(&value, texts[number]);
		break;
	}
	return pw_varbind_set(requests->requestvb, &value) == 0 ? SNMP_ERR_NOERROR : SNMP_ERR_GENERR;
}

static int open_system(struct pw_error *err)
{
	struct utsname host;

	if (uname(&host) == 0) {
		snprintf(texts[NUMBER_DESCR], sizeof(texts[0]), "portwatchd on %s %s %s", host.sysname, host.release,
			host.machine);
		snprintf(texts[NUMBER_NAME], sizeof(texts[0]), "%s", host.nodename);
	}
	snmpd_register_config_handler("sysContact", parse_text, NULL, "contact-name");
	snmpd_register_config_handler("sysName", parse_text, NULL, "node-name");
	snmpd_register_config_handler("sysLocation", parse_text, NULL, "location");
	for (oid number = NUMBER_DESCR; number <= NUMBER_SERVICES; number++) {
		const oid name[] = {1, 3, 6, 1, 2, 1, 1, number};
		netsnmp_handler_registration *registration = netsnmp_create_handler_registration(
			"system", handle_system, name, OID_LENGTH(name), HANDLER_CAN_RONLY);

		if (registration == NULL || netsnmp_register_read_only_scalar(registration) != MIB_REGISTERED_OK)
			return pw_error_set(err, "the system group can't be registered with libnetsnmpagent");
	}
	return 0;
}

/* --- configuration ---------------------------------------------------------------------------------------------- */

/* Reads what an earlier run kept, in both passes that the library makes over its files. */
static void read_state(int pass)
{
	const char *directory = netsnmp_ds_get_string(NETSNMP_DS_LIBRARY_ID, NETSNMP_DS_LIB_PERSISTENT_DIR);
	char path[4096];

	snprintf(path, sizeof(path), "%s/" PW_LIBRARY_NAME ".conf", directory);
	if (access(path, F_OK) == 0)
		read_config(path, read_config_get_handlers(PW_LIBRARY_NAME), pass);
}

/* The library has made its first pass over the include file, so that it knows `[snmp] persistentDir`: only where that
 * is given are engine ID, engineBoots and users of SNMPv3 read from a file, and written to it. Called before the
 * library makes up an engine ID. */
static int after_first_pass(int major, int minor, void *unused, void *context)
{
	struct pw_standalone *standalone = context;
	const char *directory = netsnmp_ds_get_string(NETSNMP_DS_LIBRARY_ID, NETSNMP_DS_LIB_PERSISTENT_DIR);

	(void)major;
	(void)minor;
	(void)unused;
	standalone->has_state = strcmp(directory, PW_NO_DIRECTORY) != 0;
	if (!standalone->has_state)
		return 0;
	/* the library does not write without the first, either */
	netsnmp_ds_set_boolean(NETSNMP_DS_LIBRARY_ID, NETSNMP_DS_LIB_DISABLE_PERSISTENT_LOAD, 0);
	netsnmp_ds_set_boolean(NETSNMP_DS_LIBRARY_ID, NETSNMP_DS_LIB_DISABLE_PERSISTENT_SAVE, 0);
	read_state(PREMIB_CONFIG);
	return 0;
}

static int before_second_pass(int major, int minor, void *unused, void *context)
{
	(void)major;
	(void)minor;
	(void)unused;
	if (((const struct pw_standalone *)context)->has_state)
		read_state(NORMAL_CONFIG);
	return 0;
}

int pw_standalone_open(struct pw_standalone *standalone, const struct pw_agent_options *options,
	struct pw_server *server, struct pw_error *err)
{
	/* for trying it out: who asks from this host may read */
	static char v4[] = "rocommunity public 127.0.0.1", v6[] = "rocommunity6 public ::1";
	const char *include = options->snmp_include;
	char *addresses = pw_listen_addresses(options->address);

	if (addresses == NULL || pw_listen_register() < 0) {
		free(addresses);
		return pw_error_set(err, "out of memory or descriptors");
	}
	netsnmp_ds_set_string(NETSNMP_DS_APPLICATION_ID, NETSNMP_DS_AGENT_PORTS, addresses);
	free(addresses);
	netsnmp_register_callback(SNMP_CALLBACK_LIBRARY, SNMP_CALLBACK_POST_PREMIB_READ_CONFIG, after_first_pass,
		standalone, NETSNMP_CALLBACK_HIGHEST_PRIORITY);
	snmp_register_callback(SNMP_CALLBACK_LIBRARY, SNMP_CALLBACK_PRE_READ_CONFIG, before_second_pass, standalone);
	if (include == NULL) {
		netsnmp_config_remember(v4);
		netsnmp_config_remember(v6);
		pw_log(LOG_NOTICE,
			"no access control is configured (snmp { include }): community \"public\" may read, "
			"from this host only");
	} else if (access(include, R_OK) < 0) {
		return pw_error_set(err, "%s: %s", include, strerror(errno));
	} else if (strchr(include, ',') != NULL) {
		return pw_error_set(err, "%s: the name of an include file must not contain a comma", include);
	} else {
		netsnmp_ds_set_string(NETSNMP_DS_LIBRARY_ID, NETSNMP_DS_LIB_OPTIONALCONFIG, include);
	}
	return open_mib(server, err) < 0 ? -1 : open_system(err);
}

void pw_standalone_close(struct pw_standalone *standalone)
{
	pw_listen_close();
	snmp_unregister_callback(
		SNMP_CALLBACK_LIBRARY, SNMP_CALLBACK_POST_PREMIB_READ_CONFIG, after_first_pass, standalone, 1);
	snmp_unregister_callback(
		SNMP_CALLBACK_LIBRARY, SNMP_CALLBACK_PRE_READ_CONFIG, before_second_pass, standalone, 1);
}

int pw_standalone_start(struct pw_standalone *standalone, struct pw_error *err)
{
	char text[sizeof(err->text)];

	if (pw_library_log_errors(text, sizeof(text)) > 0)
		return pw_error_set(err, "%s", text);
	if (init_master_agent() != 0) {
		pw_library_log_errors(text, sizeof(text));
		return pw_error_set(err, "can't listen: %s", text);
	}
	if (standalone->has_state)
		snmp_store(PW_LIBRARY_NAME);
	return 0;
}

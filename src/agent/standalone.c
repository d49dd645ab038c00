/* SPDX-License-Identifier: BSD-2-Clause */
#include "agent/standalone.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"

/* --- sending: to the receivers of the include file, without acknowledgement ---------------------------------------- */

static bool always_ready(void *context)
{
	(void)context;
	return true;
}

static int send_trap(void *handover, const struct pw_event *event, netsnmp_variable_list *varbinds)
{
	send_v2trap(varbinds);
	snmp_free_varbind(varbinds);
	pw_handover_acknowledge(handover, event->id);
	return 0;
}

/* --- configuration ------------------------------------------------------------------------------------------------- */

/* Reads what an earlier run kept, in both passes that the library makes over its files. */
static void read_state(int pass)
{
	const char *directory = netsnmp_ds_get_string(NETSNMP_DS_LIBRARY_ID, NETSNMP_DS_LIB_PERSISTENT_DIR);
	char path[4096];

	snprintf(path, sizeof(path), "%s/" PW_LIBRARY_NAME ".conf", directory);
	if (access(path, F_OK) == 0)
		read_config(path, read_config_get_handlers(PW_LIBRARY_NAME), pass);
}

/* The library has made its first pass over the include file, so that it knows `[snmp] persistentDir`: only where that is given are
 * engine ID, engineBoots and users of SNMPv3 read from a file, and written to it. Called before the library makes up an engine ID. */
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

static int use_include(const char *path, struct pw_error *err)
{
	if (access(path, R_OK) < 0)
		return pw_error_set(err, "%s: %s", path, strerror(errno));
	if (strchr(path, ',') != NULL)
		return pw_error_set(err, "%s: the name of an include file must not contain a comma", path);
	netsnmp_ds_set_string(NETSNMP_DS_LIBRARY_ID, NETSNMP_DS_LIB_OPTIONALCONFIG, path);
	return 0;
}

/* For trying it out: who asks from this host may read. */
static void allow_loopback(void)
{
	static char v4[] = "rocommunity public 127.0.0.1", v6[] = "rocommunity6 public ::1";

	netsnmp_config_remember(v4);
	netsnmp_config_remember(v6);
	pw_log(LOG_NOTICE,
		"no access control is configured (snmp { include }): community \"public\" may read, from this host only");
}

int pw_standalone_open(struct pw_standalone *standalone, const struct pw_agent_options *options,
	struct pw_handover *handover, struct pw_error *err)
{
	standalone->sender = (struct pw_sender){.ready = always_ready, .send = send_trap, .context = handover};
	netsnmp_ds_set_string(NETSNMP_DS_APPLICATION_ID, NETSNMP_DS_AGENT_PORTS, options->address);
	netsnmp_register_callback(SNMP_CALLBACK_LIBRARY, SNMP_CALLBACK_POST_PREMIB_READ_CONFIG, after_first_pass,
		standalone, NETSNMP_CALLBACK_HIGHEST_PRIORITY);
	snmp_register_callback(SNMP_CALLBACK_LIBRARY, SNMP_CALLBACK_PRE_READ_CONFIG, before_second_pass, standalone);
	if (options->snmp_include != NULL) {
		if (use_include(options->snmp_include, err) < 0)
			return -1;
	} else {
		allow_loopback();
	}
	return pw_system_open(err);
}

void pw_standalone_close(struct pw_standalone *standalone)
{
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

/* SPDX-License-Identifier: BSD-2-Clause */
/* config.h: the configuration file, read once into an immutable struct */
#ifndef PW_CONFIG_CONFIG_H
#define PW_CONFIG_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "count/snat.h"
#include "watch/policy.h"

/* Where portwatchd listens for portwatch, unless its configuration says something else. */
#define PW_CONTROL_SOCKET "/run/portwatch/portwatch.sock"

/* Where sockets are read from: BPF where this host lets it, else netlink; or one of them. */
enum pw_backend_choice { PW_BACKEND_AUTO, PW_BACKEND_BPF, PW_BACKEND_NETLINK };
/* Whether the kernel is asked about single ports; whether it is to tell when a threshold is reached. The same words. */
enum pw_probe_mode { PW_PROBE_AUTO, PW_PROBE_ON, PW_PROBE_OFF };
enum pw_events_mode { PW_EVENTS_MODE_AUTO, PW_EVENTS_MODE_ON, PW_EVENTS_MODE_OFF };

struct pw_config {
	enum pw_backend_choice backend;
	uint32_t poll_interval_ms; /* 0: as the backend allows */
	uint32_t idle_interval_ms; /* 0: as poll_interval_ms */
	enum pw_probe_mode probe;
	bool connect_failures;
	enum pw_events_mode events;
	char *state_file; /* NULL: in the state directory of the systemd unit, if there is one */
	struct pw_policy policy;
	struct {
		uint32_t max_per_minute, max_flaps, renotify_s;
	} notify; /* `for` is in the policy's thresholds */
	struct {
		char *socket;
		uint32_t ping_interval_ms, reconnect_interval_ms;
	} agentx;
	struct {
		char *include;
	} snmp; /* NULL = none */
	struct {
		char *listen; /* NULL = off */
	} metrics;
	struct {
		char *socket; /* NULL = off */
	} control;
	struct {
		bool all;
		char **names;
		size_t n_names;
		uint32_t max_sockets;
	} namespaces;
	struct {
		struct pw_snat_range *ranges;
		size_t n_ranges;
		uint32_t interval_s;
	} snat;
	struct pw_arena memory; /* of every text and list in here, and in the policy */
};

/* Messages about a file, one call each: "FILE:LINE: what is wrong, what was expected". line is 0 where there is
 * none. */
typedef void pw_config_report(const char *file, unsigned line, const char *message, void *context);

/* The built-in defaults, as an empty file gives them. NULL when out of memory. */
struct pw_config *pw_config_defaults(void);

/* Reads a file. Returns NULL after at least one report when it can't be read or has an error: the first one in its
 * structure, or all in its values. */
struct pw_config *pw_config_read(const char *path, pw_config_report *report, void *context);

void pw_config_free(struct pw_config *config);

/* Whether the file asks for the pools of a source. Those of sockets need not be asked for. */
static inline bool pw_config_wants(const struct pw_config *config, enum pw_source_id source)
{
	return source != PW_SOURCE_SNAT || config->snat.n_ranges > 0;
}

#endif

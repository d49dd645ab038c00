#include "scenario.h"

#include <string.h>

#define ALL_ENDINGS { [END_KEEP] = 24, [END_TIME_WAIT] = 20, [END_FAR_FIRST] = 10, [END_FIN_WAIT2] = 6, [END_HALF_CLOSED] = 4, \
	[END_CLOSE_WAIT] = 4, [END_FIN_WAIT1] = 3, [END_CLOSING] = 3, [END_LAST_ACK] = 3, [END_RESET] = 4, [END_ABORTED] = 4, \
	[END_DISCONNECT] = 3, [END_RECONNECT] = 3 }
#define CLIENT_ENDINGS { [END_KEEP] = 60, [END_TIME_WAIT] = 20, [END_FIN_WAIT2] = 5, [END_CLOSE_WAIT] = 5, [END_RESET] = 10 }
#define KEPT { [END_KEEP] = 80, [END_RESET] = 20 }
#define TIMED { [END_TIME_WAIT] = 70, [END_KEEP] = 15, [END_FIN_WAIT2] = 10, [END_RESET] = 5 }

const struct scenario scenarios[] = {
	{.name = "mix", .title = "everything at once (hostile)", .inferred = SIDE_HIGH,
		.steps = {[STEP_CONNECT] = 40, [STEP_BIND] = 12, [STEP_LISTEN] = 18, [STEP_UDP] = 10, [STEP_PEAK] = 2, [STEP_HALF_OPEN] = 3,
			[STEP_REUSE_BIND] = 5, [STEP_END] = 14},
		.hows = {30, 20, 20, 20, 10}, .endings = ALL_ENDINGS, .v6 = 30, .mapped = 20, .device = 12, .reuse = 25,
		.close_listener = 50, .second_stage = 50, .range_change = 15},

	/* what real proxies have: inference must be exact */
	{.name = "plain", .title = "plain connects", .proxy = true, .steps = {[STEP_CONNECT] = 90, [STEP_END] = 10},
		.hows = {[HOW_PLAIN] = 1}, .endings = CLIENT_ENDINGS, .second_stage = 50},
	{.name = "no-port", .title = "IP_BIND_ADDRESS_NO_PORT", .proxy = true, .steps = {[STEP_CONNECT] = 90, [STEP_END] = 10},
		.hows = {[HOW_NO_PORT] = 1}, .endings = CLIENT_ENDINGS, .v6 = 20, .second_stage = 50},
	{.name = "listeners", .title = "listeners, accepted connections, plain connects", .proxy = true,
		.steps = {[STEP_CONNECT] = 40, [STEP_LISTEN] = 50, [STEP_HALF_OPEN] = 5, [STEP_END] = 5}, .hows = {50, 50},
		.endings = CLIENT_ENDINGS, .v6 = 25, .mapped = 10, .reuse = 30, .second_stage = 50},
	{.name = "time-wait", .title = "TIME_WAIT and FIN_WAIT2 of clients", .proxy = true, .steps = {[STEP_CONNECT] = 1},
		.hows = {50, 50}, .endings = TIMED, .v6 = 20, .mapped = 10, .second_stage = 50},
	{.name = "mapped", .title = "IPv4-mapped IPv6 sockets", .proxy = true, .steps = {[STEP_CONNECT] = 80, [STEP_LISTEN] = 20},
		.hows = {50, 50}, .endings = CLIENT_ENDINGS, .mapped = 70, .second_stage = 50},
	{.name = "v6", .title = "IPv6", .proxy = true, .steps = {[STEP_CONNECT] = 80, [STEP_LISTEN] = 20},
		.hows = {50, 50}, .endings = CLIENT_ENDINGS, .v6 = 90, .second_stage = 50},
	{.name = "peak", .title = "half empty after a load peak", .proxy = true,
		.steps = {[STEP_PEAK] = 70, [STEP_CONNECT] = 20, [STEP_END] = 10}, .hows = {70, 30}, .endings = CLIENT_ENDINGS, .v6 = 15,
		.second_stage = 50},
	{.name = "udp", .title = "UDP clients and servers", .proxy = true, .steps = {[STEP_UDP] = 100}, .hows = {1}, .endings = KEPT,
		.v6 = 30, .mapped = 10, .reuse = 20, .second_stage = 50},
	{.name = "device", .title = "sockets bound to devices", .proxy = true, .steps = {[STEP_CONNECT] = 80, [STEP_LISTEN] = 20},
		.hows = {50, 50}, .endings = CLIENT_ENDINGS, .v6 = 20, .device = 60, .second_stage = 50},
	{.name = "range", .title = "range and reserved ports change between polls", .proxy = true,
		.steps = {[STEP_CONNECT] = 70, [STEP_LISTEN] = 20, [STEP_UDP] = 10}, .hows = {50, 50}, .endings = CLIENT_ENDINGS, .v6 = 20,
		.second_stage = 100, .range_change = 100},

	/* what inference cannot see, or only with history */
	{.name = "bind-port", .title = "bind(address, port), connected or not", .inferred = SIDE_HIGH,
		.steps = {[STEP_CONNECT] = 50, [STEP_BIND] = 40, [STEP_REUSE_BIND] = 10}, .hows = {[HOW_PLAIN] = 30, [HOW_BIND_PORT] = 70},
		.endings = KEPT, .v6 = 20, .reuse = 30, .second_stage = 50},
	{.name = "bind-auto", .title = "bind(address, 0), connected", .inferred = SIDE_HIGH, .steps = {[STEP_CONNECT] = 1},
		.hows = {[HOW_PLAIN] = 50, [HOW_BIND_AUTO] = 50}, .endings = KEPT, .v6 = 20, .second_stage = 50},
	{.name = "orphans", .title = "accepted connections whose listener is closed", .inferred = SIDE_HIGH,
		.steps = {[STEP_LISTEN] = 70, [STEP_CONNECT] = 30}, .hows = {50, 50}, .endings = KEPT, .v6 = 20, .close_listener = 100,
		.second_stage = 50},
	{.name = "foreign-tw", .title = "TIME_WAIT of bound and accepted sockets", .inferred = SIDE_HIGH,
		.steps = {[STEP_LISTEN] = 40, [STEP_CONNECT] = 60}, .hows = {20, 0, 40, 40}, .endings = TIMED, .v6 = 20,
		.close_listener = 100, .second_stage = 50},
	{.name = "port-range", .title = "clients with IP_LOCAL_PORT_RANGE", .steps = {[STEP_CONNECT] = 1},
		.hows = {[HOW_PLAIN] = 40, [HOW_RANGE] = 60}, .endings = CLIENT_ENDINGS, .v6 = 20, .second_stage = 50},

	/* settings with a documented side of error */
	{.name = "no-timestamps", .title = "tcp_timestamps = 0", .twist = TWIST_NO_TIMESTAMPS, .steps = {[STEP_CONNECT] = 1},
		.hows = {50, 50}, .endings = TIMED, .v6 = 20},
	{.name = "late-timestamps", .title = "TIME_WAIT of connections without timestamps, tcp_timestamps = 1 since",
		.inferred = SIDE_HIGH, .probed = SIDE_HIGH, .twist = TWIST_TIMESTAMPS_LATE, .steps = {[STEP_CONNECT] = 1}, .hows = {50, 50},
		.endings = TIMED, .v6 = 20},
	{.name = "dropped-timestamps", .title = "TIME_WAIT of connections with timestamps, tcp_timestamps = 0 since",
		.inferred = SIDE_LOW, .probed = SIDE_LOW, .twist = TWIST_TIMESTAMPS_DROPPED, .steps = {[STEP_CONNECT] = 1}, .hows = {50, 50},
		.endings = TIMED, .v6 = 20},
	{.name = "autobind-reuse", .title = "ip_autobind_reuse = 1, asked without SO_REUSEADDR", .inferred = SIDE_HIGH,
		.twist = TWIST_AUTOBIND_REUSE, .steps = {[STEP_CONNECT] = 60, [STEP_BIND] = 40}, .hows = {30, 20, 25, 25}, .endings = KEPT,
		.v6 = 20, .reuse = 60},
	{.name = "autobind-client", .title = "ip_autobind_reuse = 1, asked with SO_REUSEADDR", .inferred = SIDE_LOW, .probed = SIDE_LOW,
		.twist = TWIST_AUTOBIND_CLIENT, .steps = {[STEP_BIND] = 1}, .hows = {[HOW_BIND_AUTO] = 1}, .endings = KEPT, .v6 = 20,
		.reuse = 100},
};
const unsigned n_scenarios = sizeof(scenarios) / sizeof(scenarios[0]);
const struct scenario *const scenario_mix = &scenarios[0];

const struct scenario *scenario_find(const char *name)
{
	for (unsigned i = 0; i < n_scenarios; i++)
		if (strcmp(scenarios[i].name, name) == 0)
			return &scenarios[i];
	return NULL;
}

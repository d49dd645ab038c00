/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernel/conntrack.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_conntrack_tcp.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <netinet/in.h>
#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "kernel/sysctl.h"

/* --- requests --- */

static uint16_t message_type(unsigned type)
{
	return (uint16_t)(NFNL_SUBSYS_CTNETLINK << 8 | type);
}

size_t pw_conntrack_request(enum pw_stream stream, void *buf)
{
	struct nlmsghdr *message = mnl_nlmsg_put_header(buf);
	struct nfgenmsg *body;

	message->nlmsg_type = message_type(
		stream == PW_STREAM_DUMP_CONNTRACK ? IPCTNL_MSG_CT_GET : IPCTNL_MSG_CT_GET_STATS_CPU);
	message->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	message->nlmsg_seq = PW_NETLINK_SEQUENCE;
	body = mnl_nlmsg_put_extra_header(message, sizeof(*body));
	body->nfgen_family = AF_UNSPEC; /* both */
	body->version = NFNETLINK_V0;
	return message->nlmsg_len;
}

/* --- attributes --- */

/* A run of attributes that may be anything. */
struct span {
	const uint8_t *p;
	size_t len;
};

/* Looks for one attribute, whose type has no flags, and sets its data. Returns 1; 0 when it is not there; -1 when what
 * stands before it does not fit. */
static int find_attribute(struct span span, unsigned wanted, struct span *data)
{
	struct nlattr attribute;
	size_t step;

	for (; span.len > 0; span.p += step, span.len -= step) {
		if (span.len < sizeof(attribute))
			return -1;
		memcpy(&attribute, span.p, sizeof(attribute));
		if (attribute.nla_len < sizeof(attribute) || attribute.nla_len > span.len)
			return -1;
		*data = (struct span){span.p + sizeof(attribute), attribute.nla_len - sizeof(attribute)};
		if ((attribute.nla_type & NLA_TYPE_MASK) == wanted)
			return 1;
		step = NLA_ALIGN(attribute.nla_len);
		step = step < span.len ? step : span.len;
	}
	return 0;
}

/* An attribute that must be there, with at least this length. */
static int need(struct span span, unsigned wanted, size_t len, struct span *data)
{
	return find_attribute(span, wanted, data) > 0 && data->len >= len ? 0 : -1;
}

static uint16_t number16(struct span data)
{
	return (uint16_t)(data.p[0] << 8 | data.p[1]);
}

static uint32_t number32(struct span data)
{
	uint32_t number;

	memcpy(&number, data.p, sizeof(number));
	return ntohl(number);
}

/* The attributes of a message behind its struct nfgenmsg, and the family in that. */
static int message_attributes(const struct nlmsghdr *message, uint8_t *family, struct span *out)
{
	struct nfgenmsg body;

	if (message->nlmsg_len < NLMSG_HDRLEN + sizeof(body))
		return -1;
	memcpy(&body, (const uint8_t *)message + NLMSG_HDRLEN, sizeof(body));
	*family = body.nfgen_family;
	*out = (struct span){(const uint8_t *)message + NLMSG_HDRLEN + sizeof(body),
		message->nlmsg_len - NLMSG_HDRLEN - sizeof(body)};
	return 0;
}

/* --- one entry --- */

static uint8_t state_flag(struct span protoinfo)
{
	static const uint8_t flags[] = {[TCP_CONNTRACK_SYN_SENT] = PW_CONNTRACK_SYN_SENT,
		[TCP_CONNTRACK_SYN_RECV] = PW_CONNTRACK_SYN_SENT,
		[TCP_CONNTRACK_SYN_SENT2] = PW_CONNTRACK_SYN_SENT,
		[TCP_CONNTRACK_ESTABLISHED] = PW_CONNTRACK_ESTABLISHED,
		[TCP_CONNTRACK_CLOSE_WAIT] = PW_CONNTRACK_CLOSE_WAIT,
		[TCP_CONNTRACK_FIN_WAIT] = PW_CONNTRACK_FIN_WAIT,
		[TCP_CONNTRACK_LAST_ACK] = PW_CONNTRACK_FIN_WAIT,
		[TCP_CONNTRACK_TIME_WAIT] = PW_CONNTRACK_TIME_WAIT};
	struct span tcp, state;

	return find_attribute(protoinfo, CTA_PROTOINFO_TCP, &tcp) > 0 &&
			find_attribute(tcp, CTA_PROTOINFO_TCP_STATE, &state) > 0 && state.len >= 1 &&
			state.p[0] < sizeof(flags)
		? flags[state.p[0]]
		: 0;
}

/* The original direction comes from the client. The reply direction comes from the remote side and goes to the address
 * and port that the source was given. */
int pw_conntrack_parse(const struct nlmsghdr *message, struct pw_conntrack_entry *out)
{
	struct span number, source_port, destination_port, attributes, original, original_ip, client, reply, ip, source,
		destination, proto, status, info;
	uint8_t family;
	size_t len;
	bool ipv4;

	if (message_attributes(message, &family, &attributes) < 0)
		return -1;
	if (family != AF_INET && family != AF_INET6)
		return 0;
	ipv4 = family == AF_INET;
	len = ipv4 ? 4 : 16;
	if (need(attributes, CTA_TUPLE_REPLY, 0, &reply) < 0 || need(reply, CTA_TUPLE_IP, 0, &ip) < 0 ||
		need(reply, CTA_TUPLE_PROTO, 0, &proto) < 0 ||
		need(ip, ipv4 ? CTA_IP_V4_SRC : CTA_IP_V6_SRC, len, &source) < 0 ||
		need(ip, ipv4 ? CTA_IP_V4_DST : CTA_IP_V6_DST, len, &destination) < 0 ||
		need(attributes, CTA_TUPLE_ORIG, 0, &original) < 0 ||
		need(original, CTA_TUPLE_IP, 0, &original_ip) < 0 ||
		need(original_ip, ipv4 ? CTA_IP_V4_SRC : CTA_IP_V6_SRC, len, &client) < 0)
		return -1;
	memset(out->local, 0, sizeof(out->local));
	memset(out->remote, 0, sizeof(out->remote));
	memset(out->client, 0, sizeof(out->client));
	memcpy(out->local, destination.p, len);
	memcpy(out->remote, source.p, len);
	memcpy(out->client, client.p, len);
	out->family = family;
	if (need(proto, CTA_PROTO_NUM, 1, &number) < 0)
		return -1;
	out->protocol = number.p[0];
	if (out->protocol != IPPROTO_TCP && out->protocol != IPPROTO_UDP)
		return 0;
	if (need(proto, CTA_PROTO_SRC_PORT, 2, &source_port) < 0 ||
		need(proto, CTA_PROTO_DST_PORT, 2, &destination_port) < 0)
		return -1;
	out->remote_port = number16(source_port);
	out->local_port = number16(destination_port);
	out->flags = 0;
	if (find_attribute(attributes, CTA_STATUS, &status) > 0 && status.len >= 4 &&
		(number32(status) & IPS_SRC_NAT) != 0)
		out->flags |= PW_CONNTRACK_SOURCE_TRANSLATED;
	if (find_attribute(attributes, CTA_PROTOINFO, &info) > 0)
		out->flags |= state_flag(info);
	return 1;
}

int pw_conntrack_parse_stats(const struct nlmsghdr *message, struct pw_conntrack_stats *stats)
{
	struct span attributes, failed, drop;
	uint8_t family;

	if (message_attributes(message, &family, &attributes) < 0 ||
		need(attributes, CTA_STATS_INSERT_FAILED, 4, &failed) < 0 ||
		need(attributes, CTA_STATS_DROP, 4, &drop) < 0)
		return -1;
	stats->insert_failed += number32(failed);
	stats->full += number32(drop); /* before Linux 5.10 with those of insert_failed */
	return 0;
}

/* --- dumps --- */

static enum pw_dump_status take_entry(const struct pw_dump *dump, const struct nlmsghdr *message)
{
	struct pw_conntrack_entry entry;
	int rc = pw_conntrack_parse(message, &entry);

	if (rc < 0)
		return pw_dump_stop(dump, PW_DUMP_AGAIN, "malformed message");
	if (rc > 0 && pw_snat_add(dump->context, &entry) < 0)
		return pw_dump_stop(dump, PW_DUMP_FAILED, "out of memory");
	return PW_DUMP_MORE;
}

static enum pw_dump_status take_stats(const struct pw_dump *dump, const struct nlmsghdr *message)
{
	if (pw_conntrack_parse_stats(message, dump->context) < 0)
		return pw_dump_stop(dump, PW_DUMP_AGAIN, "malformed message");
	return PW_DUMP_MORE;
}

static enum pw_dump_status run(
	enum pw_stream stream, const struct pw_dump *dump, struct pw_input *input, pw_dump_take *take)
{
	alignas(struct nlmsghdr) uint8_t request[PW_CONNTRACK_REQUEST_MAX];
	size_t len = pw_conntrack_request(stream, request);

	return pw_dump_run(dump, input, stream, request, len, take);
}

enum pw_dump_status pw_conntrack_dump(
	struct pw_input *input, struct pw_snat *snat, struct pw_take_stats *stats, struct pw_error *err)
{
	const struct pw_dump dump = {.what = "connection tracking table",
		.type = message_type(IPCTNL_MSG_CT_NEW),
		.context = snat,
		.stats = stats,
		.err = err};

	return run(PW_STREAM_DUMP_CONNTRACK, &dump, input, take_entry);
}

enum pw_dump_status pw_conntrack_stats(
	struct pw_input *input, struct pw_conntrack_stats *out, struct pw_take_stats *stats, struct pw_error *err)
{
	const struct pw_dump dump = {.what = "connection tracking counters",
		.type = message_type(IPCTNL_MSG_CT_GET_STATS_CPU),
		.context = out,
		.stats = stats,
		.err = err};

	*out = (struct pw_conntrack_stats){0};
	return run(PW_STREAM_DUMP_CONNTRACK_STATS, &dump, input, take_stats);
}

static int read_number(
	struct pw_input *input, enum pw_stream stream, const char *name, uint32_t *number, struct pw_error *err)
{
	char text[32];
	ssize_t n = pw_input_text(input, stream, text, sizeof(text));

	if (n == -ENOENT)
		return pw_error_set(err, "the kernel has no connection tracking here (nf_conntrack)");
	if (n < 0)
		return pw_error_set(err, "net.netfilter.%s: %s", name, strerror((int)-n));
	if (pw_sysctl_parse_number(text, UINT32_MAX, number) < 0)
		return pw_error_set(err, "net.netfilter.%s: not understood: '%.30s'", name, text);
	return 0;
}

/* The number of entries in the table and the most that it can have (0: no limit), in constant time and without
 * privilege. Returns 0; -1 with an error and zeros, also where there is no connection tracking. */
static int read_size(struct pw_input *input, uint32_t *entries, uint32_t *maximum, struct pw_error *err)
{
	*entries = *maximum = 0;
	if (read_number(input, PW_STREAM_CONNTRACK_COUNT, "nf_conntrack_count", entries, err) < 0)
		return -1;
	return read_number(input, PW_STREAM_CONNTRACK_MAX, "nf_conntrack_max", maximum, err);
}

/* --- when the table is dumped --- */

/* Dumps in all, the first one included, before a poll is given up. */
#define ATTEMPTS 4

void pw_snat_watch_clear(struct pw_snat_watch *watch)
{
	pw_snat_free(watch->snat);
	*watch = (struct pw_snat_watch){0};
}

/* Adds what was counted since the last poll; the kernel's own number began before us. A smaller number is that of
 * counters that began anew (a CPU went offline, the module was loaded again), not of a wrap: 2^32 packets between two
 * polls are none. */
static void count(uint64_t *total, uint32_t *last, uint32_t now, bool first)
{
	if (!first)
		*total += now >= *last ? now - *last : now;
	*last = now;
}

static enum pw_dump_status dump_once(struct pw_snat_watch *watch, struct pw_input *input,
	const struct pw_snat_options *options, struct pw_take_stats *stats)
{
	struct pw_source *source = pw_snat_source(watch->snat);

	source->ports = options->ports;
	source->ports_context = options->ports_context;
	pw_snat_begin(watch->snat, options->ranges, options->n);
	return pw_conntrack_dump(input, watch->snat, stats, &watch->err);
}

/* Does it again where a dump was incomplete, and once where it found an address whose first entries it had left out. */
static enum pw_dump_status dump(struct pw_snat_watch *watch, struct pw_input *input,
	const struct pw_snat_options *options, struct pw_take_stats *stats)
{
	enum pw_dump_status status = PW_DUMP_AGAIN;

	for (int attempt = 0; attempt < ATTEMPTS && status == PW_DUMP_AGAIN; attempt++)
		status = dump_once(watch, input, options, stats);
	if (status == PW_DUMP_OK && pw_snat_finish(watch->snat))
		status = dump_once(watch, input, options, stats);
	if (status == PW_DUMP_OK)
		pw_snat_finish(watch->snat);
	return status;
}

/* Reads counters and, where it is due, the table. Returns 0, or -1 with watch->err. */
static int poll(struct pw_snat_watch *watch, struct pw_input *input, const struct pw_snat_options *options,
	uint64_t now_ms, bool *fresh, struct pw_take_stats *stats)
{
	const uint64_t failures = watch->counts.failures, since_ms = now_ms - watch->dumped_ms;
	enum pw_dump_status status = PW_DUMP_OK;
	struct pw_conntrack_stats counters;
	uint64_t start_ms;

	switch (pw_conntrack_stats(input, &counters, stats, &watch->err)) {
	case PW_DUMP_OK:
		count(&watch->counts.failures, &watch->last.insert_failed, counters.insert_failed, !watch->has_stats);
		count(&watch->counts.drops, &watch->last.full, counters.full, !watch->has_stats);
		watch->has_stats = true;
		break;
	case PW_DUMP_AGAIN: break; /* the next poll reads them */
	case PW_DUMP_UNAVAILABLE: {
		const struct pw_error why = watch->err;

		/* nothing but the number of entries is for everybody */
		return pw_error_set(&watch->err, "%.400s (it needs CAP_NET_ADMIN)", why.text);
	}
	default: return -1;
	}
	/* not due: neither did entries fail to be made since, nor has the interval passed, or a dump takes too long */
	if (watch->dumped_ms != 0 &&
		((watch->counts.failures == failures && !watch->failed && since_ms < options->interval_ms) ||
			since_ms < (uint64_t)watch->took_ms * PW_SNAT_SHARE))
		return watch->failed ? -1 : 0;
	start_ms = pw_clock_boot_ms();
	if (watch->counts.entries < options->floor || watch->counts.entries == 0) {
		/* too few for any pool to be listed: as if the table were empty */
		pw_snat_begin(watch->snat, options->ranges, options->n);
		pw_snat_finish(watch->snat);
	} else {
		status = dump(watch, input, options, stats);
	}
	watch->took_ms = (uint32_t)(pw_clock_boot_ms() - start_ms);
	watch->dumped_ms = now_ms + watch->took_ms;
	watch->failed = status != PW_DUMP_OK;
	*fresh = !watch->failed;
	return watch->failed ? -1 : 0;
}

struct pw_source *pw_snat_watch_poll(struct pw_snat_watch *watch, struct pw_input *input,
	const struct pw_snat_options *options, uint32_t ns, uint64_t now_ms, struct pw_take_stats *stats)
{
	struct pw_take_stats unused = {0};
	struct pw_source *source;
	int rc;

	if (options->n == 0)
		pw_snat_watch_clear(watch);
	if (options->n == 0 && !options->size)
		return NULL;
	rc = read_size(input, &watch->counts.entries, &watch->counts.maximum, &watch->err);
	if (options->n == 0)
		return NULL;
	if (watch->snat == NULL && (watch->snat = pw_snat_new(ns)) == NULL)
		return NULL;
	source = pw_snat_source(watch->snat);
	source->fresh = false;
	if (rc == 0)
		rc = poll(watch, input, options, now_ms, &source->fresh, stats != NULL ? stats : &unused);
	source->status = rc == 0 ? PW_SOURCE_COUNTING : PW_SOURCE_UNAVAILABLE;
	source->reason = rc == 0 ? "" : watch->err.text;
	source->failures = watch->counts.failures;
	return source;
}

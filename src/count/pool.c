/* SPDX-License-Identifier: BSD-2-Clause */
#include "count/pool.h"

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "count/source.h"

/* InetAddressType of RFC 4001. */
enum { INET_UNKNOWN = 0, INET_IPV4 = 1, INET_IPV6 = 2, INET_IPV4Z = 3, INET_IPV6Z = 4 };

uint32_t pw_utilization(uint32_t capacity, uint32_t free)
{
	uint32_t percent;

	if (free == 0 || capacity == 0)
		return 100;
	if (free >= capacity)
		return 0;
	percent = (uint32_t)((uint64_t)(capacity - free) * 100 / capacity);
	return percent;
}

static size_t address_index(const struct pw_address *a, uint32_t *out)
{
	size_t bytes = a->family == AF_INET ? 4 : a->family == AF_INET6 ? 16 : 0;
	size_t n = 0, zone_bytes = bytes != 0 && a->zone != 0 ? 4 : 0;

	out[n++] = bytes == 0 ? INET_UNKNOWN : (bytes == 4 ? INET_IPV4 : INET_IPV6) + (zone_bytes != 0 ? 2 : 0);
	out[n++] = (uint32_t)(bytes + zone_bytes);
	for (size_t i = 0; i < bytes; i++)
		out[n++] = a->bytes[i];
	for (size_t i = 0; i < zone_bytes; i++)
		out[n++] = (a->zone >> (24 - 8 * i)) & 0xff;
	return n;
}

size_t pw_pool_index(const struct pw_pool_key *key, uint32_t out[PW_POOL_INDEX_MAX])
{
	size_t n = 0;

	out[n++] = key->ns;
	out[n++] = key->kind;
	out[n++] = key->protocol;
	n += address_index(&key->local, out + n);
	n += address_index(&key->remote, out + n);
	out[n++] = key->port;
	return n;
}

int pw_index_compare(const uint32_t *a, size_t a_len, const uint32_t *b, size_t b_len)
{
	for (size_t i = 0; i < a_len && i < b_len; i++)
		if (a[i] != b[i])
			return a[i] < b[i] ? -1 : 1;
	return (a_len > b_len) - (a_len < b_len);
}

int pw_pool_key_compare(const struct pw_pool_key *a, const struct pw_pool_key *b)
{
	uint32_t ia[PW_POOL_INDEX_MAX], ib[PW_POOL_INDEX_MAX];
	size_t na = pw_pool_index(a, ia), nb = pw_pool_index(b, ib);

	return pw_index_compare(ia, na, ib, nb);
}

/* IPv6 goes in brackets, as in a URL, so that the port behind it stays readable. */
static void endpoint_text(const struct pw_address *a, const char *zone_name, char *out, size_t size)
{
	char text[PW_ADDRESS_TEXT_MAX];

	pw_address_text(a, zone_name, text);
	snprintf(out, size, a->family == AF_INET6 ? "[%s]" : "%s", text);
}

char *pw_pool_name(
	const struct pw_pool_key *key, const char *zone_name, const char *ns_name, char buf[PW_POOL_NAME_MAX])
{
	char local[PW_ADDRESS_TEXT_MAX + 2], remote[PW_ADDRESS_TEXT_MAX + 2];
	/* what sockets hold needs no word for it */
	const char *kind = pw_kind_has_sockets(key->kind) ? "" : pw_kind_name(key->kind);
	const char *space = kind[0] != '\0' ? " " : "";
	const char *at = ns_name != NULL && ns_name[0] != '\0' ? "@" : "";

	ns_name = ns_name != NULL ? ns_name : "";
	endpoint_text(&key->local, zone_name, local, sizeof(local));
	endpoint_text(&key->remote, NULL, remote, sizeof(remote));
	if (pw_pool_is_new_destination(key))
		snprintf(buf, PW_POOL_NAME_MAX, "%s any new destination%s%s", pw_protocol_name(key->protocol), at,
			ns_name);
	else if (key->kind == PW_KIND_BIND)
		snprintf(buf, PW_POOL_NAME_MAX, "%s %s bind%s%s", pw_protocol_name(key->protocol), local, at, ns_name);
	else
		snprintf(buf, PW_POOL_NAME_MAX, "%s%s%s %s -> %s:%u%s%s", kind, space, pw_protocol_name(key->protocol),
			local, remote, key->port, at, ns_name);
	return buf;
}

PW_NAMES(pw_kind_name, "connect", "bind", "snat")
PW_NAMES(pw_basis_name, "inferred", "probed", "read")
PW_NAMES(pw_state_name, "normal", "warning", "critical", "exhausted")
PW_NAMES(pw_reason_name, "none", "utilization", "freeThreshold", "forecast", "fastFreeThreshold")

const char *pw_protocol_name(unsigned protocol)
{
	return protocol == IPPROTO_TCP ? "tcp" : protocol == IPPROTO_UDP ? "udp" : "unknown";
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "count/address.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/number.h"

static const uint8_t mapped_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

struct pw_address pw_address_make(int family, const void *bytes, uint32_t zone)
{
	struct pw_address a = {.zone = zone, .family = (uint32_t)family};

	if (family == AF_INET6 && memcmp(bytes, mapped_prefix, sizeof(mapped_prefix)) == 0) {
		a.family = AF_INET;
		memcpy(a.bytes, (const uint8_t *)bytes + 12, 4);
	} else {
		memcpy(a.bytes, bytes, family == AF_INET ? 4 : 16);
	}
	return a;
}

bool pw_address_equal(const struct pw_address *a, const struct pw_address *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

bool pw_address_is_any(const struct pw_address *a)
{
	static const uint8_t zero[16];

	return a->family != AF_UNSPEC && memcmp(a->bytes, zero, sizeof(zero)) == 0;
}

bool pw_address_is_loopback(const struct pw_address *a)
{
	static const uint8_t one[16] = {[15] = 1};

	if (a->family == AF_INET)
		return a->bytes[0] == 127;
	return a->family == AF_INET6 && memcmp(a->bytes, one, sizeof(one)) == 0;
}

int pw_address_parse(struct pw_address *out, const char *text)
{
	uint8_t bytes[16];

	if (inet_pton(AF_INET, text, bytes) == 1)
		*out = pw_address_make(AF_INET, bytes, 0);
	else if (inet_pton(AF_INET6, text, bytes) == 1)
		*out = pw_address_make(AF_INET6, bytes, 0);
	else
		return -1;
	return 0;
}

char *pw_address_text(const struct pw_address *a, const char *zone_name, char buf[PW_ADDRESS_TEXT_MAX])
{
	size_t len;

	buf[0] = '\0';
	if (a->family == AF_UNSPEC)
		return buf;
	inet_ntop((int)a->family, a->bytes, buf, INET6_ADDRSTRLEN);
	len = strlen(buf);
	if (a->zone != 0 && zone_name != NULL && zone_name[0] != '\0')
		snprintf(buf + len, PW_ADDRESS_TEXT_MAX - len, "%%%.*s", IF_NAMESIZE - 1, zone_name);
	else if (a->zone != 0)
		snprintf(buf + len, PW_ADDRESS_TEXT_MAX - len, "%%%u", a->zone);
	return buf;
}

static unsigned family_bits(const struct pw_address *a)
{
	return a->family == AF_INET ? 32 : 128;
}

int pw_cidr_parse(struct pw_cidr *out, const char *text, const char **why)
{
	const char *unused, *slash = strchr(text, '/');
	char host[INET6_ADDRSTRLEN];
	size_t len = slash != NULL ? (size_t)(slash - text) : strlen(text);
	unsigned bits, before;
	uint32_t prefix;

	why = why != NULL ? why : &unused;
	*why = "not an IPv4 or IPv6 address";
	if (len >= sizeof(host))
		return -1;
	memcpy(host, text, len);
	host[len] = '\0';
	if (pw_address_parse(&out->address, host) < 0)
		return -1;
	*why = "the prefix length is not a number from 0 to 32 (IPv4) or 128 (IPv6; from 96 if IPv4-mapped)";
	/* that of an IPv4-mapped network counts from the start of the IPv6 address */
	bits = family_bits(&out->address);
	before = out->address.family == AF_INET && strchr(host, ':') != NULL ? 96 : 0;
	prefix = before + bits;
	if (slash != NULL && !pw_number32(slash + 1, before, before + bits, &prefix))
		return -1;
	out->prefix = (uint8_t)(prefix - before);
	*why = "bits are set right of the prefix length";
	for (unsigned bit = out->prefix; bit < bits; bit++)
		if ((out->address.bytes[bit / 8] & (0x80u >> bit % 8)) != 0)
			return -1;
	return 0;
}

bool pw_cidr_contains(const struct pw_cidr *net, const struct pw_address *a)
{
	unsigned whole = net->prefix / 8;
	uint8_t mask = (uint8_t)(0xff00u >> (net->prefix % 8));

	if (net->address.family != a->family || memcmp(net->address.bytes, a->bytes, whole) != 0)
		return false;
	return mask == 0 || (net->address.bytes[whole] & mask) == (a->bytes[whole] & mask);
}

bool pw_cidr_is_host(const struct pw_cidr *net)
{
	return net->prefix == family_bits(&net->address);
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "agent/pdu.h"

#include <string.h>

enum { VERSION = 1, NON_DEFAULT_CONTEXT = 0x08, NETWORK_BYTE_ORDER = 0x10 };
enum { FLAGS = 2, PAYLOAD_LENGTH = 16 }; /* where they are in a header */

/* The types of a variable binding (RFC 2741 5.4). */
enum {
	INTEGER = 2,
	OCTET_STRING = 4,
	OBJECT_IDENTIFIER = 6,
	COUNTER32 = 65,
	GAUGE32 = 66,
	TIME_TICKS = 67,
	COUNTER64 = 70
};

/* A prefix p, where it is not 0, stands for these sub-identifiers and p behind them. */
static const uint32_t internet[] = {1, 3, 6, 1};
enum { INTERNET = sizeof(internet) / sizeof(internet[0]) };

/* --- reading ---------------------------------------------------------------------------------------------------- */

static uint32_t get32(const struct pw_pdu *pdu, const uint8_t *p)
{
	if (pdu->big_endian)
		return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
	return (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0];
}

static uint16_t get16(const struct pw_pdu *pdu, const uint8_t *p)
{
	return (uint16_t)(pdu->big_endian ? p[0] << 8 | p[1] : p[1] << 8 | p[0]);
}

const char *pw_pdu_header(struct pw_pdu *pdu, const uint8_t *octets)
{
	uint32_t length;

	pdu->type = octets[1];
	pdu->context = (octets[FLAGS] & NON_DEFAULT_CONTEXT) != 0;
	pdu->big_endian = (octets[FLAGS] & NETWORK_BYTE_ORDER) != 0;
	pdu->session = get32(pdu, octets + 4);
	pdu->transaction = get32(pdu, octets + 8);
	pdu->packet = get32(pdu, octets + 12);
	length = get32(pdu, octets + PAYLOAD_LENGTH);
	if (octets[0] != VERSION)
		return "it does not speak AgentX version 1";
	if (pdu->type == 0 || pdu->type > PW_PDU_RESPONSE)
		return "it sent a PDU of an unknown type";
	if (length % 4 != 0 || length > PW_PDU_MAX - PW_PDU_HEADER)
		return "it sent a PDU of an impossible length";
	pdu->at = octets + PW_PDU_HEADER;
	pdu->end = pdu->at + length;
	return NULL;
}

int pw_pdu_bulk(struct pw_pdu *pdu, uint16_t *non_repeaters, uint16_t *max_repetitions)
{
	if (pdu->end - pdu->at < 4)
		return -1;
	*non_repeaters = get16(pdu, pdu->at);
	*max_repetitions = get16(pdu, pdu->at + 2);
	pdu->at += 4;
	return 0;
}

/* 5.1: the number of sub-identifiers, prefix, include, a reserved octet, the sub-identifiers. */
static int get_name(struct pw_pdu *pdu, struct pw_name *name)
{
	const uint8_t *p = pdu->at;
	size_t n, prefix;

	if (pdu->end - p < 4)
		return -1;
	n = p[0];
	prefix = p[1] != 0 ? INTERNET + 1 : 0;
	if (prefix + n > PW_NAME_MAX || (size_t)(pdu->end - p) < 4 + 4 * n)
		return -1;
	if (prefix != 0) {
		memcpy(name->id, internet, sizeof(internet));
		name->id[INTERNET] = p[1];
	}
	name->len = prefix + n;
	name->include = p[2] != 0;
	for (size_t i = 0; i < n; i++)
		name->id[prefix + i] = get32(pdu, p + 4 + 4 * i);
	pdu->at = p + 4 + 4 * n;
	return 0;
}

int pw_pdu_range(struct pw_pdu *pdu, struct pw_name *start, struct pw_name *end)
{
	if (pdu->at == pdu->end)
		return 0;
	return get_name(pdu, start) == 0 && get_name(pdu, end) == 0 ? 1 : -1;
}

/* --- writing ---------------------------------------------------------------------------------------------------- */

/* Room for n octets, NULL when there is none; either way they count. */
static uint8_t *reserve(struct pw_response *r, size_t n)
{
	size_t at = r->len;

	r->len += n;
	return r->len <= r->size ? r->out + at : NULL;
}

static void put8(struct pw_response *r, uint8_t value)
{
	uint8_t *p = reserve(r, 1);

	if (p != NULL)
		p[0] = value;
}

static void put16(struct pw_response *r, uint16_t value)
{
	put8(r, (uint8_t)(r->big_endian ? value >> 8 : value));
	put8(r, (uint8_t)(r->big_endian ? value : value >> 8));
}

static void store32(const struct pw_response *r, uint8_t *p, uint32_t value)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(value >> (r->big_endian ? 24 - 8 * i : 8 * i));
}

static void put32(struct pw_response *r, uint32_t value)
{
	uint8_t *p = reserve(r, 4);

	if (p != NULL)
		store32(r, p, value);
}

/* 5.3: the length, the octets, zeros up to a multiple of four. */
static void put_octets(struct pw_response *r, const uint8_t *octets, size_t n)
{
	const size_t padded = (n + 3) & ~(size_t)3;
	uint8_t *p;

	put32(r, (uint32_t)n);
	p = reserve(r, padded);
	if (p == NULL)
		return;
	memcpy(p, octets, n);
	memset(p + n, 0, padded - n);
}

static void put_name(struct pw_response *r, const uint32_t *id, size_t len)
{
	bool prefix = len > INTERNET && memcmp(id, internet, sizeof(internet)) == 0 && id[INTERNET] != 0 &&
		id[INTERNET] <= UINT8_MAX;
	size_t skip = prefix ? INTERNET + 1 : 0;

	put8(r, (uint8_t)(len - skip));
	put8(r, (uint8_t)(prefix ? id[INTERNET] : 0));
	put16(r, 0); /* include, reserved */
	for (size_t i = skip; i < len; i++)
		put32(r, id[i]);
}

static void put_head(struct pw_response *r, uint16_t type, const uint32_t *name, size_t len)
{
	put16(r, type);
	put16(r, 0);
	put_name(r, name, len);
}

static uint16_t type_of(enum pw_syntax syntax)
{
	switch (syntax) {
	case PW_SYNTAX_GAUGE32:
	case PW_SYNTAX_UNSIGNED32: return GAUGE32;
	case PW_SYNTAX_COUNTER32: return COUNTER32;
	case PW_SYNTAX_COUNTER64: return COUNTER64;
	case PW_SYNTAX_TIMESTAMP: return TIME_TICKS;
	case PW_SYNTAX_TEXT:
	case PW_SYNTAX_DATE: return OCTET_STRING;
	case PW_SYNTAX_ROW: return OBJECT_IDENTIFIER;
	default: return INTEGER;
	}
}

/* 6.1 and 6.2.16: the header, sysUpTime, error, index. */
void pw_response_begin(
	struct pw_response *response, const struct pw_pdu *request, uint32_t uptime, void *out, size_t size)
{
	*response = (struct pw_response){.out = out, .size = size, .big_endian = request->big_endian};
	put8(response, VERSION);
	put8(response, PW_PDU_RESPONSE);
	put8(response, request->big_endian ? NETWORK_BYTE_ORDER : 0);
	put8(response, 0);
	put32(response, request->session);
	put32(response, request->transaction);
	put32(response, request->packet);
	put32(response, 0); /* the length of the payload, at the end */
	put32(response, uptime);
	put32(response, 0);
}

void pw_response_value(struct pw_response *response, const uint32_t *name, size_t len, const struct pw_value *value)
{
	put_head(response, type_of(value->syntax), name, len);
	switch (value->syntax) {
	case PW_SYNTAX_INTEGER32:
	case PW_SYNTAX_ENUM: put32(response, (uint32_t)value->integer); break;
	case PW_SYNTAX_COUNTER64:
		put32(response, (uint32_t)(response->big_endian ? value->counter >> 32 : value->counter));
		put32(response, (uint32_t)(response->big_endian ? value->counter : value->counter >> 32));
		break;
	case PW_SYNTAX_TEXT:
	case PW_SYNTAX_DATE: put_octets(response, value->octets, value->len); break;
	case PW_SYNTAX_ROW: put_name(response, value->oid, value->len); break;
	default: put32(response, value->number); break;
	}
}

void pw_response_exception(struct pw_response *response, const struct pw_name *name, enum pw_exception exception)
{
	put_head(response, (uint16_t)exception, name->id, name->len);
}

void pw_response_error(struct pw_response *response, uint16_t error, uint16_t index)
{
	response->len = PW_PDU_HEADER + 4;
	put16(response, error);
	put16(response, index);
}

size_t pw_response_end(struct pw_response *response)
{
	if (response->len > response->size)
		return 0;
	store32(response, response->out + PAYLOAD_LENGTH, (uint32_t)(response->len - PW_PDU_HEADER));
	return response->len;
}

size_t pw_response_reduce(const struct pw_pdu *pdu, const uint8_t *octets, uint8_t *out)
{
	const struct pw_response r = {.big_endian = pdu->big_endian};

	if (pdu->context || pdu->end - pdu->at < PW_PDU_RESULT)
		return 0;
	memcpy(out, octets, PW_PDU_HEADER + PW_PDU_RESULT);
	out[FLAGS] &= NETWORK_BYTE_ORDER;
	store32(&r, out + PAYLOAD_LENGTH, PW_PDU_RESULT);
	return PW_PDU_HEADER + PW_PDU_RESULT;
}

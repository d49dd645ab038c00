/* SPDX-License-Identifier: BSD-2-Clause */
/* pdu.h: reads the Get and GetNext PDUs of AgentX, and writes the Responses to them (RFC 2741 5, 6.2); no net-snmp
 *
 * The library takes ten system calls and a copy through two pipes for each such PDU. A walk consists of nothing else, one PDU
 * for each repetition of a GETBULK, so these two types, which are simple, are answered without it. */
#ifndef PW_AGENT_PDU_H
#define PW_AGENT_PDU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/value.h"

/* Sub-identifiers of an OID (RFC 2741 5.1). */
enum { PW_NAME_MAX = 128 };

/* An object identifier as it stands in a PDU. */
struct pw_name {
	uint32_t id[PW_NAME_MAX];
	size_t len;   /* 0: the null object identifier */
	bool include; /* in a search range: the name itself counts */
};

/* A request that is being read. */
struct pw_pdu {
	bool next;       /* GetNext, else Get */
	bool big_endian; /* NETWORK_BYTE_ORDER */
	uint32_t session, transaction, packet;
	const uint8_t *at, *end; /* what has not been read of the search ranges */
};

/* Reads the header of one complete PDU of n octets, which must stay as long as `pdu` is in use. False for anything that is not a
 * Get or GetNext in the default context. */
bool pw_pdu_read(struct pw_pdu *pdu, const uint8_t *octets, size_t n);

/* Reads the next search range: where it starts, and where it ends (the end itself does not belong to it; the null name is no
 * end). Returns 1, 0 when there is none left, -1 when the PDU is malformed. */
int pw_pdu_range(struct pw_pdu *pdu, struct pw_name *start, struct pw_name *end);

/* What a variable binding says instead of a value (RFC 2741 5.4). */
enum pw_exception { PW_NO_SUCH_OBJECT = 128, PW_NO_SUCH_INSTANCE = 129, PW_END_OF_MIB_VIEW = 130 };

/* A Response that is being written. */
struct pw_response {
	uint8_t *out;
	size_t size, len; /* len > size: it does not fit */
	bool big_endian;
};

/* Starts the Response to a request in a buffer of `size` octets. `uptime` is sysUpTime in hundredths of a second. */
void pw_response_begin(
	struct pw_response *response, const struct pw_pdu *request, uint32_t uptime, void *out, size_t size);

/* Adds a variable binding. */
void pw_response_value(struct pw_response *response, const uint32_t *name, size_t len, const struct pw_value *value);
void pw_response_exception(struct pw_response *response, const struct pw_name *name, enum pw_exception exception);

/* Returns the length of the Response, 0 when it did not fit. */
size_t pw_response_end(struct pw_response *response);

#endif

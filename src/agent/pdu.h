/* SPDX-License-Identifier: BSD-2-Clause */
/* pdu.h: reads the PDUs of an AgentX master, and writes the Responses to them (RFC 2741 5, 6); no net-snmp */
#ifndef PW_AGENT_PDU_H
#define PW_AGENT_PDU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/object.h"

/* Sub-identifiers of an OID (RFC 2741 5.1). */
enum { PW_NAME_MAX = 128 };

/* An object identifier as it stands in a PDU. */
struct pw_name {
	uint32_t id[PW_NAME_MAX];
	size_t len;   /* 0: the null object identifier */
	bool include; /* in a search range: the name itself counts */
};

/* Types of PDUs (6.1). */
enum {
	PW_PDU_OPEN = 1,
	PW_PDU_CLOSE,
	PW_PDU_REGISTER,
	PW_PDU_UNREGISTER,
	PW_PDU_GET,
	PW_PDU_GETNEXT,
	PW_PDU_GETBULK,
	PW_PDU_TESTSET,
	PW_PDU_COMMITSET,
	PW_PDU_UNDOSET,
	PW_PDU_CLEANUPSET,
	PW_PDU_NOTIFY,
	PW_PDU_PING,
	PW_PDU_RESPONSE = 18 /* the last */
};

/* Errors of a Response (6.2.16, 7.2.4). */
enum {
	PW_PDU_GEN_ERR = 5,
	PW_PDU_COMMIT_FAILED = 14,
	PW_PDU_UNDO_FAILED = 15,
	PW_PDU_NOT_WRITABLE = 17,
	PW_PDU_NOT_OPEN = 257,
	PW_PDU_UNSUPPORTED_CONTEXT = 262,
	PW_PDU_DUPLICATE_REGISTRATION = 263,
	PW_PDU_PARSE_ERROR = 266
};

/* Octets of a header; of the start of a Response's payload (sysUpTime, error, index); and of the longest PDU that
 * makes sense: the largest SNMP message is 64 KiB, and a varbind of it grows less than tenfold in AgentX. */
enum { PW_PDU_HEADER = 20, PW_PDU_RESULT = 8, PW_PDU_MAX = PW_PDU_HEADER + (1 << 20) };

/* A PDU that is being read. */
struct pw_pdu {
	uint8_t type;
	bool big_endian; /* NETWORK_BYTE_ORDER */
	bool context;    /* NON_DEFAULT_CONTEXT: the payload begins with one */
	uint32_t session, transaction, packet;
	const uint8_t *at, *end; /* what has not been read of the payload */
};

/* Reads a header (6.1). The octets of the PDU must stay as long as its payload is read. Returns NULL, or a static
 * text that says what is wrong: this is no AgentX, or no PDU that anybody makes. */
const char *pw_pdu_header(struct pw_pdu *pdu, const uint8_t *octets);

/* Reads the start of a GetBulk's payload; -1 when it is malformed. */
int pw_pdu_bulk(struct pw_pdu *pdu, uint16_t *non_repeaters, uint16_t *max_repetitions);

/* Reads the next search range: where it starts, and where it ends (the end itself does not belong to it; the null
 * name is no end). Returns 1, 0 when there is none left, -1 when the PDU is malformed. */
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

/* Makes it one that tells of an error, without variable bindings. `index` counts them from 1; 0 for the whole
 * request. */
void pw_response_error(struct pw_response *response, uint16_t error, uint16_t index);

/* Returns the length of the Response, 0 when it did not fit. */
size_t pw_response_end(struct pw_response *response);

/* Writes the start of a Response without its variable bindings and its context, PW_PDU_HEADER + PW_PDU_RESULT octets,
 * and returns their number; 0 when it has no such start. */
size_t pw_response_reduce(const struct pw_pdu *pdu, const uint8_t *octets, uint8_t *out);

#endif

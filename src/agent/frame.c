/* SPDX-License-Identifier: BSD-2-Clause */
#include "agent/frame.h"

#include <string.h>

enum { VERSION = 1, TYPE_CLOSE = 2, TYPE_LAST = 18, FLAG_NETWORK_BYTE_ORDER = 0x10 };

static uint32_t payload_length(const uint8_t header[20])
{
	const uint8_t *p = header + 16;

	if ((header[2] & FLAG_NETWORK_BYTE_ORDER) != 0)
		return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
	return (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0];
}

/* NULL, or what is wrong with a complete header. */
static const char *header_fault(const uint8_t header[20])
{
	uint32_t length = payload_length(header);

	if (header[0] != VERSION)
		return "it does not speak AgentX version 1";
	if (header[1] == 0 || header[1] > TYPE_LAST)
		return "it sent a PDU of an unknown type";
	if (length % 4 != 0 || length > PW_FRAME_PAYLOAD_MAX)
		return "it sent a PDU of an impossible length";
	if (header[1] == TYPE_CLOSE)
		return "it closed the session";
	return NULL;
}

static size_t take_header(struct pw_frame *frame, const uint8_t *octets, size_t n)
{
	size_t missing = sizeof(frame->header) - frame->have;
	size_t taken = n < missing ? n : missing;

	memcpy(frame->header + frame->have, octets, taken);
	frame->have += (uint32_t)taken;
	if (frame->have == sizeof(frame->header))
		frame->missing = payload_length(frame->header);
	return taken;
}

int pw_frame_feed(struct pw_frame *frame, const uint8_t *octets, size_t n, const char **why)
{
	int complete = 0;

	while (n > 0) {
		size_t taken;

		if (frame->have < sizeof(frame->header)) {
			taken = take_header(frame, octets, n);
			*why = frame->have == sizeof(frame->header) ? header_fault(frame->header) : NULL;
			if (*why != NULL)
				return -1;
		} else {
			taken = n < frame->missing ? n : frame->missing;
			frame->missing -= (uint32_t)taken;
		}
		octets += taken;
		n -= taken;
		if (frame->have == sizeof(frame->header) && frame->missing == 0) {
			frame->have = 0;
			complete++;
		}
	}
	return complete;
}

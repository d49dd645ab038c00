/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernel/takeover.h"

#include <string.h>

#if defined(__x86_64__)

/* Whether what ends before `at` says that an address of 32 bits from a register follows: ModRM with its two highest
 * bits 10, and for one register SIB after it. A jump may look like one. */
static bool is_indirect(const uint8_t *at)
{
	if (at[-1] == 0x24 && (at[-2] & 0xc7) == 0x84)
		return true;
	return (at[-1] & 0xc0) == 0x80 && (at[-1] & 7) != 4 && !(at[-2] == 0x0f && (at[-1] & 0xf0) == 0x80);
}

/* An instruction begins anywhere. It holds the place of a member beyond 127 as 32 bits, the lowest first. */
static bool mentions(const uint8_t *code, size_t size, uint32_t place, size_t width)
{
	(void)width;
	for (size_t at = 2; at + sizeof(place) <= size; at++)
		if (memcmp(code + at, &place, sizeof(place)) == 0 && is_indirect(code + at))
			return true;
	return false;
}

#elif defined(__aarch64__)

/* LDR and LDRB hold it in units of what they load: size, 11100101, the place in 12 bits, two registers. */
static bool mentions(const uint8_t *code, size_t size, uint32_t place, size_t width)
{
	const uint32_t wanted = (width == 4 ? 0xb9400000u : 0x39400000u) | (uint32_t)(place / width) << 10;
	uint32_t instruction;

	for (size_t at = 0; at + sizeof(instruction) <= size; at += sizeof(instruction)) {
		memcpy(&instruction, code + at, sizeof(instruction));
		if ((instruction & 0xfffffc00u) == wanted)
			return true;
	}
	return false;
}

#else

static bool mentions(const uint8_t *code, size_t size, uint32_t place, size_t width)
{
	(void)code;
	(void)size;
	(void)place;
	(void)width;
	return false;
}

#endif

bool pw_takeover_ignores_substate(const uint8_t *code, size_t size, uint32_t substate, uint32_t stamp)
{
	return mentions(code, size, stamp, sizeof(uint32_t)) && !mentions(code, size, substate, sizeof(uint8_t));
}

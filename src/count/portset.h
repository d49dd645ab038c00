/* SPDX-License-Identifier: BSD-2-Clause */
/* portset.h: sets of ports
 *
 * A bitmap of all 65,536 ports. Free ports are always found by set algebra, never by subtracting counts: one port can
 * be held by many sockets, and be blocked and occupied at once. */
#ifndef PW_COUNT_PORTSET_H
#define PW_COUNT_PORTSET_H

#include <stdbool.h>
#include <stdint.h>

#define PW_PORTSET_WORDS (65536 / 64)

struct pw_portset {
	uint64_t word[PW_PORTSET_WORDS];
};

static inline void pw_portset_add(struct pw_portset *set, uint16_t port)
{
	set->word[port >> 6] |= UINT64_C(1) << (port & 63);
}

static inline void pw_portset_remove(struct pw_portset *set, uint16_t port)
{
	set->word[port >> 6] &= ~(UINT64_C(1) << (port & 63));
}

static inline bool pw_portset_has(const struct pw_portset *set, uint16_t port)
{
	return (set->word[port >> 6] >> (port & 63)) & 1;
}

void pw_portset_clear(struct pw_portset *set);

/* Adds low..high, both included; nothing when low > high. */
void pw_portset_add_range(struct pw_portset *set, uint16_t low, uint16_t high);

/* The lowest and the highest port. Returns false, and writes nothing, for an empty set. */
bool pw_portset_ends(const struct pw_portset *set, uint16_t *low, uint16_t *high);

unsigned pw_portset_count(const struct pw_portset *set);

/* The number of ports whose lowest bit is `parity` (0 or 1). */
unsigned pw_portset_count_parity(const struct pw_portset *set, unsigned parity);

/* set = set OR other; set = set AND NOT other; set = set AND other */
void pw_portset_union(struct pw_portset *set, const struct pw_portset *other);
void pw_portset_subtract(struct pw_portset *set, const struct pw_portset *other);
void pw_portset_intersect(struct pw_portset *set, const struct pw_portset *other);

#endif

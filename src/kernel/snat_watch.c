/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernel/snat_watch.h"

#include <errno.h>

#include "base/clock.h"
#include "kernel/conntrack.h"

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
	rc = pw_conntrack_size(input, &watch->counts.entries, &watch->counts.maximum, &watch->err);
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

/* SPDX-License-Identifier: BSD-2-Clause */
/* A record, replayed as two whole polls into a census. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "kernel/capture.h"
#include "kernel/netlink.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	pw_log_open(PW_LOG_STDERR, "fuzz_record", -1); /* nothing: fallbacks are common here */
	return 0;
}

static int count_pool(const struct pw_pool_key *key, const struct pw_pool_counts *counts, void *context)
{
	(void)key;
	(void)context;
	if (counts->used > counts->capacity || counts->free > counts->capacity)
		abort();
	return 0;
}

static void poll_once(struct pw_source *source, struct pw_census *census)
{
	struct pw_sockstat counts;
	struct pw_range range;
	bool udp_failed;

	if (pw_source_range(source, &range, NULL) != PW_COLLECT_OK)
		return;
	pw_source_sockstat(source, &counts, NULL);
	if (pw_source_sockets(source, &range, census, &udp_failed, NULL, NULL) == PW_COLLECT_OK)
		pw_census_each(census, 1, count_pool, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pw_input input = {.ops = NULL};
	struct pw_source *source;
	struct pw_census *census;
	void *copy = malloc(size > 0 ? size : 1);

	memcpy(copy, data, size);
	if (pw_record_input(&input, copy, size, NULL) < 0)
		return 0;
	source = pw_source_new(&input, NULL);
	census = pw_census_new(1);
	poll_once(source, census);
	poll_once(source, census);
	pw_census_free(census);
	pw_source_free(source);
	return 0;
}

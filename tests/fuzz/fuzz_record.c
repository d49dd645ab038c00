/* SPDX-License-Identifier: BSD-2-Clause */
/* A capture, replayed as two whole polls into a census. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "kernel/capture.h"
#include "kernel/namespace.h"

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

static void poll_once(struct pw_namespace *ns)
{
	if (pw_namespace_read(ns) == PW_READ_OK && pw_netlink_take(ns) == 0)
		pw_source_each(pw_census_source(ns->census), 1, count_pool, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pw_input input = {.ops = NULL};
	struct pw_namespace *ns;
	void *copy = malloc(size > 0 ? size : 1);

	memcpy(copy, data, size);
	if (pw_capture_input(&input, copy, size, NULL) < 0)
		return 0;
	ns = pw_namespace_new(1, "", NULL);
	ns->input = input;
	poll_once(ns);
	poll_once(ns);
	pw_namespace_free(ns);
	return 0;
}

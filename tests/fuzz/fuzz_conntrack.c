/* SPDX-License-Identifier: BSD-2-Clause */
/* Dumps of the connection tracking table and of its counters. Input: one byte that chooses the dump, then datagrams as fuzz_datagrams.h has
 * them. */
#include "kernel/conntrack.h"
#include "fuzz_datagrams.h"

/* The ports of a pool are those of its capacity, each of them once. */
static int visit(const struct pw_pool_key *key, const struct pw_pool_counts *counts, void *context)
{
	(void)context;
	fuzz_must(key->kind == PW_KIND_SNAT && counts->used > 0 && counts->used + counts->free == counts->capacity);
	fuzz_must(counts->time_wait <= counts->used);
	/* and below them those of clients with privileged ports */
	fuzz_must(counts->capacity == PW_SNAT_HIGH - PW_SNAT_LOW + 1 || counts->capacity == 1023 - 600 + 1 ||
		counts->capacity == 511);
	return 0;
}

static enum pw_dump_status dump_table(struct pw_input *input, struct pw_take_stats *stats, struct pw_error *err)
{
	static const struct pw_snat_range all[] = {
		{.addresses = {.address.family = AF_INET}, .low = PW_SNAT_LOW, .high = PW_SNAT_HIGH},
		{.addresses = {.address.family = AF_INET6}, .low = PW_SNAT_LOW, .high = PW_SNAT_HIGH}};
	static struct pw_snat *snat;
	enum pw_dump_status status;

	if (snat == NULL)
		snat = pw_snat_new(1);
	fuzz_must(snat != NULL);
	pw_snat_begin(snat, all, 2);
	status = pw_conntrack_dump(input, snat, stats, err);
	pw_snat_finish(snat);
	fuzz_must(pw_source_each(pw_snat_source(snat), 1, visit, NULL) == 0);
	return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_datagrams datagrams;
	struct pw_input input;
	struct pw_take_stats stats = {0};
	struct pw_error err = {""};
	enum pw_dump_status status;
	struct pw_conntrack_stats counters;

	if (size == 0)
		return 0;
	input = fuzz_datagrams_input(&datagrams, data + 1, size - 1, PW_CONNTRACK_REQUEST_MAX);
	if (data[0] % 2 == 0)
		status = dump_table(&input, &stats, &err);
	else
		status = pw_conntrack_stats(&input, &counters, &stats, &err);
	fuzz_must((status == PW_DUMP_OK) == (err.text[0] == '\0'));
	fuzz_must(stats.bytes <= size);
	return 0;
}

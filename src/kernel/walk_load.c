/* SPDX-License-Identifier: BSD-2-Clause */
/* Loading the programs that walk, and running them */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "kernel/walk_internal.h"
#include "kernel/walk_helper.skel.h"

static char load_message[256];

/* The last warning of the library says best what the kernel did not like. */
__attribute__((format(printf, 2, 0))) static int keep_message(
	enum libbpf_print_level level, const char *format, va_list arguments)
{
	if (level == LIBBPF_WARN) {
		vsnprintf(load_message, sizeof(load_message), format, arguments);
		load_message[strcspn(load_message, "\n")] = '\0';
	}
	return 0;
}

/* Whether the kernel has a function that programs may call. Its name alone is looked for: btf__load_vmlinux_btf() would
 * take apart all types of the kernel, for 20 ms and 14 MiB. */
static bool kernel_has(const char *function)
{
	const size_t size = strlen(function) + 2; /* between two zeros */
	char name[64] = "", buffer[65536];
	size_t kept = 0, n;
	bool has = false;
	FILE *file = fopen("/sys/kernel/btf/vmlinux", "re");

	if (file == NULL)
		return false;
	memcpy(name + 1, function, size - 2);
	while (!has && (n = fread(buffer + kept, 1, sizeof(buffer) - kept, file)) > 0) {
		n += kept;
		has = memmem(buffer, n, name, size) != NULL;
		kept = n < size ? n : size - 1;
		memmove(buffer, buffer + n - kept, kept);
	}
	fclose(file);
	return has;
}

/* Both kinds of programs are made from the same text, and the variables of one are taken for those of the other. */
#define SAME_PLACE(variable) \
	static_assert(offsetof(struct walk_bpf__bss, variable) == offsetof(struct walk_helper_bpf__bss, variable), \
		"the programs have " #variable " in different places")

SAME_PLACE(job);
SAME_PLACE(met_time_wait);
SAME_PLACE(nets);
SAME_PLACE(counts);
SAME_PLACE(reserved_ports);
SAME_PLACE(interface_name);
SAME_PLACE(code);

/* Opens the programs that load directly, or those that do it by a helper. */
static struct walk_bpf *open_programs(bool direct)
{
	struct walk_bpf *bpf = calloc(1, sizeof(*bpf));
	size_t size;

	if (bpf == NULL || walk_bpf__create_skeleton(bpf) != 0) {
		free(bpf);
		errno = ENOMEM;
		return NULL;
	}
	if (!direct) {
		bpf->skeleton->data = (void *)(uintptr_t)walk_helper_bpf__elf_bytes(&size);
		bpf->skeleton->data_sz = size;
	}
	if (bpf_object__open_skeleton(bpf->skeleton, NULL) == 0)
		return bpf;
	walk_bpf__destroy(bpf);
	return NULL;
}

int pw_walk_load(struct walk *walk, bool direct, struct pw_error *err)
{
	void *records;

	libbpf_set_print(keep_message);
	load_message[0] = '\0';
	walk->bpf = open_programs(direct && kernel_has("bpf_rdonly_cast"));
	if (walk->bpf == NULL)
		return pw_error_set(err, "BPF: %s", strerror(errno));
	if (walk_bpf__load(walk->bpf) != 0) {
		int cause = errno;

		return pw_error_set(err, "BPF: %s%s%s", strerror(cause),
			cause == EPERM || load_message[0] == '\0' ? "" : ": ", cause == EPERM ? "" : load_message);
	}
	records = mmap(
		NULL, WALK_WORDS * sizeof(uint64_t), PROT_READ, MAP_SHARED, bpf_map__fd(walk->bpf->maps.records), 0);
	if (records == MAP_FAILED)
		return pw_error_set(err, "BPF: map: %s", strerror(errno));
	walk->records = records;
	return 0;
}

static uint64_t cpu_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

int pw_walk_run(struct walk *walk, const struct bpf_program *program, struct pw_error *err)
{
	LIBBPF_OPTS(bpf_test_run_opts, options);
	uint64_t start = cpu_ns(), took;
	int rc = bpf_prog_test_run_opts(bpf_program__fd(program), &options);

	if (rc != 0)
		return pw_error_set(err, "BPF: %s: %s", bpf_program__name(program), strerror(-rc));
	took = cpu_ns() - start;
	walk->stats.runs++;
	walk->stats.run_ns += took;
	if (took > walk->stats.longest_run_ns)
		walk->stats.longest_run_ns = took;
	return 0;
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "observer.h"

#include <linux/capability.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kernel/host.h"
#include "kernel/probe.h"
#include "kernel/walk.h"
#include "space.h"

#define PROBES_A_POLL 256

/* What an observer may do while it looks: with probes what root may, by BPF what is left to the packaged daemon (nothing, before Linux 5.19
 * CAP_BPF), and else all but CAP_NET_ADMIN, without which the kernel refuses a probe. `kept` is for give_back(). */
static int take_away(const struct observer *o, struct __user_cap_data_struct kept[2])
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &header, kept) < 0)
		return -1;
	memcpy(data, kept, sizeof(data));
	if (o->probe && observers_read()) {
		data[0].effective = 0;
		data[1].effective = pw_walk_needs_privilege() ? 1u << (CAP_BPF - 32) : 0;
	} else if (!o->probe) {
		data[0].effective &= ~(1u << CAP_NET_ADMIN);
	}
	return (int)syscall(SYS_capset, &header, data);
}

static int give_back(const struct __user_cap_data_struct kept[2])
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};

	return (int)syscall(SYS_capset, &header, kept);
}

/* --- read by BPF ---------------------------------------------------------------------------------------------------------- */

/* To load the programs takes longer than all the rest of a population, so each slot has them once, and its observers take
 * turns. Nothing of a look is kept by them until the next one: a fresh observer is one with a host of its own. */
static struct pw_backend *walks[OBSERVER_SLOTS], *walk;

int observers_read_by_bpf(unsigned slots)
{
	struct pw_error err;

	for (unsigned i = 0; i < slots; i++) {
		walks[i] = pw_walk_backend(&err);
		if (walks[i] == NULL)
			return fprintf(stderr, "oracle: %s\n", err.text), -1;
	}
	return 0;
}

void observers_set_slot(unsigned slot)
{
	walk = walks[slot];
}

bool observers_read(void)
{
	return walk != NULL;
}

static void take_by_walk(struct pw_backend *backend, struct pw_namespace *const *wanted, size_t n)
{
	(void)backend;
	walk->take(walk, wanted, n);
}

static void keep_walk(struct pw_backend *backend)
{
	(void)backend;
}

static void use_walk(struct observer *o)
{
	static struct pw_backend shared = {.name = "bpf", .take = take_by_walk, .free = keep_walk};

	o->host->backend->free(o->host->backend);
	o->host->backend = &shared;
}

static void begin(struct observer *o)
{
	const bool reads = o->probe && observers_read();
	const struct pw_host_options options = {.probe = o->probe && !reads};
	const struct pw_namespace *ns;

	o->host = pw_host_new();
	ns = o->host != NULL ? pw_host_add(o->host, PW_OWN_INDEX, "", NULL) : NULL;
	if (ns == NULL)
		return;
	o->host->options = options;
	if (reads)
		use_walk(o);
	o->census = ns->census;
}

static void end(struct observer *o)
{
	pw_host_free(o->host);
	o->host = NULL;
	o->census = NULL;
}

void observers_begin(struct observer observers[OBSERVERS])
{
	static const struct observer all[OBSERVERS] = {
		[PROBED_WATCHING] = {.name = "probed, watching", .probe = true},
		[PROBED_FRESH] = {.name = "probed, fresh", .probe = true, .fresh = true},
		[INFERRED_WATCHING] = {.name = "inferred, watching"},
		[INFERRED_FRESH] = {.name = "inferred, fresh", .fresh = true},
	};

	for (int i = 0; i < OBSERVERS; i++) {
		observers[i] = all[i];
		if (all[i].probe && observers_read())
			observers[i].name = all[i].fresh ? "read, fresh" : "read, watching";
		begin(&observers[i]);
	}
}

void observers_end(struct observer observers[OBSERVERS])
{
	for (int i = 0; i < OBSERVERS; i++)
		end(&observers[i]);
}

static int poll_once(struct observer *o, FILE *log)
{
	if (o->census == NULL)
		return fprintf(log, "%s: out of memory\n", o->name), -1;
	o->window.from_us = space_now_us();
	if (pw_host_poll(o->host) < 0 || o->host->polls[0].status != PW_POLL_COUNTED ||
		o->host->namespaces[0]->udp_failed)
		return fprintf(log, "%s: %s\n", o->name, o->host->namespaces[0]->err.text), -1;
	o->window.to_us = space_now_us();
	return 0;
}

static bool is_known(const struct pw_census_totals *totals)
{
	return totals->basis == (observers_read() ? PW_BASIS_READ : PW_BASIS_PROBED);
}

static int poll_until_known(struct observer *o, FILE *log)
{
	const struct pw_census_totals *totals = pw_census_totals(o->census);
	const char *reason; /* why a kernel cannot be asked: its answers are judged as they are */
	const bool asks = o->probe && (observers_read() || pw_probe_available(&reason));
	unsigned polls;

	if (poll_once(o, log) < 0)
		return -1;
	polls = totals->ambiguous / PROBES_A_POLL + 8; /* a probe can be unanswered now and then */
	while (asks && !is_known(totals) && polls-- > 0)
		if (poll_once(o, log) < 0)
			return -1;
	if (!asks || is_known(totals))
		return 0;
	fprintf(log, "%s: %u ports stay in doubt\n", o->name, totals->ambiguous);
	return -1;
}

int observer_poll(struct observer *o, FILE *log)
{
	struct __user_cap_data_struct kept[2];
	int status;

	if (o->fresh) {
		end(o);
		begin(o);
	}
	if (take_away(o, kept) < 0)
		return -1;
	status = poll_until_known(o, log);
	return give_back(kept) < 0 ? -1 : status;
}

int observers_watch(struct observer observers[OBSERVERS], FILE *log)
{
	for (int i = 0; i < OBSERVERS; i++)
		if (!observers[i].fresh && observer_poll(&observers[i], log) < 0)
			return -1;
	return 0;
}

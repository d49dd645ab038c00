/* SPDX-License-Identifier: BSD-2-Clause */
/* Fuzzes the reader of the configuration file: no crash, no leak, and the promises of config.h hold. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "config/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct log {
	unsigned lines; /* of the input */
	size_t reports;
};

static void require(int truth, const char *what)
{
	if (truth)
		return;
	fprintf(stderr, "broken promise: %s\n", what);
	abort();
}

static void count_report(const char *file, unsigned line, const char *message, void *context)
{
	struct log *log = context;

	require(file != NULL && message[0] != '\0', "a report has a text");
	require(line <= log->lines, "its line is one of the file");
	log->reports++;
}

static void check_thresholds(const struct pw_thresholds *t)
{
	require(t->warning.rise == 0 || t->warning.fall < t->warning.rise, "warning falls below its rise");
	require(t->critical.rise == 0 || t->critical.fall < t->critical.rise, "critical falls below its rise");
	require(t->critical.rise == 0 || t->warning.rise < t->critical.rise, "warning is below critical");
	require(t->warning.rise <= 100 && t->critical.rise <= 100 && t->exhausted_fall <= 99, "percents are percents");
	require(t->for_polls >= 1, "a condition holds for one poll at least");
}

static void check_config(const struct pw_config *c)
{
	require(c->poll_interval_ms == 0 || c->poll_interval_ms >= 10, "polls have an interval");
	require(c->idle_interval_ms == 0 || c->idle_interval_ms >= c->poll_interval_ms,
		"idle polls are the rarer ones");
	require(c->policy.min_used >= 1 && c->agentx.socket[0] != '\0', "there are values");
	check_thresholds(&c->policy.defaults);
	for (size_t i = 0; i < c->policy.n_rules; i++) {
		check_thresholds(&c->policy.rules[i].thresholds);
		require(c->policy.rules[i].label != NULL && strlen(c->policy.rules[i].label) < 64,
			"labels fit into events");
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct log log = {.lines = 1};
	struct pw_config *config;
	char path[32];
	int fd = memfd_create("config", MFD_CLOEXEC);

	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	for (size_t i = 0; i < size; i++)
		log.lines += data[i] == '\n';
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	config = pw_config_read(path, count_report, &log);
	require((config == NULL) == (log.reports > 0), "NULL comes with a report, a configuration without");
	if (config != NULL)
		check_config(config);
	pw_config_free(config);
	close(fd);
	return 0;
}

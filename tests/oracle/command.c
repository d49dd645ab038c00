/* SPDX-License-Identifier: BSD-2-Clause */
#include "command.h"

#include <net/if.h>
#include <stdlib.h>
#include <string.h>

#include "observer.h"

/* All that the command writes, with a final NUL; NULL when it failed. The caller frees it. */
static char *run(const char *path)
{
	char command[512], *text = NULL, buffer[4096];
	size_t len = 0, n;
	FILE *out, *memory = open_memstream(&text, &len);

	snprintf(command, sizeof(command), "'%s' --json --all%s", path, observers_read() ? " --backend=bpf" : "");
	out = popen(command, "re");
	while (out != NULL && (n = fread(buffer, 1, sizeof(buffer), out)) > 0)
		fwrite(buffer, 1, n, memory);
	fclose(memory);
	if (out != NULL && pclose(out) == 0)
		return text;
	free(text);
	return NULL;
}

static int number(const char *row, const char *end, const char *name, uint32_t *out)
{
	char key[32];
	const char *at;

	snprintf(key, sizeof(key), "\"%s\":", name);
	at = strstr(row, key);
	if (at == NULL || at > end)
		return -1;
	*out = (uint32_t)strtoul(at + strlen(key), NULL, 10);
	return 0;
}

/* The numbers of the row that begins here. */
static int read_row(const char *row, struct pw_pool_counts *out)
{
	const struct {
		const char *name;
		uint32_t *value;
	} fields[] = {{"capacity", &out->capacity}, {"used", &out->used}, {"timeWait", &out->time_wait},
		{"blocked", &out->blocked}, {"reusable", &out->reusable}, {"free", &out->free},
		{"fastFree", &out->fast_free}, {"utilization", &out->utilization}};
	const char *end = strchr(row, '}');

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		if (end == NULL || number(row, end, fields[i].name, fields[i].value) < 0)
			return -1;
	return 1;
}

int command_ask(const char *path, const struct pw_pool_key *key, struct pw_pool_counts *out, FILE *log)
{
	char name[PW_POOL_NAME_MAX], wanted[PW_POOL_NAME_MAX + 16], zone[IF_NAMESIZE] = "";
	char *text = run(path);
	const char *row;
	int status = 0;

	*out = (struct pw_pool_counts){0};
	if (text == NULL)
		return fprintf(log, "%s failed\n", path), -1;
	if (key->local.zone != 0)
		if_indextoname(key->local.zone, zone);
	snprintf(wanted, sizeof(wanted), "\"name\":\"%s\",", pw_pool_name(key, zone, NULL, name));
	row = strstr(text, wanted);
	if (row != NULL)
		status = read_row(row, out);
	else if (strstr(text, "\"pools\":[") == NULL)
		status = -1;
	if (status < 0)
		fprintf(log, "%s wrote: %s\n", path, text);
	free(text);
	return status;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* The texts of settings and of sockstat. Input: one byte that chooses the parser, then the text. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/sockstat.h"
#include "kernel/sysctl.h"

static void must(int condition)
{
	if (!condition)
		abort();
}

static void check_range(const char *text)
{
	uint16_t low, high;

	if (pw_sysctl_parse_range(text, &low, &high) == 0)
		must(low >= 1 && low <= high);
}

/* A set that is printed as the kernel would and parsed again is the same. */
static void check_ports(const char *text)
{
	static char printed[65536 * 6 + 1];
	struct pw_portset ports, again;
	char *p = printed;

	if (pw_sysctl_parse_ports(text, &ports) < 0)
		return;
	printed[0] = '\0';
	for (unsigned port = 0; port < 65536; port++)
		if (pw_portset_has(&ports, (uint16_t)port))
			p += sprintf(p, "%s%u", p > printed ? "," : "", port);
	must(pw_sysctl_parse_ports(printed, &again) == 0);
	must(memcmp(&ports, &again, sizeof(ports)) == 0);
}

static void check_number(const char *text)
{
	uint32_t number;

	if (pw_sysctl_parse_number(text, 1000, &number) == 0)
		must(number <= 1000);
}

static void check_sockstat(const char *text)
{
	const char *second = strstr(text, "\n\n");
	struct pw_sockstat out;

	if (pw_sockstat_parse(text, second, &out) == 0)
		must(out.tcp_ports_max >= out.tcp && out.tcp_ports_max >= out.tcp_time_wait);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const checks[])(const char *) = {check_range, check_ports, check_number, check_sockstat};
	char *text;

	if (size == 0)
		return 0;
	text = malloc(size); /* of the exact size: reading beyond the text shows */
	memcpy(text, data + 1, size - 1);
	text[size - 1] = '\0';
	checks[data[0] % 4](text);
	free(text);
	return 0;
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernel/sockstat.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static uint32_t add_sat(uint32_t a, uint32_t b)
{
	return a > UINT32_MAX - b ? UINT32_MAX : a + b;
}

static uint32_t sub_sat(uint32_t a, uint32_t b)
{
	return a > b ? a - b : 0;
}

/* The start of the line that begins with `section`, or NULL. */
static const char *find_line(const char *text, const char *section)
{
	size_t len = strlen(section);

	while (strncmp(text, section, len) != 0) {
		text = strchr(text, '\n');
		if (text == NULL)
			return NULL;
		text++;
	}
	return text + len;
}

/* A decimal number, saturated. The counts are summed over CPUs without a lock: one that prints as negative is 0. */
static int parse_count(const char *p, uint32_t *count)
{
	bool negative = *p == '-';
	uint64_t value = 0;

	p += negative;
	if (*p < '0' || *p > '9')
		return -1;
	for (; *p >= '0' && *p <= '9'; p++) {
		value = value * 10 + (uint64_t)(*p - '0');
		if (value > UINT32_MAX)
			value = UINT32_MAX;
	}
	*count = negative ? 0 : (uint32_t)value;
	return 0;
}

/* The number behind the word " name " of the section's line. */
static int find_count(const char *text, const char *section, const char *name, uint32_t *count)
{
	const char *p = find_line(text, section);
	size_t len = strlen(name);

	while (p != NULL && *p == ' ') {
		p++;
		if (strncmp(p, name, len) == 0 && p[len] == ' ')
			return parse_count(p + len + 1, count);
		p += strcspn(p, " \n");
	}
	return -1;
}

int pw_sockstat_parse(const char *sockstat, const char *sockstat6, struct pw_sockstat *out)
{
	uint32_t tcp, tcp6 = 0, udp, udp6 = 0;

	if (find_count(sockstat, "sockets:", "used", &out->used) < 0 ||
		find_count(sockstat, "TCP:", "inuse", &tcp) < 0 ||
		find_count(sockstat, "TCP:", "tw", &out->tcp_time_wait) < 0 ||
		find_count(sockstat, "UDP:", "inuse", &udp) < 0)
		return -1;
	if (sockstat6 != NULL &&
		(find_count(sockstat6, "TCP6:", "inuse", &tcp6) < 0 ||
			find_count(sockstat6, "UDP6:", "inuse", &udp6) < 0))
		return -1;
	out->tcp = add_sat(tcp, tcp6);
	out->udp = add_sat(udp, udp6);
	/* bound-only sockets are in no count but `used`; orphans are counted as inuse without being used */
	out->tcp_ports_max = add_sat(
		add_sat(out->tcp, out->tcp_time_wait), sub_sat(sub_sat(out->used, out->tcp), out->udp));
	return 0;
}

enum pw_read_status pw_sockstat_read(struct pw_input *input, struct pw_sockstat *out, struct pw_error *err)
{
	char text[4096], text6[4096];
	ssize_t n, n6;

	n = pw_input_text(input, PW_STREAM_SOCKSTAT, text, sizeof(text));
	if (n < 0) {
		pw_error_set(err, "/proc/net/sockstat: %s", strerror((int)-n));
		return PW_READ_FAILED;
	}
	n6 = pw_input_text(input, PW_STREAM_SOCKSTAT6, text6, sizeof(text6));
	if (n6 < 0 && n6 != -ENOENT) {
		pw_error_set(err, "/proc/net/sockstat6: %s", strerror((int)-n6));
		return PW_READ_FAILED;
	}
	if (pw_sockstat_parse(text, n6 < 0 ? NULL : text6, out) < 0) {
		pw_error_set(err, "/proc/net/sockstat: not understood: '%.60s'", text);
		return PW_READ_FAILED;
	}
	return PW_READ_OK;
}

/* The number in the third column of a line: name, size of a socket, sockets. The name holds no spaces. */
static int protocol_sockets(const char *line, int64_t *sockets)
{
	long value;

	if (sscanf(line, "%*s %*d %ld", &value) != 1)
		return -1;
	*sockets = value;
	return 0;
}

int pw_protocols_parse(const char *text, int64_t *sockets)
{
	const char *line = strchr(text, '\n'); /* behind the heading */
	int64_t value;

	*sockets = 0;
	for (; line != NULL && line[1] != '\0'; line = strchr(line + 1, '\n')) {
		if (protocol_sockets(line + 1, &value) < 0)
			return -1;
		*sockets += value;
	}
	return line != NULL ? 0 : -1;
}

int pw_sockstat_uncounted(struct pw_input *input, const struct pw_sockstat *counts, int64_t *uncounted)
{
	char text[16384];
	int64_t counted;

	if (pw_input_text(input, PW_STREAM_PROTOCOLS, text, sizeof(text)) < 0 || pw_protocols_parse(text, &counted) < 0)
		return -1;
	*uncounted = (int64_t)counts->used - counted;
	return 0;
}

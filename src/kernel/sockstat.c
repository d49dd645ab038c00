/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernel/sockstat.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/number.h"

static uint32_t add_sat(uint32_t a, uint32_t b)
{
	return a > UINT32_MAX - b ? UINT32_MAX : a + b;
}

static uint32_t sub_sat(uint32_t a, uint32_t b)
{
	return a > b ? a - b : 0;
}

/* The number behind the word " name " of the line that begins with `section`, saturated. The counts are summed over
 * CPUs without a lock: one that prints as negative is 0. */
static int find_count(const char *text, const char *section, const char *name, uint32_t *count)
{
	const size_t section_len = strlen(section), len = strlen(name);
	uint64_t value = UINT32_MAX; /* stays when the number is larger */
	bool negative;

	while (strncmp(text, section, section_len) != 0) {
		text = strchr(text, '\n');
		if (text == NULL)
			return -1;
		text++;
	}
	for (text += section_len; *text == ' '; text += strcspn(text, " \n")) {
		text++;
		if (strncmp(text, name, len) != 0 || text[len] != ' ')
			continue;
		text += len + 1;
		negative = *text == '-';
		text += negative;
		if (!pw_is_digit(*text))
			return -1;
		pw_number_take(&text, UINT32_MAX, &value);
		*count = negative ? 0 : (uint32_t)value;
		return 0;
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

int pw_protocols_parse(const char *text, int64_t *sockets)
{
	const char *line = strchr(text, '\n'); /* behind the heading */
	long value;

	*sockets = 0;
	/* the third column: name, size of a socket, sockets; the name holds no spaces */
	for (; line != NULL && line[1] != '\0'; line = strchr(line + 1, '\n')) {
		if (sscanf(line + 1, "%*s %*d %ld", &value) != 1)
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

/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernel/sysctl.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/number.h"

/* Enough for all but long lists of reserved ports. The kernel allocates as much as is asked for, at every read. */
#define TEXT_SIZE 4096
/* The longest list there can be, every other port: 27768 of 5 digits, 5000 shorter ones, and the commas. */
#define TEXT_SIZE_MAX ((size_t)256 * 1024)

static const char *skip_blanks(const char *p)
{
	while (*p == ' ' || *p == '\t')
		p++;
	return p;
}

/* Nothing but blanks and one newline. */
static bool at_end(const char *p)
{
	p = skip_blanks(p);
	if (*p == '\n')
		p++;
	return *p == '\0';
}

int pw_sysctl_parse_range(const char *text, uint16_t *low, uint16_t *high)
{
	const char *p = skip_blanks(text);
	uint64_t first, last;

	if (!pw_number_take(&p, 65535, &first) || (*p != '\t' && *p != ' '))
		return -1;
	p = skip_blanks(p);
	if (!pw_number_take(&p, 65535, &last) || !at_end(p) || first == 0 || first > last)
		return -1;
	*low = (uint16_t)first;
	*high = (uint16_t)last;
	return 0;
}

int pw_sysctl_parse_ports(const char *text, struct pw_portset *ports)
{
	const char *p = skip_blanks(text);
	uint64_t first, last;

	pw_portset_clear(ports);
	if (at_end(p))
		return 0;
	do {
		if (!pw_number_range_take(&p, 65535, &first, &last))
			return -1;
		pw_portset_add_range(ports, (uint16_t)first, (uint16_t)last);
	} while (*p++ == ',');
	return at_end(p - 1) ? 0 : -1;
}

int pw_sysctl_parse_number(const char *text, uint32_t max, uint32_t *number)
{
	const char *p = skip_blanks(text);
	uint64_t value;

	if (!pw_number_take(&p, max, &value) || !at_end(p))
		return -1;
	*number = (uint32_t)value;
	return 0;
}

static int refuse(struct pw_error *err, enum pw_stream stream, const char *text)
{
	return pw_error_set(err, "net.ipv4.%s: not understood: '%.40s'", pw_input_setting(stream), text);
}

static int read_failed(struct pw_error *err, enum pw_stream stream, ssize_t rc)
{
	return pw_error_set(err, "net.ipv4.%s: %s", pw_input_setting(stream), strerror((int)-rc));
}

static int read_number(struct pw_input *input, enum pw_stream stream, uint32_t max, uint32_t absent, uint32_t *number,
	struct pw_error *err)
{
	char text[64];
	ssize_t n = pw_input_text(input, stream, text, sizeof(text));

	*number = absent;
	if (n == -ENOENT)
		return 0;
	if (n < 0)
		return read_failed(err, stream, n);
	return pw_sysctl_parse_number(text, max, number) == 0 ? 0 : refuse(err, stream, text);
}

static int read_reserved(struct pw_input *input, struct pw_portset *ports, struct pw_error *err)
{
	char small[TEXT_SIZE], *large = NULL, *text = small;
	ssize_t n = pw_input_text(input, PW_STREAM_RESERVED, small, sizeof(small));
	int rc = 0;

	if (n == -ENOBUFS) {
		text = large = malloc(TEXT_SIZE_MAX);
		n = large != NULL ? pw_input_text(input, PW_STREAM_RESERVED, large, TEXT_SIZE_MAX) : -ENOMEM;
	}
	pw_portset_clear(ports);
	if (n < 0 && n != -ENOENT)
		rc = read_failed(err, PW_STREAM_RESERVED, n);
	else if (n >= 0 && pw_sysctl_parse_ports(text, ports) < 0)
		rc = refuse(err, PW_STREAM_RESERVED, text);
	free(large);
	return rc;
}

enum pw_read_status pw_sysctl_read(struct pw_input *input, struct pw_range *out, struct pw_error *err)
{
	char text[64];
	ssize_t n = pw_input_text(input, PW_STREAM_RANGE, text, sizeof(text));
	uint32_t reuse, timestamps;

	if (n < 0) {
		read_failed(err, PW_STREAM_RANGE, n);
		return n == -ENOENT ? PW_READ_GONE : PW_READ_FAILED;
	}
	if (pw_sysctl_parse_range(text, &out->low, &out->high) < 0) {
		refuse(err, PW_STREAM_RANGE, text);
		return PW_READ_FAILED;
	}
	/* What is fixed where a setting is missing: no port can be reserved, TIME_WAIT is not reused (the default
	 * before tcp_tw_reuse knew loopback), not before a second (tcp_twsk_unique()), and timestamps are in use. */
	if (read_reserved(input, &out->reserved, err) < 0 ||
		read_number(input, PW_STREAM_TW_REUSE, PW_TW_REUSE_LOOPBACK, PW_TW_REUSE_OFF, &reuse, err) < 0 ||
		read_number(input, PW_STREAM_TW_REUSE_DELAY, INT_MAX, 1000, &out->tw_reuse_delay_ms, err) < 0 ||
		read_number(input, PW_STREAM_TIMESTAMPS, 2, 1, &timestamps, err) < 0)
		return PW_READ_FAILED;
	out->tw_reuse = (enum pw_tw_reuse)reuse;
	out->timestamps = timestamps != 0;
	return PW_READ_OK;
}

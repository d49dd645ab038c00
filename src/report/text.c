/* SPDX-License-Identifier: BSD-2-Clause */
#include <config.h>

#include "report/text.h"

#include <string.h>
#include <wchar.h>

#include "base/utf8.h"
#include "count/pool.h"

char *pw_text_safe(const char *text, bool unicode, char *buf, size_t size)
{
	size_t out = 0;

	while (*text != '\0' && out + 1 < size) {
		size_t len = pw_utf8_length(text);

		if (len == 0 || pw_utf8_is_control(text, len) || (len > 1 && !unicode)) {
			buf[out++] = '?';
			text += len != 0 ? len : 1;
			continue;
		}
		if (out + len >= size)
			break;
		memcpy(buf + out, text, len);
		out += len;
		text += len;
	}
	buf[out] = '\0';
	return buf;
}

/* Columns of the character at text, whose bytes are written to *len; what the locale can't decode counts as one. */
static size_t char_width(const char *text, size_t *len)
{
	mbstate_t state = {0};
	wchar_t wide;
	size_t bytes = mbrtowc(&wide, text, strlen(text), &state);
	int columns;

	if (bytes == 0 || bytes > 4) {
		*len = 1;
		return 1;
	}
	*len = bytes;
	columns = wcwidth(wide);
	return columns < 0 ? 1 : (size_t)columns;
}

size_t pw_text_width(const char *text)
{
	size_t width = 0, len;

	for (; *text != '\0'; text += len)
		width += char_width(text, &len);
	return width;
}

void pw_text_wrap(FILE *out, const char *text, unsigned width, const char *first, const char *rest)
{
	const char *lead = first;

	do {
		const size_t indent = pw_text_width(lead), room = width > indent ? width - indent : 1;
		size_t fits = width == 0 ? strlen(text) : 0, columns = 0, len, cut;

		/* at least one character */
		while (text[fits] != '\0') {
			columns += char_width(text + fits, &len);
			if (columns > room && fits > 0)
				break;
			fits += len;
		}
		/* up to the last blank that fits, or as much as fits */
		cut = fits;
		while (text[fits] != '\0' && cut > 0 && text[cut] != ' ')
			cut--;
		len = cut > 0 ? cut : fits;
		fprintf(out, "%s%.*s\n", lead, (int)len, text);
		text += len;
		text += strspn(text, " ");
		lead = rest;
	} while (*text != '\0');
}

char *pw_text_sparkline(const uint16_t *percents, size_t n, unsigned width, bool blocks, char *buf, size_t size)
{
	static const char *const bars[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
	size_t len = 0;

	for (unsigned i = width; i > 0 && len + 4 < size; i--) {
		unsigned level = i > n ? 0 : percents[n - i] < 100 ? percents[n - i] * 7u / 100 : 7;

		if (i > n)
			buf[len++] = ' ';
		else if (!blocks)
			buf[len++] = "_.:-=+*#"[level];
		else
			len += (size_t)snprintf(buf + len, size - len, "%s", bars[level]);
	}
	buf[len] = '\0';
	return buf;
}

char *pw_text_duration(uint32_t seconds, char buf[PW_TEXT_SHORT_MAX])
{
	if (seconds == PW_NOT_IN_SIGHT)
		snprintf(buf, PW_TEXT_SHORT_MAX, "-");
	else if (seconds < 60)
		snprintf(buf, PW_TEXT_SHORT_MAX, "%us", seconds);
	else if (seconds < 3600)
		snprintf(buf, PW_TEXT_SHORT_MAX, "%um", seconds / 60);
	else if (seconds < 48 * 3600)
		snprintf(buf, PW_TEXT_SHORT_MAX, "%uh", seconds / 3600);
	else if (seconds < 1000u * 86400)
		snprintf(buf, PW_TEXT_SHORT_MAX, "%ud", seconds / 86400);
	else
		snprintf(buf, PW_TEXT_SHORT_MAX, ">2y");
	return buf;
}

char *pw_text_age(uint64_t ms, char buf[PW_TEXT_SHORT_MAX])
{
	if (ms >= 120000)
		return pw_text_duration(ms / 1000 < UINT32_MAX ? (uint32_t)(ms / 1000) : UINT32_MAX - 1, buf);
	snprintf(buf, PW_TEXT_SHORT_MAX, ms < 10000 ? "%.1f s" : "%.0f s", (double)ms / 1000);
	return buf;
}

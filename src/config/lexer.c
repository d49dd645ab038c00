/* SPDX-License-Identifier: BSD-2-Clause */
#include "config/lexer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- the text ------------------------------------------------------------------------------------------------- */

/* Reads to the end of the file or one byte more than allowed. Returns the number of bytes, or -1 with errno. */
static ssize_t read_all(int fd, char *buf, size_t size)
{
	size_t have = 0;

	while (have < size) {
		ssize_t n = read(fd, buf + have, size - have);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		if (n == 0)
			break;
		have += (size_t)n;
	}
	return (ssize_t)have;
}

/* Opens without waiting for a writer, should the path be a FIFO. Returns a descriptor, or -1 after a mistake. */
static int open_file(const char *path, struct pw_mistakes *mistakes)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd < 0 || fstat(fd, &st) < 0)
		pw_mistake_add(mistakes, 0, "can't be read: %s", strerror(errno));
	else if (S_ISDIR(st.st_mode))
		pw_mistake_add(mistakes, 0, "is a directory, expected a file");
	else if (!S_ISREG(st.st_mode) && !S_ISCHR(st.st_mode))
		pw_mistake_add(mistakes, 0, "is a pipe, socket or block device, expected a file");
	else
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

/* The length of the UTF-8 sequence at p (Unicode 15, table 3-7: nothing overlong, no surrogates), 0 when it is none. */
static unsigned utf8_length(const unsigned char *p)
{
	unsigned n = p[0] < 0x80 ? 1 : p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : p[0] < 0xf5 ? 4 : 0;

	for (unsigned i = 1; i < n; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) || (p[0] == 0xf0 && p[1] < 0x90) ||
		(p[0] == 0xf4 && p[1] > 0x8f))
		return 0;
	return n;
}

static bool is_text(unsigned char c)
{
	return (c >= 0x20 && c != 0x7f) || c == '\t' || c == '\n' || c == '\r';
}

/* The bytes must be text before anything looks for a meaning in them. The buffer ends with a NUL at `size`. */
static bool check_bytes(const char *text, size_t size, struct pw_mistakes *mistakes)
{
	const unsigned char *p = (const unsigned char *)text, *end = p + size;
	unsigned line = 1;

	while (p < end) {
		unsigned n = is_text(*p) ? utf8_length(p) : 0;

		if (n == 0) {
			pw_mistake_add(mistakes, line,
				"byte 0x%02x is not text, expected UTF-8 without control characters", *p);
			return false;
		}
		line += *p == '\n';
		p += n;
	}
	return true;
}

char *pw_config_text(const char *path, struct pw_mistakes *mistakes)
{
	char *text = malloc(PW_CONFIG_FILE_MAX + 2), *shrunk;
	int fd = text != NULL ? open_file(path, mistakes) : -1;
	ssize_t size;

	if (text == NULL)
		pw_mistake_add(mistakes, 0, "out of memory");
	if (fd < 0)
		goto fail;
	size = read_all(fd, text, PW_CONFIG_FILE_MAX + 1);
	if (size < 0)
		pw_mistake_add(mistakes, 0, "can't be read: %s", strerror(errno));
	else if (size > PW_CONFIG_FILE_MAX)
		pw_mistake_add(mistakes, 0, "is too large, expected at most %d bytes", PW_CONFIG_FILE_MAX);
	close(fd);
	if (size < 0 || size > PW_CONFIG_FILE_MAX)
		goto fail;
	text[size] = '\0';
	if (!check_bytes(text, (size_t)size, mistakes))
		goto fail;
	shrunk = realloc(text, (size_t)size + 1);
	return shrunk != NULL ? shrunk : text;
fail:
	free(text);
	return NULL;
}

/* --- the tokens ----------------------------------------------------------------------------------------------- */

struct lexer {
	const char *p;
	unsigned line;
	struct pw_mistakes *mistakes;
};

static void skip_line(struct lexer *lx)
{
	lx->p += strcspn(lx->p, "\n");
}

static void skip_comment(struct lexer *lx)
{
	unsigned start = lx->line;
	const char *end = strstr(lx->p + 2, "*/");

	if (end == NULL) {
		pw_mistake_add(lx->mistakes, start, "comment is not closed, expected \"*/\"");
		end = lx->p + strlen(lx->p);
	}
	for (; lx->p < end; lx->p++)
		lx->line += *lx->p == '\n';
	if (*end != '\0')
		lx->p += 2;
}

/* Blanks and comments. */
static void skip_space(struct lexer *lx)
{
	for (;;) {
		if (*lx->p == '#' || (lx->p[0] == '/' && lx->p[1] == '/'))
			skip_line(lx);
		else if (lx->p[0] == '/' && lx->p[1] == '*')
			skip_comment(lx);
		else if (*lx->p == ' ' || *lx->p == '\t' || *lx->p == '\r')
			lx->p++;
		else if (*lx->p == '\n')
			lx->p++, lx->line++;
		else
			return;
	}
}

/* The two bytes at a backslash or dollar sign inside double quotes. libconfuse knows all escapes of C, even \0, and replaces
 * ${NAME} by a variable of whatever environment it runs in: neither has a place in a daemon's file. */
static bool check_escape(struct lexer *lx, const char *p)
{
	if (p[0] == '$' && p[1] == '{') {
		pw_mistake_add(lx->mistakes, lx->line,
			"\"${\" in a string: environment variables are not used here, "
			"expected the value itself (or \"\\${\" for these two characters)");
		return false;
	}
	if (p[0] == '\\' && (p[1] == '\0' || strchr("\\\"'$", p[1]) == NULL)) {
		pw_mistake_add(lx->mistakes, lx->line,
			"unknown escape in a string, "
			"expected one of \\\\ \\\" \\' \\$ after the backslash");
		return false;
	}
	return true;
}

/* A string ends on its line; whoever forgets a quote learns the right line. */
static void lex_string(struct lexer *lx, struct pw_token *t)
{
	char quote = *lx->p;
	const char *p = lx->p + 1;

	while (*p != quote && *p != '\n' && *p != '\0') {
		bool escape = quote == '"' ? *p == '\\' || *p == '$' : p[0] == '\\' && (p[1] == '\\' || p[1] == '\'');

		if (escape && quote == '"' && !t->bad)
			t->bad = !check_escape(lx, p);
		p += escape && *p == '\\' && p[1] != '\n' && p[1] != '\0' ? 2 : 1;
	}
	if (*p != quote) {
		pw_mistake_add(lx->mistakes, t->line, "string is not closed, expected %c on the same line", quote);
		t->bad = true;
	} else {
		p++;
	}
	t->kind = PW_TOKEN_STRING;
	lx->p = p;
}

static void lex_word(struct lexer *lx, struct pw_token *t)
{
	size_t n = strcspn(lx->p, " \t\r\n#\"'={}()+,*");

	t->kind = n > 0 ? PW_TOKEN_WORD : PW_TOKEN_STRAY;
	lx->p += n > 0 ? n : 1;
}

static void lex_symbol(struct lexer *lx, struct pw_token *t)
{
	static const struct {
		const char *text;
		enum pw_token_kind kind;
	} symbols[] = {
		{"{", PW_TOKEN_OPEN},
		{"}", PW_TOKEN_CLOSE},
		{"=", PW_TOKEN_EQUALS},
		{"+=", PW_TOKEN_APPEND},
		{",", PW_TOKEN_COMMA},
	};

	for (size_t i = 0; i < sizeof(symbols) / sizeof(symbols[0]); i++) {
		size_t n = strlen(symbols[i].text);

		if (strncmp(lx->p, symbols[i].text, n) == 0) {
			t->kind = symbols[i].kind;
			lx->p += n;
			return;
		}
	}
	lex_word(lx, t);
}

static struct pw_token next_token(struct lexer *lx)
{
	struct pw_token t = {.kind = PW_TOKEN_END};

	skip_space(lx);
	t.line = lx->line;
	t.text = lx->p;
	if (*lx->p == '\0')
		return t;
	if (*lx->p == '"' || *lx->p == '\'')
		lex_string(lx, &t);
	else
		lex_symbol(lx, &t);
	t.length = (unsigned)(lx->p - t.text);
	return t;
}

struct pw_token *pw_config_tokens(const char *text, struct pw_mistakes *mistakes)
{
	static const char bom[] = "\xef\xbb\xbf";
	struct lexer lx = {.p = text, .line = 1, .mistakes = mistakes};
	struct pw_token *tokens = NULL;
	size_t n = 0, max = 0;

	if (strncmp(text, bom, sizeof(bom) - 1) == 0)
		lx.p += sizeof(bom) - 1;
	do {
		if (n == max) {
			struct pw_token *more = reallocarray(tokens, max += max / 2 + 256, sizeof(*tokens));

			if (more == NULL) {
				free(tokens);
				return NULL;
			}
			tokens = more;
		}
		tokens[n] = next_token(&lx);
	} while (tokens[n++].kind != PW_TOKEN_END);
	return tokens;
}

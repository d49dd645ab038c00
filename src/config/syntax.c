/* SPDX-License-Identifier: BSD-2-Clause */
#include "config/settings.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/utf8.h"

bool pw_config_error(struct pw_reader *r, unsigned line, const char *format, ...)
{
	char text[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (++r->errors <= PW_CONFIG_ERRORS_MAX)
		r->report(r->file, line, text, r->context);
	if (r->errors == PW_CONFIG_ERRORS_MAX + 1)
		r->report(r->file, 0, "more mistakes are not shown", r->context);
	return false;
}

/* Reads the file into a buffer of PW_CONFIG_FILE_MAX + 2 bytes, ends it with a NUL, and makes sure that it is text
 * before anything looks for a meaning in it. Returns false after an error. */
static bool read_text(struct pw_reader *r, char *text)
{
	/* without waiting for a writer, should the path be a FIFO */
	int fd = open(r->file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	ssize_t size = 0, n = -1;
	unsigned line = 1;
	struct stat st;

	if (fd >= 0 && fstat(fd, &st) == 0) {
		if (!S_ISREG(st.st_mode) && !S_ISCHR(st.st_mode))
			pw_config_error(r, 0, "is a %s, expected a file",
				S_ISDIR(st.st_mode) ? "directory" : "pipe, socket or block device");
		else
			do {
				n = TEMP_FAILURE_RETRY(read(fd, text + size, (size_t)(PW_CONFIG_FILE_MAX + 1 - size)));
				size += n > 0 ? n : 0;
			} while (n > 0 && size <= PW_CONFIG_FILE_MAX);
	}
	if (n < 0 && r->errors == 0)
		pw_config_error(r, 0, "can't be read: %s", strerror(errno));
	if (fd >= 0)
		close(fd);
	if (size > PW_CONFIG_FILE_MAX)
		pw_config_error(r, 0, "is too large, expected at most %d bytes", PW_CONFIG_FILE_MAX);
	text[size] = '\0';
	for (const char *p = text; r->errors == 0 && p < text + size; p += n) {
		n = (ssize_t)pw_utf8_length(p);
		if (n == 0 || (n == 1 && pw_utf8_is_control(p, 1) && strchr("\t\r\n", *p) == NULL))
			pw_config_error(r, line, "byte 0x%02x is not text, expected UTF-8 without control characters",
				(unsigned char)*p);
		line += *p == '\n';
	}
	return r->errors == 0;
}

/* --- tokens --- */

/* kind: one of { } = , or + (for +=), n(ame that one of = += follows), w(ord), s(tring), ? (a character without a
 * meaning), and 0 at the end. */
struct token {
	char kind;
	unsigned line;    /* where it starts, from 1 */
	size_t length;    /* bytes */
	const char *text; /* into the file's text, a string with its quotes */
};

struct parser {
	const char *p; /* behind the token at hand */
	unsigned line;
	struct token t;
	struct pw_reader *reader;
};

static void skip_blanks_and_comments(struct parser *p)
{
	for (;; p->line += *p->p++ == '\n') {
		if (p->p[0] == '#' || (p->p[0] == '/' && p->p[1] == '/')) {
			p->p += strcspn(p->p, "\n");
		} else if (p->p[0] == '/' && p->p[1] == '*') {
			const char *end = strstr(p->p + 2, "*/");

			if (end == NULL)
				pw_config_error(p->reader, p->line, "comment is not closed, expected \"*/\"");
			end = end != NULL ? end + 1 : p->p + strlen(p->p);
			for (; p->p < end; p->p++)
				p->line += *p->p == '\n';
		} else if (strchr(" \t\r\n", p->p[0]) == NULL) {
			return;
		}
		if (p->p[0] == '\0')
			return;
	}
}

/* The length of a string with its quotes. It ends on its line: whoever forgets a quote learns the right line. In
 * single quotes, only \\ and \' are escapes. Variables of whatever environment it runs in have no place in a daemon's
 * file. */
static size_t string_length(struct parser *p)
{
	const char quote = p->p[0], *at = p->p + 1;

	for (; p->reader->errors == 0 && *at != quote; at++) {
		if (*at == '\n' || *at == '\0')
			pw_config_error(
				p->reader, p->line, "string is not closed, expected %c on the same line", quote);
		else if (quote == '"' && at[0] == '$' && at[1] == '{')
			pw_config_error(p->reader, p->line,
				"\"${\" in a string: environment variables are not used here, "
				"expected the value itself (or \"\\${\" for these two characters)");
		else if (*at == '\\' && at[1] != '\0' && strchr(quote == '"' ? "\\\"'$" : "\\'", at[1]) != NULL)
			at++;
		else if (*at == '\\' && quote == '"')
			pw_config_error(p->reader, p->line,
				"unknown escape in a string, expected one of \\\\ \\\" \\' \\$ after the backslash");
	}
	return p->reader->errors == 0 ? (size_t)(at - p->p) + 1 : 1;
}

static void advance(struct parser *p)
{
	const char *text;

	skip_blanks_and_comments(p);
	text = p->p;
	p->t = (struct token){.kind = *text, .line = p->line, .length = *text != '\0', .text = text};
	if (*text == '"' || *text == '\'') {
		p->t.kind = 's';
		p->t.length = string_length(p);
	} else if (text[0] == '+' && text[1] == '=') {
		p->t.length = 2;
	} else if (*text != '\0' && strchr("{}=,", *text) == NULL) {
		p->t.length = strcspn(text, " \t\r\n#\"'={}()+,*");
		p->t.kind = p->t.length > 0 ? 'w' : '?';
		p->t.length += p->t.length == 0;
	}
	p->p += p->t.length;
	if (p->t.kind == 'w') {
		skip_blanks_and_comments(p);
		if (p->p[0] == '=' || (p->p[0] == '+' && p->p[1] == '='))
			p->t.kind = 'n';
	}
	if (p->reader->errors > 0) /* nothing is read after an error */
		p->t.kind = '\0';
}

/* --- the tree --- */

#define FAIL(p, line, ...) ((p)->reader->errors > 0 ? false : pw_config_error((p)->reader, (line), __VA_ARGS__))

/* The token at hand as a message shows it: "}", a word, or the start of a long string. */
#define SHOW(p) show(&(p)->t, (char[64]){0})
static const char *show(const struct token *t, char buf[64])
{
	if (t->kind == '\0')
		return "end of file";
	snprintf(buf, 64, t->kind == 's' ? "%.*s%s" : "\"%.*s%s\"", t->length > 40 ? 40 : (int)t->length, t->text,
		t->length > 40 ? "..." : "");
	return buf;
}

static bool at_value(const struct parser *p)
{
	return p->t.kind == 's' || p->t.kind == 'w';
}

const struct pw_node *pw_node_find(const struct pw_node *section, const char *name)
{
	const struct pw_node *node = section != NULL ? section->children : NULL;

	while (node != NULL && strcmp(node->setting->name, name) != 0)
		node = node->next;
	return node;
}

/* Adds the value at hand to a setting, without its quotes and escapes. */
static bool take_value(struct parser *p, struct pw_node *node)
{
	const bool string = p->t.kind == 's';
	const char *from = p->t.text + string, *end = p->t.text + p->t.length - string;
	char *to = pw_arena_alloc(&p->reader->tree, p->t.length + 1);
	struct pw_value *value = pw_arena_alloc(&p->reader->tree, sizeof(*value));

	if (value == NULL)
		return false;
	*value = (struct pw_value){.line = p->t.line, .text = to};
	while (from < end) {
		from += string && from[0] == '\\' && strchr(p->t.text[0] == '"' ? "\\\"'$" : "\\'", from[1]) != NULL;
		*to++ = *from++;
	}
	*(node->values == NULL ? &node->values : &node->last_value->next) = value;
	node->last_value = value;
	advance(p);
	return true;
}

/* "= value", "= { value, ... }", with += too. */
static bool parse_assignment(struct parser *p, struct pw_node *node, unsigned line)
{
	const char *name = node->setting->name;
	const bool list = node->setting->type != PW_VALUE;

	if (p->t.kind != '=' && p->t.kind != '+')
		return FAIL(p, line, "\"=\" is missing, expected %s = %s", name, list ? "{ VALUE, ... }" : "VALUE");
	if (p->t.kind == '+' && !list)
		return FAIL(p, p->t.line, "\"+=\" after \"%s\", expected \"=\": it is no list", name);
	advance(p);
	if (at_value(p))
		return take_value(p, node);
	if (p->t.kind != '{')
		return FAIL(p, line, "\"%s\" has no value, expected one after \"=\"", name);
	if (!list)
		return FAIL(p, p->t.line, "\"%s\" has a list, expected one value without braces", name);
	line = p->t.line;
	advance(p);
	while (at_value(p)) {
		if (!take_value(p, node))
			return false;
		if (p->t.kind == ',')
			advance(p);
		else if (at_value(p))
			return FAIL(
				p, p->t.line, "unexpected %s in a list, expected \",\" between its values", SHOW(p));
	}
	if (p->t.kind == '\0' || p->t.kind == 'n')
		return FAIL(p, line, "the list of \"%s\" is not closed, expected \"}\"", name);
	if (p->t.kind != '}')
		return FAIL(p, p->t.line, "unexpected %s in a list, expected values with \",\" between them, and \"}\"",
			SHOW(p));
	if (node->values == NULL && node->setting->type == PW_LIST)
		return FAIL(p, node->line,
			"the list of \"%s\" is empty, expected at least one value (without \"%s\" every one matches)",
			name, name);
	advance(p);
	return true;
}

static bool parse_section(struct parser *p, struct pw_node *section);

static bool parse_setting(struct parser *p, struct pw_node *section)
{
	const struct pw_setting *known = section->setting->inside,
				*setting = pw_setting_find(known, p->t.text, p->t.length);
	const unsigned line = p->t.line;
	char names[512] = "";
	struct pw_node **end = &section->children, *node = NULL;
	size_t n = 0;

	if (setting == NULL) {
		for (; known->name != NULL && n < sizeof(names); known++)
			n += (size_t)snprintf(names + n, sizeof(names) - n, "%s%s", n > 0 ? ", " : "", known->name);
		return FAIL(p, line, "unknown setting %s in %s, expected one of: %s", SHOW(p), section->setting->name,
			names);
	}
	advance(p);
	for (; *end != NULL; end = &(*end)->next) {
		if ((*end)->setting == setting && n++ == 0)
			node = *end;
	}
	if (pw_setting_repeats(setting) && n == PW_SECTIONS_MAX)
		return FAIL(p, line, "too many \"%s\" sections, expected at most %d", setting->name, PW_SECTIONS_MAX);
	if (node == NULL || pw_setting_repeats(setting)) {
		*end = node = pw_arena_alloc(&p->reader->tree, sizeof(*node));
		if (node == NULL)
			return false;
		*node = (struct pw_node){.setting = setting, .line = line};
	} else if (setting->type < PW_LIST || p->t.kind != '+') { /* += appends to the first */
		return FAIL(p, line, "\"%s\" stands here again, expected it once in %s (first on line %u)",
			setting->name, section->setting->name, node->line);
	}
	return setting->inside != NULL ? parse_section(p, node) : parse_assignment(p, node, line);
}

/* The whole file, or "{ ... }" with a title before it where the section has one. */
static bool parse_section(struct parser *p, struct pw_node *section)
{
	const char *name = section->setting->name;
	const bool whole_file = section->setting->inside == pw_settings;

	if (section->setting->type == PW_POOL_SECTION && !at_value(p))
		return FAIL(p, section->line, "\"%s\" has no title, expected %s \"TITLE\" { ... }", name, name);
	if (section->setting->type == PW_POOL_SECTION && !take_value(p, section))
		return false;
	if (!whole_file && p->t.kind != '{')
		return FAIL(
			p, section->line, "unexpected %s after \"%s\", expected \"{\": it is a section", SHOW(p), name);
	if (!whole_file)
		advance(p);
	while (p->t.kind == 'w' || p->t.kind == 'n')
		if (!parse_setting(p, section))
			return false;
	if (p->t.kind == (whole_file ? '\0' : '}')) {
		advance(p);
		return p->reader->errors == 0;
	}
	if (p->t.kind == '\0')
		return FAIL(p, section->line,
			"section \"%s\" is not closed, expected \"}\" before end of file on line %u", name, p->t.line);
	return FAIL(p, p->t.line, "unexpected %s %s, expected the name of a setting", SHOW(p),
		p->t.kind == '}' ? "that closes nothing" : "here");
}

struct pw_node *pw_config_parse(struct pw_reader *r)
{
	static const struct pw_setting top = {.name = "the file", .inside = pw_settings};
	char *text = pw_arena_alloc(&r->tree, PW_CONFIG_FILE_MAX + 2);
	struct pw_node *file = pw_arena_alloc(&r->tree, sizeof(*file));
	struct parser p = {.line = 1, .reader = r};

	if (file == NULL || !read_text(r, text))
		return NULL;
	file->setting = &top;
	p.p = strncmp(text, "\xef\xbb\xbf", 3) == 0 ? text + 3 : text; /* a byte order mark */
	advance(&p);
	return parse_section(&p, file) ? file : NULL;
}

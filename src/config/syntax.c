/* SPDX-License-Identifier: BSD-2-Clause */
#include "config/syntax.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A section that is being read. */
struct scope {
	const struct pw_directive *table;
	const struct scope *outer; /* NULL at the top */
	const char *name;
	unsigned line;                    /* where it was opened */
	unsigned seen[PW_DIRECTIVES_MAX]; /* line of the first of each directive, 0: none yet */
	unsigned count[PW_DIRECTIVES_MAX];
};

struct checker {
	const struct pw_token *t; /* the next token */
	struct pw_mistakes *mistakes;
	bool brace_missing; /* the file has more { than } */
	char *out;          /* what was written, NULL after a lack of memory */
	size_t length, size;
	unsigned out_line;
};

/* --- output ---------------------------------------------------------------------------------------------------- */

/* Makes room for `more` bytes and a NUL. */
static bool reserve(struct checker *c, size_t more)
{
	size_t size = c->length + more + 1;
	char *out;

	if (c->out == NULL || size <= c->size)
		return c->out != NULL;
	out = realloc(c->out, size += size / 2);
	if (out == NULL)
		free(c->out);
	c->out = out;
	c->size = size;
	return out != NULL;
}

/* Writes a piece of text on its line. */
static void emit(struct checker *c, unsigned line, const char *text, size_t length)
{
	size_t lines = line > c->out_line ? line - c->out_line : 0;

	if (!reserve(c, lines + length + 1))
		return;
	memset(c->out + c->length, '\n', lines);
	memcpy(c->out + c->length + lines, text, length);
	c->length += lines + length;
	c->out[c->length++] = ' ';
	c->out_line += (unsigned)lines;
}

static void emit_text(struct checker *c, unsigned line, const char *text)
{
	emit(c, line, text, strlen(text));
}

/* A word or a string goes out as a string: libconfuse then finds no further meaning in it. */
static void emit_value(struct checker *c, const struct pw_token *t)
{
	/* A backslash means itself in a word, but not always in quotes. */
	bool quote = t->kind == PW_TOKEN_WORD && memchr(t->text, '\\', t->length) == NULL;

	if (quote)
		emit_text(c, t->line, "'");
	c->length -= quote;
	emit(c, t->line, t->text, t->length);
	c->length -= quote;
	if (quote)
		emit_text(c, t->line, "'");
}

/* --- messages -------------------------------------------------------------------------------------------------- */

/* A token as a message shows it: "}", a word, or the start of a long string. */
static const char *show(const struct pw_token *t, char buf[64])
{
	if (t->kind == PW_TOKEN_END)
		return "end of file";
	snprintf(buf, 64, t->kind == PW_TOKEN_STRING ? "%.*s%s" : "\"%.*s%s\"", t->length > 40 ? 40 : (int)t->length,
		t->text, t->length > 40 ? "..." : "");
	return buf;
}

/* "a, b, c": the names of a table. */
static void name_list(const struct pw_directive *table, char *buf, size_t size)
{
	size_t n = 0;

	buf[0] = '\0';
	for (; table->name != NULL && n < size; table++)
		n += (size_t)snprintf(buf + n, size - n, "%s%s", n > 0 ? ", " : "", table->name);
}

static void unknown_name(struct checker *c, const struct scope *scope, const struct pw_token *t)
{
	char shown[64], names[400];

	name_list(scope->table, names, sizeof(names));
	pw_mistake_add(c->mistakes, t->line, "unknown setting %s in %s, expected one of: %s", show(t, shown),
		scope->name, names);
}

static void expected(struct checker *c, unsigned line, const char *where, const char *what)
{
	char shown[64];

	pw_mistake_add(c->mistakes, line, "unexpected %s %s, expected %s", show(c->t, shown), where, what);
}

/* --- skipping what is wrong ------------------------------------------------------------------------------------- */

static bool is_value(const struct pw_token *t)
{
	return t->kind == PW_TOKEN_WORD || t->kind == PW_TOKEN_STRING;
}

static bool is_assignment(const struct pw_token *t)
{
	return t->kind == PW_TOKEN_EQUALS || t->kind == PW_TOKEN_APPEND;
}

/* Whether a statement starts here: a value is never followed by an equal sign. */
static bool starts_statement(const struct pw_token *t)
{
	return t->kind == PW_TOKEN_WORD && is_assignment(t + 1);
}

/* From an opening brace to behind the one that closes it. */
static void skip_block(struct checker *c)
{
	unsigned depth = 0, line = c->t->line;

	do {
		if (c->t->kind == PW_TOKEN_END) {
			pw_mistake_add(
				c->mistakes, line, "\"{\" is not closed, expected \"}\" before the end of the file");
			return;
		}
		depth += c->t->kind == PW_TOKEN_OPEN;
		depth -= c->t->kind == PW_TOKEN_CLOSE;
		c->t++;
	} while (depth > 0);
}

static void skip_one(struct checker *c)
{
	if (c->t->kind == PW_TOKEN_OPEN)
		skip_block(c);
	else
		c->t++;
}

/* What may follow a name: = value, = { ... }, "title" { ... }, { ... }. */
static void skip_statement(struct checker *c, unsigned line)
{
	if (is_assignment(c->t))
		c->t++;
	if (is_value(c->t) && !starts_statement(c->t) && (c->t->line == line || c->t[1].kind == PW_TOKEN_OPEN))
		c->t++;
	while (c->t->kind == PW_TOKEN_STRAY && c->t->line == line) /* name(argument) */
		for (c->t++; is_value(c->t) && c->t->line == line && !starts_statement(c->t); c->t++)
			;
	if (c->t->kind == PW_TOKEN_OPEN)
		skip_block(c);
}

/* --- one statement ----------------------------------------------------------------------------------------------- */

/* The values of a list up to its closing brace. Returns whether all is well; then they were written. */
static bool check_list(struct checker *c, const struct pw_directive *d, const struct pw_token *name)
{
	unsigned open_line = c->t->line;
	bool good = true;
	size_t n = 0;

	emit_text(c, open_line, "{");
	c->t++;
	while (is_value(c->t) && !starts_statement(c->t)) {
		good = good && !c->t->bad;
		emit_value(c, c->t++);
		n++;
		if (c->t->kind == PW_TOKEN_COMMA) {
			emit_text(c, c->t->line, ",");
			c->t++;
		} else if (is_value(c->t) && !starts_statement(c->t)) {
			expected(c, c->t->line, "in a list", "\",\" between its values");
			good = false;
		}
	}
	if (c->t->kind == PW_TOKEN_CLOSE) {
		emit_text(c, c->t->line, "}");
		c->t++;
	} else if (c->t->kind == PW_TOKEN_END || starts_statement(c->t)) {
		pw_mistake_add(c->mistakes, open_line, "the list of \"%s\" is not closed, expected \"}\"", d->name);
		return false;
	} else {
		expected(c, c->t->line, "in a list", "values with \",\" between them, and \"}\"");
		while (c->t->kind != PW_TOKEN_CLOSE && c->t->kind != PW_TOKEN_END && !starts_statement(c->t))
			skip_one(c);
		c->t += c->t->kind == PW_TOKEN_CLOSE;
		return false;
	}
	if (n == 0 && !d->may_be_empty) {
		pw_mistake_add(c->mistakes, name->line,
			"the list of \"%s\" is empty, expected at least one value "
			"(without \"%s\" every one matches)",
			d->name, d->name);
		return false;
	}
	return good;
}

/* "= value", "= { value, ... }". Returns whether all is well; then it was written. */
static bool check_assignment(struct checker *c, const struct pw_directive *d, const struct pw_token *name)
{
	bool append = c->t->kind == PW_TOKEN_APPEND;

	if (!is_assignment(c->t)) {
		pw_mistake_add(c->mistakes, name->line, "\"=\" is missing, expected %s = %s", d->name,
			d->form == PW_FORM_LIST ? "{ VALUE, ... }" : "VALUE");
		skip_statement(c, name->line);
		return false;
	}
	if (append && d->form != PW_FORM_LIST) {
		pw_mistake_add(c->mistakes, c->t->line, "\"+=\" after \"%s\", expected \"=\": it is no list", d->name);
		skip_statement(c, name->line);
		return false;
	}
	emit_text(c, name->line, d->name);
	emit_text(c, c->t->line, append ? "+=" : "=");
	c->t++;
	if (c->t->kind == PW_TOKEN_OPEN && d->form == PW_FORM_LIST)
		return check_list(c, d, name);
	if (c->t->kind == PW_TOKEN_OPEN) {
		pw_mistake_add(
			c->mistakes, c->t->line, "\"%s\" has a list, expected one value without braces", d->name);
		skip_block(c);
		return false;
	}
	if (!is_value(c->t) || starts_statement(c->t)) {
		pw_mistake_add(c->mistakes, name->line, "\"%s\" has no value, expected one after \"=\"", d->name);
		c->t += c->t->kind == PW_TOKEN_STRAY || c->t->kind == PW_TOKEN_COMMA;
		return false;
	}
	emit_value(c, c->t);
	return !c->t++->bad;
}

static void check_body(struct checker *c, struct scope *scope);

/* "{ ... }" with a title before it where the section has one. Returns whether the head is well; then it was written, and of
 * the body what is in order. */
static bool check_section(
	struct checker *c, const struct scope *outer, const struct pw_directive *d, const struct pw_token *name)
{
	const struct pw_token *title = NULL;
	struct scope scope = {.table = d->inside, .outer = outer, .name = d->name, .line = name->line};
	char shown[64], head[64];

	if (d->form == PW_FORM_TITLED && is_value(c->t) && !starts_statement(c->t))
		title = c->t++;
	if (d->form == PW_FORM_TITLED && title == NULL)
		pw_mistake_add(c->mistakes, name->line, "\"%s\" has no title, expected %s \"TITLE\" { ... }", d->name,
			d->name);
	if (c->t->kind != PW_TOKEN_OPEN) {
		if (d->form != PW_FORM_TITLED || (title != NULL && !title->bad))
			pw_mistake_add(c->mistakes, name->line,
				"unexpected %s after \"%s\", expected \"{\": it is a section", show(c->t, shown),
				d->name);
		skip_statement(c, name->line);
		return false;
	}
	c->t++;
	snprintf(head, sizeof(head), "%s { " PW_OPTION_LINE " = %u", d->name, name->line);
	emit_text(c, name->line, head);
	if (title != NULL && !title->bad) {
		emit_text(c, title->line, PW_OPTION_TITLE " =");
		emit_value(c, title);
	}
	check_body(c, &scope);
	emit_text(c, c->t[-1].line, "}");
	return true;
}

/* Whether the directive may stand here (again). */
static bool check_repetition(
	struct checker *c, struct scope *scope, const struct pw_directive *d, const struct pw_token *name)
{
	size_t i = (size_t)(d - scope->table);
	bool appends = d->form == PW_FORM_LIST && name[1].kind == PW_TOKEN_APPEND;

	if (d->repeats && scope->count[i]++ >= PW_SECTIONS_MAX) {
		if (scope->count[i] == PW_SECTIONS_MAX + 1)
			pw_mistake_add(c->mistakes, name->line, "too many \"%s\" sections, expected at most %d",
				d->name, PW_SECTIONS_MAX);
		return false;
	}
	if (scope->seen[i] != 0 && !d->repeats && !appends) {
		pw_mistake_add(c->mistakes, name->line,
			"\"%s\" stands here again, expected it once in %s (first on line %u)", d->name, scope->name,
			scope->seen[i]);
		return false;
	}
	if (scope->seen[i] == 0)
		scope->seen[i] = name->line;
	return true;
}

static void check_statement(struct checker *c, struct scope *scope, const struct pw_directive *d)
{
	const struct pw_token *name = c->t++;
	size_t mark = c->length;
	unsigned line = c->out_line;
	bool once = check_repetition(c, scope, d, name);
	bool good;

	if (d->form == PW_FORM_SECTION || d->form == PW_FORM_TITLED)
		good = check_section(c, scope, d, name);
	else
		good = check_assignment(c, d, name);
	if (!good || !once) { /* what was written of it must go */
		c->length = mark;
		c->out_line = line;
	}
}

/* --- the statements of a section ---------------------------------------------------------------------------------- */

static bool known_outside(const struct scope *scope, const struct pw_token *t)
{
	for (scope = scope->outer; scope != NULL; scope = scope->outer)
		if (pw_directive_find(scope->table, t->text, t->length) != NULL)
			return true;
	return false;
}

static void not_closed(struct checker *c, const struct scope *scope)
{
	char shown[64];

	pw_mistake_add(c->mistakes, scope->line, "section \"%s\" is not closed, expected \"}\" before %s on line %u",
		scope->name, show(c->t, shown), c->t->line);
}

/* A name or whatever stands in its place. Returns false at the end of the section. */
static bool check_next(struct checker *c, struct scope *scope)
{
	const struct pw_directive *d;
	const struct pw_token *t = c->t;

	if (t->kind == PW_TOKEN_END || (t->kind == PW_TOKEN_CLOSE && scope->outer != NULL)) {
		if (t->kind == PW_TOKEN_END && scope->outer != NULL)
			not_closed(c, scope);
		return false;
	}
	if (t->kind != PW_TOKEN_WORD) {
		expected(c, t->line, t->kind == PW_TOKEN_CLOSE ? "that closes nothing" : "here",
			"the name of a setting");
		skip_one(c);
		return true;
	}
	d = pw_directive_find(scope->table, t->text, t->length);
	if (d != NULL) {
		check_statement(c, scope, d);
		return true;
	}
	if (c->brace_missing && known_outside(scope, t)) {
		not_closed(c, scope);
		c->brace_missing = false;
		return false;
	}
	unknown_name(c, scope, t);
	c->t++;
	skip_statement(c, t->line);
	return true;
}

static void check_body(struct checker *c, struct scope *scope)
{
	while (check_next(c, scope))
		;
	if (scope->outer != NULL && c->t->kind == PW_TOKEN_CLOSE)
		c->t++;
}

static bool more_opened_than_closed(const struct pw_token *t)
{
	long balance = 0;

	for (; t->kind != PW_TOKEN_END; t++)
		balance += (t->kind == PW_TOKEN_OPEN) - (t->kind == PW_TOKEN_CLOSE);
	return balance > 0;
}

char *pw_config_check(const struct pw_token *tokens, struct pw_mistakes *mistakes)
{
	struct checker c = {.t = tokens, .mistakes = mistakes, .out_line = 1, .size = 4096};
	struct scope top = {.table = pw_grammar, .name = "the file"};

	c.brace_missing = more_opened_than_closed(tokens);
	c.out = malloc(c.size);
	check_body(&c, &top);
	if (c.out == NULL)
		pw_mistake_add(mistakes, 0, "out of memory");
	else
		c.out[c.length] = '\0';
	return c.out;
}

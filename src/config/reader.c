/* SPDX-License-Identifier: BSD-2-Clause */
#include "config/reader.h"

#include <confuse.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/grammar.h"
#include "config/syntax.h"
#include "config/value.h"

/* --- libconfuse -------------------------------------------------------------------------------------------------- */

/* Every option is kept as its text and line. libconfuse's own integers take "010" for eight and stop at the first mistake. */
static int keep_value(cfg_t *cfg, cfg_opt_t *opt, const char *text, void *result)
{
	size_t size = strlen(text) + 1;
	struct pw_value *value = malloc(sizeof(*value) + size);

	(void)opt;
	if (value == NULL)
		return -1;
	value->line = (unsigned)cfg->line;
	memcpy(value->text, text, size);
	*(struct pw_value **)result = value;
	return 0;
}

static cfg_opt_t *options(const struct pw_directive *table);

/* The children of a section. */
static cfg_opt_t *section_options(const struct pw_directive *section)
{
	static const struct pw_directive nothing = {.name = NULL};

	return options(section->inside != NULL ? section->inside : &nothing);
}

static void free_options(cfg_opt_t *opts)
{
	for (cfg_opt_t *o = opts; o != NULL && o->name != NULL; o++)
		free_options(o->subopts);
	free(opts);
}

/* One option without default: what the file does not give stays absent. */
static cfg_opt_t option(const struct pw_directive *d)
{
	bool section = d->inside != NULL;

	return (cfg_opt_t){
		.name = d->name,
		.type = section ? CFGT_SEC : CFGT_PTR,
		.flags = CFGF_NODEFAULT | (d->repeats ? CFGF_MULTI : CFGF_NONE) |
			(d->form == PW_FORM_LIST ? CFGF_LIST : CFGF_NONE),
		.parsecb = section ? NULL : keep_value,
		.freecb = section ? NULL : free,
	};
}

/* libconfuse's list of what may stand in a section (malloc). */
static cfg_opt_t *options(const struct pw_directive *table)
{
	static const struct pw_directive line = {.name = PW_OPTION_LINE}, title = {.name = PW_OPTION_TITLE};
	cfg_opt_t *opts = calloc(PW_DIRECTIVES_MAX + 3, sizeof(*opts)), *o = opts;

	if (opts == NULL)
		return NULL;
	*o++ = option(&line);
	*o++ = option(&title);
	for (; table->name != NULL; table++, o++) {
		*o = option(table);
		if (table->inside != NULL && (o->subopts = section_options(table)) == NULL) {
			free_options(opts);
			return NULL;
		}
	}
	return opts;
}

/* The text was checked, so libconfuse has nothing to say but a lack of memory; it must not write to stderr. */
static void be_quiet(cfg_t *cfg, const char *format, va_list args)
{
	(void)cfg;
	(void)format;
	(void)args;
}

static cfg_t *parse(const char *checked, struct pw_mistakes *mistakes)
{
	cfg_opt_t *opts = options(pw_grammar);
	cfg_t *cfg = opts != NULL ? cfg_init(opts, CFGF_NONE) : NULL;

	free_options(opts);
	if (cfg != NULL) {
		cfg_set_error_function(cfg, be_quiet);
		if (cfg_parse_buf(cfg, checked) == CFG_SUCCESS)
			return cfg;
		pw_mistake_add(mistakes, (unsigned)cfg->line, "can't be read further: out of memory");
		cfg_free(cfg);
	} else {
		pw_mistake_add(mistakes, 0, "out of memory");
	}
	return NULL;
}

/* --- sections ---------------------------------------------------------------------------------------------------- */

struct reader {
	struct pw_config *config;
	struct pw_mistakes *mistakes;
	bool defaults_wrong; /* what a pool would inherit has a mistake */
};

/* The only value of an option, or NULL. */
static const struct pw_value *single(cfg_t *section, const char *name)
{
	return cfg_opt_getnptr(cfg_getopt(section, name), 0);
}

/* The check wrote the first line in front of the section's settings; libconfuse leaves its counter at the last. */
static struct pw_lines section_lines(cfg_t *section)
{
	const struct pw_value *line = single(section, PW_OPTION_LINE);

	return (struct pw_lines){line != NULL ? (unsigned)strtoul(line->text, NULL, 10) : 0, (unsigned)section->line};
}

static void read_values(struct reader *r, cfg_opt_t *opt, const struct pw_directive *d, void *draft)
{
	void *base = d->target == PW_INTO_CONFIG ? (void *)r->config : draft;

	for (unsigned i = 0; i < cfg_opt_size(opt); i++)
		pw_value_store(d, cfg_opt_getnptr(opt, i), base, r->mistakes);
}

/* Reads the settings of a section and of the sections in it, but for repeating ones. */
static void read_section(struct reader *r, cfg_t *section, const struct pw_directive *table, void *draft)
{
	for (const struct pw_directive *d = table; d->name != NULL; d++) {
		cfg_opt_t *opt = cfg_getopt(section, d->name);

		if (d->inside == NULL) {
			read_values(r, opt, d, draft);
		} else if (!d->repeats && cfg_opt_size(opt) > 0) {
			cfg_t *sub = cfg_opt_getnsec(opt, 0);

			if (d->offset != PW_NOWHERE)
				*(struct pw_lines *)(void *)((char *)draft + d->offset) = section_lines(sub);
			read_section(r, sub, d->inside, draft);
		}
	}
}

/* --- thresholds -------------------------------------------------------------------------------------------------- */

static const struct pw_limits_draft nothing_set = {
	.warning = {.rise = PW_UNSET, .fall = PW_UNSET},
	.critical = {.rise = PW_UNSET, .fall = PW_UNSET},
	.exhausted_fall = PW_UNSET,
	.free_below = PW_UNSET,
	.warn_within = PW_UNSET,
	.for_polls = PW_UNSET,
};

/* `fall` follows a new `rise` 5 percent lower; what is not given stays. rise = 0 is off, whatever fall says. */
static void set_severity(const struct pw_severity_draft *draft, struct pw_threshold *out)
{
	if (draft->rise != PW_UNSET) {
		out->rise = (uint8_t)draft->rise;
		out->fall = draft->rise > 5 ? (uint8_t)(draft->rise - 5) : 0;
	}
	if (draft->fall != PW_UNSET)
		out->fall = (uint8_t)draft->fall;
	if (out->rise == 0)
		out->fall = 0;
}

/* A section without mistakes inside it (or none at all): only then do its values tell anything together. */
static bool is_sound(const struct reader *r, const struct pw_lines *lines)
{
	return lines->first == 0 || !pw_mistakes_between(r->mistakes, lines->first, lines->last);
}

static void check_severity(
	struct reader *r, const char *name, const struct pw_severity_draft *draft, const struct pw_threshold *t)
{
	if (draft->lines.first != 0 && t->rise != 0 && t->fall >= t->rise)
		pw_mistake_add(r->mistakes, draft->lines.first, "\"%s\" falls at %u, expected less than its rise of %u",
			name, t->fall, t->rise);
}

/* fall < rise, warning below critical: at the line of the section that comes last. */
static void check_limits(struct reader *r, const struct pw_limits_draft *draft, const struct pw_thresholds *t)
{
	unsigned warning = draft->warning.lines.first, critical = draft->critical.lines.first;
	unsigned line = warning > critical ? warning : critical;
	bool warning_sound = is_sound(r, &draft->warning.lines), critical_sound = is_sound(r, &draft->critical.lines);

	if (r->defaults_wrong)
		return;
	if (warning_sound)
		check_severity(r, "warning", &draft->warning, &t->warning);
	if (critical_sound)
		check_severity(r, "critical", &draft->critical, &t->critical);
	if (line != 0 && t->critical.rise != 0 && t->warning.rise >= t->critical.rise && warning_sound &&
		critical_sound)
		pw_mistake_add(r->mistakes, line,
			"\"warning\" rises at %u, expected less than the rise of \"critical\", %u", t->warning.rise,
			t->critical.rise);
}

static void set_number(uint32_t draft, uint32_t *out)
{
	if (draft != PW_UNSET)
		*out = draft;
}

/* Puts what a scope says over what it inherits. */
static void set_limits(struct reader *r, const struct pw_limits_draft *draft, struct pw_thresholds *out)
{
	set_severity(&draft->warning, &out->warning);
	set_severity(&draft->critical, &out->critical);
	check_limits(r, draft, out);
	if (draft->exhausted_fall != PW_UNSET)
		out->exhausted_fall = (uint8_t)draft->exhausted_fall;
	set_number(draft->free_below, &out->free_below);
	set_number(draft->warn_within, &out->forecast_within);
	set_number(draft->for_polls, &out->for_polls);
}

/* SNAT pools have a warning and a critical threshold of their own; the rest is that of the file. */
static void set_snat_limits(struct reader *r, const struct pw_limits_draft *draft, struct pw_policy *policy)
{
	const struct pw_thresholds own = policy->snat;

	policy->snat = policy->defaults;
	policy->snat.warning = own.warning;
	policy->snat.critical = own.critical;
	set_limits(r, draft, &policy->snat);
}

static bool limits_are_sound(const struct reader *r, const struct pw_limits_draft *draft)
{
	return is_sound(r, &draft->warning.lines) && is_sound(r, &draft->critical.lines);
}

/* --- pool and ignore --------------------------------------------------------------------------------------------- */

static bool names_remote(const struct pw_match *m)
{
	return m->n_remote > 0 || m->n_ports > 0;
}

/* A pool's addresses are of one family, unless it has no remote one. */
static bool families_meet(const struct pw_match *m)
{
	for (size_t i = 0; i < m->n_local; i++)
		for (size_t j = 0; j < m->n_remote; j++)
			if (m->local[i].address.family == m->remote[j].address.family)
				return true;
	return m->n_local == 0 || m->n_remote == 0;
}

/* Combinations that no pool has. */
static void check_match(struct reader *r, const char *what, const struct pw_rule_draft *draft)
{
	const struct pw_match *m = &draft->match;
	uint32_t only_bind = 1u << PW_KIND_BIND, only_connect = 1u << PW_KIND_CONNECT;

	if (m->kinds == only_bind && names_remote(m))
		pw_mistake_add(r->mistakes, draft->lines.first,
			"\"%s\" can't match: a bind pool has no remote address or port, "
			"expected \"remote\" and \"port\" only with other kinds",
			what);
	if (m->kinds == only_connect && m->protocols == PW_MATCH_UDP)
		pw_mistake_add(r->mistakes, draft->lines.first,
			"\"%s\" can't match: connect pools are TCP only, "
			"expected kind = bind for UDP",
			what);
	if (!families_meet(m))
		pw_mistake_add(r->mistakes, draft->lines.first,
			"\"%s\" can't match: \"local\" and \"remote\" have no address family in common, "
			"expected IPv4 with IPv4 or IPv6 with IPv6",
			what);
}

static bool matches_everything(const struct pw_match *m)
{
	return m->kinds == 0 && m->protocols == 0 && m->n_local == 0 && !names_remote(m) && m->ns == NULL;
}

static void read_rule(struct reader *r, cfg_t *section, const struct pw_directive *d, struct pw_rule_draft *draft)
{
	*draft = (struct pw_rule_draft){.lines = section_lines(section), .limits = nothing_set};
	read_section(r, section, d->inside, draft);
	if (is_sound(r, &draft->lines))
		check_match(r, d->name, draft);
	if (draft->match.kinds == 1u << PW_KIND_CONNECT)
		draft->match.protocols = PW_MATCH_TCP; /* so that it can name exactly one pool without saying so */
}

static void read_pool(struct reader *r, cfg_t *section, const struct pw_directive *d)
{
	struct pw_policy *policy = &r->config->policy;
	struct pw_rule *rule = &policy->rules[policy->n_rules++];
	const struct pw_value *title = single(section, PW_OPTION_TITLE);
	struct pw_rule_draft draft;

	read_rule(r, section, d, &draft);
	rule->match = draft.match;
	if (title != NULL)
		rule->label = pw_value_text("the title of \"pool\"", title, PW_LABEL_MAX, r->mistakes);
	rule->thresholds = draft.match.kinds == 1u << PW_KIND_SNAT ? policy->snat : policy->defaults;
	set_limits(r, &draft.limits, &rule->thresholds);
}

static void read_ignore(struct reader *r, cfg_t *section, const struct pw_directive *d)
{
	struct pw_policy *policy = &r->config->policy;
	struct pw_match *match = &policy->ignore[policy->n_ignore++];
	struct pw_rule_draft draft;

	read_rule(r, section, d, &draft);
	if (matches_everything(&draft.match) && is_sound(r, &draft.lines))
		pw_mistake_add(r->mistakes, draft.lines.first,
			"\"ignore\" would hide every pool, expected at least one of kind, protocol, "
			"local, remote, port, namespace");
	*match = draft.match;
}

/* Reads all sections of one name into an array that `array` points to. */
static void read_all(struct reader *r, cfg_t *cfg, const char *name, void *array, size_t size,
	void (*read_one)(struct reader *, cfg_t *, const struct pw_directive *))
{
	const struct pw_directive *d = pw_directive_find(pw_grammar, name, strlen(name));
	unsigned n = cfg_size(cfg, name);

	if (n == 0)
		return;
	*(void **)array = calloc(n, size);
	if (*(void **)array == NULL) {
		pw_mistake_add(r->mistakes, 0, "out of memory");
		return;
	}
	for (unsigned i = 0; i < n; i++)
		read_one(r, cfg_getnsec(cfg, name, i), d);
}

/* --- the file ---------------------------------------------------------------------------------------------------- */

static void check_intervals(struct reader *r, cfg_t *cfg)
{
	const struct pw_config *c = r->config;
	const struct pw_value *idle = single(cfg, "idle-interval");

	if (c->idle_interval_ms != 0 && c->idle_interval_ms < c->poll_interval_ms)
		pw_mistake_add(r->mistakes, idle != NULL ? idle->line : 0,
			"\"idle-interval\" is %g seconds, "
			"expected 0 or at least the poll-interval of %g",
			c->idle_interval_ms / 1000.0, c->poll_interval_ms / 1000.0);
}

void pw_config_values(struct pw_config *config, const char *checked, struct pw_mistakes *mistakes)
{
	struct reader r = {.config = config, .mistakes = mistakes};
	struct pw_file_draft draft = {.limits = nothing_set, .snat = nothing_set};
	struct pw_policy *policy = &config->policy;
	cfg_t *cfg = parse(checked, mistakes);

	if (cfg == NULL)
		return;
	read_section(&r, cfg, pw_grammar, &draft);
	set_limits(&r, &draft.limits, &policy->defaults);
	set_snat_limits(&r, &draft.snat, policy);
	r.defaults_wrong = !limits_are_sound(&r, &draft.limits) || !limits_are_sound(&r, &draft.snat);
	if (policy->min_used == 0)
		policy->min_used = 1; /* a pool without a port is none */
	check_intervals(&r, cfg);
	read_all(&r, cfg, "pool", &policy->rules, sizeof(*policy->rules), read_pool);
	read_all(&r, cfg, "ignore", &policy->ignore, sizeof(*policy->ignore), read_ignore);
	cfg_free(cfg);
}

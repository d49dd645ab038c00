/* SPDX-License-Identifier: BSD-2-Clause */
#include "config/config.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "config/settings.h"

/* Stores the settings of a section (NULL: none) and of the sections in it, but for those that inherit. Returns whether
 * all were right: only then do they tell anything together. */
static bool store(struct pw_reader *r, const struct pw_node *section, void *base)
{
	const unsigned before = r->errors;

	for (const struct pw_node *node = section != NULL ? section->children : NULL; node != NULL; node = node->next) {
		const struct pw_setting *s = node->setting;

		if (s->inside == NULL)
			pw_setting_store(r, s, node->values, base);
		else if (s->type == PW_SECTION)
			store(r, node, (char *)base + s->offset);
	}
	return r->errors == before;
}

static void store_defaults(struct pw_reader *r, const struct pw_setting *table, void *base)
{
	for (const struct pw_setting *s = table; s->name != NULL; s++) {
		const struct pw_value value = {.text = s->initial};

		if (s->initial != NULL)
			pw_setting_store(r, s, &value, base);
		else if (s->inside != NULL && !pw_setting_repeats(s))
			store_defaults(r, s->inside, (char *)base + s->offset);
	}
}

/* What a scope (the file, snat, a pool) says about thresholds was stored over what it inherits. `fall` follows a new
 * `rise` 5 percent lower, and rise = 0 is off, whatever fall says. Then fall < rise must hold, and warning < critical,
 * of which the section that comes last is told. */
static void finish_thresholds(struct pw_reader *r, const struct pw_node *scope, bool sound, struct pw_thresholds *t)
{
	const struct pw_node *sections[] = {pw_node_find(scope, "warning"), pw_node_find(scope, "critical")};
	struct pw_threshold *severities[] = {&t->warning, &t->critical};
	unsigned line = 0;

	sound = sound && !r->defaults_wrong;
	for (size_t i = 0; i < 2; i++) {
		const struct pw_node *section = sections[i];
		struct pw_threshold *own = severities[i];

		if (section == NULL)
			continue;
		line = section->line > line ? section->line : line;
		if (pw_node_find(section, "rise") != NULL && pw_node_find(section, "fall") == NULL)
			own->fall = own->rise > 5 ? own->rise - 5 : 0;
		if (own->rise == 0)
			own->fall = 0;
		else if (sound && own->fall >= own->rise)
			pw_config_error(r, section->line, "\"%s\" falls at %u, expected less than its rise of %u",
				section->setting->name, own->fall, own->rise);
	}
	if (sound && line != 0 && t->critical.rise != 0 && t->warning.rise >= t->critical.rise)
		pw_config_error(r, line, "\"warning\" rises at %u, expected less than the rise of \"critical\", %u",
			t->warning.rise, t->critical.rise);
}

/* Reads a section and finds combinations that no pool has. Returns whether it had no error of its own. */
static bool read_match(struct pw_reader *r, const struct pw_node *section, void *base, struct pw_match *m)
{
	const bool sound = store(r, section, base);
	const char *why = NULL;
	/* a pool's addresses are of one family, unless it has no remote one */
	bool families_meet = m->n_local == 0 || m->n_remote == 0;

	for (size_t i = 0; i < m->n_local; i++)
		for (size_t j = 0; j < m->n_remote; j++)
			families_meet |= m->local[i].address.family == m->remote[j].address.family;
	if (m->kinds == 1u << PW_KIND_BIND && (m->n_remote > 0 || m->n_ports > 0))
		why = "a bind pool has no remote address or port, "
		      "expected \"remote\" and \"port\" only with other kinds";
	else if (m->kinds == 1u << PW_KIND_CONNECT && m->protocols == PW_MATCH_UDP)
		why = "connect pools are TCP only, expected kind = bind for UDP";
	else if (!families_meet)
		why = "\"local\" and \"remote\" have no address family in common, "
		      "expected IPv4 with IPv4 or IPv6 with IPv6";
	if (sound && why != NULL)
		pw_config_error(r, section->line, "\"%s\" can't match: %s", section->setting->name, why);
	if (m->kinds == 1u << PW_KIND_CONNECT)
		m->protocols = PW_MATCH_TCP; /* so that it can name exactly one pool without saying so */
	return sound;
}

static void read_pool(struct pw_reader *r, const struct pw_node *section, struct pw_rule *rule)
{
	const struct pw_policy *policy = &r->config->policy;
	const struct pw_node *kind = pw_node_find(section, "kind");
	const struct pw_value *value = kind != NULL ? kind->values : NULL;

	pw_setting_store(r, section->setting, section->values, rule);
	/* kind = snat, and no other kind: it inherits the thresholds of SNAT pools */
	while (value != NULL && strcasecmp(value->text, "snat") == 0)
		value = value->next;
	rule->thresholds = kind != NULL && value == NULL ? policy->snat : policy->defaults;
	finish_thresholds(r, section, read_match(r, section, rule, &rule->match), &rule->thresholds);
}

static void read_rules(struct pw_reader *r, const struct pw_node *file)
{
	struct pw_policy *policy = &r->config->policy;
	struct pw_arena *memory = &r->config->memory;
	size_t n_pools = 0, n_ignore = 0;

	for (const struct pw_node *node = file->children; node != NULL; node = node->next) {
		n_pools += node->setting->type == PW_POOL_SECTION;
		n_ignore += node->setting->type == PW_IGNORE_SECTION;
	}
	policy->rules = pw_arena_array(memory, n_pools, sizeof(*policy->rules));
	policy->ignore = pw_arena_array(memory, n_ignore, sizeof(*policy->ignore));
	for (const struct pw_node *node = file->children; node != NULL && !memory->failed; node = node->next) {
		if (node->setting->type == PW_POOL_SECTION) {
			read_pool(r, node, &policy->rules[policy->n_rules++]);
		} else if (node->setting->type == PW_IGNORE_SECTION) {
			struct pw_match *m = &policy->ignore[policy->n_ignore++];

			read_match(r, node, m, m);
			if (node->children == NULL)
				pw_config_error(r, node->line,
					"\"ignore\" would hide every pool, expected at least one of kind, "
					"protocol, local, remote, port, namespace");
		}
	}
}

static void read_settings(struct pw_reader *r, const struct pw_node *file)
{
	struct pw_config *c = r->config;
	struct pw_thresholds *snat_thresholds = &c->policy.snat, own = *snat_thresholds;
	const struct pw_node *idle = pw_node_find(file, "idle-interval"), *snat = pw_node_find(file, "snat"),
			     *conntrack = pw_node_find(file, "conntrack");
	bool sound = store(r, file, c);

	finish_thresholds(r, file, sound, &c->policy.defaults);
	if (c->policy.min_used == 0)
		c->policy.min_used = 1; /* a pool without a port is none */
	if (sound && c->idle_interval_ms != 0 && c->idle_interval_ms < c->poll_interval_ms)
		pw_config_error(r, idle != NULL ? idle->line : 0,
			"\"idle-interval\" is %g seconds, expected 0 or at least the poll-interval of %g",
			c->idle_interval_ms / 1000.0, c->poll_interval_ms / 1000.0);
	/* SNAT pools have a warning and a critical threshold of their own; the rest is that of the file */
	*snat_thresholds = c->policy.defaults;
	snat_thresholds->warning = own.warning;
	snat_thresholds->critical = own.critical;
	finish_thresholds(r, snat, store(r, snat, c), snat_thresholds);
	finish_thresholds(r, conntrack, store(r, conntrack, c), &c->policy.conntrack);
	r->defaults_wrong = r->errors > 0;
	read_rules(r, file);
}

struct pw_config *pw_config_defaults(void)
{
	struct pw_reader r = {.config = calloc(1, sizeof(*r.config))};

	if (r.config == NULL)
		return NULL;
	pw_policy_defaults(&r.config->policy);
	store_defaults(&r, pw_settings, r.config);
	if (!r.config->memory.failed)
		return r.config;
	pw_config_free(r.config);
	return NULL;
}

struct pw_config *pw_config_read(const char *path, pw_config_report *report, void *context)
{
	struct pw_reader r = {.file = path, .report = report, .context = context, .config = pw_config_defaults()};
	const struct pw_node *file = r.config != NULL ? pw_config_parse(&r) : NULL;

	if (file != NULL)
		read_settings(&r, file);
	if (r.config == NULL || r.config->memory.failed || r.tree.failed)
		pw_config_error(&r, 0, "out of memory");
	pw_arena_free(&r.tree);
	if (r.errors == 0)
		return r.config;
	pw_config_free(r.config);
	return NULL;
}

void pw_config_free(struct pw_config *config)
{
	if (config != NULL)
		pw_arena_free(&config->memory);
	free(config);
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "config/config.h"

#include <stdlib.h>
#include <string.h>

#include "config/grammar.h"
#include "config/lexer.h"
#include "config/mistakes.h"
#include "config/reader.h"
#include "config/syntax.h"

static bool set_defaults(struct pw_config *c)
{
	pw_policy_defaults(&c->policy);
	c->poll_interval_ms = 10000;
	c->idle_interval_ms = 0;
	c->probe = PW_PROBE_AUTO;
	c->connect_failures = true;
	c->notify.max_per_minute = 60;
	c->notify.renotify_s = 0;
	c->agentx.ping_interval = 15;
	c->agentx.reconnect_interval = 2;
	c->snmp.include = strdup("/etc/portwatch/snmp.conf");
	c->snat.interval_s = 60;
	c->agentx.socket = strdup("/var/agentx/master");
	return c->agentx.socket != NULL && c->snmp.include != NULL;
}

struct pw_config *pw_config_defaults(void)
{
	struct pw_config *config = calloc(1, sizeof(*config));

	if (config != NULL && !set_defaults(config)) {
		pw_config_free(config);
		return NULL;
	}
	return config;
}

/* Text -> tokens -> a checked text -> values. */
static void read_into(struct pw_config *config, const char *path, struct pw_mistakes *mistakes)
{
	char *text = pw_config_text(path, mistakes), *checked = NULL;
	struct pw_token *tokens = NULL;

	if (text == NULL)
		return;
	tokens = pw_config_tokens(text, mistakes);
	if (tokens == NULL)
		pw_mistake_add(mistakes, 0, "out of memory");
	else
		checked = pw_config_check(tokens, mistakes);
	if (checked != NULL)
		pw_config_values(config, checked, mistakes);
	free(checked);
	free(tokens);
	free(text);
}

struct pw_config *pw_config_read(const char *path, pw_config_report *report, void *context)
{
	struct pw_config *config = pw_config_defaults();
	struct pw_mistakes mistakes = {.n_items = 0};

	if (config == NULL)
		pw_mistake_add(&mistakes, 0, "out of memory");
	else
		read_into(config, path, &mistakes);
	if (pw_mistakes_any(&mistakes)) {
		pw_config_free(config);
		config = NULL;
	}
	pw_mistakes_report(&mistakes, path, report, context);
	return config;
}

void pw_config_free(struct pw_config *config)
{
	if (config == NULL)
		return;
	pw_policy_clear(&config->policy);
	for (size_t i = 0; i < config->namespaces.n_names; i++)
		free(config->namespaces.names[i]);
	free(config->namespaces.names);
	free(config->agentx.socket);
	free(config->snmp.include);
	free(config->snat.ranges);
	free(config);
}

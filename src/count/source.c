/* SPDX-License-Identifier: BSD-2-Clause */
#include "count/source.h"

const struct pw_source_traits pw_source_traits[PW_SOURCES] = {
	[PW_SOURCE_SOCKETS] = {.title = "",
		.ports = "ports",
		.kinds = 1u << PW_KIND_CONNECT | 1u << PW_KIND_BIND,
		.sockets = true},
	[PW_SOURCE_SNAT] = {.title = "SNAT ", .ports = "translated ports", .kinds = 1u << PW_KIND_SNAT},
};

enum pw_source_id pw_kind_source(uint8_t kind)
{
	for (int id = 0; id < PW_SOURCES; id++)
		if ((pw_source_traits[id].kinds & 1u << kind) != 0)
			return (enum pw_source_id)id;
	return PW_SOURCE_SOCKETS;
}

void pw_source_owner_text(struct pw_source *source, const struct pw_pool_key *key, pw_owner_name *name, void *context,
	struct pw_owners *parts, struct pw_pool_states *states, char buf[PW_OWNER_TEXT_MAX])
{
	struct pw_owners owners;
	bool own_names = source->ops->owner_name != NULL;

	buf[0] = '\0';
	pw_source_owners(source, key, &owners);
	*states = owners.states;
	if (parts != NULL) {
		pw_owners_merge(parts, &owners);
		owners = *parts;
	}
	if (own_names || name != NULL)
		pw_owners_text(&owners, own_names ? source->ops->owner_name : name, own_names ? source : context, buf);
}

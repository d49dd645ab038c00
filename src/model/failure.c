#include "model/failure.h"

#include <stdio.h>

static void describe(
	struct pw_event *event, enum pw_event_type type, uint32_t ns, const char *ns_name, const char *text)
{
	*event = (struct pw_event){.type = type, .key.ns = ns};
	snprintf(event->text, sizeof(event->text), "%s%s%s", ns_name, ns_name[0] != '\0' ? ": " : "", text);
}

bool pw_failure_step(
	struct pw_failure *failure, uint32_t ns, const char *ns_name, const char *error, struct pw_event *out)
{
	bool announce;

	if (error == NULL) {
		announce = failure->announced;
		*failure = (struct pw_failure){0};
		if (announce)
			describe(out, PW_EVENT_COLLECTOR_RECOVERED, ns, ns_name, "polls succeed again");
		return announce;
	}
	failure->polls += failure->polls < PW_FAILURE_POLLS;
	announce = failure->polls == PW_FAILURE_POLLS && !failure->announced;
	if (announce) {
		failure->announced = true;
		describe(out, PW_EVENT_COLLECTOR_FAILED, ns, ns_name, error);
	}
	return announce;
}

/* failure.h: when failing polls are worth a notification
 *
 * A single failed poll is done again at the next interval and only logged; several in a row mean that nothing is
 * watched. */
#ifndef PW_MODEL_FAILURE_H
#define PW_MODEL_FAILURE_H

#include <stdbool.h>
#include <stdint.h>

#include "model/event.h"

/* Failed polls in a row that make a failure. */
#define PW_FAILURE_POLLS 3

/* Of one source (a namespace). Zeroed = nothing has failed yet. */
struct pw_failure {
	uint32_t polls; /* failed in a row, up to PW_FAILURE_POLLS */
	bool announced;
};

/* Takes one poll into account. `error` is the cause (NULL = the poll was good), `ns` the pwNsIndex and `ns_name`
 * its name ("" = the daemon's own). Returns true when there is something to notify: *out then is complete but for
 * id and time, which the caller sets (pw_monitor_next_event_id()). */
bool pw_failure_step(
	struct pw_failure *failure, uint32_t ns, const char *ns_name, const char *error, struct pw_event *out);

#endif

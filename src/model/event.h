/* event.h: something that operators are notified of, with the values of the poll that saw it */
#ifndef PW_MODEL_EVENT_H
#define PW_MODEL_EVENT_H

#include <stdint.h>
#include <time.h>

#include "model/pool.h"

/* Values are the last sub-identifier of the notifications of PORTWATCH-MIB. */
enum pw_event_type {
	PW_EVENT_RISING = 1,
	PW_EVENT_FALLING = 2,
	PW_EVENT_CONNECT_FAILING = 3,
	PW_EVENT_COLLECTOR_FAILED = 4,
	PW_EVENT_COLLECTOR_RECOVERED = 5
};

/* Self-contained: no pointers into other structures. */
struct pw_event {
	uint32_t id;               /* unique together with `time` */
	enum pw_event_type type;
	struct timespec time;      /* wall time of the poll */

	/* of rising and falling */
	struct pw_pool_key key;
	char name[PW_POOL_NAME_MAX];
	char local_text[PW_ADDRESS_TEXT_MAX];
	char remote_text[PW_ADDRESS_TEXT_MAX];
	char label[64];
	char owner[128];
	struct pw_pool_counts counts;
	enum pw_state state, previous;
	enum pw_reason reason;
	uint32_t threshold;
	uint32_t time_to_exhaustion;

	/* of the others */
	char text[200];            /* error, names of failing processes */
	uint32_t failures;         /* since the last notification */
};

#endif

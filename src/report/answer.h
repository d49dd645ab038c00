/* SPDX-License-Identifier: BSD-2-Clause */
/* answer.h: what a portwatchd beside us knows, read at its socket (daemon/control.h) */
#ifndef PW_REPORT_ANSWER_H
#define PW_REPORT_ANSWER_H

#include <stddef.h>

#include "base/error.h"
#include "watch/fields.h"

struct pw_answer {
	const struct pw_snapshot *snapshot; /* one reference, for the caller */
	struct pw_context context;          /* of its poll; ages count from now_ms, which is now */
	uint64_t age_ms;                    /* of the poll */
	struct pw_event *events;            /* the oldest first, for the caller to free */
	size_t n_events;
};

/* Of the namespaces with these names alone, or with n = 0 of all; it is an error when the daemon does not watch one of
 * them. Waits some seconds at most. Returns 0; or -1 with an error, and nothing to release, when nobody answers there,
 * this process may not ask, or the answer is none. */
int pw_answer_read(
	const char *path, const char *const *names, size_t n, struct pw_answer *answer, struct pw_error *err);

/* The same from the text of the document, for tests. */
int pw_answer_parse(const char *text, size_t len, const char *const *names, size_t n, struct pw_answer *answer,
	struct pw_error *err);

#endif

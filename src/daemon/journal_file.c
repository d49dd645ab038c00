/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/journal_file.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "daemon/state_file.h"
#include "report/answer.h"
#include "report/report.h"

struct pw_journal_file {
	struct pw_state_file *file;
	struct pw_journal *journal;
	uint64_t n_texts;
};

static void restore(struct pw_journal_file *f)
{
	struct pw_answer answer;
	struct pw_error err;
	size_t len;
	char *text = pw_state_file_read(f->file, &len, &err);

	if (text != NULL && pw_answer_parse(text, len, NULL, 0, &answer, &err) == 0) {
		for (size_t i = 0; i < answer.n_events; i++)
			pw_journal_add(f->journal, &answer.events[i]);
		pw_snapshot_unref(answer.snapshot);
		free(answer.events);
	} else if (err.text[0] != '\0') {
		pw_log(LOG_WARNING, "the events of before the restart are ignored: %s", err.text);
	}
	free(text);
}

struct pw_journal_file *pw_journal_file_open(const char *path, struct pw_journal *journal)
{
	struct pw_journal_file *f = calloc(1, sizeof(*f));
	struct pw_error err = {.text = "out of memory"};

	if (f != NULL)
		f->file = pw_state_file_new(path, "what happened", NULL, NULL, &err);
	if (f == NULL || f->file == NULL) {
		pw_log(LOG_ERR, "%s", err.text);
		free(f);
		return NULL;
	}
	f->journal = journal;
	restore(f);
	return f;
}

void pw_journal_file_write(struct pw_journal_file *f)
{
	static const struct pw_snapshot nothing;
	static const struct pw_selection none = {.snapshot = &nothing};
	const struct pw_context context = {.snapshot = &nothing};
	struct pw_event *copy = NULL;
	struct pw_events events;
	char *text = NULL;
	size_t len = 0;
	FILE *out;

	if (f == NULL)
		return;
	events.n = pw_journal_copy(f->journal, &copy);
	events.events = copy;
	out = events.n > 0 ? open_memstream(&text, &len) : NULL;
	if (out != NULL && pw_json_write(out, &none, &context, &events) == 0 && fclose(out) == 0) {
		pw_state_file_write(f->file, text, len, ++f->n_texts);
	} else if (out != NULL) {
		pw_log(LOG_WARNING, "out of memory: a restart will not know the last events");
		free(text);
	}
	free(copy);
}

void pw_journal_file_close(struct pw_journal_file *f, unsigned timeout_ms)
{
	if (f == NULL)
		return;
	pw_state_file_close(f->file, timeout_ms);
	free(f);
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/kept.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "daemon/state_file.h"
#include "report/report.h"
#include "watch/state.h"

/* How long the end of the daemon waits for its last state to be on the disk. */
#define SAVE_MS 500

/* How long notifications wait for the disk to have the state file that tells of them. */
#define HOLD_MS 1000

struct pw_kept {
	struct pw_monitor *monitor;
	struct pw_exchange *exchange;
	struct pw_journal *journal;
	struct pw_state_file *state;
	struct pw_state_file *events; /* or NULL */
	bool polled;                  /* at least once */
	bool holding;                 /* notifications wait for the next text */
	uint64_t n_states;            /* texts that the state file was given */
	uint64_t saved_ms;            /* when the state was written last, and ... */
	uint64_t saved_changes;       /* ... what had been told and owed then */
};

static void release(void *exchange, uint64_t number)
{
	pw_exchange_release(exchange, number);
}

static void restore_state(struct pw_kept *kept)
{
	struct pw_error err;
	size_t len;
	char *text = pw_state_file_read(kept->state, &len, &err);

	if (text != NULL && pw_state_restore(kept->monitor, text, len, pw_clock_boot_ms(), pw_clock_wall(), &err) == 0)
		pw_log(LOG_INFO, "alarms and event ids of before the restart go on");
	else if (err.text[0] != '\0')
		pw_log(LOG_WARNING, "the state of before the restart is ignored: %s", err.text);
	free(text);
}

static void restore_events(struct pw_kept *kept)
{
	struct pw_answer answer;
	struct pw_error err;
	size_t len;
	char *text = pw_state_file_read(kept->events, &len, &err);

	if (text != NULL && pw_answer_parse(text, len, NULL, 0, &answer, &err) == 0) {
		for (size_t i = 0; i < answer.n_events; i++)
			pw_journal_add(kept->journal, &answer.events[i]);
		pw_snapshot_unref(answer.snapshot);
		free(answer.events);
	} else if (err.text[0] != '\0') {
		pw_log(LOG_WARNING, "the events of before the restart are ignored: %s", err.text);
	}
	free(text);
}

struct pw_kept *pw_kept_open(
	const char *path, struct pw_monitor *monitor, struct pw_exchange *exchange, struct pw_journal *journal)
{
	const char *directory = getenv("STATE_DIRECTORY");
	struct pw_error err = {.text = "out of memory"};
	struct pw_kept *kept;
	char name[4200];

	if (path == NULL && (directory == NULL || directory[0] == '\0'))
		return NULL;
	kept = calloc(1, sizeof(*kept));
	snprintf(name, sizeof(name), "%s%s", path != NULL ? path : directory, path != NULL ? "" : "/state");
	if (kept != NULL)
		kept->state = pw_state_file_new(name, "what was notified", release, exchange, &err);
	if (kept == NULL || kept->state == NULL) {
		pw_log(LOG_ERR, "%s", err.text);
		free(kept);
		return NULL;
	}
	kept->monitor = monitor;
	kept->exchange = exchange;
	kept->journal = journal;
	restore_state(kept);
	snprintf(name, sizeof(name), "%s%s", path != NULL ? path : directory, path != NULL ? ".events" : "/events");
	kept->events = pw_state_file_new(name, "what happened", NULL, NULL, &err);
	if (kept->events != NULL)
		restore_events(kept);
	else
		pw_log(LOG_ERR, "%s", err.text);
	return kept;
}

void pw_kept_hold(struct pw_kept *kept)
{
	if (kept == NULL)
		return;
	kept->holding = true;
	pw_exchange_hold(kept->exchange, kept->n_states + 1, pw_clock_boot_ms() + HOLD_MS);
}

/* What was told, or may be before the next poll, is worth a write at the end of each; peaks and growth one a minute. */
static void write_state(struct pw_kept *kept, bool always)
{
	const uint64_t now_ms = pw_clock_boot_ms(), since_ms = now_ms - kept->saved_ms;
	struct pw_exchange_stats stats;
	size_t len;
	char *text;

	pw_exchange_stats(kept->exchange, &stats);
	if (!always && !kept->holding && since_ms < 60000 && stats.changes == kept->saved_changes)
		return;
	kept->holding = false;
	text = pw_state_text(kept->monitor, kept->exchange, always, &len);
	if (text == NULL) {
		pw_exchange_release(kept->exchange, kept->n_states + 1);
		return;
	}
	pw_state_file_write(kept->state, text, len, ++kept->n_states);
	kept->saved_ms = now_ms;
	kept->saved_changes = stats.changes;
}

static void write_events(struct pw_kept *kept)
{
	static const struct pw_snapshot nothing;
	static const struct pw_selection none = {.snapshot = &nothing};
	const struct pw_context context = {.snapshot = &nothing};
	struct pw_event *copy = NULL;
	struct pw_events events;
	char *text = NULL;
	size_t len = 0;
	FILE *out;

	events.n = pw_journal_copy(kept->journal, &copy);
	events.events = copy;
	out = events.n > 0 ? open_memstream(&text, &len) : NULL;
	if (out != NULL && pw_json_write(out, &none, &context, &events) == 0 && fclose(out) == 0) {
		pw_state_file_write(kept->events, text, len, 0);
	} else if (out != NULL) {
		pw_log(LOG_WARNING, "out of memory: a restart will not know the last events");
		free(text);
	}
	free(copy);
}

void pw_kept_write(struct pw_kept *kept, bool new_event)
{
	if (kept == NULL)
		return;
	kept->polled = true;
	write_state(kept, false);
	if (new_event && kept->events != NULL)
		write_events(kept);
}

void pw_kept_close(struct pw_kept *kept)
{
	if (kept == NULL)
		return;
	if (kept->polled)
		write_state(kept, true);
	pw_state_file_close(kept->state, SAVE_MS);
	pw_state_file_close(kept->events, SAVE_MS / 2);
	free(kept);
}

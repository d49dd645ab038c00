/* SPDX-License-Identifier: BSD-2-Clause */
/* state_file.h: the file that a text survives a restart in
 *
 * Written by a thread of its own, since a disk may hang and no poll must wait for it; only the newest text counts.
 * The file is replaced as a whole, after it has reached the disk. */
#ifndef PW_DAEMON_STATE_FILE_H
#define PW_DAEMON_STATE_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct pw_state_file;

/* The text with this number is on the disk, or can't be written. Called by the thread. */
typedef void pw_state_file_done(void *context, uint64_t number);

/* `path` is copied, done may be NULL; `loses` ("what was notified") tells the log what a restart will not know when it
 * can't be written. NULL with an error when there is no memory or no thread for it. */
struct pw_state_file *pw_state_file_new(
	const char *path, const char *loses, pw_state_file_done *done, void *context, struct pw_error *err);

/* The text of an earlier process, for the caller to free, with its length; NULL with an error, or (no error) when
 * there is none. */
char *pw_state_file_read(const struct pw_state_file *file, size_t *len, struct pw_error *err);

/* Writes this text, and frees it, some time soon. A failure is logged when it begins. Numbers grow, where somebody is
 * told of them. */
void pw_state_file_write(struct pw_state_file *file, char *text, size_t len, uint64_t number);

/* Waits at most timeout_ms for the last text to be written, then ends; when the disk hangs the thread is left
 * behind. */
void pw_state_file_close(struct pw_state_file *file, unsigned timeout_ms);

#endif

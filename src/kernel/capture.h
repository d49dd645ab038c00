/* SPDX-License-Identifier: BSD-2-Clause */
/* capture.h: a poll in a file: every byte that the parsers got, to be replayed through the same parsers
 *
 * Format, version 1. All numbers are of the byte order of the machine that recorded, since the netlink messages are;
 * a reader of the other order refuses the file.
 *
 *   header   8 bytes "PWRECORD", uint32 0x01020304 (byte order), uint32 version
 *   entries  uint32 type, uint32 argument, uint32 length, then `length` bytes, without padding:
 *     1 STREAM   argument: enum pw_stream; a stream is opened. What follows belongs to it, up to the next STREAM.
 *     2 DATA     what one read() or recv() gave: a piece of a text, or one netlink datagram. At least 1 byte.
 *     3 FAILURE  argument: the errno (of Linux) that opening or reading gave. No bytes.
 *     4 END      the last entry. No bytes. A file without it is incomplete.
 *
 * A stream may come more than once, when a dump was done again: the n-th opening replays the n-th, then the first
 * again. A stream that is not in the file does not exist (ENOENT). */
#ifndef PW_KERNEL_CAPTURE_H
#define PW_KERNEL_CAPTURE_H

#include <stdio.h>

#include "base/error.h"
#include "kernel/input.h"

#define PW_CAPTURE_VERSION 1

/* Makes *input write down in `file` all that is read from it. Takes over what it was. Errors of the file show in
 * ferror(). Returns 0, or -1 when out of memory: then *input is as before. */
int pw_capture_start(struct pw_input *input, FILE *file);

/* Ends the file and makes *input again what it was. */
void pw_capture_end(struct pw_input *input);

/* An input that replays a capture. Takes over `data` (from malloc(), freed also on failure). Returns 0, or -1 with
 * "offset N: ..." when this is no complete capture. */
int pw_capture_input(struct pw_input *input, void *data, size_t len, struct pw_error *err);

/* The same for a file, which is read whole; the error text starts with its path. */
int pw_capture_input_file(struct pw_input *input, const char *path, struct pw_error *err);

#endif

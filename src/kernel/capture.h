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

#define PW_RECORD_VERSION 1

/* The writer. Errors show in ferror(). */
void pw_record_begin(FILE *file);
void pw_record_stream(FILE *file, enum pw_stream stream);
void pw_record_data(FILE *file, const void *data, size_t len);
void pw_record_failure(FILE *file, int error);
void pw_record_end(FILE *file);

/* An input that replays a record. Takes over `data` (from malloc(), freed also on failure). Returns 0, or -1 with
 * "offset N: ..." when this is no complete record. */
int pw_record_input(struct pw_input *input, void *data, size_t len, struct pw_error *err);

/* The same for a file, which is read whole; the error text starts with its path. */
int pw_record_input_file(struct pw_input *input, const char *path, struct pw_error *err);

#endif

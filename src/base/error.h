/* SPDX-License-Identifier: BSD-2-Clause */
/* error.h: how a failure and its cause travel to the place that logs it */
#ifndef PW_BASE_ERROR_H
#define PW_BASE_ERROR_H

/* The text of the first failure of an operation. Functions that take one return 0 (or a valid pointer) on
 * success and -1 (or NULL) on failure, and fill `text` only on failure. The caller owns it; it may be NULL
 * where the caller does not care. */
struct pw_error {
	char text[512];
};

/* Writes a printf-style text, cut to the space there is; does nothing when `err` is NULL. Returns -1, so that a failing
 * function can say `return pw_error_set(err, ...)`. */
int pw_error_set(struct pw_error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif

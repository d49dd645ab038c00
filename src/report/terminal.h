/* SPDX-License-Identifier: BSD-2-Clause */
/* terminal.h: what the terminal can do, and how it is borrowed for --watch and given back */
#ifndef PW_REPORT_TERMINAL_H
#define PW_REPORT_TERMINAL_H

#include <stdbool.h>

#include "base/error.h"
#include "report/options.h"
#include "report/report.h"

/* What standard output can show. A pipe or file has width 0 and no colours (unless asked for by --color=always); a
 * terminal has colours unless TERM says that it has none or NO_COLOR is set (https://no-color.org). Call setlocale()
 * before. */
void pw_terminal_view(struct pw_view *view, enum pw_colour colour);

/* Reads the size of the terminal again; 80 x 24 where it is unknown. */
void pw_terminal_resize(struct pw_view *view);

/* Whether standard output is a terminal that understands the escape sequences of a redraw. */
bool pw_terminal_can_redraw(void);

/* Takes the terminal over: second screen, no cursor, keys without echo and without waiting for a newline. */
void pw_terminal_enter(void);

/* Gives it back as it was; does nothing when it was not taken. */
void pw_terminal_leave(void);

/* Replaces what is on the second screen by `frame`, of which at most `height` lines are shown. One write(), so that
 * nothing flickers. Returns 0, or -1 when the terminal is gone. */
int pw_terminal_draw(const char *frame, unsigned height);

#endif

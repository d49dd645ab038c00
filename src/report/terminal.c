/* SPDX-License-Identifier: BSD-2-Clause */
#include "report/terminal.h"

#include <ctype.h>
#include <errno.h>
#include <langinfo.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#define MIN_WIDTH 40
#define MAX_WIDTH 1000

/* Second screen on, cursor off; and back: colours off, cursor on, first screen. */
#define ENTER_SCREEN "\033[?1049h\033[?25l"
#define LEAVE_SCREEN "\033[0m\033[?25h\033[?1049l"

static struct termios saved_termios;
static bool have_termios, entered;

static bool is_dumb(const char *term)
{
	return term == NULL || term[0] == '\0' || strcmp(term, "dumb") == 0 || strcmp(term, "unknown") == 0;
}

void pw_terminal_view(struct pw_view *view, enum pw_colour colour)
{
	const char *term = getenv("TERM"), *no_color = getenv("NO_COLOR");
	const bool terminal = isatty(STDOUT_FILENO);

	*view = (struct pw_view){
		.colour = colour == PW_COLOUR_ALWAYS, .unicode = strcmp(nl_langinfo(CODESET), "UTF-8") == 0};
	/* vt100 and its kin are known to have no colours; every other one in use understands the eight of ISO 6429 */
	if (colour == PW_COLOUR_AUTO && terminal && (no_color == NULL || no_color[0] == '\0') && !is_dumb(term))
		view->colour = (strncmp(term, "vt", 2) != 0 || !isdigit((unsigned char)term[2])) &&
			strstr(term, "mono") == NULL;
	/* the fonts of the Linux console have full and half blocks only */
	view->fine_bars = view->unicode && (term == NULL || strcmp(term, "linux") != 0);
	if (terminal)
		pw_terminal_resize(view);
}

void pw_terminal_resize(struct pw_view *view)
{
	struct winsize size = {0};

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col == 0 || size.ws_row == 0)
		size = (struct winsize){.ws_col = 80, .ws_row = 24};
	view->width = size.ws_col < MIN_WIDTH ? MIN_WIDTH : size.ws_col > MAX_WIDTH ? MAX_WIDTH : size.ws_col;
	view->height = size.ws_row;
}

bool pw_terminal_can_redraw(void)
{
	return isatty(STDOUT_FILENO) && !is_dumb(getenv("TERM"));
}

/* Writes all of it. Returns -1 when the terminal is gone. */
static int write_all(const char *bytes, size_t len)
{
	while (len > 0) {
		struct pollfd writable = {.fd = STDOUT_FILENO, .events = POLLOUT};
		ssize_t n = write(STDOUT_FILENO, bytes, len);

		/* a terminal shared with a program that made it non-blocking */
		if (n < 0 && errno == EAGAIN)
			poll(&writable, 1, -1);
		else if (n < 0 && errno != EINTR)
			return -1;
		if (n > 0) {
			bytes += n;
			len -= (size_t)n;
		}
	}
	return 0;
}

void pw_terminal_enter(void)
{
	struct termios raw;

	have_termios = tcgetattr(STDIN_FILENO, &saved_termios) == 0;
	if (have_termios) {
		raw = saved_termios;
		raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
		raw.c_cc[VMIN] = 1;
		raw.c_cc[VTIME] = 0;
		tcsetattr(STDIN_FILENO, TCSADRAIN, &raw);
	}
	entered = true;
	write_all(ENTER_SCREEN, sizeof(ENTER_SCREEN) - 1);
}

void pw_terminal_leave(void)
{
	if (!entered)
		return;
	entered = false;
	write_all(LEAVE_SCREEN, sizeof(LEAVE_SCREEN) - 1);
	if (have_termios)
		tcsetattr(STDIN_FILENO, TCSADRAIN, &saved_termios);
}

int pw_terminal_draw(const char *frame, unsigned height)
{
	char *bytes = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&bytes, &len);
	int result;

	if (out == NULL)
		return -1;
	fputs("\033[H", out);
	for (unsigned line = 0; line < height && *frame != '\0'; line++) {
		size_t n = strcspn(frame, "\n");

		/* no newline behind the last line of the screen: it would scroll */
		fprintf(out, "%s%.*s\033[K", line > 0 ? "\r\n" : "", (int)n, frame);
		frame += n + (frame[n] == '\n');
	}
	fputs("\033[J", out);
	result = fclose(out) == 0 ? write_all(bytes, len) : -1;
	free(bytes);
	return result;
}

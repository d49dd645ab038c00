/* SPDX-License-Identifier: BSD-2-Clause */
#include "report/poll.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "report/terminal.h"

/* ^C as a key, where the terminal does not turn it into SIGINT. */
#define KEY_INTERRUPT 3

struct watch {
	struct pw_poller *poller;
	const struct pw_options *options;
	const struct pw_snapshot *snapshot;
	struct pw_report report;
	struct pw_view view;
	bool redraw; /* in place, on the second screen */
	int signals; /* signalfd */
	int deadly;  /* the signal to die of, 0 = none */
	bool quit;
};

static void drop_poll(struct watch *w)
{
	pw_selection_clear(&w->report.selection);
	pw_snapshot_unref(w->snapshot);
	w->snapshot = NULL;
}

static int take_poll(struct watch *w, struct pw_error *err)
{
	drop_poll(w);
	w->snapshot = pw_poller_poll(w->poller, &w->report, err);
	if (w->snapshot == NULL)
		return -1;
	if (pw_selection_make(&w->report.selection, w->snapshot, w->options) < 0)
		return pw_error_set(err, "out of memory");
	return 0;
}

static int print_frame(struct watch *w, FILE *out)
{
	int unused = 0;

	return pw_report_print(out, &w->report, w->options, &w->view, &unused);
}

static int draw(struct watch *w)
{
	char *frame = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&frame, &len);
	int result;

	if (out == NULL)
		return -1;
	result = print_frame(w, out);
	if (fclose(out) != 0 || result < 0)
		result = -1;
	else
		result = pw_terminal_draw(frame, w->view.height);
	free(frame);
	return result;
}

static void handle_signal(struct watch *w)
{
	struct signalfd_siginfo info;

	if (read(w->signals, &info, sizeof(info)) != (ssize_t)sizeof(info))
		return;
	switch (info.ssi_signo) {
	case SIGTSTP:
	case SIGCONT:
	case SIGWINCH:
		/* the shell gets the terminal, and gives it back when it lets us go on; whoever stopped us from outside
		 * may have changed it meanwhile */
		if (w->redraw && info.ssi_signo != SIGWINCH)
			pw_terminal_leave();
		if (info.ssi_signo == SIGTSTP)
			raise(SIGSTOP);
		if (!w->redraw)
			break;
		if (info.ssi_signo != SIGWINCH)
			pw_terminal_enter();
		pw_terminal_resize(&w->view);
		w->quit = draw(w) < 0;
		break;
	case SIGINT: w->quit = true; break;
	default: w->deadly = (int)info.ssi_signo; w->quit = true;
	}
}

/* Serves keys and signals until the next poll is due. */
static void wait_until(struct watch *w, uint64_t deadline_ms)
{
	struct pollfd fds[2] = {{.fd = w->signals, .events = POLLIN}, {.fd = STDIN_FILENO, .events = POLLIN}};
	uint64_t now_ms;
	char keys[64];
	ssize_t n;

	if (!w->redraw || !isatty(STDIN_FILENO))
		fds[1].fd = -1;
	while (!w->quit && (now_ms = pw_clock_boot_ms()) < deadline_ms) {
		if (poll(fds, 2, (int)(deadline_ms - now_ms)) < 0 && errno != EINTR)
			break;
		if (fds[0].revents != 0)
			handle_signal(w);
		if (fds[1].revents == 0)
			continue;
		n = read(STDIN_FILENO, keys, sizeof(keys));
		if (n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN))
			w->quit = true; /* the terminal hung up */
		for (ssize_t i = 0; i < n; i++)
			w->quit = w->quit || keys[i] == 'q' || keys[i] == 'Q' || keys[i] == KEY_INTERRUPT;
	}
}

/* Polls at fixed times, so that the interval does not grow by the time of a poll; one that is missed is left out. */
static int run(struct watch *w, struct pw_error *err)
{
	uint64_t due_ms = pw_clock_boot_ms(), now_ms;
	bool first = true;

	do {
		/* without a screen to draw on, each poll is set apart by an empty line */
		if (!first && !w->redraw && w->options->format == PW_FORMAT_TABLE)
			putchar('\n');
		if ((w->redraw ? draw(w) : print_frame(w, stdout)) < 0)
			return pw_error_set(err, "standard output: %s", strerror(errno));
		first = false;
		now_ms = pw_clock_boot_ms();
		do
			due_ms += w->options->watch_ms;
		while (due_ms <= now_ms);
		wait_until(w, due_ms);
	} while (!w->quit && take_poll(w, err) == 0);
	return w->quit ? 0 : -1;
}

static int open_signals(struct watch *w, sigset_t *old_mask)
{
	static const int caught[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH, SIGTSTP, SIGCONT};
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < sizeof(caught) / sizeof(caught[0]); i++)
		sigaddset(&set, caught[i]);
	sigprocmask(SIG_BLOCK, &set, old_mask);
	w->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return w->signals;
}

int pw_watch(struct pw_poller *poller, const struct pw_options *options)
{
	struct watch w = {.poller = poller, .options = options};
	struct pw_error err = {""};
	sigset_t old_mask;
	int result;

	pw_terminal_view(&w.view, options->colour);
	w.redraw = options->format == PW_FORMAT_TABLE && pw_terminal_can_redraw();
	if (!w.redraw)
		w.view.height = 0;
	if (open_signals(&w, &old_mask) < 0)
		result = pw_error_set(&err, "signalfd: %s", strerror(errno));
	else
		result = take_poll(&w, &err);
	if (result == 0) {
		if (w.redraw)
			pw_terminal_enter();
		result = run(&w, &err);
		pw_terminal_leave();
		w.view.height = 0;
		if (w.redraw && w.snapshot != NULL)
			print_frame(&w, stdout);
	}
	drop_poll(&w);
	if (w.deadly != 0) {
		signal(w.deadly, SIG_DFL);
		raise(w.deadly);
		sigprocmask(SIG_SETMASK, &old_mask, NULL);
	}
	if (result < 0)
		fprintf(stderr, "portwatch: %s\n", err.text);
	return result < 0 ? 1 : 0;
}

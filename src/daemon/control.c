/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/control.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "daemon/process.h"
#include "report/report.h"

enum { READERS = 256, BACKLOG = 1024, SILENT_MS = 1000, LIFE_MS = 20000, SWEEP_MS = 250 };

/* Documents that are kept, and for how long when nobody reads them. */
enum { TEXTS = 2, IDLE_MS = 10000 };

/* What the kernel keeps for a reader is no more than this, or twice of it. */
#define SEND_BUFFER 32768

struct text {
	char *octets; /* NULL = none */
	size_t len;
	unsigned readers;
	uint32_t generation; /* of the snapshot */
	uint64_t used_ms;    /* when somebody last began or ended to read it */
};

struct reader {
	int fd;
	struct text *text;
	size_t at; /* octets that were written */
	uint64_t since_ms, moved_ms;
};

struct pw_control {
	struct pw_exchange *exchange;
	struct pw_journal *journal;
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	int listener, stop; /* -1 = none; the latter is an eventfd */
	bool running;
	pthread_t thread;
	struct text texts[TEXTS]; /* of the thread, from here on */
	struct reader readers[READERS];
	size_t n;
	uint64_t accept_ms; /* not before: there is nothing to say yet, or no descriptor or memory left */
};

/* --- what is read --- */

/* As of the poll: ages are those at its end, so that the document of a snapshot is the same whenever it is read. */
static int render(const struct pw_control *c, const struct pw_snapshot *snapshot, struct text *text)
{
	const struct pw_options all = {.top = UINT32_MAX};
	const struct timespec wall = pw_clock_wall();
	const int64_t now_ms = (int64_t)wall.tv_sec * 1000 + wall.tv_nsec / 1000000;
	const int64_t poll_ms = now_ms - (int64_t)(pw_clock_boot_ms() - snapshot->poll_ms);
	struct pw_context context = {.snapshot = snapshot,
		.now_ms = snapshot->poll_ms,
		.wall = {.tv_sec = poll_ms / 1000, .tv_nsec = poll_ms % 1000 * 1000000}};
	struct pw_selection selection;
	struct pw_event *copy = NULL;
	struct pw_events events;
	FILE *out = open_memstream(&text->octets, &text->len);
	int rc = -1;

	if (out == NULL)
		return -1;
	pw_exchange_stats(c->exchange, &context.exchange);
	events.n = pw_journal_copy(c->journal, &copy);
	events.events = copy;
	if (pw_selection_make(&selection, snapshot, &all) == 0) {
		rc = pw_json_write(out, &selection, &context, &events);
		pw_selection_clear(&selection);
	}
	free(copy);
	if (fclose(out) == 0 && rc == 0)
		return 0;
	free(text->octets);
	text->octets = NULL;
	return -1;
}

/* That of the latest snapshot, else a new one in a free place, else the newest; NULL when there is none. */
static struct text *text_of(struct pw_control *c, const struct pw_snapshot *snapshot)
{
	struct text *newest = NULL, *place = NULL;

	for (size_t i = 0; i < TEXTS; i++) {
		struct text *t = &c->texts[i];

		if (t->octets != NULL && (newest == NULL || t->generation - newest->generation < UINT32_MAX / 2))
			newest = t;
		if (t->readers == 0 && (place == NULL || t->octets == NULL))
			place = t;
	}
	if (place == NULL || (newest != NULL && newest->generation == snapshot->generation))
		return newest;
	free(place->octets);
	*place = (struct text){.generation = snapshot->generation};
	return render(c, snapshot, place) == 0 ? place : NULL;
}

/* --- who reads it --- */

static void end_reader(struct pw_control *c, size_t i, uint64_t now_ms)
{
	struct reader *r = &c->readers[i];

	close(r->fd);
	r->text->readers--;
	r->text->used_ms = now_ms;
	*r = c->readers[--c->n];
}

/* Writes what goes without waiting. Returns whether there is more to write, and somebody to read it. */
static bool serve(struct reader *r, uint64_t now_ms)
{
	while (r->at < r->text->len) {
		ssize_t n = send(r->fd, r->text->octets + r->at, r->text->len - r->at, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno == EAGAIN)
			return true;
		if (n < 0 && errno != EINTR)
			return false;
		if (n > 0) {
			r->at += (size_t)n;
			r->moved_ms = now_ms;
		}
	}
	return false;
}

/* What a reader says is not read. Returns false when nobody waits any more, or nobody can be served now. */
static bool accept_reader(struct pw_control *c, const struct pw_snapshot *snapshot, uint64_t now_ms)
{
	const int size = SEND_BUFFER;
	struct text *text = text_of(c, snapshot);
	int fd;

	if (text == NULL) {
		c->accept_ms = now_ms + SWEEP_MS;
		return false;
	}
	/* cppcheck-suppress nullPointer */
	fd = accept4(c->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0 && errno != EAGAIN && errno != ECONNABORTED && errno != EINTR)
		c->accept_ms = now_ms + SWEEP_MS;
	if (fd < 0)
		return errno == ECONNABORTED || errno == EINTR;
	text->used_ms = now_ms;
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	shutdown(fd, SHUT_RD);
	text->readers++;
	c->readers[c->n++] = (struct reader){.fd = fd, .text = text, .since_ms = now_ms, .moved_ms = now_ms};
	if (!serve(&c->readers[c->n - 1], now_ms))
		end_reader(c, c->n - 1, now_ms);
	return true;
}

static void serve_readers(struct pw_control *c, const struct pollfd *fds)
{
	const uint64_t now_ms = pw_clock_boot_ms();

	/* from the end: the last one comes into the place of one that ends */
	for (size_t i = c->n; i-- > 0;) {
		struct reader *r = &c->readers[i];

		if ((fds[i].revents != 0 && !serve(r, now_ms)) || now_ms - r->moved_ms >= SILENT_MS ||
			now_ms - r->since_ms >= LIFE_MS)
			end_reader(c, i, now_ms);
	}
	for (size_t i = 0; i < TEXTS; i++)
		if (c->texts[i].readers == 0 && now_ms - c->texts[i].used_ms >= IDLE_MS) {
			free(c->texts[i].octets);
			c->texts[i] = (struct text){0};
		}
}

static void *run(void *context)
{
	struct pw_control *c = context;
	const struct pw_snapshot *snapshot;
	struct pollfd fds[2 + READERS] = {{.fd = c->stop, .events = POLLIN}};

	pw_schedule_as_batch();
	while (fds[0].revents == 0) {
		const size_t n = c->n;
		const bool rests = pw_clock_boot_ms() < c->accept_ms;
		int wait_ms = -1;

		for (size_t i = 0; i < TEXTS; i++)
			if (c->texts[i].octets != NULL)
				wait_ms = IDLE_MS;
		if (n > 0 || rests)
			wait_ms = SWEEP_MS;
		fds[1] = (struct pollfd){.fd = n < READERS && !rests ? c->listener : -1, .events = POLLIN};
		for (size_t i = 0; i < n; i++)
			fds[2 + i] = (struct pollfd){.fd = c->readers[i].fd, .events = POLLOUT};
		if (poll(fds, 2 + n, wait_ms) < 0 && errno != EINTR)
			break;
		serve_readers(c, fds + 2);
		if (fds[1].revents == 0)
			continue;
		snapshot = pw_exchange_snapshot(c->exchange);
		if (snapshot == NULL)
			c->accept_ms = pw_clock_boot_ms() + SWEEP_MS;
		/* not without end: those who read already have their turn as well */
		for (unsigned i = 0; i < READERS && c->n < READERS && snapshot != NULL; i++)
			if (!accept_reader(c, snapshot, pw_clock_boot_ms()))
				break;
		pw_snapshot_unref(snapshot);
	}
	return NULL;
}

/* --- start and stop --- */

static int open_listener(struct pw_control *c, struct pw_error *err)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const struct sockaddr *to = (const struct sockaddr *)&address;
	struct stat st;
	bool answered;
	int fd;

	memcpy(address.sun_path, c->path, sizeof(c->path));
	/* another daemon that is alive keeps its socket */
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	answered = fd >= 0 && (connect(fd, to, sizeof(address)) == 0 || errno == EAGAIN);
	if (fd >= 0)
		close(fd);
	if (answered)
		return pw_error_set(err, "control: %s: another process listens there", c->path);
	if (lstat(c->path, &st) == 0 && S_ISSOCK(st.st_mode))
		unlink(c->path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0 && bind(fd, to, sizeof(address)) == 0) {
		if (chmod(c->path, 0660) == 0 && listen(fd, BACKLOG) == 0)
			return fd;
		pw_error_set(err, "control: %s: %s", c->path, strerror(errno));
		unlink(c->path);
	} else {
		pw_error_set(err, "control: %s: %s", c->path, strerror(errno));
	}
	if (fd >= 0)
		close(fd);
	return -1;
}

struct pw_control *pw_control_start(
	const char *path, struct pw_exchange *exchange, struct pw_journal *journal, struct pw_error *err)
{
	struct pw_control *c = calloc(1, sizeof(*c));

	if (c == NULL) {
		pw_error_set(err, "control: out of memory");
		return NULL;
	}
	c->exchange = exchange;
	c->journal = journal;
	c->listener = -1;
	snprintf(c->path, sizeof(c->path), "%s", path);
	c->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (c->stop < 0)
		pw_error_set(err, "control: %s", strerror(errno));
	else
		c->listener = open_listener(c, err);
	if (c->listener >= 0) {
		int rc = pthread_create(&c->thread, NULL, run, c);

		c->running = rc == 0;
		if (c->running)
			return c;
		pw_error_set(err, "control: thread: %s", strerror(rc));
	}
	pw_control_stop(c);
	return NULL;
}

void pw_control_stop(struct pw_control *c)
{
	if (c == NULL)
		return;
	if (c->running) {
		eventfd_write(c->stop, 1);
		pthread_join(c->thread, NULL);
	}
	while (c->n > 0)
		end_reader(c, c->n - 1, 0);
	for (size_t i = 0; i < TEXTS; i++)
		free(c->texts[i].octets);
	if (c->listener >= 0) {
		unlink(c->path);
		close(c->listener);
	}
	if (c->stop >= 0)
		close(c->stop);
	free(c);
}

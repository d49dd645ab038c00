/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/state_file.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"

/* Far more than 20,000 alarms with their histories take. */
#define SIZE_MAX_READ (64u << 20)

struct pw_state_file {
	char *path, *new_path;
	const char *loses;
	pthread_t thread;
	pthread_mutex_t mutex; /* over what follows */
	pthread_cond_t changed;
	char *text; /* to be written, or NULL */
	size_t len;
	uint64_t number; /* of the text */
	pw_state_file_done *done;
	void *context;
	bool writing, ending;
	bool failed; /* the last text could not be written, and the log says so; of the thread alone */
};

/* --- the thread --- */

/* A reader, and a process that ends at any moment, sees the old file or the new one. */
static int replace(const struct pw_state_file *file, const char *text, size_t len)
{
	int fd = open(file->new_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, S_IRUSR | S_IWUSR), rc = 0;

	if (fd < 0)
		return -1;
	while (len > 0 && rc == 0) {
		ssize_t n = write(fd, text, len);

		if (n < 0 && errno != EINTR)
			rc = -1;
		text += n > 0 ? n : 0;
		len -= n > 0 ? (size_t)n : 0;
	}
	if (rc == 0)
		rc = fsync(fd);
	if (close(fd) < 0)
		rc = -1;
	return rc == 0 ? rename(file->new_path, file->path) : -1;
}

static void *run(void *context)
{
	struct pw_state_file *file = context;

	pthread_mutex_lock(&file->mutex);
	while (file->text != NULL || !file->ending) {
		char *text = file->text;
		size_t len = file->len;
		const uint64_t number = file->number;

		if (text == NULL) {
			pthread_cond_wait(&file->changed, &file->mutex);
			continue;
		}
		file->text = NULL;
		file->writing = true;
		pthread_mutex_unlock(&file->mutex);
		if (replace(file, text, len) == 0) {
			file->failed = false;
		} else if (!file->failed) {
			pw_log(LOG_WARNING, "%s: %s: a restart will not know %s", file->path, strerror(errno),
				file->loses);
			file->failed = true;
		}
		free(text);
		pthread_mutex_lock(&file->mutex);
		file->writing = false;
		if (file->done != NULL)
			file->done(file->context, number);
		pthread_cond_broadcast(&file->changed);
	}
	pthread_mutex_unlock(&file->mutex);
	return NULL;
}

/* --- outside --- */

static void free_file(struct pw_state_file *file)
{
	pthread_cond_destroy(&file->changed);
	pthread_mutex_destroy(&file->mutex);
	free(file->text);
	free(file->path);
	free(file->new_path);
	free(file);
}

struct pw_state_file *pw_state_file_new(
	const char *path, const char *loses, pw_state_file_done *done, void *context, struct pw_error *err)
{
	struct pw_state_file *file = calloc(1, sizeof(*file));
	pthread_condattr_t attributes;
	sigset_t all, before;
	int rc = ENOMEM;

	if (file == NULL) {
		pw_error_set(err, "%s: %s", path, strerror(rc));
		return NULL;
	}
	pthread_mutex_init(&file->mutex, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&file->changed, &attributes);
	pthread_condattr_destroy(&attributes);
	file->loses = loses;
	file->done = done;
	file->context = context;
	file->path = strdup(path);
	if (asprintf(&file->new_path, "%s.new", path) < 0)
		file->new_path = NULL;
	if (file->path != NULL && file->new_path != NULL) {
		/* signals belong to the main thread */
		sigfillset(&all);
		pthread_sigmask(SIG_BLOCK, &all, &before);
		rc = pthread_create(&file->thread, NULL, run, file);
		pthread_sigmask(SIG_SETMASK, &before, NULL);
	}
	if (rc == 0)
		return file;
	pw_error_set(err, "%s: %s", path, strerror(rc));
	free_file(file);
	return NULL;
}

char *pw_state_file_read(const struct pw_state_file *file, size_t *len, struct pw_error *err)
{
	int fd = open(file->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct stat status;
	char *text = NULL;
	ssize_t n = -1;

	err->text[0] = '\0';
	if (fd < 0 && errno == ENOENT)
		return NULL;
	if (fd >= 0 && fstat(fd, &status) == 0) {
		errno = S_ISREG(status.st_mode) && status.st_size < (off_t)SIZE_MAX_READ ? ENOMEM : EFBIG;
		text = errno == ENOMEM ? malloc((size_t)status.st_size + 1) : NULL;
		n = text != NULL ? read(fd, text, (size_t)status.st_size) : -1;
	}
	if (n < 0) {
		pw_error_set(err, "%s", strerror(errno));
		free(text);
		text = NULL;
	}
	if (fd >= 0)
		close(fd);
	*len = n < 0 ? 0 : (size_t)n;
	return text;
}

void pw_state_file_write(struct pw_state_file *file, char *text, size_t len, uint64_t number)
{
	pthread_mutex_lock(&file->mutex);
	free(file->text);
	file->text = text;
	file->len = len;
	file->number = number;
	pthread_cond_broadcast(&file->changed);
	pthread_mutex_unlock(&file->mutex);
}

void pw_state_file_close(struct pw_state_file *file, unsigned timeout_ms)
{
	struct timespec until;
	int rc = 0;
	bool done;

	if (file == NULL)
		return;
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
	until.tv_sec += timeout_ms / 1000 + until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	pthread_mutex_lock(&file->mutex);
	file->ending = true;
	pthread_cond_broadcast(&file->changed);
	while ((file->text != NULL || file->writing) && rc != ETIMEDOUT)
		rc = pthread_cond_timedwait(&file->changed, &file->mutex, &until);
	done = file->text == NULL && !file->writing;
	file->done = NULL; /* who asked for it ends */
	pthread_mutex_unlock(&file->mutex);
	if (!done) {
		pw_log(LOG_WARNING, "%s: the disk hangs: ending without it", file->path);
		pthread_detach(file->thread);
		return;
	}
	pthread_join(file->thread, NULL);
	free_file(file);
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include <config.h>

#include "daemon/metrics.h"

#ifdef HAVE_LIBMICROHTTPD

#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "report/report.h"

enum { CONNECTIONS = 32, SILENT_S = 10, LIFE_MS = 20000, REQUEST_MAX = 8192, BACKLOG = 1024 };

/* Texts that are kept, and for how long one is fresh. */
enum { TEXTS = 4, FRESH_MS = 1000 };

#define CONTENT_TYPE "application/openmetrics-text; version=1.0.0; charset=utf-8"

struct text {
	struct MHD_Response *response; /* NULL = none */
	char *octets;
	unsigned readers; /* connections that still read it */
	uint64_t rendered_ms;
};

struct pw_metrics {
	struct MHD_Daemon *http;
	struct pw_exchange *exchange;
	struct text texts[TEXTS]; /* of libmicrohttpd's thread */
	pthread_mutex_t mutex;
	struct {
		int fd; /* -1 = none */
		uint64_t since_ms;
	} connections[CONNECTIONS];
};

/* --- what is read --- */

static int render(struct pw_metrics *m, const struct pw_snapshot *snapshot, struct text *text)
{
	const struct pw_options all = {.top = UINT32_MAX};
	struct pw_context context = {.snapshot = snapshot, .now_ms = pw_clock_boot_ms(), .wall = pw_clock_wall()};
	struct pw_selection selection;
	size_t size = 0;
	FILE *out = open_memstream(&text->octets, &size);
	int rc = -1;

	if (out == NULL)
		return -1;
	pw_exchange_stats(m->exchange, &context.exchange);
	if (pw_selection_make(&selection, snapshot, &all) == 0) {
		rc = pw_openmetrics_write(out, &selection, &context, true);
		pw_selection_clear(&selection);
	}
	if (fclose(out) != 0 || rc < 0) {
		free(text->octets);
		return -1;
	}
	text->response = MHD_create_response_from_buffer(size, text->octets, MHD_RESPMEM_MUST_FREE);
	if (text->response == NULL) {
		free(text->octets);
		return -1;
	}
	MHD_add_response_header(text->response, MHD_HTTP_HEADER_CONTENT_TYPE, CONTENT_TYPE);
	MHD_add_response_header(text->response, MHD_HTTP_HEADER_CONNECTION, "close");
	text->rendered_ms = context.now_ms;
	return 0;
}

/* A text of this second, else a new one in a free place, else the newest that there is; NULL when there is none. */
static struct text *text_of(struct pw_metrics *m, const struct pw_snapshot *snapshot)
{
	struct text *newest = NULL, *place = NULL;

	for (size_t i = 0; i < TEXTS; i++) {
		struct text *t = &m->texts[i];

		if (t->response != NULL && (newest == NULL || t->rendered_ms > newest->rendered_ms))
			newest = t;
		if (t->readers == 0 && (place == NULL || t->rendered_ms < place->rendered_ms))
			place = t;
	}
	if (place == NULL || (newest != NULL && pw_clock_boot_ms() - newest->rendered_ms < FRESH_MS))
		return newest;
	if (place->response != NULL)
		MHD_destroy_response(place->response);
	*place = (struct text){0};
	return render(m, snapshot, place) == 0 ? place : NULL;
}

static enum MHD_Result answer_text(struct MHD_Connection *connection, unsigned status, const char *text)
{
	struct MHD_Response *response = MHD_create_response_from_buffer(
		strlen(text), (char *)(uintptr_t)text, MHD_RESPMEM_MUST_COPY);
	enum MHD_Result rc = MHD_NO;

	if (response == NULL)
		return MHD_NO;
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, "text/plain; charset=utf-8");
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
	if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
		MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET");
	rc = MHD_queue_response(connection, status, response);
	MHD_destroy_response(response);
	return rc;
}

static enum MHD_Result on_request(void *context, struct MHD_Connection *connection, const char *url, const char *method,
	const char *version, const char *upload, size_t *upload_size, void **request)
{
	struct pw_metrics *m = context;
	const struct pw_snapshot *snapshot;
	enum MHD_Result rc = MHD_NO;

	(void)version;
	(void)upload;
	(void)upload_size;
	if (strcmp(method, MHD_HTTP_METHOD_GET) != 0)
		return answer_text(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET\n");
	if (strcmp(url, "/metrics") != 0 && strcmp(url, "/health") != 0)
		return answer_text(connection, MHD_HTTP_NOT_FOUND, "/metrics or /health\n");
	snapshot = pw_exchange_snapshot(m->exchange);
	if (snapshot == NULL)
		return answer_text(connection, MHD_HTTP_SERVICE_UNAVAILABLE, "no poll yet\n");
	if (url[1] == 'm') {
		struct text *text = text_of(m, snapshot);

		if (text == NULL) {
			rc = answer_text(connection, MHD_HTTP_SERVICE_UNAVAILABLE, "out of memory\n");
		} else {
			text->readers++;
			*request = text;
			rc = MHD_queue_response(connection, MHD_HTTP_OK, text->response);
		}
	} else {
		const uint64_t age_ms = pw_clock_boot_ms() - snapshot->poll_ms;
		/* the last three polls were not all missed */
		const bool healthy = age_ms <= 3 * (uint64_t)snapshot->poll_interval_ms + LIFE_MS;
		char text[64];

		snprintf(text, sizeof(text), "the last poll was %llu ms ago\n", (unsigned long long)age_ms);
		rc = answer_text(connection, healthy ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE, text);
	}
	pw_snapshot_unref(snapshot);
	return rc;
}

static void on_completed(
	void *context, struct MHD_Connection *connection, void **request, enum MHD_RequestTerminationCode code)
{
	struct text *text = *request;

	(void)context;
	(void)connection;
	(void)code;
	if (text != NULL)
		text->readers--;
	*request = NULL;
}

/* --- how long it is read --- */

static void on_connection(
	void *context, struct MHD_Connection *connection, void **unused, enum MHD_ConnectionNotificationCode code)
{
	int fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
	int wanted = code == MHD_CONNECTION_NOTIFY_STARTED ? -1 : fd;
	struct pw_metrics *m = context;

	(void)unused;
	pthread_mutex_lock(&m->mutex);
	for (size_t i = 0; i < CONNECTIONS; i++)
		if (m->connections[i].fd == wanted) {
			m->connections[i].fd = wanted < 0 ? fd : -1;
			m->connections[i].since_ms = pw_clock_boot_ms();
			break;
		}
	pthread_mutex_unlock(&m->mutex);
}

void pw_metrics_sweep(struct pw_metrics *m)
{
	uint64_t now_ms = pw_clock_boot_ms();

	if (m == NULL)
		return;
	pthread_mutex_lock(&m->mutex);
	for (size_t i = 0; i < CONNECTIONS; i++)
		if (m->connections[i].fd >= 0 && now_ms - m->connections[i].since_ms >= LIFE_MS)
			shutdown(m->connections[i].fd, SHUT_RDWR);
	pthread_mutex_unlock(&m->mutex);
}

/* --- start and stop --- */

static struct addrinfo *resolve(const char *listen)
{
	const struct addrinfo hints = {
		.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE, .ai_socktype = SOCK_STREAM};
	const char *colon = strrchr(listen, ':');
	size_t len = colon != NULL ? (size_t)(colon - listen) : 0;
	struct addrinfo *found = NULL;
	char host[256];

	if (len == 0 || len >= sizeof(host))
		return NULL;
	if (listen[0] == '[' && listen[len - 1] == ']')
		snprintf(host, sizeof(host), "%.*s", (int)len - 2, listen + 1);
	else
		snprintf(host, sizeof(host), "%.*s", (int)len, listen);
	return getaddrinfo(host, colon + 1, &hints, &found) == 0 ? found : NULL;
}

struct pw_metrics *pw_metrics_start(const char *listen, struct pw_exchange *exchange, struct pw_error *err)
{
	struct addrinfo *address = resolve(listen);
	struct pw_metrics *m = calloc(1, sizeof(*m));

	if (address == NULL || m == NULL) {
		if (address == NULL)
			pw_error_set(err, "metrics: '%s' is no address of the form ADDRESS:PORT", listen);
		else
			pw_error_set(err, "metrics: out of memory");
		if (address != NULL)
			freeaddrinfo(address);
		free(m);
		return NULL;
	}
	m->exchange = exchange;
	pthread_mutex_init(&m->mutex, NULL);
	for (size_t i = 0; i < CONNECTIONS; i++)
		m->connections[i].fd = -1;
	m->http = MHD_start_daemon(
		MHD_USE_EPOLL_INTERNAL_THREAD | (address->ai_family == AF_INET6 ? (unsigned)MHD_USE_IPv6 : 0), 0, NULL,
		NULL, on_request, m, MHD_OPTION_SOCK_ADDR, address->ai_addr, MHD_OPTION_CONNECTION_LIMIT,
		(unsigned)CONNECTIONS, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)SILENT_S,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)REQUEST_MAX, MHD_OPTION_LISTEN_BACKLOG_SIZE,
		(unsigned)BACKLOG, MHD_OPTION_NOTIFY_COMPLETED, on_completed, m, MHD_OPTION_NOTIFY_CONNECTION,
		on_connection, m, MHD_OPTION_END);
	freeaddrinfo(address);
	if (m->http != NULL)
		return m;
	pw_error_set(err, "metrics: can't listen at %s: %s", listen, strerror(errno));
	pw_metrics_stop(m);
	return NULL;
}

void pw_metrics_stop(struct pw_metrics *m)
{
	if (m == NULL)
		return;
	if (m->http != NULL)
		MHD_stop_daemon(m->http);
	for (size_t i = 0; i < TEXTS; i++)
		if (m->texts[i].response != NULL)
			MHD_destroy_response(m->texts[i].response);
	pthread_mutex_destroy(&m->mutex);
	free(m);
}

#else

struct pw_metrics *pw_metrics_start(const char *listen, struct pw_exchange *exchange, struct pw_error *err)
{
	(void)exchange;
	pw_error_set(err, "metrics: can't listen at %s: portwatchd was built without libmicrohttpd", listen);
	return NULL;
}

void pw_metrics_sweep(struct pw_metrics *metrics)
{
	(void)metrics;
}

void pw_metrics_stop(struct pw_metrics *metrics)
{
	(void)metrics;
}

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* metrics.h: GET /metrics and GET /health over HTTP/1.1, for Prometheus
 *
 * In a thread of its own (libmicrohttpd's), which shares nothing with the others but the latest snapshot. A reader
 * can't hold up anything else, and all together can take so much: 32 connections at a time (the rest waits in the
 * backlog), each for one request and 20 s at most; what they read is rendered at most once a second, and four texts
 * are kept at most, of which the newest is given to whoever comes while all are being read. */
#ifndef PW_DAEMON_METRICS_H
#define PW_DAEMON_METRICS_H

#include "base/error.h"
#include "watch/exchange.h"

struct pw_metrics;

/* Listens at "ADDRESS:PORT" or "[ADDRESS]:PORT", without names. The exchange is borrowed. NULL with an error when
 * that is no such address, when it can't be had, or when this program was built without libmicrohttpd. */
struct pw_metrics *pw_metrics_start(const char *listen, struct pw_exchange *exchange, struct pw_error *err);

/* Ends connections that last too long; to be called every few seconds. */
void pw_metrics_sweep(struct pw_metrics *metrics);

/* Waits for its thread, which waits for nobody. NULL is allowed. */
void pw_metrics_stop(struct pw_metrics *metrics);

#endif

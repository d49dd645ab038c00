/* SPDX-License-Identifier: BSD-2-Clause */
#include "watch_fixture.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void fixture_start(struct fixture *f)
{
	memset(f, 0, sizeof(*f));
	pw_policy_defaults(&f->policy);
	f->census = pw_census_new(1);
	f->sockets = calloc(FIXTURE_SOCKETS, sizeof(*f->sockets));
	f->events = calloc(FIXTURE_EVENTS, sizeof(*f->events));
	assert_non_null(f->census);
	assert_non_null(f->sockets);
	assert_non_null(f->events);
	f->ns = (struct pw_ns_poll){
		.index = 1, .name = "", .census = f->census, .sources = {pw_census_source(f->census)}};
	f->ns.sources[PW_SOURCE_SOCKETS]->fresh = true;
	f->poll = (struct pw_poll){
		.now_ms = 1000000, .wall.tv_sec = 1700000000, .interval_ms = 10000, .ns = &f->ns, .n_ns = 1};
	f->range = (struct pw_range){.tw_reuse = PW_TW_REUSE_LOOPBACK, .tw_reuse_delay_ms = 1000, .timestamps = true};
	fixture_range(f, 40000, 40999);
}

void fixture_stop(struct fixture *f)
{
	pw_snapshot_unref(f->snapshot);
	pw_monitor_free(f->monitor);
	pw_census_free(f->census);
	free(f->sockets);
	free(f->events);
}

void fixture_range(struct fixture *f, uint16_t low, uint16_t high)
{
	f->range.low = low;
	f->range.high = high;
}

static struct pw_socket *new_socket(struct fixture *f, const char *local, uint8_t protocol, uint16_t port)
{
	struct pw_socket *s = &f->sockets[f->n_sockets++];
	struct pw_address address;

	assert_true(f->n_sockets < FIXTURE_SOCKETS);
	assert_int_equal(pw_address_parse(&address, local), 0);
	*s = (struct pw_socket){.cookie = ++f->last_cookie, .local_port = port, .protocol = protocol};
	s->family = (uint8_t)address.family;
	memcpy(s->local, address.bytes, sizeof(s->local));
	return s;
}

void fixture_add(struct fixture *f, const char *local, const char *remote, uint16_t port, uint16_t first, unsigned step,
	unsigned n, enum pw_socket_state state)
{
	struct pw_address address;

	assert_int_equal(pw_address_parse(&address, remote), 0);
	for (unsigned i = 0; i < n; i++) {
		struct pw_socket *s = new_socket(f, local, IPPROTO_TCP, (uint16_t)(first + i * step));

		memcpy(s->remote, address.bytes, sizeof(s->remote));
		s->remote_port = port;
		s->state = (uint8_t)state;
		s->flags = PW_SOCKET_NO_PORT; /* connect-owned for certain */
		s->expires_ms = state == PW_TIME_WAIT ? 60000 : 0;
	}
}

void fixture_connects(struct fixture *f, const char *local, const char *remote, uint16_t port, unsigned n)
{
	fixture_add(f, local, remote, port, f->range.low, 1, n, PW_ESTABLISHED);
}

void fixture_udp(struct fixture *f, const char *local, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		new_socket(f, local, IPPROTO_UDP, (uint16_t)(f->range.low + i))->state = PW_CLOSE;
}

void fixture_binds(struct fixture *f, const char *local, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		new_socket(f, local, IPPROTO_TCP, (uint16_t)(f->range.high - i))->state = PW_CLOSE;
}

static void count(struct fixture *f)
{
	pw_census_begin(f->census, &f->range);
	if (f->ns.status == PW_POLL_COUNTED)
		assert_int_equal(pw_census_add(f->census, f->sockets, f->n_sockets), 0);
	pw_census_finish(f->census);
	f->ns.sources[PW_SOURCE_SOCKETS]->fresh = f->ns.status == PW_POLL_COUNTED;
}

void fixture_answer(struct fixture *f)
{
	struct pw_question *questions;
	size_t n = pw_monitor_questions(f->monitor, &questions);

	for (size_t i = 0; i < n; i++) {
		if (f->median != NULL && questions[i].wants_measured) {
			questions[i].latency_us = f->median(&questions[i].key);
			questions[i].latency_p99_us = 10 * questions[i].latency_us;
		}
		if (questions[i].wants_zone && f->ifname != NULL) {
			const char *name = f->ifname(questions[i].key.local.zone);

			snprintf(
				questions[i].zone_name, sizeof(questions[i].zone_name), "%s", name != NULL ? name : "");
		}
		if (questions[i].ns != NULL && questions[i].wants_owner &&
			questions[i].ns->sources[pw_kind_source(questions[i].key.kind)] != NULL)
			pw_source_owner_text(questions[i].ns->sources[pw_kind_source(questions[i].key.kind)],
				&questions[i].key, f->owner_name, f->context, questions[i].parts, &questions[i].states,
				questions[i].owner);
		if (questions[i].wants_latency && questions[i].latency_us == 0 && f->alloc_latency != NULL)
			questions[i].latency_us = f->alloc_latency(&questions[i].key);
		if (f->last_id != NULL)
			questions[i].event_id = f->last_id(&questions[i].key);
	}
}

void fixture_poll(struct fixture *f)
{
	if (f->monitor == NULL)
		f->monitor = pw_monitor_new(&f->policy, f->poll.wall);
	assert_non_null(f->monitor);
	count(f);
	f->poll.now_ms += f->poll.interval_ms;
	f->poll.wall.tv_sec += f->poll.interval_ms / 1000;
	f->n_events = 0;
	pw_snapshot_unref(f->snapshot);
	pw_monitor_take(f->monitor, &f->poll);
	fixture_answer(f);
	while (pw_monitor_event(f->monitor, &f->events[f->n_events]))
		assert_true(++f->n_events < FIXTURE_EVENTS);
	f->snapshot = pw_monitor_build(f->monitor);
	f->n_sockets = 0;
}

void fixture_poll_connects(struct fixture *f, unsigned n)
{
	fixture_connects(f, "10.0.0.1", "10.0.0.9", 443, n);
	fixture_poll(f);
}

const struct pw_pool_row *fixture_row(const struct fixture *f, const char *name)
{
	assert_non_null(f->snapshot);
	for (size_t i = 0; i < f->snapshot->n_pools; i++)
		if (strcmp(f->snapshot->pools[i].name, name) == 0)
			return &f->snapshot->pools[i];
	return NULL;
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "agent/window.h"

#include "agent/transport.h"
#include "base/log.h"

/* A refused notification is owed again, but not at once. */
enum { REFUSED_PAUSE_MS = 5000 };

static struct pw_slot *free_slot(struct pw_window *w)
{
	for (size_t i = 0; i < PW_WINDOW_SIZE; i++)
		if (w->slots[i].session == NULL)
			return &w->slots[i];
	return NULL;
}

static bool window_ready(void *context)
{
	struct pw_window *w = context;

	return w->session->session != NULL && !pw_timer_runs(&w->pause) && free_slot(w) != NULL;
}

static void pause_over(void *context)
{
	struct pw_window *w = context;

	pw_notifier_pump(w->notifier);
}

static void refused(struct pw_window *w, uint32_t id, long error)
{
	pw_log(LOG_ERR, "the AgentX master agent refuses notification %u (error %ld); trying again in %d s", id, error,
		REFUSED_PAUSE_MS / 1000);
	pw_handover_return(w->notifier->handover, id);
	pw_timer_start(&w->pause, REFUSED_PAUSE_MS, pause_over, w);
}

/* The library also calls this for what was under way when it frees an ended session (that is owed again already, and the slot may
 * belong to a newer one), and when a send fails (the sender tells that itself). */
static int on_answer(int operation, netsnmp_session *session, int request, netsnmp_pdu *pdu, void *magic)
{
	struct pw_slot *slot = magic;
	struct pw_window *w = slot->window;

	(void)request;
	if (slot->session == NULL || session != slot->session)
		return 1;
	if (operation == NETSNMP_CALLBACK_OP_TIMED_OUT)
		pw_transport_cut("it does not answer a notification");
	if (operation != NETSNMP_CALLBACK_OP_RECEIVED_MESSAGE)
		return 1;
	slot->session = NULL;
	if (pdu->errstat == 0)
		pw_handover_acknowledge(w->notifier->handover, slot->id);
	else
		refused(w, slot->id, pdu->errstat);
	pw_notifier_pump(w->notifier);
	return 1;
}

static int window_send(void *context, const struct pw_event *event, netsnmp_variable_list *varbinds)
{
	struct pw_window *w = context;
	struct pw_slot *slot = free_slot(w);

	if (slot == NULL) {
		snmp_free_varbind(varbinds);
		return -1;
	}
	slot->id = event->id;
	if (pw_session_notify(w->session, varbinds, on_answer, slot) < 0)
		return -1;
	slot->session = w->session->session;
	return 0;
}

void pw_window_init(struct pw_window *w, struct pw_session *session, struct pw_notifier *notifier)
{
	w->session = session;
	w->notifier = notifier;
	w->sender = (struct pw_sender){.ready = window_ready, .send = window_send, .context = w};
	for (size_t i = 0; i < PW_WINDOW_SIZE; i++)
		w->slots[i].window = w;
}

void pw_window_session_changed(struct pw_window *w)
{
	for (size_t i = 0; i < PW_WINDOW_SIZE; i++)
		w->slots[i].session = NULL;
	pw_timer_stop(&w->pause);
	if (w->session->session == NULL)
		pw_handover_return_all(w->notifier->handover);
	else
		pw_notifier_pump(w->notifier);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* The rules by which notifications are owed (src/watch/owed.h), over every order of what can happen to them
 *
 * One pool whose state crosses thresholds, the exchange, and a receiver behind a connection that can break at any moment. Pools do
 * not know of each other but for the rate limit, which is here a choice to take nothing. The names of the rules are those of
 * owed.h and of tests/unit/test_exchange.c; a rule that does not hold is an assertion that fails. After a restart the receiver may
 * hear of what it knows once more, or that something is over of which it never heard: what was under way is not known for certain.
 * Nothing new is sent until the state file that records it is on disk, so what the file calls certain is certain (foreseen). A disk
 * that hangs for longer than the hold is beyond the model: the hold ends then, and foreseen is given up for the alarm.
 *
 * States are 0 (normal) to 2. An id is a small number that goes on; 0 is none. `make model-check` runs it with and without a state
 * file (RESTARTS: 0 the process never restarts, 1 it restarts with the state file as of any moment after an acknowledgement). */
#ifndef RESTARTS
#define RESTARTS 0
#endif

#define STATES 3
#define CROSSINGS 4 /* bounds the search; more add no new order of two events */
#define BREAKS 2
#define RESTARTS_MAX 2

byte now = 0;            /* the state that the collector knows */
byte posted = 0;         /* what it has posted last (pool->posted) */
byte crossings = 0, breaks = 0, restarts = 0;
byte next_id = 1;

/* the entry of the exchange */
byte acknowledged = 0;
bool has_pending = false;
byte pending = 0, pending_id = 0;
bool has_sent = false, in_flight = false;
bool uncertain = false; /* what was acknowledged is not known for certain, since a restart */
byte sent = 0, sent_previous = 0, sent_id = 0;

/* the connection: one notification may be on it, then its answer */
chan wire = [1] of { byte, byte, byte }; /* id, previous, state */
chan answers = [1] of { byte };          /* id */

/* the receiver */
byte believed = 0;
byte last_seen_id = 0;

/* the state file: what was acknowledged, and whether anything may have been told since */
byte saved_told = 0;
bool saved_uncertain = false;
bool held = false; /* what was posted is not in the file yet: pw_exchange_hold() */

/* pw_exchange_post() and settle(): compares what is to be told with what the receiver knows */
inline settle()
{
	if
	:: has_pending && pending == acknowledged && !uncertain -> has_pending = false
	:: else
	fi
}

/* write_state(): some time after the poll that posted; what the agent does meanwhile is in the file of the next one. A pool that is
 * posted may be told before the next poll. What the receiver believes after a restart is uncertain then: it is told the truth at
 * once, twice perhaps. */
inline save()
{
	saved_told = acknowledged;
	saved_uncertain = uncertain || has_sent || has_pending;
	held = false
}

inline post()
{
	has_pending = true;
	pending = now;
	pending_id = next_id;
	next_id++;
	posted = now;
	if
	:: !has_sent -> settle()
	:: else
	fi;
	held = RESTARTS
}

active proctype collector()
{
	do
	:: atomic { crossings < CROSSINGS ->
		select(now : 0 .. STATES - 1);
		crossings++ }
	:: atomic { now != posted -> /* a poll: what differs is posted, or posted again */
		post() }
	:: atomic { held -> save() }
	:: atomic { RESTARTS && (saved_told != acknowledged || saved_uncertain) -> save() } /* a poll in which nothing is posted */
	:: atomic { RESTARTS && restarts < RESTARTS_MAX -> /* the process ends and begins anew with what the file says */
		assert(saved_uncertain || (believed == saved_told && len(wire) == 0)); /* foreseen */
		restarts++;
		acknowledged = saved_told;
		posted = saved_told;
		uncertain = saved_uncertain;
		has_pending = false;
		has_sent = false;
		in_flight = false;
		held = false;
		do
		:: wire ? _, _, _
		:: empty(wire) -> break
		od;
		do
		:: answers ? _
		:: len(answers) == 0 -> break
		od;
		if
		:: uncertain || now != posted -> post() /* the first poll */
		:: else
		fi }
	:: atomic { crossings == CROSSINGS && now == posted && !held -> break }
	od
}

active proctype agent()
{
	byte id;
end:	do
	:: atomic { has_sent && !in_flight && empty(wire) -> /* again, unchanged */
		in_flight = true;
		wire ! sent_id, sent_previous, sent }
	:: atomic { !has_sent && has_pending && !held && empty(wire) -> /* or not yet: the rate limit */
		has_sent = true;
		in_flight = true;
		sent = pending;
		sent_previous = acknowledged;
		sent_id = pending_id;
		has_pending = false;
		assert(sent != sent_previous || uncertain); /* nothing_of_nothing */
		wire ! sent_id, sent_previous, sent }
	:: atomic { answers ? id ->
		if
		:: has_sent && id == sent_id ->
			acknowledged = sent;
			uncertain = false;
			has_sent = false;
			in_flight = false;
			settle()
		:: else
		fi }
	:: atomic { breaks < BREAKS -> /* the connection breaks with what is on it, before or after the receiver saw it */
		breaks++;
		do
		:: wire ? _, _, _
		:: empty(wire) -> break
		od;
		do
		:: answers ? _
		:: empty(answers) -> break
		od;
		in_flight = false }
	od
}

active proctype receiver()
{
	byte id, previous, state;
end:	do
	:: atomic { wire ? id, previous, state ->
		if
		:: id == last_seen_id -> assert(state == believed) /* again_unchanged: a repetition is recognised */
		:: else ->
			assert(restarts > 0 || id > last_seen_id); /* newer states are newer */
			assert(restarts > 0 || previous == believed); /* chained */
			assert(restarts > 0 || state >= previous || believed > 0); /* fall_after_rise */
			last_seen_id = id;
			believed = state
		fi;
		answers ! id }
	od
}

/* one_under_way: by construction of the entry; never more than one unanswered */
#define one_under_way (len(wire) + len(answers) <= 1)
#define settled (crossings == CROSSINGS && now == posted && !has_sent && !has_pending && len(wire) == 0 && len(answers) == 0)

ltl bounded { [] one_under_way }
/* at_least_once: when nothing is owed, the receiver believes the truth */
ltl truth { [] (settled -> (believed == now)) }

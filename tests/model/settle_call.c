/* SPDX-License-Identifier: MIT */
/*
 * Around each call that changes something. run_look(), after the call and
 * before the model, lets the model follow the clearing that was reported.
 * run_settle(), at the end, compares the events, and learns by a peek where
 * the jitter of a backoff has put a message. In a transaction both wait for
 * its end: nothing may be reported before.
 */
#include "run.h"

#include <string.h>

void
run_look(struct run *r)
{
	r->m->seen = r->txn == NULL ? &r->seen : NULL;
}

static const char *
event_name(int type)
{
	static const char *const names[] = { "?", "DEAD_LETTERED", "EXPIRED", "CORRUPT", "DEAD_LETTER_FULL",
		                             "NOT_REDRIVEN" };

	return names[type >= 1 && type <= 5 ? type : 0];
}

static _Noreturn void
differ_event(struct run *r, const char *what, const struct m_event *e)
{
	differ(r, "event %s %s of message %llu in %s (reason %s)", event_name(e->type), what, (unsigned long long)e->id,
	       e->queue, e->reason == NULL ? "none" : e->reason);
}

static void
compare_events(struct run *r)
{
	const struct m_event *lacks, *odd;

	for (size_t i = 0; i < r->m->queue_count; i++) /* may be told more than once there */
		if (model_is(&r->m->queues[i], EVQ_FIFO))
			model_events_drop_repeats(&r->seen, &r->m->told, r->m->queues[i].name);
	if (model_events_differ(&r->m->told, &r->seen, &lacks, &odd)) {
		if (lacks != NULL)
			differ_event(r, "expected, not reported:", lacks);
		differ_event(r, "reported, not expected:", odd);
	}
	r->m->told.count = r->seen.count = 0;
}

/* ---- the jitter ---- */

static const evq_delivery *
find_shown(const struct run *r, evq_id id)
{
	for (size_t i = 0; i < evq_batch_count(r->batch); i++)
		if (evq_batch_at(r->batch, i)->id == id)
			return evq_batch_at(r->batch, i);
	return NULL;
}

static void
learn_one(struct run *r, const struct m_queue *q, struct m_msg *msg)
{
	const evq_delivery *d = find_shown(r, msg->id);
	bool gone = d == NULL && msg->expiry_follows && msg->due_lo <= r->now; /* expired again at once */
	int64_t due = d == NULL ? r->now : d->visible_at_ms;

	if (d == NULL && !gone)
		differ(r, "message %llu of %s, released with backoff, is not to be seen", (unsigned long long)msg->id,
		       q->name);
	if (due < msg->due_lo || due > msg->due_hi)
		differ(r, "message %llu of %s: backoff: expected due in %lld to %lld ms, got %lld",
		       (unsigned long long)msg->id, q->name, (long long)(msg->due_lo - r->now),
		       (long long)(msg->due_hi - r->now), (long long)(due - r->now));
	msg->due = due;
	if (msg->expiry_follows)
		msg->expiry = msg->due;
	msg->open_due = msg->expiry_follows = false;
}

static void
learn_jitter(struct run *r, struct m_queue *q)
{
	int rc = evq_peek(store_queue(r, q), EVQ_PEEK_OPTS(.count = EVQ_BATCH_MAX), r->batch);

	if (rc != EVQ_EMPTY)
		expect_rc(r, "evq_peek after a backoff", 0, rc);
	for (size_t i = 0; i < q->count; i++)
		if (q->msgs[i].open_due)
			learn_one(r, q, &q->msgs[i]);
}

void
run_settle(struct run *r)
{
	r->m->seen = NULL;
	if (r->m->broken != NULL)
		differ(r, "%s", r->m->broken);
	if (r->txn != NULL) {
		expect_int(r, "events reported inside a transaction", 0, (int64_t)r->seen.count);
		return;
	}
	compare_events(r);
	for (size_t i = 0; i < r->m->queue_count; i++)
		if (model_has_open_due(&r->m->queues[i]))
			learn_jitter(r, &r->m->queues[i]);
}

/* SPDX-License-Identifier: MIT */
/*
 * Redrive and purge, and a shuttle that sends one message to the dead letter
 * and back so often that its history has to forget.
 */
#include "run.h"

#include <string.h>

/* What to match: the same question is asked of a delivery and of a message. */
struct wish {
	struct run *r;
	const struct m_queue *dead;
	int kind; /* 0: every one */
	evq_id rest;
};

static bool
wanted(const struct wish *w, evq_id id, int priority, const char *reason)
{
	switch (w->kind) {
	case 1:
		return id % 3 == w->rest;
	case 2:
		return priority >= 0;
	case 3:
		return reason != NULL && strcmp(reason, "max-receives") == 0;
	default:
		return false;
	}
}

static bool
match_msg(const struct m_msg *msg, void *arg)
{
	return wanted(arg, msg->id, msg->priority, msg->dead_reason);
}

static int
match_delivery(const evq_delivery *d, void *arg)
{
	const struct wish *w = arg;
	const struct m_msg *msg = model_msg(w->dead, d->id);
	int state;

	if (msg == NULL)
		differ(w->r, "redrive: asked about message %llu, which is not in %s", (unsigned long long)d->id,
		       w->dead->name);
	if (!model_redrivable(w->r->m, w->dead, msg))
		differ(w->r, "redrive: asked about message %llu, which is leased, blocked or expired",
		       (unsigned long long)d->id);
	state = model_state(w->r->m, w->dead, msg);
	if (state == EVQ_BLOCKED && d->state == EVQ_VISIBLE) /* those that are in its way move before it */
		state = EVQ_VISIBLE;
	compare_delivery(w->r, w->dead, msg, d, state);
	return wanted(w, d->id, d->priority, d->dead_reason) ? -1 : 0;
}

/* Any limbo matters in a transaction: the destinations are many. */
static bool
redrive_is_touchy(struct run *r)
{
	for (size_t i = 0; r->txn != NULL && i < r->m->queue_count; i++)
		if (touchy(r, &r->m->queues[i]))
			return true;
	return false;
}

static void
compare_redrive(struct run *r, struct m_queue *dead, const evq_redrive_opts *opts, struct wish *w)
{
	size_t moved = 77777, want_moved = 77777;
	int got = evq_redrive(store_queue(r, dead), r->txn, opts, &moved), want;

	say_more(r, " = %s, %zu moved", rc_name(got), moved);
	run_look(r);
	model_clear_seen(r->m);
	want = model_redrive(r->m, dead, opts, w->kind == 0 ? NULL : match_msg, w, &want_moved);
	expect_rc(r, "evq_redrive", want, got);
	if (got == 0)
		expect_int(r, "evq_redrive: moved", (int64_t)want_moved, (int64_t)moved);
	run_settle(r);
}

bool
op_redrive(struct run *r)
{
	struct m_queue *dead = pick_queue(r);
	struct wish w = { .r = r, .dead = dead, .kind = percent(r, 50) ? 0 : (int)(1 + below(r, 3)), .rest = below(r, 3) };
	evq_redrive_opts opts = { .size = sizeof(opts) };

	if (dead == NULL || redrive_is_touchy(r))
		return false;
	if (one_in(r, 3))
		opts.to = one_in(r, 20) ? "no-such-queue" : pick_name(r);
	if (opts.to != NULL && strcmp(opts.to, dead->name) == 0)
		opts.to = NULL;
	opts.max = one_in(r, 2) ? 0 : 1 + below(r, 8);
	opts.match = w.kind == 0 ? NULL : match_delivery;
	opts.match_arg = &w;
	say(r, "redrive %s: to %s, max %zu, match %d", dead->name, opts.to == NULL ? "origin" : opts.to, opts.max, w.kind);
	compare_redrive(r, dead, opts.to == NULL && opts.max == 0 && w.kind == 0 ? NULL : &opts, &w);
	return true;
}

bool
op_purge(struct run *r)
{
	struct m_queue *q = pick_queue(r);
	size_t got = 77777;
	int rc;

	if (q == NULL || touchy(r, q) || (q->count < 40 && !one_in(r, 6)))
		return false;
	say(r, "purge %s", q->name);
	rc = evq_purge(store_queue(r, q), r->txn, &got);
	say_more(r, " = %s, %zu", rc_name(rc), got);
	run_look(r);
	model_clear_seen(r->m);
	expect_rc(r, "evq_purge", 0, rc);
	expect_int(r, "evq_purge: purged", (int64_t)model_purge(q), (int64_t)got);
	run_settle(r);
	return true;
}

/* Received, buried, and redriven, all with the highest priority there is. */
static bool
round_trip(struct run *r, struct m_queue *q, struct m_queue *dead)
{
	struct wish all = { .r = r, .dead = dead };
	struct m_ticket t;
	int rc;

	receive(r, q, NULL);
	if (r->ids.count == 0)
		return false;
	t = ticket_of(q, model_msg(q, r->ids.at[0]));
	say(r, "bury %s: message %llu", q->name, (unsigned long long)t.id);
	rc = evq_bury(store_queue(r, q), r->txn, &t.r, "again");
	say_more(r, " = %s", rc_name(rc));
	run_look(r);
	model_clear_seen(r->m);
	expect_rc(r, "evq_bury", model_bury(r->m, q, &t, "again"), rc);
	run_settle(r);
	say(r, "redrive %s: all", dead->name);
	compare_redrive(r, dead, NULL, &all);
	return rc == 0;
}

bool
op_shuttle(struct run *r)
{
	struct m_queue *q = pick_queue(r), *dead;

	if (q == NULL || r->txn != NULL || q->attrs.dead_letter == NULL || q->count == 0)
		return false;
	dead = model_queue(r->m, q->attrs.dead_letter);
	for (unsigned i = 0; i < EVQ_DEATHS_MAX + 3; i++)
		if (!round_trip(r, q, dead))
			break;
	return true;
}

/* SPDX-License-Identifier: MIT */
/*
 * Sending: one, a batch, and now and then a burst of hundreds, so that the
 * calls which work in slices need several. What the model takes for a repeat
 * must come back with the id of the first.
 */
#include "plan.h"

#include <string.h>

static bool
is_known(const struct m_queue *q, evq_id id)
{
	for (size_t i = 0; i < plan.count; i++)
		if (plan.ids[i] == id)
			return true;
	return model_msg(q, id) != NULL;
}

/* The smallest id that is shown and that nobody has been told of. */
static evq_id
next_unknown(const struct run *r, const struct m_queue *q)
{
	evq_id first = 0;

	for (size_t i = 0; i < evq_batch_count(r->batch); i++) {
		evq_id id = evq_batch_at(r->batch, i)->id;

		if (!is_known(q, id) && (first == 0 || id < first))
			first = id;
	}
	return first;
}

/* The caller asked for no ids: those of the new messages are to be seen, those of repeats only the model knows. */
static void
look_up_ids(struct run *r, const struct m_queue *q)
{
	memset(plan.ids, 0, sizeof(plan.ids));
	if (plan.fresh > 0)
		expect_rc(r, "evq_peek for the new messages", 0,
		          evq_peek(store_queue(r, q), EVQ_PEEK_OPTS(.count = EVQ_BATCH_MAX), r->batch));
	for (size_t i = 0; i < plan.count; i++) {
		const struct m_fate *fate = &plan.fates[i];

		if (!fate->repeat)
			plan.ids[i] = next_unknown(r, q);
		else
			plan.ids[i] = fate->first != 0 ? fate->first : plan.ids[fate->sent_now];
	}
}

static void
check_ids(struct run *r)
{
	for (size_t i = 1; i < plan.count && plan.fresh == plan.count; i++)
		if (plan.ids[i] != plan.ids[0] + i)
			differ(r, "ids of a batch: expected %llu at place %zu, got %llu",
			       (unsigned long long)(plan.ids[0] + i), i, (unsigned long long)plan.ids[i]);
}

/* Would clearing one expired message make the room? Then a send may not be refused: it does that first. */
static bool
has_room_behind_one(struct run *r, const struct m_queue *q)
{
	if (model_is(q, EVQ_EXPIRE_TO_DEAD_LETTER) || q->attrs.max_bytes > 0)
		return false;
	if (q->count - 1 + plan.fresh > q->attrs.max_messages)
		return false;
	for (size_t i = 0; i < q->count; i++)
		if (model_must_clear(r->m, q, &q->msgs[i]))
			return true;
	return false;
}

static void
say_ids_of(struct run *r)
{
	say_more(r, " id %llu", (unsigned long long)plan.ids[0]);
	if (plan.fresh < plan.count)
		say_more(r, ", %zu repeats", plan.count - plan.fresh);
}

static void
compare_send(struct run *r, struct m_queue *q, const evq_send_opts *opts, int got, bool want_ids)
{
	say_more(r, " = %s", rc_name(got));
	plan_fates(r, q, opts);
	if (got == EVQ_FULL && has_room_behind_one(r, q))
		differ(r, "EVQ_FULL, though %s holds expired messages that a send clears first", q->name);
	run_look(r);
	model_clear_seen(r->m);
	expect_rc(r, "send", model_send_check(q, plan.bodies, plan.count, plan.fates), got);
	if (got == 0) {
		if (want_ids)
			check_ids(r);
		else
			look_up_ids(r, q);
		say_ids_of(r);
		model_send(r->m, q, plan.bodies, plan.count, opts, plan.fates, plan.ids);
	}
	run_settle(r);
}

bool
op_send(struct run *r)
{
	struct m_queue *q = pick_queue(r);
	bool want_id = r->txn != NULL || !one_in(r, 40);
	const evq_send_opts *opts;

	if (q == NULL || touchy(r, q))
		return false;
	opts = plan_opts(r, q);
	plan_bodies(r, q, 1, SIZE_MAX - 1);
	if (one_in(r, 20))
		plan_edge(r, q);
	plan_say(r, q, "send", opts);
	compare_send(r, q, opts,
	             evq_send(store_queue(r, q), r->txn, plan.bodies[0].data, plan.bodies[0].len, opts,
	                      want_id ? plan.ids : NULL),
	             want_id);
	return true;
}

static bool
send_batch(struct run *r, struct m_queue *q, size_t count, size_t most)
{
	bool want_ids = r->txn != NULL || !one_in(r, 20);
	const evq_send_opts *opts = plan_opts(r, q);

	plan_bodies(r, q, count, most);
	plan_say(r, q, "send_batch", opts);
	compare_send(r, q, opts,
	             evq_send_batch(store_queue(r, q), r->txn, plan.bodies, count, opts, want_ids ? plan.ids : NULL),
	             want_ids);
	return true;
}

bool
op_send_batch(struct run *r)
{
	struct m_queue *q = pick_queue(r);

	if (q == NULL || touchy(r, q))
		return false;
	return send_batch(r, q, 1 + below(r, one_in(r, 8) ? 20 : 6), SIZE_MAX - 1);
}

bool
op_burst(struct run *r)
{
	struct m_queue *q = pick_queue(r);

	if (q == NULL || touchy(r, q))
		return false;
	return send_batch(r, q, BURST - below(r, 200), 300);
}

/* To the end of a window that is near, or to the moment before it. */
static void
go_to_end(struct run *r, const struct m_known *known)
{
	int64_t step = known->ends_at - r->now - (int64_t)below(r, 2);

	if (step > 0 && step < (one_in(r, 40) ? INT64_C(400000) : 8000))
		clock_advance(r, step);
}

/* What is remembered is sent again, often at the very end of its window. */
bool
op_repeat(struct run *r)
{
	struct m_queue *q = pick_queue(r);
	const struct m_known *known;

	if (q == NULL || q->known_count == 0)
		return false;
	known = &q->known[below(r, q->known_count)];
	if (one_in(r, 2))
		go_to_end(r, known);
	if (touchy(r, q))
		return true;
	plan_repeat(r, q, known);
	plan_say(r, q, "send_batch", &plan.opts);
	compare_send(r, q, &plan.opts,
	             evq_send_batch(store_queue(r, q), r->txn, plan.bodies, plan.count, &plan.opts, plan.ids), true);
	return true;
}

static void
send_flood(struct run *r, struct m_queue *q, size_t count, int64_t expires)
{
	plan.opts = (evq_send_opts){ .size = sizeof(plan.opts), .group = "flood", .expires_ms = expires };
	plan_bodies(r, q, count, 300);
	plan_say(r, q, "send_batch", &plan.opts);
	compare_send(r, q, &plan.opts,
	             evq_send_batch(store_queue(r, q), r->txn, plan.bodies, plan.count, &plan.opts, plan.ids), true);
}

/* Between others of its group more has expired than one slice of a receive clears; then all is received. */
bool
op_flood(struct run *r)
{
	struct m_queue *q = pick_queue(r);

	if (q == NULL || r->txn != NULL)
		return false;
	send_flood(r, q, 1 + below(r, 3), 0);
	send_flood(r, q, BURST - below(r, 200), 1 + (int64_t)below(r, 20));
	send_flood(r, q, 1 + below(r, 3), 0);
	clock_advance(r, 20 + (int64_t)q->attrs.delay);
	return receive(r, q, EVQ_RECEIVE_OPTS(.count = EVQ_BATCH_MAX));
}

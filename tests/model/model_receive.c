/* SPDX-License-Identifier: MIT */
/*
 * Receiving: a walk over the messages that are due, in the order of delivery,
 * until the batch is full. Expired ones are cleared where the library did so
 * (and must all be gone when the batch did not fill), exhausted ones are
 * dead-lettered, the rest is leased. In a FIFO queue the walk goes from group
 * to group and takes a run of each; in a fair one from priority to priority,
 * and begins at each with the turns of those that have come due there.
 */
#include "model.h"

#include <stdlib.h>
#include <string.h>

size_t
model_limbo(const struct model *m, const struct m_queue *q)
{
	size_t count = 0;

	for (size_t i = 0; i < q->count; i++)
		count += model_expired(m, &q->msgs[i]);
	return count;
}

bool
model_has_open_due(const struct m_queue *q)
{
	for (size_t i = 0; i < q->count; i++)
		if (q->msgs[i].open_due)
			return true;
	return false;
}

static void
lease(struct model *m, struct m_queue *q, struct m_msg *msg, int64_t visibility)
{
	msg->receives++;
	msg->receives_here++;
	if (msg->first_received_at == 0)
		msg->first_received_at = m->now;
	msg->due = m->now + visibility;
	if (msg->expiry > 0 && msg->due > msg->expiry)
		msg->due = msg->expiry;
	msg->leased = true;
	msg->token = ++m->last_token;
	model__turn_end(q, msg);
	q->did.received++;
}

struct walk {
	size_t count;
	uint64_t max_bytes, bytes;
	int64_t visibility;
	bool stopped; /* by max_bytes */
	struct m_ids *taken;
};

static bool
is_over(const struct walk *w)
{
	return w->stopped || w->taken->count == w->count;
}

/* msg is due. */
static void
meet(struct model *m, struct m_queue *q, struct m_msg *msg, struct walk *w)
{
	if (model_expired(m, msg)) {
		if (model__was_cleared(m, q, msg->id))
			model__clear(m, q, msg->id);
		return;
	}
	if (model__over_limit(q, msg)) {
		model__bury_or_retry(m, q, msg->id, "max-receives");
		return;
	}
	if (w->max_bytes > 0 && w->taken->count > 0 && w->bytes + msg->content->len > w->max_bytes) {
		w->stopped = true;
		return;
	}
	w->bytes += msg->content->len;
	lease(m, q, msg, w->visibility);
	model_ids_add(w->taken, msg->id);
}

static void
walk_plain(struct model *m, struct m_queue *q, struct walk *w)
{
	struct m_ids order = { 0 };

	model_order(q, &order);
	for (size_t i = 0; i < order.count && !is_over(w); i++) {
		struct m_msg *msg = model_msg(q, order.at[i]);

		if (msg->due <= m->now)
			meet(m, q, msg, w);
	}
	free(order.at);
}

/* ---- FIFO ---- */

static bool
was_taken(const struct walk *w, evq_id id)
{
	for (size_t i = 0; i < w->taken->count; i++)
		if (w->taken->at[i] == id)
			return true;
	return false;
}

/* False: it is in the way of those behind it. */
static bool
pass(struct model *m, struct m_queue *q, evq_id id, struct walk *w)
{
	const struct m_msg *msg = model_msg(q, id);

	if (msg != NULL && msg->due <= m->now && (model_expired(m, msg) || model__over_limit(q, msg)))
		model__clear_before(m, q, id); /* who has the last place in a dead letter is the library's choice */
	msg = model_msg(q, id);
	if (msg != NULL && msg->due <= m->now)
		meet(m, q, model_msg(q, id), w);
	msg = model_msg(q, id);
	return msg == NULL || msg->due <= m->now || was_taken(w, id);
}

/* Group after group; of each as many as can be had, from its first on. */
static void
walk_groups(struct model *m, struct m_queue *q, struct walk *w)
{
	struct m_ids order = { 0 };
	bool blocked = false;

	model__order_groups(q, &order);
	for (size_t i = 0; i < order.count && !is_over(w); i++)
		blocked = order.at[i] != 0 && (blocked || !pass(m, q, order.at[i], w));
	free(order.at);
}

static bool
same_ids(const struct m_ids *a, const struct m_ids *b)
{
	return a->count == b->count && (a->count == 0 || memcmp(a->at, b->at, a->count * sizeof(*a->at)) == 0);
}

/*
 * Would the library's batch come of it, if what has expired were gone before the walk? That a group stands where
 * its expired first message does is as good: both are tried.
 */
static bool
clears_first(const struct model *m, const struct m_queue *q, const struct walk *w)
{
	struct model *twin;
	struct m_ids taken = { 0 };
	struct walk walk = *w;
	bool same;

	if (m->got == NULL || model_limbo(m, q) == 0)
		return false;
	twin = model_clone(m);
	walk.taken = &taken;
	walk_groups(twin, model_queue_uid(twin, q->uid), &walk);
	same = same_ids(&taken, m->got);
	model_free(twin);
	free(taken.at);
	return !same;
}

/* ---- fair ---- */

/* The next one below, of those that have anything. */
static bool
next_priority(const struct m_queue *q, int *priority)
{
	int next = -1000;

	for (size_t i = 0; i < q->count; i++)
		if (q->msgs[i].priority < *priority && q->msgs[i].priority > next)
			next = q->msgs[i].priority;
	*priority = next;
	return next > -1000;
}

static void
walk_turns(struct model *m, struct m_queue *q, struct walk *w)
{
	struct m_ids order = { 0 };

	for (int priority = 1000; !is_over(w) && next_priority(q, &priority);) {
		model__turns_come_due(m, q, priority);
		model_order(q, &order);
		for (size_t i = 0; i < order.count && !is_over(w); i++) {
			struct m_msg *msg = model_msg(q, order.at[i]);

			if (msg != NULL && msg->priority == priority && msg->in_turn)
				meet(m, q, msg, w);
		}
	}
	free(order.at);
}

/* ---- all ---- */

/*
 * Must it be gone after a receive that met everything? Not what waits behind an earlier one of its group that is
 * leased or delayed; but what was itself leased to its end, or released.
 */
bool
model_must_clear(const struct model *m, const struct m_queue *q, const struct m_msg *msg)
{
	if (!model_expired(m, msg) || msg->open_due)
		return false;
	if (!model_is(q, EVQ_FIFO) || (msg->receives_here > 0 && msg->due == msg->expiry))
		return true;
	for (size_t i = 0; i < q->count; i++)
		if (q->msgs[i].id < msg->id && model_same_group(&q->msgs[i], msg) && q->msgs[i].due > m->now)
			return false;
	return true;
}

/* One that the dead letter had no room for may be back so soon that it is expired again. */
static bool
left_expired(const struct model *m, const struct m_queue *q)
{
	for (size_t i = 0; i < q->count; i++)
		if (model_must_clear(m, q, &q->msgs[i]))
			return true;
	return false;
}

static void
walk(struct model *m, struct m_queue *q, struct walk *w)
{
	if (model_is(q, EVQ_FIFO)) {
		if (clears_first(m, q, w))
			model_clear_seen(m);
		walk_groups(m, q, w);
	} else if (model_is(q, EVQ_FAIR)) {
		walk_turns(m, q, w);
	} else {
		walk_plain(m, q, w);
	}
}

int
model_receive(struct model *m, struct m_queue *q, const evq_receive_opts *opts, struct m_ids *taken)
{
	struct walk w = { .count = 1, .visibility = q->attrs.visibility, .taken = taken };

	if (opts != NULL) {
		w.count = opts->count == 0 ? 1 : opts->count;
		w.max_bytes = opts->max_bytes;
		w.visibility = opts->visibility_ms == 0 ? q->attrs.visibility : opts->visibility_ms;
	}
	taken->count = 0;
	walk(m, q, &w);
	model_clear_seen(m);
	if (!is_over(&w) && left_expired(m, q))
		m->broken = "a receive that met everything left an expired message behind";
	return taken->count > 0 ? 0 : EVQ_EMPTY;
}

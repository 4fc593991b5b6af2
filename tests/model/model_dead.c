/* SPDX-License-Identifier: MIT */
/*
 * Messages that leave a queue other than by a delete: to the dead letter, for
 * any reason; back from it; for ever, because they expired or were purged.
 */
#include "model.h"

#include <stdlib.h>
#include <string.h>

bool
model__over_limit(const struct m_queue *q, const struct m_msg *msg)
{
	return q->attrs.max_receives > 0 && msg->receives_here >= q->attrs.max_receives;
}

/* min * 2^(n-1), at most max */
static int64_t
backoff_ms(const struct m_queue *q, uint32_t receives)
{
	int64_t d = q->attrs.retry_min;

	while (receives-- > 1 && d < q->attrs.retry_max)
		d *= 2;
	return d < q->attrs.retry_max ? d : q->attrs.retry_max;
}

static int64_t
capped(const struct m_msg *msg, int64_t at)
{
	return !msg->expiry_follows && msg->expiry > 0 && at > msg->expiry ? msg->expiry : at;
}

/* Due somewhere between half of the backoff and all of it; where, the test has to look up. */
void
model__backoff(struct model *m, struct m_queue *q, struct m_msg *msg, uint32_t receives)
{
	int64_t d = backoff_ms(q, receives);

	msg->expiry_follows = model_expired(m, msg);
	msg->due_lo = capped(msg, m->now + d - d / 2);
	msg->due_hi = capped(msg, m->now + d);
	msg->due = msg->due_lo;
	if (msg->expiry_follows)
		msg->expiry = msg->due;
	msg->open_due = true;
	msg->leased = false;
	msg->token = 0;
	model__turn_end(q, msg);
}

static void
remember_death(struct m_msg *msg, const char *from, const char *reason, int64_t at)
{
	struct m_death death = { from, model_intern(reason), at, msg->receives };

	if (msg->death_count == EVQ_DEATHS_MAX)
		memmove(msg->deaths, msg->deaths + 1, --msg->death_count * sizeof(death));
	msg->deaths[msg->death_count++] = death;
	msg->dead_from = from;
	msg->dead_reason = death.reason;
	msg->dead_at = at;
}

/* Start anew in another queue: due now, no lease, none of the counting of the old one. */
static void
arrive(struct model *m, struct m_queue *to, struct m_msg *msg)
{
	msg->receives_here = 0;
	msg->due = m->now;
	msg->expiry = to->attrs.retention == 0 ? 0 : m->now + to->attrs.retention;
	msg->leased = false;
	msg->token = 0;
	msg->open_due = msg->expiry_follows = false;
	model__turn_give(to, model__msg_add(to, msg));
}

/* False and nothing done when the dead letter has no room. */
bool
model__bury(struct model *m, struct m_queue *q, evq_id id, const char *reason)
{
	struct m_queue *to = model_queue(m, q->attrs.dead_letter);
	struct m_msg msg;

	if (!model__fits(to, 1, model_msg(q, id)->content->len))
		return false;
	model__msg_take(q, id, &msg);
	remember_death(&msg, q->name, reason, m->now);
	arrive(m, to, &msg);
	q->did.dead_lettered++;
	model__tell(m, EVQ_EVENT_DEAD_LETTERED, q->name, id, reason);
	return true;
}

void
model__bury_or_retry(struct model *m, struct m_queue *q, evq_id id, const char *reason)
{
	if (model__bury(m, q, id, reason))
		return;
	model__backoff(m, q, model_msg(q, id), model_msg(q, id)->receives_here);
	model__tell(m, EVQ_EVENT_DEAD_LETTER_FULL, q->name, id, reason);
}

/* What becomes of an expired message when its turn comes. */
void
model__clear(struct model *m, struct m_queue *q, evq_id id)
{
	if (q->attrs.flags & EVQ_EXPIRE_TO_DEAD_LETTER) {
		model__bury_or_retry(m, q, id, "expired");
		return;
	}
	model__msg_drop(q, id);
	q->did.expired++;
	model__tell(m, EVQ_EVENT_EXPIRED, q->name, id, NULL);
}

/* Follows the library in what it says it has cleared, where that had expired indeed; as far as message id of q. */
void
model__clear_before(struct model *m, const struct m_queue *q, evq_id id)
{
	for (size_t i = 0; m->seen != NULL && i < m->seen->count; i++) {
		const struct m_event *e = &m->seen->at[i];
		struct m_queue *its = model_queue(m, e->queue);
		struct m_msg *msg = its == NULL ? NULL : model_msg(its, e->id);

		if (q != NULL && its == q && e->id == id)
			return;
		if (msg != NULL && !msg->open_due && model_expired(m, msg) && model__was_cleared(m, its, e->id))
			model__clear(m, its, e->id);
	}
}

void
model_clear_seen(struct model *m)
{
	model__clear_before(m, NULL, 0);
}

/* ---- redrive ---- */

struct redrive {
	struct m_queue *dead;
	const char *to;
	size_t max, moved;
	int obstacle;
};

static void
leave(struct model *m, struct redrive *r, evq_id id, const char *why, int rc)
{
	model__tell(m, EVQ_EVENT_NOT_REDRIVEN, r->dead->name, id, why);
	if (r->obstacle == 0)
		r->obstacle = rc;
}

static void
move_back(struct model *m, struct redrive *r, struct m_queue *to, evq_id id)
{
	struct m_msg msg;

	model__msg_take(r->dead, id, &msg);
	msg.receives = 0;
	msg.first_received_at = 0;
	msg.dead_from = msg.dead_reason = NULL;
	msg.dead_at = 0;
	arrive(m, to, &msg);
	r->dead->did.redriven++;
	r->moved++;
}

static void
redrive_one(struct model *m, struct redrive *r, const struct m_msg *msg)
{
	const char *name = r->to != NULL ? r->to : msg->dead_from;
	struct m_queue *to = name == NULL ? NULL : model_queue(m, name);

	if (name == NULL)
		leave(m, r, msg->id, "no-origin", EVQ_NOQUEUE);
	else if (to == NULL)
		leave(m, r, msg->id, "no-queue", EVQ_NOQUEUE);
	else if (!model__fits(to, 1, msg->content->len))
		leave(m, r, msg->id, "full", EVQ_FULL);
	else
		move_back(m, r, to, msg->id);
}

/* Not what is leased, nor in a FIFO queue what is behind such a one. */
bool
model_redrivable(const struct model *m, const struct m_queue *dead, const struct m_msg *msg)
{
	int state = model_state(m, dead, msg);

	if (state == 0 || state == EVQ_LEASED)
		return false;
	for (size_t i = 0; model_is(dead, EVQ_FIFO) && i < dead->count; i++) {
		const struct m_msg *other = &dead->msgs[i];

		if (other->id < msg->id && model_same_group(other, msg) && model_state(m, dead, other) == EVQ_LEASED)
			return false;
	}
	return true;
}

static void
redrive_all(struct model *m, struct redrive *r, model_match_fn *match, void *arg)
{
	struct m_ids order = { 0 };

	model_order(r->dead, &order);
	for (size_t i = 0; i < order.count && r->moved < r->max; i++) {
		const struct m_msg *msg = model_msg(r->dead, order.at[i]);

		if (!model_redrivable(m, r->dead, msg))
			continue;
		if (match == NULL || match(msg, arg))
			redrive_one(m, r, msg);
	}
	free(order.at);
}

int
model_redrive(struct model *m, struct m_queue *dead, const evq_redrive_opts *opts, model_match_fn *match, void *arg,
              size_t *moved)
{
	struct redrive r = { .dead = dead, .max = 1000 };

	if (opts != NULL) {
		r.to = opts->to;
		r.max = opts->max == 0 ? 1000 : opts->max;
	}
	if (r.to != NULL && model_queue(m, r.to) == NULL)
		return EVQ_NOQUEUE;
	redrive_all(m, &r, match, arg);
	*moved = r.moved;
	return r.moved > 0 ? 0 : r.obstacle;
}

size_t
model_purge(struct m_queue *q)
{
	size_t count = q->count;

	model__queue_clear(q);
	model__forget(q);
	q->did.purged += count;
	return count;
}

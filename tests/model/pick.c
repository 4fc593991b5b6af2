/* SPDX-License-Identifier: MIT */
/*
 * What to work on: a queue, a name, a receipt. The receipts of the past are
 * kept in a pool, where each new one takes the place of an old one at random,
 * so that some are tried again long after their lease.
 */
#include "run.h"

#include <string.h>

const char *const queue_names[] = { "a", "b", "c", "work", "ret", "edl", "edl.dead", "quota", "fifo", "fifo.dead",
	                            "fifo.ret", "fair", "fair.ret", "dup", "tmp-1", "tmp-2", "tmp-3", "Zeta_9",
	                            "quarter.long-name.0123456789.0123456789.0123456789" };
const size_t queue_name_count = sizeof(queue_names) / sizeof(*queue_names);

const char *
pick_name(struct run *r)
{
	return queue_names[below(r, queue_name_count)];
}

/* One that is there and can be opened. */
struct m_queue *
pick_queue(struct run *r)
{
	for (unsigned tries = 0; tries < 8 && r->m->queue_count > 0; tries++) {
		struct m_queue *q = model_queue(r->m, pick_name(r));

		if (q != NULL && store_has(r, q))
			return q;
	}
	return NULL;
}

struct m_ticket
ticket_of(const struct m_queue *q, const struct m_msg *msg)
{
	return (struct m_ticket){ .r = msg->receipt, .uid = q->uid, .id = msg->id, .token = msg->token, .due = msg->due,
		                  .priority = msg->priority, .in_turn = msg->in_turn, .turn = msg->turn,
		                  .group = msg->content->group };
}

void
pool_put(struct run *r, const struct m_ticket *t)
{
	size_t place = r->pool_count < POOL_MAX ? r->pool_count++ : below(r, POOL_MAX);

	r->pool[place] = *t;
}

/* What was given out in the transaction now aborted has never been. */
void
pool_abort(struct run *r)
{
	for (size_t i = 0; i < r->pool_count; i++)
		if (r->pool[i].token > r->begin_token)
			r->pool[i].phantom = true;
}

bool
pick_live(struct run *r, const struct m_queue *q, struct m_ticket *out)
{
	size_t from = q->count == 0 ? 0 : below(r, q->count);

	for (size_t i = 0; i < q->count; i++) {
		const struct m_msg *msg = &q->msgs[(from + i) % q->count];

		if (msg->token != 0 && !model_expired(r->m, msg)) {
			*out = ticket_of(q, msg);
			out->in_turn = false; /* it was leased then */
			return true;
		}
	}
	return false;
}

/* One of the past, mostly of this queue. */
static struct m_ticket
pick_old(struct run *r, const struct m_queue *q)
{
	size_t from;

	if (r->pool_count == 0)
		return r->foreign;
	from = below(r, r->pool_count);
	for (size_t i = 0; i < r->pool_count && !one_in(r, 60); i++)
		if (r->pool[(from + i) % r->pool_count].uid == q->uid)
			return r->pool[(from + i) % r->pool_count];
	return r->pool[from];
}

static void
damage(struct run *r, struct m_ticket *t)
{
	t->r.w[below(r, 4)] ^= UINT64_C(1) << below(r, 64);
	t->damaged = true;
}

struct m_ticket
pick_ticket(struct run *r, const struct m_queue *q)
{
	struct m_ticket t;

	if (one_in(r, 100))
		return r->foreign;
	if (percent(r, 25) || !pick_live(r, q, &t))
		t = pick_old(r, q);
	if (one_in(r, 40))
		damage(r, &t);
	return t;
}

/*
 * Inside a transaction nothing is told before its end. Where the library is
 * free to clear what has expired, or the jitter of a backoff is not known yet,
 * the model could not follow: such a queue is left alone until then.
 */
bool
touchy(struct run *r, const struct m_queue *q)
{
	const struct m_queue *dead;

	if (r->txn == NULL)
		return false;
	if (model_limbo(r->m, q) > 0 || model_has_open_due(q))
		return true;
	dead = q->attrs.dead_letter == NULL ? NULL : model_queue(r->m, q->attrs.dead_letter);
	return dead != NULL && (model_limbo(r->m, dead) > 0 || model_has_open_due(dead));
}

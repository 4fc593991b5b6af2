/* SPDX-License-Identifier: MIT */
/*
 * Settling: a receipt is good while nothing has happened to its message since
 * it was given out. The model numbers its receipts (tokens), and a message
 * knows the one number that settles it. A receipt given out in a transaction
 * that was aborted never existed; one that exists may by chance be the same
 * bytes, and then it is as good as that one.
 */
#include "model.h"

#include <errno.h>
#include <string.h>

static bool
is_current(const struct m_msg *msg, const struct m_ticket *t)
{
	if (msg->token == 0)
		return false;
	if (msg->token == t->token)
		return true;
	return t->phantom && memcmp(&msg->receipt, &t->r, sizeof(t->r)) == 0;
}

/* 0 and the message, EVQ_STALE, or EINVAL. */
int
model_receipt(const struct model *m, const struct m_queue *q, const struct m_ticket *t, struct m_msg **out)
{
	struct m_msg *msg;

	if (t->damaged || t->foreign || t->uid != q->uid)
		return EINVAL;
	msg = model_msg(q, t->id);
	if (t->peeked || msg == NULL || model_expired(m, msg) || !is_current(msg, t))
		return EVQ_STALE;
	*out = msg;
	return 0;
}

static int
settle(const struct model *m, struct m_queue *q, const struct m_ticket *t, struct m_msg **out)
{
	int rc = model_receipt(m, q, t, out);

	if (rc == EVQ_STALE)
		q->did.stale++;
	return rc;
}

int
model_delete(struct model *m, struct m_queue *q, const struct m_ticket *t)
{
	struct m_msg *msg;
	int rc = settle(m, q, t, &msg);

	if (rc != 0)
		return rc;
	model__msg_drop(q, msg->id);
	q->did.deleted++;
	return 0;
}

static void
set_due(const struct model *m, struct m_queue *q, struct m_msg *msg, int64_t due, bool leased)
{
	model__turn_end(q, msg);
	msg->due = msg->expiry > 0 && due > msg->expiry ? msg->expiry : due;
	msg->leased = leased;
	if (msg->due <= m->now)
		model__turn_give(q, msg);
}

int
model_extend(struct model *m, struct m_queue *q, const struct m_ticket *t, int64_t visibility)
{
	struct m_msg *msg;
	int rc = settle(m, q, t, &msg);

	if (rc != 0)
		return rc;
	set_due(m, q, msg, m->now + (visibility == 0 ? q->attrs.visibility : visibility), true);
	msg->token = ++m->last_token;
	return 0;
}

static void
uncount(struct m_msg *msg)
{
	if (msg->receives > 0)
		msg->receives--;
	if (msg->receives_here > 0)
		msg->receives_here--;
	if (msg->receives == 0)
		msg->first_received_at = 0;
}

int
model_release(struct model *m, struct m_queue *q, const struct m_ticket *t, int64_t delay, uint32_t flags)
{
	struct m_msg *msg;
	uint32_t counted;
	int rc = settle(m, q, t, &msg);

	if (rc != 0)
		return rc;
	counted = msg->receives_here;
	if (flags & EVQ_UNCOUNTED)
		uncount(msg);
	msg->token = 0;
	if (model__over_limit(q, msg))
		model__bury_or_retry(m, q, msg->id, "max-receives");
	else if (delay == EVQ_BACKOFF)
		model__backoff(m, q, msg, counted);
	else
		set_due(m, q, msg, m->now + delay, false);
	return 0;
}

int
model_bury(struct model *m, struct m_queue *q, const struct m_ticket *t, const char *reason)
{
	struct m_msg *msg;
	int rc = settle(m, q, t, &msg);

	if (rc != 0)
		return rc;
	if (q->attrs.dead_letter == NULL)
		return ENOENT;
	return model__bury(m, q, msg->id, reason) ? 0 : EVQ_FULL;
}

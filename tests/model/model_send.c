/* SPDX-License-Identifier: MIT */
/*
 * Sending: the two limits that depend on the state of the queue (the length of
 * a body and the quota, which only new messages take from), and the times a new
 * message starts with. What is wrong with a call by itself, whatever the state,
 * is not asked here.
 */
#include "model.h"

static uint64_t
bytes_of(const struct m_queue *q)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < q->count; i++)
		sum += q->msgs[i].content->len;
	return sum;
}

bool
model__fits(const struct m_queue *q, uint64_t messages, uint64_t bytes)
{
	if (q->attrs.max_messages > 0 && q->count + messages > q->attrs.max_messages)
		return false;
	return q->attrs.max_bytes == 0 || bytes_of(q) + bytes <= q->attrs.max_bytes;
}

int
model_send_check(const struct m_queue *q, const evq_buf *bodies, size_t count, const struct m_fate *fates)
{
	uint64_t bytes = 0, messages = 0;

	for (size_t i = 0; i < count; i++) {
		if (bodies[i].len > q->attrs.max_body_len)
			return EVQ_TOOBIG;
		bytes += fates[i].repeat ? 0 : bodies[i].len;
		messages += !fates[i].repeat;
	}
	return messages == 0 || model__fits(q, messages, bytes) ? 0 : EVQ_FULL;
}

static int64_t
expiry_of(const struct model *m, const struct m_queue *q, const evq_send_opts *opts)
{
	int64_t life = q->attrs.retention;

	if (opts != NULL && opts->expires_ms > 0 && (life == 0 || opts->expires_ms < life))
		life = opts->expires_ms;
	return life == 0 ? 0 : m->now + life;
}

static int64_t
delay_of(const struct m_queue *q, const evq_send_opts *opts)
{
	if (opts == NULL || opts->delay_ms == 0)
		return q->attrs.delay;
	return opts->delay_ms == EVQ_NONE ? 0 : opts->delay_ms;
}

static void
send_one(struct model *m, struct m_queue *q, const evq_buf *body, const evq_send_opts *opts, evq_id id, size_t k)
{
	struct m_msg msg = { .id = id };

	msg.content = model_content(body->data, body->len, opts);
	msg.priority = opts == NULL ? 0 : opts->priority;
	msg.sent_at = m->now;
	msg.expiry = expiry_of(m, q, opts);
	msg.due = m->now + delay_of(q, opts);
	if (msg.expiry > 0 && msg.due > msg.expiry)
		msg.due = msg.expiry;
	model__remember(m, q, &msg, opts, k);
	model__msg_add(q, &msg);
	if (msg.due <= m->now)
		model__turn_give(q, model_msg(q, id));
	q->did.sent++;
}

/* ids: of each message, what the library gave. */
void
model_send(struct model *m, struct m_queue *q, const evq_buf *bodies, size_t count, const evq_send_opts *opts,
           const struct m_fate *fates, evq_id *ids)
{
	for (size_t i = 0; i < count; i++) {
		if (fates[i].repeat) {
			if (ids[i] != (fates[i].first != 0 ? fates[i].first : ids[fates[i].sent_now]))
				m->broken = "the id of a repeat is not that of the first";
			q->did.duplicates++;
			continue;
		}
		if (ids[i] <= m->last_id)
			m->broken = "the id given is not greater than every id before it";
		send_one(m, q, &bodies[i], opts, ids[i], i);
		m->last_id = ids[i];
	}
}

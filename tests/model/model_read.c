/* SPDX-License-Identifier: MIT */
/*
 * Looking: the figures of a queue and what a peek shows, both counted afresh
 * from the messages.
 */
#include "model.h"

#include <stdlib.h>
#include <string.h>

static void
count_one(const struct model *m, const struct m_queue *q, const struct m_msg *msg, evq_stats *out)
{
	int state = model_state(m, q, msg);

	out->messages++;
	out->bytes += msg->content->len;
	out->visible += state == EVQ_VISIBLE;
	out->delayed += state == EVQ_DELAYED;
	out->leased += state == EVQ_LEASED;
	out->blocked += state == EVQ_BLOCKED;
	if (state != 0 && (out->oldest_sent_at_ms == 0 || msg->sent_at < out->oldest_sent_at_ms))
		out->oldest_sent_at_ms = msg->sent_at;
}

void
model_stats(const struct model *m, const struct m_queue *q, evq_stats *out)
{
	memset(out, 0, sizeof(*out));
	out->size = sizeof(*out);
	for (size_t i = 0; i < q->count; i++)
		count_one(m, q, &q->msgs[i], out);
	out->sent = q->did.sent;
	out->received = q->did.received;
	out->deleted = q->did.deleted;
	out->dead_lettered = q->did.dead_lettered;
	out->expired = q->did.expired;
	out->redriven = q->did.redriven;
	out->purged = q->did.purged;
	out->duplicates = q->did.duplicates;
	out->stale = q->did.stale;
}

/* Is msg behind the place that the receipt was given out for? */
static bool
is_behind(const struct m_msg *msg, const struct m_ticket *after)
{
	if (msg->priority != after->priority)
		return msg->priority < after->priority;
	if (msg->in_turn != after->in_turn)
		return msg->in_turn;
	if (msg->in_turn && msg->turn != after->turn)
		return msg->turn > after->turn;
	if (!msg->in_turn && msg->due != after->due)
		return msg->due > after->due;
	return msg->id > after->id;
}

bool
model_shows(const struct model *m, const struct m_queue *q, const struct m_msg *msg, uint32_t states)
{
	uint32_t state = (uint32_t)model_state(m, q, msg);

	return state != 0 && (states == 0 || (state & states) != 0);
}

/* Of a queue that is not FIFO. */
int
model_peek(const struct model *m, const struct m_queue *q, uint32_t states, uint32_t count,
           const struct m_ticket *after, struct m_ids *out)
{
	struct m_ids order = { 0 };

	model__order_shown(q, &order);
	out->count = 0;
	for (size_t i = 0; i < order.count && out->count < (count == 0 ? 100 : count); i++) {
		const struct m_msg *msg = model_msg(q, order.at[i]);

		if (model_shows(m, q, msg, states) && (after == NULL || is_behind(msg, after)))
			model_ids_add(out, order.at[i]);
	}
	free(order.at);
	return out->count > 0 ? 0 : EVQ_EMPTY;
}

static int
compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

void
model_names(const struct model *m, const char **names)
{
	for (size_t i = 0; i < m->queue_count; i++)
		names[i] = m->queues[i].name;
	if (m->queue_count > 1)
		qsort(names, m->queue_count, sizeof(*names), compare_names);
}

/* SPDX-License-Identifier: MIT */
/*
 * Receiving: a walk over the messages that are due, in the order of delivery,
 * until the batch is full. Expired ones are cleared where the library did so
 * (and must all be gone when the batch did not fill), exhausted ones are
 * dead-lettered, the rest is leased.
 */
#include "model.h"

#include <stdlib.h>

bool
model_expired(const struct model *m, const struct m_msg *msg)
{
	return msg->expiry > 0 && msg->expiry <= m->now;
}

int
model_state(const struct model *m, const struct m_msg *msg)
{
	if (model_expired(m, msg))
		return 0;
	if (msg->due <= m->now)
		return EVQ_VISIBLE;
	return msg->leased ? EVQ_LEASED : EVQ_DELAYED;
}

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

static int
compare(const void *pa, const void *pb)
{
	const struct m_msg *a = *(struct m_msg *const *)pa, *b = *(struct m_msg *const *)pb;

	if (a->priority != b->priority)
		return a->priority > b->priority ? -1 : 1;
	if (a->due != b->due)
		return a->due < b->due ? -1 : 1;
	return a->id < b->id ? -1 : a->id > b->id;
}

/* Every message: priority, then when it became due, then id. */
void
model_order(const struct m_queue *q, struct m_ids *out)
{
	struct m_msg **sorted = malloc((q->count + 1) * sizeof(struct m_msg *));

	if (sorted == NULL)
		abort();
	for (size_t i = 0; i < q->count; i++)
		sorted[i] = &q->msgs[i];
	if (q->count > 1)
		qsort(sorted, q->count, sizeof(struct m_msg *), compare);
	out->count = 0;
	for (size_t i = 0; i < q->count; i++)
		model_ids_add(out, sorted[i]->id);
	free(sorted);
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
	q->did.received++;
}

struct walk {
	size_t count;
	uint64_t max_bytes, bytes;
	int64_t visibility;
	bool stopped; /* by max_bytes */
};

static void
meet(struct model *m, struct m_queue *q, struct m_msg *msg, struct walk *w, struct m_ids *taken)
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
	if (w->max_bytes > 0 && taken->count > 0 && w->bytes + msg->content->len > w->max_bytes) {
		w->stopped = true;
		return;
	}
	w->bytes += msg->content->len;
	lease(m, q, msg, w->visibility);
	model_ids_add(taken, msg->id);
}

static void
walk_due(struct model *m, struct m_queue *q, struct walk *w, struct m_ids *taken)
{
	struct m_ids order = { 0 };

	model_order(q, &order);
	for (size_t i = 0; i < order.count && taken->count < w->count && !w->stopped; i++) {
		struct m_msg *msg = model_msg(q, order.at[i]);

		if (msg->due <= m->now)
			meet(m, q, msg, w, taken);
	}
	free(order.at);
}

/* One that the dead letter had no room for may be back so soon that it is expired again. */
static bool
left_expired(const struct model *m, const struct m_queue *q)
{
	for (size_t i = 0; i < q->count; i++)
		if (model_expired(m, &q->msgs[i]) && !q->msgs[i].open_due)
			return true;
	return false;
}

int
model_receive(struct model *m, struct m_queue *q, const evq_receive_opts *opts, struct m_ids *taken)
{
	struct walk w = { .count = 1, .visibility = q->attrs.visibility };

	if (opts != NULL) {
		w.count = opts->count == 0 ? 1 : opts->count;
		w.max_bytes = opts->max_bytes;
		w.visibility = opts->visibility_ms == 0 ? q->attrs.visibility : opts->visibility_ms;
	}
	taken->count = 0;
	walk_due(m, q, &w, taken);
	model_clear_seen(m);
	if (taken->count < w.count && !w.stopped && left_expired(m, q))
		m->broken = "a receive that met everything left an expired message behind";
	return taken->count > 0 ? 0 : EVQ_EMPTY;
}

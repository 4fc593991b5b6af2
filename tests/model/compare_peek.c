/* SPDX-License-Identifier: MIT */
/*
 * Peeks, compared. Of a FIFO queue the order of the groups is the library's:
 * it is learned from a peek at everything, whose rest must be right, and every
 * other peek must be a part of that.
 */
#include "run.h"

#include <stdlib.h>

static void
keep_peeked(struct run *r, const struct m_queue *q, const struct m_msg *msg, const evq_delivery *d)
{
	struct m_ticket t = ticket_of(q, msg);

	t.r = d->receipt;
	t.token = 0;
	t.peeked = true;
	pool_put(r, &t);
}

static void
compare_shown(struct run *r, const struct m_queue *q)
{
	size_t keep = below(r, r->order.count);

	for (size_t i = 0; i < r->order.count; i++) {
		const struct m_msg *msg = model_msg(q, r->order.at[i]);
		const evq_delivery *d = evq_batch_at(r->batch, i);

		compare_delivery(r, q, msg, d, model_state(view(r), q, msg));
		if (i == keep)
			keep_peeked(r, q, msg, d);
	}
}

static int
peek(struct run *r, const struct m_queue *q, uint32_t states, uint32_t count, const struct m_ticket *after)
{
	const evq_receipt *behind = after == NULL ? NULL : &after->r;

	return evq_peek(store_queue(r, q), EVQ_PEEK_OPTS(.states = states, .count = count, .after = behind), r->batch);
}

/* The ids in r->order are expected. */
static void
compare_order(struct run *r, const struct m_queue *q, int got)
{
	int want = r->order.count > 0 ? 0 : EVQ_EMPTY;

	if (want != got)
		differ(r, "evq_peek of %s: expected %s, got %s", q->name, rc_name(want), rc_name(got));
	for (size_t i = 0; i < r->order.count && i < evq_batch_count(r->batch); i++)
		if (evq_batch_at(r->batch, i)->id != r->order.at[i])
			differ(r, "evq_peek of %s: at place %zu expected message %llu, got %llu", q->name, i,
			       (unsigned long long)r->order.at[i], (unsigned long long)evq_batch_at(r->batch, i)->id);
	expect_int(r, "evq_peek: messages", (int64_t)r->order.count, (int64_t)evq_batch_count(r->batch));
	if (got == 0)
		compare_shown(r, q);
}

/* ---- of a FIFO queue ---- */

static const struct m_msg *
shown(const struct run *r, const struct m_queue *q, size_t i)
{
	return model_msg(q, r->order.at[i]);
}

static bool
begins_group(const struct run *r, const struct m_queue *q, size_t i)
{
	return i == 0 || !model_same_group(shown(r, q, i - 1), shown(r, q, i));
}

/* Group after group, each in its order and none twice, and nothing is missing. */
static void
check_order(struct run *r, const struct m_queue *q)
{
	size_t count = 0;

	for (size_t i = 0; i < q->count; i++)
		count += model_shows(view(r), q, &q->msgs[i], 0);
	expect_int(r, "evq_peek of a FIFO queue: messages", (int64_t)count, (int64_t)r->order.count);
	for (size_t i = 0; i < count; i++) {
		const struct m_msg *msg = shown(r, q, i);

		if (msg == NULL || !model_shows(view(r), q, msg, 0))
			differ(r, "evq_peek of %s: message %llu is not there", q->name, (unsigned long long)r->order.at[i]);
		if (!begins_group(r, q, i) && r->order.at[i - 1] >= msg->id)
			differ(r, "evq_peek of %s: message %llu comes behind %llu of its group", q->name,
			       (unsigned long long)msg->id, (unsigned long long)r->order.at[i - 1]);
		for (size_t k = 0; begins_group(r, q, i) && k < i; k++)
			if (model_same_group(shown(r, q, k), msg))
				differ(r, "evq_peek of %s: message %llu comes apart from its group", q->name,
				       (unsigned long long)msg->id);
	}
}

static bool
is_of_ticket(const struct m_msg *msg, const struct m_ticket *t)
{
	if (t->group == NULL || msg->content->group == NULL)
		return msg->id == t->id;
	return msg->content->group == t->group;
}

/*
 * Where in r->order a peek behind t begins, if its group is there. Otherwise it may be any place between two groups:
 * then it is where the peek in r->batch did begin.
 */
static size_t
place_behind(struct run *r, const struct m_queue *q, const struct m_ticket *t)
{
	size_t place, count = r->order.count;

	for (place = 0; place < count && !is_of_ticket(shown(r, q, place), t); place++)
		;
	if (place < count) {
		while (place < count && is_of_ticket(shown(r, q, place), t) && r->order.at[place] <= t->id)
			place++;
		return place;
	}
	if (evq_batch_count(r->batch) == 0)
		return count;
	for (place = 0; place < count && r->order.at[place] != evq_batch_at(r->batch, 0)->id; place++)
		;
	while (place < count && !begins_group(r, q, place))
		place--;
	return place;
}

/* What of r->order is to be shown. */
static void
cut_order(struct run *r, const struct m_queue *q, uint32_t states, uint32_t count, size_t from)
{
	size_t kept = 0;

	for (size_t i = from; i < r->order.count && kept < (count == 0 ? 100 : count); i++)
		if (model_shows(view(r), q, shown(r, q, i), states))
			r->order.at[kept++] = r->order.at[i];
	r->order.count = kept;
}

/* All that is shown, in the library's order of groups, into r->order. */
static void
learn_order(struct run *r, const struct m_queue *q)
{
	int rc = peek(r, q, 0, EVQ_BATCH_MAX, NULL);

	r->order.count = 0;
	for (size_t i = 0; i < evq_batch_count(r->batch); i++)
		model_ids_add(&r->order, evq_batch_at(r->batch, i)->id);
	check_order(r, q);
	compare_order(r, q, rc);
}

static void
compare_peek_fifo(struct run *r, const struct m_queue *q, uint32_t states, uint32_t count,
                  const struct m_ticket *after)
{
	int got;

	learn_order(r, q);
	if (states == 0 && count == EVQ_BATCH_MAX && after == NULL)
		return;
	got = peek(r, q, states, count, after);
	cut_order(r, q, states, count, after == NULL ? 0 : place_behind(r, q, after));
	compare_order(r, q, got);
}

/* Leaves the batch filled and the ids in r->order. q is a queue of view(). */
void
compare_peek(struct run *r, const struct m_queue *q, uint32_t states, uint32_t count, const struct m_ticket *after)
{
	if (model_is(q, EVQ_FIFO)) {
		compare_peek_fifo(r, q, states, count, after);
		return;
	}
	model_peek(view(r), q, states, count, after, &r->order);
	compare_order(r, q, peek(r, q, states, count, after));
}

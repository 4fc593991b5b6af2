/* SPDX-License-Identifier: MIT */
/*
 * Looking: peeks by state, by pages, behind receipts of any age; figures and
 * attributes. Inside a transaction they show what was committed.
 */
#include "run.h"

#include <string.h>

/* A queue as a reader sees it. */
static const struct m_queue *
pick_seen(struct run *r)
{
	for (unsigned tries = 0; tries < 8; tries++) {
		const struct m_queue *q = model_queue(view(r), pick_name(r));

		if (q != NULL)
			return q;
	}
	return NULL;
}

static const struct m_ticket *
pick_after(struct run *r, const struct m_queue *q)
{
	size_t from = r->pool_count == 0 ? 0 : below(r, r->pool_count);

	for (size_t i = 0; i < r->pool_count; i++) {
		const struct m_ticket *t = &r->pool[(from + i) % r->pool_count];

		if (t->uid == q->uid && !t->damaged && !t->foreign && (t->peeked || !model_is(q, EVQ_FIFO)))
			return t;
	}
	return NULL;
}

bool
op_peek(struct run *r)
{
	const struct m_queue *q = pick_seen(r);
	const struct m_ticket *after;
	struct m_ticket place;
	uint32_t states = (uint32_t)below(r, 16), count = (uint32_t)below(r, 12);

	if (q == NULL)
		return false;
	after = one_in(r, 3) ? pick_after(r, q) : NULL;
	say(r, "peek %s: states %u, count %u", q->name, states, count);
	if (after != NULL) {
		place = *after;
		say_more(r, ", behind message %llu due %lld", (unsigned long long)place.id, (long long)place.due);
	}
	compare_peek(r, q, states, count, after == NULL ? NULL : &place);
	return true;
}

/* From page to page, until there is none: every message must have been shown once. */
bool
op_pages(struct run *r)
{
	const struct m_queue *q = pick_seen(r);
	uint32_t size = (uint32_t)(1 + below(r, 9));
	struct m_ticket last;
	bool more = false;

	if (q == NULL || q->count > 120)
		return false;
	say(r, "peek %s in pages of %u", q->name, size);
	do {
		compare_peek(r, q, 0, size, more ? &last : NULL);
		more = r->order.count > 0;
		if (more) {
			last = ticket_of(q, model_msg(q, r->order.at[r->order.count - 1]));
			last.r = evq_batch_at(r->batch, r->order.count - 1)->receipt;
			last.peeked = true;
		}
	} while (more);
	return true;
}

bool
op_stats(struct run *r)
{
	const struct m_queue *q = pick_seen(r);

	if (q == NULL)
		return false;
	say(r, "stats %s", q->name);
	compare_stats(r, q);
	return true;
}

bool
op_get_attrs(struct run *r)
{
	const struct m_queue *q = pick_seen(r);

	if (q == NULL)
		return false;
	say(r, "get_attrs %s", q->name);
	compare_attrs(r, q);
	return true;
}

static int
stop_at_once(const char *name, void *arg)
{
	(void)name;
	++*(int *)arg;
	return 4711;
}

bool
op_list(struct run *r)
{
	int calls = 0;

	if (view(r)->queue_count == 0)
		return false;
	say(r, "list");
	compare_list(r);
	expect_int(r, "evq_queue_list, stopped", 4711, evq_queue_list(r->env, stop_at_once, &calls));
	expect_int(r, "calls before it stopped", 1, calls);
	return true;
}

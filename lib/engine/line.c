/* SPDX-License-Identifier: MIT */
/* Owns the counters that go with the messages of a queue, and the choice of what keeps them in order. */
#include "line.h"

#include <string.h>

#include "fair.h"
#include "group.h"

static void
count(struct evq__queue *q, const struct evq__entry *e, uint64_t sign)
{
	q->c.messages += sign;
	q->c.bytes += sign * e->body_len;
	q->c.mortal += e->expires_at_ms ? sign : 0;
	q->dirty = 1;
}

int
evq__line_insert(struct evq__call *call, struct evq__queue *q, const struct evq__place *at,
                 const struct evq__entry *e)
{
	count(q, e, 1);
	if (q->flags & EVQ_FIFO)
		return evq__group_insert(call, at, e);
	evq__line_wake(call, at);
	return q->flags & EVQ_FAIR ? evq__fair_insert(call, at, e) : evq__due_put(call, at, e);
}

int
evq__line_remove(struct evq__call *call, struct evq__queue *q, const struct evq__found *f)
{
	count(q, &f->entry, UINT64_MAX);
	if (q->flags & EVQ_FIFO)
		return evq__group_remove(call, f);
	return q->flags & EVQ_FAIR ? evq__fair_remove(call, f) : evq__due_del(call, &f->place);
}

int
evq__line_move(struct evq__call *call, const struct evq__found *f, const struct evq__place *to)
{
	if (call->q.flags & EVQ_FIFO)
		return evq__group_move(call, f, to);
	if (call->q.flags & EVQ_FAIR)
		return evq__fair_move(call, f, to);
	int rc = evq__due_del(call, &f->place);
	return rc ? rc : evq__due_put(call, to, &f->entry);
}

int
evq__line_again(struct evq__call *call, struct evq__found *f)
{
	if (call->q.flags & EVQ_FIFO)
		return evq__group_get(call->txn, f);
	return evq__due_get(call->txn, &f->place, &f->entry);
}

int
evq__line_history(struct evq__call *call, struct evq__found *f, uint8_t buf[static EVQ__HISTORY_MAX])
{
	struct evq__found now = *f;
	if (!f->entry.deaths)
		return 0;
	int rc = f->is_waiting ? evq__group_get(call->txn, &now)
	                       : evq__due_get(call->txn, &now.place, &now.entry);
	if (rc || now.entry.deaths != f->entry.deaths)
		return rc && rc != EVQ__NONE ? rc : EVQ_CORRUPT;
	memcpy(buf, now.entry.history.data, now.entry.history.len);
	f->entry.history = (struct evq__slice){ buf, now.entry.history.len };
	return 0;
}

int
evq__line_clear(struct evq__call *call, size_t max, size_t *count)
{
	struct evq__place from = { .queue = call->q.number };
	struct evq__found f;
	int rc = evq__group_clear(call, call->q.number, max, count);
	while (!rc && *count < max && !(rc = evq__due_seek(call->txn, &from, &f))) {
		rc = evq__due_del(call, &f.place);
		++*count;
	}
	return rc == EVQ__NONE ? 0 : rc;
}

/* ---- what may be received ---- */

static int
collect(struct evq__call *call, struct evq__ready *r)
{
	struct evq__found f;
	int rc = evq__due_seek(call->txn, &r->from, &f);
	while (!rc && r->count < r->max) {
		if (r->is_list || evq__is_due(&f.place, call->now_ms)) {
			r->from = evq__due_behind(&f.place);
			evq__line_found(r, &f);
			rc = r->count < r->max ? evq__due_next(call->txn, r->from.queue, &f) : 0;
			continue;
		}
		rc = evq__line_next_lane(r, &f.place);
		if (!rc)
			rc = evq__due_seek(call->txn, &r->from, &f);
	}
	return rc;
}

int
evq__line_collect(struct evq__call *call, struct evq__ready *r)
{
	int rc;
	r->count = 0;
	if (call->q.flags & EVQ_FIFO)
		rc = evq__group_collect(call, r);
	else if (call->q.flags & EVQ_FAIR)
		rc = r->is_list ? evq__fair_list(call, r) : evq__fair_collect(call, r);
	else
		rc = collect(call, r);
	r->done = rc == EVQ__NONE;
	return r->done ? 0 : rc;
}

void
evq__line_took(struct evq__call *call, struct evq__ready *r, const struct evq__found *f)
{
	if (!(call->q.flags & EVQ_FIFO) || r->group != evq__group_of(f))
		return;
	r->last = f->place.id;
	r->taken++;
}

int
evq__line_resume(struct evq__call *call, struct evq__ready *r)
{
	r->from = (struct evq__place){ .queue = call->q.number };
	r->done = 0;
	return r->last ? evq__group_resume(call, r) : 0;
}

/* ---- all there is ---- */

int
evq__walk_seek(struct evq__call *call, const struct evq__queue *q, const struct evq__place *from,
               struct evq__walk *w, struct evq__found *f)
{
	*w = (struct evq__walk){ .flags = q->flags, .now_ms = call->now_ms };
	return q->flags & EVQ_FIFO ? evq__group_seek(call->txn, from, w, f) : evq__due_seek(call->txn, from, f);
}

int
evq__walk_next(struct evq__call *call, const struct evq__queue *q, struct evq__walk *w, struct evq__found *f)
{
	return q->flags & EVQ_FIFO ? evq__group_next(call->txn, q->number, w, f)
	                           : evq__due_next(call->txn, q->number, f);
}

struct evq__place
evq__walk_at(const struct evq__queue *q, const struct evq__found *f)
{
	if (q->flags & EVQ_FIFO)
		return (struct evq__place){ f->place.queue, f->place.lane, evq__group_of(f), f->place.id };
	return f->place;
}

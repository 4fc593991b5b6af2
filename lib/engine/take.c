/* SPDX-License-Identifier: MIT */
/*
 * Owns receiving: take the first entries whose time has come, and move each to the end of its lease. What
 * must not be delivered is met on the way and goes its own way: expired, received too often, damaged.
 */
#include "take.h"

#include "bodies.h"
#include "bounds.h"
#include "dead.h"
#include "dedup.h"
#include "deliver.h"
#include "expire.h"
#include "receipt.h"

enum {
	CHUNK = 64,  /* entries looked at before they are worked on */
	MOVES = 1000 /* entries that stand in the way, or need a turn, in one go */
};

static int
lease(struct evq__call *call, const struct evq__take *take, struct evq__found *f, struct evq__place *to)
{
	int64_t visibility = take->visibility_ms ? take->visibility_ms : call->q.visibility_ms;
	struct evq__entry *e = &f->entry;
	evq__due_refence(call, e);
	e->receives += e->receives < UINT32_MAX;
	e->flags |= EVQ__ENTRY_LEASED;
	e->owner = call->owner;
	if (!e->first_received_at_ms)
		e->first_received_at_ms = call->now_ms;
	*to = f->place;
	to->due_ms = evq__due_time(e, call->now_ms, visibility);
	return evq__line_move(call, f, to);
}

/* Reads first, so that a damaged body is known before anything is written. */
static int
deliver(struct evq__call *call, struct evq__take *take, struct evq__found *f, struct evq_batch *batch)
{
	uint8_t history[EVQ__HISTORY_MAX];
	struct evq__place to;
	evq_delivery *d;
	int rc = evq__line_history(call, f, history);
	if (!rc)
		rc = evq__deliver_entry(call, f, batch, &d);
	if (!rc)
		rc = evq__bodies_read(call->txn, f->place.id, batch, d);
	if (!rc && d->body_len != f->entry.body_len)
		rc = EVQ_CORRUPT;
	if (rc)
		return rc;
	if ((rc = lease(call, take, f, &to)))
		return rc;
	d->receives = f->entry.receives;
	d->first_received_at_ms = f->entry.first_received_at_ms;
	d->visible_at_ms = (int64_t)to.due_ms;
	d->state = EVQ_LEASED;
	if (d->visible_at_ms < take->lease_end)
		take->lease_end = d->visible_at_ms;
	evq__receipt_pack(&to, f->entry.fence, call->secret, &d->receipt);
	evq__batch_keep(batch);
	call->q.c.received++;
	call->q.dirty = 1;
	return 0;
}

/* One that cannot be delivered, and is not left where it is. Otherwise EVQ__NONE. */
static int
divert(struct evq__call *call, struct evq__found *f)
{
	if (evq__is_expired(&f->entry, call->now_ms))
		return evq__expire_one(call, f);
	if (evq__dead_is_due(&call->q, &f->entry))
		return evq__dead_or_later(call, f, "max-receives");
	return EVQ__NONE;
}

static int
take_one(struct evq__call *call, struct evq__take *take, struct evq__found *f, struct evq_batch *batch)
{
	int rc = divert(call, f);
	if (rc == EVQ__NONE) {
		if (take->max_bytes && batch->count && take->bytes + f->entry.body_len > take->max_bytes) {
			take->full = 1;
			return 0;
		}
		rc = deliver(call, take, f, batch);
		if (!rc) {
			take->bytes += f->entry.body_len;
			return 0;
		}
		if (rc != EVQ_CORRUPT || call->txn->rc)
			return rc;
		take->corrupt++;
		rc = evq__dead_corrupt(call, f);
	}
	take->more = --take->budget == 0;
	return rc;
}

/* Some of what is ready, and what stood in its way. */
static int
take_some(struct evq__call *call, struct evq__take *take, struct evq_batch *batch)
{
	struct evq__found found[CHUNK];
	struct evq__ready *r = &take->ready;
	size_t before;
	r->found = found;
	r->max = take->count - batch->count < CHUNK ? take->count - batch->count : CHUNK;
	size_t budget = take->budget < MOVES ? take->budget : MOVES;
	r->budget = budget;
	int rc = evq__line_collect(call, r);
	if (take->budget == SIZE_MAX)
		r->may_write = r->may_write && r->budget; /* in a transaction that is not ours to end, not more of that */
	else
		take->budget -= budget - r->budget;
	take->more = take->budget == 0;
	for (size_t i = 0; !rc && i < r->count && !take->full && !take->more; i++) {
		before = batch->count;
		rc = take_one(call, take, &found[i], batch);
		if (batch->count > before)
			evq__line_took(call, r, &found[i]);
		take->more |= evq__space_is_spent(call->txn);
	}
	return rc;
}

/*
 * What waited in a group comes to stand in evq.due, and what came due gets a turn: rows are added. Where there is no
 * room for that, only what stands in evq.due is taken, from where it stands: that adds nothing, and makes room.
 */
static int
look_for_room(struct evq__call *call, struct evq__take *take)
{
	struct evq__ready *r = &take->ready;
	uint64_t pages = 16 + (take->count < EVQ__SLICE ? take->count : take->count + EVQ__SLICE) / 8;
	int rc = call->q.flags & (EVQ_FIFO | EVQ_FAIR) ? evq__space_spare(call->txn, pages) : 0;
	if (!rc && take->is_frugal)
		rc = EVQ_FULL;
	r->may_write = rc == 0;
	r->heads_only = rc != 0;
	return rc == EVQ_FULL ? 0 : rc;
}

int
evq__take(struct evq__call *call, struct evq__take *take, struct evq_batch *batch)
{
	int rc = call->q.c.remembered ? evq__dedup_clear(call, take->count < CHUNK ? 2 * take->count : CHUNK) : 0;
	take->ready.next_due = EVQ__DUE_NEVER;
	take->full = take->full || call->now_ms >= take->lease_end; /* or it would take its own again */
	if (!rc)
		rc = look_for_room(call, take);
	if (!rc)
		rc = evq__line_resume(call, &take->ready);
	while (!rc && batch->count < take->count && !take->full && !take->more && !take->ready.done)
		rc = take_some(call, take, batch);
	take->next_due = take->ready.next_due;
	return rc;
}

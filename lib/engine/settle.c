/* SPDX-License-Identifier: MIT */
/*
 * Owns the fence: a receipt is good for exactly the lease it was given for. It names the place of an entry and
 * a number that each receive, extension and release changes, so one look-up tells whether that lease is still
 * the last thing that happened to the message. A lease that ran out and was taken by nobody still is.
 */
#include "settle.h"

#include <errno.h>

#include "bodies.h"
#include "dead.h"
#include "fair.h"
#include "name.h"
#include "receipt.h"

/* Its lease ran out, and it was put aside since one before it in its group is blocked: nobody has taken it yet. */
static int
find_aside(struct evq__call *call, struct evq__found *f)
{
	struct evq__slice group;
	uint64_t due_ms = f->place.due_ms;
	int rc = evq__bodies_group(call->txn, f->place.id, &group);
	if (rc)
		return rc == EVQ_CORRUPT ? EVQ__NONE : rc;
	f->entry.flags = EVQ__ENTRY_GROUP;
	f->entry.group = evq__name_hash(group.data, group.len, call->name_end, call->secret);
	rc = evq__line_again(call, f);
	return rc || f->place.due_ms == due_ms ? rc : EVQ__NONE;
}

static int
find(struct evq__call *call, const evq_receipt *r, struct evq__found *f, uint8_t history[static EVQ__HISTORY_MAX])
{
	uint32_t fence;
	int rc = evq__receipt_unpack(r, call->secret, &f->place, &fence);
	if (rc || f->place.queue != call->q.number)
		return EINVAL;
	f->is_waiting = 0;
	rc = evq__due_get(call->txn, &f->place, &f->entry);
	if (rc == EVQ__NONE && (call->q.flags & EVQ_FIFO))
		rc = find_aside(call, f);
	else if (rc == EVQ__NONE && (call->q.flags & EVQ_FAIR))
		rc = evq__fair_find(call->txn, f);
	if (rc)
		return rc == EVQ__NONE ? EVQ_STALE : rc;
	if (!(f->entry.flags & EVQ__ENTRY_LEASED) || f->entry.fence != fence ||
	    evq__is_expired(&f->entry, call->now_ms))
		return EVQ_STALE;
	return evq__line_history(call, f, history);
}

int
evq__settle_delete(struct evq__call *call, const evq_receipt *r)
{
	uint8_t history[EVQ__HISTORY_MAX];
	struct evq__found f;
	int rc = find(call, r, &f, history);
	if (rc)
		return rc;
	rc = evq__line_remove(call, &call->q, &f);
	if (!rc)
		rc = evq__bodies_remove(call, f.place.id, f.entry.flags & EVQ__ENTRY_PARTS);
	call->q.c.deleted++;
	return rc;
}

int
evq__settle_extend(struct evq__call *call, const evq_receipt *r, int64_t visibility_ms, evq_receipt *out)
{
	uint8_t history[EVQ__HISTORY_MAX];
	struct evq__found f;
	int rc = find(call, r, &f, history);
	if (rc)
		return rc;
	struct evq__place to = f.place;
	to.due_ms = evq__due_time(&f.entry, call->now_ms, visibility_ms ? visibility_ms : call->q.visibility_ms);
	evq__due_refence(call, &f.entry);
	f.entry.owner = call->owner; /* whoever extends it has it */
	if (to.due_ms < f.place.due_ms)
		evq__news_wake(call->news, call->q.number, EVQ__WAKE_ALL);
	call->txn->durable = EVQ__DURABLE_LATER; /* undone by a power loss, the message is merely visible again */
	if ((rc = evq__line_move(call, &f, &to)))
		return rc;
	evq__receipt_pack(&to, f.entry.fence, call->secret, out);
	return 0;
}

static void
uncount(struct evq__entry *e)
{
	e->receives -= e->receives > e->base;
	if (e->receives == 0)
		e->first_received_at_ms = 0;
}

int
evq__settle_release(struct evq__call *call, const evq_receipt *r, int64_t delay_ms, int uncounted)
{
	uint8_t history[EVQ__HISTORY_MAX];
	struct evq__found f;
	int rc = find(call, r, &f, history);
	if (rc)
		return rc;
	int64_t delay = delay_ms == EVQ_BACKOFF ? evq__due_backoff(call, &f) : delay_ms;
	if (uncounted)
		uncount(&f.entry);
	if (evq__dead_is_due(&call->q, &f.entry))
		return evq__dead_or_later(call, &f, "max-receives");
	struct evq__place to = f.place;
	to.due_ms = evq__due_time(&f.entry, call->now_ms, delay);
	f.entry.flags &= (uint8_t)~EVQ__ENTRY_LEASED;
	f.entry.owner = 0;
	evq__due_refence(call, &f.entry);
	evq__news_wake(call->news, call->q.number, to.due_ms <= (uint64_t)call->now_ms ? 1 : EVQ__WAKE_ALL);
	return evq__line_move(call, &f, &to);
}

int
evq__settle_bury(struct evq__call *call, const evq_receipt *r, const char *reason)
{
	uint8_t history[EVQ__HISTORY_MAX];
	struct evq__found f;
	int rc = find(call, r, &f, history);
	if (rc)
		return rc;
	return call->q.dead_letter ? evq__dead_move(call, &f, reason) : ENOENT;
}

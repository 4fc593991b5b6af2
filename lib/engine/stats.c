/* SPDX-License-Identifier: MIT */
/*
 * Owns the counting by state. State is a matter of the time at which one looks, so no counter can hold it: the
 * entries are walked, which takes a few tens of milliseconds for a million of them and blocks nobody.
 */
#include "stats.h"

#include "line.h"

static void
count(const struct evq__found *f, int64_t now_ms, evq_stats *out)
{
	if (evq__is_expired(&f->entry, now_ms))
		return;
	switch (evq__due_state(f, now_ms)) {
	case EVQ_VISIBLE: out->visible++; break;
	case EVQ_DELAYED: out->delayed++; break;
	case EVQ_LEASED: out->leased++; break;
	default: out->blocked++; break;
	}
	if (f->unreadable)
		return;
	if (!out->oldest_sent_at_ms || f->entry.sent_at_ms < out->oldest_sent_at_ms)
		out->oldest_sent_at_ms = f->entry.sent_at_ms;
}

int
evq__stats(struct evq__call *call, evq_stats *out)
{
	const struct evq__counters *c = &call->q.c;
	struct evq__found f;
	struct evq__walk walk;
	*out = (evq_stats){ .messages = c->messages,
		            .bytes = c->bytes,
		            .sent = c->sent,
		            .received = c->received,
		            .deleted = c->deleted,
		            .dead_lettered = c->dead_lettered,
		            .expired = c->expired,
		            .redriven = c->redriven,
		            .purged = c->purged,
		            .duplicates = c->duplicates,
		            .stale = c->stale };
	int rc = evq__walk_seek(call, &call->q, &(struct evq__place){ .queue = call->q.number }, &walk, &f);
	while (!rc) {
		count(&f, call->now_ms, out);
		rc = evq__walk_next(call, &call->q, &walk, &f);
	}
	return rc == EVQ__NONE ? 0 : rc;
}

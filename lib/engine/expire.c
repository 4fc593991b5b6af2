/* SPDX-License-Identifier: MIT */
/*
 * Owns expiry. It needs no index of its own: an entry never stands behind its end, so an expired one is among
 * those that are due, and is met there. Where nobody receives, sends clear the front as they come.
 */
#include "expire.h"

#include "bodies.h"
#include "bounds.h"
#include "dead.h"
#include "hash.h"
#include "line.h"

enum { CHUNK = 64 };

int
evq__expire_one(struct evq__call *call, struct evq__found *f)
{
	if (call->q.flags & EVQ_EXPIRE_TO_DEAD_LETTER)
		return evq__dead_or_later(call, f, "expired");
	int rc = evq__line_remove(call, &call->q, f);
	if (!rc)
		rc = evq__bodies_remove(call, f->place.id, f->entry.flags & EVQ__ENTRY_PARTS);
	call->q.c.expired++;
	return rc ? rc : evq__news_event(call->news, EVQ_EVENT_EXPIRED, call->q.name, f->place.id, "expired");
}

/* Those at the front of what is due. */
static int
expire_front(struct evq__call *call, size_t look_at, size_t *cleared)
{
	struct evq__found found[CHUNK];
	struct evq__ready ready = { .from = { .queue = call->q.number }, .found = found, .next_due = EVQ__DUE_NEVER,
		                    .may_write = !(call->q.flags & EVQ_FAIR), /* turns are given to receive */
		                    .budget = look_at, .heads_only = 1 };
	int rc = 0;
	while (!rc && look_at && !ready.done && ready.budget && *cleared < EVQ__SLICE && !evq__space_is_spent(call->txn)) {
		ready.max = look_at < CHUNK ? look_at : CHUNK;
		rc = evq__line_collect(call, &ready);
		look_at -= ready.count;
		for (size_t i = 0; !rc && i < ready.count && *cleared < EVQ__SLICE && !evq__space_is_spent(call->txn); i++)
			if (evq__is_expired(&found[i].entry, call->now_ms)) {
				rc = evq__expire_one(call, &found[i]);
				++*cleared;
			}
	}
	return rc;
}

/*
 * In a FIFO queue those that wait in a group are at no front. They are looked at from a group on that another number
 * chooses each time, so that sooner or later all are.
 */
static int
list_from(struct evq__call *call, uint64_t group, uint64_t end, size_t *look_at, struct evq__found *found, size_t max,
          size_t *count)
{
	struct evq__place from = { .queue = call->q.number, .due_ms = group };
	struct evq__found f;
	struct evq__walk walk;
	int rc = evq__walk_seek(call, &call->q, &from, &walk, &f);
	for (; !rc && *look_at && *count < max && walk.group <= end; --*look_at) {
		f.entry.history.data = NULL;
		if (!f.unreadable && f.is_waiting && evq__is_expired(&f.entry, call->now_ms))
			found[(*count)++] = f;
		rc = evq__walk_next(call, &call->q, &walk, &f);
	}
	return rc == EVQ__NONE ? 0 : rc;
}

/* To the end, and from the beginning to there: no message twice. */
static int
list_waiting(struct evq__call *call, size_t look_at, struct evq__found *found, size_t max, size_t *count)
{
	uint64_t mixed[2] = { call->q.c.sent, (uint64_t)call->now_ms };
	uint64_t start = evq__hash(mixed, sizeof mixed, call->nonce) | 1;
	*count = 0;
	int rc = list_from(call, start, UINT64_MAX, &look_at, found, max, count);
	return rc ? rc : list_from(call, 0, start - 1, &look_at, found, max, count);
}

static int
expire_waiting(struct evq__call *call, size_t look_at, size_t *cleared)
{
	struct evq__found found[CHUNK];
	size_t count, max = EVQ__SLICE - *cleared < CHUNK ? EVQ__SLICE - *cleared : CHUNK;
	int rc = list_waiting(call, look_at, found, max, &count);
	for (size_t i = 0; !rc && i < count && !evq__space_is_spent(call->txn); i++) {
		rc = evq__expire_one(call, &found[i]);
		++*cleared;
	}
	return rc;
}

int
evq__expire_some(struct evq__call *call, size_t look_at, size_t *cleared)
{
	*cleared = 0;
	int rc = expire_front(call, look_at, cleared);
	return rc || !(call->q.flags & EVQ_FIFO) ? rc : expire_waiting(call, look_at, cleared);
}

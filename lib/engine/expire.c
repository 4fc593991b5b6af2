/* SPDX-License-Identifier: MIT */
/*
 * Owns expiry. It needs no index of its own: an entry never stands behind its end, so an expired one is among
 * those that are due, and is met there. Where nobody receives, sends clear the front as they come.
 */
#include "expire.h"

#include "bodies.h"
#include "bounds.h"
#include "dead.h"

enum { CHUNK = 64 };

int
evq__expire_one(struct evq__call *call, struct evq__found *f)
{
	if (call->q.flags & EVQ_EXPIRE_TO_DEAD_LETTER)
		return evq__dead_or_later(call, f, "expired");
	int rc = evq__due_remove(call, &call->q, f);
	if (!rc)
		rc = evq__bodies_remove(call, f->place.id, f->entry.flags & EVQ__ENTRY_PARTS);
	call->q.c.expired++;
	return rc ? rc : evq__news_event(call->news, EVQ_EVENT_EXPIRED, call->q.name, f->place.id, "expired");
}

int
evq__expire_some(struct evq__call *call, size_t look_at, size_t *cleared)
{
	struct evq__found found[CHUNK];
	struct evq__ready ready = { .from = { .queue = call->q.number }, .found = found,
		                    .next_due = EVQ__DUE_NEVER };
	int rc = 0;
	*cleared = 0;
	while (!rc && look_at && ready.count == ready.max && *cleared < EVQ__SLICE) {
		ready.max = look_at < CHUNK ? look_at : CHUNK;
		look_at -= ready.max;
		rc = evq__due_collect(call->txn, call->now_ms, &ready);
		for (size_t i = 0; !rc && i < ready.count && *cleared < EVQ__SLICE; i++)
			if (evq__is_expired(&found[i].entry, call->now_ms)) {
				rc = evq__expire_one(call, &found[i]);
				++*cleared;
			}
	}
	return rc;
}

/* SPDX-License-Identifier: MIT */
/* Owns the end of a lease whose owner is no more: it is due at once, and whatever receipt there was is stale. */
#include "orphans.h"

#include "bounds.h"
#include "catalog.h"
#include "line.h"

static int
end_lease(struct evq__call *call, struct evq__found *f)
{
	uint8_t history[EVQ__HISTORY_MAX];
	struct evq__place to = f->place;
	int rc = call->q.number == f->place.queue ? 0 : evq__catalog_enter_any(call, f->place.queue);
	if (rc == EVQ_NOQUEUE || rc == EVQ_CORRUPT || rc == EVQ_FORMAT)
		return 0; /* verify tells of it; the lease runs out */
	if (!rc)
		rc = evq__line_history(call, f, history);
	if (rc)
		return rc;
	to.due_ms = evq__due_time(&f->entry, call->now_ms, 0);
	f->entry.flags &= (uint8_t)~EVQ__ENTRY_LEASED;
	f->entry.owner = 0;
	evq__due_refence(call, &f->entry);
	evq__news_wake(call->news, f->place.queue, 1);
	rc = evq__line_move(call, f, &to);
	return rc ? rc : evq__news_event(call->news, EVQ_EVENT_OWNER_DIED, call->q.name, f->place.id, "owner-died");
}

int
evq__orphans_slice(struct evq__call *call, uint32_t owner, size_t max, struct evq__place *from, int *done)
{
	struct evq__found found[EVQ__SLICE];
	size_t count;
	int rc = evq__due_leased(call->txn, call->now_ms, owner, from, found, max, &count);
	*done = count < max;
	for (size_t i = 0; !rc && i < count; i++)
		rc = end_lease(call, &found[i]);
	return rc;
}

/* SPDX-License-Identifier: MIT */
/*
 * Owns the way into a dead letter. Only the small entry moves, with one item of history more; id, body,
 * priority and times stay. The dead letter's own limit and retention count from the arrival.
 */
#include "dead.h"

#include <string.h>

#include "catalog.h"
#include "room.h"

static void
note_death(struct evq__call *call, struct evq__entry *e, const char *reason, uint8_t buf[static EVQ__HISTORY_MAX])
{
	struct evq__death death = { call->now_ms, e->receives, { call->q.name, call->q.name_len },
		                    { reason, strlen(reason) } };
	evq__death_add(e, &death, buf);
}

static int
move(struct evq__call *call, struct evq__found *f, struct evq__queue *to, const char *reason)
{
	uint8_t before[EVQ__HISTORY_MAX], after[EVQ__HISTORY_MAX];
	struct evq__place at = { to->number, f->place.lane, (uint64_t)call->now_ms, f->place.id };
	int rc = evq__line_history(call, f, before);
	if (!rc)
		rc = evq__line_remove(call, &call->q, f);
	if (rc)
		return rc;
	struct evq__entry e = f->entry;
	note_death(call, &e, reason, after);
	e.flags = EVQ__ENTRY_DEAD | (e.flags & (EVQ__ENTRY_PARTS | EVQ__ENTRY_GROUP));
	e.base = e.receives;
	e.owner = 0;
	e.expires_at_ms = to->retention_ms ? call->now_ms + to->retention_ms : 0;
	call->q.c.dead_lettered++;
	return evq__line_insert(call, to, &at, &e);
}

int
evq__dead_move(struct evq__call *call, struct evq__found *f, const char *reason)
{
	struct evq__queue *to;
	int rc = call->q.dead_letter ? evq__catalog_other(call, call->q.dead_letter, &to) : EVQ_NOQUEUE;
	if (rc)
		return rc == EVQ_NOQUEUE ? EVQ_CORRUPT : rc;
	if (!evq__room_for(to, 1, f->entry.body_len))
		return EVQ_FULL;
	rc = move(call, f, to, reason);
	return rc ? rc
	          : evq__news_event(call->news, EVQ_EVENT_DEAD_LETTERED, call->q.name, f->place.id, reason);
}

/* Back into its queue, for a later try. One that has expired lives on until then. */
static int
put_off(struct evq__call *call, struct evq__found *f)
{
	uint8_t history[EVQ__HISTORY_MAX];
	struct evq__place to = f->place;
	int64_t after = evq__due_backoff(call, f);
	int rc = evq__line_history(call, f, history);
	if (rc)
		return rc;
	if (evq__is_expired(&f->entry, call->now_ms))
		f->entry.expires_at_ms = call->now_ms + after;
	to.due_ms = evq__due_time(&f->entry, call->now_ms, after);
	f->entry.flags &= (uint8_t)~EVQ__ENTRY_LEASED;
	f->entry.owner = 0;
	evq__due_refence(call, &f->entry);
	return evq__line_move(call, f, &to);
}

int
evq__dead_or_later(struct evq__call *call, struct evq__found *f, const char *reason)
{
	int rc = evq__dead_move(call, f, reason);
	if (rc != EVQ_FULL || call->txn->rc)
		return rc;
	if ((rc = put_off(call, f)))
		return rc;
	evq__news_wake(call->news, call->q.number, EVQ__WAKE_ALL);
	return evq__news_event(call->news, EVQ_EVENT_DEAD_LETTER_FULL, call->q.name, f->place.id, reason);
}

/* It leaves its group, so that it is in nobody's way. */
static int
park(struct evq__call *call, struct evq__found *f)
{
	uint8_t history[EVQ__HISTORY_MAX];
	struct evq__place to = f->place;
	int rc = evq__line_history(call, f, history);
	if (!rc)
		rc = evq__line_remove(call, &call->q, f);
	if (rc)
		return rc;
	f->entry.expires_at_ms = 0;
	f->entry.owner = 0;
	f->entry.flags = EVQ__ENTRY_PARKED | (f->entry.flags & (EVQ__ENTRY_PARTS | EVQ__ENTRY_DEAD));
	evq__due_refence(call, &f->entry);
	to.due_ms = EVQ__DUE_NEVER;
	return evq__line_insert(call, &call->q, &to, &f->entry);
}

int
evq__dead_corrupt(struct evq__call *call, struct evq__found *f)
{
	int rc = evq__news_event(call->news, EVQ_EVENT_CORRUPT, call->q.name, f->place.id, "corrupt");
	if (rc)
		return rc;
	return call->q.dead_letter ? evq__dead_or_later(call, f, "corrupt") : park(call, f);
}

/* SPDX-License-Identifier: MIT */
/*
 * Owns redriving. Listing and moving are two steps, since what the user has to say about each message is
 * asked between them, outside any transaction; so moving makes sure that the entry is still what was listed.
 */
#include "redrive.h"

#include <string.h>

#include "catalog.h"
#include "group.h"
#include "room.h"

enum { LOOK_AT = 16 * EVQ__SLICE };

static int
is_free(const struct evq__call *call, const struct evq__found *f)
{
	if (evq__is_expired(&f->entry, call->now_ms))
		return 0;
	return evq__due_state(f, call->now_ms) & (EVQ_VISIBLE | EVQ_DELAYED);
}

int
evq__redrive_list(struct evq__call *call, struct evq__ready *walk, struct evq__found *found, size_t max,
                  size_t *count)
{
	size_t looked = 0;
	int rc = 0;
	for (*count = 0; !rc && !walk->done && *count < max && looked < LOOK_AT; looked += walk->count) {
		walk->found = found + *count;
		walk->max = max - *count;
		rc = evq__line_collect(call, walk);
		for (size_t i = 0; !rc && i < walk->count; i++)
			if (is_free(call, &walk->found[i]))
				found[(*count)++] = walk->found[i];
	}
	return rc;
}

/* The number of the queue that f died in last, 0 where it never did. Errors: EVQ_NOQUEUE it is gone. */
static int
find_origin(struct evq__call *call, const struct evq__found *f, uint32_t *number)
{
	struct evq__death death = { .at_ms = 0 };
	size_t at = 0;
	*number = 0;
	if (!(f->entry.flags & EVQ__ENTRY_DEAD))
		return 0;
	while (evq__death_next(&f->entry.history, &at, &death) == 0)
		continue;
	return evq__catalog_find(call, death.from.data, death.from.len, number);
}

static int
leave(struct evq__call *call, const struct evq__found *f, int rc, const char *reason, int *obstacle)
{
	if (!*obstacle)
		*obstacle = rc;
	return evq__news_event(call->news, EVQ_EVENT_NOT_REDRIVEN, call->q.name, f->place.id, reason);
}

static int
move(struct evq__call *call, struct evq__found *f, struct evq__queue *to)
{
	struct evq__place at = { to->number, f->place.lane, (uint64_t)call->now_ms, f->place.id };
	int rc = evq__line_remove(call, &call->q, f);
	if (rc)
		return rc;
	struct evq__entry e = f->entry;
	evq__due_refence(call, &e);
	e.flags &= EVQ__ENTRY_PARTS | EVQ__ENTRY_GROUP;
	e.receives = e.base = e.owner = 0;
	e.first_received_at_ms = 0;
	e.expires_at_ms = to->retention_ms ? call->now_ms + to->retention_ms : 0;
	call->q.c.redriven++;
	return evq__line_insert(call, to, &at, &e);
}

int
evq__redrive_one(struct evq__call *call, struct evq__found *f, uint32_t to, int *obstacle, size_t *moved)
{
	uint8_t history[EVQ__HISTORY_MAX];
	uint32_t listed = f->entry.fence;
	struct evq__queue *dest;
	int rc = evq__line_again(call, f);
	if (rc == EVQ__NONE || (!rc && (f->entry.fence != listed || !is_free(call, f))))
		return 0;
	if (!rc && (call->q.flags & EVQ_FIFO)) { /* since it was listed, one before it may have been received */
		int is_held;
		rc = evq__group_is_held(call, f, &is_held);
		if (!rc && is_held)
			return 0;
	}
	if (!rc)
		rc = evq__line_history(call, f, history);
	if (!rc && !to) {
		rc = find_origin(call, f, &to);
		if (!rc && !to)
			return leave(call, f, EVQ_NOQUEUE, "no-origin", obstacle);
	}
	if (!rc)
		rc = to == call->q.number ? EVQ_NOQUEUE : evq__catalog_other(call, to, &dest);
	if (rc == EVQ_NOQUEUE)
		return leave(call, f, rc, "no-queue", obstacle);
	if (rc)
		return rc;
	if (!evq__room_for(dest, 1, f->entry.body_len))
		return leave(call, f, EVQ_FULL, "full", obstacle);
	++*moved;
	return move(call, f, dest);
}

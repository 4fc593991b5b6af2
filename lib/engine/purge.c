/* SPDX-License-Identifier: MIT */
/* Owns the emptying of queues, by hand and before a drop, in slices that somebody else commits. */
#include "purge.h"

#include "bodies.h"
#include "bounds.h"
#include "dedup.h"
#include "line.h"

enum { LOOK_AT = 16 * EVQ__SLICE }; /* entries passed over in one slice, all of them too new */

static int
collect(struct evq__call *call, struct evq__place *from, uint64_t end, struct evq__found *found, size_t max,
        size_t *count, int *done)
{
	struct evq__found f;
	struct evq__walk walk;
	size_t looked = 0;
	int rc = evq__walk_seek(call, &call->q, from, &walk, &f);
	*count = 0;
	while (!rc && *count < max && looked++ < LOOK_AT) {
		if (f.place.id < end)
			found[(*count)++] = f;
		*from = evq__walk_at(&call->q, &f);
		*from = evq__due_behind(from);
		rc = evq__walk_next(call, &call->q, &walk, &f);
	}
	*done = rc == EVQ__NONE;
	return rc == EVQ__NONE ? 0 : rc;
}

/*
 * A queue without messages has counters of none and no rows, also where one that was removed could not be read. max
 * bounds the rows that are removed.
 */
static int
settle_empty(struct evq__call *call, size_t max, int *done)
{
	struct evq__found f;
	struct evq__walk walk;
	struct evq__counters *c = &call->q.c;
	size_t count;
	int rc = evq__walk_seek(call, &call->q, &(struct evq__place){ .queue = call->q.number }, &walk, &f);
	if (rc != EVQ__NONE)
		return rc;
	call->q.dirty |= c->messages || c->bytes || c->mortal;
	c->messages = c->bytes = c->mortal = 0;
	rc = evq__line_clear(call, max, &count);
	*done = count < max;
	return rc;
}

/* The first of a group goes last, so that no other has to take its place before. */
static int
remove_all(struct evq__call *call, const struct evq__found *found, size_t count)
{
	int rc = 0;
	while (!rc && count--) {
		rc = evq__line_remove(call, &call->q, &found[count]);
		if (!rc)
			rc = evq__bodies_remove(call, found[count].place.id, found[count].entry.flags & EVQ__ENTRY_PARTS);
	}
	return rc;
}

int
evq__purge_slice(struct evq__call *call, struct evq__place *from, uint64_t end, size_t max, size_t *purged,
                 int *done)
{
	struct evq__found found[EVQ__SLICE];
	size_t count, most = max < EVQ__SLICE ? max : EVQ__SLICE;
	int rc = collect(call, from, end, found, most, &count, done);
	if (!rc)
		rc = remove_all(call, found, count);
	call->q.c.purged += count;
	*purged = count;
	if (!rc && *done)
		rc = settle_empty(call, most, done);
	return rc || !*done ? rc : evq__dedup_forget(call, end, most, done);
}

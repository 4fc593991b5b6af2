/* SPDX-License-Identifier: MIT */
/* Owns the emptying of queues, by hand and before a drop, in slices that somebody else commits. */
#include "purge.h"

#include "bodies.h"
#include "bounds.h"

enum { LOOK_AT = 16 * EVQ__SLICE }; /* entries passed over in one slice, all of them too new */

static int
collect(struct evq__call *call, struct evq__place *from, uint64_t end, struct evq__found *found, size_t max,
        size_t *count, int *done)
{
	struct evq__found f;
	size_t looked = 0;
	int rc = evq__due_seek(call->txn, from, &f);
	*count = 0;
	while (!rc && *count < max && looked++ < LOOK_AT) {
		if (f.place.id < end)
			found[(*count)++] = f;
		*from = evq__due_behind(&f.place);
		rc = evq__due_next(call->txn, call->q.number, &f);
	}
	*done = rc == EVQ__NONE;
	return rc == EVQ__NONE ? 0 : rc;
}

/* A queue without messages has counters of none, also where one that was removed could not be read. */
static int
settle_empty(struct evq__call *call)
{
	struct evq__found f;
	struct evq__counters *c = &call->q.c;
	int rc = evq__due_seek(call->txn, &(struct evq__place){ .queue = call->q.number }, &f);
	if (rc != EVQ__NONE)
		return rc;
	call->q.dirty |= c->messages || c->bytes || c->mortal;
	c->messages = c->bytes = c->mortal = 0;
	return 0;
}

int
evq__purge_slice(struct evq__call *call, struct evq__place *from, uint64_t end, size_t max, size_t *purged,
                 int *done)
{
	struct evq__found found[EVQ__SLICE];
	size_t count;
	int rc = collect(call, from, end, found, max < EVQ__SLICE ? max : EVQ__SLICE, &count, done);
	for (size_t i = 0; !rc && i < count; i++) {
		rc = evq__due_remove(call, &call->q, &found[i]);
		if (!rc)
			rc = evq__bodies_remove(call, found[i].place.id, found[i].entry.flags & EVQ__ENTRY_PARTS);
	}
	call->q.c.purged += count;
	*purged = count;
	return rc || !*done ? rc : settle_empty(call);
}

/* SPDX-License-Identifier: MIT */
/*
 * The groups of a FIFO queue. Every message has a row in evq.group, in the order of its group:
 *
 *   group   a1 -------- a2 -------- a3 -------- a4        the first is to be received before the others
 *           |           |           entry       entry     these wait
 *   due     entry       entry                             the first, whatever it does; and what is leased
 *
 * A message that is not the first and stands in evq.due, since its lease ran out or one before it came back, waits as
 * the others do from the moment when somebody meets it there.
 */
#ifndef EVQ__GROUP_H
#define EVQ__GROUP_H

#include "line.h"

/* What stands for its group: the hash of the name; its own id where it has none. */
static inline uint64_t
evq__group_of(const struct evq__found *f)
{
	return f->entry.flags & EVQ__ENTRY_GROUP ? f->entry.group : f->place.id;
}

/* line.h says what these do. Keeps: 1, 9. */
int evq__group_insert(struct evq__call *call, const struct evq__place *at, const struct evq__entry *e);
int evq__group_remove(struct evq__call *call, const struct evq__found *f);
int evq__group_move(struct evq__call *call, const struct evq__found *f, const struct evq__place *to);
int evq__group_get(struct evq__txn *txn, struct evq__found *f);
int evq__group_collect(struct evq__call *call, struct evq__ready *r);
int evq__group_resume(struct evq__call *call, struct evq__ready *r);
int evq__group_seek(struct evq__txn *txn, const struct evq__place *from, struct evq__walk *w, struct evq__found *f);
int evq__group_next(struct evq__txn *txn, uint32_t queue, struct evq__walk *w, struct evq__found *f);

/* Is one leased that is before f in its group? */
int evq__group_is_held(struct evq__call *call, const struct evq__found *f, int *is_held);
/* Removes up to max rows that are left of a queue without messages. */
int evq__group_clear(struct evq__call *call, uint32_t queue, size_t max, size_t *count);

#endif

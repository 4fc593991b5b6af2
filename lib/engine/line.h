/* SPDX-License-Identifier: MIT */
/*
 * The order in which a queue's messages may be received, whatever kind of queue it is:
 *
 *   plain   every entry stands in evq.due, and those that are due go by priority, then time, then id
 *   FIFO    group.h: of each group only the first, and what is leased, stands there; the others wait
 *   fair    fair.h: as in a plain queue, but what is due goes by turns of its groups
 */
#ifndef EVQ__LINE_H
#define EVQ__LINE_H

#include "due.h"

/*
 * The three writes. q is the queue's record, whose counters they keep (3); e's history is the caller's. What comes to be
 * due by an insert or a remove wakes sleepers.
 */
int evq__line_insert(struct evq__call *call, struct evq__queue *q, const struct evq__place *at,
                     const struct evq__entry *e);
int evq__line_remove(struct evq__call *call, struct evq__queue *q, const struct evq__found *f);
/* From where it stands to another time, with what has changed of its entry but its body. Needs: it is of call->q. */
int evq__line_move(struct evq__call *call, const struct evq__found *f, const struct evq__place *to);

/* Where a message of call->q stands now, and its entry, by its id and, in a FIFO queue, its group. Errors: EVQ__NONE. */
int evq__line_again(struct evq__call *call, struct evq__found *f);
/* Gives f's entry its history back, as a copy in buf. */
int evq__line_history(struct evq__call *call, struct evq__found *f, uint8_t buf[static EVQ__HISTORY_MAX]);

/* Removes up to max rows that damage left of call->q, which has no messages. */
int evq__line_clear(struct evq__call *call, size_t max, size_t *count);

/* A walk over what may be received, some entries at a time; the transaction may write between them. */
struct evq__ready {
	/* in */
	struct evq__place from; /* where it goes on; to begin with, only the queue is set */
	struct evq__found *found;
	size_t max;     /* room in found, not 0 */
	int is_list;    /* also what is delayed, and leased where nothing has to go before it: all that there is in order */
	int may_write;  /* what came due and stands where it should not is moved on the way */
	size_t budget;  /* so many may be moved */
	int heads_only; /* of a group of a FIFO queue only the first */
	/* out */
	size_t count;      /* of those found this time */
	int done;          /* there are no more */
	int misplaced;     /* so many were not moved, for it may not write */
	uint64_t next_due; /* the first time behind now at which one was seen to be due; begins as EVQ__DUE_NEVER */
	enum { EVQ__LIST_LANE, EVQ__LIST_TURNS, EVQ__LIST_TIMES } step; /* of a list, in a fair queue */
	/* the group that was taken from last, in a FIFO queue */
	uint64_t group, last; /* last: the id of the one that was taken from it; 0: none yet */
	size_t taken;         /* from it, one behind the other */
	int in_group;         /* there may be more in it */
};
/*
 * The next entries of call->q that are due, in the order of delivery. Fewer than max may come though there are more;
 * in a FIFO queue it is one at a time. Cost: a step an entry, a look-up a lane; and those of what it moves.
 */
int evq__line_collect(struct evq__call *call, struct evq__ready *r);
/* Of what was collected, f was received: the next of its group may follow it. */
void evq__line_took(struct evq__call *call, struct evq__ready *r, const struct evq__found *f);
/* Goes on after others may have changed the queue: what was taken before is held still, or the group is left. */
int evq__line_resume(struct evq__call *call, struct evq__ready *r);

/* A message that nothing is in the way of came to stand at at. */
static inline void
evq__line_wake(struct evq__call *call, const struct evq__place *at)
{
	if (at->due_ms != EVQ__DUE_NEVER)
		evq__news_wake(call->news, at->queue, evq__is_due(at, call->now_ms) ? 1 : EVQ__WAKE_ALL);
}

/* For those who collect: takes f, unless it cannot be read. */
static inline void
evq__line_found(struct evq__ready *r, struct evq__found *f)
{
	f->entry.history.data = NULL;
	if (!f->unreadable)
		r->found[r->count++] = *f;
}

/* From at, which is not due, to the next lane. Errors: EVQ__NONE it is in the last. */
static inline int
evq__line_next_lane(struct evq__ready *r, const struct evq__place *at)
{
	if (at->due_ms < r->next_due)
		r->next_due = at->due_ms;
	r->from = (struct evq__place){ .queue = at->queue, .lane = (uint8_t)(at->lane + 1) };
	return at->lane == UINT8_MAX ? EVQ__NONE : 0;
}

/*
 * A walk over every message of a queue, whatever its state; in no order that matters but that the messages of a group of
 * a FIFO queue come in theirs. from is a place of the walk's own: to begin with, only the queue is set.
 */
struct evq__walk {
	uint32_t flags; /* of the queue */
	int64_t now_ms;
	uint64_t group; /* of a FIFO queue: that of the last message's row */
	int is_astray;  /* which is not the message's own */
	int is_stopped; /* one that is leased or delayed was seen in it */
};
/* Errors: EVQ__NONE there is none. */
int evq__walk_seek(struct evq__call *call, const struct evq__queue *q, const struct evq__place *from,
                   struct evq__walk *w, struct evq__found *f);
int evq__walk_next(struct evq__call *call, const struct evq__queue *q, struct evq__walk *w, struct evq__found *f);
/* The walk's place of f; evq__due_behind() is that of the next. */
struct evq__place evq__walk_at(const struct evq__queue *q, const struct evq__found *f);

#endif

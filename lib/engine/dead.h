/* SPDX-License-Identifier: MIT */
/* Dead letters. */
#ifndef EVQ__DEAD_H
#define EVQ__DEAD_H

#include "line.h"

static inline int
evq__dead_is_due(const struct evq__queue *q, const struct evq__entry *e)
{
	return q->max_receives && e->receives - e->base >= q->max_receives;
}

/* Moves f from call->q to its dead letter. Errors: EVQ_FULL, which has written nothing. Keeps: 1, 2, 3. */
int evq__dead_move(struct evq__call *call, struct evq__found *f, const char *reason);
/* The same, and where there is no room, released with backoff: never dropped. */
int evq__dead_or_later(struct evq__call *call, struct evq__found *f, const char *reason);
/* f's body is damaged: dead-lettered for that, or parked where there is no dead letter. */
int evq__dead_corrupt(struct evq__call *call, struct evq__found *f);

#endif

/* SPDX-License-Identifier: MIT */
/* The way out of a dead letter. call->q is the dead letter. */
#ifndef EVQ__REDRIVE_H
#define EVQ__REDRIVE_H

#include "bounds.h"
#include "line.h"

/*
 * The next messages of a walk, a list, that can be redriven, at most max, into found; walk->done: there are no more.
 * Needs: a transaction of either kind; writes nothing. Each entry found has its fence and no history.
 */
int evq__redrive_list(struct evq__call *call, struct evq__ready *walk, struct evq__found *found, size_t max,
                      size_t *count);
/*
 * Moves f to the queue numbered to, or to the one it came from where to is 0. *obstacle, where it is 0, is
 * given the reason why it stays: EVQ_NOQUEUE, EVQ_FULL; *moved is counted up where it moves. A message that
 * is not as it was listed is left alone. Keeps: 1, 2, 3, 5.
 */
int evq__redrive_one(struct evq__call *call, struct evq__found *f, uint32_t to, int *obstacle, size_t *moved);

#endif

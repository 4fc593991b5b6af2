/* SPDX-License-Identifier: MIT */
/*
 * The turns of a fair queue. What is due has a turn there, a number that grows: a message gets the one behind the
 * last of its group, but none that has been gone through, and those of the same turn go by id. So a group with a
 * hundred thousand waiting has a message in each of as many turns, and one that comes anew has the next.
 *
 * In evq.due a turn takes the place of the time. What is delayed or leased stands there by its time as in any queue,
 * and gets a turn when it is met after that time.
 */
#ifndef EVQ__FAIR_H
#define EVQ__FAIR_H

#include "line.h"

/* line.h says what these do. Keeps: 1. */
int evq__fair_insert(struct evq__call *call, const struct evq__place *at, const struct evq__entry *e);
int evq__fair_remove(struct evq__call *call, const struct evq__found *f);
int evq__fair_move(struct evq__call *call, const struct evq__found *f, const struct evq__place *to);
int evq__fair_collect(struct evq__call *call, struct evq__ready *r);
int evq__fair_list(struct evq__call *call, struct evq__ready *r);
/* Where the message of a lease that ran out is now, if it was given a turn. Errors: EVQ__NONE. */
int evq__fair_find(struct evq__txn *txn, struct evq__found *f);

#endif

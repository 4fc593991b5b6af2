/* SPDX-License-Identifier: MIT */
/* Looking without touching. */
#ifndef EVQ__PEEK_H
#define EVQ__PEEK_H

#include "batch.h"
#include "line.h"

/*
 * Adds to batch the messages of call->q from place from of a walk on that are in one of states and have not expired,
 * until it has count. Needs: a transaction of either kind; writes nothing.
 */
int evq__peek(struct evq__call *call, const struct evq__place *from, unsigned states, size_t count,
              struct evq_batch *batch);
/* One message, with its body, or NULL for it where that is damaged. f's history must be there. */
int evq__peek_one(struct evq__call *call, const struct evq__found *f, struct evq_batch *batch);

#endif

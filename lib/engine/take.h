/* SPDX-License-Identifier: MIT */
/* Receiving. */
#ifndef EVQ__TAKE_H
#define EVQ__TAKE_H

#include "batch.h"
#include "call.h"
#include "line.h"

struct evq__take {
	/* in */
	size_t count;          /* the batch is to have at most so many */
	int64_t visibility_ms; /* 0: the queue's */
	uint64_t max_bytes;    /* of all bodies in the batch; 0: no bound */
	int is_frugal;         /* there is no room for what adds to the tables */
	size_t budget;         /* messages that may be dead-lettered, dropped or parked on the way */
	/* in and out */
	uint64_t bytes;    /* of the bodies in the batch */
	int64_t lease_end; /* the first of the batch's; begins as INT64_MAX. From then on nothing is added */
	struct evq__ready ready; /* where it stands: zeros to begin with */
	/* out */
	int more;          /* the budget is spent: there may be more to take */
	int full;          /* max_bytes is reached */
	size_t corrupt;    /* so many were damaged, and are not in the batch */
	uint64_t next_due; /* where fewer came than asked for: when the next one is due */
};

/* Leases what is due to batch, behind what it holds. Keeps: 1, 3, 4, 5. */
int evq__take(struct evq__call *call, struct evq__take *take, struct evq_batch *batch);

#endif

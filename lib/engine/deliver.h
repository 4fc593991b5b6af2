/* SPDX-License-Identifier: MIT */
/* From an entry and a body to an evq_delivery. */
#ifndef EVQ__DELIVER_H
#define EVQ__DELIVER_H

#include "batch.h"
#include "due.h"

/*
 * Adds a delivery of f to b, all but its receipt and its body; f's history must be there. It counts
 * once evq__batch_keep() is called. Errors: ENOMEM; EVQ_CORRUPT.
 */
int evq__deliver_entry(struct evq__call *call, const struct evq__found *f, struct evq_batch *b, evq_delivery **out);

#endif

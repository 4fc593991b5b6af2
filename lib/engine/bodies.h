/* SPDX-License-Identifier: MIT */
/* Message bodies: written once, read whole, removed whole. */
#ifndef EVQ__BODIES_H
#define EVQ__BODIES_H

#include "batch.h"
#include "body.h"
#include "call.h"

/* Needs: an id above all there are. */
int evq__bodies_write(struct evq__call *call, uint64_t id, const struct evq__body *body);
/* parts: may there be more rows than one? */
int evq__bodies_remove(struct evq__call *call, uint64_t id, int parts);
/*
 * Reads body, group and attributes into d, with memory of b, the checksum verified.
 * Errors: EVQ_CORRUPT missing, incomplete or damaged; ENOMEM.
 */
int evq__bodies_read(struct evq__txn *txn, uint64_t id, struct evq_batch *b, evq_delivery *d);

/*
 * Is body that of message id? Where it is gone or cannot be read, it may be. Errors: LMDB's.
 */
int evq__bodies_may_be(struct evq__txn *txn, uint64_t id, const evq_buf *body, int *is);
/* The name of its group, borrowed; of length 0 where it has none. Errors: EVQ_CORRUPT as above. */
int evq__bodies_group(struct evq__txn *txn, uint64_t id, struct evq__slice *group);

#endif

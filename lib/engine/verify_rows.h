/* SPDX-License-Identifier: MIT */
/* The check of tables that hold no messages. */
#ifndef EVQ__VERIFY_ROWS_H
#define EVQ__VERIFY_ROWS_H

#include "flaws.h"
#include "queue.h"
#include "store.h"
#include "storerec.h"

/* The turns of a fair queue, against its messages; *rows is counted up by those of evq.group. */
int evq__verify_turns(struct evq__txn *txn, const struct evq__queue *q, struct evq__flaws *flaws, size_t *rows);
/* What is remembered for a queue; *rows is counted up by those of evq.dedup. */
int evq__verify_dedup(struct evq__txn *txn, const struct evq__storerec *store, const struct evq__queue *q,
                      struct evq__flaws *flaws, size_t *rows);

#endif

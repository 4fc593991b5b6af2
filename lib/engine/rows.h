/* SPDX-License-Identifier: MIT */
/* The rows of evq.group in FIFO queues. What is found has its place, and its entry only where that waits. */
#ifndef EVQ__ROWS_H
#define EVQ__ROWS_H

#include "due.h"

/* The first row at or behind that of id in *group, of whichever group, which is told. Errors, of each: EVQ__NONE. */
int evq__rows_seek(struct evq__txn *txn, uint32_t queue, uint64_t id, uint64_t *group, struct evq__found *f);
/* The one behind that found last. */
int evq__rows_behind(struct evq__txn *txn, uint32_t queue, uint64_t *group, struct evq__found *f);
/* The same, if it is of the group. */
int evq__rows_next(struct evq__txn *txn, uint32_t queue, uint64_t group, struct evq__found *f);
/* The first message of the group from id on. */
int evq__rows_first(struct evq__txn *txn, uint32_t queue, uint64_t group, uint64_t id, struct evq__found *f);
/* That of f, by its id and group. */
int evq__rows_get(struct evq__txn *txn, struct evq__found *f);
/* The entry of a message that was found, where it stands in evq.due. */
int evq__rows_load(struct evq__txn *txn, struct evq__found *f);
/* e NULL: its entry stands in evq.due. */
int evq__rows_put(struct evq__call *call, uint64_t group, const struct evq__place *at, const struct evq__entry *e);
int evq__rows_del(struct evq__call *call, const struct evq__place *at, uint64_t group);

#endif

/* SPDX-License-Identifier: MIT */
/* Emptying a queue. */
#ifndef EVQ__PURGE_H
#define EVQ__PURGE_H

#include "due.h"

/*
 * Removes at most max messages of call->q that stand at or behind *from, a place of a walk, and have ids below end;
 * leaves *from behind the last. After them, what was remembered of such. *done: there was nothing left. Keeps: 1, 2, 3, 8.
 */
int evq__purge_slice(struct evq__call *call, struct evq__place *from, uint64_t end, size_t max, size_t *purged,
                     int *done);

#endif

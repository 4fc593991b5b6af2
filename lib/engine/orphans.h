/* SPDX-License-Identifier: MIT */
/* Leases of a process that died. */
#ifndef EVQ__ORPHANS_H
#define EVQ__ORPHANS_H

#include "due.h"

/*
 * Ends the next EVQ__SLICE leases at the most that owner took, in whichever queue, from *from on, which is moved;
 * *done when there are no more. The receive stays counted. Cost: a look-up a queue and lane, a step for each
 * message that is leased or delayed.
 */
int evq__orphans_slice(struct evq__call *call, uint32_t owner, size_t max, struct evq__place *from, int *done);

#endif

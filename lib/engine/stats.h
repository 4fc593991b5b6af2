/* SPDX-License-Identifier: MIT */
/* Figures of a queue. */
#ifndef EVQ__STATS_H
#define EVQ__STATS_H

#include "call.h"

/* Of call->q. Cost: a step an entry of the queue. Needs: a transaction of either kind. */
int evq__stats(struct evq__call *call, evq_stats *out);

#endif

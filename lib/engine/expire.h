/* SPDX-License-Identifier: MIT */
/* The end of messages whose time is up. */
#ifndef EVQ__EXPIRE_H
#define EVQ__EXPIRE_H

#include "due.h"

/* f, of call->q, has expired: dropped, or dead-lettered where the queue wants that. Keeps: 1, 2, 3. */
int evq__expire_one(struct evq__call *call, struct evq__found *f);
/* Looks at the first look_at entries that are due, and at as many that wait in groups, and ends at most EVQ__SLICE. */
int evq__expire_some(struct evq__call *call, size_t look_at, size_t *cleared);

#endif

/* SPDX-License-Identifier: MIT */
/* The end of messages whose time is up. */
#ifndef EVQ__EXPIRE_H
#define EVQ__EXPIRE_H

#include "due.h"

/* f, of call->q, has expired: dropped, or dead-lettered where the queue wants that. Keeps: 1, 2, 3. */
int evq__expire_one(struct evq__call *call, struct evq__found *f);
/*
 * Looks at the first entries that are due, at most max, and ends those that have expired, up to the first
 * that has not.
 */
int evq__expire_front(struct evq__call *call, size_t max, size_t *cleared);

#endif

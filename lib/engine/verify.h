/* SPDX-License-Identifier: MIT */
/* The check of every invariant. */
#ifndef EVQ__VERIFY_H
#define EVQ__VERIFY_H

#include "flaws.h"
#include "store.h"

/*
 * Reads the whole store. 0 and what was found in out, whose list is the caller's to free, or an error that
 * kept it from finding out. Needs: a reading transaction. Cost: 32 bytes of memory a message, twice that in a fair queue.
 */
int evq__verify(struct evq__txn *txn, struct evq__flaws *out);

#endif

/* SPDX-License-Identifier: MIT */
/* The check of every invariant. */
#ifndef EVQ__VERIFY_H
#define EVQ__VERIFY_H

#include "store.h"

struct evq__flaw {
	char queue[EVQ_NAME_MAX + 1]; /* empty where there is none to name */
	evq_id id;
	const char *what;
};

struct evq__flaws {
	struct evq__flaw *list;
	size_t count, room; /* no more than EVQ__FLAWS_MAX are kept; count goes on */
};

enum { EVQ__FLAWS_MAX = 1000 };

/*
 * Reads the whole store. 0 and what was found in out, whose list is the caller's to free, or an error that
 * kept it from finding out. Needs: a reading transaction. Cost: 16 bytes of memory a message.
 */
int evq__verify(struct evq__txn *txn, struct evq__flaws *out);

#endif

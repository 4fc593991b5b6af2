/* SPDX-License-Identifier: MIT */
/* The queues of a store: their records, names, numbers, and the numbers of messages. */
#ifndef EVQ__CATALOG_H
#define EVQ__CATALOG_H

#include "call.h"
#include "storerec.h"

/* Loads call->q. Errors: EVQ_NOQUEUE, also one that is being dropped. */
int evq__catalog_enter(struct evq__call *call, uint32_t number);
/* The same for a queue in any state. */
int evq__catalog_enter_any(struct evq__call *call, uint32_t number);
/*
 * A live queue's record: call->q if it is that, else loaded into call->other, what was there saved.
 * Errors: EVQ_NOQUEUE.
 */
int evq__catalog_other(struct evq__call *call, uint32_t number, struct evq__queue **out);
/* Saves what changed. Every operation that was entered ends with it. */
int evq__catalog_leave(struct evq__call *call);
/* Errors: EVQ_NOQUEUE. Needs: a name that passed evq__name_check. */
int evq__catalog_find(struct evq__call *call, const char *name, size_t len, uint32_t *number);

/* Attributes checked and with their defaults; dead_letter is resolved when they are set. */
struct evq__attrs {
	struct evq__queue q;
	const char *dead_letter; /* or NULL */
	size_t dead_letter_len;
};
/* Errors: EINVAL, EVQ_TOOBIG a name, E2BIG; see evq_queue(3). */
int evq__attrs_check(const evq_queue_attrs *given, struct evq__attrs *out);
/* Creates queue name, which must not exist nor be its own dead letter, as call->q. Keeps: 10. */
int evq__catalog_create(struct evq__call *call, const char *name, size_t len, const struct evq__attrs *attrs);
/* Changes call->q. Errors: EINVAL a cycle. Keeps: 10. */
int evq__catalog_set(struct evq__call *call, const struct evq__attrs *attrs);

/* Takes the name off call->q and marks it. Errors: EBUSY it is a dead letter. Keeps: 10. */
int evq__catalog_start_drop(struct evq__call *call);
/* Removes call->q's record, adding its counters to the store's. Needs: no message left. */
int evq__catalog_finish_drop(struct evq__call *call);

/*
 * The record of the first queue with a number above after, in any state. Errors: EVQ__NONE.
 */
int evq__catalog_next(struct evq__txn *txn, uint32_t after, struct evq__queue *out);
/*
 * The first name behind after (NULL: of all), and the one behind that last found, as they stand in the table.
 * Borrowed until the next write. Errors: EVQ__NONE.
 */
int evq__catalog_first_name(struct evq__txn *txn, const char *after, struct evq__slice *name);
int evq__catalog_next_name(struct evq__txn *txn, struct evq__slice *name);
int evq__catalog_is_name(const struct evq__slice *key); /* could it be one? */

/*
 * Do the dead letters from queue number from on (0: none) lead to queue to? Errors: EVQ_NOQUEUE one is missing;
 * EVQ_CORRUPT one cannot be read, or they form a cycle.
 */
int evq__catalog_leads_to(struct evq__txn *txn, uint32_t from, uint32_t to, int *is_there);

int evq__catalog_store(struct evq__txn *txn, struct evq__storerec *out);
/* Takes count message ids; *first is the lowest. */
int evq__catalog_ids(struct evq__call *call, size_t count, uint64_t *first);

#endif

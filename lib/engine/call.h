/* SPDX-License-Identifier: MIT */
/*
 * What an operation of the engine is given: a transaction that somebody else began and will end, the time,
 * a place to leave news, and the records of the queues it touches. The engine keeps nothing between calls.
 */
#ifndef EVQ__CALL_H
#define EVQ__CALL_H

#include "news.h"
#include "queue.h"
#include "store.h"

struct evq__call {
	struct evq__txn *txn;
	int64_t now_ms;  /* the store's time */
	int64_t wall_ms; /* what the clock on the wall says: for people to read */
	uint64_t secret; /* the store's, for receipts and jitter */
	size_t name_end; /* the store's, for the hashes of names: name.h */
	uint32_t owner;  /* the number of who calls: leases carry it */
	uint32_t nonce;  /* another than that of the call before, also where its transaction was aborted */
	struct evq__news *news;
	uint64_t settled; /* txn's changes when the store was last whole: a refusal after that is harmless */
	struct evq__queue q;     /* the queue that the call is for; number 0: none */
	struct evq__queue other; /* the one it moves messages to; number 0: none */
};

#endif

/* SPDX-License-Identifier: MIT */
/* Verbs for stores that are full: filled with bodies until not one more fits, and drained to zero. */
#ifndef EVQ_TESTS_ROOM_H
#define EVQ_TESTS_ROOM_H

#include "support.h"

#define MIB ((uint64_t)1 << 20)

static unsigned char bytes[1 << 20];
static unsigned groups; /* among so many, of names that look random, are the batches shared out; 0: they have none */

/* Each row of count; where time is short every eighth, from first on. */
#define ADD_ROWS(t, test, first, count)                                                                    \
	for (int row = getenv("EVQ_TEST_SMALL") ? (first) : 0; row < (int)(count);                         \
	     row += getenv("EVQ_TEST_SMALL") ? 8 : 1)                                                      \
	tcase_add_loop_test(t, test, row, row + 1)

static inline void
open_store(uint64_t map_size, uint64_t max_bytes)
{
	store_open_opts(EVQ_ENV_OPTS(.durability = EVQ_DURABLE_RELAXED, .clock = fake_clock, .map_size = map_size,
	                             .max_bytes = max_bytes));
}

static inline int
send_many(evq_queue *q, evq_txn *txn, size_t len, size_t count)
{
	static evq_buf bodies[1000];
	static unsigned turn;
	char group[16];
	snprintf(group, sizeof(group), "%08x", (groups ? turn++ % groups : 0) * 2654435761U);
	for (size_t i = 0; i < count; i++)
		bodies[i] = (evq_buf){ bytes, len };
	return evq_send_batch(q, txn, bodies, count, EVQ_SEND_OPTS(.group = groups ? group : NULL), NULL);
}

/* Until not even one more body of len bytes fits. What it says is how many did. */
static inline uint64_t
fill(evq_queue *q, size_t len)
{
	uint64_t sent = 0;
	for (size_t batch_size = 1000; batch_size > 0; batch_size /= 10) {
		int rc;
		while ((rc = send_many(q, NULL, len, batch_size)) == 0) {
			sent += batch_size;
			ck_assert_msg(sent < 1000000, "a store without end");
		}
		ck_rc(rc, EVQ_FULL);
	}
	return sent;
}

static inline uint64_t
drain(evq_queue *q, uint32_t count)
{
	uint64_t drained = 0;
	evq_receipt *rs = calloc(count, sizeof(*rs));
	int *rcs = calloc(count, sizeof(*rcs)), rc;
	evq_batch *b = NULL;
	ck_ok(evq_batch_new(&b));
	while ((rc = evq_receive(q, NULL, EVQ_RECEIVE_OPTS(.count = count), b)) == 0) {
		size_t got = evq_batch_count(b);
		for (size_t i = 0; i < got; i++)
			rs[i] = evq_batch_at(b, i)->receipt;
		ck_ok(evq_delete_batch(q, NULL, rs, got, rcs));
		for (size_t i = 0; i < got; i++)
			ck_ok(rcs[i]);
		drained += got;
	}
	ck_rc(rc, EVQ_EMPTY);
	evq_batch_free(b);
	free(rs);
	free(rcs);
	return drained;
}

#endif
